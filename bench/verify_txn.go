package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TxnCheck is a consume–transform–produce run with random aborts and clients
// that die: unique values go into a topic, workers of one group carry them to
// another in transactions, and a read_committed reader holds the outcome against
// what exactly-once promises.
type TxnCheck struct {
	// Prefix names the topics, the group and the transactional ids.
	Prefix     string
	Partitions int32         // default 4
	Workers    int           // default 3
	Rate       float64       // values/s into the input; default 500
	Duration   time.Duration // default 30 s
	// AbortRate is the share of transactions that are aborted on purpose;
	// KillRate the share after which a worker is thrown away in the middle of a
	// transaction and a new one takes its transactional id.
	AbortRate, KillRate float64
	// Drain is how long the workers may take to finish the input. Default 60 s.
	Drain time.Duration
	Live  func(line string)
}

// TxnVerdict is what a TxnCheck has found.
type TxnVerdict struct {
	Values      int64 `json:"values"` // acknowledged into the input
	Committed   int64 `json:"transactions_committed"`
	Aborted     int64 `json:"transactions_aborted"`
	Killed      int64 `json:"workers_killed"`
	Read        int64 `json:"read"`
	Lost        int64 `json:"lost"`
	Duplicated  int64 `json:"duplicated"`
	AbortedRead int64 `json:"aborted_read"`
	Torn        int64 `json:"torn"`      // transactions of which only a part was read
	Backwards   int64 `json:"backwards"` // polls whose offsets went back
	Unknown     int64 `json:"unknown"`   // values that nobody has sent
}

// Bad reports whether a promise was broken.
func (v *TxnVerdict) Bad() bool {
	return v.Lost+v.Duplicated+v.AbortedRead+v.Torn+v.Backwards+v.Unknown > 0
}

func (v *TxnVerdict) String() string {
	return fmt.Sprintf("%d values, %d transactions committed, %d aborted, %d workers killed; %d read: %d lost, %d duplicated, %d aborted but read, %d torn, %d backwards, %d unknown",
		v.Values, v.Committed, v.Aborted, v.Killed, v.Read, v.Lost, v.Duplicated, v.AbortedRead, v.Torn, v.Backwards, v.Unknown)
}

// outcome is a record of the output topic.
type outcome struct {
	Value   int64 `json:"v"`
	Attempt int64 `json:"a"` // the transaction that carried it
}

// txnRun is the shared state of a check.
type txnRun struct {
	t       Target
	c       TxnCheck
	values  atomic.Int64
	attempt atomic.Int64

	committed, aborted, killed atomic.Int64

	mu      sync.Mutex
	dropped map[int64]bool  // attempts that must never be read
	size    map[int64]int64 // records of the attempts that were committed
}

func (c TxnCheck) withDefaults() TxnCheck {
	if c.Prefix == "" {
		c.Prefix = fmt.Sprintf("verify-txn-%d", time.Now().UnixNano())
	}
	if c.Partitions == 0 {
		c.Partitions = 4
	}
	if c.Workers == 0 {
		c.Workers = 3
	}
	if c.Rate == 0 {
		c.Rate = 500
	}
	if c.Duration == 0 {
		c.Duration = 30 * time.Second
	}
	if c.Drain == 0 {
		c.Drain = time.Minute
	}
	return c
}

// VerifyTxn runs the check. The broker may be killed and started again while it
// runs: clients try again for as long as it takes.
func VerifyTxn(ctx context.Context, t Target, c TxnCheck) (*TxnVerdict, error) {
	c = c.withDefaults()
	r := &txnRun{t: t, c: c, dropped: map[int64]bool{}, size: map[int64]int64{}}
	for _, topic := range []string{c.input(), c.output()} {
		if err := EnsureTopic(ctx, t, topic, c.Partitions); err != nil {
			return nil, err
		}
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	var workers sync.WaitGroup
	errs := make(chan error, c.Workers)
	for n := range c.Workers {
		workers.Add(1)
		go func() {
			defer workers.Done()
			if err := r.worker(work, n); err != nil {
				errs <- err
			}
		}()
	}
	if err := r.feed(ctx); err != nil {
		return nil, err
	}
	verdict, err := r.check(ctx, stop, &workers)
	select {
	case e := <-errs:
		err = errors.Join(err, e)
	default:
	}
	return verdict, err
}

func (c TxnCheck) input() string  { return c.Prefix + "-in" }
func (c TxnCheck) output() string { return c.Prefix + "-out" }

// feed sends unique values to the input.
func (r *txnRun) feed(ctx context.Context) error {
	client, err := r.t.client(kgo.DefaultProduceTopic(r.c.input()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, r.c.Duration+r.c.Drain)
	defer cancel()
	p := newPace(r.c.Rate, time.Now())
	end := time.Now().Add(r.c.Duration)
	var failed atomic.Pointer[error]
	for n := int64(0); time.Now().Before(end); n++ {
		if _, ok := p.next(ctx); !ok {
			break
		}
		client.Produce(ctx, &kgo.Record{Value: fmt.Append(nil, n)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
				return
			}
			r.values.Add(1)
		})
		if r.c.Live != nil && n%1000 == 0 {
			r.c.Live(fmt.Sprintf("%d values, %d committed, %d aborted, %d killed", r.values.Load(), r.committed.Load(), r.aborted.Load(), r.killed.Load()))
		}
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("feeding the input: %w", err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("feeding the input: %w", *err)
	}
	return nil
}

// worker carries records over until the context ends; a session that fails or
// is thrown away is followed by another with the same transactional id.
func (r *txnRun) worker(ctx context.Context, n int) error {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(time.Now().UnixNano())))
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(append([]kgo.Opt{kgo.SeedBrokers(r.t.Bootstrap), kgo.ClientID("chronik-verify-txn"),
			kgo.TransactionalID(fmt.Sprintf("%s-%d", r.c.Prefix, n)), kgo.ConsumerGroup(r.c.Prefix), kgo.ConsumeTopics(r.c.input()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond), kgo.TransactionTimeout(20 * time.Second),
			kgo.DefaultProduceTopic(r.c.output()), kgo.MetadataMinAge(100 * time.Millisecond)}, r.t.SASL...)...)
		if err != nil {
			return fmt.Errorf("worker %d: %w", n, err)
		}
		r.session(ctx, s, rng)
		s.Close()
	}
	return nil
}

// session runs transactions until one fails, the worker is killed or the context ends.
func (r *txnRun) session(ctx context.Context, s *kgo.GroupTransactSession, rng *rand.Rand) {
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := s.PollRecords(poll, 200)
		cancel()
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return
		}
		attempt := r.attempt.Add(1)
		// Unless the commit is known to have happened the attempt's fate is open;
		// an abort that we ask for is not.
		abort, kill := rng.Float64() < r.c.AbortRate, rng.Float64() < r.c.KillRate
		if abort || kill {
			r.mu.Lock()
			r.dropped[attempt] = true
			r.mu.Unlock()
		}
		var sent int64
		fetches.EachRecord(func(in *kgo.Record) {
			var v int64
			if _, err := fmt.Sscan(string(in.Value), &v); err != nil {
				v = -1
			}
			body, err := json.Marshal(outcome{v, attempt})
			if err != nil {
				return // cannot happen: two numbers
			}
			s.Produce(ctx, &kgo.Record{Value: body, Partition: in.Partition}, nil)
			sent++
		})
		r.mu.Lock()
		r.size[attempt] = sent
		r.mu.Unlock()
		if kill {
			// What was sent stays in an open transaction: the next session of this
			// id fences it, or its timeout ends it.
			flush, cancel := context.WithTimeout(ctx, 2*time.Second)
			if err := s.Client().Flush(flush); err != nil && r.c.Live != nil {
				r.c.Live("a flush before a kill: " + err.Error())
			}
			cancel()
			r.killed.Add(1)
			return
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		committed, err := s.End(end, kgo.TransactionEndTry(!abort))
		cancel()
		switch {
		case err != nil:
			return
		case committed:
			r.committed.Add(1)
		default:
			r.aborted.Add(1)
			r.mu.Lock()
			r.dropped[attempt] = true
			r.mu.Unlock()
		}
	}
}

// check reads the output until every value has come or the drain time is over.
func (r *txnRun) check(ctx context.Context, stop context.CancelFunc, workers *sync.WaitGroup) (*TxnVerdict, error) {
	parts := map[int32]kgo.Offset{}
	for p := range r.c.Partitions {
		parts[p] = kgo.NewOffset().AtStart()
	}
	client, err := r.t.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.c.output(): parts}), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	v := &TxnVerdict{Values: r.values.Load()}
	seen := &bitset{}
	var distinct int64
	read := map[int64]int64{} // by attempt
	last := map[int32]int64{}
	deadline := time.Now().Add(r.c.Drain)
	// quiet is a last look, so that what comes twice is seen as well.
	quiet := 0
	for quiet < 3 && time.Now().Before(deadline) {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := client.PollFetches(poll)
		cancel()
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "connect") {
			return nil, fmt.Errorf("reading the output: %w", err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			if at, ok := last[rec.Partition]; ok && rec.Offset <= at {
				v.Backwards++
			}
			last[rec.Partition] = rec.Offset
			var o outcome
			if err := json.Unmarshal(rec.Value, &o); err != nil || o.Value < 0 || o.Value >= v.Values {
				v.Unknown++
				return
			}
			v.Read++
			read[o.Attempt]++
			if !seen.set(uint64(o.Value)) {
				v.Duplicated++
			} else {
				distinct++
			}
		})
		if distinct == v.Values && fetches.NumRecords() == 0 {
			quiet++
		}
		if distinct == v.Values && quiet == 1 {
			stop()
			workers.Wait()
		}
	}
	stop()
	workers.Wait()
	v.Lost = v.Values - distinct
	v.Committed, v.Aborted, v.Killed = r.committed.Load(), r.aborted.Load(), r.killed.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	for attempt, n := range read {
		switch {
		case r.dropped[attempt]:
			v.AbortedRead += n
		case n != r.size[attempt]:
			v.Torn++
		}
	}
	return v, nil
}

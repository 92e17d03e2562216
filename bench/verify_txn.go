package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TxnCheck is a consume–transform–produce run with random aborts and clients
// that die: unique values go into a topic, the workers of each group carry them
// to a topic of their own in transactions, and a read_committed reader holds the
// outcome against what exactly-once promises.
type TxnCheck struct {
	// Prefix names the topics, the groups and the transactional ids.
	Prefix     string
	Partitions int32         // default 4
	Groups     int           // default 2
	Workers    int           // of each group; default 3
	Rate       float64       // values/s into the input; default 500
	Duration   time.Duration // default 30 s
	// AbortRate is the share of transactions that are aborted on purpose;
	// KillRate the share in the middle of which a worker dies without a word. A
	// new one takes its transactional id.
	AbortRate, KillRate float64
	// Drain is how long the workers may take to finish the input. Default 60 s.
	Drain time.Duration
	Live  func(line string)
}

// txnRun is the shared state of a check.
type txnRun struct {
	t       Target
	c       TxnCheck
	sent    atomic.Int64 // values given to the producer
	values  atomic.Int64 // of them acknowledged into the input
	attempt atomic.Int64
	groups  []*txnHistory
}

func (c TxnCheck) withDefaults() TxnCheck {
	if c.Prefix == "" {
		c.Prefix = fmt.Sprintf("verify-txn-%d", time.Now().UnixNano())
	}
	if c.Partitions == 0 {
		c.Partitions = 4
	}
	if c.Groups == 0 {
		c.Groups = 2
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
func VerifyTxn(ctx context.Context, t Target, c TxnCheck) ([]*TxnVerdict, error) {
	c = c.withDefaults()
	r := &txnRun{t: t, c: c}
	topics := []string{c.input()}
	for g := range c.Groups {
		r.groups = append(r.groups, newTxnHistory(fmt.Sprintf("%s-%d", c.Prefix, g)))
		topics = append(topics, r.groups[g].output())
	}
	for _, topic := range topics {
		if err := EnsureTopic(ctx, t, topic, c.Partitions); err != nil {
			return nil, err
		}
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	var workers, readers sync.WaitGroup
	errs := make(chan error, c.Groups*(c.Workers+1))
	note := func(err error) {
		if err != nil {
			errs <- err
		}
	}
	for _, h := range r.groups {
		for n := range c.Workers {
			workers.Go(func() { note(r.worker(work, h, n)) })
		}
	}
	for _, h := range r.groups {
		readers.Go(func() { note(r.read(ctx, h, workers.Wait)) })
	}
	err := r.feed(ctx)
	if err == nil {
		r.drain(ctx)
	}
	stop()
	workers.Wait()
	readers.Wait()
	select {
	case e := <-errs:
		err = errors.Join(err, e)
	default:
	}
	if err != nil {
		return nil, err
	}
	var verdicts []*TxnVerdict
	for _, h := range r.groups {
		verdicts = append(verdicts, h.verdict(r.values.Load()))
	}
	return verdicts, ctx.Err()
}

func (c TxnCheck) input() string     { return c.Prefix + "-in" }
func (h *txnHistory) output() string { return h.v.Group + "-out" }

// feed sends the values to the input.
func (r *txnRun) feed(ctx context.Context) error {
	return feeder{r.t, r.c.input(), r.c.Rate, r.c.Duration, r.c.Drain, &r.sent, r.c.Live, r.progress}.run(ctx, func(*kgo.Record, int64) {
		r.values.Add(1)
	})
}

func (r *txnRun) progress() string {
	s := fmt.Sprintf("%d values", r.values.Load())
	for _, h := range r.groups {
		h.mu.Lock()
		s += fmt.Sprintf(", %s %d committed, %d aborted, %d killed", h.v.Group[len(r.c.Prefix)+1:], h.v.Committed, h.v.Aborted, h.v.Killed)
		h.mu.Unlock()
	}
	return s
}

// worker carries records over until the context ends; a session that fails or
// dies is followed by another with the same transactional id.
func (r *txnRun) worker(ctx context.Context, h *txnHistory, n int) error {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(time.Now().UnixNano())))
	for ctx.Err() == nil {
		p := newPolls()
		forget := func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if gone := parts[r.c.input()]; len(gone) > 0 {
				p.forget(gone...)
			}
		}
		dialer, opts := r.t.mortalClient(kgo.TransactionalID(fmt.Sprintf("%s-%d", h.v.Group, n)), kgo.ConsumerGroup(h.v.Group),
			kgo.ConsumeTopics(r.c.input()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.TransactionTimeout(20*time.Second),
			kgo.DefaultProduceTopic(h.output()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.OnPartitionsAssigned(forget), kgo.OnPartitionsRevoked(forget), kgo.OnPartitionsLost(forget))
		s, err := kgo.NewGroupTransactSession(opts...)
		if err != nil {
			return fmt.Errorf("group %s, worker %d: %w", h.v.Group, n, err)
		}
		if killed := r.session(ctx, s, h, p, rng); killed {
			dialer.cut()
			bury(s.Client())
			h.count(func(v *TxnVerdict) *int64 { return &v.Killed })
			continue
		}
		s.Close()
		dialer.cut()
	}
	return nil
}

// session runs transactions until one fails, the worker dies or the context ends.
func (r *txnRun) session(ctx context.Context, s *kgo.GroupTransactSession, h *txnHistory, p *polls, rng *rand.Rand) (killed bool) {
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := s.PollRecords(poll, 200)
		cancel()
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return false
		}
		attempt := r.attempt.Add(1)
		// Unless the commit is known to have happened the attempt's fate is open;
		// an abort that we ask for is not.
		abort, kill := rng.Float64() < r.c.AbortRate, rng.Float64() < r.c.KillRate
		if abort || kill {
			h.drop(attempt)
		}
		var sent int64
		var refused atomic.Bool
		fetches.EachRecord(func(in *kgo.Record) {
			p.polled(h, in.Partition, in.Offset)
			v, err := strconv.ParseInt(string(in.Value), 10, 64)
			if err != nil {
				v = -1
			}
			body, err := json.Marshal(outcome{v, attempt, in.Offset})
			if err != nil {
				return // cannot happen: three numbers
			}
			s.Produce(ctx, &kgo.Record{Value: body, Partition: in.Partition}, func(_ *kgo.Record, err error) {
				if err != nil {
					refused.Store(true)
				}
			})
			sent++
		})
		h.carried(attempt, sent)
		if kill {
			// What was sent stays in an open transaction: the next session of this
			// id fences it, or its timeout ends it.
			flush, cancel := context.WithTimeout(ctx, 2*time.Second)
			_ = s.Client().Flush(flush) // as far as it gets: it dies now
			cancel()
			return true
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		// A transaction of which a record was not taken must not be committed.
		if err := s.Client().Flush(end); err != nil || refused.Load() {
			abort = true
			h.drop(attempt)
		}
		committed, err := s.End(end, kgo.TransactionEndTry(!abort))
		cancel()
		switch {
		case err != nil:
			h.count(func(v *TxnVerdict) *int64 { return &v.Open })
			return false
		case committed:
			h.count(func(v *TxnVerdict) *int64 { return &v.Committed })
			p.committed()
		case abort:
			h.count(func(v *TxnVerdict) *int64 { return &v.Aborted })
			p.aborted()
		default: // a rebalance came between
			h.count(func(v *TxnVerdict) *int64 { return &v.Aborted })
			h.drop(attempt)
			p.forget()
		}
	}
	return false
}

// drain waits until every group has carried every value over, or the time is over.
func (r *txnRun) drain(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(r.c.Drain); time.Now().Before(end) && ctx.Err() == nil; {
		done := true
		for _, h := range r.groups {
			done = done && h.distinct() >= r.values.Load()
		}
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// read gives the history what a read_committed reader is given, until the
// workers have ended and a while after, so that what comes twice is seen as well.
func (r *txnRun) read(ctx context.Context, h *txnHistory, ended func()) error {
	parts := map[int32]kgo.Offset{}
	for p := range r.c.Partitions {
		parts[p] = kgo.NewOffset().AtStart()
	}
	client, err := r.t.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{h.output(): parts}), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer client.Close()
	done := make(chan struct{})
	go func() { ended(); close(done) }()
	for quiet := 0; quiet < 3 && ctx.Err() == nil; {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := client.PollFetches(poll)
		cancel()
		fetches.EachRecord(func(rec *kgo.Record) {
			var o outcome
			if err := json.Unmarshal(rec.Value, &o); err != nil {
				o.Value = -1
			}
			h.see(rec.Partition, rec.Offset, o, r.sent.Load())
		})
		select {
		case <-done:
			if fetches.NumRecords() == 0 {
				quiet++
			}
		default:
		}
	}
	return nil
}

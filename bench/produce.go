package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Produce runs a produce load and reports rate and latency from due to
// acknowledged. With Verify it reads everything back afterwards.
func Produce(ctx context.Context, t Target, l Load) (*Result, error) {
	l = l.withDefaults()
	if err := l.check(); err != nil {
		return nil, err
	}
	if err := EnsureTopic(ctx, t, l.Topic, l.Partitions); err != nil {
		return nil, err
	}
	run := newRun(t, l)
	if l.Verify {
		var err error
		if run.before, err = spans(ctx, t, l.Topic); err != nil {
			return nil, err
		}
	}
	work := run.kgoProducer
	if l.Raw {
		work = run.rawProducer
	}
	if err := run.all(ctx, work); err != nil {
		return nil, err
	}
	r := run.result("produce")
	if l.Verify {
		v, err := run.readBack(ctx)
		if err != nil {
			return nil, err
		}
		r.Verified = v
	}
	return r, nil
}

// run is the shared state of one load's workers.
type run struct {
	target Target
	load   Load

	// counting is false during the warm-up.
	counting atomic.Bool
	started  time.Time // when counting began
	took     time.Duration
	left     atomic.Int64 // records that may still be sent when Load.Records is set
	records  atomic.Int64
	bytes    atomic.Int64
	errs     atomic.Int64

	mu         sync.Mutex
	firstError error
	hist       *Latency // merged
	live       *Latency // what the progress line shows
	ledger     *ledger
	before     map[int32]span // what a verified topic held before the run
	usage      [2]Usage
}

func newRun(t Target, l Load) *run {
	r := &run{target: t, load: l, hist: NewLatency(), live: NewLatency()}
	r.left.Store(l.Records)
	if l.Verify {
		r.ledger = newLedger(l.Producers)
	}
	return r
}

// all runs one worker per producer through warm-up and measurement.
func (r *run) all(ctx context.Context, work func(ctx context.Context, n int) error) error {
	warmup := r.load.Warmup
	if r.load.Records > 0 {
		warmup = 0
	}
	total := warmup + r.load.Duration
	runCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if r.load.Records == 0 {
		runCtx, cancel = context.WithTimeout(runCtx, total)
		defer cancel()
	}
	errs := make(chan error, r.load.Producers)
	start := func() error {
		r.started = time.Now()
		r.counting.Store(true)
		return r.readUsage(0)
	}
	if warmup == 0 {
		if err := start(); err != nil {
			return err
		}
	}
	for n := range r.load.Producers {
		go func() { errs <- work(runCtx, n) }()
	}
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	var warm <-chan time.Time
	if warmup > 0 {
		warm = time.After(warmup)
	}
	var failed error
	last, lastBytes, lastAt := int64(0), int64(0), time.Now()
	for done := 0; done < r.load.Producers; {
		select {
		case err := <-errs:
			done++
			if err != nil && failed == nil {
				failed = err
				cancel()
			}
		case <-warm:
			if err := start(); err != nil {
				failed = errors.Join(failed, err)
				cancel()
			}
			last, lastBytes, lastAt = 0, 0, time.Now()
		case now := <-ticker.C:
			if r.target.Live != nil && r.counting.Load() {
				n, bytes, since := r.records.Load(), r.bytes.Load(), now.Sub(lastAt).Seconds()
				r.mu.Lock()
				p := r.live.Percentiles()
				r.mu.Unlock()
				r.target.Live(Progress{Elapsed: now.Sub(r.started), Records: n, Bytes: bytes, Errors: r.errs.Load(),
					Rate: float64(n-last) / since, MBPerSec: float64(bytes-lastBytes) / since / 1e6, Latency: p})
				last, lastBytes, lastAt = n, bytes, now
			}
		}
	}
	r.took = time.Since(r.started)
	if failed != nil {
		return failed
	}
	return r.readUsage(1)
}

func (r *run) readUsage(i int) (err error) {
	if r.target.PID == 0 {
		return nil
	}
	r.usage[i], err = ProcessUsage(r.target.PID)
	return err
}

// take reserves one record of a run that is bounded by count.
func (r *run) take(n int64) bool { return r.load.Records == 0 || r.left.Add(-n) >= 0 }

// worker counts for one producer; merge is called when it is done.
type worker struct {
	r    *run
	hist *Latency
	n    int
}

// done counts n records that were acknowledged, or failed, now.
func (w *worker) done(due, now time.Time, n, bytes int64, err error) {
	r := w.r
	if !r.counting.Load() {
		return
	}
	if err != nil {
		r.errs.Add(n)
		r.mu.Lock()
		if r.firstError == nil {
			r.firstError = err
		}
		r.mu.Unlock()
		return
	}
	if due.Before(r.started) {
		return
	}
	r.records.Add(n)
	r.bytes.Add(bytes)
	w.hist.Record(now.Sub(due))
	if w.n++; w.n%256 == 0 {
		r.mu.Lock()
		r.live.Record(now.Sub(due))
		r.mu.Unlock()
	}
}

func (w *worker) merge() {
	w.r.mu.Lock()
	w.r.hist.Merge(w.hist)
	w.r.mu.Unlock()
}

func (r *run) result(tool string) *Result {
	res := &Result{Tool: tool, Target: r.target.Bootstrap, AckRule: r.target.AckRule, Load: r.load.String(),
		Records: r.records.Load(), Bytes: r.bytes.Load(), Errors: r.errs.Load(), Hist: r.hist}
	if r.firstError != nil {
		res.FirstError = r.firstError.Error()
	}
	if r.target.PID != 0 {
		res.Broker = brokerUsage(r.usage[0], r.usage[1], res.Records)
	}
	res.finish(r.took)
	return res
}

// kgoProducer is one kgo client.
func (r *run) kgoProducer(ctx context.Context, n int) error {
	l := r.load
	codec, err := Codec(l.Codec)
	if err != nil {
		return err
	}
	opts := []kgo.Opt{kgo.DefaultProduceTopic(l.Topic), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(l.Linger),
		kgo.ProducerBatchMaxBytes(int32(l.BatchBytes)), kgo.MaxBufferedRecords(max(20000, 2*l.BatchBytes/l.RecordSize)),
		kgo.RecordRetries(100)}
	switch {
	case l.NoAcks:
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	case l.Acks == 1:
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if !l.Idempotent && l.Transaction == 0 {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(l.InFlight))
	}
	if l.Transaction > 0 {
		opts = append(opts, kgo.TransactionalID(fmt.Sprintf("chronik-bench-%d-%d", time.Now().UnixNano(), n)))
	}
	client, err := r.target.client(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	template := payload(rng, l.RecordSize)
	w := &worker{r: r, hist: NewLatency()}
	defer w.merge()
	var mu sync.Mutex // callbacks come from several goroutines
	// A client that connects with its first record would be measured connecting.
	if err := client.Ping(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("connecting to %s: %w", r.target.Bootstrap, err)
	}
	p := l.pace(n, l.Rate)
	sequence := uint64(0)
	inTxn := 0
	for {
		due, ok := p.next(ctx)
		if !ok || !r.take(1) {
			break
		}
		rec := &kgo.Record{Value: template}
		switch l.Keys {
		case "round-robin":
			rec.Key = fmt.Appendf(nil, "key-%d", sequence%1024)
		case "random":
			rec.Key = fmt.Appendf(nil, "key-%d", rng.Uint32())
		}
		mySequence := sequence
		sequence++
		if l.Verify {
			rec.Value = append([]byte(nil), template...)
			stamp(rec.Value, uint32(n), mySequence, due.UnixNano())
		}
		if l.Transaction > 0 && inTxn == 0 {
			if err := client.BeginTransaction(); err != nil {
				return fmt.Errorf("beginning a transaction: %w", err)
			}
		}
		client.Produce(context.WithoutCancel(ctx), rec, func(rec *kgo.Record, err error) {
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			w.done(due, now, 1, int64(len(rec.Value)), err)
			if err == nil && l.Verify {
				r.mu.Lock()
				r.ledger.ack(uint32(n), mySequence)
				r.mu.Unlock()
			}
		})
		if inTxn++; l.Transaction > 0 && inTxn == l.Transaction {
			inTxn = 0
			if err := commitTransaction(context.WithoutCancel(ctx), client); err != nil {
				return err
			}
		}
	}
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if inTxn > 0 && l.Transaction > 0 {
		return commitTransaction(flushCtx, client)
	}
	if err := client.Flush(flushCtx); err != nil {
		return fmt.Errorf("flushing what was sent: %w", err)
	}
	return nil
}

// pace is producer n's share of a rate of all; the producers take turns.
func (l Load) pace(n int, rate float64) *pace {
	start := time.Now()
	if rate > 0 {
		start = start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	}
	return newPace(rate/float64(l.Producers), start)
}

// commitTransaction waits for what was sent and commits: the client ends a
// transaction whatever of it is still on the way.
func commitTransaction(ctx context.Context, client *kgo.Client) error {
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("flushing a transaction: %w", err)
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("committing a transaction: %w", err)
	}
	return nil
}

// String tells the load in one line.
func (l Load) String() string {
	client := "kgo"
	if l.Raw {
		client = fmt.Sprintf("raw, %d a batch", l.RawBatch)
	}
	s := fmt.Sprintf("%s, %d producers, %d B, acks %d, in flight %d, codec %s", client, l.Producers, l.RecordSize, l.Acks, l.InFlight, l.Codec)
	if l.NoAcks {
		s = fmt.Sprintf("%s, %d producers, %d B, acks 0, codec %s", client, l.Producers, l.RecordSize, l.Codec)
	}
	if !l.Raw {
		s += fmt.Sprintf(", batch %d B, linger %s", l.BatchBytes, l.Linger)
	}
	if l.Idempotent {
		s += ", idempotent"
	}
	if l.Transaction > 0 {
		s += fmt.Sprintf(", %d records a transaction", l.Transaction)
	}
	if l.Rate > 0 {
		s += fmt.Sprintf(", %.0f records/s open loop", l.Rate)
	}
	return s
}

package bench

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// EndToEnd produces at a rate and consumes at the same time; it reports both
// the latency to the ack and the latency until a consumer has the record, and
// verifies what the consumer was given.
func EndToEnd(ctx context.Context, t Target, l Load) (*Result, error) {
	l = l.withDefaults()
	l.Verify, l.Raw = true, false
	l.RecordSize = max(l.RecordSize, verifyBytes)
	if err := l.check(); err != nil {
		return nil, err
	}
	if err := EnsureTopic(ctx, t, l.Topic, l.Partitions); err != nil {
		return nil, err
	}
	held, err := spans(ctx, t, l.Topic)
	if err != nil {
		return nil, err
	}
	parts := map[int32]kgo.Offset{}
	for p, s := range held {
		parts[p] = kgo.NewOffset().At(s.end)
	}
	client, err := t.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.Topic: parts}), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r := newRun(t, l)
	hist := NewLatency()
	reader, stop := context.WithCancel(ctx)
	defer stop()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for reader.Err() == nil {
			fetches := client.PollFetches(reader)
			now := time.Now()
			r.mu.Lock()
			fetches.EachRecord(func(rec *kgo.Record) {
				if due := time.Unix(0, r.ledger.see(rec.Partition, rec.Value)); r.counting.Load() && !due.Before(r.started) {
					hist.Record(now.Sub(due))
				}
			})
			r.mu.Unlock()
		}
	}()
	if err := r.all(ctx, r.kgoProducer); err != nil {
		return nil, err
	}
	// The last records are on their way.
	drain := time.NewTimer(5 * time.Second)
	defer drain.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
wait:
	for {
		r.mu.Lock()
		done := r.ledger.v.Read >= r.ledger.v.Acked
		r.mu.Unlock()
		if done {
			break
		}
		select {
		case <-tick.C:
		case <-drain.C:
			break wait
		}
	}
	stop()
	<-finished
	res := r.result("e2e")
	res.E2EHist, res.Verified = hist, r.ledger.verdict()
	res.finish(r.took)
	return res, nil
}

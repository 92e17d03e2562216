package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// EndToEnd produces at a rate and consumes at the same time; it reports both
// the latency to the ack and the latency until a consumer has the record, and
// verifies what the consumer was given. Raw uses the kmsg client on both sides.
func EndToEnd(ctx context.Context, t Target, l Load) (*Result, error) {
	l = l.withDefaults()
	l.Verify = true
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
	r := newRun(t, l)
	hist := NewLatency()
	open, produce := r.kgoFollower, r.kgoProducer
	if l.Raw {
		open, produce = r.rawFollower, r.rawProducer
	}
	poll, done, err := open(ctx, held)
	if err != nil {
		return nil, err
	}
	defer done()
	reader, stop := context.WithCancel(ctx)
	defer stop()
	finished := make(chan error, 1)
	go func() {
		finished <- func() error {
			for reader.Err() == nil {
				if err := poll(reader, func(partition int32, now time.Time, value []byte) {
					if due := time.Unix(0, r.ledger.see(partition, value)); r.counting.Load() && !due.Before(r.started) {
						hist.Record(now.Sub(due))
					}
				}); err != nil && reader.Err() == nil {
					return fmt.Errorf("consuming: %w", err)
				}
			}
			return nil
		}()
	}()
	if err := r.all(ctx, produce); err != nil {
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
	if err := <-finished; err != nil {
		return nil, err
	}
	res := r.result("e2e")
	res.E2EHist, res.Verified = hist, r.ledger.verdict()
	res.finish(r.took)
	return res, nil
}

// follower fetches once and visits what came, under r.mu.
type follower func(ctx context.Context, visit func(partition int32, now time.Time, value []byte)) error

// kgoFollower reads from the ends of what the topic holds.
func (r *run) kgoFollower(_ context.Context, held map[int32]span) (follower, func(), error) {
	client, err := r.target.client(append(consumeFrom(r.load.Topic, held, func(s span) int64 { return s.end }), kgo.FetchMaxWait(followWait))...)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, visit func(int32, time.Time, []byte)) error {
		fetches := client.PollFetches(ctx)
		now := time.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		fetches.EachRecord(func(rec *kgo.Record) { visit(rec.Partition, now, rec.Value) })
		return fetches.Err()
	}, client.Close, nil
}

// rawFollower is the same with the kmsg client.
func (r *run) rawFollower(ctx context.Context, held map[int32]span) (follower, func(), error) {
	from := map[int32]int64{}
	for p, s := range held {
		from[p] = s.end
	}
	c, err := r.target.rawConsumer(ctx, r.load.Topic, from, followWait)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, visit func(int32, time.Time, []byte)) error {
		return c.poll(ctx, func(partition int32, b fetchedBatch) error {
			now := time.Now()
			r.mu.Lock()
			defer r.mu.Unlock()
			return b.values(func(value []byte) { visit(partition, now, value) })
		})
	}, c.close, nil
}

// followWait is how long a broker may keep a fetch that has nothing to give.
const followWait = 500 * time.Millisecond

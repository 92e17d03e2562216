package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// feeder sends unique values to a checker's topic, counted from 0, at a rate.
type feeder struct {
	t        Target
	topic    string
	rate     float64
	duration time.Duration // how long it sends
	drain    time.Duration // how long the last ones may take
	sent     *atomic.Int64
	live     func(string) // nil for nobody
	progress func() string
}

// run tells acked of each value once the broker has acknowledged it, and fails
// when one was not.
func (f feeder) run(ctx context.Context, acked func(rec *kgo.Record, n int64)) error {
	client, err := f.t.client(kgo.DefaultProduceTopic(f.topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, f.duration+f.drain)
	defer cancel()
	p := newPace(f.rate, time.Now())
	end := time.Now().Add(f.duration)
	var failed atomic.Pointer[error]
	for n := int64(0); time.Now().Before(end) && failed.Load() == nil; n++ {
		if _, ok := p.next(ctx); !ok {
			break
		}
		f.sent.Store(n + 1)
		client.Produce(ctx, &kgo.Record{Value: strconv.AppendInt(nil, n, 10)}, func(rec *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
				return
			}
			acked(rec, n)
		})
		if f.live != nil && n%max(1, int64(f.rate)*2) == 0 {
			f.live(f.progress())
		}
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("feeding %s: %w", f.topic, err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("feeding %s: %w", f.topic, *err)
	}
	return ctx.Err()
}

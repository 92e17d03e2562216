package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Connections opens Count connections with Parallel at once, asks ApiVersions on
// each and holds them for Hold; it reports the time to open, the latency of the
// first answer and what the broker's memory grew by.
func Connections(ctx context.Context, t Target, count, parallel int, hold time.Duration) (*Result, error) {
	if count < 1 || parallel < 1 {
		return nil, fmt.Errorf("bench: count is %d and parallel %d; both must be at least 1", count, parallel)
	}
	t.smallBuffers = true
	r := newRun(t, Load{Topic: "-", Producers: parallel, Records: int64(count), Duration: time.Hour})
	conns := make([]*rawConn, count)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.close()
			}
		}
	}()
	var next atomic.Int64
	err := r.all(ctx, func(ctx context.Context, _ int) error {
		w := &worker{r: r, hist: NewLatency()}
		defer w.merge()
		for {
			i := next.Add(1) - 1
			if i >= int64(count) {
				return nil
			}
			due := time.Now()
			c, err := t.dial(ctx, "chronik-bench-connections")
			if err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
			conns[i] = c
			if _, err := roundTrip[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), 30*time.Second); err != nil {
				return fmt.Errorf("connection %d: ApiVersions: %w", i, err)
			}
			w.done(due, time.Now(), 1, 0, nil)
		}
	})
	if err != nil {
		return nil, err
	}
	res := r.result("connections")
	res.Load = fmt.Sprintf("%d connections, %d opened at once, held %s", count, parallel, hold)
	if hold > 0 {
		select {
		case <-time.After(hold):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if t.PID != 0 {
		grown, err := ProcessUsage(t.PID)
		if err != nil {
			return nil, err
		}
		res.Broker = brokerUsage(r.usage[0], grown, int64(count))
		res.Broker.GrownMB = float64(grown.RSS-r.usage[0].RSS) / 1e6
		res.Load += fmt.Sprintf("; broker +%.1f MB, %d descriptors", res.Broker.GrownMB, grown.OpenFDs)
	}
	return res, nil
}

// Churn opens, asks once and closes connections at a rate for a while, or with
// rate 0 as fast as the workers are served; it reports the latency of a whole
// visit with its handshakes, and what the broker's descriptors and memory were
// before and after.
func Churn(ctx context.Context, t Target, rate float64, workers int, duration time.Duration) (*Result, error) {
	if rate < 0 || workers < 1 {
		return nil, fmt.Errorf("bench: rate is %g and workers %d; they must be at least 0 and 1", rate, workers)
	}
	t.smallBuffers = true
	r := newRun(t, Load{Topic: "-", Producers: workers, Rate: rate, Duration: duration})
	err := r.all(ctx, func(ctx context.Context, n int) error {
		w := &worker{r: r, hist: NewLatency()}
		defer w.merge()
		p := r.load.pace(n, rate)
		for {
			due, ok := p.next(ctx)
			if !ok {
				return nil
			}
			// The end of the run does not cut a visit short.
			visit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			c, err := t.dial(visit, "chronik-bench-churn")
			cancel()
			if err != nil {
				w.done(due, time.Now(), 1, 0, err)
				continue
			}
			_, err = roundTrip[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), 10*time.Second)
			c.close()
			w.done(due, time.Now(), 1, 0, err)
		}
	})
	if err != nil {
		return nil, err
	}
	res := r.result("churn")
	res.Load = fmt.Sprintf("%.0f connections/s asked for during %s, %d workers", rate, duration, workers)
	if rate == 0 {
		res.Load = fmt.Sprintf("%d workers open and close connections for %s", workers, duration)
	}
	if t.PID != 0 {
		res.Load += fmt.Sprintf("; descriptors %d → %d, RSS %.1f → %.1f MB", r.usage[0].OpenFDs, r.usage[1].OpenFDs,
			float64(r.usage[0].RSS)/1e6, float64(r.usage[1].RSS)/1e6)
	}
	return res, nil
}

// Partitions makes a topic with many partitions and lets clients append to all
// of them in turn, one record per request; the first round shows what a first
// append to a partition costs, the others the steady state.
func Partitions(ctx context.Context, t Target, topic string, partitions int32, clients, rounds, size int) (first, steady *Result, err error) {
	if partitions < 1 || clients < 1 || rounds < 1 || size < 1 {
		return nil, nil, fmt.Errorf("bench: partitions %d, clients %d, rounds %d and size %d must all be at least 1", partitions, clients, rounds, size)
	}
	clients = min(clients, int(partitions))
	if err := EnsureTopic(ctx, t, topic, partitions); err != nil {
		return nil, nil, err
	}
	results := [2]*Result{}
	for phase, n := range []int{1, rounds} {
		r := newRun(t, Load{Topic: topic, Producers: clients, Records: int64(partitions) * int64(n), Duration: time.Hour})
		err := r.all(ctx, func(ctx context.Context, k int) error {
			c, err := t.dial(ctx, "chronik-bench-partitions")
			if err != nil {
				return err
			}
			defer c.close()
			w := &worker{r: r, hist: NewLatency()}
			defer w.merge()
			frames := newFrames(topic, partitions, int32(k), int32(clients), -1, 1, size)
			resp := kmsg.NewPtrProduceResponse()
			resp.Version = rawProduceVersion
			for range n {
				for _, f := range frames {
					due := time.Now()
					err := c.appendOne(ctx, f.bytes, resp)
					if err != nil && !errors.As(err, new(brokerError)) {
						return err
					}
					w.done(due, time.Now(), 1, int64(size), err)
				}
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		results[phase] = r.result("partitions")
		results[phase].Load = fmt.Sprintf("%s append to each of %d partitions, %d clients, %d B", []string{"first", "later"}[phase], partitions, clients, size)
	}
	return results[0], results[1], nil
}

// appendOne sends an encoded Produce request and waits for its answer. A broker
// that is not yet the leader of a new partition is asked again, as every client
// does; the time counts.
func (c *rawConn) appendOne(ctx context.Context, frame []byte, resp *kmsg.ProduceResponse) error {
	const notLeader, unknownTopic = brokerError(6), brokerError(3)
	for end := time.Now().Add(30 * time.Second); ; {
		if err := c.sendEncoded(frame); err != nil {
			return err
		}
		body, err := c.receiveBody(true)
		if err != nil {
			return err
		}
		err = produceError(body, resp)
		if !(errors.Is(err, notLeader) || errors.Is(err, unknownTopic)) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

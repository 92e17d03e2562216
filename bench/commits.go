package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Commits lets clients commit an offset of a group of their own, one request in
// flight each, as fast as they are answered.
func Commits(ctx context.Context, t Target, topic string, clients int, warmup, duration time.Duration) (*Result, error) {
	if clients < 1 {
		return nil, fmt.Errorf("bench: %d clients; at least 1 is needed", clients)
	}
	if err := EnsureTopic(ctx, t, topic, 1); err != nil {
		return nil, err
	}
	groups, conns := make([]string, clients), make([]*rawConn, clients)
	for n := range conns {
		var err error
		groups[n] = fmt.Sprintf("bench-commits-%d", n)
		if conns[n], err = t.coordinator(ctx, groups[n]); err != nil {
			return nil, err
		}
		defer conns[n].close()
	}
	r := newRun(t, Load{Topic: topic, Producers: clients, Warmup: warmup, Duration: duration})
	err := r.all(ctx, func(ctx context.Context, n int) error {
		c, group := conns[n], groups[n]
		w := &worker{r: r, hist: NewLatency()}
		defer w.merge()
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.Generation = 7, group, -1 // a commit of no member's, as admin tools make
		rt := kmsg.NewOffsetCommitRequestTopic()
		rt.Topic = topic
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		for ctx.Err() == nil {
			req.Topics[0].Partitions[0].Offset++
			due := time.Now()
			resp, err := roundTrip[*kmsg.OffsetCommitResponse](c, req, 30*time.Second)
			if err != nil {
				return fmt.Errorf("committing: %w", err)
			}
			if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
				err = brokerError(code)
			}
			w.done(due, time.Now(), 1, 0, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	res := r.result("commits")
	res.Load = fmt.Sprintf("%d clients, one offset commit in flight each, a group each", clients)
	return res, nil
}

// coordinator connects and waits until the broker coordinates a group: Kafka
// makes its internal topic when it is first asked.
func (t Target) coordinator(ctx context.Context, group string) (*rawConn, error) {
	c, err := t.dial(ctx, "chronik-bench-group")
	if err != nil {
		return nil, err
	}
	if err := awaitCoordinator(ctx, c, group); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func awaitCoordinator(ctx context.Context, c *rawConn, group string) error {
	for end := time.Now().Add(30 * time.Second); ; {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorKey = 2, group
		found, err := roundTrip[*kmsg.FindCoordinatorResponse](c, find, 30*time.Second)
		if err != nil {
			return err
		}
		code := brokerError(found.ErrorCode)
		if code == 0 { // it may be loading yet
			fetch := kmsg.NewPtrOffsetFetchRequest()
			fetch.Version, fetch.Group = 5, group
			got, err := roundTrip[*kmsg.OffsetFetchResponse](c, fetch, 30*time.Second)
			if err != nil {
				return err
			}
			code = brokerError(got.ErrorCode)
		}
		switch code {
		case coordinatorLoading, coordinatorNotAvailable, notCoordinator:
		default: // of no other error does the coordinator get better
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("group %s has no coordinator within 30 s: %w", group, code)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

package bench

import (
	"context"
	"encoding/binary"
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
		if err := c.conn.SetDeadline(time.Now().Add(warmup + duration + 30*time.Second)); err != nil {
			return err
		}
		commit := newCommitFrame(group, topic)
		resp := kmsg.NewPtrOffsetCommitResponse()
		resp.Version = commitVersion
		for ctx.Err() == nil {
			due := time.Now()
			if err := c.sendEncoded(commit.next()); err != nil {
				return fmt.Errorf("committing: %w", err)
			}
			if err := c.receive(resp); err != nil {
				return fmt.Errorf("committing: %w", err)
			}
			var err error
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

// commitVersion is the last with fixed fields, whose offset stands commitOffset
// before the end: behind it are a leader epoch and a null metadata.
const (
	commitVersion = 7
	commitOffset  = 8 + 4 + 2
)

// commitFrame is an encoded OffsetCommit of one partition, sent again and again:
// like a batch that is encoded before, it leaves the machine to the broker.
type commitFrame struct {
	bytes  []byte
	offset uint64
}

func newCommitFrame(group, topic string) *commitFrame {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = commitVersion, group, -1 // a commit of no member's, as admin tools make
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("chronik-bench-group"))
	return &commitFrame{bytes: format.AppendRequest(nil, req, 0)}
}

// next is the request with the next offset, until next is called again.
func (f *commitFrame) next() []byte {
	f.offset++
	binary.BigEndian.PutUint64(f.bytes[len(f.bytes)-commitOffset:], f.offset)
	return f.bytes
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

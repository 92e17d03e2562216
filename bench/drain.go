package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Drain builds a backlog of records as fast as it can, then reads it from the
// start with one consumer while producers go on at their rate, until the
// consumer has caught up. Rate and bytes are the consumer's, the latency is the
// producers' while it drains. A consumer that does not catch up within most is
// an error.
func Drain(ctx context.Context, t Target, l Load, backlog int64, most time.Duration) (*Result, error) {
	l = l.withDefaults()
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Rate <= 0 || backlog < 1 {
		return nil, fmt.Errorf("bench: rate is %g and the backlog %d records; both must be above 0, or nothing goes on while it drains", l.Rate, backlog)
	}
	fill := Load{Topic: l.Topic, Partitions: l.Partitions, Raw: true, RawBatch: max(1, (100<<10)/l.RecordSize), Producers: int(l.Partitions), InFlight: 5, RecordSize: l.RecordSize, Records: backlog}
	if _, err := Produce(ctx, t, fill); err != nil {
		return nil, fmt.Errorf("building the backlog: %w", err)
	}
	producing, stop := context.WithCancel(ctx)
	defer stop()
	l.Warmup, l.Duration, l.Records = time.Millisecond, most+time.Minute, 0
	p := newRun(t, l)
	ended := make(chan error, 1)
	produce := p.kgoProducer
	if l.Raw {
		produce = p.rawProducer
	}
	go func() { ended <- p.all(producing, produce) }()
	began := time.Now()
	c, err := t.catchUp(ctx, l.Topic, most)
	took := time.Since(began)
	stop()
	err = errors.Join(err, <-ended)
	if err != nil {
		return nil, err
	}
	res := p.result("drain")
	res.Records, res.Bytes = c.records, c.bytes
	res.finish(took)
	if res.Broker != nil && c.records > 0 {
		res.Broker.CPUPerMillion = res.Broker.CPUSeconds / float64(c.records) * 1e6
	}
	res.Load = fmt.Sprintf("%s; a backlog of %d records was drained in %.2f s", l, backlog, took.Seconds())
	return res, nil
}

type caughtUp struct{ records, bytes int64 }

// catchUp reads a topic from its start until nothing is left to read.
func (t Target) catchUp(ctx context.Context, topic string, most time.Duration) (caughtUp, error) {
	var c caughtUp
	held, err := spans(ctx, t, topic)
	if err != nil {
		return c, err
	}
	client, err := t.client(consumeFrom(topic, held, func(s span) int64 { return s.start })...)
	if err != nil {
		return c, err
	}
	defer client.Close()
	at := map[int32]int64{}
	for end := time.Now().Add(most); ; {
		poll, cancel := context.WithDeadline(ctx, end)
		fetches := client.PollFetches(poll)
		cancel()
		if err := fetches.Err(); err != nil {
			return c, fmt.Errorf("the consumer did not catch up within %s, after %d records: %w", most, c.records, err)
		}
		left := int64(0)
		for _, f := range fetches {
			for _, t := range f.Topics {
				for _, p := range t.Partitions {
					for _, rec := range p.Records {
						c.records++
						c.bytes += int64(len(rec.Value))
						at[p.Partition] = rec.Offset + 1
					}
					h := held[p.Partition]
					h.end = max(h.end, p.HighWatermark)
					held[p.Partition] = h
				}
			}
		}
		for p, s := range held {
			left += s.end - max(at[p], s.start)
		}
		// Producers go on, so that the last records are always on their way.
		if left <= int64(len(held)) {
			return c, nil
		}
	}
}

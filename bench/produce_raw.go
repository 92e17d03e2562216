package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawProducer is one connection that sends one pre-encoded batch per request to
// its share of the partitions in turn, with Load.InFlight requests under way. Its
// CPU cost is two system calls per request, and a checksum when it verifies.
func (r *run) rawProducer(ctx context.Context, n int) error {
	l := r.load
	c, err := r.target.dial(ctx, "chronik-bench-raw")
	if err != nil {
		return err
	}
	defer c.close()
	partitions, err := partitionCount(c, l.Topic)
	if err != nil {
		return err
	}
	acks := l.Acks
	if l.NoAcks {
		acks = 0
	}
	frames := newFrames(l.Topic, partitions, int32(n), int32(l.Producers), acks, l.RawBatch, l.RecordSize)
	sequence, turn := uint64(0), 0
	send := func(due time.Time) error {
		f := frames[turn]
		turn = (turn + 1) % len(frames)
		if l.Verify {
			f.stamp(uint32(n), sequence, due.UnixNano())
		}
		sequence += uint64(l.RawBatch)
		return c.sendEncoded(f.bytes)
	}

	w := &worker{r: r, hist: NewLatency()}
	defer w.merge()
	batch, bytes := int64(l.RawBatch), int64(l.RawBatch*l.RecordSize)
	p := l.pace(n, l.Rate/float64(l.RawBatch))
	if l.NoAcks {
		for {
			due, ok := p.next(ctx)
			if !ok || !r.take(batch) {
				return nil
			}
			if err := send(due); err != nil {
				return fmt.Errorf("sending: %w", err)
			}
			w.done(due, time.Now(), batch, bytes, nil)
		}
	}
	// due holds the requests in flight, oldest first; the receiver takes them.
	due := make(chan time.Time, l.InFlight-1)
	received := make(chan error, 1)
	tokens := make(chan struct{}, l.InFlight)
	go func() {
		defer close(received)
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = rawProduceVersion
		answered := uint64(0)
		for at := range due {
			body, err := c.receiveBody(true)
			now := time.Now()
			if err == nil {
				err = produceError(body, resp)
			} else {
				received <- fmt.Errorf("receiving: %w", err)
				c.close()
				for range due { // the sender may still be blocked on it
				}
				return
			}
			w.done(at, now, batch, bytes, err)
			if l.Verify && err == nil {
				r.mu.Lock()
				for k := range uint64(l.RawBatch) {
					r.ledger.ack(uint32(n), answered+k)
				}
				r.mu.Unlock()
			}
			answered += uint64(l.RawBatch)
			<-tokens
		}
	}()
	var failed error
	for {
		at, ok := p.next(ctx)
		if !ok || !r.take(batch) {
			break
		}
		select {
		case tokens <- struct{}{}:
		case failed = <-received:
		}
		if failed != nil {
			break
		}
		if l.Rate == 0 {
			at = time.Now()
		}
		// The time goes first, so that the receiver has it when the answer comes.
		due <- at
		if err := send(at); err != nil {
			failed = fmt.Errorf("sending: %w", err)
			break
		}
	}
	close(due)
	if failed != nil {
		c.close()
	}
	if err := <-received; failed == nil {
		failed = err
	}
	return failed
}

// brokerError is Kafka's error code of an answer.
type brokerError int16

func (e brokerError) Error() string {
	return fmt.Sprintf("the broker answered error code %d", int16(e))
}

// produceError looks only at the first partition's error code.
func produceError(body []byte, resp *kmsg.ProduceResponse) error {
	if err := resp.ReadFrom(body); err != nil {
		return fmt.Errorf("reading a produce response: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("partition %d: %w", p.Partition, brokerError(p.ErrorCode))
			}
		}
	}
	return nil
}

// partitionCount asks for a topic's partitions.
func partitionCount(c *rawConn, topic string) (int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	resp, err := roundTrip[*kmsg.MetadataResponse](c, req, 10*time.Second)
	if err != nil {
		return 0, fmt.Errorf("asking for topic %s: %w", topic, err)
	}
	for _, t := range resp.Topics {
		if t.ErrorCode != 0 {
			return 0, fmt.Errorf("topic %s: error code %d", topic, t.ErrorCode)
		}
		if len(t.Partitions) > 0 {
			return int32(len(t.Partitions)), nil
		}
	}
	return 0, fmt.Errorf("topic %s is not there", topic)
}

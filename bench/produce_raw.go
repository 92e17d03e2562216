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
	p := &rawProducer{r: r, c: c, id: uint32(n), w: &worker{r: r, hist: NewLatency()}, resp: kmsg.NewPtrProduceResponse(),
		frames: newFrames(l.Topic, partitions, int32(n), int32(l.Producers), acks, l.RawBatch, l.RecordSize),
		pace:   l.pace(n, l.Rate/float64(l.RawBatch))}
	p.resp.Version = rawProduceVersion
	defer p.w.merge()
	switch {
	case l.NoAcks:
		return p.inTurn(ctx, p.sent)
	case l.InFlight == 1:
		return p.inTurn(ctx, p.receive)
	}
	return p.pipelined(ctx)
}

// rawProducer sends and receives; each half belongs to one goroutine.
type rawProducer struct {
	r    *run
	c    *rawConn
	id   uint32
	pace *pace
	w    *worker // the receiver's, or with NoAcks the sender's

	frames   []*frame // the sender's
	turn     int
	sequence uint64

	resp     *kmsg.ProduceResponse // the receiver's
	answered uint64
}

// next waits until a request is due; false ends the load.
func (p *rawProducer) next(ctx context.Context) (due time.Time, ok bool) {
	due, ok = p.pace.next(ctx)
	return due, ok && p.r.take(int64(p.r.load.RawBatch))
}

func (p *rawProducer) send(due time.Time) error {
	f := p.frames[p.turn]
	p.turn = (p.turn + 1) % len(p.frames)
	if p.r.load.Verify {
		f.stamp(p.id, p.sequence, due.UnixNano())
	}
	p.sequence += uint64(p.r.load.RawBatch)
	if err := p.c.sendEncoded(f.bytes); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// receive takes the next answer, to what was due then. What the answer says is
// counted; the error is the connection's.
func (p *rawProducer) receive(due time.Time) error {
	body, err := p.c.receiveBody(true)
	now := time.Now()
	if err != nil {
		return fmt.Errorf("receiving: %w", err)
	}
	err = produceError(body, p.resp)
	p.done(due, now, err)
	n := uint64(p.r.load.RawBatch)
	if p.r.load.Verify && err == nil {
		p.r.mu.Lock()
		for k := range n {
			p.r.ledger.ack(p.id, p.answered+k)
		}
		p.r.mu.Unlock()
	}
	p.answered += n
	return nil
}

func (p *rawProducer) done(due, now time.Time, err error) {
	n := int64(p.r.load.RawBatch)
	p.w.done(due, now, n, n*int64(p.r.load.RecordSize), err)
}

// inTurn sends a request when the one before it is done with, on one goroutine: to
// hand the turn from a receiver to a sender would be time that is not the broker's.
func (p *rawProducer) inTurn(ctx context.Context, finish func(due time.Time) error) error {
	for {
		due, ok := p.next(ctx)
		if !ok {
			return nil
		}
		if err := p.send(due); err != nil {
			return err
		}
		if err := finish(due); err != nil {
			return err
		}
	}
}

// sent ends a request that nobody answers (acks=0).
func (p *rawProducer) sent(due time.Time) error {
	p.done(due, time.Now(), nil)
	return nil
}

// pipelined has Load.InFlight requests under way.
func (p *rawProducer) pipelined(ctx context.Context) error {
	inFlight := p.r.load.InFlight
	// due holds the requests in flight, oldest first; the receiver takes them.
	due := make(chan time.Time, inFlight-1)
	received := make(chan error, 1)
	tokens := make(chan struct{}, inFlight)
	go func() {
		defer close(received)
		for at := range due {
			if err := p.receive(at); err != nil {
				received <- err
				p.c.close()
				for range due { // the sender may still be blocked on it
				}
				return
			}
			<-tokens
		}
	}()
	var failed error
	for {
		at, ok := p.next(ctx)
		if !ok {
			break
		}
		select {
		case tokens <- struct{}{}:
		case failed = <-received:
		}
		if failed != nil {
			break
		}
		if p.r.load.Rate == 0 {
			at = time.Now()
		}
		// The time goes first, so that the receiver has it when the answer comes.
		due <- at
		if failed = p.send(at); failed != nil {
			break
		}
	}
	close(due)
	if failed != nil {
		p.c.close()
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

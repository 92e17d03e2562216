package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawProducer is one connection that sends one pre-encoded batch per request to
// one partition, with Load.InFlight requests under way. Its CPU cost is two
// system calls per request.
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
	records := encodeBatch(rand.New(rand.NewPCG(uint64(n), 2)), l.RawBatch, l.RecordSize, time.Now().UnixMilli())
	frame := rawFrame(l.Topic, int32(n)%partitions, acks, records)

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
			if err := c.sendEncoded(frame); err != nil {
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
		if err := c.sendEncoded(frame); err != nil {
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

// rawProduceVersion names topics by name and is known to every broker of the
// last years.
const rawProduceVersion = 9

// rawFrame encodes a Produce request of one partition.
func rawFrame(topic string, partition int32, acks int16, records []byte) []byte {
	req := kmsg.NewProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = rawProduceVersion, acks, 30000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("chronik-bench-raw")).AppendRequest(nil, &req, 0)
}

// rawFrames encodes one record for every partition that is client k's of n.
func rawFrames(topic string, partitions, k, n int32, size int) [][]byte {
	records := encodeBatch(rand.New(rand.NewPCG(uint64(k), 3)), 1, size, time.Now().UnixMilli())
	var frames [][]byte
	for p := k; p < partitions; p += n {
		frames = append(frames, rawFrame(topic, p, -1, records))
	}
	return frames
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

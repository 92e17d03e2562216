package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawConsumer reads partitions over one connection, one fetch at a time. Of what
// it is given it looks at the batches' heads, and at records only when it is
// asked to: what a reader does with records costs more than a broker that hands
// out files, and on a shared machine it would be what is measured. It belongs to
// one goroutine.
type rawConsumer struct {
	c    *rawConn
	req  *kmsg.FetchRequest
	resp *kmsg.FetchResponse
	at   map[int32]*int64 // the next offset of each partition, in req
}

// rawFetchVersion is the last that names topics by name.
const rawFetchVersion = 12

// rawConsumer begins at the given offsets.
func (t Target) rawConsumer(ctx context.Context, topic string, from map[int32]int64, wait time.Duration) (*rawConsumer, error) {
	c, err := t.dial(ctx, "chronik-bench-raw")
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = rawFetchVersion, int32(wait.Milliseconds()), 1, fetchBytes
	topics := kmsg.NewFetchRequestTopic()
	topics.Topic = topic
	for p, offset := range from {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes = p, offset, fetchPartitionBytes
		topics.Partitions = append(topics.Partitions, part)
	}
	req.Topics = append(req.Topics, topics)
	r := &rawConsumer{c: c, req: req, resp: req.ResponseKind().(*kmsg.FetchResponse), at: map[int32]*int64{}}
	for k := range topics.Partitions {
		r.at[topics.Partitions[k].Partition] = &topics.Partitions[k].FetchOffset
	}
	return r, nil
}

// rawReader polls a raw consumer until something came.
func (r *run) rawReader(ctx context.Context, rd Read, share map[int32]span, saw saw) (poll func(context.Context) error, done func(), err error) {
	from := map[int32]int64{}
	for p, s := range share {
		from[p] = s.start
	}
	c, err := r.target.rawConsumer(ctx, rd.Topic, from, min(rd.MaxWait, time.Second))
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		for some := false; !some; {
			if err := c.poll(ctx, func(partition int32, b fetchedBatch) error {
				some = true
				saw(partition, b.next(), b.records(), int64(len(b)))
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}, c.close, nil
}

func (r *rawConsumer) close() { r.c.close() }

// poll fetches once and visits every batch that came, in order of a partition's
// offsets. A batch's bytes are valid during the visit.
func (r *rawConsumer) poll(ctx context.Context, visit func(partition int32, b fetchedBatch) error) error {
	stop := context.AfterFunc(ctx, func() { _ = r.c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := r.c.send(r.req); err != nil {
		return r.because(ctx, err)
	}
	if err := r.c.receive(r.resp); err != nil {
		return r.because(ctx, err)
	}
	if r.resp.ErrorCode != 0 {
		return fmt.Errorf("fetching: %w", brokerError(r.resp.ErrorCode))
	}
	for _, t := range r.resp.Topics {
		for _, p := range t.Partitions {
			at := r.at[p.Partition]
			if at == nil {
				return fmt.Errorf("the broker answered for partition %d, which was not asked for", p.Partition)
			}
			if p.ErrorCode != 0 {
				return fmt.Errorf("fetching partition %d at offset %d: %w", p.Partition, *at, brokerError(p.ErrorCode))
			}
			for rest := p.RecordBatches; len(rest) > 0; {
				b, n, err := cutBatch(rest)
				if err != nil {
					return fmt.Errorf("partition %d at offset %d: %w", p.Partition, *at, err)
				}
				if n == 0 {
					break // the last one is cut off; the next fetch begins with it
				}
				if err := visit(p.Partition, b); err != nil {
					return err
				}
				*at, rest = b.next(), rest[n:]
			}
		}
	}
	return nil
}

// because gives the context's end as the reason of a read that it cut short.
func (r *rawConsumer) because(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// fetchedBatch is one whole batch as a broker hands it out.
type fetchedBatch []byte

// cutBatch takes the first batch off; n is 0 when it is not whole.
func cutBatch(b []byte) (batch fetchedBatch, n int, err error) {
	if len(b) < batchHead {
		return nil, 0, nil
	}
	n = 12 + int(int32(binary.BigEndian.Uint32(b[8:])))
	if magic := b[16]; magic != 2 || n < batchHead {
		return nil, 0, fmt.Errorf("a batch of format %d and %d bytes; the raw client reads format 2, leave out --raw", magic, n)
	}
	if n > len(b) {
		return nil, 0, nil
	}
	return b[:n], n, nil
}

func (b fetchedBatch) first() int64 { return int64(binary.BigEndian.Uint64(b)) }

// next is the offset after the batch.
func (b fetchedBatch) next() int64 { return b.first() + int64(binary.BigEndian.Uint32(b[23:])) + 1 }

// records is how many it holds; markers of transactions are none.
func (b fetchedBatch) records() int64 {
	if b[22]&(1<<5) != 0 {
		return 0
	}
	return int64(binary.BigEndian.Uint32(b[57:]))
}

// values visits the records' values. Only batches without compression have any
// that can be told.
func (b fetchedBatch) values(visit func(value []byte)) error {
	if b[22]&7 != 0 {
		return errors.New("a compressed batch; the raw client does not decompress, leave out --raw")
	}
	rest := b[batchHead:]
	for range b.records() {
		length, n := binary.Varint(rest)
		if n <= 0 || length < 0 || int64(len(rest)-n) < length {
			return errors.New("a record's length is beyond its batch")
		}
		var rec kmsg.Record
		if err := rec.ReadFrom(rest[:n+int(length)]); err != nil {
			return fmt.Errorf("reading a record: %w", err)
		}
		visit(rec.Value)
		rest = rest[n+int(length):]
	}
	return nil
}

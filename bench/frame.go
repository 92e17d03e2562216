package bench

import (
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawProduceVersion names topics by name and is known to every broker of the
// last years.
const rawProduceVersion = 9

// frameTags stand after the batch: those of the partition, the topic and the
// request, all empty.
const frameTags = 3

// frame is an encoded Produce request of one batch for one partition, sent as
// often as is wanted. It belongs to one connection's sender.
type frame struct {
	bytes  []byte
	batch  int   // where in bytes the batch begins
	values []int // where in the batch each record's value begins
	size   int   // of a value
}

// newFrames encodes a batch of n records of size bytes for every partition that
// is client k's of all clients; where there are more clients than partitions,
// several share one.
func newFrames(topic string, partitions, k, clients int32, acks int16, n, size int) []*frame {
	records, values := encodeBatch(rand.New(rand.NewPCG(uint64(k), 2)), n, size, time.Now().UnixMilli())
	var frames []*frame
	for p := k % partitions; p < partitions; p += clients {
		req := kmsg.NewProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = rawProduceVersion, acks, 30000
		t := kmsg.NewProduceRequestTopic()
		t.Topic = topic
		part := kmsg.NewProduceRequestTopicPartition()
		part.Partition, part.Records = p, records
		t.Partitions = append(t.Partitions, part)
		req.Topics = append(req.Topics, t)
		f := &frame{bytes: kmsg.NewRequestFormatter(kmsg.FormatterClientID("chronik-bench-raw")).AppendRequest(nil, &req, 0), values: values, size: size}
		f.batch = len(f.bytes) - frameTags - len(records)
		frames = append(frames, f)
	}
	return frames
}

// stamp makes the records verifiable ones, numbered from sequence.
func (f *frame) stamp(producer uint32, sequence uint64, dueNs int64) {
	batch := f.bytes[f.batch : len(f.bytes)-frameTags]
	for k, at := range f.values {
		stamp(batch[at:at+f.size], producer, sequence+uint64(k), dueNs)
	}
	sealBatch(batch)
}

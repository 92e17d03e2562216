package differential

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestProduce(t *testing.T) {
	compare(t, 0, func(v int16) (out []Case) {
		topic, logAppend, small, compact, zstd := fmt.Sprintf("produce-%d", v), fmt.Sprintf("produce-append-%d", v), fmt.Sprintf("produce-small-%d", v), fmt.Sprintf("produce-compact-%d", v), fmt.Sprintf("produce-zstd-%d", v)
		for _, p := range []*Peer{kafka, chronik} {
			var steps []Step
			steps = append(steps, makeTopic(topic, 2)...)
			steps = append(steps, makeTopic(logAppend, 1, "message.timestamp.type=LogAppendTime")...)
			steps = append(steps, makeTopic(small, 1, "max.message.bytes=1000")...)
			steps = append(steps, makeTopic(compact, 1, "cleanup.policy=compact")...)
			steps = append(steps, makeTopic(zstd, 1, "compression.type=zstd")...)
			if err := p.Prepare(Case{"produce topics", steps}); err != nil {
				t.Fatal(err)
			}
		}
		to := func(name, topic string, b Batch) {
			out = append(out, One(name, produce(v, topic, 0, b.Encode())))
		}
		with := func(name string, change func(r *kmsg.ProduceRequest)) {
			r := produce(v, topic, 0, NewBatch("a").Encode())
			change(r)
			out = append(out, One(name, r))
		}
		// What one of the two takes and the other does not goes to partition 1:
		// the logs of partition 0 are compared at the end.
		aside := func(name string, records []byte) { out = append(out, One(name, produce(v, topic, 1, records))) }
		damaged := func(name string, change func(b *kmsg.RecordBatch)) {
			b := NewBatch("a", "b", "c")
			b.Damage = change
			to(name, topic, b)
		}
		after := func(name string, change func(b []byte) []byte) {
			b := NewBatch("a", "b", "c")
			b.After = change
			to(name, topic, b)
		}
		for codec := range int16(8) {
			b := NewBatch(strings.Repeat("a", 500), "b")
			b.Codec = codec
			to(fmt.Sprintf("codec %d", codec), topic, b)
			to(fmt.Sprintf("codec %d to zstd", codec), zstd, b)
			if codec > 0 {
				b.Damage = func(b *kmsg.RecordBatch) { b.Records = []byte("not compressed at all") }
				aside(fmt.Sprintf("codec %d damaged", codec), b.Encode())
			}
		}
		to("log append time", logAppend, NewBatch("a", "b"))
		withTime := func(name, topic string, at int64) {
			b := NewBatch("a")
			b.Time = at
			to(name, topic, b)
		}
		withTime("time -1", topic, -1)
		withTime("time -2", topic, -2)
		withTime("time 0", topic, 0)
		withTime("in two hours", topic, clock()+2*3600*1000)
		withTime("in two hours, log append", logAppend, clock()+2*3600*1000)
		to("too large", small, NewBatch(strings.Repeat("a", 1000)))
		squeezed := NewBatch(strings.Repeat("a", 5000))
		squeezed.Codec = 1
		to("small when compressed", small, squeezed)
		to("compact without key", compact, NewBatch("a"))
		keyed := NewBatch("a", "b")
		keyed.Keys = []string{"k"}
		to("compact with some keys", compact, keyed)
		keyed.Keys = []string{"k", "l"}
		to("compact with keys", compact, keyed)

		damaged("count 0", func(b *kmsg.RecordBatch) { b.NumRecords, b.Records = 0, nil })
		damaged("count -1", func(b *kmsg.RecordBatch) { b.NumRecords = -1 })
		damaged("count too small", func(b *kmsg.RecordBatch) { b.NumRecords = 2 })
		damaged("count too large", func(b *kmsg.RecordBatch) { b.NumRecords = 4 })
		damaged("count and delta too large", func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 4, 3 })
		damaged("count and delta too small", func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 2, 1 })
		damaged("delta too large", func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 5 })
		damaged("delta negative", func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -1 })
		damaged("base offset 100", func(b *kmsg.RecordBatch) { b.FirstOffset = 100 })
		damaged("leader epoch 7", func(b *kmsg.RecordBatch) { b.PartitionLeaderEpoch = 7 })
		damaged("magic 0", func(b *kmsg.RecordBatch) { b.Magic = 0 })
		damaged("magic 1", func(b *kmsg.RecordBatch) { b.Magic = 1 })
		damaged("magic 3", func(b *kmsg.RecordBatch) { b.Magic = 3 })
		damaged("control", func(b *kmsg.RecordBatch) { b.Attributes = 0x20 })
		damaged("control and transactional", func(b *kmsg.RecordBatch) { b.Attributes = 0x30 })
		stamped := NewBatch("a", "b", "c")
		stamped.Attributes = 8
		aside("says log append time", stamped.Encode())
		damaged("delete horizon", func(b *kmsg.RecordBatch) { b.Attributes = 0x40 })
		damaged("unknown attribute", func(b *kmsg.RecordBatch) { b.Attributes = 0x80 })
		damaged("transactional without producer", func(b *kmsg.RecordBatch) { b.Attributes = 0x10 })
		damaged("max timestamp too small", func(b *kmsg.RecordBatch) { b.MaxTimestamp = b.FirstTimestamp - 5 })
		damaged("max timestamp too large", func(b *kmsg.RecordBatch) { b.MaxTimestamp += 1000 })
		damaged("records cut", func(b *kmsg.RecordBatch) { b.Records = b.Records[:len(b.Records)-2] })
		damaged("records and more", func(b *kmsg.RecordBatch) { b.Records = append(b.Records, 1, 2, 3) })
		damaged("records garbage", func(b *kmsg.RecordBatch) { b.Records = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} })
		damaged("producer without epoch", func(b *kmsg.RecordBatch) { b.ProducerID = 77777 })
		damaged("producer without sequence", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch = 77777, 0 })
		damaged("producer that nobody made", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 77777+int64(v), 0, 0 })
		damaged("the same again", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 77777+int64(v), 0, 0 })
		damaged("a gap", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 77777+int64(v), 0, 10 })
		damaged("an older sequence", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 77777+int64(v), 0, 1 })
		damaged("a new epoch at 5", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 77777+int64(v), 1, 5 })
		damaged("a new epoch at 0", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 77777+int64(v), 1, 0 })
		damaged("the old epoch", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 77777+int64(v), 0, 3 })
		damaged("another that starts at 5", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 88888+int64(v), 0, 5 })
		damaged("epoch -1 with producer", func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 99999, -1, 0 })
		after("crc", func(b []byte) []byte { b[17] ^= 1; return b })
		after("half", func(b []byte) []byte { return b[:len(b)/2] })
		after("length too large", func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], uint32(len(b))); return b })
		after("length too small", func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], uint32(len(b)-14)); return b })
		after("length 0", func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], 0); return b })
		after("length negative", func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], 1<<31); return b })
		after("two batches", func(b []byte) []byte { return append(b, b...) })
		after("garbage behind", func(b []byte) []byte { return append(b, 1, 2, 3) })
		after("a header's worth behind", func(b []byte) []byte { return append(b, make([]byte, 61)...) })
		after("10 bytes", func(b []byte) []byte { return b[:10] })
		after("17 bytes", func(b []byte) []byte { return b[:17] })
		after("60 bytes", func(b []byte) []byte { return b[:60] })

		if v == versions(0)[0] { // Kafka never answers it, which takes its time
			with("null records", func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Records = nil })
		}
		with("empty records", func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Records = []byte{} })
		for _, acks := range []int16{1, 2, -2, 32767} {
			with(fmt.Sprintf("acks %d", acks), func(r *kmsg.ProduceRequest) { r.Acks = acks })
		}
		with("timeout 0", func(r *kmsg.ProduceRequest) { r.TimeoutMillis = 0 })
		with("timeout -1", func(r *kmsg.ProduceRequest) { r.TimeoutMillis = -1 })
		with("no topics", func(r *kmsg.ProduceRequest) { r.Topics = nil })
		with("no partitions", func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions = nil })
		with("partition 2", func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = 2 })
		with("partition -1", func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = -1 })
		with("unknown topic", func(r *kmsg.ProduceRequest) { r.Topics[0].Topic, r.Topics[0].TopicID = "unknown", [16]byte{1, 2} })
		with("zero id, empty name", func(r *kmsg.ProduceRequest) { r.Topics[0].Topic, r.Topics[0].TopicID = "", [16]byte{} })
		with("bad name", func(r *kmsg.ProduceRequest) { r.Topics[0].Topic, r.Topics[0].TopicID = "a b", [16]byte{1} })
		with("one good, one unknown", func(r *kmsg.ProduceRequest) {
			p := r.Topics[0].Partitions[0]
			p.Partition = 7
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		})
		with("partition twice", func(r *kmsg.ProduceRequest) {
			r.Topics[0].Partitions[0].Partition = 1
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		})
		with("partition twice, first bad", func(r *kmsg.ProduceRequest) {
			bad := r.Topics[0].Partitions[0]
			bad.Records = []byte{1, 2, 3}
			r.Topics[0].Partitions = append([]kmsg.ProduceRequestTopicPartition{bad}, r.Topics[0].Partitions...)
		})
		with("partition twice, second bad", func(r *kmsg.ProduceRequest) {
			bad := r.Topics[0].Partitions[0]
			bad.Records = []byte{1, 2, 3}
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, bad)
		})
		with("topic twice", func(r *kmsg.ProduceRequest) {
			r.Topics[0].Partitions[0].Partition = 1
			r.Topics = append(r.Topics, r.Topics[0])
		})
		if v < 13 {
			with("internal", func(r *kmsg.ProduceRequest) { r.Topics[0].Topic = "__transaction_state" })
			with("transaction state by nobody", func(r *kmsg.ProduceRequest) { r.Topics[0].Topic = "__cluster_metadata" })
		}
		name, empty := "nobody", ""
		with("transactional id, plain batch", func(r *kmsg.ProduceRequest) { r.TransactionID = &name })
		with("empty transactional id", func(r *kmsg.ProduceRequest) { r.TransactionID = &empty })
		with("transactional batch of another id", func(r *kmsg.ProduceRequest) {
			b := NewBatch("a")
			b.Attributes, b.Producer, b.Epoch, b.Sequence = 0x10, 66666, 0, 0
			r.TransactionID, r.Topics[0].Partitions[0].Records = &name, b.Encode()
		})
		with("transactional batch, no id", func(r *kmsg.ProduceRequest) {
			b := NewBatch("a")
			b.Attributes, b.Producer, b.Epoch, b.Sequence = 0x10, 66666, 0, 0
			r.Topics[0].Partitions[0].Records = b.Encode()
		})
		// acks=0 is not answered; an error closes the connection.
		quiet := func(name string, good bool) {
			r := produce(v, topic, 1, NewBatch("quiet").Encode())
			r.Acks = 0
			if !good {
				r.Topics[0].Partitions[0].Partition = 9
			}
			after := kmsg.NewPtrMetadataRequest()
			after.Version, after.Topics = 12, []kmsg.MetadataRequestTopic{}
			out = append(out, Case{name, []Step{{Req: r, Silent: true}, {Req: after}}})
		}
		quiet("acks 0", true)
		quiet("acks 0 with an error", false)
		// What the log has now is the last thing to compare.
		last := kmsg.NewPtrFetchRequest()
		last.Version, last.MaxBytes, last.SessionEpoch, last.ReplicaID = 12, 1<<20, -1, -1
		for _, name := range []string{topic, logAppend, small, compact, zstd} {
			last.Topics = append(last.Topics, fetchTopic(name, 0, 0))
		}
		return append(out, One(fmt.Sprintf("the log after Produce v%d", v), last))
	})
}

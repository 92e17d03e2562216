package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
)

// batchOf is a batch with so many records.
func batchOf(t testing.TB, codec compress.Codec, n int) []byte {
	t.Helper()
	o := record.DefaultBuilderOptions()
	o.Codec = codec
	bld := record.NewBuilder(nil, o)
	for i := range n {
		bld.Append(1_700_000_000_000+int64(i), fmt.Append(nil, "k", i), bytes.Repeat([]byte{byte('a' + i%26)}, 20))
	}
	b, err := bld.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// produceOf is a Produce request of one batch.
func produceOf(version int16, topic string, id [16]byte, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 60_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = records
	top := kmsg.NewProduceRequestTopic()
	top.Topic, top.TopicID, top.Partitions = topic, id, []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = []kmsg.ProduceRequestTopic{top}
	return req
}

// makeTopic makes a topic and gives its id.
func makeTopic(t testing.TB, b *Broker, name string, partitions int32, configs map[string]*string) [16]byte {
	t.Helper()
	resp, err := kadm.NewClient(client(t, b)).CreateTopic(within(t), partitions, 1, configs, name)
	if err != nil {
		t.Fatal(err)
	}
	return resp.ID
}

// TestProduceVersions produces and fetches in every version that is served.
func TestProduceVersions(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	for v := produceAPI.min; v <= produceAPI.max; v++ {
		resp := ask[*kmsg.ProduceResponse](w, produceOf(v, "t", id, -1, batchOf(t, compress.None, 3)))
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.BaseOffset != 3*int64(v-produceAPI.min) {
			t.Fatalf("v%d: code %d, offset %d", v, p.ErrorCode, p.BaseOffset)
		}
		if v >= 13 && resp.Topics[0].TopicID != id || v < 13 && resp.Topics[0].Topic != "t" {
			t.Errorf("v%d: the answer names topic %q %x", v, resp.Topics[0].Topic, resp.Topics[0].TopicID)
		}
	}
	want := 3 * int64(produceAPI.max-produceAPI.min+1)
	for v := int16(firstBatchFetch); v <= fetchAPI.max; v++ { // those before: old_test.go
		resp := ask[*kmsg.FetchResponse](w, fetchOf(v, "t", id, 0))
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.HighWatermark != want {
			t.Fatalf("v%d: code %d, high watermark %d", v, p.ErrorCode, p.HighWatermark)
		}
		var next int64
		for rest := p.RecordBatches; len(rest) > 0; {
			batch, after, err := record.Next(rest)
			if err != nil {
				t.Fatalf("v%d: %v", v, err)
			}
			if batch.BaseOffset() != next || !batch.CheckCRC() {
				t.Fatalf("v%d: a batch at %d, CRC %v; want %d", v, batch.BaseOffset(), batch.CheckCRC(), next)
			}
			next, rest = batch.NextOffset(), after
		}
		if next != want {
			t.Errorf("v%d: records up to %d, want %d", v, next, want)
		}
	}
}

// TestProduceErrors is Kafka's answer to what is wrong with a batch.
func TestProduceErrors(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	small := "100"
	makeTopic(t, b, "small", 1, map[string]*string{"max.message.bytes": &small})
	makeTopic(t, b, "__consumer_offsets", 1, nil)
	good := func() []byte { return batchOf(t, compress.None, 3) }
	edit := func(f func(b record.Batch)) []byte {
		x := good()
		f(x)
		record.Batch(x).SetCRC()
		return x
	}
	for _, c := range []struct {
		name    string
		version int16
		topic   string
		id      [16]byte
		acks    int16
		records []byte
		want    int16
	}{
		{"good", 9, "t", id, -1, good(), 0},
		{"acks 1", 9, "t", id, 1, good(), 0},
		{"acks 5", 9, "t", id, 5, good(), errInvalidRequiredAcks},
		{"acks -2", 9, "t", id, -2, good(), errInvalidRequiredAcks},
		{"no topic", 9, "absent", id, -1, good(), errUnknownTopicOrPartition},
		{"path as topic", 9, "../x", id, -1, good(), errUnknownTopicOrPartition},
		{"no id", 13, "", [16]byte{1}, -1, good(), errUnknownTopicID},
		{"internal topic", 9, "__consumer_offsets", id, -1, good(), errInvalidTopic},
		{"null", 9, "t", id, -1, nil, errInvalidRecord},
		{"empty", 9, "t", id, -1, []byte{}, errInvalidRecord},
		{"two batches", 9, "t", id, -1, append(good(), good()...), errInvalidRecord},
		{"cut batch", 9, "t", id, -1, good()[:80], errInvalidRecord},
		{"bad crc", 9, "t", id, -1, func() []byte { x := good(); x[len(x)-1] ^= 1; return x }(), errCorruptMessage},
		{"bad magic", 9, "t", id, -1, func() []byte { x := good(); x[16] = 7; return x }(), errCorruptMessage},
		{"old magic", 9, "t", id, -1, func() []byte { x := good(); x[16] = 1; return x }(), errInvalidRecord},
		{"negative length", 9, "t", id, -1, func() []byte { x := good(); x[8] = 0xff; return x }(), errCorruptMessage},
		{"count too large", 9, "t", id, -1, edit(func(b record.Batch) { binary.BigEndian.PutUint32(b[57:], 9) }), errInvalidRecord},
		{"count zero", 9, "t", id, -1, edit(func(b record.Batch) { binary.BigEndian.PutUint32(b[57:], 0) }), errInvalidRecord},
		{"last delta", 9, "t", id, -1, edit(func(b record.Batch) { binary.BigEndian.PutUint32(b[23:], 9) }), errInvalidRecord},
		{"control", 9, "t", id, -1, edit(func(b record.Batch) { b[22] |= 1 << 5 }), errInvalidRecord},
		{"codec 7", 9, "t", id, -1, edit(func(b record.Batch) { b[22] |= 7 }), errUnsupportedCompression},
		{"too large", 9, "small", id, -1, good(), errMessageTooLarge},
		{"zstd in v6", 6, "t", id, -1, batchOf(t, compress.Zstd, 3), errUnsupportedCompression},
		{"zstd in v7", 7, "t", id, -1, batchOf(t, compress.Zstd, 3), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := ask[*kmsg.ProduceResponse](dial(t, b), produceOf(c.version, c.topic, c.id, c.acks, c.records))
			p := resp.Topics[0].Partitions[0]
			if p.ErrorCode != c.want {
				t.Errorf("code %d, want %d (%v)", p.ErrorCode, c.want, p.ErrorMessage)
			}
			if p.ErrorCode != 0 && p.BaseOffset != -1 {
				t.Errorf("base offset %d beside an error", p.BaseOffset)
			}
		})
	}
}

// TestSequences is Kafka's rule for idempotent producers: a duplicate gets its
// original's offset, a gap is refused, an old epoch is refused.
func TestSequences(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	send := func(epoch int16, seq int32) (int16, int64) {
		o := record.DefaultBuilderOptions()
		o.ProducerID, o.ProducerEpoch, o.BaseSequence = 77, epoch, seq
		bld := record.NewBuilder(nil, o)
		bld.Append(1_700_000_000_000, nil, []byte("a"))
		bld.Append(1_700_000_000_000, nil, []byte("b"))
		raw, err := bld.Finish()
		if err != nil {
			t.Fatal(err)
		}
		p := ask[*kmsg.ProduceResponse](w, produceOf(9, "t", id, -1, raw)).Topics[0].Partitions[0]
		return p.ErrorCode, p.BaseOffset
	}
	for i, c := range []struct {
		epoch int16
		seq   int32
		code  int16
		at    int64
	}{
		{0, 0, 0, 0}, {0, 2, 0, 2}, {0, 0, 0, 0}, {0, 2, 0, 2}, {0, 6, errOutOfOrderSequence, -1},
		{0, 4, 0, 4}, {1, 0, 0, 6}, {0, 6, errInvalidProducerEpoch, -1}, {2, 5, errOutOfOrderSequence, -1}, {1, 2, 0, 8},
	} {
		if code, at := send(c.epoch, c.seq); code != c.code || at != c.at {
			t.Errorf("step %d: epoch %d sequence %d: code %d offset %d, want %d and %d", i, c.epoch, c.seq, code, at, c.code, c.at)
		}
	}
}

// TestAcksZero: no answer to acks=0, and a failure closes the connection.
func TestAcksZero(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	w.send(produceOf(9, "t", id, 0, batchOf(t, compress.None, 3)))
	p := ask[*kmsg.ProduceResponse](w, produceOf(9, "t", id, -1, batchOf(t, compress.None, 1))).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.BaseOffset != 3 {
		t.Errorf("code %d, offset %d: the batch with acks=0 is not before this one", p.ErrorCode, p.BaseOffset)
	}
	w.send(produceOf(9, "absent", id, 0, batchOf(t, compress.None, 3)))
	w.closed()
	alive(t, b)
}

// TestCodecs produces with every codec, keys, headers and idempotence, to
// topics that keep the codec and to topics that change it, and consumes it all
// back in order, byte for byte.
func TestCodecs(t *testing.T) {
	b := run(t, nil)
	for _, topicCodec := range []string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"} {
		for name, codec := range map[string]kgo.CompressionCodec{
			"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
			"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
		} {
			t.Run(topicCodec+"/"+name, func(t *testing.T) {
				t.Parallel()
				topic := topicCodec + "-" + name
				makeTopic(t, b, topic, 3, map[string]*string{"compression.type": &topicCodec})
				roundTrip(t, b, topic, 3, kgo.ProducerBatchCompression(codec))
			})
		}
	}
}

// roundTrip produces to every partition of a topic and consumes it back.
func roundTrip(t *testing.T, b *Broker, topic string, partitions int32, opts ...kgo.Opt) {
	ctx := within(t)
	cl := client(t, b, append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	const n = 200
	want := make([][]*kgo.Record, partitions)
	for i := range n {
		r := &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: bytes.Repeat(fmt.Append(nil, i), i%50)}
		if i%3 > 0 {
			r.Key = fmt.Append(nil, "key-", i)
		}
		if i%4 > 0 {
			r.Headers = []kgo.RecordHeader{{Key: "h", Value: fmt.Append(nil, i)}, {Key: "", Value: nil}}
		}
		want[r.Partition] = append(want[r.Partition], r)
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		from[p] = kgo.NewOffset().AtStart()
	}
	in := client(t, b, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchMaxWait(500e6))
	for got := 0; got < n; {
		fetches := in.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			w := want[r.Partition][0]
			want[r.Partition] = want[r.Partition][1:]
			got++
			if r.Offset != w.Offset || !bytes.Equal(r.Key, w.Key) || !bytes.Equal(r.Value, w.Value) || fmt.Sprint(r.Headers) != fmt.Sprint(w.Headers) || r.Timestamp.UnixMilli() != w.Timestamp.UnixMilli() {
				t.Fatalf("partition %d: consumed %v, produced %v", r.Partition, r, w)
			}
		}
	}
}

// TestProducePartitionTwice has requests that name partitions and topics twice:
// the last batch of each is appended and answered, as in Kafka.
func TestProducePartitionTwice(t *testing.T) {
	b := run(t, nil)
	ids := map[string][16]byte{"t": makeTopic(t, b, "t", 3, nil), "u": makeTopic(t, b, "u", 3, nil)}
	w := dial(t, b)
	ends := map[string]int64{}
	for v := produceAPI.min; v <= produceAPI.max; v++ {
		// topic, partition and the records of each entry
		entries := []struct {
			topic string
			part  int32
			n     int
		}{{"t", 1, 1}, {"t", 0, 2}, {"t", 1, 3}, {"u", 1, 1}, {"t", 2, 1}, {"t", 0, 4}, {"u", 1, 5}}
		want := map[string]int64{"t/1": 3, "t/0": 4, "u/1": 5, "t/2": 1}
		req := produceOf(v, "t", ids["t"], -1, nil)
		req.Topics = nil
		for i, e := range entries {
			part := kmsg.NewProduceRequestTopicPartition()
			part.Partition, part.Records = e.part, batchOf(t, compress.None, e.n)
			if i == 0 || entries[i-1].topic != e.topic {
				top := kmsg.NewProduceRequestTopic()
				top.Topic, top.TopicID = e.topic, ids[e.topic]
				req.Topics = append(req.Topics, top)
			}
			top := &req.Topics[len(req.Topics)-1]
			top.Partitions = append(top.Partitions, part)
		}
		resp := ask[*kmsg.ProduceResponse](w, req)
		if len(resp.Topics) != 2 {
			t.Fatalf("v%d: %d topics are answered, the request names 2", v, len(resp.Topics))
		}
		answered := 0
		for i, top := range resp.Topics {
			name := []string{"t", "u"}[i]
			if v >= 13 && top.TopicID != ids[name] || v < 13 && top.Topic != name {
				t.Fatalf("v%d: topic %d of the answer is %q %x", v, i, top.Topic, top.TopicID)
			}
			for _, p := range top.Partitions {
				answered++
				key := fmt.Sprint(name, "/", p.Partition)
				if p.ErrorCode != 0 || p.BaseOffset != ends[key] {
					t.Errorf("v%d: %s: code %d at offset %d, want 0 at %d", v, key, p.ErrorCode, p.BaseOffset, ends[key])
				}
				ends[key] += want[key]
			}
		}
		if answered != len(want) {
			t.Errorf("v%d: %d partitions are answered, the request names %d", v, answered, len(want))
		}
	}
	// Nothing but the last of each is in the logs.
	for key, end := range ends {
		part := b.topics.named([]byte(key[:1])).partition(int32(key[2] - '0'))
		if got := part.log.Offsets().LogEnd; got != end {
			t.Errorf("%s ends at %d, want %d", key, got, end)
		}
	}
}

// TestProduceGoodBesideBad names one partition with good batches and bad ones: the
// last good one is appended, the error of the last bad one is the answer, in
// whatever order they come.
func TestProduceGoodBesideBad(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	log := b.topics.named([]byte("t")).partition(0).log
	short, torn := []byte{1, 2, 3}, batchOf(t, compress.None, 2)
	torn[16] = 9 // there is no such format
	for _, v := range []int16{3, 7, 9, 13} {
		for name, c := range map[string]struct {
			batches [][]byte
			code    int16
			adds    int64
		}{
			"bad, good":            {[][]byte{short, batchOf(t, compress.None, 3)}, errInvalidRecord, 3},
			"good, bad":            {[][]byte{batchOf(t, compress.None, 3), short}, errInvalidRecord, 3},
			"good, bad, good, bad": {[][]byte{batchOf(t, compress.None, 3), short, batchOf(t, compress.None, 5), torn}, errCorruptMessage, 5},
			"bad, bad":             {[][]byte{torn, short}, errInvalidRecord, 0},
		} {
			before := log.Offsets().LogEnd
			w := dial(t, b)
			req := produceOf(v, "t", id, -1, nil)
			one := req.Topics[0].Partitions[0]
			req.Topics[0].Partitions = nil
			for _, records := range c.batches {
				one.Records = records
				req.Topics[0].Partitions = append(req.Topics[0].Partitions, one)
			}
			resp := ask[*kmsg.ProduceResponse](w, req)
			if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
				t.Fatalf("v%d, %s: %+v", v, name, resp.Topics)
			}
			if p := resp.Topics[0].Partitions[0]; p.ErrorCode != c.code || p.BaseOffset != -1 {
				t.Errorf("v%d, %s: code %d at %d, want %d at -1", v, name, p.ErrorCode, p.BaseOffset, c.code)
			}
			if got := log.Offsets().LogEnd - before; got != c.adds {
				t.Errorf("v%d, %s: %d records were appended, want %d", v, name, got, c.adds)
			}
		}
	}
	// Whoever wants no answer learns of it by the end of the connection.
	w := dial(t, b)
	req := produceOf(9, "t", id, 0, batchOf(t, compress.None, 1))
	bad := req.Topics[0].Partitions[0]
	bad.Records = short
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, bad)
	w.send(req)
	if n, err := w.conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("acks=0: %d bytes, want the end of the connection", n)
	}
}

// TestProduceMayRepeat holds the quick look against the thorough one.
func TestProduceMayRepeat(t *testing.T) {
	l := &loop{}
	rapid.Check(t, func(rt *rapid.T) {
		req := kmsg.NewPtrProduceRequest()
		req.Version = 9
		topics, parts := map[string]bool{}, 0
		repeats := false
		for range rapid.IntRange(0, 6).Draw(rt, "topics") {
			top := kmsg.NewProduceRequestTopic()
			top.Topic = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(rt, "topic")
			seen := map[int32]bool{}
			for range rapid.IntRange(0, 4).Draw(rt, "partitions") {
				part := kmsg.NewProduceRequestTopicPartition()
				part.Partition = rapid.Int32Range(-1, 5).Draw(rt, "partition")
				repeats = repeats || seen[part.Partition]
				seen[part.Partition] = true
				top.Partitions = append(top.Partitions, part)
				parts++
			}
			if len(top.Partitions) > 0 {
				repeats = repeats || topics[top.Topic]
				topics[top.Topic] = true
			}
			req.Topics = append(req.Topics, top)
		}
		_, it, err := codec.ParseProduce(9, req.AppendTo(nil))
		if err != nil {
			rt.Fatal(err)
		}
		if got := l.seen.produceRepeats(it); got != repeats {
			rt.Errorf("of a request with %d partitions it says %v, want %v", parts, got, repeats)
		}
		if len(l.seen) > 0 {
			rt.Error("the next request would find the hashes of this one")
		}
	})
}

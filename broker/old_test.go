package broker

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
)

// setOf is a message set of an old format with n messages k0, k1, …
func setOf(t testing.TB, magic int8, codec compress.Codec, n int) []byte {
	t.Helper()
	b := batchOf(t, codec, n)
	set, err := record.DownConvert(nil, b, magic, 0, maxUnpacked)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// messages lists what is in a message set as offset, key and timestamp.
func messages(t testing.TB, set []byte) (list []string, magic int8) {
	t.Helper()
	magic, _ = record.MagicOf(set)
	if _, err := record.VisitMessages(set, maxUnpacked, func(m *record.Message) error {
		list = append(list, fmt.Sprintf("%d %s %d", m.Offset, m.Key, m.Timestamp))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list, magic
}

// TestOldFormats: message sets of formats 0 and 1 in every codec, small (on the
// loop) and large (on a worker), go in by Produce v0–2, lie as format 2 and come
// out by every Fetch.
func TestOldFormats(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	for version := int16(0); version <= 2; version++ {
		magic := int8(0)
		if version == 2 {
			magic = 1
		}
		for _, codec := range []compress.Codec{compress.None, compress.Gzip, compress.Snappy, compress.LZ4} {
			name := fmt.Sprintf("old-%d-%s", version, codec)
			makeTopic(t, b, name, 1, nil)
			small, large := 3, 400
			for i, n := range []int{small, large} {
				p := ask[*kmsg.ProduceResponse](w, produceOf(version, name, [16]byte{}, -1, setOf(t, magic, codec, n))).Topics[0].Partitions[0]
				if want := int64(i * small); p.ErrorCode != 0 || p.BaseOffset != want {
					t.Fatalf("%s: code %d, offset %d, want %d", name, p.ErrorCode, p.BaseOffset, want)
				}
			}
			data := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(12, name, [16]byte{}, 0))).RecordBatches
			batch, _, err := record.Next(data)
			if err != nil || !batch.CheckCRC() || batch.Count() != int32(small) || batch.Codec() != codec {
				t.Fatalf("%s: on disk: %v, %d records of codec %v", name, err, batch.Count(), batch.Codec())
			}
			for fetch := int16(0); fetch <= 3; fetch++ {
				part := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(fetch, name, [16]byte{}, 0)))
				if part.ErrorCode != 0 || part.HighWatermark != int64(small+large) {
					t.Fatalf("%s: fetch v%d: code %d, high watermark %d", name, fetch, part.ErrorCode, part.HighWatermark)
				}
				list, got := messages(t, part.RecordBatches)
				if got != int8(fetch/2) {
					t.Errorf("fetch v%d gives format %d", fetch, got)
				}
				if len(list) != small+large {
					t.Fatalf("%s: fetch v%d: %d messages, want %d", name, fetch, len(list), small+large)
				}
				for i, m := range list {
					key, at := i, int64(-1)
					if i >= small {
						key -= small
					}
					if magic == 1 && fetch >= 2 {
						at = 1_700_000_000_000 + int64(key)
					}
					if want := fmt.Sprintf("%d k%d %d", i, key, at); m != want {
						t.Fatalf("%s: fetch v%d: message %d is %q, want %q", name, fetch, i, m, want)
					}
				}
			}
		}
	}
}

// TestOldProduceErrors: what Kafka 3.9 answers to sets that are no sets.
func TestOldProduceErrors(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	damaged := setOf(t, 1, compress.None, 2)
	damaged[len(damaged)-1] ^= 1
	mixed := append(setOf(t, 1, compress.None, 1), setOf(t, 0, compress.None, 1)...)
	logTime := batchOf(t, compress.None, 1)
	record.Batch(logTime).SetLogAppendTime(5)
	record.Batch(logTime).SetCRC()
	stamped, err := record.DownConvert(nil, logTime, 1, 0, maxUnpacked)
	if err != nil {
		t.Fatal(err)
	}
	whole := setOf(t, 1, compress.None, 3)
	for _, c := range []struct {
		name   string
		set    []byte
		code   errCode
		offset int64
	}{
		{"empty", []byte{}, errNone, -1},
		{"only a message that is cut off", whole[:20], errNone, -1},
		{"the last message is cut off", whole[:len(whole)-1], errNone, 0},
		{"a batch of format 2", batchOf(t, compress.None, 2), errNone, 2},
		{"a batch of format 2 that is cut off", batchOf(t, compress.None, 2)[:70], errNone, -1},
		{"the start of one", batchOf(t, compress.None, 2)[:17], errNone, -1},
		{"a batch of format 2 in zstd", batchOf(t, compress.Zstd, 2), errNone, 4},
		{"a damaged message", damaged, errCorruptMessage, -1},
		{"two formats", mixed, errInvalidRecord, -1},
		{"a timestamp type that is the broker's", stamped, errInvalidTimestamp, -1},
		{"a bad length", append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0}, make([]byte, 40)...), errCorruptMessage, -1},
	} {
		p := ask[*kmsg.ProduceResponse](w, produceOf(2, "t", [16]byte{}, 1, c.set)).Topics[0].Partitions[0]
		if p.ErrorCode != c.code || p.BaseOffset != c.offset {
			t.Errorf("%s: code %d, offset %d; want %d, %d", c.name, p.ErrorCode, p.BaseOffset, c.code, c.offset)
		}
	}
	alive(t, b)
}

// TestOldTopicRules: LogAppendTime, compression.type and max.message.bytes hold
// for converted sets too.
func TestOldTopicRules(t *testing.T) {
	b := run(t, nil)
	value := func(s string) *string { return &s }
	makeTopic(t, b, "stamped", 1, map[string]*string{"message.timestamp.type": value("LogAppendTime")})
	makeTopic(t, b, "packed", 1, map[string]*string{"compression.type": value("gzip"), "compression.gzip.level": value("9")})
	makeTopic(t, b, "narrow", 1, map[string]*string{"max.message.bytes": value("200")})
	w := dial(t, b)
	before := time.Now().UnixMilli()
	p := ask[*kmsg.ProduceResponse](w, produceOf(2, "stamped", [16]byte{}, 1, setOf(t, 1, compress.None, 2))).Topics[0].Partitions[0]
	if p.LogAppendTime < before || p.LogAppendTime > time.Now().UnixMilli() {
		t.Errorf("LogAppendTime %d, asked at %d", p.LogAppendTime, before)
	}
	part := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(2, "stamped", [16]byte{}, 0)))
	if list, _ := messages(t, part.RecordBatches); len(list) != 2 || list[1] != fmt.Sprintf("1 k1 %d", p.LogAppendTime) {
		t.Errorf("stamped: %v, want %d", list, p.LogAppendTime)
	}
	if p = ask[*kmsg.ProduceResponse](w, produceOf(1, "packed", [16]byte{}, 1, setOf(t, 0, compress.Snappy, 9))).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Fatalf("packed: %d", p.ErrorCode)
	}
	batch, _, err := record.Next(onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(12, "packed", [16]byte{}, 0))).RecordBatches)
	if err != nil || batch.Codec() != compress.Gzip || batch.Count() != 9 {
		t.Errorf("packed: %v, codec %v, %d records", err, batch.Codec(), batch.Count())
	}
	if p = ask[*kmsg.ProduceResponse](w, produceOf(1, "narrow", [16]byte{}, 1, setOf(t, 0, compress.None, 50))).Topics[0].Partitions[0]; p.ErrorCode != errMessageTooLarge {
		t.Errorf("narrow: %d, want %d", p.ErrorCode, errMessageTooLarge)
	}
}

// TestOldProduceOrder: sets that a worker converts and sets that the loop
// converts are appended in the order that they were sent.
func TestOldProduceOrder(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	var ids []int32
	var want int64
	var offsets []int64
	for i := range 40 {
		n := 1 + i%2*800
		ids = append(ids, w.send(produceOf(2, "t", [16]byte{}, 1, setOf(t, 1, compress.Gzip, n))))
		offsets = append(offsets, want)
		want += int64(n)
	}
	for i, id := range ids {
		resp := w.answer(produceOf(2, "t", [16]byte{}, 1, nil), id).(*kmsg.ProduceResponse)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != offsets[i] {
			t.Fatalf("set %d: code %d, offset %d, want %d", i, p.ErrorCode, p.BaseOffset, offsets[i])
		}
	}
}

// TestOldFetchLimit: partition bytes are a hard limit up to v2, where a message
// may be cut; v3 gets one batch at least.
func TestOldFetchLimit(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	batch := batchOf(t, compress.None, 100)
	produceTo(t, w, "t", batch)
	produceTo(t, w, "t", batchOf(t, compress.None, 100))
	for version := int16(0); version <= 3; version++ {
		req := fetchOf(version, "t", [16]byte{}, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = 500
		got := onlyPart(t, ask[*kmsg.FetchResponse](w, req)).RecordBatches
		list, _ := messages(t, got)
		switch {
		case version < 3 && (len(got) != 500 || len(list) < 5 || len(list) > 12):
			t.Errorf("v%d: %d bytes with %d whole messages", version, len(got), len(list))
		case version == 3 && len(list) != 100:
			t.Errorf("v3: %d messages, want the whole batch of 100", len(list))
		}
		// From the middle of a batch: the messages before are left out.
		req.Topics[0].Partitions[0].FetchOffset = 98
		if list, _ = messages(t, onlyPart(t, ask[*kmsg.FetchResponse](w, req)).RecordBatches); len(list) < 2 || list[0][:3] != "98 " {
			t.Errorf("v%d: from offset 98: %v", version, list)
		}
	}
}

// TestOldFetchLeavesOut: headers and control batches are not in old formats; a
// range of nothing else is passed over. zstd is refused.
func TestOldFetchLeavesOut(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	makeTopic(t, b, "z", 1, nil)
	cl := client(t, b, kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	ctx := within(t)
	for i := range 3 {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Key: fmt.Append(nil, "k", i), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(i != 1)); err != nil {
			t.Fatal(err)
		}
	}
	w := dial(t, b)
	offsets := func(from int64, most int32) (found []string) {
		req := fetchOf(3, "t", [16]byte{}, from)
		req.MaxBytes = most
		part := onlyPart(t, ask[*kmsg.FetchResponse](w, req))
		if part.ErrorCode != 0 {
			t.Fatalf("code %d", part.ErrorCode)
		}
		if bytes.Contains(part.RecordBatches, []byte("h\x02v")) {
			t.Error("a header came along")
		}
		list, _ := messages(t, part.RecordBatches)
		for _, m := range list {
			found = append(found, m[:4])
		}
		return found
	}
	// The aborted record is there: these clients read uncommitted.
	if got := fmt.Sprint(offsets(0, 1<<20)); got != "[0 k0 2 k1 4 k2]" {
		t.Errorf("from 0: %s", got)
	}
	// Offset 1 is a marker alone, when one batch is all that fits.
	if got := fmt.Sprint(offsets(1, 1)); got != "[2 k1]" {
		t.Errorf("from 1: %s", got)
	}
	if got := fmt.Sprint(offsets(5, 1<<20)); got != "[]" {
		t.Errorf("from 5: %s", got)
	}
	produceTo(t, w, "z", batchOf(t, compress.Zstd, 5))
	part := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(3, "z", [16]byte{}, 0)))
	if part.ErrorCode != errUnsupportedCompression || len(part.RecordBatches) != 0 || part.HighWatermark != -1 {
		t.Errorf("zstd: code %d, %d bytes, high watermark %d", part.ErrorCode, len(part.RecordBatches), part.HighWatermark)
	}
}

// TestOldFetchWaits: an old fetch is parked like any other, is woken by a
// record, and holds the requests behind it.
func TestOldFetchWaits(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w, p := dial(t, b), dial(t, b)
	req := fetchOf(1, "t", [16]byte{}, 0)
	req.MaxWaitMillis = 20000
	id := w.send(req)
	behind := kmsg.NewPtrMetadataRequest()
	next := w.send(behind)
	parked(t, b, 1)
	produceTo(t, p, "t", batchOf(t, compress.None, 2))
	if list, _ := messages(t, onlyPart(t, w.answer(req, id).(*kmsg.FetchResponse)).RecordBatches); len(list) != 2 {
		t.Errorf("woken with %v", list)
	}
	w.answer(behind, next)
	req.Topics[0].Partitions[0].FetchOffset, req.MaxWaitMillis = 2, 30
	id = w.send(req)
	next = w.send(behind)
	if part := onlyPart(t, w.answer(req, id).(*kmsg.FetchResponse)); len(part.RecordBatches) != 0 || part.HighWatermark != 2 {
		t.Errorf("expired with %d bytes, high watermark %d", len(part.RecordBatches), part.HighWatermark)
	}
	w.answer(behind, next)
}

// TestOldFetchPassesQuota: an old fetch that is woken by more than its quota lets
// through is answered without records, and lets the requests behind it go on.
func TestOldFetchPassesQuota(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w, p := dial(t, b), dial(t, b)
	setQuota(t, kadm.NewClient(client(t, b)), "consumer_byte_rate", 1000, "client-id", "wire")
	req := fetchOf(1, "t", [16]byte{}, 0)
	req.MaxWaitMillis = 60_000
	id := w.send(req)
	behind := kmsg.NewPtrMetadataRequest()
	next := w.send(behind)
	parked(t, b, 1)
	produceTo(t, p, "t", batchOf(t, compress.None, 2000))
	if resp := w.answer(req, id).(*kmsg.FetchResponse); resp.ThrottleMillis == 0 || len(resp.Topics) != 0 {
		t.Fatalf("throttled for %d ms, %d topics", resp.ThrottleMillis, len(resp.Topics))
	}
	w.answer(behind, next)
}

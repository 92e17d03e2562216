package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// rec is a record as tests write it down.
type rec struct {
	delta   int32
	time    int64
	key     []byte
	value   []byte
	headers []Header
}

func drawBytes(t *rapid.T, name string) []byte {
	if rapid.IntRange(0, 4).Draw(t, name+" null") == 0 {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, name)
}

func drawRecords(t *rapid.T, gaps bool) []rec {
	var out []rec
	delta := int32(0)
	base := rapid.Int64Range(0, 1<<42).Draw(t, "base time")
	for i := range rapid.IntRange(1, 20).Draw(t, "records") {
		r := rec{
			delta: delta, time: base + rapid.Int64Range(-1000, 1<<36).Draw(t, "time"),
			key: drawBytes(t, "key"), value: drawBytes(t, "value"),
		}
		if i == 0 {
			r.time = base
		}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.headers = append(r.headers, Header{Key: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "header"), Value: drawBytes(t, "header value")})
		}
		out = append(out, r)
		delta++
		if gaps {
			delta += rapid.Int32Range(0, 300).Draw(t, "gap")
		}
	}
	return out
}

func build(tb interface{ Fatal(...any) }, o BuilderOptions, records []rec) Batch {
	b := NewBuilder(nil, o)
	for _, r := range records {
		b.AppendAt(r.delta, r.time, r.key, r.value, r.headers...)
	}
	out, err := b.Finish()
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// read gives a batch's records back.
func read(b Batch) ([]rec, error) {
	payload, err := b.Payload(nil, 1<<30)
	if err != nil {
		return nil, err
	}
	var out []rec
	it := NewIter(payload, b.Count())
	for r := (Record{}); it.Next(&r); {
		one := rec{delta: r.OffsetDelta, time: b.Timestamp(r.TimestampDelta), key: r.Key, value: r.Value}
		hi := r.Headers()
		for h, ok := hi.Next(); ok; h, ok = hi.Next() {
			one.headers = append(one.headers, h)
		}
		out = append(out, one)
	}
	return out, it.Err()
}

func sameRecords(a, b []rec) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d records, want %d", len(a), len(b))
	}
	null := func(x, y []byte) bool { return (x == nil) == (y == nil) && bytes.Equal(x, y) }
	for i := range a {
		x, y := a[i], b[i]
		if x.delta != y.delta || x.time != y.time || !null(x.key, y.key) || !null(x.value, y.value) || len(x.headers) != len(y.headers) {
			return fmt.Errorf("record %d is %+v, want %+v", i, x, y)
		}
		for j := range x.headers {
			if !bytes.Equal(x.headers[j].Key, y.headers[j].Key) || !null(x.headers[j].Value, y.headers[j].Value) {
				return fmt.Errorf("record %d header %d is %q, want %q", i, j, x.headers[j], y.headers[j])
			}
		}
	}
	return nil
}

var allCodecs = []compress.Codec{compress.None, compress.Gzip, compress.Snappy, compress.LZ4, compress.Zstd}

func drawOptions(t *rapid.T) BuilderOptions {
	o := DefaultBuilderOptions()
	o.Codec = rapid.SampledFrom(allCodecs).Draw(t, "codec")
	o.BaseOffset = rapid.Int64Range(0, 1<<50).Draw(t, "base offset")
	o.LeaderEpoch = rapid.Int32Range(-1, 1000).Draw(t, "leader epoch")
	if rapid.Bool().Draw(t, "producer") {
		o.ProducerID = rapid.Int64Range(0, 1<<40).Draw(t, "producer id")
		o.ProducerEpoch = rapid.Int16Range(0, math.MaxInt16).Draw(t, "producer epoch")
		o.BaseSequence = rapid.Int32Range(0, math.MaxInt32).Draw(t, "sequence")
		o.Transactional = rapid.Bool().Draw(t, "transactional")
	}
	return o
}

// TestBuilder: what is built reads back, and kmsg reads the same header and
// the same records.
func TestBuilder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		if rapid.Bool().Draw(t, "log append time") {
			o.LogAppendTime = 1234567
		}
		records := drawRecords(t, true)
		b := build(t, o, records)
		if _, err := Check(b); err != nil {
			t.Fatal(err)
		}
		var k kmsg.RecordBatch
		if err := k.ReadFrom(b); err != nil {
			t.Fatal(err)
		}
		type header struct {
			base, baseTime, maxTime, pid int64
			size, epoch, last, seq, n    int32
			crc                          int32
			magic                        int8
			attributes, pepoch           int16
		}
		got := header{b.BaseOffset(), b.BaseTimestamp(), b.MaxTimestamp(), b.ProducerID(), int32(b.Size() - LogOverhead), b.LeaderEpoch(),
			b.LastOffsetDelta(), b.BaseSequence(), b.Count(), int32(b.CRC()), b.Magic(), b.Attributes(), b.ProducerEpoch()}
		want := header{k.FirstOffset, k.FirstTimestamp, k.MaxTimestamp, k.ProducerID, k.Length, k.PartitionLeaderEpoch,
			k.LastOffsetDelta, k.FirstSequence, k.NumRecords, k.CRC, k.Magic, k.Attributes, k.ProducerEpoch}
		if got != want {
			t.Fatalf("header %+v, kmsg reads %+v", got, want)
		}
		last := records[len(records)-1].delta
		if b.BaseOffset() != o.BaseOffset || b.LeaderEpoch() != o.LeaderEpoch || b.Codec() != o.Codec || int(b.Count()) != len(records) ||
			b.LastOffset() != o.BaseOffset+int64(last) || b.NextOffset() != b.LastOffset()+1 || b.Transactional() != o.Transactional ||
			b.Control() || b.ProducerID() != o.ProducerID || b.LogAppendTime() != (o.LogAppendTime >= 0) {
			t.Fatalf("header %+v of %+v", got, o)
		}
		if o.LogAppendTime >= 0 {
			for i := range records {
				records[i].time = o.LogAppendTime
			}
		}
		back, err := read(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := sameRecords(back, records); err != nil {
			t.Fatal(err)
		}
		if o.Codec != compress.None {
			return
		}
		rest := b.Records()
		for _, r := range back {
			var k kmsg.Record
			if err := k.ReadFrom(rest); err != nil {
				t.Fatal(err)
			}
			if again := k.AppendTo(nil); !bytes.HasPrefix(rest, again) {
				t.Fatalf("kmsg writes record %+v as %x, we as %x", r, again, rest)
			} else {
				rest = rest[len(again):]
			}
		}
		if len(rest) > 0 {
			t.Fatalf("%d bytes behind the last record", len(rest))
		}
	})
}

func TestPatches(t *testing.T) {
	records := []rec{{0, 100, nil, []byte("a"), nil}, {1, 90, []byte("k"), nil, nil}}
	b := build(t, DefaultBuilderOptions(), records)
	if b.MaxTimestamp() != 100 {
		t.Errorf("max timestamp %d", b.MaxTimestamp())
	}
	crc := b.CRC()
	b.SetBaseOffset(1 << 40)
	b.SetLeaderEpoch(77)
	if b.BaseOffset() != 1<<40 || b.LastOffset() != 1<<40+1 || b.LeaderEpoch() != 77 || b.CRC() != crc || !b.CheckCRC() {
		t.Error("base offset and leader epoch are not free of the CRC")
	}
	b.SetLogAppendTime(5555)
	if !b.LogAppendTime() || b.MaxTimestamp() != 5555 || b.Timestamp(3) != 5555 || b.CRC() == crc || !b.CheckCRC() {
		t.Error("the log append time is not set")
	}
	b.SetMaxTimestamp(100)
	if b.LogAppendTime() || b.CRC() != crc || b.Timestamp(-10) != 90 {
		t.Error("the create time is not restored")
	}
}

func TestSequences(t *testing.T) {
	for _, c := range []struct{ s, n, want int32 }{
		{0, 0, 0}, {5, 3, 8}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 3, 1}, {math.MaxInt32, math.MaxInt32, math.MaxInt32 - 1},
	} {
		if got := AddSequence(c.s, c.n); got != c.want {
			t.Errorf("AddSequence(%d, %d) = %d, want %d", c.s, c.n, got, c.want)
		}
	}
	b := build(t, DefaultBuilderOptions(), []rec{{}, {delta: 1}})
	if b.LastSequence() != NoSequence {
		t.Errorf("a batch without a producer ends at sequence %d", b.LastSequence())
	}
}

// TestNext cuts several batches off one slice, and cuts that slice everywhere.
func TestNext(t *testing.T) {
	var data []byte
	var ends []int
	for i := range 3 {
		o := DefaultBuilderOptions()
		o.BaseOffset = int64(i * 10)
		data = append(data, build(t, o, []rec{{0, 1, nil, make([]byte, i*30), nil}})...)
		ends = append(ends, len(data))
	}
	for n := range len(data) + 1 {
		rest, count := data[:n], 0
		var err error
		for {
			var b Batch
			b, rest, err = Next(rest)
			if err != nil || b == nil {
				break
			}
			if b.BaseOffset() != int64(count*10) || !b.CheckCRC() {
				t.Fatalf("batch %d is %d", count, b.BaseOffset())
			}
			count++
		}
		whole := 0
		for _, e := range ends {
			if e <= n {
				whole++
			}
		}
		atEnd := n == 0 || whole > 0 && ends[whole-1] == n
		if count != whole || (err == nil) != atEnd || err != nil && !errors.Is(err, ErrShort) {
			t.Fatalf("cut at %d: %d batches, want %d, error %v", n, count, whole, err)
		}
	}
	short := bytes.Clone(data)
	binary.BigEndian.PutUint32(short[offLength:], HeaderSize-LogOverhead-1)
	if _, _, err := Next(short); !errors.Is(err, ErrLength) {
		t.Errorf("a length below the header: %v", err)
	}
	binary.BigEndian.PutUint32(short[offLength:], 0xffffffff)
	if _, _, err := Next(short); !errors.Is(err, ErrLength) {
		t.Errorf("a negative length: %v", err)
	}
	short[offMagic] = 1
	if _, _, err := Next(short); !errors.Is(err, ErrMagic) {
		t.Errorf("magic 1: %v", err)
	}
	if _, err := Check(data); !errors.Is(err, ErrTrailing) {
		t.Errorf("three batches where one is asked for: %v", err)
	}
	if _, err := Check(nil); !errors.Is(err, ErrShort) {
		t.Errorf("nothing: %v", err)
	}
}

// TestEveryByteIsChecked flips every bit of a batch: what the CRC covers is
// found, what it does not is base offset, length, epoch, magic and the CRC.
func TestEveryByteIsChecked(t *testing.T) {
	b := build(t, DefaultBuilderOptions(), []rec{{0, 1, []byte("key"), []byte("value"), []Header{{[]byte("h"), nil}}}})
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			_, err := Check(b)
			free := i < offLength || i >= offLeaderEpoch && i < offMagic
			if (err == nil) != free {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
			b[i] ^= 1 << bit
		}
	}
}

func TestMarkers(t *testing.T) {
	for _, want := range []Marker{{7, 3, true, 12}, {1 << 40, 0, false, 0}} {
		data, err := AppendMarker([]byte("before"), want, 99)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Check(data[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if !b.Control() || !b.Transactional() || b.Count() != 1 || b.MaxTimestamp() != 99 || b.BaseSequence() != NoSequence {
			t.Errorf("marker batch %x", b)
		}
		if got, ok, err := ParseMarker(b); err != nil || !ok || got != want {
			t.Errorf("marker %+v, %v, %v", got, ok, err)
		}
		// The same bytes as kmsg's structures.
		it := NewIter(b.Records(), 1)
		var r Record
		it.Next(&r)
		var key kmsg.ControlRecordKey
		var value kmsg.EndTxnMarker
		if err := errors.Join(key.ReadFrom(r.Key), value.ReadFrom(r.Value)); err != nil {
			t.Fatal(err)
		}
		if (key.Type == kmsg.ControlRecordKeyTypeCommit) != want.Commit || value.CoordinatorEpoch != want.CoordinatorEpoch {
			t.Errorf("kmsg reads %+v %+v", key, value)
		}
	}
	o := DefaultBuilderOptions()
	o.Control = true
	leader := build(t, o, []rec{{key: []byte{0, 0, 0, 2}, value: []byte{0, 0, 1, 2, 3}}})
	if _, ok, err := ParseMarker(leader); ok || err != nil {
		t.Errorf("a leader change: %v %v", ok, err)
	}
	for _, bad := range []rec{{key: []byte{0, 0, 0}}, {key: []byte{0, 0, 0, 1}, value: []byte{0, 0, 0}}, {key: nil}} {
		if _, ok, err := ParseMarker(build(t, o, []rec{bad})); ok || !errors.Is(err, ErrMarker) {
			t.Errorf("a marker of %v: %v %v", bad, ok, err)
		}
	}
	if _, _, err := ParseMarker(build(t, DefaultBuilderOptions(), []rec{{}})); !errors.Is(err, ErrMarker) {
		t.Errorf("a data batch: %v", err)
	}
}

// TestCompactedBatch is what compaction makes of a batch: records copied with
// their offsets and times, gaps, the last offset kept, a delete horizon.
func TestCompactedBatch(t *testing.T) {
	records := []rec{
		{0, 100, []byte("a"), []byte("1"), []Header{{[]byte("h"), []byte("x")}, {[]byte("n"), nil}}},
		{1, 90, []byte("b"), nil, nil}, {2, 110, nil, []byte("3"), nil}, {3, 120, []byte("d"), []byte("4"), nil},
	}
	for _, codec := range allCodecs {
		o := DefaultBuilderOptions()
		o.Codec, o.BaseOffset, o.ProducerID, o.ProducerEpoch, o.BaseSequence = codec, 500, 9, 1, 77
		from := build(t, o, records)
		o.DeleteHorizon = 5000
		b := NewBuilder(nil, o)
		payload, err := from.Payload(nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		it := NewIter(payload, from.Count())
		for r := (Record{}); it.Next(&r); {
			if r.OffsetDelta%2 == 0 {
				b.Copy(r.OffsetDelta, from.Timestamp(r.TimestampDelta), &r)
			}
		}
		b.SetLastOffsetDelta(from.LastOffsetDelta())
		if b.Count() != 2 || b.Size() <= HeaderSize {
			t.Fatalf("%d records in %d bytes", b.Count(), b.Size())
		}
		out, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		c, err := Check(out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Validate(c, &Rules{Inflate: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		if ms, ok := c.DeleteHorizon(); !ok || ms != 5000 || c.LastOffset() != 503 || c.LastSequence() != 80 || c.MaxTimestamp() != 110 {
			t.Errorf("%v: horizon %d %v, last offset %d", codec, ms, ok, c.LastOffset())
		}
		got, err := read(c)
		if err := errors.Join(err, sameRecords(got, []rec{records[0], records[2]})); err != nil {
			t.Errorf("%v: %v", codec, err)
		}
	}
	// A batch may lose all its records and still carry its producer's sequence.
	o := DefaultBuilderOptions()
	o.BaseOffset, o.ProducerID, o.ProducerEpoch, o.BaseSequence = 500, 9, 1, 77
	b := NewBuilder(nil, o)
	b.SetLastOffsetDelta(3)
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Check(out); err != nil || c.Count() != 0 || c.LastOffset() != 503 || c.LastSequence() != 80 || c.MaxTimestamp() != NoTimestamp {
		t.Errorf("an emptied batch: %x, %v", c, err)
	}
}

func TestAllocations(t *testing.T) {
	b := build(t, DefaultBuilderOptions(), []rec{{0, 1, []byte("k"), []byte("v"), []Header{{[]byte("h"), nil}}}, {1, 2, nil, nil, nil}})
	rules := Rules{Client: true}
	n := testing.AllocsPerRun(100, func() {
		if _, err := Validate(b, &rules); err != nil {
			t.Fatal(err)
		}
		b.SetBaseOffset(b.NextOffset())
		b.SetBaseOffset(0)
		b.SetLogAppendTime(1)
		b.SetMaxTimestamp(2)
	})
	if n != 0 {
		t.Errorf("validating and patching allocates %v times", n)
	}
}

func BenchmarkValidate(b *testing.B) {
	var records []rec
	for i := range int32(64) {
		records = append(records, rec{delta: i, time: 1, value: make([]byte, 256)})
	}
	batch := build(b, DefaultBuilderOptions(), records)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Validate(batch, &Rules{Client: true}); err != nil {
			b.Fatal(err)
		}
	}
}

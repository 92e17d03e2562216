package record

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/chronik-stream/chronik/codec/compress"
)

// edit changes a batch and makes its CRC right again.
func edit(b Batch, f func(b Batch)) Batch {
	f(b)
	b.SetCRC()
	return b
}

func put32(at int, v int32) func(Batch) {
	return func(b Batch) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
}

// TestValidateHeader is Kafka's LogValidator on the header, case by case.
func TestValidateHeader(t *testing.T) {
	client := &Rules{Client: true}
	own := &Rules{}
	good := func() Batch {
		o := DefaultBuilderOptions()
		o.ProducerID, o.ProducerEpoch, o.BaseSequence = 5, 0, 0
		return build(t, o, []rec{{0, 10, nil, []byte("a"), nil}, {1, 20, []byte("k"), nil, nil}})
	}
	for _, c := range []struct {
		name  string
		batch Batch
		rules *Rules
		want  error
	}{
		{"a good batch", good(), client, nil},
		{"nothing", nil, client, ErrShort},
		{"cut in the header", good()[:60], client, ErrShort},
		{"cut in the records", good()[:65], client, ErrShort},
		{"bytes behind it", append(good(), 0), client, ErrTrailing},
		{"two batches", append(good(), good()...), client, ErrTrailing},
		{"length below the header", edit(good(), put32(offLength, 48)), client, ErrLength},
		{"negative length", edit(good(), put32(offLength, -1)), client, ErrLength},
		{"magic 1", edit(good(), func(b Batch) { b[offMagic] = 1 }), client, ErrMagic},
		{"magic 3", edit(good(), func(b Batch) { b[offMagic] = 3 }), client, ErrMagic},
		{"wrong CRC", func() Batch { b := good(); b[70] ^= 1; return b }(), client, ErrCRC},
		{"codec 5", edit(good(), func(b Batch) { b[offAttributes+1] |= 5 }), client, ErrCodec},
		{"count 0", edit(good(), put32(offCount, 0)), client, ErrCount},
		{"count -1", edit(good(), put32(offCount, -1)), client, ErrCount},
		{"count above the offsets", edit(good(), put32(offCount, 3)), client, ErrOffsetRange},
		{"count below the offsets", edit(good(), put32(offCount, 1)), client, ErrOffsetRange},
		{"negative last offset delta", edit(good(), put32(offLastOffsetDelta, -1)), client, ErrOffsetRange},
		{"largest last offset delta", edit(good(), put32(offLastOffsetDelta, math.MaxInt32)), client, ErrOffsetRange},
		{"base offset 1", edit(good(), func(b Batch) { b.SetBaseOffset(1) }), client, ErrBaseOffset},
		{"base offset 1 of our own", edit(good(), func(b Batch) { b.SetBaseOffset(1) }), own, nil},
		{"control batch", edit(good(), func(b Batch) { b[offAttributes+1] |= attrControl }), client, ErrControl},
		{"control batch of our own", edit(good(), func(b Batch) { b[offAttributes+1] |= attrControl }), own, nil},
		{"producer without sequence", edit(good(), put32(offBaseSequence, -1)), client, ErrSequence},
		{"LogAppendTime", edit(good(), func(b Batch) { b[offAttributes+1] |= attrLogAppendTime }), client, ErrTimestampType},
		{"a record more than the count", edit(good(), func(b Batch) { put32(offCount, 1)(b); put32(offLastOffsetDelta, 0)(b) }), client, ErrRecordCount},
		{"a record less than the count", edit(good(), func(b Batch) { put32(offCount, 3)(b); put32(offLastOffsetDelta, 2)(b) }), client, ErrRecordCount},
		{"a record's length too long", edit(good(), func(b Batch) { b[HeaderSize] = 0x7e }), client, ErrRecord},
		{"a record's length negative", edit(good(), func(b Batch) { b[HeaderSize] = 0x01 }), client, ErrRecord},
		{"a record's length too short", edit(good(), func(b Batch) { b[HeaderSize] -= 2 }), client, ErrRecord},
		{"records not compressed as said", edit(good(), func(b Batch) { b[offAttributes+1] |= 1 }), &Rules{Client: true, Inflate: 1 << 20}, ErrDecompress},
	} {
		before := append(Batch(nil), c.batch...)
		if _, err := Validate(c.batch, c.rules); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if string(before) != string(c.batch) {
			t.Errorf("%s: Validate changed the batch", c.name)
		}
	}
}

func TestValidateRecords(t *testing.T) {
	for _, codec := range allCodecs {
		o := DefaultBuilderOptions()
		o.Codec = codec
		inflate := 1 << 20
		ok := build(t, o, []rec{{0, 10, nil, []byte("a"), nil}, {1, 500, []byte("k"), nil, nil}, {2, 20, nil, nil, nil}})
		s, err := Validate(ok, &Rules{Client: true, Inflate: inflate})
		if err != nil || s.MaxTimestamp != 500 || !s.Walked {
			t.Errorf("%v: %+v, %v", codec, s, err)
		}

		_, err = Validate(ok, &Rules{Client: true, NeedKeys: true, Inflate: inflate})
		var bad *InvalidRecords
		if !errors.Is(err, ErrKeyMissing) || !errors.As(err, &bad) || len(bad.Records) != 2 || bad.Records[0].Index != 0 || bad.Records[1].Index != 2 {
			t.Errorf("%v: records without keys: %v", codec, err)
		}
		_, err = Validate(ok, &Rules{Client: true, Times: true, Earliest: 15, Latest: 400, Inflate: inflate})
		if !errors.Is(err, ErrTimestamp) || !errors.As(err, &bad) || len(bad.Records) != 2 || bad.Records[1].Index != 1 {
			t.Errorf("%v: timestamps outside: %v", codec, err)
		}
		if _, err = Validate(ok, &Rules{Client: true, Times: true, Earliest: 10, Latest: 500, Inflate: inflate}); err != nil {
			t.Errorf("%v: timestamps at the bounds: %v", codec, err)
		}
		none := build(t, o, []rec{{0, NoTimestamp, nil, nil, nil}})
		if _, err = Validate(none, &Rules{Client: true, Times: true, Earliest: 10, Latest: 20, Inflate: inflate}); err != nil {
			t.Errorf("%v: a record without a timestamp: %v", codec, err)
		}

		gap := build(t, o, []rec{{0, 1, nil, nil, nil}, {2, 1, nil, nil, nil}})
		put32(offLastOffsetDelta, 1)(gap)
		gap.SetCRC()
		if _, err = Validate(gap, &Rules{Client: true, Inflate: inflate}); !errors.Is(err, ErrOffsetDelta) {
			t.Errorf("%v: a gap in a client's batch: %v", codec, err)
		}
		gap = build(t, o, []rec{{0, 1, nil, nil, nil}, {2, 1, nil, nil, nil}})
		if _, err = Validate(gap, &Rules{Inflate: inflate}); err != nil {
			t.Errorf("%v: a gap in a batch of our own: %v", codec, err)
		}

		if codec == compress.None {
			continue
		}
		s, err = Validate(ok, &Rules{Client: true})
		if err != nil || s.Walked || s.MaxTimestamp != 500 {
			t.Errorf("%v not opened: %+v, %v", codec, s, err)
		}
		if _, err = Validate(ok, &Rules{Client: true, Times: true, Latest: 400}); !errors.Is(err, ErrTimestamp) {
			t.Errorf("%v not opened, timestamp outside: %v", codec, err)
		}
		big := build(t, o, []rec{{0, 1, nil, make([]byte, 1<<20), nil}})
		if _, err = Validate(big, &Rules{Client: true, Inflate: 1 << 20}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: a bomb: %v", codec, err)
		}
	}
}

// TestMaxTimestampIsFound: the header may lie; Kafka corrects it.
func TestMaxTimestampIsFound(t *testing.T) {
	b := build(t, DefaultBuilderOptions(), []rec{{0, 10, nil, nil, nil}, {1, 30, nil, nil, nil}})
	b.SetMaxTimestamp(7)
	s, err := Validate(b, &Rules{Client: true})
	if err != nil || s.MaxTimestamp != 30 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestRecordErrorsAreBounded(t *testing.T) {
	var records []rec
	for i := range int32(1000) {
		records = append(records, rec{delta: i})
	}
	_, err := Validate(build(t, DefaultBuilderOptions(), records), &Rules{NeedKeys: true})
	var bad *InvalidRecords
	if !errors.As(err, &bad) || len(bad.Records) != maxRecordErrors {
		t.Errorf("%v", err)
	}
}

// TestHostileRecords are bodies whose inner lengths lie.
func TestHostileRecords(t *testing.T) {
	for _, c := range []struct {
		name string
		body string
	}{
		{"empty body", ""},
		{"no timestamp", "\x00"},
		{"no offset", "\x00\x00"},
		{"no key", "\x00\x00\x00"},
		{"key beyond the record", "\x00\x00\x00\x7e\x01\x00"},
		{"value beyond the record", "\x00\x00\x00\x01\x7e\x00"},
		{"no header count", "\x00\x00\x00\x01\x01"},
		{"negative header count", "\x00\x00\x00\x01\x01\x01"},
		{"2^31-1 headers", "\x00\x00\x00\x01\x01\xfe\xff\xff\xff\x0f"},
		{"header without a key", "\x00\x00\x00\x01\x01\x02\x01\x01"},
		{"header cut off", "\x00\x00\x00\x01\x01\x02\x02h"},
		{"bytes behind the record", "\x00\x00\x00\x01\x01\x00\x00"},
		{"timestamp of eleven bytes", "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x01\x01\x00"},
		{"offset of 33 bits", "\x00\x00\xff\xff\xff\xff\x7f\x01\x01\x00"},
	} {
		payload := binary.AppendVarint(nil, int64(len(c.body)))
		payload = append(payload, c.body...)
		it := NewIter(payload, 1)
		var r Record
		if it.Next(&r) || !errors.Is(it.Err(), ErrRecord) {
			t.Errorf("%s: %+v, %v", c.name, r, it.Err())
		}
		if it.Next(&r) {
			t.Errorf("%s: the walk goes on behind an error", c.name)
		}
	}
}

func FuzzValidate(f *testing.F) {
	for _, codec := range allCodecs {
		o := DefaultBuilderOptions()
		o.Codec = codec
		f.Add([]byte(build(f, o, []rec{{0, 1, []byte("k"), []byte("v"), []Header{{[]byte("h"), []byte("x")}}}, {1, 2, nil, nil, nil}})))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= HeaderSize {
			Batch(data).SetCRC() // or the fuzzer never gets past it
		}
		s, err := Validate(data, &Rules{Client: true, Inflate: 1 << 20})
		if err != nil {
			return
		}
		records, err := read(Batch(data))
		if err != nil {
			t.Fatalf("a valid batch does not read: %v", err)
		}
		latest := int64(NoTimestamp)
		for i, r := range records {
			if r.delta != int32(i) {
				t.Fatalf("record %d has delta %d", i, r.delta)
			}
			latest = max(latest, r.time)
		}
		if latest != s.MaxTimestamp || len(records) != int(Batch(data).Count()) {
			t.Fatalf("%d records until %d, %+v", len(records), latest, s)
		}
	})
}

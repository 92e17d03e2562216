package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func message(magic int8, codec compress.Codec, offset, timestamp int64, key, value []byte) []byte {
	return appendMessage(nil, magic, byte(codec), offset, timestamp, key, value)
}

// reseal makes a message's checksum right again.
func reseal(m []byte) []byte {
	binary.BigEndian.PutUint32(m[offMessageCRC:], crc32.ChecksumIEEE(m[offMessageMagic:]))
	return m
}

// TestConversions goes from v2 down to an old format and up again; what comes
// back is what an old client can see of it.
func TestConversions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		magic := int8(rapid.IntRange(0, 1).Draw(t, "magic"))
		var batches []byte
		var want []rec
		var codec compress.Codec
		base := rapid.Int64Range(0, 1<<40).Draw(t, "base")
		next := base
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			o := drawOptions(t)
			if o.Codec == compress.Zstd {
				o.Codec = compress.None
			}
			o.BaseOffset = next
			if rapid.IntRange(0, 4).Draw(t, "control") == 0 {
				marker, err := AppendMarker(nil, Marker{ProducerID: 1}, 5)
				if err != nil {
					t.Fatal(err)
				}
				Batch(marker).SetBaseOffset(next)
				batches = append(batches, marker...)
				next++
				continue
			}
			if o.Codec != compress.None {
				codec = o.Codec
			}
			records := drawRecords(t, true)
			b := build(t, o, records)
			batches = append(batches, b...)
			for _, r := range records {
				r.delta += int32(next - base)
				r.headers = nil
				if magic == 0 {
					r.time = NoTimestamp
				}
				want = append(want, r)
			}
			next = b.NextOffset()
		}
		down, err := DownConvert([]byte("before"), batches, magic, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		down = down[len("before"):]
		got, gotCodec, err := visit(down, base)
		if err := errors.Join(err, sameRecords(got, want)); err != nil || gotCodec != codec {
			t.Fatalf("codec %v, want %v: %v", gotCodec, codec, err)
		}
		up, err := UpConvert([]byte("before"), down, UpConvertOptions{Codec: compress.Zstd, Level: compress.DefaultLevel, Inflate: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		up = up[len("before"):]
		if len(want) == 0 {
			if len(up) > 0 {
				t.Fatal("a batch of nothing")
			}
			return
		}
		for i := range want {
			want[i].delta = int32(i)
		}
		got, err = read(up)
		if err := errors.Join(err, sameRecords(got, want)); err != nil {
			t.Fatal(err)
		}
		if _, err := Validate(up, &Rules{Client: true, Inflate: 1 << 20}); err != nil || Batch(up).Codec() != compress.Zstd {
			t.Fatal(err)
		}
	})
}

// TestMessagesMatchKmsg: kmsg reads the same messages.
func TestMessagesMatchKmsg(t *testing.T) {
	m0 := message(0, 0, 5, 0, []byte("k"), nil)
	var k0 kmsg.MessageV0
	if err := k0.ReadFrom(m0); err != nil || k0.Offset != 5 || string(k0.Key) != "k" || int(k0.MessageSize) != len(m0)-LogOverhead || !bytes.Equal(k0.AppendTo(nil), m0) {
		t.Errorf("v0: %+v, %v", k0, err)
	}
	m1 := message(1, compress.Gzip, 5, 99, nil, []byte("v"))
	var k1 kmsg.MessageV1
	if err := k1.ReadFrom(m1); err != nil || k1.Timestamp != 99 || k1.Attributes != 1 || string(k1.Value) != "v" || !bytes.Equal(k1.AppendTo(nil), m1) {
		t.Errorf("v1: %+v, %v", k1, err)
	}
}

func wrap(t *testing.T, magic int8, codec compress.Codec, offset int64, inner ...[]byte) []byte {
	t.Helper()
	value, err := compress.Append(nil, bytes.Join(inner, nil), codec, compress.DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	return message(magic, codec, offset, 50, nil, value)
}

func TestVisitMessagesErrors(t *testing.T) {
	m0, m1 := message(0, 0, 0, 0, nil, []byte("a")), message(1, 0, 0, 9, nil, []byte("b"))
	damaged := bytes.Clone(m1)
	damaged[len(damaged)-1] ^= 1
	unknown := message(2, 0, 0, 0, nil, nil)
	negative := bytes.Clone(m1)
	binary.BigEndian.PutUint32(negative[offLength:], 0xffffffff)
	longKey := bytes.Clone(m0)
	binary.BigEndian.PutUint32(longKey[18:], 1<<30)
	trailing := append(bytes.Clone(m0), 0)
	binary.BigEndian.PutUint32(trailing[offLength:], uint32(len(trailing)-LogOverhead))
	shortV1 := message(0, 0, 0, 0, nil, nil)
	shortV1[offMessageMagic] = 1
	big := message(1, 0, 0, 0, nil, make([]byte, 2<<20))
	for _, c := range []struct {
		name string
		set  []byte
		want error
	}{
		{"nothing", nil, nil},
		{"one of each kind alone", m1, nil},
		{"formats mixed", append(bytes.Clone(m0), m1...), ErrMixedMagic},
		{"a damaged message", damaged, ErrCRC},
		{"format 2", unknown, ErrMagic},
		{"negative size", negative, ErrLength},
		{"v1 of v0's size", reseal(shortV1), ErrLength},
		{"key beyond the message", reseal(longKey), ErrRecord},
		{"bytes behind the value", reseal(trailing), ErrRecord},
		{"zstd", message(1, compress.Zstd, 0, 0, nil, []byte("x")), ErrZstd},
		{"codec 6", message(1, 6, 0, 0, nil, []byte("x")), ErrCodec},
		{"wrapper without value", message(1, compress.Gzip, 0, 0, nil, nil), ErrWrapper},
		{"wrapper of garbage", message(1, compress.Gzip, 0, 0, nil, []byte("x")), ErrDecompress},
		{"wrapper of nothing", wrap(t, 1, compress.Gzip, 0), ErrWrapper},
		{"wrapper in a wrapper", wrap(t, 1, compress.Gzip, 0, wrap(t, 1, compress.Gzip, 0, m1)), ErrNested},
		{"wrapper of the other format", wrap(t, 1, compress.Gzip, 0, m0), ErrMixedMagic},
		{"wrapper with a cut message", wrap(t, 1, compress.Gzip, 0, m1, m1[:20]), ErrRecord},
		{"wrapper with a damaged message", wrap(t, 1, compress.Gzip, 0, damaged), ErrCRC},
		{"wrapper before its messages", wrap(t, 1, compress.Gzip, 3, message(1, 0, 5, 0, nil, nil)), ErrWrapper},
		{"a bomb", wrap(t, 1, compress.Gzip, 0, big), ErrTooLarge},
		{"a bomb in two wrappers", append(wrap(t, 1, compress.Gzip, 0, big[:0:0], message(1, 0, 0, 0, nil, make([]byte, 600<<10))),
			wrap(t, 1, compress.Gzip, 0, message(1, 0, 0, 0, nil, make([]byte, 600<<10)))...), ErrTooLarge},
	} {
		if _, _, err := visit(c.set, 0); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		out, err := UpConvert([]byte("x"), c.set, UpConvertOptions{Inflate: 1 << 20, Level: compress.DefaultLevel})
		if !errors.Is(err, c.want) || err != nil && string(out) != "x" {
			t.Errorf("%s: UpConvert: %d bytes, %v", c.name, len(out), err)
		}
	}
}

// TestWrapperOffsets are the ways that brokers and clients number messages.
func TestWrapperOffsets(t *testing.T) {
	inner := func(magic int8, offsets ...int64) (set [][]byte) {
		for _, o := range offsets {
			set = append(set, message(magic, 0, o, 10, nil, nil))
		}
		return set
	}
	for _, c := range []struct {
		name  string
		set   []byte
		first int32
		last  int32
	}{
		{"v0, absolute", wrap(t, 0, compress.Snappy, 102, inner(0, 100, 101, 102)...), 100, 102},
		{"v1, relative", wrap(t, 1, compress.Snappy, 102, inner(1, 0, 1, 2)...), 100, 102},
		{"v1, relative with gaps", wrap(t, 1, compress.Snappy, 102, inner(1, 0, 7)...), 95, 102},
		{"v1 of a producer", wrap(t, 1, compress.Snappy, 2, inner(1, 0, 1, 2)...), 0, 2},
		{"v1, wrapper 0 of old librdkafka", wrap(t, 1, compress.Snappy, 0, inner(1, 0, 1, 2)...), 0, 2},
	} {
		got, _, err := visit(c.set, 0)
		if err != nil || got[0].delta != c.first || got[len(got)-1].delta != c.last {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	set := wrap(t, 1, compress.LZ4, 1, inner(1, 0, 1)...)
	set[offMessageAttributes] |= attrLogAppendTime
	got, _, err := visit(reseal(set), 0)
	if err != nil || got[0].time != 50 || got[1].time != 50 {
		t.Errorf("the wrapper's LogAppendTime does not replace the inner times: %+v, %v", got, err)
	}
}

// TestCutMessageSet: like Kafka, a message that is cut off at the end counts as
// not there; everything before it does.
func TestCutMessageSet(t *testing.T) {
	var set []byte
	var ends []int
	for i := range int64(3) {
		set = append(set, message(1, 0, i, 9, nil, []byte("value"))...)
		ends = append(ends, len(set))
	}
	for n := range len(set) + 1 {
		want := 0
		for _, e := range ends {
			if e <= n {
				want++
			}
		}
		got, _, err := visit(set[:n], 0)
		if err != nil || len(got) != want {
			t.Fatalf("cut at %d: %d messages, want %d, %v", n, len(got), want, err)
		}
	}
}

func TestDownConvertRefusals(t *testing.T) {
	o := DefaultBuilderOptions()
	plain := build(t, o, []rec{{0, 1, nil, []byte("a"), nil}, {1, 2, nil, []byte("b"), nil}})
	o.Codec = compress.Zstd
	zstd := build(t, o, []rec{{0, 1, nil, []byte("a"), nil}})
	for magic := range int8(2) {
		if out, err := DownConvert([]byte("x"), append(bytes.Clone(plain), zstd...), magic, 0, 1<<20); !errors.Is(err, ErrZstd) || string(out) != "x" {
			t.Errorf("zstd: %q, %v", out, err)
		}
	}
	if _, err := DownConvert(nil, plain[:len(plain)-1], 1, 0, 0); !errors.Is(err, ErrShort) {
		t.Errorf("cut: %v", err)
	}
	out, err := DownConvert(nil, plain, 1, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := visit(out, 0); err != nil || len(got) != 1 || got[0].delta != 1 {
		t.Errorf("from offset 1: %+v, %v", got, err)
	}
	o.Codec = compress.Gzip
	bomb := build(t, o, []rec{{0, 1, nil, make([]byte, 1<<20), nil}})
	if _, err := DownConvert(nil, bomb, 1, 0, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
}

func TestRecompress(t *testing.T) {
	for _, from := range allCodecs {
		for _, to := range allCodecs {
			o := DefaultBuilderOptions()
			o.Codec, o.BaseOffset, o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = from, 9, 8, 7, 6, true
			records := []rec{{0, 1, []byte("k"), bytes.Repeat([]byte("v"), 500), []Header{{[]byte("h"), nil}}}, {5, 9, nil, nil, nil}}
			b := build(t, o, records)
			out, err := Recompress([]byte("x"), b, to, compress.DefaultLevel, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Check(out[1:])
			if err != nil || c.Codec() != to || c.BaseOffset() != 9 || c.ProducerID() != 8 || c.BaseSequence() != 6 || !c.Transactional() || c.LastOffsetDelta() != 5 {
				t.Fatalf("%v to %v: %x, %v", from, to, c, err)
			}
			got, err := read(c)
			if err := errors.Join(err, sameRecords(got, records)); err != nil {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
		}
	}
	o := DefaultBuilderOptions()
	o.Codec = compress.Gzip
	bomb := build(t, o, []rec{{0, 1, nil, make([]byte, 1<<20), nil}})
	if _, err := Recompress(nil, bomb, compress.Zstd, compress.DefaultLevel, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
}

func FuzzVisitMessages(f *testing.F) {
	for magic := range int8(2) {
		inner := message(magic, 0, 0, 1, []byte("k"), []byte("v"))
		f.Add(inner)
		for _, codec := range []compress.Codec{compress.Gzip, compress.Snappy, compress.LZ4} {
			value, err := compress.AppendV0(nil, inner, codec, compress.DefaultLevel)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(message(magic, codec, 0, 1, nil, value))
		}
	}
	f.Fuzz(func(t *testing.T, set []byte) {
		// Checksums would keep the fuzzer out.
		for rest := set; ; {
			raw, more, err := cutMessage(rest)
			if raw == nil || err != nil {
				break
			}
			reseal(raw)
			rest = more
		}
		got, _, err := visit(set, 0)
		if err != nil {
			return
		}
		up, err := UpConvert(nil, set, UpConvertOptions{Codec: compress.None, Level: compress.DefaultLevel, Inflate: 1 << 20})
		if errors.Is(err, ErrTimestampType) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			return
		}
		for i := range got {
			got[i].delta = int32(i)
		}
		back, err := read(up)
		if err := errors.Join(err, sameRecords(back, got)); err != nil {
			t.Fatal(err)
		}
	})
}

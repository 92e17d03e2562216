package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

func TestParse(t *testing.T) {
	for _, c := range codecs {
		if got, err := Parse(c.String()); err != nil || got != c {
			t.Errorf("Parse(%q) = %v, %v", c, got, err)
		}
	}
	if c, err := Parse("uncompressed"); err != nil || c != None {
		t.Errorf("uncompressed is %v, %v", c, err)
	}
	for _, name := range []string{"", "producer", "GZIP", "brotli"} {
		if _, err := Parse(name); !errors.Is(err, ErrCodec) {
			t.Errorf("Parse(%q): %v", name, err)
		}
	}
	if Codec(5).Valid() || Codec(-1).Valid() {
		t.Error("a codec that does not exist is valid")
	}
	for _, c := range []Codec{5, 7, -1} {
		if _, err := Append(nil, nil, c, DefaultLevel); !errors.Is(err, ErrCodec) {
			t.Errorf("Append with %v: %v", c, err)
		}
		if _, err := Decompress(nil, nil, c, 1); !errors.Is(err, ErrCodec) {
			t.Errorf("Decompress with %v: %v", c, err)
		}
	}
}

func TestLevels(t *testing.T) {
	src := []byte(strings.Repeat("the quick brown fox ", 500))
	for _, c := range []struct {
		codec Codec
		level int
		ok    bool
	}{
		{Gzip, -1, true}, {Gzip, 0, false}, {Gzip, 1, true}, {Gzip, 9, true}, {Gzip, 10, false}, {Gzip, DefaultLevel, true},
		{LZ4, 0, false}, {LZ4, 1, true}, {LZ4, 9, true}, {LZ4, 17, true}, {LZ4, 18, false}, {LZ4, DefaultLevel, true},
		{Zstd, -131072, true}, {Zstd, -131073, false}, {Zstd, 1, true}, {Zstd, 3, true}, {Zstd, 22, true}, {Zstd, 23, false},
		{Snappy, 5, true}, {None, 5, true},
	} {
		out, err := Append(nil, src, c.codec, c.level)
		if !c.ok {
			if !errors.Is(err, ErrLevel) {
				t.Errorf("%v level %d: %v", c.codec, c.level, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v level %d: %v", c.codec, c.level, err)
			continue
		}
		if back, err := Decompress(nil, out, c.codec, len(src)); err != nil || !bytes.Equal(back, src) {
			t.Errorf("%v level %d does not come back: %v", c.codec, c.level, err)
		}
		if c.codec != None && len(out) > len(src)/2 {
			t.Errorf("%v level %d makes %d bytes of %d", c.codec, c.level, len(out), len(src))
		}
	}
}

// TestRoundTrip writes behind existing bytes, with pooled state of every size
// before, and reads back with exactly the limit it needs and one byte less.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(codecs).Draw(t, "codec")
		n := rapid.SampledFrom([]int{0, 1, 2, 100, 32 << 10, 32<<10 + 1, 64 << 10, 200_000}).Draw(t, "size")
		src := make([]byte, n)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		alphabet := rapid.SampledFrom([]int{1, 4, 256}).Draw(t, "alphabet")
		for i := range src {
			src[i] = byte(r.IntN(alphabet))
		}
		prefix := []byte("prefix")
		for _, way := range []struct {
			name   string
			append func(dst, src []byte, c Codec, level int) ([]byte, error)
			read   func(dst, src []byte, c Codec, limit int) ([]byte, error)
		}{{"v2", Append, Decompress}, {"v0", AppendV0, DecompressV0}, {"new into old", Append, DecompressV0}} {
			out, err := way.append(prefix[:len(prefix):len(prefix)], src, c, DefaultLevel)
			if err != nil || !bytes.HasPrefix(out, prefix) {
				t.Fatalf("%s: %v", way.name, err)
			}
			body := out[len(prefix):]
			back, err := way.read(prefix[:len(prefix):len(prefix)], body, c, n)
			if err != nil || !bytes.Equal(back[len(prefix):], src) || !bytes.HasPrefix(back, prefix) {
				t.Fatalf("%s %v: %d bytes do not come back: %v", way.name, c, n, err)
			}
			if n > 0 {
				if _, err := way.read(nil, body, c, n-1); !errors.Is(err, ErrTooLarge) {
					t.Fatalf("%s %v: limit %d of %d: %v", way.name, c, n-1, n, err)
				}
			}
		}
	})
}

// TestBombs: a megabyte-and-more that a few bytes claim or hold.
func TestBombs(t *testing.T) {
	zeros := make([]byte, 16<<20)
	for _, c := range codecs[1:] {
		bomb, err := Append(nil, zeros, c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		const limit = 1 << 20
		out, err := Decompress(nil, bomb, c, limit)
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: a bomb of %d bytes: %v", c, len(bomb), err)
		}
		if cap(out) > 2*limit {
			t.Errorf("%v: a bomb made %d bytes of room", c, cap(out))
		}
	}
	claim := binary.AppendUvarint(nil, 1<<30)
	if _, err := Decompress(nil, claim, Snappy, 1<<31-1); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a snappy block that claims 1 GiB in five bytes: %v", err)
	}
	// A zstd frame header that states 1 GiB and has nothing behind it.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40}
	if out, err := Decompress(nil, frame, Zstd, 1<<31-1); !errors.Is(err, ErrCorrupt) || cap(out) > 1<<20 {
		t.Errorf("a zstd frame that claims 1 GiB: %v, room %d", err, cap(out))
	}
}

func TestSnappyForms(t *testing.T) {
	src := []byte(strings.Repeat("raw or framed ", 100))
	raw := snappy.Encode(nil, src)
	if back, err := Decompress(nil, raw, Snappy, len(src)); err != nil || !bytes.Equal(back, src) {
		t.Errorf("a raw block: %v", err)
	}
	framed := appendSnappy(nil, src)
	twice := append(bytes.Clone(framed), framed...)
	if back, err := Decompress(nil, twice, Snappy, 2*len(src)); err != nil || len(back) != 2*len(src) {
		t.Errorf("two streams: %d bytes, %v", len(back), err)
	}
	for n := range framed {
		if n == xerialHeader {
			continue // a header alone is an empty stream
		}
		if back, err := Decompress(nil, framed[:n], Snappy, len(src)); err == nil {
			t.Errorf("cut at %d of %d it gives %d bytes", n, len(framed), len(back))
		}
	}
}

// TestLZ4HeaderChecksum: v0's wrong checksum is written, taken by V0 only, and
// is what Kafka computes (over the magic number too).
func TestLZ4HeaderChecksum(t *testing.T) {
	src := []byte(strings.Repeat("old", 100))
	right, err := Append(nil, src, LZ4, DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := AppendV0(nil, src, LZ4, DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	if right[6] == wrong[6] {
		t.Fatal("the checksums do not differ")
	}
	if _, err := Decompress(nil, wrong, LZ4, len(src)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a wrong header checksum outside v0: %v", err)
	}
	wrong[6]++
	if back, err := DecompressV0(nil, wrong, LZ4, len(src)); err != nil || !bytes.Equal(back, src) {
		t.Errorf("any header checksum in v0: %v", err)
	}
	for n := range 7 {
		if _, err := DecompressV0(nil, wrong[:n], LZ4, len(src)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	// Kafka's frame: version 1, independent blocks, no checksums, 64 KiB.
	if right[4] != 0x60 || right[5] != 0x40 {
		t.Errorf("frame flags %#x %#x, Kafka writes 0x60 0x40", right[4], right[5])
	}
}

// TestZstdWindow: a frame may state a window far above what it holds.
func TestZstdWindow(t *testing.T) {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(128<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	src := make([]byte, 300_000)
	for i := range src {
		src[i] = byte(i * i >> 8)
	}
	for i := 0; i < len(src); i += 1000 {
		if _, err := w.Write(src[i : i+1000]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var h zstd.Header
	if err := h.Decode(out.Bytes()); err != nil || h.HasFCS || h.WindowSize < 64<<20 {
		t.Fatalf("the frame is not what this test is about: %+v %v", h, err)
	}
	if back, err := Decompress(nil, out.Bytes(), Zstd, len(src)); err != nil || !bytes.Equal(back, src) {
		t.Errorf("a large window, %d bytes: %v", len(back), err)
	}
	widest := bytes.Clone(out.Bytes())
	widest[5] = 0xff // 2^41 and seven eighths
	for _, limit := range []int{len(src), 64 << 20, 1 << 30} {
		if back, err := Decompress(nil, widest, Zstd, limit); err != nil || !bytes.Equal(back, src) {
			t.Errorf("the largest window, limit %d: %d bytes: %v", limit, len(back), err)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for _, c := range codecs {
		b, err := Append(nil, []byte("some data, some data, some data"), c, DefaultLevel)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(int8(c), b)
	}
	f.Fuzz(func(t *testing.T, c int8, data []byte) {
		const limit = 1 << 20
		for _, read := range []func(dst, src []byte, c Codec, limit int) ([]byte, error){Decompress, DecompressV0} {
			out, err := read(nil, data, Codec(c), limit)
			if len(out) > limit {
				t.Fatalf("%d bytes, error %v", len(out), err)
			}
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrCodec) {
				t.Fatal(err)
			}
		}
	})
}

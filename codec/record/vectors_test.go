package record

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/codec/compress"
)

// The files in testdata/java were written by Kafka's own classes; Vectors.java
// beside them says how.

func vector(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "java", name+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// javaRecords is what Vectors.java writes: three records from offset 40 on, or
// two hundred from 0.
func javaRecords(magic int, large bool) []rec {
	var out []rec
	if large {
		for i := range int32(200) {
			value := strings.Repeat(fmt.Sprintf("line %d of a text that repeats itself; ", i), 30)
			out = append(out, rec{i, 1000 + int64(i), fmt.Appendf(nil, "k%d", i), []byte(value), nil})
		}
	} else {
		out = []rec{{0, 1000, []byte("key-0"), []byte("value-0"), nil}, {1, 1005, nil, []byte("value-1"), nil}, {2, 1003, []byte("key-2"), nil, nil}}
		if magic == 2 {
			out[0].headers = []Header{{[]byte("h1"), []byte("x")}, {[]byte("h2"), nil}}
		}
	}
	return out
}

func setTimes(records []rec, at int64) []rec {
	for i := range records {
		records[i].time = at
	}
	return records
}

// visit reads a message set as records with deltas from base.
func visit(set []byte, base int64) ([]rec, compress.Codec, error) {
	var out []rec
	codec, err := VisitMessages(set, 1<<20, func(m *Message) error {
		out = append(out, rec{int32(m.Offset - base), m.Timestamp, bytes.Clone(m.Key), bytes.Clone(m.Value), nil})
		return nil
	})
	return out, codec, err
}

func TestJavaVectors(t *testing.T) {
	names, err := filepath.Glob("testdata/java/v*.bin")
	if err != nil || len(names) < 30 {
		t.Fatalf("%d vectors, %v", len(names), err)
	}
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".bin")
		t.Run(name, func(t *testing.T) {
			parts := strings.Split(name, "-")
			magic := int(parts[0][1] - '0')
			codec, err := compress.Parse(parts[1])
			if err != nil {
				t.Fatal(err)
			}
			large, appendTime := parts[len(parts)-1] == "large", parts[len(parts)-1] == "append"
			want, base := javaRecords(magic, large), int64(40)
			if large {
				base = 0
			}
			switch {
			case appendTime:
				want = setTimes(want, 7777)
			case magic == 0:
				want = setTimes(want, NoTimestamp)
			}
			data := vector(t, name)
			if m, ok := MagicOf(data); !ok || int(m) != magic {
				t.Fatalf("magic %d", m)
			}
			if magic == 2 {
				b, err := Check(data)
				if err != nil || b.Codec() != codec || b.BaseOffset() != base || b.LogAppendTime() != appendTime {
					t.Fatalf("%x: %v", b, err)
				}
				if s, err := Validate(b, &Rules{Inflate: 1 << 20}); err != nil || !s.Walked || s.MaxTimestamp != b.MaxTimestamp() {
					t.Fatalf("%+v, %v", s, err)
				}
				got, err := read(b)
				if err := errors.Join(err, sameRecords(got, want)); err != nil {
					t.Fatal(err)
				}
				return
			}
			got, gotCodec, err := visit(data, base)
			if err := errors.Join(err, sameRecords(got, want)); err != nil || gotCodec != codec {
				t.Fatalf("codec %v: %v", gotCodec, err)
			}
			up, err := UpConvert(nil, data, UpConvertOptions{Codec: KeepCodec, Level: compress.DefaultLevel, Inflate: 1 << 20})
			if appendTime {
				if !errors.Is(err, ErrTimestampType) {
					t.Fatalf("a producer's LogAppendTime: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Validate(up, &Rules{Client: true, Inflate: 1 << 20}); err != nil {
				t.Fatal(err)
			}
			got, err = read(up)
			if err := errors.Join(err, sameRecords(got, want)); err != nil || Batch(up).Codec() != codec {
				t.Fatal(err)
			}
		})
	}
}

// TestSameBytesAsJava: what is not compressed comes out as Kafka writes it.
func TestSameBytesAsJava(t *testing.T) {
	o := DefaultBuilderOptions()
	o.BaseOffset = 40
	create := build(t, o, javaRecords(2, false))
	o.LogAppendTime = 7777
	appended := build(t, o, javaRecords(2, false))
	for _, c := range []struct {
		name  string
		batch Batch
		magic int8
	}{
		{"v0-none", create, 0}, {"v1-none", create, 1}, {"v1-none-append", appended, 1}, {"v2-none", create, 2}, {"v2-none-append", appended, 2},
	} {
		got, err := []byte(c.batch), error(nil)
		if c.magic < 2 {
			got, err = DownConvert(nil, c.batch, c.magic, 0, 0)
		}
		if want := vector(t, c.name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n got %x\nwant %x", c.name, err, got, want)
		}
	}
	for _, c := range []struct {
		name string
		m    Marker
	}{{"commit", Marker{77, 6, true, 12}}, {"abort", Marker{77, 6, false, 13}}} {
		got, err := AppendMarker(nil, c.m, 5000)
		if err != nil {
			t.Fatal(err)
		}
		Batch(got).SetBaseOffset(40)
		Batch(got).SetLeaderEpoch(3)
		if want := vector(t, c.name); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, got, want)
		}
		if m, ok, err := ParseMarker(vector(t, c.name)); m != c.m || !ok || err != nil {
			t.Errorf("%s: %+v %v %v", c.name, m, ok, err)
		}
	}
}

// TestWrappersAsJava: a compressed set's wrapper has the header that Kafka
// gives it (the compressed bytes may differ).
func TestWrappersAsJava(t *testing.T) {
	for _, codec := range []compress.Codec{compress.Gzip, compress.Snappy, compress.LZ4} {
		for magic := range int8(2) {
			o := DefaultBuilderOptions()
			o.BaseOffset, o.Codec = 40, codec
			name := fmt.Sprintf("v%d-%v", magic, codec)
			got, err := DownConvert(nil, build(t, o, javaRecords(2, false)), magic, 0, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			var g, w Message
			gc, err1 := g.parse(got)
			wc, err2 := w.parse(vector(t, name))
			if err := errors.Join(err1, err2); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if gc != wc || g.Offset != w.Offset || g.Timestamp != w.Timestamp || g.Magic != w.Magic || g.LogAppendTime != w.LogAppendTime || (g.Key == nil) != (w.Key == nil) {
				t.Errorf("%s: wrapper %+v, Kafka writes %+v", name, g, w)
			}
			gi, err1 := compress.DecompressV0(nil, g.Value, codec, 1<<20)
			wi, err2 := compress.DecompressV0(nil, w.Value, codec, 1<<20)
			if err := errors.Join(err1, err2); err != nil || !bytes.Equal(gi, wi) {
				t.Errorf("%s: %v\ninside %x\nwant   %x", name, err, gi, wi)
			}
			if codec == compress.LZ4 && g.Value[6] != w.Value[6] {
				t.Errorf("%s: frame header checksum %x, Kafka writes %x", name, g.Value[6], w.Value[6])
			}
		}
	}
}

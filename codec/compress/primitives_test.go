package compress

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
)

// The primitives whose inner loops are vectorised: the batch checksum, the hash
// of seals and compaction, the codecs. bench/primitives runs what is here twice,
// the second time built with the tag noasm and with GODEBUG=cpu.all=off, which
// leaves Go code alone.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// jsonLike is n bytes that compress about as well as records of JSON do.
func jsonLike(n int) []byte {
	rng := rand.New(rand.NewPCG(7, 11))
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, `{"id":%d,"user":"u%05d","amount":%d.%02d,"state":"%s"},`, rng.Uint32(), rng.IntN(5000), rng.IntN(1000), rng.IntN(100),
			[]string{"open", "paid", "sent", "closed"}[rng.IntN(4)])
	}
	return b[:n]
}

// sums are the hashes of prefixes of many lengths, at odd places too.
func sums() string {
	data := jsonLike(70 << 10)
	var s strings.Builder
	for _, n := range []int{0, 1, 3, 8, 16, 17, 31, 64, 128, 129, 240, 241, 255, 1024, 1025, 4095, 16 << 10, 64 << 10, 65537} {
		for _, from := range []int{0, 1, 13} {
			p := data[from : from+n]
			h := xxh3.Hash128(p)
			fmt.Fprintf(&s, "%d %d %08x %016x %016x%016x\n", n, from, crc32.Checksum(p, castagnoli), xxh3.Hash(p), h.Hi, h.Lo)
		}
	}
	return s.String()
}

// TestPrimitivesAgree holds this build against what the build without assembly
// has written into testdata/primitives: the same hashes, and its compressed data
// is read. With CHRONIK_WRITE_PRIMITIVES it writes those files.
func TestPrimitivesAgree(t *testing.T) {
	const dir = "testdata/primitives"
	plain := jsonLike(16 << 10)
	files := map[string][]byte{"sums.txt": []byte(sums())}
	for _, c := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		packed, err := Append(nil, plain, c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		files[c.String()] = packed
	}
	if os.Getenv("CHRONIK_WRITE_PRIMITIVES") != "" {
		for name, b := range files {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, mine := range files {
		theirs, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "sums.txt" {
			if !bytes.Equal(mine, theirs) {
				t.Errorf("the hashes differ from those without vectors:\n%s", mine)
			}
			continue
		}
		c, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		for whose, packed := range map[string][]byte{"this build's": mine, "the other build's": theirs} {
			if got, err := Decompress(nil, packed, c, len(plain)); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s, %s data: %d bytes of %d, %v", name, whose, len(got), len(plain), err)
			}
		}
	}
}

// BenchmarkPrimitives: bytes are those of the uncompressed data.
func BenchmarkPrimitives(b *testing.B) {
	data := jsonLike(64 << 10)
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	var sum uint64
	run("CRC-32C", func() error { sum += uint64(crc32.Checksum(data, castagnoli)); return nil })
	run("XXH3-64", func() error { sum += xxh3.Hash(data); return nil })
	run("XXH3-128", func() error { sum += xxh3.Hash128(data).Lo; return nil })
	for _, c := range []Codec{LZ4, Zstd, Snappy, Gzip} {
		packed, err := Append(nil, data, c, DefaultLevel)
		if err != nil {
			b.Fatal(err)
		}
		var out, back []byte
		run(c.String()+"_compress", func() (err error) { out, err = Append(out[:0], data, c, DefaultLevel); return err })
		run(c.String()+"_decompress", func() (err error) { back, err = Decompress(back[:0], packed, c, len(data)); return err })
	}
	if sum == 1 {
		b.Log("the sums are used")
	}
}

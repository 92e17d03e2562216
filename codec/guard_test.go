package codec

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// seeds is n, or a quarter of it under the race detector.
func seeds(n uint64) uint64 {
	if raceEnabled {
		return n / 4
	}
	return n
}

// TestGuardTakesEveryValidRequest: what kmsg encodes, the guard lets through,
// and the decoded request encodes to the same bytes. Cut anywhere, it refuses.
func TestGuardTakesEveryValidRequest(t *testing.T) {
	eachVersion(func(key, version int16) {
		for seed := range seeds(24) {
			r := newRandom(seed)
			if seed == 0 {
				r.array = 200 // big arrays on the first levels
			}
			body := r.request(key, version).AppendTo(nil)
			req, err := DecodeRequest(key, version, body)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if again := req.AppendTo(nil); !bytes.Equal(again, body) {
				t.Fatalf("key %d version %d seed %d: decoded and encoded again it differs\n got %x\nwant %x", key, version, seed, again, body)
			}
			if len(body) > 3000 {
				continue
			}
			for n := range body {
				if err := Guard(key, version, body[:n]); !errors.Is(err, ErrMalformed) {
					t.Fatalf("key %d version %d seed %d cut at %d of %d: %v", key, version, seed, n, len(body), err)
				}
			}
		}
	})
}

// TestGuardTakesEmptyRequests: defaults, nulls wherever they may be.
func TestGuardTakesEmptyRequests(t *testing.T) {
	eachVersion(func(key, version int16) {
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		if _, err := DecodeRequest(key, version, req.AppendTo(nil)); err != nil {
			t.Error(err)
		}
	})
}

func TestGuardRefusesUnknown(t *testing.T) {
	for _, c := range [][2]int16{{-1, 0}, {kmsg.MaxKey + 1, 0}, {3, -1}, {3, MaxVersion(3) + 1}, {1 << 14, 3}} {
		if _, err := DecodeRequest(c[0], c[1], nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("key %d version %d: %v", c[0], c[1], err)
		}
	}
}

// TestGuardRefusesHostileCounts are the bodies that hang or swell kmsg alone.
func TestGuardRefusesHostileCounts(t *testing.T) {
	const hugeVarint = "\xff\xff\xff\xff\x0f"
	for _, c := range []struct {
		name         string
		key, version int16
		body         string
	}{
		{"ApiVersions with 2^32-1 tags", 18, 3, "\x01\x01" + hugeVarint},
		{"ApiVersions with 2^31 tags", 18, 3, "\x01\x01\x80\x80\x80\x80\x08"},
		{"Metadata v0 with a topic a byte", 3, 0, "\x00\x10\x00\x00" + string(make([]byte, 1<<20))},
		{"Metadata v9 with compact topics", 3, 9, hugeVarint + string(make([]byte, 1<<20))},
		{"Fetch with a huge tag count behind a partition", 1, 12, "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x01\x02" + string(make([]byte, 33)) + hugeVarint},
		{"OffsetCommit with 2^30 topics", 8, 2, "\x00\x01g\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00"},
		{"a varint of six bytes", 18, 3, "\x80\x80\x80\x80\x80\x00\x01\x00"},
	} {
		took := time.Hour
		for range 5 { // others use the machine: the best of a few tries counts
			start := time.Now()
			if err := Guard(c.key, c.version, []byte(c.body)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", c.name, err)
			}
			if took = min(took, time.Since(start)); took <= 50*time.Millisecond {
				break
			}
		}
		if took > 50*time.Millisecond {
			t.Errorf("%s: %v", c.name, took)
		}
	}
}

// TestGuardBoundsUnknownTags: many are a newer client, millions are not.
func TestGuardBoundsUnknownTags(t *testing.T) {
	for _, c := range []struct {
		tags int
		ok   bool
	}{{1000, true}, {maxUnknownTags, true}, {maxUnknownTags + 1, false}, {1 << 20, false}} {
		body := appendUvarint([]byte{1, 1}, uint32(c.tags))
		for i := range c.tags {
			body = append(appendUvarint(body, uint32(i)), 0)
		}
		if err := Guard(apiVersions, 3, body); (err == nil) != c.ok {
			t.Errorf("%d tags: %v", c.tags, err)
		}
	}
}

// decodeBounded decodes and fails when that takes more than 50 ms, or more than
// a fixed multiple of the body in memory.
func decodeBounded(t *testing.T, key, version int16, body []byte) {
	t.Helper()
	const limit = 50 * time.Millisecond
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	_, err := DecodeRequest(key, version, body)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	for range 3 { // others use the machine: the best of a few tries counts
		if took <= limit {
			break
		}
		start = time.Now()
		_, err = DecodeRequest(key, version, body)
		took = min(took, time.Since(start))
	}
	if took > limit && !raceEnabled {
		t.Errorf("key %d version %d: decoding %d bytes took %v: %x", key, version, len(body), took, body)
	}
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(16<<10+128*len(body)); got > most {
		t.Errorf("key %d version %d: decoding %d bytes allocated %d: %x", key, version, len(body), got, body)
	}
	if err == nil {
		return
	}
	// What the guard lets through, kmsg reads: they walk alike.
	if Guard(key, version, body) == nil {
		t.Errorf("key %d version %d: kmsg refuses what the guard took: %v: %x", key, version, err, body)
	}
}

// mutate damages a body where it hurts: lengths and counts.
func mutate(r *rand.Rand, body []byte) []byte {
	body = bytes.Clone(body)
	for range 1 + r.IntN(4) {
		if len(body) == 0 {
			return append(body, 0xff, 0xff, 0xff, 0xff, 0x0f)
		}
		at := r.IntN(len(body))
		switch r.IntN(6) {
		case 0:
			body[at] = byte(r.IntN(256))
		case 1:
			copy(body[at:], "\xff\xff\xff\xff\x0f")
		case 2:
			copy(body[at:], "\x7f\xff\xff\xff")
		case 3:
			copy(body[at:], "\x00\x00\xff\xff")
		case 4:
			body = body[:at]
		case 5:
			body = append(body[:at], body[r.IntN(at+1):]...)
		}
	}
	return body
}

func TestDecodeIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachVersion(func(key, version int16) {
		for seed := range seeds(30) {
			body := newRandom(seed).request(key, version).AppendTo(nil)
			decodeBounded(t, key, version, mutate(r, body))
		}
		for _, fill := range []byte{0x00, 0x01, 0x7f, 0x80, 0xff} {
			decodeBounded(t, key, version, bytes.Repeat([]byte{fill}, 5000))
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	eachVersion(func(key, version int16) {
		if version == MaxVersion(key) {
			f.Add(key, version, newRandom(3).request(key, version).AppendTo(nil))
		}
	})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		decodeBounded(t, key, version, body)
	})
}

// BenchmarkGuard is a request of many small parts, the guard's worst case.
func BenchmarkGuard(b *testing.B) {
	r := newRandom(1)
	r.array = 400
	body := r.request(8, 8).AppendTo(nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Guard(8, 8, body); err != nil {
			b.Fatal(err)
		}
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	for _, key := range []int16{0, 1, 3, 8, 11, 18} {
		version := MaxVersion(key)
		body := newRandom(5).request(key, version).AppendTo(nil)
		allocs(t, "Guard", version, func() {
			if err := Guard(key, version, body); err != nil {
				t.Fatal(err)
			}
		})
	}
}

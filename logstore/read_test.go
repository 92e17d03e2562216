package logstore

import (
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestReadBesideAppend stops an append between the moves of its segment's size
// and of its end: readers go by the high watermark, whichever they see.
func TestReadBesideAppend(t *testing.T) {
	r := mustRig(t, rigOptions(vfs.NewMem())).ready()
	l := r.open(specOf("t", 0))
	for range 3 {
		r.put(l, "a", 1)
	}
	seg, b := l.active, makeBatch("b", 1, nobody, testNow)
	record.Batch(b).SetBaseOffset(3)
	end := seg.size.Load()
	if err := l.write(seg, b, end); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what       string
		size, next int64
	}{
		{"before the append", end, 3}, {"with its size", end + int64(len(b)), 3},
		{"with its offset", end, 4}, {"with both", end + int64(len(b)), 4},
	} {
		seg.size.Store(c.size)
		seg.next.Store(c.next)
		for _, most := range []int{1, int(end), 1 << 20} {
			for from := range int64(3) {
				s, err := l.Read(Read{Offset: from, MaxBytes: most, MinOne: true})
				if err != nil || s.Len == 0 || s.Off+s.Len > end || s.NextOffset > 3 || s.NextOffset <= from {
					t.Errorf("%s: a read of %d bytes at %d ends at byte %d of %d, offset %d: %v", c.what, most, from, s.Off+s.Len, end, s.NextOffset, err)
				}
				if s.Len > 0 {
					s.Seg.Release()
				}
			}
		}
		if s, err := l.Read(Read{Offset: 3, MaxBytes: 1 << 20, MinOne: true}); err != nil || s.Len != 0 {
			t.Errorf("%s: a read at the high watermark has %d bytes: %v", c.what, s.Len, err)
		}
	}
	r.abandon()
}

// countedReads counts the reads of a segment's file.
type countedReads struct {
	vfs.File
	n int
}

func (c *countedReads) ReadAt(p []byte, off int64) (int, error) {
	c.n++
	return c.File.ReadAt(p, off)
}

// TestReadOfLargeBatchesLooksAtTheEnd: where a range of large batches ends is
// found at its end, whatever limits it, and not by a walk through all of it.
func TestReadOfLargeBatchesLooksAtTheEnd(t *testing.T) {
	r := mustRig(t, rigOptions(vfs.NewMem())).ready()
	defer r.close()
	l := r.open(specOf("t", 0))
	const batches, records = 40, 10
	text := strings.Repeat("x", 2000)
	var sizes []int64 // sizes[i]: bytes of the first i batches
	for range batches {
		sizes = append(sizes, l.active.size.Load())
		r.put(l, text, records)
	}
	sizes = append(sizes, l.active.size.Load())
	counted := &countedReads{File: l.active.file}
	l.active.file = counted
	for from := range batches {
		for to := from + 1; to <= batches; to++ {
			for _, over := range []int64{0, 1, 5000} { // bytes that end no further batch
				counted.n = 0
				s, err := l.Read(Read{Offset: int64(from * records), MaxBytes: int(sizes[to] - sizes[from] + over), MinOne: true})
				if err != nil {
					t.Fatal(err)
				}
				s.Seg.Release()
				if s.Off != sizes[from] || s.Off+s.Len != sizes[to] || s.NextOffset != int64(to*records) {
					t.Errorf("batches %d to %d and %d bytes: got bytes %d to %d, next offset %d; want %d to %d, %d",
						from, to, over, s.Off, s.Off+s.Len, s.NextOffset, sizes[from], sizes[to], to*records)
				}
				if counted.n > 4 {
					t.Errorf("batches %d to %d and %d bytes: %d reads", from, to, over, counted.n)
				}
			}
		}
	}
	l.active.file = counted.File
}

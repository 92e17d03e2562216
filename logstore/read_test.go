package logstore

import (
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

package logstore

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
	"github.com/chronik-stream/chronik/mmap"
)

// TestFaultInAWindow cuts a segment's file below its map, on a real kernel: the
// next append's copy is a SIGBUS, which takes its data directory offline and
// nothing else.
func TestFaultInAWindow(t *testing.T) {
	o := rigOptions(vfs.OS)
	o.Dirs = []string{t.TempDir(), t.TempDir()}
	o.SegmentWrite, o.DirectBytes = "mmap", -1
	r := mustRig(t, o).ready()
	for _, d := range r.s.dirs {
		if !d.mapper.on {
			t.Skipf("the file system of %s does not reserve what is allocated: nothing is mapped", d.path)
		}
		d.mapper.hot = 1
	}
	l, other := r.open(specOf("t", 0)), r.open(specOf("u", 0))
	if l.dir == other.dir {
		t.Fatal("two new partitions went to one directory")
	}
	n := 0
	eventually(t, "the log has a window", func() bool {
		r.put(l, "before", 1)
		n++
		return l.windowed()
	})
	if err := os.Truncate(l.active.path()+suffixLog, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.append(l, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
		t.Fatalf("an append to a page that is gone: %v", err)
	}
	var fault *mmap.FaultError
	if off := r.offline(); len(off) != 1 || !errors.As(off[0], &fault) || !errors.Is(off[0], syscall.EIO) {
		t.Errorf("OnOffline was told %v", off)
	}
	if _, err := l.Read(Read{Offset: 0, MaxBytes: 100}); !errors.Is(err, ErrOffline) {
		t.Errorf("a read after it: %v", err)
	}
	for _, d := range r.s.Dirs() {
		if d.Online != (d.Path == other.Dir()) {
			t.Errorf("dir %+v", d)
		}
	}
	eventually(t, "the other log has a window", func() bool {
		r.put(other, "after", 1)
		return other.windowed()
	})
	r.close()

	// The segment's bytes are gone, the journal's are not.
	r = mustRig(t, o)
	l = r.open(specOf("t", 0))
	r.open(specOf("u", 0))
	r.ready()
	if have := r.readAll(l, 0, false); len(have) < n {
		t.Errorf("%d of %d records are there after a restart", len(have), n)
	}
	r.close()
}

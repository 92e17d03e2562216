package logstore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestBallast: on a full disk internal appends live on the ballast, clients are
// refused until there is room for it again, and a start needs it too.
func TestBallast(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	o.Ballast = 4 << 20
	r := mustRig(t, o).ready()
	d := r.s.dirs[0]
	l := r.open(specOf("t", 0))
	spec := specOf("__internal", 0)
	spec.Internal = true
	in := r.open(spec)
	r.put(l, "one", 1)
	// What the keeper takes by itself it has taken before the disk is full.
	eventually(t, "the ring has its second file", func() bool {
		d.journal.mu.Lock()
		defer d.journal.mu.Unlock()
		return !d.journal.wanting
	})
	d.measure()
	if !d.ballast.Load() {
		t.Fatal("there is no ballast")
	}
	fill := func(more int64) {
		t.Helper()
		u, err := disk.Usage("/data")
		if err != nil {
			t.Fatal(err)
		}
		disk.SetCapacity(int64(u.Total-u.Free) + more)
	}
	fill(0)
	big := strings.Repeat("x", 8<<10)
	if _, err := r.append(l, Append{Batches: makeBatch(big, 1, nobody, testNow)}); !errors.Is(err, ErrDiskFull) {
		t.Errorf("a client on a full disk: %v", err)
	}
	r.put(in, big, 1)
	eventually(t, "the ballast is given up", func() bool { return !d.ballast.Load() })
	d.measure()
	if _, err := r.append(l, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrDiskFull) {
		t.Errorf("a client on what the ballast left: %v", err)
	}
	fill(16 << 20)
	d.measure()
	r.put(l, "two", 1)
	if !d.ballast.Load() {
		t.Error("the ballast was not made again")
	}
	fill(0)
	disk.CutPower()
	r.abandon()
	o.FS = disk.Kill()
	r = mustRig(t, o) // the journal's first file takes the ballast's room
	l = r.open(specOf("t", 0))
	r.open(spec)
	r.ready()
	if have := r.readAll(l, 0, false); len(have) != 2 {
		t.Errorf("after a start on a full disk: %v", have)
	}
	r.close()
}

// TestFullExt4 fills a real file system under produce, and gets it going again
// by DeleteRecords. It needs root and a loop device.
func TestFullExt4(t *testing.T) {
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	if err := os.Mkdir(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{{"truncate", "-s", "64M", image}, {"mkfs.ext4", "-q", "-F", "-m", "0", image}, {"mount", "-o", "loop", image, mount}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%v: %v: %s", c, err, out)
		}
	}
	t.Cleanup(func() {
		eventually(t, "the disk is unmounted", func() bool { return exec.Command("umount", mount).Run() == nil })
	})
	for _, write := range []string{"pwrite", "mmap"} {
		data := filepath.Join(mount, write)
		fillAndFree(t, data, write)
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
	}
}

func fillAndFree(t *testing.T, data, write string) {
	o := rigOptions(vfs.OS)
	o.Dirs, o.SegmentWrite, o.JournalMax, o.Ballast = []string{data}, write, 4<<20, 0
	r := mustRig(t, o).ready()
	d := r.s.dirs[0]
	spec := specOf("t", 0)
	spec.Config.SegmentBytes, spec.Config.FileDeleteDelayMs = 1<<20, 0
	inSpec := specOf("__internal", 0)
	inSpec.Internal = true
	spec.Config.RetentionMs, inSpec.Config.RetentionMs = -1, -1 // on a slow machine its time comes
	l, in := r.open(spec), r.open(inSpec)
	d.measure()
	if !d.ballast.Load() {
		t.Fatalf("%s: no ballast on ext4", write)
	}
	big := strings.Repeat("x", 20<<10)
	fill := func() (n int) {
		t.Helper()
		for ; ; n++ {
			_, err := r.append(l, Append{Batches: makeBatch(big, 1, nobody, testNow)})
			if errors.Is(err, ErrDiskFull) {
				return n
			}
			if err != nil || n > 10_000 {
				t.Fatalf("%s: append %d: %v", write, n, err)
			}
		}
	}
	n := fill()
	if n < 1000 {
		t.Errorf("%s: the disk was full after %d appends of 20 KiB", write, n)
	}
	if have := r.readAll(l, 0, false); len(have) != n {
		t.Errorf("%s: %d of %d records are read from a full disk", write, len(have), n)
	}
	for i := range 20 {
		r.put(in, fmt.Sprint("commit", i), 1)
	}
	free := func() {
		t.Helper()
		o := l.Offsets()
		half := o.LogStart + (o.HighWatermark-o.LogStart)/2
		if start, err := l.DeleteRecords(half); err != nil || start != half {
			t.Fatalf("%s: DeleteRecords on a full disk: %d, %v", write, start, err)
		}
		eventually(t, "a checkpoint on a full disk", func() bool { return r.s.Checkpoint() == nil })
		eventually(t, "clients are let in again", func() bool {
			d.keeper.poke()
			d.measure()
			return !d.full.Load()
		})
	}
	free()
	more := 0 // the files of deleted segments go one after the other
	eventually(t, "300 appends fit after DeleteRecords", func() bool {
		d.keeper.poke()
		d.measure()
		more += fill()
		return more >= 300
	})
	// A start needs room for a journal file; TestBallast has a start that finds
	// none but the ballast's.
	free()
	end := l.Offsets().HighWatermark
	if err := r.s.Close(); err != nil && !errors.Is(err, ErrDiskFull) {
		t.Errorf("%s: a stop on a full disk: %v", write, err)
	}
	r = mustRig(t, o)
	l, in = r.open(spec), r.open(inSpec)
	r.ready()
	if o := l.Offsets(); o.HighWatermark != end {
		t.Errorf("%s: after a restart the log ends at %d, not %d", write, o.HighWatermark, end)
	}
	if have := r.readAll(in, 0, false); len(have) != 20 {
		t.Errorf("%s: the internal log has %d records", write, len(have))
	}
	r.close()
}

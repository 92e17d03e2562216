package logstore

import (
	"slices"
	"sync"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestMarkComesBeforeTheCapture: an append is acknowledged while a checkpoint
// syncs what it captured. The checkpoint does not vouch for it, so its group must
// not count as covered: the segment has the records in no durable page.
func TestMarkComesBeforeTheCapture(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	r.put(l, "before", 1)
	var once sync.Once
	disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*" + suffixLog, Hook: func() { once.Do(func() { r.put(l, "meanwhile", 1) }) }})
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	disk.CutPower()
	r.abandon()
	o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
	r = mustRig(t, o)
	l = r.open(specOf("t", 0))
	r.ready()
	if have := r.readAll(l, 0, false); !slices.Equal(have, []got{{0, "before/0"}, {1, "meanwhile/0"}}) {
		t.Errorf("after the power cut there is %v", have)
	}
	r.close()
}

// TestRecoveryCutsTheFile: what lies behind the recovered end is gone from the
// file too, not only from what is served: Kafka's tools read to the file's end.
func TestRecoveryCutsTheFile(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	r.put(l, "x", 3)
	name, want := l.active.path()+suffixLog, l.active.size.Load()
	disk.CutPower()
	r.abandon()
	after := disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
	spew(t, after, name, append(slurp(t, after, name), make([]byte, 700)...))
	o.FS = after
	r = mustRig(t, o)
	r.open(specOf("t", 0))
	r.ready()
	if n := len(slurp(t, after, name)); int64(n) != want {
		t.Errorf("the file has %d bytes, its log %d", n, want)
	}
	r.close()
}

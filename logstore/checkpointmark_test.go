package logstore

import (
	"path/filepath"
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

// TestMarkComesBeforeEveryCapture: an append is acknowledged after its log was
// captured and before another was, and nothing was synced yet. The mark must be
// older than the first capture.
func TestMarkComesBeforeEveryCapture(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	first, second := r.open(specOf("t", 0)), r.open(specOf("t", 1))
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	r.put(first, "before", 1)
	r.put(second, "before", 1)
	second.mu.Lock() // its capture waits
	saved := make(chan error, 1)
	go func() { saved <- r.s.Checkpoint() }()
	eventually(t, "the first log is captured", func() bool {
		first.mu.Lock()
		defer first.mu.Unlock()
		return !first.listed
	})
	if err := first.Roll(testNow); err != nil { // what was captured is synced later, with all that its file has
		t.Fatal(err)
	}
	r.put(first, "meanwhile", 1)
	second.mu.Unlock()
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	disk.CutPower()
	r.abandon()
	o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
	r = mustRig(t, o)
	first, _ = r.open(specOf("t", 0)), r.open(specOf("t", 1))
	r.ready()
	if have := r.readAll(first, 0, false); !slices.Equal(have, []got{{0, "before/0"}, {1, "meanwhile/0"}}) {
		t.Errorf("after the power cut there is %v", have)
	}
	r.close()
}

// TestRecoveryTakesAStaleSealAway: a seal beside a segment that recovery opens again
// is of other bytes. The scrub would call the segment damaged once it is rolled.
func TestRecoveryTakesAStaleSealAway(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	r.put(l, "x", 3)
	stale := Seal{Next: 1, Size: 70, Batches: 1, MaxTimestamp: testNow}
	name := l.active.path() + suffixSeal
	disk.CutPower()
	r.abandon()
	after := disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
	spew(t, after, name, stale.encode())
	o.FS = after
	r = mustRig(t, o)
	l = r.open(specOf("t", 0))
	r.ready()
	if _, err := after.Stat(name); !isMissing(err) {
		t.Errorf("the seal of the segment that is written to: %v", err)
	}
	r.put(l, "y", 1)
	if have := r.readAll(l, 0, false); len(have) != 4 {
		t.Errorf("there is %v", have)
	}
	r.close()
}

// TestRecoverySyncsItsNames: a segment that recovery makes again has its name when
// OpenLog returns; a reader or a direct sync need not wait for the next checkpoint.
func TestRecoverySyncsItsNames(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	r.put(l, "x", 1)
	keeper := &r.s.dirs[0].ckptMu // a seal of what is rolled would sync the names before the cut
	keeper.Lock()
	if err := l.Roll(testNow); err != nil {
		t.Fatal(err)
	}
	r.put(l, "y", 1)
	name := l.active.path() + suffixLog
	disk.CutPower()
	keeper.Unlock()
	r.abandon()
	lost := vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone}
	disk = disk.Crash(nil, lost)
	if _, err := disk.Stat(name); filepath.Base(name) != segmentName(1, suffixLog) || !isMissing(err) {
		t.Fatalf("%s was not to outlive the cut: %v", name, err)
	}
	o.FS = disk
	r = mustRig(t, o)
	r.open(specOf("t", 0))
	disk.CutPower()
	r.abandon()
	if _, err := disk.Crash(nil, lost).Stat(name); err != nil {
		t.Errorf("recovered, opened, and after the next cut: %v", err)
	}
}

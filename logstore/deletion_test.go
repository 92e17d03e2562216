package logstore

import (
	"errors"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestCreateAndDeleteAreDurable: both hold on return, whatever the power does.
func TestCreateAndDeleteAreDurable(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	made, err := r.s.CreateLog(specOf("made", 0))
	if err != nil {
		t.Fatal(err)
	}
	gone := r.open(specOf("gone", 0))
	r.put(gone, "x", 1)
	open := r.s.Stats().OpenFiles
	if err := r.s.Delete(gone); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Stat(gone.path); !isMissing(err) {
		t.Errorf("the directory of a deleted log has its name still: %v", err)
	}
	if n := r.s.Stats().OpenFiles; n != open-1 {
		t.Errorf("%d files are open after the deletion, %d before", n, open)
	}
	disk.CutPower()
	r.abandon()
	disk = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
	if _, err := disk.Stat(gone.path); !isMissing(err) {
		t.Errorf("the power brought a deleted log back: %v", err)
	}
	if id, ok, err := readPartitionMetadata(disk, made.path); err != nil || !ok || id != made.id {
		t.Errorf("the topic id of a new log after a power cut: %v, %v, %v", id, ok, err)
	}
}

// TestDamageIsRemembered: a hole that was found once is one after restarts.
func TestDamageIsRemembered(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	for range 3 {
		r.put(l, "x", 1)
	}
	size := l.active.size.Load() / 3
	l.mu.Lock()
	err := l.addDamage([]damagedRange{{place{1, 0, size}, place{2, 0, 2 * size}}})
	l.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.close()
		r = mustRig(t, o)
		l = r.open(specOf("t", 0))
		r.ready()
		if _, err := l.Read(Read{Offset: 1, MaxBytes: 100}); !errors.Is(err, ErrDamaged) {
			t.Errorf("a read in the hole: %v", err)
		}
		if have := r.readAll(l, 2, false); len(have) != 1 {
			t.Errorf("behind the hole: %v", have)
		}
		if _, err := r.append(l, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrReadOnly) {
			t.Errorf("an append: %v", err)
		}
	}
	r.close()
}

// TestNothingStaysToBeDeleted: what retention and compaction replaced is unlinked,
// and what compaction made is sealed.
func TestNothingStaysToBeDeleted(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	defer r.close()
	spec := specOf("t", 0)
	spec.Config.SegmentBytes, spec.Config.FileDeleteDelayMs, spec.Config.RetentionMs = 1000, 1, -1
	spec.Config.Compact, spec.Config.MinDirtyRatio = true, 0
	l := r.open(spec)
	for range 60 {
		r.put(l, "x", 1)
	}
	names := func(suffix string) (n int) {
		entries, err := disk.ReadDir(l.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), suffix) {
				n++
			}
		}
		return n
	}
	settled := func() bool {
		r.s.dirs[0].keeper.poke()
		return names(suffixDeleted) == 0 && names(suffixSeal) == names(suffixLog)-1
	}
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := r.s.CompactNow(testNow); err != nil {
		t.Fatal(err)
	}
	eventually(t, "compaction's remains are unlinked and its segments sealed", settled)
	if n := r.s.Upkeep().Compactions; n == 0 {
		t.Error("nothing was compacted")
	}
	c := l.Config()
	c.RetentionMs = 1
	l.SetConfig(c)
	if err := l.ExpireNow(testNow + 1<<40); err != nil {
		t.Fatal(err)
	}
	eventually(t, "expired segments are unlinked", settled)
	if n := names(suffixLog); n != 1 {
		t.Errorf("%d segments after retention", n)
	}
}

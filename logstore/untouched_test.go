package logstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestUntouchedLogsNeedNoRecovery: after a kill, or a power cut that leaves
// what was not synced in the journal only, just the logs that something came to
// behind the last checkpoint are recovered, and all of them are whole.
func TestUntouchedLogsNeedNoRecovery(t *testing.T) {
	t.Run("killed", func(t *testing.T) {
		untouchedLogs(t, func(disk *vfs.Mem) *vfs.Mem { return disk.Kill() })
	})
	t.Run("power cut", func(t *testing.T) {
		untouchedLogs(t, func(disk *vfs.Mem) *vfs.Mem {
			disk.CutPower()
			return disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
		})
	})
}

func untouchedLogs(t *testing.T, crash func(*vfs.Mem) *vfs.Mem) {
	const n = 40
	o := rigOptions(vfs.NewMem())
	r := mustRig(t, o).ready()
	logs := make([]*Log, n)
	for i := range logs {
		logs[i] = r.open(specOf("t", int32(i)))
		if i%2 == 0 {
			r.put(logs[i], "before", 2)
		}
	}
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{3, 4} {
		r.put(logs[i], "behind", 1)
	}
	o.FS = crash(o.FS.(*vfs.Mem))
	r = mustRig(t, o)
	for i := range logs {
		logs[i] = r.open(specOf("t", int32(i)))
	}
	r.ready()
	if st := r.s.Stats(); st.Recoveries != 2 || st.LoadedLogs != 0 {
		t.Errorf("%d logs were recovered and %d loaded; 2 were written to since the checkpoint", st.Recoveries, st.LoadedLogs)
	}
	for i, l := range logs {
		want := []string{}
		if i%2 == 0 {
			want = append(want, "before/0", "before/1")
		}
		if i == 3 || i == 4 {
			want = append(want, "behind/0")
		}
		r.put(l, "after", 1)
		want = append(want, "after/0")
		have := r.readAll(l, 0, false)
		if len(have) != len(want) {
			t.Fatalf("log %d has %v, want %v", i, have, want)
		}
		for k := range want {
			if have[k].value != want[k] || have[k].offset != int64(k) {
				t.Errorf("log %d has %v, want %v", i, have, want)
			}
		}
	}
	r.close()
}

// TestTouchedLogsAreRecovered: whatever a log's directory has that its entry
// does not explain sends it through recovery.
func TestTouchedLogsAreRecovered(t *testing.T) {
	longer := func(name string) func(*testing.T, vfs.FS, string) {
		return func(t *testing.T, disk vfs.FS, path string) {
			f, err := disk.Open(filepath.Join(path, name))
			if err != nil {
				t.Fatal(err)
			}
			size, err := f.Size()
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(make([]byte, 40), size)
			if err = errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	shorter := func(name string) func(*testing.T, vfs.FS, string) {
		return func(t *testing.T, disk vfs.FS, path string) {
			f, err := disk.Open(filepath.Join(path, name))
			if err != nil {
				t.Fatal(err)
			}
			if err = errors.Join(f.Truncate(0), f.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	created := func(name string) func(*testing.T, vfs.FS, string) {
		return func(t *testing.T, disk vfs.FS, path string) {
			f, err := disk.Create(filepath.Join(path, name))
			if err == nil {
				err = f.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	removed := func(name string) func(*testing.T, vfs.FS, string) {
		return func(t *testing.T, disk vfs.FS, path string) {
			if err := disk.Remove(filepath.Join(path, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const active, older = 3, 0
	name := segmentName
	for _, c := range []struct {
		what      string
		harm      func(*testing.T, vfs.FS, string)
		recovered uint64
		damaged   bool
	}{
		{"nothing", func(*testing.T, vfs.FS, string) {}, 0, false},
		{"bytes behind the end of the active segment", longer(name(active, suffixLog)), 1, false},
		{"a shorter active segment", shorter(name(active, suffixLog)), 1, true},
		{"no active segment", removed(name(active, suffixLog)), 1, true},
		{"a longer offset index", longer(name(active, suffixIndex)), 1, false},
		{"a shorter offset index", shorter(name(active, suffixIndex)), 1, false},
		{"no time index", removed(name(active, suffixTime)), 1, false},
		{"a segment behind the active one", created(name(9, suffixLog)), 1, false},
		{"a producer snapshot behind the recovery point", created(name(9, suffixSnapshot)), 1, false},
		{"a compaction that was cut off", created(name(older, suffixLog) + ".cleaned"), 1, false},
		{"a name that is nobody's", created("note"), 1, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			o := rigOptions(vfs.NewMem())
			r := mustRig(t, o).ready()
			spec := specOf("t", 0)
			spec.Config.IndexIntervalBytes = 1
			spec.Config.SegmentBytes = int32(3 * len(makeBatch("a0", 1, nobody, testNow)))
			l := r.open(spec)
			for i := range 7 { // a second segment at offset 3
				if i == 4 {
					spec.Config.SegmentBytes = 1 << 20
					l.SetConfig(spec.Config)
				}
				r.put(l, fmt.Sprint("a", i), 1)
			}
			if err := r.s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			if l.active.base != active || l.active.offsets.count() == 0 || l.active.times.count() == 0 {
				t.Fatalf("the active segment is %d with %d and %d index entries", l.active.base, l.active.offsets.count(), l.active.times.count())
			}
			disk := o.FS.(*vfs.Mem).Kill()
			c.harm(t, disk, l.path)
			o.FS = disk
			r = mustRig(t, o)
			l = r.open(spec)
			r.ready()
			if st := r.s.Stats(); st.Recoveries != c.recovered || (st.Damaged > 0) != c.damaged {
				t.Errorf("%d recoveries, damaged %d; want %d and %v: %s", st.Recoveries, st.Damaged, c.recovered, c.damaged, r.log)
			}
			if have, err := readLog(l, 0, false, 1<<20); !c.damaged && (err != nil || len(have) != 7) {
				t.Errorf("read %v, %v", have, err)
			}
			if err := r.s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestIndexLongerThanItsEntry: an index file that has more than the checkpoint
// vouches for after a clean stop, because a power cut undid a truncation, gives
// no lookup a wrong place.
func TestIndexLongerThanItsEntry(t *testing.T) {
	o := rigOptions(vfs.NewMem())
	r := mustRig(t, o).ready()
	spec := specOf("t", 0)
	spec.Config.IndexIntervalBytes = 1
	l := r.open(spec)
	for i := range 5 {
		r.put(l, fmt.Sprint("a", i), 1)
	}
	path := l.active.path()
	r.close()
	// Entries of an older life, in order with what comes before and after them.
	stale := map[string][]byte{suffixIndex: make([]byte, offsetFormat.size), suffixTime: make([]byte, timeFormat.size)}
	offsetFormat.put(stale[suffixIndex], offsetEntry{5, int32(4*len(makeBatch("a0", 1, nobody, testNow)) + 10)})
	timeFormat.put(stale[suffixTime], timeEntry{testNow + 1, 5})
	for suffix, stale := range stale {
		f, err := o.FS.Open(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil || size == 0 {
			t.Fatalf("%s has %d bytes, %v", suffix, size, err)
		}
		_, err = f.WriteAt(stale, size)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	r = mustRig(t, o)
	l = r.open(spec)
	r.ready()
	r.put(l, "b", 3)
	for from := range int64(8) {
		if have := r.readAll(l, from, false); int64(len(have)) != 8-from {
			t.Errorf("from %d: %v", from, have)
		}
	}
	if n := l.active.offsets.count(); n > 5 {
		t.Errorf("%d entries in the offset index of 6 batches", n)
	}
	r.close()
	for _, suffix := range []string{suffixIndex, suffixTime} {
		if _, err := Dump(o.FS, path+suffix); err != nil {
			t.Errorf("%s after a clean stop: %v", suffix, err)
		}
	}
}

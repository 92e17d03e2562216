package logstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// disks runs a test on the in-memory disk and on the real one.
func disks(t *testing.T, f func(t *testing.T, o Options)) {
	t.Run("mem", func(t *testing.T) { f(t, rigOptions(vfs.NewMem())) })
	t.Run("real", func(t *testing.T) {
		o := rigOptions(vfs.OS)
		o.Dirs = []string{t.TempDir()}
		f(t, o)
	})
}

func TestAppendReadReopen(t *testing.T) {
	disks(t, func(t *testing.T, o Options) {
		r := mustRig(t, o).ready()
		if r.s.Unclean() {
			t.Error("a new directory is called unclean")
		}
		l := r.open(specOf("t", 0))
		var want []got
		for i := range 50 {
			text := fmt.Sprint("batch", i)
			res := r.put(l, text, 1+i%3)
			if res.BaseOffset != int64(len(want)) || res.LastOffset != res.BaseOffset+int64(i%3) {
				t.Fatalf("append %d: offsets %d to %d, want base %d", i, res.BaseOffset, res.LastOffset, len(want))
			}
			for k := range 1 + i%3 {
				want = append(want, got{int64(len(want)), fmt.Sprintf("%s/%d", text, k)})
			}
		}
		for _, most := range []int{1, 100, 300, 1 << 20} {
			have, err := readLog(l, 0, false, most)
			if err != nil || !slices.Equal(have, want) {
				t.Fatalf("MaxBytes %d: read %v, %v", most, have, err)
			}
		}
		for from := range want {
			if have := r.readAll(l, int64(from), true); !slices.Equal(have, want[from:]) {
				t.Fatalf("from %d: read %v", from, have)
			}
		}
		end := int64(len(want))
		if o := l.Offsets(); o != (Offsets{0, end, end, end}) {
			t.Errorf("offsets are %+v", o)
		}
		if _, err := l.Read(Read{Offset: end + 1, MaxBytes: 1}); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("read beyond the end: %v", err)
		}
		size := l.Size()
		r.close()

		// A clean stop: nothing is loaded until it is asked for.
		r = mustRig(t, o)
		if r.s.Unclean() {
			t.Error("a clean stop is called unclean")
		}
		l = r.open(specOf("t", 0))
		r.ready()
		if l.segs.Load() != nil || r.s.Stats().Recoveries != 0 {
			t.Error("opening after a clean stop loaded the log")
		}
		if got := l.Offsets().LogEnd; got != end || l.Size() != size {
			t.Errorf("reopened: end %d, size %d", got, l.Size())
		}
		if have := r.readAll(l, 0, false); !slices.Equal(have, want) {
			t.Errorf("reopened: read %v", have)
		}
		if res := r.put(l, "more", 1); res.BaseOffset != end {
			t.Errorf("reopened: appended at %d", res.BaseOffset)
		}
		r.close()
	})
}

func TestRollAndIndexes(t *testing.T) {
	disks(t, func(t *testing.T, o Options) {
		r := mustRig(t, o).ready()
		spec := specOf("t", 3)
		spec.Config.SegmentBytes = 2000
		spec.Config.IndexIntervalBytes = 200
		l := r.open(spec)
		var want []got
		for i := range 300 {
			text := fmt.Sprint("value", i)
			r.put(l, text, 1)
			want = append(want, got{int64(i), text + "/0"})
		}
		check := func(l *Log) {
			t.Helper()
			if n := len(*l.segs.Load()); n < 10 {
				t.Errorf("%d segments after 300 appends", n)
			}
			for _, from := range []int64{0, 1, 17, 18, 19, 150, 298, 299} {
				for _, most := range []int{1, 500, 5000} {
					have, err := readLog(l, from, false, most)
					if err != nil || !slices.Equal(have, want[from:]) {
						t.Fatalf("from %d, %d bytes: %v %v", from, most, have, err)
					}
				}
			}
		}
		check(l)
		r.close()
		r = mustRig(t, o)
		l = r.open(spec)
		r.ready()
		if err := l.ensure(); err != nil {
			t.Fatal(err)
		}
		for _, s := range *l.segs.Load() {
			s.trimIndexes()
		}
		check(l)
		eventually(t, "all closed segments are sealed", func() bool {
			segs := *l.segs.Load()
			return !slices.ContainsFunc(segs[:len(segs)-1], func(s *Segment) bool { return !s.sealed.Load() })
		})
		for _, s := range *l.segs.Load() {
			raw, err := readFile(o.fs(), s.path()+suffixSeal, 1<<20)
			if !s.rolled.Load() {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			seal, err := decodeSeal(raw)
			if err != nil || seal.Base != s.base || seal.Next != s.next.Load() || seal.Size != s.size.Load() || seal.Batches != seal.Next-seal.Base {
				t.Errorf("segment %d: seal %+v, %v", s.base, seal, err)
			}
		}
		r.close()
	})
}

func (o Options) fs() vfs.FS { return o.FS }

func TestSecondOpenIsRefused(t *testing.T) {
	disks(t, func(t *testing.T, o Options) {
		r := mustRig(t, o)
		if _, err := openRig(t, o); err == nil {
			t.Error("a directory was opened twice")
		}
		r.ready().close()
	})
}

// TestFailedOpenKeepsNothing: an Open that the disk fails, at whatever step,
// leaves no descriptor and no lock.
func TestFailedOpenKeepsNothing(t *testing.T) {
	for _, known := range []bool{false, true} {
		failed := 0
		for steps := 0; ; steps++ {
			disk := vfs.NewMem()
			o := rigOptions(disk)
			if known {
				mustRig(t, o).ready().close()
			}
			remove := disk.Inject(vfs.Fault{Op: vfs.OpChanges | vfs.OpOpen | vfs.OpReadDir | vfs.OpRead, Skip: steps, Err: syscall.EIO})
			r, err := openRig(t, o)
			struck := remove() > 0
			if err == nil {
				r.abandon() // it struck nothing, or what goes on behind Open
			} else {
				failed++
			}
			if names, _ := disk.OpenFiles(); len(names) > 0 {
				t.Errorf("after %v: %v are open", err, names)
			}
			mustRig(t, o).ready().close()
			if !struck {
				break
			}
		}
		if failed < 8 {
			t.Errorf("known %v: the disk failed %d steps of Open", known, failed)
		}
	}
}

// TestSetIdentity: meta.properties is written where there is none; a full disk
// is no reason to lose the directory.
func TestSetIdentity(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	defer r.close()
	name := filepath.Join("/data/logs", fileMetaProperties)
	text := func() string {
		b, err := readFile(disk, name, 1<<12)
		if err != nil && !isMissing(err) {
			t.Fatal(err)
		}
		return string(b)
	}
	disk.Inject(vfs.Fault{Op: vfs.OpCreate, Path: fileMetaProperties + ".tmp", Err: syscall.ENOSPC})
	r.s.SetIdentity("first", 3)
	if !r.s.Dirs()[0].Online || text() != "" {
		t.Errorf("on a full disk: %+v, %q", r.s.Dirs()[0], text())
	}
	for _, cluster := range []string{"first", "second"} {
		r.s.SetIdentity(cluster, 3)
		if want := fmt.Sprintf("version=1\ncluster.id=first\nnode.id=3\ndirectory.id=%s\n", TopicID(r.s.dirs[0].id)); text() != want {
			t.Errorf("%q, want %q", text(), want)
		}
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	o := rigOptions(vfs.NewMem())
	mustRig(t, o).ready().close()
	name := filepath.Join("/data", fileFormat)
	if err := atomicWrite(o.FS, name, []byte("format=2\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := openRig(t, o); err == nil || !containsAll(err.Error(), "/data", "format 2") {
		t.Errorf("a newer format: %v", err)
	}
}

// TestKilledWhileADirectoryIsMade: the next start finds the directory and must
// not take it for durable, or a power cut takes all of it away.
func TestKilledWhileADirectoryIsMade(t *testing.T) {
	for _, c := range []struct{ journals, unsynced string }{
		{"", "/"}, {"", "/disk"}, {"", "/disk/data"}, {"", "/disk/data/journal"}, {"/fast/journals", "/"}, {"/fast/journals", "/fast"},
	} {
		disk := vfs.NewMem()
		o := rigOptions(disk)
		o.Dirs, o.JournalDir = []string{"/disk/data"}, c.journals
		struck := disk.Inject(vfs.Fault{Op: vfs.OpSyncDir, Path: c.unsynced, Err: syscall.EIO})
		r, err := openRig(t, o)
		if err == nil {
			r.abandon()
		}
		if struck() != 1 {
			t.Errorf("%s was not synced", c.unsynced)
		}
		disk = disk.Kill()
		o.FS = disk
		r = mustRig(t, o)
		l := r.open(specOf("t", 0))
		r.ready()
		r.put(l, "x", 1)
		disk.CutPower()
		r.abandon()
		o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
		r = mustRig(t, o)
		l = r.open(specOf("t", 0))
		r.ready()
		if have := r.readAll(l, 0, false); len(have) != 1 {
			t.Errorf("journals in %q, killed before the sync of %s: %v", c.journals, c.unsynced, have)
		}
		r.close()
	}
}

package logstore

import (
	"errors"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// coldLog gives a log of several segments, with an aborted transaction in each,
// that nobody has read since a clean stop: every file of it is read from the disk.
// Another log lives in another directory.
func coldLog(t *testing.T) (r *rig, disk *vfs.Mem, l, other *Log) {
	disk = vfs.NewMem()
	o := rigOptions(disk)
	o.Dirs = []string{"/one", "/two"}
	spec := specOf("a", 0)
	spec.Config.SegmentBytes, spec.Config.IndexIntervalBytes = 2000, 200
	spec.Config.Compact, spec.Config.MinDirtyRatio = true, 0
	r = mustRig(t, o).ready()
	l = r.open(spec)
	other = r.open(specOf("b", 0))
	for i := range 60 {
		if _, err := r.append(l, Append{Batches: makeBatch("v", 2, producing{100, 0, int32(2 * i), true}, testNow+int64(i)), Origin: Coordinator}); err != nil {
			t.Fatal(err)
		}
		if err := r.mark(l, 100, 0, false, 1, false); err != nil {
			t.Fatal(err)
		}
	}
	r.put(other, "other", 1)
	r.close()
	r = mustRig(t, o)
	l, other = r.open(spec), r.open(specOf("b", 0))
	r.ready()
	return r, disk, l, other
}

// TestReadFaultTakesDirOffline: rule 11 for reads. What the disk does not give is
// a storage error and the directory is offline; it is not damage.
func TestReadFaultTakesDirOffline(t *testing.T) {
	read := func(o Read) func(*Log) error {
		return func(l *Log) error {
			o.MaxBytes, o.MinOne = 300, true
			s, err := l.Read(o)
			if err == nil && s.Len > 0 {
				s.Seg.Release()
			}
			return err
		}
	}
	for _, x := range []struct {
		name, path string
		op         vfs.Op
		do         func(*Log) error
	}{
		{"headers before the range", "*.log", vfs.OpRead, read(Read{Offset: 1})},
		{"headers behind the range", "*.log", vfs.OpRead, read(Read{Offset: 0})},
		{"opening a segment", "*.log", vfs.OpOpen, read(Read{Offset: 0})},
		{"the body", "*.log", vfs.OpRead, func(l *Log) error {
			s, err := l.Read(Read{Offset: 0, MaxBytes: 1 << 20})
			if err != nil {
				return err
			}
			defer s.Seg.Release()
			_, err = s.Seg.ReadAt(make([]byte, s.Len), s.Off)
			return err
		}},
		{"the body, by sendfile", "no file", vfs.OpRead, func(l *Log) error {
			s, err := l.Read(Read{Offset: 0, MaxBytes: 1 << 20})
			if err != nil {
				return err
			}
			defer s.Seg.Release()
			s.Seg.ReadFailed(syscall.EIO)
			_, err = l.Read(Read{Offset: 0})
			return err
		}},
		{"index", "*.index", vfs.OpRead, read(Read{Offset: 20})},
		{"transaction index", "*.txnindex", vfs.OpRead, read(Read{Offset: 0, Committed: true})},
		{"time index", "*.timeindex", vfs.OpRead, func(l *Log) error {
			_, _, err := l.OffsetForTime(testNow+3, 1<<40)
			return err
		}},
		{"newest time", "*.timeindex", vfs.OpRead, func(l *Log) error {
			_, _, err := l.MaxTimestamp()
			return err
		}},
		{"a batch looked at for its time", "*.log", vfs.OpRead, func(l *Log) error {
			_, _, err := l.OffsetForTime(testNow, 1<<40)
			return err
		}},
		{"leader epochs", fileEpochs, vfs.OpRead, read(Read{Offset: 0})},
		{"the log's directory", "a-0", vfs.OpReadDir, read(Read{Offset: 0})},
		{"noted damage", fileDamaged, vfs.OpOpen, read(Read{Offset: 0})},
		{"retention", "*.timeindex", vfs.OpRead, func(l *Log) error {
			l.store.upkeep.expireAll(testNow)
			return l.admit()
		}},
		{"choosing what to compact", "*.timeindex", vfs.OpRead, func(l *Log) error {
			c := l.Config()
			c.MinCompactionLagMs = 1
			l.SetConfig(c)
			return l.store.CompactNow(testNow + 1e6)
		}},
		{"compaction", "*.log", vfs.OpRead, func(l *Log) error { return l.store.CompactNow(testNow + 1e6) }},
		{"writing what is compacted", "*.cleaned", vfs.OpSync, func(l *Log) error { return l.store.CompactNow(testNow + 1e6) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			r, disk, l, other := coldLog(t)
			struck := disk.Inject(vfs.Fault{Op: x.op, Path: x.path, Err: syscall.EIO})
			if err := x.do(l); !errors.Is(err, ErrOffline) || errors.Is(err, ErrDamaged) {
				t.Errorf("%v, want ErrOffline", err)
			}
			if x.path != "no file" && struck() != 1 {
				t.Error("nothing of the kind was read")
			}
			if off := r.offline(); len(off) != 1 || !errors.Is(off[0], syscall.EIO) {
				t.Errorf("OnOffline was told %v", off)
			}
			if _, err := l.Read(Read{Offset: 0, MaxBytes: 1}); !errors.Is(err, ErrOffline) {
				t.Errorf("a read after it: %v", err)
			}
			r.put(other, "the other directory goes on", 1)
			if err := r.s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestReadWithoutFault: what is no fault of the disk leaves the directory online.
func TestReadWithoutFault(t *testing.T) {
	many := func(op vfs.Op, path string) func(*testing.T, *vfs.Mem, *Log) {
		return func(_ *testing.T, disk *vfs.Mem, _ *Log) {
			disk.Inject(vfs.Fault{Op: op, Path: path, Err: syscall.EMFILE})
		}
	}
	change := func(file string, change func(vfs.File) error) func(*testing.T, *vfs.Mem, *Log) {
		return func(t *testing.T, disk *vfs.Mem, l *Log) {
			f, err := disk.Open(l.path + "/" + segmentName(0, file))
			if err == nil {
				err = change(f)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, x := range []struct {
		name string
		harm func(*testing.T, *vfs.Mem, *Log)
		want error // nil: everything can be read
		cold bool  // harmed before the log's segments are listed
	}{
		{"too many files, a segment", many(vfs.OpOpen, "*.log"), ErrNoFiles, false},
		{"too many files, an index", many(vfs.OpOpen, "*.index"), ErrNoFiles, false},
		{"a segment that is gone", func(t *testing.T, disk *vfs.Mem, l *Log) {
			if err := disk.Remove(l.path + "/" + segmentName(0, suffixLog)); err != nil {
				t.Fatal(err)
			}
		}, ErrDamaged, false},
		{"a segment that was cut", change(suffixLog, func(f vfs.File) error { return f.Truncate(100) }), ErrDamaged, false},
		{"a header overwritten", change(suffixLog, func(f vfs.File) error {
			_, err := f.WriteAt([]byte{0}, 16)
			return err
		}), ErrDamaged, false},
		{"an index that was cut", change(suffixIndex, func(f vfs.File) error { return f.Truncate(8) }), nil, false},
		{"epochs that say nothing", func(t *testing.T, disk *vfs.Mem, l *Log) {
			if err := atomicWrite(disk, l.path+"/"+fileEpochs, []byte("?\n")); err != nil {
				t.Fatal(err)
			}
		}, ErrDamaged, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			r, disk, l, other := coldLog(t)
			if !x.cold {
				if err := l.ensure(); err != nil {
					t.Fatal(err)
				}
			}
			x.harm(t, disk, l)
			s, err := l.Read(Read{Offset: 4, MaxBytes: 400, MinOne: true})
			if !errors.Is(err, x.want) || x.want == nil && err != nil {
				t.Errorf("%v, want %v", err, x.want)
			}
			if err == nil {
				s.Seg.Release()
			}
			for _, d := range r.s.Dirs() {
				if !d.Online {
					t.Errorf("directory %s is offline: %v", d.Path, d.Err)
				}
			}
			r.put(other, "goes on", 1)
			r.close()
		})
	}
}

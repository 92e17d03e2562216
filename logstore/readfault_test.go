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
			if r.s.Stats().OfflineDirs != 1 {
				t.Fatal("the directory is online")
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

// TestDirFailsInRecovery: a directory that opened, and then cannot give a
// partition's bytes, is offline alone and keeps nobody from starting; when it
// reads again all is there.
func TestDirFailsInRecovery(t *testing.T) {
	for _, path := range []string{"/two/logs/?-0/*.log", "/two/logs/?-0/" + fileMetadata, "/two/logs/?-0"} {
		disk := vfs.NewMem()
		o := rigOptions(disk)
		o.DirectBytes = 1 // what recovery goes by is in the segments
		o.Dirs = []string{"/one", "/two"}
		r := mustRig(t, o).ready()
		logs := map[string][]*Log{}
		for _, topic := range []string{"a", "b", "c", "d"} {
			l := r.open(specOf(topic, 0))
			logs[l.Dir()] = append(logs[l.Dir()], l)
			r.put(l, topic, 1)
		}
		disk.CutPower()
		r.abandon()
		o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
		disk = o.FS.(*vfs.Mem)
		remove := disk.Inject(vfs.Fault{Op: vfs.OpRead | vfs.OpReadDir, Path: path, Err: syscall.EIO, Times: -1})
		r = mustRig(t, o)
		for dir, list := range logs {
			for i, l := range list {
				list[i] = r.open(specOf(l.Topic(), 0))
				if list[i].Dir() != dir {
					t.Errorf("%s: %s lies in %s, not in %s", path, l.Topic(), list[i].Dir(), dir)
				}
			}
		}
		r.ready()
		for _, l := range logs["/one"] {
			r.put(l, "more", 1)
		}
		for _, l := range logs["/two"] {
			if _, err := l.Read(Read{Offset: 0, MaxBytes: 100}); !errors.Is(err, ErrOffline) {
				t.Errorf("%s: a read from the directory that failed: %v", path, err)
			}
			if _, err := r.append(l, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
				t.Errorf("%s: an append to it: %v", path, err)
			}
		}
		if r.s.Stats().OfflineDirs != 1 {
			t.Fatalf("%s: the directory is online", path)
		}
		if off := r.offline(); len(off) != 1 || !errors.Is(off[0], syscall.EIO) {
			t.Errorf("%s: OnOffline was told %v", path, off)
		}
		if err := r.s.Close(); err != nil {
			t.Errorf("%s: close: %v", path, err)
		}
		if remove() == 0 {
			t.Errorf("%s: nothing of the kind was read", path)
		}
		o.FS = disk.Kill()
		r = mustRig(t, o)
		for dir, list := range logs {
			for i, l := range list {
				list[i] = r.open(specOf(l.Topic(), 0))
				if have := r.readAll(list[i], 0, false); len(have) != map[string]int{"/one": 2, "/two": 1}[dir] {
					t.Errorf("%s: %s has %v when its directory is back", path, l.Topic(), have)
				}
			}
		}
		r.ready()
		r.close()
	}
}

// TestDirFailsInRecoveryAlone: without another directory, or with the metadata in
// it, there is no start.
func TestDirFailsInRecoveryAlone(t *testing.T) {
	for _, topic := range []string{"a", metadataTopic} {
		disk := vfs.NewMem()
		o := rigOptions(disk)
		o.DirectBytes = 1 // what recovery goes by is in the segments
		if topic == metadataTopic {
			o.Dirs = []string{"/data", "/two"}
		}
		r := mustRig(t, o).ready()
		r.put(r.open(specOf(topic, 0)), "x", 1)
		disk.CutPower()
		r.abandon()
		disk = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
		o.FS = disk
		disk.Inject(vfs.Fault{Op: vfs.OpRead, Path: "*.log", Err: syscall.EIO, Times: -1})
		r = mustRig(t, o)
		if _, err := r.s.OpenLog(specOf(topic, 0)); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v, want the disk's error", topic, err)
		}
		r.abandon()
	}
}

// badSector is a disk with bytes [from, to) of one file that cannot be read.
type badSector struct {
	*vfs.Mem
	name     string
	from, to int64
}

type badSectorFile struct {
	vfs.File
	d *badSector
}

func (d *badSector) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || name != d.name {
		return f, err
	}
	return &badSectorFile{f, d}, nil
}

func (d *badSector) Open(name string) (vfs.File, error) {
	f, err := d.Mem.Open(name)
	return d.wrap(name, f, err)
}

func (d *badSector) OpenRead(name string) (vfs.File, error) {
	f, err := d.Mem.OpenRead(name)
	return d.wrap(name, f, err)
}

func (f *badSectorFile) ReadAt(p []byte, off int64) (int, error) {
	if off < f.d.to && off+int64(len(p)) > f.d.from {
		n := max(0, f.d.from-off)
		m, err := f.File.ReadAt(p[:n], off)
		return m, errors.Join(err, syscall.EIO)
	}
	return f.File.ReadAt(p, off)
}

// TestVerifyBadSector: what the disk does not give is damage of that range, and
// verification goes on behind it; a scrub does not take the directory offline.
func TestVerifyBadSector(t *testing.T) {
	disk := &badSector{Mem: vfs.NewMem()}
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	spec := specOf("t", 0)
	spec.Config.SegmentBytes, spec.Config.IndexIntervalBytes, spec.Config.RetentionMs = 2000, 100, -1
	l := r.open(spec)
	for range 100 {
		r.put(l, "v", 1)
	}
	segs := *l.segs.Load()
	second := segs[1]
	eventually(t, "the closed segments are sealed", func() bool { return second.sealed.Load() && segs[len(segs)-2].sealed.Load() })
	size := second.size.Load() / (second.next.Load() - second.base) // of a batch
	for _, x := range []struct {
		suffix   string
		from, to int64 // offsets from the segment's base
		lost     int64
	}{
		{suffixLog, 5, 6, 1}, {suffixLog, 0, 1, 1}, {suffixIndex, 0, 1, 0}, {suffixSeal, 0, 1, 0}, {suffixTime, 0, 1, 0},
	} {
		disk.name, disk.from, disk.to = second.path()+x.suffix, x.from*size+70, x.to*size
		if x.suffix != suffixLog {
			disk.from, disk.to = 0, 1
		}
		second.fmu.Lock()
		second.file = nil // opened before the sector went bad
		second.fmu.Unlock()
		for name, verify := range map[string]func(func(Damage)) (Verified, error){
			"running": func(f func(Damage)) (Verified, error) { return r.s.Verify(0, nil, f) },
			"tool":    func(f func(Damage)) (Verified, error) { return VerifyDir(disk, "/data", 0, nil, f) },
		} {
			var lost int64
			found := 0
			sum, err := verify(func(d Damage) {
				found++
				if d.Topic != "t" || !errors.Is(d.Err, syscall.EIO) {
					t.Errorf("%s, %s: damage is %+v", x.suffix, name, d)
				}
				if d.From < d.To && (d.From > second.base+x.from || d.To < second.base+x.to) {
					t.Errorf("%s, %s: damage is %s, want offset %d in it", x.suffix, name, d.String(), second.base+x.from)
				}
				lost += d.To - d.From
			})
			if err != nil || found == 0 || sum.Segments < len(segs)-1 || lost < x.lost || lost > 3*x.lost {
				t.Errorf("%s, %s: %d offsets lost in %d places, looked at %+v, %v", x.suffix, name, lost, found, sum, err)
			}
		}
		if !r.s.Usable() {
			t.Fatalf("%s: looking took the directory offline", x.suffix)
		}
	}
	disk.name = ""
	r.close()
}

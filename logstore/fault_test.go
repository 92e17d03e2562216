package logstore

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestSyncErrorTakesDirOffline: rule 11, for one directory of two.
func TestSyncErrorTakesDirOffline(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	o.Dirs = []string{"/one", "/two"}
	r := mustRig(t, o).ready()
	a, b := r.open(specOf("a", 0)), r.open(specOf("b", 0))
	if a.Dir() == b.Dir() {
		t.Fatal("two new partitions went to one directory")
	}
	r.put(a, "before", 1)
	disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: r.committingFor(a), Err: syscall.EIO})
	if _, err := r.append(a, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
		t.Errorf("the waiting token: %v", err)
	}
	if o := a.Offsets(); o.HighWatermark != 1 {
		t.Errorf("the high watermark passed a failed sync: %+v", o)
	}
	if _, err := r.append(a, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
		t.Errorf("an append after it: %v", err)
	}
	if _, err := a.Read(Read{Offset: 0, MaxBytes: 100}); !errors.Is(err, ErrOffline) {
		t.Errorf("a read after it: %v", err)
	}
	if off := r.offline(); len(off) != 1 || !errors.Is(off[0], syscall.EIO) {
		t.Errorf("OnOffline was told %v", off)
	}
	r.put(b, "other", 1)
	if !r.s.Usable() || r.s.Stats().OfflineDirs != 1 {
		t.Errorf("usable %v, stats %+v", r.s.Usable(), r.s.Stats())
	}
	for _, d := range r.s.Dirs() {
		if d.Online != (d.Path == b.Dir()) {
			t.Errorf("dir %+v", d)
		}
	}
	if err := r.s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// TestFailedSyncThenClean: rule 8. After the failed fsync the page cache is
// clean and the platter lacks the records; they were never acknowledged, but
// what recovery serves from the cache must survive a power cut after it.
func TestFailedSyncThenClean(t *testing.T) {
	for _, direct := range []int64{-1, 1} {
		disk := vfs.NewMem()
		o := rigOptions(disk)
		o.DirectBytes = direct
		r := mustRig(t, o).ready()
		l := r.open(specOf("t", 0))
		r.put(l, "acked", 1)
		disk.Inject(vfs.Fault{Op: vfs.OpSync, Err: syscall.EIO, Clean: true, Times: -1})
		if _, err := r.append(l, Append{Batches: makeBatch("lost", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
			t.Fatalf("direct %d: %v", direct, err)
		}
		if err := r.s.Close(); err != nil {
			t.Logf("close: %v", err)
		}
		disk = disk.Kill()
		o.FS = disk
		r = mustRig(t, o)
		l = r.open(specOf("t", 0))
		r.ready()
		served := r.readAll(l, 0, false)
		disk.CutPower()
		r.abandon()
		o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
		r = mustRig(t, o)
		l = r.open(specOf("t", 0))
		r.ready()
		again := r.readAll(l, 0, false)
		if len(served) == 0 || len(again) < len(served) || served[0].value != "acked/0" {
			t.Errorf("direct %d: served %v, after a power cut %v", direct, served, again)
		}
		r.close()
	}
}

// TestReadOnlyRemount: a kernel that met an error makes the file system
// read-only. The directory goes offline by that reason, appends are refused, and
// nothing that was acknowledged is gone once it is writable again.
func TestReadOnlyRemount(t *testing.T) {
	for what, op := range map[string]vfs.Op{"writes": vfs.OpWrite, "syncs": vfs.OpSync, "creates": vfs.OpCreate | vfs.OpRename} {
		t.Run(what, func(t *testing.T) {
			disk := vfs.NewMem()
			o := rigOptions(disk)
			r := mustRig(t, o).ready()
			spec := specOf("t", 0)
			spec.Config.SegmentBytes = int32(3 * len(makeBatch("a", 1, nobody, testNow)))
			l := r.open(spec)
			for range 3 {
				r.put(l, "a", 1)
			}
			disk.Inject(vfs.Fault{Op: op, Path: "*", Times: -1, Err: syscall.EROFS})
			if _, err := r.append(l, Append{Batches: makeBatch("b", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
				t.Errorf("an append on a read-only file system: %v", err)
			}
			eventually(t, "the directory is offline", func() bool { return !r.s.Usable() })
			if off := r.offline(); len(off) != 1 || !errors.Is(off[0], syscall.EROFS) {
				t.Errorf("offline by %v", off)
			}
			if _, err := r.append(l, Append{Batches: makeBatch("c", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
				t.Errorf("an append to an offline directory: %v", err)
			}
			r.abandon()
			o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll}) // without the fault
			r = mustRig(t, o)
			l = r.open(spec)
			r.ready()
			if have := r.readAll(l, 0, false); len(have) < 3 || have[2].value != "a/0" {
				t.Errorf("after it is writable again: %v", have)
			}
			r.close()
		})
	}
}

// TestDiskFull: an append that meets ENOSPC is refused and nothing else.
func TestDiskFull(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	spec := specOf("__internal", 0)
	spec.Internal = true
	in := r.open(spec)
	r.put(l, "one", 1)
	remove := disk.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "*.log", Err: syscall.ENOSPC, Short: 10})
	if _, err := r.append(l, Append{Batches: makeBatch("two", 1, nobody, testNow)}); !errors.Is(err, ErrDiskFull) {
		t.Errorf("an append on a full disk: %v", err)
	}
	if n := remove(); n != 1 {
		t.Errorf("the fault struck %d times", n)
	}
	// Below the reserve clients are refused before any write; the rest goes on.
	if _, err := r.append(l, Append{Batches: makeBatch("two", 1, nobody, testNow)}); !errors.Is(err, ErrDiskFull) {
		t.Errorf("a client below the reserve: %v", err)
	}
	r.put(in, "internal", 1)
	if _, err := l.DeleteRecords(1); err != nil {
		t.Errorf("delete records: %v", err)
	}
	if have := r.readAll(in, 0, false); len(have) != 1 {
		t.Errorf("read %v", have)
	}
	r.s.dirs[0].measure()
	if res := r.put(l, "two", 1); res.BaseOffset != 1 {
		t.Errorf("appended at %d", res.BaseOffset)
	}
	r.close()
}

// TestReserve: the free space decides, with the configured reserve.
func TestReserve(t *testing.T) {
	disk := vfs.NewMem()
	disk.SetCapacity(64 << 20)
	o := rigOptions(disk)
	o.DiskReserve = 80 << 20
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	if _, err := r.append(l, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrDiskFull) {
		t.Errorf("below the reserve: %v", err)
	}
	disk.SetCapacity(200 << 20)
	r.s.dirs[0].measure()
	r.put(l, "x", 1)
	r.close()
}

// TestQueueBound: with the committer stuck in a sync the queue fills up,
// clients are told to wait, internal appends have their reserve.
func TestQueueBound(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	o.QueueBytes = 2000
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	spec := specOf("__internal", 0)
	spec.Internal = true
	in := r.open(spec)
	gate := make(chan struct{})
	stuck := make(chan struct{})
	disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: r.committing(), Hook: func() { close(stuck); <-gate }})
	var toks []Token
	send := func(l *Log) error {
		tok := nextToken()
		_, err := l.Append(&Append{Batches: makeBatch(strings.Repeat("x", 200), 1, nobody, testNow), Token: tok, Now: testNow})
		if err == nil {
			toks = append(toks, tok)
		}
		return err
	}
	if err := send(l); err != nil {
		t.Fatal(err)
	}
	<-stuck
	n := 1
	for ; ; n++ {
		if err := send(l); err != nil {
			if !errors.Is(err, ErrBusy) {
				t.Fatal(err)
			}
			break
		}
	}
	if n < 5 || n > 8 {
		t.Errorf("%d appends of 270 bytes fit a queue of 2000", n)
	}
	if err := send(in); err != nil {
		t.Errorf("an internal append: %v", err)
	}
	if st := r.s.Stats(); st.QueueBytes < 1500 || st.SyncRunning == 0 || st.Busy == 0 {
		t.Errorf("stats of a stuck sync: %+v", st)
	}
	close(gate)
	for _, tok := range toks {
		if err := r.wait(tok); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the queue is empty", func() bool { return r.s.Stats().QueueBytes == 0 })
	if err := send(l); err != nil {
		t.Errorf("an append after it: %v", err)
	}
	r.close()
}

// TestWritten: such a token is done while the group's sync still runs; the
// high watermark is not moved by it.
func TestWritten(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	l := r.open(specOf("t", 0))
	gate := make(chan struct{})
	disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: r.committing(), Hook: func() { <-gate }})
	tok := nextToken()
	if _, err := l.Append(&Append{Batches: makeBatch("x", 1, nobody, testNow), Token: tok, Now: testNow, Written: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(tok); err != nil {
		t.Error(err)
	}
	if o := l.Offsets(); o.HighWatermark != 0 || o.LogEnd != 1 {
		t.Errorf("before the sync: %+v", o)
	}
	close(gate)
	eventually(t, "the high watermark moves", func() bool { return l.Offsets().HighWatermark == 1 })
	r.close()
}

// TestModes: what a weaker mode promises, and that a power cut in it is never
// taken for damage.
func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode  Durability
		weak  bool
		cfg   func(*LogConfig)
		early bool // readable before the sync
	}{
		{Commit, false, func(*LogConfig) {}, false},
		{Commit, false, func(c *LogConfig) { c.FlushMs = 1000 }, false},
		{Commit, true, func(c *LogConfig) { c.FlushMs = 1000 }, true},
		{Commit, true, func(c *LogConfig) { c.FlushMessages = 1 }, false},
		{Interval, false, func(*LogConfig) {}, true},
		{OS, false, func(*LogConfig) {}, true},
		{OS, false, func(c *LogConfig) { c.FlushMessages = 1 }, false},
	} {
		disk := vfs.NewMem()
		o := rigOptions(disk)
		o.Durability, o.AllowWeakerTopics, o.SyncEvery = c.mode, c.weak, 1<<40
		r := mustRig(t, o).ready()
		spec := specOf("t", 0)
		c.cfg(&spec.Config)
		l := r.open(spec)
		what := fmt.Sprintf("mode %d, weaker %v, flush.ms %d", c.mode, c.weak, spec.Config.FlushMs)
		gate := make(chan struct{})
		disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: r.committing(), Hook: func() { <-gate }})
		tok := nextToken()
		if _, err := l.Append(&Append{Batches: makeBatch("x", 1, nobody, testNow), Token: tok, Now: testNow}); err != nil {
			t.Fatal(err)
		}
		if c.early {
			if err := r.wait(tok); err != nil || l.Offsets().HighWatermark != 1 {
				t.Errorf("%s: %v, %+v", what, err, l.Offsets())
			}
		} else if l.Offsets().HighWatermark != 0 {
			t.Errorf("%s: readable before the sync", what)
		}
		close(gate)
		if err := r.wait(tok); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if c.early {
			// Stronger from here on: what was never journaled goes the direct way.
			cfg := l.Config()
			cfg.FlushMessages = 1
			l.SetConfig(cfg)
			r.put(l, "strong", 1)
		}
		disk.CutPower()
		r.abandon()
		o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
		r = mustRig(t, o)
		l = r.open(spec)
		r.ready()
		if want := map[bool]int{true: 2, false: 1}[c.early]; len(r.readAll(l, 0, false)) != want {
			t.Errorf("%s: after a power cut %v", what, r.readAll(l, 0, false))
		}
		if n := r.s.Stats().Damaged; n > 0 {
			t.Errorf("%s: a power cut looks like damage: %s", what, r.log)
		}
		r.close()
	}
}

// TestAppendRefusals: each breach has its error, and leaves nothing behind.
func TestAppendRefusals(t *testing.T) {
	r := memRig(t, nil)
	defer r.close()
	spec := specOf("t", 0)
	spec.Config.MaxMessageBytes, spec.Config.SegmentBytes = 1000, 5000
	spec.Config.BeforeMaxMs, spec.Config.AfterMaxMs = 10_000, 10_000
	l := r.open(spec)
	good := func() []byte { return makeBatch("x", 1, nobody, testNow) }
	change := func(at int, v byte) []byte { b := good(); b[at] = v; return b }
	for _, c := range []struct {
		what string
		a    Append
		err  error
	}{
		{"nothing", Append{}, ErrInvalidRecord},
		{"short", Append{Batches: good()[:40]}, ErrCorrupt},
		{"cut", Append{Batches: good()[:65]}, ErrCorrupt},
		{"CRC", Append{Batches: change(70, 9)}, ErrCorrupt},
		{"magic", Append{Batches: change(16, 1)}, ErrInvalidRecord},
		{"two batches", Append{Batches: append(good(), good()...)}, ErrInvalidRecord},
		{"too large", Append{Batches: makeBatch(strings.Repeat("x", 2000), 1, nobody, testNow)}, ErrTooLarge},
		{"larger than a segment", Append{Batches: makeBatch(strings.Repeat("x", 6000), 1, nobody, testNow)}, ErrSegmentTooSmall},
		{"too old", Append{Batches: makeBatch("x", 1, nobody, testNow-20_000)}, ErrInvalidTimestamp},
		{"too new", Append{Batches: makeBatch("x", 1, nobody, testNow+20_000)}, ErrInvalidTimestamp},
		{"control", Append{Batches: makeMarker(1, 0, true, 0, testNow)}, ErrInvalidRecord},
		{"negative sequence", Append{Batches: makeBatch("x", 1, producing{1, 0, -1, false}, testNow)}, ErrInvalidRecord},
		{"transaction without producer", Append{Batches: makeBatch("x", 1, producing{-1, -1, -1, true}, testNow)}, ErrInvalidRecord},
	} {
		if _, err := r.append(l, c.a); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if o := l.Offsets(); o.LogEnd != 0 || r.s.Stats().QueueBytes != 0 || r.s.Stats().QueueEntries != 0 {
		t.Errorf("refused appends left something: %+v, %+v", o, r.s.Stats())
	}
	res, err := r.append(l, Append{Batches: good()})
	if err != nil || res.AppendTime != -1 {
		t.Errorf("a good one: %+v, %v", res, err)
	}
	cfg := l.Config()
	cfg.LogAppendTime = true
	l.SetConfig(cfg)
	res, err = r.append(l, Append{Batches: makeBatch("x", 1, nobody, 5), Now: testNow + 7})
	if err != nil || res.AppendTime != testNow+7 {
		t.Errorf("LogAppendTime: %+v, %v", res, err)
	}
	if o, ok, err := l.MaxTimestamp(); err != nil || !ok || o.Offset != 1 || o.Timestamp != testNow+7 || o.LeaderEpoch != 1 {
		t.Errorf("the newest record: %+v %v %v", o, ok, err)
	}
}

// TestDeleteRecordsTellsItsFrame: another call moves the start while the first
// waits for its sync. The first tells what its frame makes durable, no more.
func TestDeleteRecordsTellsItsFrame(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	l := r.open(specOf("t", 0))
	r.put(l, "x", 20)
	gate, stuck := make(chan struct{}), make(chan struct{})
	disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: r.committing(), Hook: func() { close(stuck); <-gate }})
	told := func(before int64) chan int64 {
		c := make(chan int64, 1)
		go func() {
			start, err := l.DeleteRecords(before)
			if err != nil {
				t.Error(err)
			}
			c <- start
		}()
		return c
	}
	first := told(3)
	<-stuck
	second := told(11)
	eventually(t, "the second call moves the start", func() bool { return l.Offsets().LogStart == 11 })
	close(gate)
	if start := <-first; start != 3 {
		t.Errorf("the call to 3 tells %d", start)
	}
	if start := <-second; start != 11 {
		t.Errorf("the call to 11 tells %d", start)
	}
	r.close()
}

// TestFailedLogKeepsItsStart: a checkpoint after a panic keeps the entry of the
// log and releases the journal; the start that a frame made durable stays.
func TestFailedLogKeepsItsStart(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	r.put(l, "x", 20)
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	r.put(l, "y", 1)
	if start, err := l.DeleteRecords(11); err != nil || start != 11 {
		t.Fatalf("DeleteRecords: %d, %v", start, err)
	}
	l.failed.Store(true)
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	disk.CutPower()
	r.abandon()
	o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
	r = mustRig(t, o)
	l = r.open(specOf("t", 0))
	r.ready()
	if got := l.Offsets(); got.LogStart != 11 || got.LogEnd != 21 {
		t.Errorf("after a power cut: %+v", got)
	}
	r.close()
}

// TestDirFailsAtStart: one that cannot be opened is offline alone; its logs
// refuse every use, and nothing is made in their place. None left: no start.
func TestDirFailsAtStart(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	o.Dirs = []string{"/one", "/two"}
	r := mustRig(t, o).ready()
	a, b := r.open(specOf("a", 0)), r.open(specOf("b", 0))
	if b.Dir() == "/one" {
		a, b = b, a
	}
	r.put(a, "a", 1)
	r.put(b, "b", 1)
	r.close()
	remove := disk.Inject(vfs.Fault{Op: vfs.OpRead, Path: "/two/format", Err: syscall.EIO, Times: -1})
	r = mustRig(t, o)
	a, b = r.open(specOf(a.Topic(), 0)), r.open(specOf(b.Topic(), 0))
	r.ready()
	if have := r.readAll(a, 0, false); len(have) != 1 {
		t.Errorf("the log of the other directory: %v", have)
	}
	r.put(a, "more", 1)
	if _, err := r.append(b, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
		t.Errorf("an append to the directory that failed: %v", err)
	}
	if _, err := b.Read(Read{Offset: 0, MaxBytes: 100}); !errors.Is(err, ErrOffline) {
		t.Errorf("a read from it: %v", err)
	}
	b.SetEpoch(9)
	if c := r.open(specOf("c", 0)); !errors.Is(errOf(c.Read(Read{})), ErrOffline) {
		t.Error("a log that nobody has was made while a directory was missing")
	}
	l, err := r.s.CreateLog(specOf("new", 0))
	if err != nil || l.Dir() != "/one" {
		t.Errorf("a new log: %v", err)
	}
	if st := r.s.Stats(); st.OfflineDirs != 1 || !r.s.Usable() {
		t.Errorf("stats %+v", st)
	}
	if err := r.s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	disk.Inject(vfs.Fault{Op: vfs.OpRead, Path: "/one/format", Err: syscall.EIO, Times: -1})
	if _, err := openRig(t, o); !errors.Is(err, syscall.EIO) {
		t.Errorf("with no directory left: %v", err)
	}
	remove()
	o.FS = disk.Kill()
	r = mustRig(t, o)
	b = r.open(specOf(b.Topic(), 0))
	r.open(specOf(a.Topic(), 0))
	r.open(specOf("new", 0))
	r.ready()
	if have := r.readAll(b, 0, false); len(have) != 1 {
		t.Errorf("the directory is back: %v", have)
	}
	r.close()
}

func errOf(_ Slice, err error) error { return err }

// TestUnsyncedFilesStayOpen: a descriptor with bytes that no sync covered is not
// closed for room, since Linux tells of a failed write-back once per open file; a
// checkpoint lets it go.
func TestUnsyncedFilesStayOpen(t *testing.T) {
	o := rigOptions(vfs.NewMem())
	o.MaxOpenFiles = 1
	r := mustRig(t, o).ready()
	defer r.close()
	d := r.s.dirs[0]
	d.ckptMu.Lock() // no checkpoint, though the files are too many
	var logs []*Log
	for i := range int32(4) {
		logs = append(logs, r.open(specOf("t", i)))
		r.put(logs[i], "x", 1)
	}
	for i, l := range logs {
		l.active.fmu.Lock()
		if l.active.file == nil {
			t.Errorf("the file of log %d was closed and %d of its %d bytes are synced", i, l.active.durable.Load(), l.active.size.Load())
		}
		l.active.fmu.Unlock()
	}
	d.ckptMu.Unlock()
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "files are closed behind the checkpoint", func() bool { return r.s.Stats().OpenFiles <= 1 })
}

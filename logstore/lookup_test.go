package logstore

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestOffsetForTime holds lookups by time against a plain search, over rolled
// segments, with times that go back.
func TestOffsetForTime(t *testing.T) {
	r := memRig(t, nil)
	defer r.close()
	spec := specOf("t", 0)
	spec.Config.SegmentBytes, spec.Config.IndexIntervalBytes = 1200, 100
	l := r.open(spec)
	var times []int64
	for i := range 120 {
		ts := testNow + int64(i)*10
		if i%7 == 0 {
			ts -= 55
		}
		if _, err := r.append(l, Append{Batches: makeBatch(fmt.Sprint(i), 2, nobody, ts)}); err != nil {
			t.Fatal(err)
		}
		times = append(times, ts, ts+1)
	}
	find := func(from, ts, limit int64) int64 {
		for o := from; o < limit; o++ {
			if times[o] >= ts {
				return o
			}
		}
		return -1
	}
	check := func(from int64) {
		t.Helper()
		for ts := int64(testNow - 60); ts < testNow+1210; ts += 3 {
			for _, limit := range []int64{240, 100, 33} {
				o, ok, err := l.OffsetForTime(ts, limit)
				want := find(from, ts, limit)
				if err != nil || ok != (want >= 0) || (ok && (o.Offset != want || o.Timestamp != times[want])) {
					t.Fatalf("time %+d below %d: %+v %v %v, want %d", ts-testNow, limit, o, ok, err, want)
				}
			}
		}
	}
	check(0)
	if o, ok, err := l.MaxTimestamp(); err != nil || !ok || o.Timestamp != times[237] || o.Offset != 237 {
		t.Errorf("newest: %+v %v %v", o, ok, err)
	}
	if _, err := l.DeleteRecords(51); err != nil {
		t.Fatal(err)
	}
	check(51)
}

func TestEpochs(t *testing.T) {
	o := rigOptions(vfs.NewMem())
	r := mustRig(t, o).ready()
	spec := specOf("t", 0)
	spec.Epoch = 2
	l := r.open(spec)
	r.put(l, "a", 3)
	l.SetEpoch(5)
	l.SetEpoch(4) // never back
	r.put(l, "b", 2)
	l.SetEpoch(7)
	check := func(what string) {
		t.Helper()
		for _, c := range []struct {
			epoch, found int32
			end          int64
		}{{-1, -1, -1}, {0, 0, 0}, {1, 1, 0}, {2, 2, 3}, {3, 2, 3}, {4, 2, 3}, {5, 5, 5}, {6, 5, 5}, {7, 7, 5}, {8, -1, -1}} {
			if found, end := l.EndForEpoch(c.epoch); found != c.found || end != c.end {
				t.Errorf("%s: epoch %d ends at (%d, %d), want (%d, %d)", what, c.epoch, found, end, c.found, c.end)
			}
		}
		for off, want := range map[int64]int32{0: 2, 2: 2, 3: 5, 4: 5} {
			if got := l.EpochAt(off); got != want {
				t.Errorf("%s: offset %d has epoch %d, want %d", what, off, got, want)
			}
		}
	}
	check("live")
	spec.Epoch = 7
	r.close()
	r = mustRig(t, o)
	l = r.open(spec)
	r.ready()
	check("clean stop")
	o.FS = o.FS.(*vfs.Mem).Kill()
	r = mustRig(t, o)
	l = r.open(spec)
	r.ready()
	check("kill")
	if _, err := l.DeleteRecords(4); err != nil {
		t.Fatal(err)
	}
	if found, end := l.EndForEpoch(2); found != 2 || end != 4 {
		t.Errorf("an epoch below the log start: (%d, %d)", found, end)
	}
	r.close()
}

// TestAdvances: one for each move of the high watermark, the log start or the
// epoch, none without.
func TestAdvances(t *testing.T) {
	r := memRig(t, nil)
	defer r.close()
	l := r.open(specOf("t", 0))
	count := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.adv[l]
	}
	r.put(l, "a", 1)
	if n := count(); n != 1 {
		t.Errorf("%d advances after one append", n)
	}
	if _, err := r.append(l, Append{Batches: makeBatch("p", 1, producing{1, 0, 0, false}, testNow)}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.append(l, Append{Batches: makeBatch("p", 1, producing{1, 0, 0, false}, testNow)}); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 2 {
		t.Errorf("%d advances after a duplicate", n)
	}
	if _, err := l.DeleteRecords(1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log start is told", func() bool { return count() == 3 })
	l.SetEpoch(9)
	eventually(t, "the epoch is told", func() bool { return count() == 4 })
	if err := r.s.Delete(l); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deletion is told", func() bool { return count() == 5 })
}

// TestNoAllocations: the hot paths in steady state.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	o := rigOptions(vfs.OS)
	o.Dirs = []string{t.TempDir()}
	done := make(chan error, 1)
	o.OnCommit = func(_ []Advance, d []Done) {
		for _, x := range d {
			x.Token.(chan error) <- x.Err
		}
	}
	o.Go = goPlain
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(func(string, TopicID, int32) bool { return true }); err != nil {
		t.Fatal(err)
	}
	l, err := s.OpenLog(specOf("t", 0))
	if err != nil {
		t.Fatal(err)
	}
	raw := makeBatch(fmt.Sprintf("%0100d", 0), 1, nobody, testNow)
	tok := Token(done)
	seq := int32(0)
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"append and commit", func() {
			clear(raw[:8])
			a := Append{Batches: raw, Token: tok, Now: testNow}
			if _, err := l.Append(&a); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			seq++
		}},
		{"read", func() {
			s, err := l.Read(Read{Offset: 0, MaxBytes: 100_000, MinOne: true, Committed: true})
			if err != nil || s.Len == 0 {
				t.Fatal(err)
			}
			s.Seg.Release()
		}},
	} {
		for range 200 {
			c.f() // grow what grows once
		}
		// Other goroutines of the test binary count too: the best of a few.
		least := math.Inf(1)
		for range 5 {
			least = min(least, testing.AllocsPerRun(500, c.f))
		}
		if least > 0 {
			t.Errorf("%s: %v allocations", c.name, least)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestIdlePartitions: goroutines, descriptors and heap of many logs.
func TestIdlePartitions(t *testing.T) {
	n := 300
	if raceEnabled {
		n = 60
	}
	o := rigOptions(vfs.OS)
	o.Dirs = []string{t.TempDir()}
	o.MaxOpenFiles = 50
	r := mustRig(t, o).ready()
	before, goroutines := heap(), runtime.NumGoroutine()
	logs := make([]*Log, n)
	for i := range logs {
		logs[i] = r.open(specOf("t", int32(i)))
		r.put(logs[i], "x", 1)
	}
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	r.s.dirs[0].tidy(testNow)
	eventually(t, "the logs have no goroutines", func() bool { return runtime.NumGoroutine() <= goroutines+checkpointWorkers })
	if have := r.s.Stats().OpenFiles; have > 50 {
		t.Errorf("%d files are open after a checkpoint, the bound is 50", have)
	}
	if each := (heap() - before) / int64(n); !raceEnabled && each > 4096 {
		t.Errorf("%d bytes of heap for each idle partition", each)
	} else {
		t.Logf("%d bytes of heap for each idle partition", each)
	}
	r.close()
	r = mustRig(t, o)
	for i := range logs {
		logs[i] = r.open(specOf("t", int32(i)))
	}
	r.ready()
	if st := r.s.Stats(); st.LoadedLogs != 0 || st.OpenFiles != 0 {
		t.Errorf("opening after a clean stop loaded %d logs and opened %d files", st.LoadedLogs, st.OpenFiles)
	}
	if have := r.readAll(logs[n/2], 0, false); len(have) != 1 {
		t.Errorf("read %v", have)
	}
	r.close()
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLookupMeetsRetention: segments that go while a lookup walks them are passed
// over, and so are those that compaction replaces.
func TestLookupMeetsRetention(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	spec := fewSegments(t, o)
	for name, take := range map[string]func(r *rig, l *Log, segs []*Segment) (want int64){
		"retention": func(r *rig, l *Log, segs []*Segment) int64 {
			to := segs[3].base
			if _, err := l.DeleteRecords(to); err != nil {
				t.Error(err)
			}
			if err := errors.Join(r.s.Checkpoint(), l.dropBelowStart(to)); err != nil {
				t.Error(err)
			}
			return to
		},
		"compaction": func(r *rig, l *Log, segs []*Segment) int64 {
			old := segs[1]
			old.imu.Lock()
			old.replaced = true
			old.imu.Unlock()
			fresh := newSegment(l, old.base)
			fresh.size.Store(old.size.Load())
			fresh.next.Store(old.next.Load())
			fresh.rolled.Store(true)
			next := append([]*Segment{segs[0], fresh}, segs[2:]...)
			l.mu.Lock()
			l.segs.Store(&next)
			l.version.Add(1)
			l.mu.Unlock()
			return old.base
		},
	} {
		disk := disk.Kill()
		o.FS = disk
		r := mustRig(t, o)
		l := r.open(spec)
		r.ready()
		if err := l.ensure(); err != nil {
			t.Fatal(err)
		}
		segs, want := *l.segs.Load(), int64(-1)
		remove := disk.Inject(vfs.Fault{Op: vfs.OpOpen, Path: segmentName(segs[0].base, suffixTime), Hook: func() { want = take(r, l, segs) }})
		found, ok, err := l.OffsetForTime(testNow+segs[1].base, math.MaxInt64)
		if remove() != 1 {
			t.Errorf("%s: nothing happened meanwhile", name)
		}
		if err != nil || !ok || found.Offset != want {
			t.Errorf("%s: offset %d, %v, want %d: %v", name, found.Offset, ok, want, err)
		}
		r.close()
	}
}

// fewSegments is a stopped store with a log of 20 records, one for each
// millisecond, in five segments at least.
func fewSegments(t *testing.T, o Options) LogSpec {
	t.Helper()
	spec := specOf("t", 0)
	spec.Config.SegmentBytes = 300
	r := mustRig(t, o)
	l := r.open(spec)
	r.ready()
	for i := range int64(20) {
		if _, err := r.append(l, Append{Batches: makeBatch("x", 1, nobody, testNow+i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(*l.segs.Load()); n < 5 {
		t.Fatalf("%d segments", n)
	}
	r.close()
	return spec
}

// TestLostTimeIndex: closed segments whose time index somebody removed are looked
// through, not passed over.
func TestLostTimeIndex(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	spec := fewSegments(t, o)
	r := mustRig(t, o)
	l := r.open(spec)
	r.ready()
	if err := l.ensure(); err != nil {
		t.Fatal(err)
	}
	segs := *l.segs.Load()
	for _, s := range segs[:len(segs)-1] {
		if err := disk.Remove(s.path() + suffixTime); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(20) {
		if found, ok, err := l.OffsetForTime(testNow+i, math.MaxInt64); err != nil || !ok || found.Offset != i {
			t.Errorf("the record of time %d: offset %d, %v, %v", i, found.Offset, ok, err)
		}
	}
	r.close()
}

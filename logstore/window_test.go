package logstore

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// windowRig has small windows for logs that are hot at once.
func windowRig(t *testing.T, disk *vfs.Mem, change func(*Options)) *rig {
	o := rigOptions(disk)
	o.SegmentWrite = "mmap"
	if change != nil {
		change(&o)
	}
	r := mustRig(t, o)
	for _, d := range r.s.dirs {
		d.mapper.hot, d.mapper.size = 1, 8192
	}
	return r
}

func (l *Log) windowed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active.win.cur != nil
}

// mapperIdle reports whether the mapper has answered the log. A test that
// appends without waiting for it may be done before it runs once.
func (l *Log) mapperIdle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.active.win.asked
}

// TestWindows: appends through windows, over their ends and over rolls, read
// and reopen like any other, and nothing stays mapped or too long.
func TestWindows(t *testing.T) {
	disk := vfs.NewMem()
	r := windowRig(t, disk, nil).ready()
	spec := specOf("t", 0)
	spec.Config.SegmentBytes = 30_000
	l := r.open(spec)
	var want []got
	through := 0
	for i := range 400 {
		text := fmt.Sprint(i, strings.Repeat("x", i%200))
		r.put(l, text, 1)
		want = append(want, got{int64(i), text + "/0"})
		for !l.mapperIdle() {
			runtime.Gosched()
		}
		if l.windowed() {
			through++
		}
	}
	if through < 100 {
		t.Errorf("only %d of 400 appends met a window", through)
	}
	if have := r.readAll(l, 0, false); !slices.Equal(have, want) {
		t.Error("what was read differs")
	}
	if n := r.s.dirs[0].mapper.mapped.Load(); n <= 0 {
		t.Errorf("%d bytes are mapped", n)
	}
	r.close()
	if names, maps := disk.OpenFiles(); len(names) > 0 || maps > 0 {
		t.Errorf("left open: %v, %d maps", names, maps)
	}
	for _, s := range *l.segs.Load() {
		info, err := disk.Stat(s.path() + suffixLog)
		if err != nil || info.Size() != s.size.Load() {
			t.Errorf("segment %d has %d bytes on disk, %d in the log: %v", s.base, info.Size(), s.size.Load(), err)
		}
	}
	r = windowRig(t, disk, nil)
	l = r.open(spec)
	r.ready()
	if have := r.readAll(l, 0, false); !slices.Equal(have, want) {
		t.Error("what was read after a clean stop differs")
	}
	r.close()
}

// TestBudgetOfOneLog: a log whose next window would pass the budget, with nobody
// else to take from, goes on in the one that it has and gets no other.
func TestBudgetOfOneLog(t *testing.T) {
	const budget = 8192
	r := windowRig(t, vfs.NewMem(), func(o *Options) { o.WindowBudget = budget }).ready()
	l := r.open(specOf("t", 0))
	through := 0
	for range 200 {
		r.put(l, strings.Repeat("x", 100), 1)
		for !l.mapperIdle() {
			runtime.Gosched()
		}
		l.mu.Lock()
		c, end := l.active.win.cur, l.active.size.Load()
		l.mu.Unlock()
		if n := r.s.dirs[0].mapper.mapped.Load(); n > budget {
			t.Fatalf("%d bytes are mapped, the budget is %d", n, budget)
		}
		if c == nil {
			continue
		}
		through++
		if c.off > end {
			t.Fatalf("the log ends at byte %d, and its window, which begins at %d, was taken for it", end, c.off)
		}
	}
	if through < 100 {
		t.Errorf("only %d of 200 appends left the log with a window", through)
	}
	r.close()
}

// TestWindowBudget: more hot logs than windows; the idle ones give theirs up.
func TestWindowBudget(t *testing.T) {
	r := windowRig(t, vfs.NewMem(), func(o *Options) { o.WindowBudget = 4 * 8192 }).ready()
	var logs []*Log
	for i := range 20 {
		l := r.open(specOf("t", int32(i)))
		logs = append(logs, l)
		eventually(t, "a hot log gets a window", func() bool {
			r.put(l, "x", 1)
			return l.windowed()
		})
		if n := r.s.dirs[0].mapper.mapped.Load(); n > 4*8192 {
			t.Fatalf("%d bytes are mapped, the budget is %d", n, 4*8192)
		}
	}
	if logs[0].windowed() {
		t.Error("the oldest log still has its window")
	}
	r.close()
}

// TestWindowErrors: a full disk leaves appends on pwrite; a disk that does not
// keep reservations is never mapped; the direct path writes by pwrite.
func TestWindowErrors(t *testing.T) {
	disk := vfs.NewMem()
	r := windowRig(t, disk, nil).ready()
	l := r.open(specOf("t", 0))
	remove := disk.Inject(vfs.Fault{Op: vfs.OpAllocate, Err: syscall.ENOSPC, Times: -1})
	r.put(l, "x", 1)
	eventually(t, "the window was tried", func() bool { return r.s.dirs[0].full.Load() })
	remove()
	r.s.dirs[0].measure()
	r.put(l, "y", 1)
	r.close()

	disk = vfs.NewMem()
	disk.SetReserves(false)
	r = windowRig(t, disk, nil).ready()
	l = r.open(specOf("t", 0))
	for range 10 {
		r.put(l, "x", 1)
	}
	if l.windowed() {
		t.Error("a file system that does not reserve was mapped")
	}
	r.close()

	disk = vfs.NewMem()
	r = windowRig(t, disk, func(o *Options) { o.DirectBytes = 1 }).ready()
	l = r.open(specOf("t", 0))
	eventually(t, "a log on the direct path loses its window", func() bool {
		r.put(l, "x", 1)
		return l.direct.Load() && !l.windowed()
	})
	r.close()

	disk = vfs.NewMem()
	r = windowRig(t, disk, nil).ready()
	l = r.open(specOf("t", 0))
	disk.Inject(vfs.Fault{Op: vfs.OpPopulate, Err: syscall.EIO})
	if _, err := r.append(l, Append{Batches: makeBatch("x", 1, nobody, testNow)}); err != nil && !errors.Is(err, ErrOffline) {
		t.Error(err)
	}
	eventually(t, "the directory is offline", func() bool { return !r.s.Usable() })
	if _, err := r.append(l, Append{Batches: makeBatch("x", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
		t.Errorf("an append: %v", err)
	}
	r.abandon()
}

// TestTrimWaitsForSync: a sync that runs while a file is cut must not be noted
// behind the cut, or nothing makes the cut durable and a power cut gives the
// closed segment its zeros back.
func TestTrimWaitsForSync(t *testing.T) {
	disk := vfs.NewMem()
	r := windowRig(t, disk, nil).ready()
	l := r.open(specOf("t", 0))
	eventually(t, "a hot log gets a window", func() bool {
		r.put(l, "x", 1)
		return l.windowed()
	})
	l.mu.Lock()
	s := l.active
	l.dir.mapper.release(s)
	l.mu.Unlock()
	cut := make(chan error, 1)
	disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*.log", Hook: func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			yes, err := s.trim(true)
			if err == nil && !yes {
				err = errors.New("nothing was cut")
			}
			cut <- err
		}()
		select { // it would be done at once if it did not wait
		case <-done:
		case <-time.After(20 * time.Millisecond):
		}
	}})
	if err := s.sync(s.size.Load()); err != nil {
		t.Fatal(err)
	}
	if err := <-cut; err != nil {
		t.Fatal(err)
	}
	if n := s.durable.Load(); n != 0 {
		t.Errorf("%d bytes are taken for synced after the cut", n)
	}
	r.close()
}

// TestPreallocate: preallocate=true reserves a segment when it is made; what was
// not written is given back when it is closed, and at a clean stop.
func TestPreallocate(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	used := func() int64 {
		u, err := disk.Usage("/data")
		if err != nil {
			t.Fatal(err)
		}
		return int64(u.Total - u.Free)
	}
	eventually(t, "the ring has its second file", func() bool { total, _ := r.s.dirs[0].journal.usage(); return total > firstJournalFile })
	spec := specOf("t", 0)
	spec.Config.Preallocate, spec.Config.SegmentBytes = true, 8<<20
	empty := used()
	l := r.open(spec)
	if have := used() - empty; have < 8<<20 {
		t.Errorf("a new segment has %d bytes", have)
	}
	r.put(l, "x", 1)
	info, err := disk.Stat(l.active.path() + suffixLog)
	if err != nil || info.Size() > 1000 {
		t.Errorf("the file's size is %d, %v", info.Size(), err)
	}
	if err := l.Roll(testNow); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the closed segment is given back", func() bool { have := used() - empty; return have >= 8<<20 && have < 12<<20 })
	r.put(l, "y", 1)
	r.close()
	if have := used() - empty; have > 4<<20 {
		t.Errorf("after a clean stop %d bytes are held", have)
	}
	disk.SetCapacity(used() + 4<<20)
	r = mustRig(t, rigOptions(disk))
	l = r.open(spec)
	r.ready()
	if have := r.readAll(l, 0, false); len(have) != 2 {
		t.Errorf("after a restart: %v", have)
	}
	if err := l.Roll(testNow); !errors.Is(err, ErrDiskFull) {
		t.Errorf("a segment that the disk cannot hold: %v", err)
	}
	r.close()
}

// TestPreallocationSteps: a cold log's file is as long as its records; a hot one gets
// 64 KiB, then 256 KiB at a time, ahead of its end and never past segment.bytes; a
// full disk gives no step.
func TestPreallocationSteps(t *testing.T) {
	const most = 1_000_000
	disk := vfs.NewMem()
	o := rigOptions(disk)
	o.SegmentWrite = "mmap"
	r := mustRig(t, o).ready()
	spec := specOf("t", 0)
	spec.Config.SegmentBytes = most
	l := r.open(spec)
	raw := makeBatch(strings.Repeat("x", 4000), 1, nobody, testNow)
	grew := func() (steps []int64) { // by how much the file grows until the log rolls
		size, first := int64(0), l.active
		for range most {
			clear(raw[:8])
			if _, err := r.append(l, Append{Batches: raw}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the mapper answers", l.mapperIdle)
			if l.active != first {
				return steps
			}
			info, err := disk.Stat(first.path() + suffixLog)
			if err != nil {
				t.Fatal(err)
			}
			if by := info.Size() - size; by > int64(len(raw)) {
				steps = append(steps, info.Size()&^4095)
			}
			size = info.Size()
		}
		return steps
	}
	// The first window begins in the page of the 32nd append's end.
	begin := int64(hotAppends*len(raw)) &^ 4095
	want := []int64{begin + 64<<10, begin + 320<<10, begin + 576<<10, begin + 832<<10, pageUp(most)}
	if have := grew(); !slices.Equal(have, want) {
		t.Errorf("the file of a log that gets hot ends at %v, want %v", have, want)
	}
	r.s.dirs[0].full.Store(true)
	spec = specOf("u", 0)
	spec.Internal, spec.Config.SegmentBytes = true, most // clients' appends are refused on a full disk
	l = r.open(spec)
	if have := grew(); len(have) != 0 {
		t.Errorf("on a full disk a file was made longer than its log: %v", have)
	}
	r.s.dirs[0].full.Store(false)
	r.close()
}

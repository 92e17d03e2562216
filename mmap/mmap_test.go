package mmap_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/mmap"
)

func tempFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	check(t, err)
	t.Cleanup(func() { check(t, f.Close()) })
	return f
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMapShowsTheFile(t *testing.T) {
	f := tempFile(t)
	fd := int(f.Fd())
	check(t, mmap.Allocate(fd, 0, 1<<20, false))
	w, err := mmap.Map(fd, 4096, 8192, true)
	check(t, err)
	for _, c := range []struct{ off, n int }{{0, 8192}, {1, 1}, {4095, 2}, {100, 0}} {
		check(t, mmap.Populate(w[c.off:c.off+c.n], true))
		check(t, mmap.Populate(w[c.off:c.off+c.n], false))
	}
	check(t, mmap.Copy(w[10:], []byte("through the map")))
	check(t, mmap.Flush(w))
	p := make([]byte, 15)
	n, err := mmap.Pread(fd, p, 4106)
	if n != 15 || err != nil || string(p) != "through the map" {
		t.Errorf("read %q, %v", p[:n], err)
	}
	check(t, mmap.Unmap(w))
	if mmap.Unmap(w) == nil {
		t.Error("unmapping twice went unnoticed")
	}
	check(t, mmap.Datasync(fd))
	check(t, mmap.Sync(fd))
	check(t, mmap.SyncRange(fd, 0, 1<<20))
	check(t, mmap.PunchHole(fd, 4096, 4096))
	if _, err := mmap.Pread(fd, p, 4106); err != nil || !bytes.Equal(p, make([]byte, 15)) {
		t.Errorf("in the hole: %q, %v", p, err)
	}
	check(t, mmap.Truncate(fd, 4110))
	if n, err := mmap.Pread(fd, p, 4106); n != 4 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// A page that the kernel cannot serve is an error of the goroutine that touched
// it, not the end of the process.
func TestFaultIsAnError(t *testing.T) {
	f := tempFile(t)
	check(t, f.Truncate(8192))
	b, err := mmap.Map(int(f.Fd()), 0, 8192, true)
	check(t, err)
	check(t, f.Truncate(4096))
	check(t, mmap.Copy(b, []byte("still backed")))
	touches := map[string]func() error{
		"store": func() error { return mmap.Copy(b[4096:], []byte("x")) },
		"load":  func() error { return mmap.Copy(make([]byte, 10), b[4090:4200]) },
		"guard": func() error {
			return mmap.Guard(func() error {
				if b[5000] == 1 {
					return io.ErrUnexpectedEOF
				}
				return nil
			})
		},
		"populate": func() error { return mmap.Populate(b, true) },
	}
	for name, touch := range touches {
		err := touch()
		if name == "populate" {
			if err == nil {
				t.Error("populating beyond the end went unnoticed")
			}
			continue
		}
		var fault *mmap.FaultError
		if !errors.As(err, &fault) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v, want a fault that is EIO", name, err)
		}
	}
	if err := mmap.Guard(func() error { return io.EOF }); err != io.EOF {
		t.Errorf("guard hides the error: %v", err)
	}
	check(t, mmap.Unmap(b))
}

func TestGuardLeavesOtherPanicsAlone(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a panic that is no fault was swallowed")
		}
	}()
	var s []int
	t.Error(mmap.Guard(func() error { return errors.New(string(rune(s[3]))) }))
}

// A disk that fills up gives a short write first and its reason after.
func TestShortWritesEndWithTheReason(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	check(t, err)
	defer func() { check(t, full.Close()) }()
	if _, err := mmap.Pwrite(int(full.Fd()), []byte("x"), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("pwrite: %v", err)
	}
}

func TestWritesAllocateNothing(t *testing.T) {
	f := tempFile(t)
	fd := int(f.Fd())
	p := make([]byte, 100)
	q := make([]byte, 100)
	var bell mmap.Bell
	allocs := testing.AllocsPerRun(100, func() {
		_, e1 := mmap.Pwrite(fd, p, 0)
		_, e2 := mmap.Pread(fd, p, 0)
		e3 := mmap.Copy(p, q)
		if e1 != nil || e2 != nil || e3 != nil {
			t.Error(e1, e2, e3)
		}
		bell.Ring()
		bell.Wait(-1)
		bell.Wait(time.Microsecond)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a run", allocs)
	}
}

// Two goroutines hand a number back and forth: a ring that is lost leaves both
// asleep, for ever.
func TestBellLosesNoRing(t *testing.T) {
	var there, back mmap.Bell
	var n atomic.Int64
	const rounds = 20_000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := int64(1); i <= rounds; i++ {
			for n.Load() != 2*i-1 {
				there.Wait(-1)
			}
			n.Add(1)
			back.Ring()
		}
	}()
	for i := int64(1); i <= rounds; i++ {
		n.Add(1)
		there.Ring()
		for n.Load() != 2*i {
			back.Wait(-1)
		}
	}
	<-done
}

func TestBellWaitsForItsTime(t *testing.T) {
	var b mmap.Bell
	began := time.Now()
	b.Wait(20 * time.Millisecond)
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("nobody rang, and the wait for 20 ms took %v", took)
	}
	b.Ring()
	b.Ring()
	b.Wait(-1) // both rings are this one
	began = time.Now()
	b.Wait(5 * time.Millisecond)
	if took := time.Since(began); took < 5*time.Millisecond {
		t.Errorf("two rings ended two waits, the second after %v", took)
	}
}

func TestCached(t *testing.T) {
	f := tempFile(t)
	fd := int(f.Fd())
	n := int64(1 << 20)
	_, err := mmap.Pwrite(fd, make([]byte, n), 0)
	check(t, err)
	if !mmap.Cached(fd, 0, n) || !mmap.Cached(fd, 5000, 1) || !mmap.Cached(fd, 7, 0) {
		t.Error("what was just written is not cached")
	}
	if mmap.Cached(fd, n-1, 2+int64(mmap.PageSize)) {
		t.Error("pages beyond the end are cached")
	}
	check(t, f.Truncate(2*n)) // a hole has no page until it is read
	if mmap.Cached(fd, n, n) {
		t.Error("a hole that nobody read is cached")
	}
}

func TestLock(t *testing.T) {
	f := tempFile(t)
	g, err := os.Open(f.Name())
	check(t, err)
	defer func() { check(t, g.Close()) }()
	check(t, mmap.Lock(int(f.Fd())))
	if err := mmap.Lock(int(g.Fd())); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("a second lock: %v", err)
	}
	check(t, mmap.Unlock(int(f.Fd())))
	check(t, mmap.Lock(int(g.Fd())))
}

func TestSpaceOf(t *testing.T) {
	s, err := mmap.SpaceOf(t.TempDir())
	check(t, err)
	if s.Total == 0 || s.Free > s.Total {
		t.Errorf("%+v", s)
	}
	if s, err := mmap.SpaceOf("/dev/shm"); err == nil && (s.Type != "tmpfs" || !s.Reserves) {
		t.Errorf("/dev/shm is %+v, want tmpfs", s)
	}
	if _, err := mmap.SpaceOf(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}

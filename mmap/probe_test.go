package mmap

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The ways for kernels that lack the newer calls must answer as the calls do.
func TestOldKernels(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, n := int(f.Fd()), int64(1<<20)
	if err := Allocate(fd, 0, n, false); err != nil {
		t.Fatal(err)
	}
	b, err := Map(fd, 0, int(n), true)
	if err != nil {
		t.Fatal(err)
	}
	b[5000] = 7
	if err := touchPages(b, true); err != nil {
		t.Fatal(err)
	}
	if err := touchPages(b, false); err != nil {
		t.Fatal(err)
	}
	if b[5000] != 7 {
		t.Error("populating by hand changed a byte")
	}
	// A file system may not know RWF_NOWAIT (tmpfs does not): then nothing is said
	// to be cached, since nobody can tell.
	_, err = unix.Preadv2(fd, [][]byte{make([]byte, 1)}, 0, unix.RWF_NOWAIT)
	tells := !errors.Is(err, unix.EOPNOTSUPP)
	if probe(fd, 0, n) != tells || probe(fd, n-1, 1) != tells || !Cached(fd, 0, n) && tells {
		t.Errorf("populated pages are not cached, though RWF_NOWAIT says %v", err)
	}
	if err := Unmap(b); err != nil {
		t.Fatal(err)
	}
	if _, err := Pwrite(fd, make([]byte, n), 0); err != nil {
		t.Fatal(err)
	}
	if err := Sync(fd); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(fd, 0, n, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	// tmpfs keeps its pages whatever it is advised.
	if !Cached(fd, 0, n) && probe(fd, 0, n) {
		t.Error("dropped pages are cached")
	}
	if probe(-1, 0, 1) {
		t.Error("a bad descriptor has cached pages")
	}
}

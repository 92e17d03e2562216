package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestWriteDirect: what is written past the cache is read through it, and what is
// not aligned is written all the same.
func TestWriteDirect(t *testing.T) {
	f, err := vfs.OS.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	block := vfs.Aligned(vfs.DirectAlign)
	want := make([]byte, 4*vfs.DirectAlign)
	if _, err := f.WriteAt(want, 0); err != nil {
		t.Fatal(err)
	}
	for i, w := range []struct {
		p   []byte
		off int64
	}{{block, vfs.DirectAlign}, {block, 3 * vfs.DirectAlign}, {block[1:101], 7}, {block, 2 * vfs.DirectAlign}} {
		for k := range w.p {
			w.p[k] = byte(i + 1)
		}
		if n, err := f.WriteDirect(w.p, w.off); n != len(w.p) || err != nil {
			t.Fatalf("write %d: %d bytes, %v", i, n, err)
		}
		if err := f.Datasync(); err != nil {
			t.Fatal(err)
		}
		copy(want[w.off:], w.p)
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("after write %d the file holds something else: %v", i, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Both disks must answer alike: what holds on the in-memory one is then worth
// something on the real one.
func TestDisk(t *testing.T) {
	disks := []struct {
		name string
		make func(t *testing.T) (vfs.FS, string)
	}{
		{"os", func(t *testing.T) (vfs.FS, string) { return vfs.OS, t.TempDir() }},
		{"mem", func(t *testing.T) (vfs.FS, string) {
			m := vfs.NewMem()
			check(t, m.MkdirAll("/data/dir", 0o755))
			t.Cleanup(func() {
				if names, maps := m.OpenFiles(); len(names) > 0 || maps > 0 {
					t.Errorf("left open: %v and %d maps", names, maps)
				}
			})
			return m, "/data/dir"
		}},
	}
	for _, d := range disks {
		t.Run(d.name, func(t *testing.T) {
			for _, c := range conformance {
				t.Run(c.name, func(t *testing.T) {
					disk, dir := d.make(t)
					c.run(t, disk, dir)
				})
			}
		})
	}
}

var conformance = []struct {
	name string
	run  func(t *testing.T, d vfs.FS, dir string)
}{
	{"names", testNames},
	{"errors", testErrors},
	{"content", testContent},
	{"sizes", testSizes},
	{"bell", testBell},
	{"maps", testMaps},
	{"lock", testLock},
	{"usage", testUsage},
	{"unlinked", testUnlinked},
}

func testNames(t *testing.T, d vfs.FS, dir string) {
	sub := filepath.Join(dir, "a", "b")
	check(t, d.MkdirAll(sub, 0o755))
	check(t, d.MkdirAll(sub, 0o755))
	for _, n := range []string{"z", "y", "x"} {
		put(t, d, filepath.Join(sub, n), n)
	}
	check(t, d.Rename(filepath.Join(sub, "z"), filepath.Join(sub, "x")))
	check(t, d.Remove(filepath.Join(sub, "y")))
	check(t, d.SyncDir(sub))
	entries, err := d.ReadDir(sub)
	check(t, err)
	if len(entries) != 1 || entries[0].Name() != "x" || entries[0].IsDir() {
		t.Errorf("entries are %v, want the file x alone", entries)
	}
	if got := get(t, d, filepath.Join(sub, "x")); got != "z" {
		t.Errorf("x holds %q, want what was renamed onto it", got)
	}
	check(t, d.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "c")))
	if got := get(t, d, filepath.Join(dir, "c", "b", "x")); got != "z" {
		t.Errorf("after renaming the directory x holds %q", got)
	}
	info, err := d.Stat(filepath.Join(dir, "c"))
	check(t, err)
	if !info.IsDir() {
		t.Error("c is no directory")
	}
	check(t, d.RemoveAll(filepath.Join(dir, "c")))
	check(t, d.RemoveAll(filepath.Join(dir, "c")))
	if _, err := d.Stat(filepath.Join(dir, "c", "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of a removed directory: %v", err)
	}
}

func testErrors(t *testing.T, d vfs.FS, dir string) {
	file := filepath.Join(dir, "f")
	put(t, d, file, "x")
	check(t, d.MkdirAll(filepath.Join(dir, "full", "sub"), 0o755))
	none := filepath.Join(dir, "none")
	only := func(_ any, err error) error { return err }
	r, err := d.OpenRead(file)
	check(t, err)
	defer closing(t, r)
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"open of nothing", only(d.Open(none)), fs.ErrNotExist},
		{"open to read of nothing", only(d.OpenRead(none)), fs.ErrNotExist},
		{"create in nothing", only(d.Create(filepath.Join(none, "x"))), fs.ErrNotExist},
		{"create below a file", only(d.Create(filepath.Join(file, "x"))), syscall.ENOTDIR},
		{"open of a directory", only(d.Open(dir)), syscall.EISDIR},
		{"remove of nothing", d.Remove(none), fs.ErrNotExist},
		{"remove of a full directory", d.Remove(filepath.Join(dir, "full")), syscall.ENOTEMPTY},
		{"rename of nothing", d.Rename(none, file), fs.ErrNotExist},
		{"rename of a directory onto a file", d.Rename(filepath.Join(dir, "full"), file), syscall.ENOTDIR},
		{"list of a file", only(d.ReadDir(file)), syscall.ENOTDIR},
		{"list of nothing", only(d.ReadDir(none)), fs.ErrNotExist},
		{"sync of no directory", d.SyncDir(none), fs.ErrNotExist},
		{"sync of a file as a directory", d.SyncDir(file), syscall.ENOTDIR},
		{"usage of nothing", only(d.Usage(none)), fs.ErrNotExist},
		{"write to what was opened to read", only(r.WriteAt([]byte("y"), 0)), syscall.EBADF},
		{"directory below a file", d.MkdirAll(filepath.Join(file, "x"), 0o755), syscall.ENOTDIR},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.err, c.want)
		}
	}
}

func testContent(t *testing.T, d vfs.FS, dir string) {
	f, err := d.Create(filepath.Join(dir, "f"))
	check(t, err)
	defer closing(t, f)
	write(t, f, "hello", 0)
	write(t, f, "far", 10000) // a hole between
	p := make([]byte, 10010)
	n, err := f.ReadAt(p, 0)
	if n != 10003 || err != io.EOF {
		t.Errorf("read at the end: %d, %v, want 10003 and io.EOF", n, err)
	}
	if string(p[:5]) != "hello" || !zeros(p[5:10000]) || string(p[10000:10003]) != "far" {
		t.Error("content differs from what was written")
	}
	if n, err := f.ReadAt(p[:3], 10000); n != 3 || err != nil {
		t.Errorf("a full read at the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(p[:3], 20000); n != 0 || err != io.EOF {
		t.Errorf("read beyond the end: %d, %v", n, err)
	}
	check(t, f.Datasync())
	check(t, f.Sync())
	check(t, f.SyncRange(0, 4096))
	if !f.Resident(0, 5) {
		t.Error("what was just written is not in the page cache")
	}
	again, err := d.Create(f.Name())
	check(t, err)
	defer closing(t, again)
	if n, err := again.Size(); n != 0 || err != nil {
		t.Errorf("size after creating once more: %d, %v", n, err)
	}
}

func testSizes(t *testing.T, d vfs.FS, dir string) {
	f, err := d.Create(filepath.Join(dir, "f"))
	check(t, err)
	defer closing(t, f)
	size := func(want int64) {
		t.Helper()
		if n, err := f.Size(); n != want || err != nil {
			t.Errorf("size %d, %v, want %d", n, err, want)
		}
	}
	check(t, f.Allocate(0, 8192, true))
	size(0)
	write(t, f, "abcdef", 0)
	size(6)
	check(t, f.Allocate(0, 8192, false))
	size(8192)
	check(t, f.Truncate(3))
	size(3)
	check(t, f.Truncate(6))
	if got := get(t, d, f.Name()); got != "abc\x00\x00\x00" {
		t.Errorf("cut and grown again: %q", got)
	}
	write(t, f, string(bytes.Repeat([]byte{7}, 3*4096)), 0)
	check(t, f.PunchHole(4096, 4096))
	size(3 * 4096)
	p := make([]byte, 3*4096)
	_, err = f.ReadAt(p, 0)
	check(t, err)
	if p[4095] != 7 || !zeros(p[4096:8192]) || p[8192] != 7 {
		t.Error("the hole is not where it was punched")
	}
}

func testBell(t *testing.T, d vfs.FS, _ string) {
	b := d.NewBell()
	rung := make(chan struct{})
	go func() {
		b.Wait(-1)
		close(rung)
	}()
	b.Ring()
	<-rung
	b.Ring()
	b.Wait(time.Hour)
	began := time.Now()
	b.Wait(time.Millisecond)
	if took := time.Since(began); took < time.Millisecond {
		t.Errorf("a wait for 1 ms that nobody ended took %v", took)
	}
}

func testMaps(t *testing.T, d vfs.FS, dir string) {
	f, err := d.Create(filepath.Join(dir, "f"))
	check(t, err)
	defer closing(t, f)
	check(t, f.Allocate(0, 4*4096, false))
	write(t, f, "before", 4096)
	w, err := f.Map(4096, 2*4096, true)
	check(t, err)
	check(t, w.Populate(0, 2*4096))
	check(t, w.Populate(100, 5000))
	if string(w.Bytes()[:6]) != "before" || len(w.Bytes()) != 2*4096 {
		t.Fatal("the map does not show the file")
	}
	copy(w.Bytes()[4090:], "across a page")
	w.Touched(4090, 13)
	p := make([]byte, 13)
	_, err = f.ReadAt(p, 4096+4090)
	check(t, err)
	if string(p) != "across a page" {
		t.Errorf("a read gives %q, want what was stored through the map", p)
	}
	write(t, f, "behind", 4096)
	if string(w.Bytes()[:6]) != "behind" {
		t.Error("the map does not show a write")
	}
	check(t, f.Truncate(16*4096)) // growing is fine beside maps
	r, err := f.Map(0, 16*4096, false)
	check(t, err)
	check(t, r.Populate(0, 16*4096))
	if string(r.Bytes()[4096:4102]) != "behind" || !zeros(r.Bytes()[12*4096:]) {
		t.Error("the second map does not show the file")
	}
	check(t, w.Flush())
	check(t, w.Unmap())
	check(t, r.Unmap())
	_, err = f.ReadAt(p, 4096+4090)
	check(t, err)
	if string(p) != "across a page" {
		t.Errorf("after unmapping a read gives %q", p)
	}
	if _, err := f.Map(1, 4096, false); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a map off the page: %v", err)
	}
}

func testLock(t *testing.T, d vfs.FS, dir string) {
	name := filepath.Join(dir, ".lock")
	l, err := d.Lock(name)
	check(t, err)
	if _, err := d.Lock(name); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	check(t, l.Unlock())
	l, err = d.Lock(name)
	check(t, err)
	check(t, l.Unlock())
	if l.Unlock() == nil {
		t.Error("unlocking twice went unnoticed")
	}
}

func testUsage(t *testing.T, d vfs.FS, dir string) {
	u, err := d.Usage(dir)
	check(t, err)
	if u.Total == 0 || u.Free > u.Total {
		t.Errorf("usage %+v", u)
	}
}

func testUnlinked(t *testing.T, d vfs.FS, dir string) {
	f, err := d.Create(filepath.Join(dir, "f"))
	check(t, err)
	write(t, f, "still here", 0)
	check(t, d.Remove(f.Name()))
	p := make([]byte, 10)
	if _, err := f.ReadAt(p, 0); err != nil || string(p) != "still here" {
		t.Errorf("reading a removed file that is open: %q, %v", p, err)
	}
	check(t, f.Close())
	if f.Close() == nil {
		t.Error("closing twice went unnoticed")
	}
}

func put(t *testing.T, d vfs.FS, name, content string) {
	t.Helper()
	f, err := d.Create(name)
	check(t, err)
	write(t, f, content, 0)
	check(t, f.Close())
}

func get(t *testing.T, d vfs.FS, name string) string {
	t.Helper()
	f, err := d.OpenRead(name)
	check(t, err)
	defer closing(t, f)
	n, err := f.Size()
	check(t, err)
	p := make([]byte, n)
	_, err = f.ReadAt(p, 0)
	check(t, err)
	return string(p)
}

func write(t *testing.T, f vfs.File, s string, off int64) {
	t.Helper()
	n, err := f.WriteAt([]byte(s), off)
	if n != len(s) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(s), err)
	}
}

func closing(t *testing.T, c io.Closer) {
	t.Helper()
	check(t, c.Close())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func zeros(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

const pageSize = 4096

// disk is the directory that is served, and what a power cut would take from it.
type disk struct {
	dir   string
	rng   *rand.Rand // cut only
	dead  atomic.Bool
	names names

	mu    sync.Mutex
	files map[inode]*file // mu
}

func newDisk(dir string, rng *rand.Rand) *disk {
	return &disk{dir: dir, rng: rng, files: map[inode]*file{}, names: names{trash: dir + ".removed"}}
}

type inode struct{ dev, ino uint64 }

func inodeOf(st *syscall.Stat_t) inode { return inode{st.Dev, st.Ino} }

// file is the bytes of one file as processes see them. The backing file has what
// was synced, and what does not count of it any more.
type file struct {
	mu    sync.Mutex
	size  int64            // mu
	valid int64            // mu; how many of the backing file's bytes count
	pages map[int64][]byte // mu; written since the last sync
}

// file finds what belongs to an open or named file; fresh forgets what its inode
// was before.
func (d *disk) file(st *syscall.Stat_t, fresh bool) *file {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[inodeOf(st)]
	if f == nil || fresh {
		f = &file{size: st.Size, valid: st.Size, pages: map[int64][]byte{}}
		d.files[inodeOf(st)] = f
	}
	return f
}

func (f *file) length() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

func (f *file) grow(to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = max(f.size, to)
}

func (f *file) truncate(to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.valid, f.size = min(f.valid, to), to
	for p, b := range f.pages {
		switch at := p * pageSize; {
		case at >= to:
			delete(f.pages, p)
		case at+pageSize > to:
			clear(b[to-at:])
		}
	}
}

// page is a copy of what the backing file has of a page. Under mu.
func (f *file) page(fd int, p int64) ([]byte, error) {
	b := make([]byte, pageSize)
	at := p * pageSize
	if at >= f.valid {
		return b, nil
	}
	_, err := syscall.Pread(fd, b[:min(pageSize, f.valid-at)], at)
	return b, err
}

func (f *file) read(fd int, dst []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dst = dst[:max(0, min(int64(len(dst)), f.size-off))]
	for done := 0; done < len(dst); {
		p, in := (off+int64(done))/pageSize, (off+int64(done))%pageSize
		b := f.pages[p]
		if b == nil {
			var err error
			if b, err = f.page(fd, p); err != nil {
				return done, err
			}
		}
		done += copy(dst[done:], b[in:])
	}
	return len(dst), nil
}

func (f *file) write(fd int, src []byte, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for done := 0; done < len(src); {
		p, in := (off+int64(done))/pageSize, (off+int64(done))%pageSize
		b := f.pages[p]
		if b == nil {
			var err error
			if b, err = f.page(fd, p); err != nil {
				return err
			}
			f.pages[p] = b
		}
		done += copy(b[in:], src[done:])
	}
	f.size = max(f.size, off+int64(len(src)))
	return nil
}

// sync makes the backing file what processes see.
func (f *file) sync(fd int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := syscall.Ftruncate(fd, f.valid); err != nil { // what was cut off is zeros when the file grows again
		return err
	}
	for p, b := range f.pages {
		if err := f.store(fd, p, b); err != nil {
			return err
		}
	}
	clear(f.pages)
	f.valid = f.size
	return syscall.Ftruncate(fd, f.size)
}

// store writes a page, up to the file's end. Under mu.
func (f *file) store(fd int, p int64, b []byte) error {
	n := min(pageSize, f.size-p*pageSize)
	if n <= 0 {
		return nil
	}
	_, err := syscall.Pwrite(fd, b[:n], p*pageSize)
	return err
}

// cut forgets: every page that is not synced, or in half of the cuts any of them;
// and the newest names that are not, some or all. Nothing changes after it.
func (d *disk) cut() (what string, err error) {
	d.dead.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	torn := d.rng.IntN(2) == 0
	lost, kept := 0, 0
	paths, err := d.paths()
	if err != nil {
		return "", err
	}
	for ino, f := range d.files {
		f.mu.Lock()
		path, named := paths[ino]
		for p, b := range f.pages {
			if !torn || !named || d.rng.IntN(2) == 0 {
				lost++
				continue
			}
			kept++
			if err := f.rescue(path, p, b); err != nil {
				f.mu.Unlock()
				return "", err
			}
		}
		clear(f.pages)
		f.mu.Unlock()
	}
	forgotten, stayed, err := d.names.cut(d.rng)
	return fmt.Sprintf("%d pages lost and %d written, %d names taken back and %d kept", lost, kept, forgotten, stayed), err
}

// rescue writes a page that the cut let through. Under mu.
func (f *file) rescue(path string, p int64, b []byte) error {
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer w.Close()
	return f.store(int(w.Fd()), p, b)
}

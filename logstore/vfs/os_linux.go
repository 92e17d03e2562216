package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/mmap"
)

// OS is the real disk.
var OS FS = osFS{}

type osFS struct{}

// open opens with O_CLOEXEC, so that no child process keeps a log open.
func open(name string, flags int) (*osFile, error) {
	for {
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o644)
		switch {
		case err == nil:
			return &osFile{fd: fd, direct: -1, name: name}, nil
		case err != unix.EINTR:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

func (osFS) Open(name string) (File, error)     { return asFile(open(name, unix.O_RDWR)) }
func (osFS) OpenRead(name string) (File, error) { return asFile(open(name, unix.O_RDONLY)) }
func (osFS) Create(name string) (File, error) {
	return asFile(open(name, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC))
}

// asFile keeps a nil *osFile from becoming a File that is not nil.
func asFile(f *osFile, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) RemoveAll(name string) error                  { return os.RemoveAll(name) }
func (osFS) Rename(oldname, newname string) error         { return os.Rename(oldname, newname) }
func (osFS) MkdirAll(name string, perm os.FileMode) error { return os.MkdirAll(name, perm) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error)   { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }

func (osFS) SyncDir(name string) error {
	d, err := open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	if err := mmap.Sync(d.fd); err != nil {
		return errors.Join(d.failed("fsync", err), d.Close())
	}
	return d.Close()
}

func (osFS) Lock(name string) (Unlocker, error) {
	f, err := open(name, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return nil, err
	}
	if err := mmap.Lock(f.fd); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(f.failed("flock", err), f.Close())
	}
	return osLock{f}, nil
}

type osLock struct{ f *osFile }

func (l osLock) Unlock() error { return errors.Join(mmap.Unlock(l.f.fd), l.f.Close()) }

func (osFS) Usage(name string) (Usage, error) {
	s, err := mmap.SpaceOf(name)
	return Usage(s), err
}

func (osFS) NewBell() Bell { return new(mmap.Bell) }

// osFile holds a bare descriptor: os.File would register it with the runtime's
// poller and take a lock on each call. It has no finalizer; who opens closes.
type osFile struct {
	fd     int
	direct int // the same with O_DIRECT, -1: not asked for, or not to be had
	asked  bool
	name   string
}

func (f *osFile) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *osFile) Name() string    { return f.name }
func (f *osFile) Fd() (int, bool) { return f.fd, true }

// ReadAt passes io.EOF through bare, as io.ReaderAt asks.
func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := mmap.Pread(f.fd, p, off)
	if _, isErrno := err.(unix.Errno); isErrno {
		err = f.failed("read", err)
	}
	return n, err
}

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := mmap.Pwrite(f.fd, p, off)
	return n, f.failed("write", err)
}

// WriteDirect opens a second descriptor at its first call. Datasync of the first
// one vouches for both: it empties the disk's cache whoever filled it.
func (f *osFile) WriteDirect(p []byte, off int64) (int, error) {
	if !f.asked {
		f.asked, f.direct = true, mmap.OpenDirect(f.fd)
	}
	if f.direct >= 0 {
		n, err := mmap.Pwrite(f.direct, p, off)
		if n > 0 || err != unix.EINVAL {
			return n, f.failed("write", err)
		}
		// The file system opens so and then wants larger pieces.
		if err := unix.Close(f.direct); err != nil {
			return 0, f.failed("close", err)
		}
		f.direct = -1
	}
	return f.WriteAt(p, off)
}

func (f *osFile) Prefetch(off, n int64) { mmap.Prefetch(f.fd, off, n) }

func (f *osFile) Datasync() error { return f.failed("fdatasync", mmap.Datasync(f.fd)) }
func (f *osFile) Sync() error     { return f.failed("fsync", mmap.Sync(f.fd)) }

func (f *osFile) SyncRange(off, n int64) error {
	return f.failed("sync_file_range", mmap.SyncRange(f.fd, off, n))
}

func (f *osFile) Truncate(size int64) error {
	return f.failed("truncate", mmap.Truncate(f.fd, size))
}

func (f *osFile) Allocate(off, n int64, keepSize bool) error {
	return f.failed("fallocate", mmap.Allocate(f.fd, off, n, keepSize))
}

func (f *osFile) PunchHole(off, n int64) error {
	return f.failed("punch hole", mmap.PunchHole(f.fd, off, n))
}

func (f *osFile) Size() (int64, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstat(f.fd, &st)
		if err != unix.EINTR {
			return st.Size, f.failed("stat", err)
		}
	}
}

func (f *osFile) Resident(off, n int64) bool { return mmap.Cached(f.fd, off, n) }

func (f *osFile) Map(off int64, n int, writable bool) (Mapping, error) {
	b, err := mmap.Map(f.fd, off, n, writable)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(f.name), err)
	}
	return &osMapping{b: b, writable: writable}, nil
}

// Close reports what close(2) does. Unsynced data may fail to be written after
// it with nobody to hear: sync first.
func (f *osFile) Close() error {
	err := f.failed("close", unix.Close(f.fd))
	if f.direct >= 0 {
		err = errors.Join(err, f.failed("close", unix.Close(f.direct)))
	}
	return err
}

type osMapping struct {
	b        []byte
	writable bool
}

func (m *osMapping) Bytes() []byte { return m.b }
func (m *osMapping) Populate(off, n int) error {
	return mmap.Populate(m.b[off:off+n], m.writable)
}
func (m *osMapping) Touched(off, n int) {}
func (m *osMapping) Flush() error       { return mmap.Flush(m.b) }
func (m *osMapping) Unmap() error       { return mmap.Unmap(m.b) }

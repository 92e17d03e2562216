package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"unsafe"
)

// memFile is a handle; two of one file share its inode.
type memFile struct {
	disk     *Mem
	node     *node
	name     string
	writable bool
	closed   bool // disk.mu
}

func (f *memFile) Name() string    { return f.name }
func (f *memFile) Fd() (int, bool) { return -1, false }

// do runs one operation on the content.
func (f *memFile) do(op Op, run func(i *inode, hit *Fault) error) error {
	m := f.disk
	hit, err := m.begin(op, f.name)
	defer m.mu.Unlock()
	switch {
	case err != nil:
	case f.closed:
		err = fs.ErrClosed
	case !f.writable && op&(OpWrite|OpTruncate|OpAllocate|OpPunch) != 0:
		err = syscall.EBADF
	case hit != nil && hit.Err != nil && !hit.partial(op):
		err = hit.Err
	default:
		err = run(f.node.inode, hit)
	}
	return err
}

func (f *memFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.do(OpRead, func(i *inode, _ *Fault) error {
		if off < 0 {
			return syscall.EINVAL
		}
		if off < int64(len(i.data)) {
			n = copy(p, i.data[off:])
		}
		return nil
	})
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	return n, pathError("read", f.name, err)
}

func (f *memFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.do(OpWrite, func(i *inode, hit *Fault) error {
		if off < 0 {
			return syscall.EINVAL
		}
		short := hit != nil && hit.partial(OpWrite)
		if short {
			p = p[:min(len(p), hit.Short)]
		}
		if n, err = i.write(f.disk, p, off); err != nil {
			return err
		}
		if short {
			return hit.Err
		}
		return nil
	})
	return n, pathError("write", f.name, err)
}

// WriteDirect fails where the real disk would go through the page cache: who calls
// it must have aligned what he writes.
func (f *memFile) WriteDirect(p []byte, off int64) (int, error) {
	if len(p) == 0 || uintptr(unsafe.Pointer(&p[0]))%DirectAlign != 0 || len(p)%DirectAlign != 0 || off%DirectAlign != 0 {
		return 0, pathError("write direct", f.name, syscall.EINVAL)
	}
	return f.WriteAt(p, off)
}

func (f *memFile) Prefetch(off, n int64) {}

func (f *memFile) Datasync() error { return f.sync("fdatasync") }
func (f *memFile) Sync() error     { return f.sync("fsync") }

// sync vouches for what was written before it was called: a hook runs between
// the look at the dirty sectors and their landing, as a slow disk does.
func (f *memFile) sync(call string) error {
	m := f.disk
	m.mu.Lock()
	start := f.node.inode.takeOff()
	m.mu.Unlock()
	err := f.do(OpSync, func(i *inode, hit *Fault) error {
		if hit != nil && hit.Clean {
			i.loseClean()
			return hit.Err
		}
		i.land(start)
		return nil
	})
	return pathError(call, f.name, err)
}

func (f *memFile) SyncRange(off, n int64) error {
	return pathError("sync_file_range", f.name, f.do(OpSyncRange, func(*inode, *Fault) error { return nil }))
}

func (f *memFile) Truncate(size int64) error {
	err := f.do(OpTruncate, func(i *inode, _ *Fault) error {
		if size < 0 {
			return syscall.EINVAL
		}
		return i.truncate(f.disk, size)
	})
	return pathError("truncate", f.name, err)
}

func (f *memFile) Allocate(off, n int64, keepSize bool) error {
	err := f.do(OpAllocate, func(i *inode, _ *Fault) error {
		if off < 0 || n <= 0 {
			return syscall.EINVAL
		}
		if _, err := i.reserve(f.disk, off, off+n); err != nil {
			return err
		}
		if keepSize {
			return nil
		}
		return i.grow(off + n)
	})
	return pathError("fallocate", f.name, err)
}

func (f *memFile) PunchHole(off, n int64) error {
	err := f.do(OpPunch, func(i *inode, _ *Fault) error {
		if off < 0 || n <= 0 {
			return syscall.EINVAL
		}
		i.punch(f.disk, off, off+n)
		return nil
	})
	return pathError("punch hole", f.name, err)
}

func (f *memFile) Size() (size int64, err error) {
	err = f.do(OpStat, func(i *inode, _ *Fault) error {
		size = int64(len(i.data))
		return nil
	})
	return size, pathError("stat", f.name, err)
}

// Resident is true unless a Fault on OpResident says otherwise.
func (f *memFile) Resident(off, n int64) bool {
	return f.do(OpResident, func(*inode, *Fault) error { return nil }) == nil
}

// Close works after a power cut too: a dead store must be able to let go.
func (f *memFile) Close() error {
	m := f.disk
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	delete(m.open, f)
	f.node.inode.opens--
	f.node.inode.free(m)
	return nil
}

func (f *memFile) Map(off int64, n int, writable bool) (mp Mapping, err error) {
	err = f.do(OpMap, func(i *inode, _ *Fault) error {
		end := off + int64(n)
		switch {
		case off < 0 || n <= 0 || off%blockSize != 0:
			return syscall.EINVAL
		case end > int64(len(i.data)):
			return fmt.Errorf("the range [%d, %d) ends beyond the file's %d bytes: %w", off, end, len(i.data), syscall.EINVAL)
		case end > mapReserve:
			return syscall.ENOMEM
		case writable && !f.writable:
			return syscall.EACCES
		}
		for b := off / blockSize; writable && b*blockSize < end; b++ {
			if b >= int64(len(i.blocks)) || !i.blocks[b] {
				return fmt.Errorf("the range [%d, %d) has a hole at %d, where a store could meet a full disk; allocate first: %w",
					off, end, b*blockSize, syscall.EINVAL)
			}
		}
		if err := i.pin(); err != nil {
			return err
		}
		i.maps++
		mm := &memMapping{disk: f.disk, node: f.node, name: f.name, off: off, bytes: i.region[off:end:end], writable: writable}
		f.disk.maps[mm] = struct{}{}
		mp = mm
		return nil
	})
	return mp, pathError("mmap", f.name, err)
}

// memMapping is a window on an inode's region.
type memMapping struct {
	disk     *Mem
	node     *node
	name     string
	off      int64
	bytes    []byte // nil once unmapped; disk.mu
	writable bool
}

func (mm *memMapping) end() int64 { return mm.off + int64(len(mm.bytes)) }

func (mm *memMapping) Bytes() []byte { return mm.bytes }

func (mm *memMapping) Populate(off, n int) error {
	return mm.disk.do(OpPopulate, mm.name, func() error {
		if off < 0 || n < 0 || off+n > len(mm.bytes) {
			return syscall.ENOMEM
		}
		return nil
	})
}

// Touched is an operation that cannot fail: once the power is cut it does
// nothing.
func (mm *memMapping) Touched(off, n int) {
	_, err := mm.disk.begin(OpTouch, mm.name)
	defer mm.disk.mu.Unlock()
	if err == nil && mm.writable && mm.bytes != nil && n > 0 {
		mm.node.inode.touched(mm.off+int64(off), mm.off+int64(off+n))
	}
}

// Flush makes the sectors of the range durable, and not the size.
func (mm *memMapping) Flush() error {
	m := mm.disk
	m.mu.Lock()
	start := mm.node.inode.takeOff()
	m.mu.Unlock()
	for s := range start.sectors {
		if s*sectorSize >= mm.end() || (s+1)*sectorSize <= mm.off {
			delete(start.sectors, s)
		}
	}
	hit, err := m.begin(OpSync, mm.name)
	defer m.mu.Unlock()
	i := mm.node.inode
	switch {
	case err != nil:
	case hit != nil && hit.Err != nil:
		if hit.Clean {
			i.loseClean()
		}
		err = hit.Err
	default:
		start.size = i.diskSize // msync says nothing of a size that grew since
		i.land(start)
	}
	return pathError("msync", mm.name, err)
}

// Unmap works after a power cut too.
func (mm *memMapping) Unmap() error {
	m := mm.disk
	m.mu.Lock()
	defer m.mu.Unlock()
	if mm.bytes == nil {
		return pathError("munmap", mm.name, syscall.EINVAL)
	}
	delete(m.maps, mm)
	mm.bytes = nil
	mm.node.inode.maps--
	err := mm.node.inode.unpin()
	mm.node.inode.free(m)
	return pathError("munmap", mm.name, err)
}

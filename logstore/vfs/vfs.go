package vfs

import (
	"errors"
	"io/fs"
	"os"
	"time"
	"unsafe"
)

// ErrLocked is what Lock answers when somebody else holds the lock.
var ErrLocked = errors.New("vfs: the file is locked by another process or another store of this one")

// FS is a disk. All paths are absolute or relative to the process; the
// in-memory disk treats both as names. Errors are those of package os
// (fs.ErrNotExist, fs.ErrExist, syscall.ENOSPC …) and can be tested with
// errors.Is.
type FS interface {
	// Open opens for reading and writing; the file must exist.
	Open(name string) (File, error)
	// OpenRead opens for reading only.
	OpenRead(name string) (File, error)
	// Create makes an empty file and opens it for reading and writing; an
	// existing one is truncated. The name is durable after SyncDir of its
	// directory.
	Create(name string) (File, error)
	Remove(name string) error
	RemoveAll(name string) error
	// Rename replaces newname. Durable after SyncDir of both directories.
	Rename(oldname, newname string) error
	MkdirAll(name string, perm os.FileMode) error
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// Lock takes an exclusive lock on a file (created if missing) or fails at
	// once with ErrLocked. The process's end gives it up too.
	Lock(name string) (Unlocker, error)
	// Usage is the free and total space of the file system that holds name.
	Usage(name string) (Usage, error)
	// NewBell gives what a goroutine sleeps on that otherwise waits for this
	// disk.
	NewBell() Bell
}

// Bell wakes the one goroutine that waits on it.
type Bell interface {
	// Ring ends the running Wait, or the next one when nobody waits; rings
	// between two Waits are one. Any goroutine; neither blocks nor allocates.
	Ring()
	// Wait returns when somebody has rung or, unless d is negative, after d.
	Wait(d time.Duration)
}

// Unlocker gives a lock back.
type Unlocker interface{ Unlock() error }

// Usage is in bytes.
type Usage struct {
	Free, Total uint64
	// Type is the file system's name as statfs knows it: ext4, xfs, tmpfs,
	// btrfs, zfs, overlay, nfs, or "" when unknown.
	Type string
	// Reserves says that fallocate really reserves blocks here, so that a
	// store into a mapped range cannot meet a full disk. Maps for writing are
	// used only where it holds.
	Reserves bool
}

// DirectAlign is what File.WriteDirect asks of addresses, lengths and offsets, in
// bytes.
const DirectAlign = 4096

// Aligned is n bytes at an address that File.WriteDirect takes.
func Aligned(n int) []byte {
	b := make([]byte, n+DirectAlign)
	from := -int(uintptr(unsafe.Pointer(&b[0]))) & (DirectAlign - 1)
	return b[from : from+n : from+n]
}

// File is an open file. ReadAt, WriteAt, Datasync, Sync, Size and Fd may be
// called from any goroutine at once; Close only when nobody else uses it.
type File interface {
	Name() string
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// WriteDirect is WriteAt past the page cache where the file system can do
	// that; no more durable for it. p's address, its length and off must be
	// multiples of [DirectAlign]. By one goroutine at a time.
	WriteDirect(p []byte, off int64) (int, error)
	// Datasync makes content and size durable (fdatasync). After an error the
	// file's unsynced content is unknown: see logstore, rule 11.
	Datasync() error
	// Sync is fsync.
	Sync() error
	// Prefetch has the kernel read a range into the page cache ahead of ReadAt
	// and promises nothing (POSIX_FADV_WILLNEED).
	Prefetch(off, n int64)
	// SyncRange starts write-back of a range and promises nothing
	// (sync_file_range with SYNC_FILE_RANGE_WRITE).
	SyncRange(off, n int64) error
	Truncate(size int64) error
	// Allocate reserves blocks for [off, off+n). With keepSize the file's size
	// stays, otherwise it grows to off+n.
	Allocate(off, n int64, keepSize bool) error
	// PunchHole gives the blocks of a range back; the size stays.
	PunchHole(off, n int64) error
	Size() (int64, error)
	// Map maps a range that lies inside the file; off is a multiple of the
	// page size. Touching a mapped range can fault when the disk fails: see
	// mmap.
	Map(off int64, n int, writable bool) (Mapping, error)
	// Fd is the descriptor for sendfile, or false on a disk that has none.
	Fd() (int, bool)
	// Resident reports whether the range is in the page cache as far as the
	// kernel tells; it never blocks on the disk.
	Resident(off, n int64) bool
	Close() error
}

// Mapping is a mapped range.
type Mapping interface {
	// Bytes is valid until Unmap.
	Bytes() []byte
	// Populate faults the pages of [off, off+n) in, for writing when the
	// mapping is writable.
	Populate(off, n int) error
	// Touched tells the disk that the bytes [off, off+n) were stored through
	// the map. The real disk ignores it; the in-memory disk needs it to know
	// what a power cut may lose.
	Touched(off, n int)
	// Flush is msync(MS_SYNC) of the whole mapping.
	Flush() error
	Unmap() error
}

package mmap

import "golang.org/x/sys/unix"

// Allocate reserves blocks for [off, off+n) of a file. With keepSize the file's
// size stays, else it grows to off+n when it was smaller. The blocks read as
// zeros. ENOSPC means the disk is full; EOPNOTSUPP that the file system cannot
// reserve (nfs before 4.2, some overlays).
func Allocate(fd int, off, n int64, keepSize bool) error {
	mode := uint32(0)
	if keepSize {
		mode = unix.FALLOC_FL_KEEP_SIZE
	}
	return retry(func() error { return unix.Fallocate(fd, mode, off, n) })
}

// PunchHole gives the blocks of [off, off+n) back; the size stays and the range
// reads as zeros.
func PunchHole(fd int, off, n int64) error {
	return retry(func() error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// Truncate sets a file's size. Below a live map this makes a SIGBUS of the next
// touch of the pages cut off: unmap first.
func Truncate(fd int, size int64) error {
	return retry(func() error { return unix.Ftruncate(fd, size) })
}

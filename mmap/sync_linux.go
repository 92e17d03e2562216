package mmap

import "golang.org/x/sys/unix"

// Datasync is fdatasync: content, size and what is needed to read them back
// are on the disk when it returns nil. After an error the kernel has marked the
// pages clean: a second call that succeeds says nothing (Rebello et al.,
// USENIX ATC 2020).
func Datasync(fd int) error { return retry(func() error { return unix.Fdatasync(fd) }) }

// Sync is fsync; on a directory it makes the names in it durable.
func Sync(fd int) error { return retry(func() error { return unix.Fsync(fd) }) }

// SyncRange asks the kernel to start writing [off, off+n) back and waits for
// nothing but a free slot in the device's queue. It is no durability.
func SyncRange(fd int, off, n int64) error {
	return retry(func() error { return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE) })
}

// Flush is msync(MS_SYNC) of a mapping or a page-aligned part of one. It costs
// what fdatasync costs and obeys the same rule after an error.
func Flush(b []byte) error { return retry(func() error { return unix.Msync(b, unix.MS_SYNC) }) }

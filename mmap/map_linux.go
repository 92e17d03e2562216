package mmap

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Map maps n bytes of the file behind fd at off, shared, for reading and, when
// writable, for writing. off must be a multiple of the page size and the range
// must lie inside the file: a touch beyond its end is a SIGBUS, which only
// [Copy] and [Guard] survive. The slice is valid until [Unmap], also after fd
// is closed. Any goroutine.
func Map(fd int, off int64, n int, writable bool) ([]byte, error) {
	prot := unix.PROT_READ
	if writable {
		prot |= unix.PROT_WRITE
	}
	b, err := unix.Mmap(fd, off, n, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap of %d bytes at %d: %w", n, off, err)
	}
	return b, nil
}

// Anonymous reserves n bytes of zeroed memory outside Go's heap. Pages cost
// memory when they are touched first, so a large reservation is cheap; it never
// moves. Give it back with [Unmap].
func Anonymous(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("mmap of %d anonymous bytes: %w", n, err)
	}
	return b, nil
}

// Unmap gives back exactly a slice that [Map] or [Anonymous] returned. Nobody
// may touch its bytes any more.
func Unmap(b []byte) error {
	if err := unix.Munmap(b); err != nil {
		return fmt.Errorf("munmap of %d bytes: %w", len(b), err)
	}
	return nil
}

// Populate faults the pages of b in, b being part of a mapping: for writing
// when writable, so that a store that follows costs no fault until the kernel
// has written the page back. It blocks on the disk; call it from a background
// goroutine. A full or failing disk is an error here, not a SIGBUS
// (MADV_POPULATE_READ and _WRITE, Linux 5.14; older kernels are made to do the
// same by touching each page).
func Populate(b []byte, writable bool) error {
	if len(b) == 0 {
		return nil
	}
	b = pageAligned(b)
	advice := unix.MADV_POPULATE_READ
	if writable {
		advice = unix.MADV_POPULATE_WRITE
	}
	err := retry(func() error { return unix.Madvise(b, advice) })
	if errors.Is(err, unix.EINVAL) {
		return touchPages(b, writable)
	}
	if err != nil {
		return fmt.Errorf("madvise to populate %d bytes: %w", len(b), err)
	}
	return nil
}

// pageAligned extends b downward to the start of its first page, which belongs
// to the same mapping since mappings start on a page.
func pageAligned(b []byte) []byte {
	p := unsafe.SliceData(b)
	lead := int(uintptr(unsafe.Pointer(p)) % uintptr(PageSize))
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p), -lead)), len(b)+lead)
}

// retry repeats a call for as long as a signal interrupts it. Go's runtime
// sends itself signals to preempt goroutines, so slow calls do see EINTR.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

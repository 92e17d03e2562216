package mmap

import (
	"io"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxCall is below what one read or write call moves at most (2 GiB less a page).
const maxCall = 1 << 30

// Pread fills p from off, going on after short reads. n < len(p) comes with an
// error, io.EOF at the end of the file. Allocates nothing.
func Pread(fd int, p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(fd, p[n:min(len(p), n+maxCall)], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case m == 0:
			return n, io.EOF
		default:
			n += m
		}
	}
	return n, nil
}

// Pwrite writes all of p at off, going on after short writes; the kernel makes
// those when a signal comes or the disk fills up, and then says why on the next
// call. n < len(p) comes with an error. Allocates nothing.
func Pwrite(fd int, p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pwrite(fd, p[n:min(len(p), n+maxCall)], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case m == 0:
			return n, io.ErrShortWrite
		default:
			n += m
		}
	}
	return n, nil
}

// OpenDirect opens the file of fd once more for writes past the page cache
// (O_DIRECT); -1 where the file system has none, or /proc is not there. Those
// writes ask for alignment; see open(2).
func OpenDirect(fd int) int {
	for {
		direct, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return direct
		case err != unix.EINTR:
			return -1
		}
	}
}

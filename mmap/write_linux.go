package mmap

import (
	"io"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxPieces is IOV_MAX: what one pwritev takes.
const maxPieces = 1024

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

// iovecs are recycled: x/sys's own Pwritev allocates them on each call, and the
// journal makes one for each group.
var iovecs = sync.Pool{New: func() any { return new([maxPieces]unix.Iovec) }}

// Pwritev writes the pieces one after the other at off with as few calls as the
// kernel's limit of pieces allows, going on after short writes. The slice of
// pieces is consumed: its headers are changed, the bytes are not. Allocates
// nothing in the steady state.
func Pwritev(fd int, pieces [][]byte, off int64) (n int, err error) {
	iov := iovecs.Get().(*[maxPieces]unix.Iovec)
	defer func() {
		clear(iov[:]) // else the pool would keep request buffers alive
		iovecs.Put(iov)
	}()
	for {
		count, bytes := 0, 0
		for len(pieces) > 0 && len(pieces[0]) == 0 {
			pieces = pieces[1:]
		}
		for _, p := range pieces {
			if count == maxPieces || bytes >= maxCall {
				break
			}
			if len(p) == 0 {
				continue
			}
			take := min(len(p), maxCall-bytes)
			iov[count].Base = unsafe.SliceData(p)
			iov[count].SetLen(take)
			count++
			bytes += take
			if take < len(p) {
				break
			}
		}
		if count == 0 {
			return n, nil
		}
		m, errno := pwritev(fd, iov[:count], off+int64(n))
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return n, errno
		case m == 0:
			return n, io.ErrShortWrite
		}
		n += m
		pieces = skip(pieces, m)
	}
}

// pwritev is the bare call. On 64-bit Linux the offset goes in one register and
// the high half is 0.
func pwritev(fd int, iov []unix.Iovec, off int64) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_PWRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iov))),
		uintptr(len(iov)), uintptr(off), 0, 0)
	return int(n), errno
}

// skip drops the first n bytes of the pieces.
func skip(pieces [][]byte, n int) [][]byte {
	for n > 0 {
		if n < len(pieces[0]) {
			pieces[0] = pieces[0][n:]
			return pieces
		}
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	return pieces
}

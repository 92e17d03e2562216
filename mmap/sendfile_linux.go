package mmap

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sendfile copies up to n bytes of file from off to sock inside the kernel,
// without moving the file's own offset. It returns 0 and nil at the end of the
// file: a caller that promised the bytes must treat that as a truncated file.
// On a non-blocking socket it returns EAGAIN when the socket is full, but it
// still waits for the disk when the pages are not cached: ask [Resident] first
// where waiting is not allowed.
func Sendfile(sock, file int, off int64, n int) (int, error) {
	for {
		m, err := unix.Sendfile(sock, file, &off, n)
		if err != unix.EINTR {
			return max(m, 0), err
		}
	}
}

// SendBuffers sends iov on a socket with one system call, without allocating
// and without SIGPIPE. more tells the kernel that other bytes follow at once
// (MSG_MORE), so that a header and the file range behind it share a packet.
// Memory that iov names must stay as it is until the call returns.
func SendBuffers(sock int, iov []unix.Iovec, more bool) (int, error) {
	if len(iov) == 0 {
		return 0, nil
	}
	flags := unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
	if more {
		flags |= unix.MSG_MORE
	}
	var h unix.Msghdr
	h.Iov = &iov[0]
	h.SetIovlen(len(iov))
	for {
		n, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(sock), uintptr(unsafe.Pointer(&h)), uintptr(flags))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// ReadInto reads from fd into iov with one system call, without allocating.
// It returns 0 and nil at the end of the stream.
func ReadInto(fd int, iov []unix.Iovec) (int, error) {
	if len(iov) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.Syscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// ReadCached reads at off only what is in the page cache (RWF_NOWAIT): it
// never waits for a disk. Fewer bytes than len(p) mean that the rest is cold,
// or beyond the end of the file; 0 and EAGAIN that the first page is. A file
// system without the flag gives EOPNOTSUPP.
func ReadCached(fd int, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	iov := unix.Iovec{Base: &p[0]}
	iov.SetLen(len(p))
	for {
		n, _, errno := unix.Syscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1,
			uintptr(off), uintptr(off>>32), unix.RWF_NOWAIT)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// probeStep is how far apart [Resident] looks: the kernel reads ahead and
// evicts in units of about this size.
const probeStep = 64 << 10

// Resident reports whether the n bytes at off look as if they were in the page
// cache, by reading one byte of each 64 KiB and the last byte without waiting.
// It is a good guess and no promise: the kernel may evict a page at any time.
// File systems that cannot tell (tmpfs keeps everything in memory) count as
// resident.
func Resident(fd int, off, n int64) bool {
	if n <= 0 {
		return true
	}
	var one [1]byte
	last := off + n - 1
	for at := off; ; {
		if _, err := ReadCached(fd, one[:], at); err == unix.EAGAIN {
			return false
		}
		if at == last {
			return true
		}
		at = min(at+probeStep, last)
	}
}

// Prefetch starts to read n bytes at off into the page cache and does not wait
// for them. It is a hint: what goes wrong the read itself will say.
func Prefetch(fd int, off, n int64) {
	_ = unix.Fadvise(fd, off, n, unix.FADV_WILLNEED)
}

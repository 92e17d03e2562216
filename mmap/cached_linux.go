package mmap

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// noCachestat is set once the kernel has said that it has no cachestat (before
// 6.5) or a sandbox forbids it; it is a fact of the machine, not state.
var noCachestat atomic.Bool

// Cached reports whether every page of [off, off+n) of a file is in the page
// cache, without ever waiting for the disk. It is a guess in both directions:
// the kernel may drop a page the moment after, and on old kernels only one page
// in sixteen is asked about. (mincore would need a map of the range.)
func Cached(fd int, off, n int64) bool {
	if n <= 0 {
		return true
	}
	if !noCachestat.Load() {
		var st unix.Cachestat_t
		err := retry(func() error {
			return unix.Cachestat(uint(fd), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &st, 0)
		})
		if err == nil {
			page := int64(PageSize)
			return int64(st.Cache) >= (off+n-1)/page-off/page+1
		}
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) {
			noCachestat.Store(true)
		}
	}
	return probe(fd, off, n)
}

// probe reads single bytes with RWF_NOWAIT, which fails with EAGAIN where the
// disk would be asked.
func probe(fd int, off, n int64) bool {
	stride := 16 * int64(PageSize)
	var one [1]byte
	for at := off; ; at += stride {
		at = min(at, off+n-1)
		m, err := unix.Preadv2(fd, [][]byte{one[:]}, at, unix.RWF_NOWAIT)
		if err != nil || m != 1 {
			return false
		}
		if at == off+n-1 {
			return true
		}
	}
}

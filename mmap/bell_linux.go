package mmap

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bell wakes one goroutine that sleeps in the kernel, by a futex. Compared with
// a channel it costs no detour through Go's scheduler: whoever rings wakes the
// sleeper's own thread, which still has what it needs to run, instead of a
// second thread that first looks for something to do. It holds a thread while
// somebody waits, so it is for a goroutine that spends its life in system
// calls. The zero value is ready.
type Bell struct {
	state atomic.Uint32
	left  unix.Timespec // of the running Wait; here so that it is no allocation
}

const (
	bellQuiet uint32 = iota
	bellRung
	bellWaited // somebody sleeps on it

	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

// Ring ends the running Wait, or the next one when nobody waits. It does not
// block or allocate, and is a system call only when somebody sleeps. Any
// goroutine.
func (b *Bell) Ring() {
	if b.state.Swap(bellRung) == bellWaited {
		// The only error is that of a bad address.
		_, _, _ = unix.RawSyscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.state)), futexWakePrivate, 1)
	}
}

// Wait sleeps until somebody rings, or for d when d is not negative. Rings
// since the last Wait are one. One goroutine at a time.
func (b *Bell) Wait(d time.Duration) {
	if !b.state.CompareAndSwap(bellQuiet, bellWaited) {
		b.state.Store(bellQuiet)
		return
	}
	var until time.Time
	var left unsafe.Pointer
	if d >= 0 {
		until = time.Now().Add(d)
	}
	for b.state.Load() == bellWaited {
		if d >= 0 {
			rest := time.Until(until)
			if rest <= 0 {
				break
			}
			b.left = unix.NsecToTimespec(int64(rest))
			left = unsafe.Pointer(&b.left)
		}
		// EINTR, a ring before the sleep, the time: the loop tells them apart.
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.state)), futexWaitPrivate, uintptr(bellWaited), uintptr(left), 0, 0)
	}
	b.state.Store(bellQuiet)
}

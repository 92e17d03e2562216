package mmap

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PageSize is the kernel's.
var PageSize = os.Getpagesize()

// FaultError is a touch of mapped memory that the kernel could not serve
// (SIGBUS): the disk failed, is full under a hole, or the file was cut below
// the map. Treat it as an I/O error of the file. It matches syscall.EIO.
type FaultError struct{ Addr uintptr }

func (e *FaultError) Error() string {
	return fmt.Sprintf("the kernel could not serve the mapped page at %#x (SIGBUS): the disk failed or the file was cut", e.Addr)
}

// Is makes errors.Is(err, syscall.EIO) true.
func (e *FaultError) Is(target error) bool { return target == unix.EIO }

// Copy is copy for slices of which one or both lie in a map: a fault comes back
// as a [*FaultError] where a plain copy would end the process. How much was
// copied before it is unknown.
func Copy(dst, src []byte) (err error) {
	defer catch(debug.SetPanicOnFault(true), &err)
	copy(dst, src)
	return nil
}

// Guard runs f, which touches mapped memory, and returns a fault in it as a
// [*FaultError]. Locks that f takes must be given up by defer. The fault is
// caught on this goroutine only.
func Guard(f func() error) (err error) {
	defer catch(debug.SetPanicOnFault(true), &err)
	return f()
}

// catch is deferred with the previous setting of SetPanicOnFault.
func catch(was bool, err *error) {
	debug.SetPanicOnFault(was)
	switch r := recover().(type) {
	case nil:
	case interface {
		runtime.Error
		Addr() uintptr
	}:
		*err = &FaultError{Addr: r.Addr()}
	default:
		panic(fmt.Sprintf("BUG: a panic that is no memory fault came out of a guarded touch of a map: %v", r))
	}
}

// touchPages does by hand what MADV_POPULATE does: reads each page, or adds
// zero to a word of it atomically, which dirties the page and cannot undo a
// store that another goroutine makes meanwhile.
func touchPages(b []byte, writable bool) error {
	return Guard(func() error {
		for i := 0; i < len(b); i += PageSize {
			word := (*uint32)(unsafe.Pointer(&b[i]))
			if writable {
				atomic.AddUint32(word, 0)
			} else {
				atomic.LoadUint32(word)
			}
		}
		return nil
	})
}

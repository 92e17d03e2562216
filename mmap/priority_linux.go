package mmap

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Background ties the calling goroutine to its thread for good and has the
// kernel run that thread behind those of plain priority: when one of them wakes
// it gets the core at once. nice is 1 to 19; at 10 the thread still gets a tenth
// of a core that others want. The thread ends with the goroutine, and threads
// that Go starts meanwhile do not inherit the priority.
func Background(nice int) error {
	runtime.LockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice); err != nil {
		return fmt.Errorf("mmap: lower the priority of a thread to %d: %w", nice, err)
	}
	return nil
}

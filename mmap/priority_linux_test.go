package mmap_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/mmap"
)

// TestBackground: the goroutine's thread is behind the others, and they stay
// as they were, also those that are made after it.
func TestBackground(t *testing.T) {
	// The system call gives 20 less the nice value.
	nice := func() int {
		p, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
		check(t, err)
		return 20 - p
	}
	before := nice()
	told := make(chan int)
	release := make(chan struct{})
	for range 4 {
		go func() {
			if err := mmap.Background(before + 3); err != nil {
				t.Error(err)
			}
			told <- nice()
			<-release
			told <- nice()
		}()
	}
	for range 4 {
		if got := <-told; got != before+3 {
			t.Errorf("the thread's nice value is %d, want %d", got, before+3)
		}
	}
	others := make(chan int)
	for range 16 {
		go func() { others <- nice() }()
	}
	for range 16 {
		if got := <-others; got != before {
			t.Errorf("another thread's nice value is %d, was %d", got, before)
		}
	}
	close(release)
	for range 4 {
		if got := <-told; got != before+3 {
			t.Errorf("later the goroutine runs at %d, want %d", got, before+3)
		}
	}
}

package netloop

import (
	"sync"
	"sync/atomic"
)

// mailbox carries tasks to a loop in the order of posting. Two slices change
// places under a short lock, so that posting costs no allocation once they
// have grown, and the loop is woken only out of its sleep: before it sleeps it
// looks itself.
//
// It has no bound of its own: its posters do. A task belongs to a request in
// flight or is one of a kind, and requests are bounded.
type mailbox struct {
	mu     sync.Mutex
	tasks  []Task // mu
	armed  bool   // mu; the loop sleeps, or is about to
	closed bool   // mu
	// spare is the slice that take gave out last; loop only.
	spare []Task

	// wakers are posters that are about to write the loop's eventfd, which must
	// not be closed, and its number given to another file, before they have.
	wakers atomic.Int32

	peak    atomic.Int64 // most tasks that ever waited
	dropped atomic.Int64 // tasks posted after the loop ended
}

// mailboxKeep is the capacity that a slice may keep after a burst.
const mailboxKeep = 16 << 10

// put adds t and reports whether the loop must be woken, and whether it still
// runs. Any goroutine.
func (b *mailbox) put(t Task) (wake, ok bool) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		b.dropped.Add(1)
		return false, false
	}
	b.tasks = append(b.tasks, t)
	n := len(b.tasks)
	if wake = b.armed; wake {
		b.armed = false
		b.wakers.Add(1)
	}
	b.mu.Unlock()
	if int64(n) > b.peak.Load() {
		b.peak.Store(int64(n)) // racing posters may lose a step; it is a gauge
	}
	return wake, true
}

// arm has the next put wake the loop; it reports false when tasks wait. Loop only.
func (b *mailbox) arm() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = len(b.tasks) == 0
	return b.armed
}

// disarm spares posters the waking of a loop that is awake: it looks at the
// mailbox again before it sleeps. Loop only.
func (b *mailbox) disarm() {
	b.mu.Lock()
	b.armed = false
	b.mu.Unlock()
}

// take gives all tasks that wait. The slice is valid until done. Loop only.
func (b *mailbox) take() []Task {
	b.mu.Lock()
	tasks := b.tasks
	b.tasks = b.spare
	b.spare = nil
	b.mu.Unlock()
	return tasks
}

// done gives a slice of take back. Loop only.
func (b *mailbox) done(tasks []Task) {
	clear(tasks)
	if cap(tasks) <= mailboxKeep {
		b.spare = tasks[:0]
	}
}

// close refuses further tasks when none waits; otherwise it reports false.
func (b *mailbox) close() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.tasks) > 0 {
		return false
	}
	b.closed = true
	return true
}

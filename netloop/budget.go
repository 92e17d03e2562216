package netloop

import (
	"sync"
	"sync/atomic"
)

// budget is the memory of requests in flight over all connections. Bytes are
// taken before a frame's body is read and given back when its slot is
// answered.
//
// Taking is one compare-and-swap as long as nobody waits. Who does not fit
// queues; from then on newcomers queue behind, so that a connection with a big
// frame is not overtaken for ever by small ones, and whoever gives bytes back
// serves the queue from its head.
//
// A frame larger than three quarters of the budget counts as that much only: it
// is let in when a quarter is in use at most, and nobody else until it is done.
// If it had to wait until it is alone, a few parked requests (long polls) would
// hold it, and everyone queued behind it, for as long as clients keep polling.
// So memory is bounded by the budget and one frame limit.
//
// Why a release cannot miss a waiter: the waiter raises waiting before it
// tries once more, the releaser lowers used before it reads waiting, and both
// are sequentially consistent.
type budget struct {
	limit   int64
	used    atomic.Int64
	waiting atomic.Int64

	mu   sync.Mutex
	head *claim // mu
	tail *claim // mu
}

// claim is a connection's wait for bytes. Its fields belong to the budget
// while it is queued.
type claim struct {
	n          int64
	next, prev *claim
	queued     bool // budget.mu
	// granted is called once the bytes are taken, on the goroutine of whoever
	// gave them back, with the budget's lock held: it may only wake someone.
	granted func()
}

func (b *budget) try(n int64) bool {
	for {
		used := b.used.Load()
		if used > 0 && used+min(n, b.limit/4*3) > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// take takes n bytes and reports true, or queues c and reports false; then
// c.granted will be called unless c is withdrawn before.
func (b *budget) take(c *claim, n int64) bool {
	if b.waiting.Load() == 0 && b.try(n) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting.Add(1)
	if b.head == nil && b.try(n) {
		b.waiting.Add(-1)
		return true
	}
	c.n, c.queued, c.next, c.prev = n, true, nil, b.tail
	if b.tail != nil {
		b.tail.next = c
	} else {
		b.head = c
	}
	b.tail = c
	return false
}

// give returns n bytes and serves the queue.
func (b *budget) give(n int64) {
	if n == 0 {
		return
	}
	b.used.Add(-n)
	if b.waiting.Load() == 0 {
		return
	}
	b.serve()
}

// serve grants the claims at the head that fit now.
func (b *budget) serve() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := b.head; c != nil && b.try(c.n); c = b.head {
		b.unlink(c)
		c.granted()
	}
}

// withdraw ends c's wait and reports true, or reports false when the bytes
// were granted already: they then belong to the caller.
func (b *budget) withdraw(c *claim) bool {
	b.mu.Lock()
	if !c.queued {
		b.mu.Unlock()
		return false
	}
	b.unlink(c)
	b.mu.Unlock()
	b.serve() // a big claim at the head may have held up smaller ones
	return true
}

func (b *budget) unlink(c *claim) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		b.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		b.tail = c.prev
	}
	c.next, c.prev, c.queued = nil, nil, false
	b.waiting.Add(-1)
}

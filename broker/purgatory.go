package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// Purgatory: where fetches wait for data.
//
// The obvious way is a map from partition to the requests that wait there,
// with an operation object per request, looked at by everyone who appends.
// Here a waiter is a field of the fetch's partition, linked into a list of the
// partition, so that waiting allocates nothing, and a wake is a flag and one
// entry in the mailbox of the fetch's loop: everything else happens on that
// loop.
//
// Nothing is missed: a fetch links its waiters first and reads again then, so
// whatever moved before the link is seen by that read and whatever moves after
// it finds the waiter. The same holds later: recheck lowers woken before it
// reads, and the waiters stay linked until the answer.
//
// woken outlives the fetch in its pool. An entry may still lie in a mailbox
// when its fetch is answered, freed and used again; then the entry is a wake
// for nothing, and until it is consumed further wakes find woken raised and
// leave it at that.

// flag is an atomic bool that is raised once.
type flag struct{ atomic.Bool }

// waiter links a fetch's partition into the waiters of a log. Guarded by the
// mu of the list that it is in.
type waiter struct {
	fetch      *fetch
	in         *waiters
	next, prev *waiter
}

// waiters are the fetches that wait for one partition. mu is a leaf lock:
// committers take it, and nobody appends, reads or waits under it.
type waiters struct {
	mu   sync.Mutex
	n    atomic.Int32 // so that a log without readers costs one load
	head *waiter      // mu
}

// wake tells the loop of every fetch that waits here. Any goroutine.
func (ws *waiters) wake() {
	if ws.n.Load() == 0 {
		return
	}
	ws.mu.Lock()
	for w := ws.head; w != nil; w = w.next {
		if w.fetch.woken.CompareAndSwap(false, true) {
			w.fetch.loop.wake(w.fetch)
		}
	}
	ws.mu.Unlock()
}

func (ws *waiters) link(w *waiter, f *fetch) {
	ws.mu.Lock()
	w.fetch, w.in, w.prev, w.next = f, ws, nil, ws.head
	if ws.head != nil {
		ws.head.prev = w
	}
	ws.head = w
	ws.n.Add(1)
	ws.mu.Unlock()
}

// unlink may be called for a waiter that is not linked. Loop only.
func (w *waiter) unlink() {
	ws := w.in
	if ws == nil {
		return
	}
	ws.mu.Lock()
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		ws.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	ws.n.Add(-1)
	w.next, w.prev, w.in, w.fetch = nil, nil, nil, nil
	ws.mu.Unlock()
}

// park makes a fetch wait. Loop only.
func (f *fetch) park() {
	if f.loop.b.draining.Load() {
		f.respond()
		return
	}
	for _, fp := range f.parts {
		if fp.part != nil {
			fp.part.waiters.link(&fp.waiter, f)
		}
	}
	f.read()
	if f.enough() {
		f.unlink()
		f.respond()
		return
	}
	f.drop()
	f.parked = true
	f.rq.waits()
	f.hold()
	if f.session != nil {
		f.rq.release() // nothing refers to the frame any more
	}
	s := f.rq.s
	f.prev, f.next = nil, s.fetches
	if s.fetches != nil {
		s.fetches.prev = f
	}
	s.fetches = f
	f.loop.nl.Schedule(&f.timer, f.loop.nl.Now().Add(f.wait()))
	f.loop.load.fetchParked.Add(1)
}

// unlink takes the fetch's waiters out of their lists.
func (f *fetch) unlink() {
	for _, fp := range f.parts {
		fp.waiter.unlink()
	}
}

// unpark ends the wait.
func (f *fetch) unpark() {
	f.unlink()
	s := f.rq.s
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		s.fetches = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	}
	f.next, f.prev, f.parked = nil, nil, false
	f.loop.nl.Cancel(&f.timer)
}

// recheck looks again after a wake. Loop only.
func (f *fetch) recheck() {
	f.woken.Store(false)
	if !f.parked {
		return
	}
	f.loop.load.fetchWoken.Add(1)
	f.read()
	if !f.enough() {
		f.drop()
		return
	}
	f.unpark()
	f.respond()
}

// expire answers with what there is when max_wait has passed.
func (f *fetch) expire(time.Time) {
	if !f.parked {
		return
	}
	f.loop.load.fetchExpired.Add(1)
	f.answerNow()
}

// answerNow ends the wait with whatever can be read.
func (f *fetch) answerNow() {
	f.unpark()
	f.read()
	f.respond()
}

// cancel ends a parked fetch whose connection is gone.
func (f *fetch) cancel() {
	f.unpark()
	f.drop()
	rq := f.rq
	f.leave()
	f.loop.freeFetch(f)
	rq.finish()
}

// drain answers every parked fetch of the loop, since the broker closes.
func (l *loop) drain() {
	for s := range l.live {
		for s.fetches != nil {
			s.fetches.answerNow()
		}
	}
}

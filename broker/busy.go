package broker

import (
	"time"

	"github.com/chronik-stream/chronik/netloop"
)

// busyList is the produces of a loop that found the commit queue full, in the
// order in which they came. Their connections are not served meanwhile, and
// netloop stops reading from them once their slots are taken.
type busyList struct {
	head, tail *produce
	n          int64
	// again retries from time to time: an append that was refused after it had
	// taken its room gives the room back without a commit.
	again netloop.Timer
}

const retryEvery = 20 * time.Millisecond

// park puts a produce at the end of the list, or refuses it when the list is
// full.
//
// Why nothing is forgotten: hasBusy is raised before the log is asked once
// more (by the retry that room posts), and committers look at it after every
// group, which they do after they have given its room back. So either that
// retry finds room, or the queue was not empty then and another group ends
// later.
func (p *produce) park() {
	l := p.loop
	if l.busy.n >= l.b.limit(limitBusy) {
		p.refused = errNotEnoughReplicas
		p.run()
		return
	}
	p.parked, p.rq.s.busy = true, true
	p.prev, p.next = l.busy.tail, nil
	if l.busy.tail != nil {
		l.busy.tail.next = p
	} else {
		l.busy.head = p
	}
	l.busy.tail = p
	l.busy.n++
	l.load.busyParked.Add(1)
	if l.busy.n == 1 {
		l.hasBusy.Store(true)
		l.room()
		if l.busy.again.Fire == nil {
			l.busy.again.Fire = func(time.Time) { l.retryBusy() }
		}
		l.nl.Schedule(&l.busy.again, l.nl.Now().Add(retryEvery))
	}
}

// unpark takes a produce out of the list.
func (l *loop) unpark(p *produce) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		l.busy.head = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		l.busy.tail = p.prev
	}
	p.next, p.prev, p.parked = nil, nil, false
	l.busy.n--
	if l.busy.n == 0 {
		l.hasBusy.Store(false)
		l.nl.Cancel(&l.busy.again)
	}
}

// retryBusy goes on with the parked produces until the queue is full again.
func (l *loop) retryBusy() {
	for p := l.busy.head; p != nil; p = l.busy.head {
		how := p.walk()
		if how == walkBusy {
			l.nl.Schedule(&l.busy.again, l.nl.Now().Add(retryEvery))
			return
		}
		s := p.rq.s
		l.unpark(p)
		if how == walkDone {
			p.walkEnded()
			s.unblock()
		}
	}
}

// produce gives a produce from the pool.
func (l *loop) produce() *produce {
	p := l.produces
	if p == nil {
		p = &produce{loop: l}
		p.timer.Fire = p.expire
		return p
	}
	l.produces, p.next = p.next, nil
	return p
}

// keptParts bounds the partitions for which a pooled produce keeps room.
const keptParts = 256

func (l *loop) freeProduce(p *produce) {
	parts := p.parts
	clear(parts)
	if cap(parts) > keptParts {
		parts = nil
	}
	timer := p.timer
	*p = produce{loop: l, parts: parts[:0], timer: timer, next: l.produces}
	l.produces = p
}

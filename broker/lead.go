package broker

import (
	"sync/atomic"

	"github.com/chronik-stream/chronik/netloop"
)

// A loop that has appended commits it itself, at the end of its batch of events,
// when the disk is quick and the group small: see logstore's leader.go. It is a
// logstore.Leader and a netloop.Errand.

// Run commits what the loop has appended. The loop is lent meanwhile.
func (l *loop) Run() { l.b.store.Lead(l) }

// LeadIsLate has another goroutine go on with the loop. Any goroutine.
func (l *loop) LeadIsLate() { l.nl.HandOver() }

// LeadAgain has the loop commit once more. Any goroutine.
func (l *loop) LeadAgain() {
	if l.again.posted.CompareAndSwap(false, true) {
		l.nl.Post(&l.again)
	}
}

// leadAgain is a loop's task to lead once more.
type leadAgain struct {
	loop   *loop
	posted atomic.Bool
}

// RunOnLoop asks for it before the loop sleeps.
func (t *leadAgain) RunOnLoop(nl *netloop.Loop) {
	t.posted.Store(false)
	nl.Lend(t.loop)
}

package netloop

import (
	"fmt"
	"slices"
)

// A loop's goroutine may wait itself for something that is short as a rule. That
// spares two wake-ups, of the thread that would wait and of the loop. When it
// takes longer, the loop goes on without that goroutine.
//
// Whoever runs a loop owns all that is "loop only". For an [Errand] the loop is
// lent: [Loop.HandOver] may start another goroutine on it, and the first one
// finds on its return that it has no loop any more, and ends. lease is 0 while
// the loop's goroutine has it, and the number of the lease while it is lent. It
// is a number so that a goroutine whose loop went on, and is lent again by the
// next one, does not take that lease for its own.

// Errand is work that may wait, between two batches of a loop's events.
type Errand interface {
	// Run must not touch the loop, which may be somebody else's: Post is allowed.
	Run()
}

// Lend runs e at the end of the batch of events that the loop is with, when every
// turn has sent its answers; once, however often it was asked for. Loop only.
func (l *Loop) Lend(e Errand) {
	if !slices.Contains(l.errands, e) {
		l.errands = append(l.errands, e)
	}
}

// HandOver gives a loop that is lent to a new goroutine, because the errand takes
// long. Any goroutine.
func (l *Loop) HandOver() {
	lease := l.lease.Load()
	if lease == 0 || !l.lease.CompareAndSwap(lease, 0) {
		return
	}
	l.stats.handOvers.Add(1)
	l.srv.start(fmt.Sprintf("loop-%d", l.index), l.run)
}

// runErrands reports false when the loop was handed over meanwhile.
func (l *Loop) runErrands() (mine bool) {
	for len(l.errands) > 0 {
		last := len(l.errands) - 1
		e := l.errands[last]
		l.errands[last] = nil
		l.errands = l.errands[:last]
		l.leases++
		lease := l.leases
		l.lease.Store(lease)
		l.runErrand(e)
		if !l.lease.CompareAndSwap(lease, 0) {
			return false
		}
	}
	return true
}

func (l *Loop) runErrand(e Errand) {
	defer l.recoverTask("errand")
	e.Run()
}

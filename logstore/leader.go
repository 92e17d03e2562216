package logstore

import (
	"fmt"
	"runtime/debug"
	"time"
)

// Who runs a commit cycle.
//
// One goroutine at a time leads a committer: it takes the queue, writes it, syncs
// and hands out what is done. The committer's own goroutine can always lead. An
// event loop that has just appended may do so instead ([Store.Lead]): a lone
// client's request then crosses no thread between its arrival and its answer,
// which saves two wake-ups, each of 5 to 10 µs on both sides and more where a
// core sleeps, beside a sync of 80.
//
// Invariants:
//
//  1. leading changes under mu. What the committer says is the leader's own is
//     touched by nobody else.
//  2. What is queued is looked at: by the leader's successor, whom cede names, by
//     whoever appended with Append.Led and has not called Lead yet, or by the
//     goroutine, which is called, or finds it stale at a tick.
//
// The obvious way, always to commit on the loop, has a disk's stall hold up every
// connection of that loop. So a loop leads only while syncs are known to be quick
// and the group is small, and the goroutine looks every watchTime at a lead that
// may sync: one that is there at two looks is late, and its loop goes to another
// goroutine (netloop.Loop.HandOver) while the sync goes on. A timer for each sync
// would cost more than the look; after watchLooks without a lead it stops.
//
// Nor does a loop wait for somebody else's cycle to end: it leaves word, and is
// asked to lead again then.
const (
	leadBytes   = 128 << 10
	leadEntries = 1024
	leadSync    = 400 * time.Microsecond
	watchTime   = time.Millisecond
	watchLooks  = 16
)

// Leader is an event loop, or another caller of Append, that commits what it
// appended by itself. Its methods must not wait and must not append; any
// goroutine calls them.
type Leader interface {
	// LeadAgain asks for another call of Store.Lead soon.
	LeadAgain()
	// LeadIsLate says that the running Store.Lead takes long: it waits for a disk.
	LeadIsLate()
}

// leadership is the part of a committer that says who leads. All under its mu.
type leadership struct {
	leading bool
	by      Leader // who leads, nil: the goroutine
	told    bool   // by was told that it is late
	heir    Leader // asks to lead next
	called  bool   // the goroutine is to lead
	asleep  bool   // the goroutine is in bell.Wait
	looks   int    // left before the goroutine sleeps for long
	takes   uint64 // how often somebody has begun to lead
	dueAt   time.Time
}

// Lead commits what the caller has appended with Append.Led, if that is soon
// done; otherwise it sees to it that somebody does. It may take as long as a
// sync takes, and runs Options.OnCommit.
func (s *Store) Lead(by Leader) {
	var last *committer
	for _, d := range s.dirs {
		c := d.committer
		if len(s.dirs) > 1 && !c.waiting() {
			continue
		}
		if last != nil {
			last.call() // disks sync side by side
		}
		last = c
	}
	if last != nil {
		last.lead(by)
	}
}

func (c *committer) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// call has the goroutine lead.
func (c *committer) call() {
	c.mu.Lock()
	ring := c.callLocked()
	c.mu.Unlock()
	if ring {
		c.bell.Ring()
	}
}

// callLocked is call; it reports whether the bell must be rung. Under mu.
func (c *committer) callLocked() bool {
	ring := !c.called && !c.leading && c.asleep
	c.called = true
	return ring
}

// lead commits the queue on the caller's goroutine, or leaves word.
func (c *committer) lead(by Leader) {
	if !c.mayLead(by) {
		return
	}
	c.commit()
	c.d.store.stats.led.Add(1)
	c.cede()
}

// mayLead has the caller lead, or leaves word that it wants to, or calls the
// goroutine.
func (c *committer) mayLead(by Leader) (led bool) {
	c.mu.Lock()
	ring := false
	switch {
	case len(c.queue) == 0 || c.called && !c.leading:
	case !c.quick():
		ring = c.callLocked()
	case c.leading:
		if c.heir == nil {
			c.heir = by
		}
		ring = c.watchLocked()
	default:
		c.begin(by)
		ring, led = c.watchLocked(), true
	}
	c.mu.Unlock()
	if ring {
		c.bell.Ring()
	}
	return led
}

// begin takes the leadership. Under mu.
func (c *committer) begin(by Leader) {
	c.leading, c.by, c.told, c.called = true, by, false, false
	c.takes++
}

// quick says whether an event loop may commit what is queued. Under mu.
func (c *committer) quick() bool {
	return c.bytes.Load() <= leadBytes && len(c.queue) <= leadEntries && c.syncNs < int64(leadSync) &&
		c.d.store.opt.CommitDelay == 0 && !c.d.offline.Load() && !c.closed
}

// watchLocked has the goroutine look at the leader. It reports whether the bell
// must be rung. Under mu.
func (c *committer) watchLocked() bool {
	if c.strong == 0 {
		return false // nothing that waits for a disk
	}
	ring := c.looks == 0 && c.asleep
	c.looks = watchLooks
	return ring
}

// cede ends a lead and names the next one if there is work.
func (c *committer) cede() {
	c.mu.Lock()
	heir := c.heir
	sooner := !c.due.IsZero() && (c.dueAt.IsZero() || c.due.Before(c.dueAt))
	c.dueAt = c.due
	c.leading, c.by, c.heir = false, nil, nil
	c.syncNs = c.sawSync
	ring := c.asleep && (c.called || c.closed || sooner)
	if len(c.queue) == 0 || c.called {
		heir = nil
	}
	c.mu.Unlock()
	if ring {
		c.bell.Ring()
	}
	if heir != nil {
		heir.LeadAgain()
	}
}

// run is the committer's goroutine.
func (c *committer) run() {
	defer close(c.ended)
	defer close(c.jobs)
	debug.SetPanicOnFault(true)
	for c.await() {
		if d := c.d.store.opt.CommitDelay; d > 0 && c.waiting() {
			time.Sleep(d)
		}
		c.commit()
		c.cede()
	}
}

// await sleeps until the goroutine is to lead, and has it lead; false ends it.
func (c *committer) await() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		took, late := c.look()
		switch {
		case took:
			return true
		case c.closed && !c.leading && len(c.queue) == 0:
			return false
		}
		nap := c.nap()
		c.asleep = true
		c.mu.Unlock()
		if late != nil {
			late.LeadIsLate()
		}
		c.bell.Wait(nap)
		c.mu.Lock()
		c.asleep = false
	}
}

// look has the goroutine lead if it should, and names a leader that is late.
// Under mu.
func (c *committer) look() (took bool, late Leader) {
	stale := c.looks > 0 && c.seen == c.takes && time.Since(c.looked) >= watchTime
	if c.leading {
		if stale && c.by != nil && !c.told {
			c.told, late = true, c.by
		}
	} else if c.called || c.closed && len(c.queue) > 0 || stale && len(c.queue) > 0 ||
		!c.dueAt.IsZero() && !time.Now().Before(c.dueAt) {
		c.begin(nil)
		return true, nil
	}
	if c.looks > 0 && (stale || c.seen != c.takes) {
		if c.looked = time.Now(); c.seen == c.takes {
			c.looks--
		} else {
			c.looks = watchLooks
		}
		c.seen = c.takes
	}
	return false, late
}

// nap is how long the goroutine may sleep, negative: until somebody rings.
// Under mu.
func (c *committer) nap() time.Duration {
	d := time.Duration(-1)
	if c.looks > 0 {
		d = watchTime
	}
	if !c.leading && !c.dueAt.IsZero() {
		if due := max(time.Until(c.dueAt), 0); d < 0 || due < d {
			d = due
		}
	}
	return d
}

// commit commits what is queued. The leader only.
func (c *committer) commit() {
	defer func() {
		if r := recover(); r != nil {
			c.d.fail(fmt.Errorf("the committer panicked: %v\n%s", r, debug.Stack()))
			c.refuse(c.rest, ErrOffline)
			c.rest = nil
			c.failAll(ErrOffline)
		}
	}()
	batch := c.take()
	for c.rest = batch; len(c.rest) > 0; {
		n := c.groupOf(c.rest)
		if err := c.cycle(c.rest[:n]); err != nil {
			c.d.fail(err)
			c.refuse(c.rest, ErrOffline)
			c.rest = nil
			c.failAll(ErrOffline)
			break
		}
		c.rest = c.rest[n:]
	}
	clear(batch)
	if c.spare = batch[:0]; cap(batch) > maxGroupEntries {
		c.spare = nil // a burst must not hold its memory for ever
	}
	if err := c.syncDue(); err != nil {
		c.d.fail(err)
	}
	if c.d.offline.Load() {
		c.failAll(ErrOffline)
	}
}

// stop ends the goroutine once the queue is empty.
func (c *committer) stop() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.bell.Ring()
	<-c.ended
}

package logstore

// The committer's queue is bounded in bytes and entries: an append reserves its
// share before it takes the log's lock, and the committer gives it back when
// the group is done. Internal appends have a quarter more.

// reserve takes queue space for an append, or refuses it. Any goroutine.
func (c *committer) reserve(n int, internal bool) bool {
	limit := c.d.store.opt.QueueBytes
	entries := int64(maxQueueEntries)
	if internal {
		limit += limit / 4
		entries += entries / 4
	}
	// One append is always let in, or one above the limit could never pass.
	if had := c.bytes.Add(int64(n)) - int64(n); (had > 0 && had+int64(n) > limit) || c.entries.Add(1) > entries {
		if !(had > 0 && had+int64(n) > limit) {
			c.entries.Add(-1)
		}
		c.bytes.Add(-int64(n))
		c.d.store.stats.busy.Add(1)
		return false
	}
	return true
}

func (c *committer) unreserve(n int) {
	c.bytes.Add(-int64(n))
	c.entries.Add(-1)
}

// push hands an entry over; led says that the caller calls Store.Lead soon. For
// appends under Log.mu, so that the queue's order is offset order.
func (c *committer) push(e entry, led bool) {
	c.mu.Lock()
	c.queue = append(c.queue, e)
	if e.kind == entryStart || e.kind == entryAppend && e.mode == Commit {
		c.strong++
	}
	ring := false
	if !led && (!c.leading || c.heir == nil) {
		ring = c.callLocked()
	}
	c.mu.Unlock()
	if ring {
		c.bell.Ring()
	}
}

// notify has readers of a log look again.
func (c *committer) notify(l *Log) {
	c.entries.Add(1)
	c.push(entry{log: l, kind: entryNotify}, false)
}

// release gives the queue space of entries back.
func (c *committer) release(batch []entry) {
	var n int64
	for i := range batch {
		n += int64(batch[i].cost)
	}
	c.bytes.Add(-n)
	c.entries.Add(-int64(len(batch)))
}

// waiter is a token for callers inside this package that wait.
type waiter struct{ done chan error }

func newWaiter() *waiter        { return &waiter{make(chan error, 1)} }
func (w *waiter) end(err error) { w.done <- err }

package logstore

import (
	"fmt"
	"runtime/debug"
)

// The direct path (rule 4): the log's segments are synced instead of its bytes
// journaled. It is taken by a log with many bytes in one group, where writing
// them twice costs more than a sync of their own (diskcost.go); by one whose next frame
// would not follow its last (its mode was weaker before); and by what the
// journal cannot hold. The cycle waits for it, so no frame of the log is
// written while it runs.

// directMin is the least bytes of a log in one group that go the direct path.
func (c *committer) directMin() int64 {
	switch n := c.d.store.opt.DirectBytes; {
	case n < 0:
		return 1<<63 - 1
	case n > 0:
		return n
	}
	return c.d.journal.cost.direct()
}

// work syncs direct logs until the committer ends.
func (c *committer) work() {
	for l := range c.jobs {
		c.workOne(l)
	}
}

func (c *committer) workOne(l *Log) {
	defer c.wg.Done()
	defer func() {
		if r := recover(); r != nil {
			c.failDirect(fmt.Errorf("a direct sync panicked: %v\n%s", r, debug.Stack()))
		}
	}()
	if err := syncDirect(l); err != nil {
		c.failDirect(err)
	}
}

func (c *committer) failDirect(err error) {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// syncDirect makes a log durable in its segments up to this cycle's end: every
// segment from the durable offset on, and the directory when it has new names
// (rule 4).
func syncDirect(l *Log) error {
	st := &l.commit
	for _, s := range *l.segs.Load() {
		if s.next.Load() <= st.journaled || s.base >= st.to.offset {
			continue
		}
		if err := s.sync(s.size.Load()); err != nil && !s.removed() {
			return err
		}
	}
	return l.syncNames()
}

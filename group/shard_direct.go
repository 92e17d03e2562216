package group

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/chronik-stream/chronik/logstore"
)

// DoHere is [Shard.Do] for a short operation whose caller can commit what it
// appends: an event loop. When nobody owns the shard and nothing waits there,
// the operation runs before DoHere returns, on the caller's goroutine; its
// append is the caller's to commit (logstore.Append.Led), and lead is called to
// say so. Its answer is given where the append is found to be durable. A lone
// commit so passes no goroutine of the shard's, whose two wake-ups cost more
// than all the rest of it.
//
// In every other case, and for every other operation, the mailbox keeps the
// order: what a connection asked for earlier is there, or under way under own.
// Only the goroutine waits for own, and the holder never waits for more than an
// append, so a loop is held up by neither.
//
// An operation that panics here leaves the state half done as it does there:
// the goroutine is told, panics in its place and reads the log again.
func (s *Shard) DoHere(run Op, refused func(err error), lead func()) error {
	if lead != nil && s.runHere(task{run, refused}, lead) {
		return nil
	}
	return s.Do(run, refused)
}

// runHere runs an operation if the shard is idle.
func (s *Shard) runHere(t task, lead func()) bool {
	if !s.own.TryLock() {
		return false
	}
	if !s.idle() {
		s.own.Unlock()
		return false
	}
	s.direct, s.running = true, true
	s.ops = append(s.ops, t) // where fail and the goroutine look for it
	defer s.leave()
	now, flying := s.o.Now(), len(s.flying)
	err := t.run(now)
	s.running = false
	switch {
	case !s.Ready():
		s.dropAnswers(ErrUnavailable)
		return true
	case errors.Is(err, logstore.ErrBusy):
		s.retryAt = now.Add(busyRetry)
		return true
	}
	s.ops[0] = task{}
	s.ops = s.ops[:0]
	s.flush(now)
	if len(s.flying) > flying {
		lead()
	}
	return true
}

// idle says that nothing is there that an operation must wait for. The owner
// only.
func (s *Shard) idle() bool {
	if s.broken || !s.Ready() || len(s.ops) > 0 || len(s.ready) > 0 || len(s.flying) >= maxFlying || !s.Out.Empty() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && len(s.mailbox) == 0
}

// settleHere gives the answers of a finished append, and of those before it,
// where it was found to be finished. It reports false when the goroutine is to
// look: somebody else owns the shard, or more is to be done than to answer what
// DoHere has run.
func (s *Shard) settleHere(f *flight) bool {
	if !s.own.TryLock() {
		return false
	}
	defer s.leave()
	if s.broken || !s.Ready() || !f.direct || !s.markSettled() {
		return false
	}
	for len(s.flying) > 0 && s.flying[0].settled {
		f := s.flying[0]
		if !f.direct && len(f.answers) > 0 {
			return false
		}
		s.answer(f, nil)
		s.flying = append(s.flying[:0], s.flying[1:]...)
		s.recycle(f)
	}
	return true
}

// markSettled notes what is finished, unless some of it failed.
func (s *Shard) markSettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.settled {
		if d.err != nil {
			return false
		}
	}
	for _, d := range s.settled {
		d.f.settled = true
	}
	clear(s.settled)
	s.settled = s.settled[:0]
	return true
}

// leave ends an ownership that was found free, and wakes the goroutine for what
// is its to do. Deferred directly: it recovers.
func (s *Shard) leave() {
	if r := recover(); r != nil {
		s.broken, s.running = true, false
		s.raised = fmt.Sprintf("%v\n%s", r, debug.Stack())
	}
	s.direct = false
	poke := s.broken || !s.Ready() || len(s.ops) > 0 || len(s.ready) > 0
	if at, ok := s.Deadlines.Next(); ok && at.Before(s.wakeAt) {
		poke = true
	}
	s.own.Unlock()
	if poke {
		s.poke()
	}
}

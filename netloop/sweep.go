package netloop

import (
	"errors"
	"sync/atomic"
	"time"
)

// sweeper sheds connections that hold memory for nothing. A frame's memory is
// taken when its length is known, so whoever sends four bytes and no more could
// hold a quarter of the budget until the idle timeout. As long as memory
// suffices that hurts nobody and costs nothing to watch. When somebody waits
// for memory, each loop looks at its partial frames every sweepEvery and closes
// those that came less far since the last look than sweepShare of their length.
type sweeper struct {
	loop   *Loop
	posted atomic.Bool
	timer  Timer // loop only
}

const (
	sweepEvery = 5 * time.Second
	// sweepShare is the part of a frame that must come between two looks, so
	// that under pressure the largest frame is in within two minutes.
	sweepShare = 24
)

var errStalled = errors.New("netloop: the connection held memory for a frame that hardly came, while others waited for memory")

// startSweeps lets every loop look. Any goroutine.
func (s *Server) startSweeps() {
	for _, l := range s.loops {
		if l.sweeper.posted.CompareAndSwap(false, true) {
			l.Post(&l.sweeper)
		}
	}
}

// RunOnLoop looks once, and again later as long as somebody waits.
func (w *sweeper) RunOnLoop(l *Loop) {
	w.posted.Store(false)
	if w.timer.set {
		return // a look is due already
	}
	for _, c := range l.conns {
		if c != nil && c.mayRead() { // a pause is ours, not the peer's
			c.sweep(c.partial())
		}
	}
	for k := range l.links {
		k.c.sweep(int(k.got.Load()), int(k.body.Load()))
	}
	if l.srv.budget.waiting.Load() > 0 {
		l.Schedule(&w.timer, l.now.Add(sweepEvery))
	}
}

// partial is how much of the frame that is being read is there, and its length.
func (c *conn) partial() (got, size int) {
	if c.in.buf == nil {
		return 0, 0
	}
	return c.in.filled, len(c.in.buf.B)
}

// sweep compares a partial frame with what the last look saw. A frame that was
// completed in between counts as progress, since the handler got a slot for it.
func (c *conn) sweep(got, size int) {
	if size == 0 {
		c.swept = false
		return
	}
	if c.swept && c.sweptTail == c.tail && got-c.sweptAt < max(size/sweepShare, 1) {
		c.close(ClosedStalled, errStalled)
		return
	}
	c.swept, c.sweptTail, c.sweptAt = true, c.tail, got
}

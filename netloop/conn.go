package netloop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/codec"
)

// conn is one connection. It belongs to its loop: every field without another
// word is loop only.
//
// Life: adopt makes it (or reuses one), close ends it, bury calls the handler's
// Closed at the end of that turn and gives the object back to the loop once
// nothing outside can reach it any more: every slot is answered (owed is 0) and
// no worker, grant or TLS goroutine holds it (pins is 0). Slot numbers go on
// through all lives of an object, so an answer that comes twice is recognised
// even when somebody else's connection lives in the object by then.
type conn struct {
	// Fixed from adopt to reuse; any goroutine may read them.
	srv           *Server
	loop          *Loop
	id            uint64
	ln            *listener
	remote, local netip.AddrPort
	tlsState      *tls.ConnectionState
	link          *tlsLink // nil for plaintext

	fd      int // -1 under TLS
	session any

	// Reading.
	in          assembler
	stash       *codec.Buffer // bytes that were read and may not be parsed yet
	maxInFlight int
	frameLimit  int
	raw         bool
	large       bool  // the last frame was large
	inBytes     int64 // admitted and unanswered, the partial frame included
	claim       claim // the wait for memory
	claiming    bool  // claim is queued, or its grant is on its way
	granted     bool  // the frame whose header was read has its memory

	// Answering.
	slots    []slot // ring; its length is a power of two
	head     uint64 // the first slot whose answer has not left
	tail     uint64 // the next request's slot
	owed     int    // slots that the handler has not answered
	outBytes int64  // literal bytes of answers that have not left

	// Sending (plaintext).
	interest uint8 // what the poller watches
	blocked  bool  // the socket is full
	coldBusy bool  // cold is with a worker
	cold     coldJob

	pins      int
	opened    bool
	closed    bool
	draining  bool // Shutdown: no further frames
	closing   bool // CloseAfter: no further frames
	lingering bool // all is sent; waits for the peer to close
	panicked  bool // a slot may be answered once more than once
	muted     bool
	mutedTill time.Time
	reason    CloseReason
	why       error
	active    time.Time // last complete frame or progress in sending
	progress  int       // bytes of a partial frame or answer since active was set
	swept     bool      // sweptAt and sweptTail are of the last look; see sweeper
	sweptAt   int
	sweptTail uint64

	idleTimer, deadlineTimer, muteTimer, closeTimer Timer

	touchQueued, dyingQueued, againQueued bool
}

const (
	interestRead  = 1
	interestWrite = 2
)

// lingerTime is how long a connection that we close waits for the peer to read
// the last answer: closing at once with unread bytes in our receive buffer
// would make the kernel send a reset, which may overtake that answer.
const lingerTime = time.Second

// adopt makes a connection of an accepted socket.
func (l *Loop) adopt(in *arrival) {
	c := l.newConn()
	c.id = l.srv.nextID.Add(1)
	c.ln, c.remote, c.local, c.link, c.fd = in.ln, in.remote, in.local, in.link, in.fd
	c.maxInFlight, c.frameLimit = l.srv.opt.MaxInFlight, l.srv.opt.FrameLimit
	c.active = l.now
	l.open++
	if c.link != nil {
		c.fd, c.tlsState = -1, in.link.state
		c.pin(linkPins)
		c.link.adopted(c)
		l.links[c.link] = struct{}{}
	} else {
		for in.fd >= len(l.conns) {
			l.conns = append(l.conns, make([]*conn, max(64, len(l.conns)))...)
		}
		l.conns[in.fd] = c
	}
	if l.srv.opt.IdleTimeout > 0 {
		l.Schedule(&c.idleTimer, l.now.Add(l.srv.opt.IdleTimeout))
	}
	if l.srv.draining.Load() {
		c.close(ClosedShutdown, errShutdown)
		return
	}
	if err := c.callOpened(); err != nil {
		c.close(ClosedRefused, err)
		return
	}
	c.opened = true
	l.touch(c) // settle starts to read
}

func (l *Loop) newConn() *conn {
	if n := len(l.free); n > 0 {
		c := l.free[n-1]
		l.free[n-1] = nil
		l.free = l.free[:n-1]
		return c
	}
	c := &conn{srv: l.srv, loop: l}
	c.claim.granted = func() { l.Post((*grantTask)(c)) }
	c.idleTimer.Fire = c.idle
	c.deadlineTimer.Fire = func(time.Time) { c.close(ClosedDeadline, ErrDeadline) }
	c.muteTimer.Fire = func(time.Time) { c.muted = false; l.touch(c) }
	c.closeTimer.Fire = func(time.Time) {
		if c.lingering {
			c.close(c.reason, c.why)
		} else {
			c.finish(c.reason, c.why)
		}
	}
	return c
}

var (
	errShutdown = errors.New("netloop: the server is shutting down")
	errIdle     = errors.New("netloop: the connection was idle for longer than the idle timeout (connections.max.idle.ms)")
	// ErrDeadline is why Closed is told of a connection whose SetDeadline passed.
	ErrDeadline = errors.New("netloop: the connection's deadline passed (authentication took too long)")
	errPanic    = errors.New("netloop: a panic while the connection was served")
)

func (c *conn) callOpened() (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.panicAt("Opened", p)
			err = errPanic
		}
	}()
	return c.srv.opt.Handler.Opened(c)
}

func (c *conn) callClosed() {
	defer func() {
		if p := recover(); p != nil {
			c.panicAt("Closed", p)
		}
	}()
	c.srv.opt.Handler.Closed(c, c.why)
}

// callFrame hands a frame over; after a panic the slot counts as answered,
// since nobody knows whether it will be.
func (c *conn) callFrame(f Frame) {
	defer func() {
		if p := recover(); p != nil {
			c.panicAt("Frame", p)
			c.panicked = true
			if sl := c.waiting(f.Slot); sl != nil {
				c.settleSlot(sl, slotSkipped, nil, nil)
			}
			c.close(ClosedPanic, errPanic)
		}
	}()
	c.srv.opt.Handler.Frame(c, f)
}

// recoverOwn ends a panic of netloop's own code; deferred directly.
func (c *conn) recoverOwn() {
	if p := recover(); p != nil {
		c.panicAt("event", p)
		c.close(ClosedPanic, errPanic)
	}
}

func (c *conn) panicAt(where string, p any) {
	c.loop.stats.panics.Add(1)
	c.srv.opt.Logger.Error("netloop: a panic while a connection was served was recovered; the connection ends",
		"in", where, "conn", c.id, "remote", c.remote, "panic", p, "stack", string(debug.Stack()))
}

// idle closes a connection that nobody uses: the peer neither completes a
// frame nor reads its answers, and the handler owes it nothing.
func (c *conn) idle(now time.Time) {
	limit := c.srv.opt.IdleTimeout
	if c.muted || c.owed > 0 && !c.blocked || c.link != nil && c.link.alive() {
		c.active = now
	}
	if now.Sub(c.active) >= limit {
		c.close(ClosedIdle, errIdle)
		return
	}
	c.loop.Schedule(&c.idleTimer, c.active.Add(limit))
}

// settle sends what can be sent, then reads on if there is room, then tells
// the poller. It runs at the end of each turn that touched c.
func (c *conn) settle() {
	defer c.recoverOwn()
	if c.link != nil {
		c.link.settle()
		return
	}
	c.flush()
	if c.closed || c.lingering {
		return
	}
	c.resume()
	if c.closed {
		return
	}
	if c.draining && c.head == c.tail {
		c.finish(ClosedShutdown, errShutdown)
		return
	}
	want := c.interest &^ interestWrite
	if c.blocked {
		want |= interestWrite
	}
	if c.mayRead() {
		want |= interestRead
	}
	c.watch(want)
}

// event is called by the loop for the poller's events.
func (c *conn) event(ev netpoll.IOEvent) {
	if ev&unix.EPOLLOUT != 0 && c.blocked {
		c.blocked = false
		c.loop.touch(c)
	}
	if ev&^unix.EPOLLOUT == 0 {
		return
	}
	switch {
	case c.lingering:
		c.discard()
	case c.mayRead():
		c.loop.touch(c)
		c.read()
	case ev&(unix.EPOLLHUP|unix.EPOLLERR) != 0:
		// The peer is gone in both directions; the poller would say so for ever.
		c.close(ClosedByPeer, c.socketError())
	default:
		// Reading is paused. The poller is told only now, since most pauses end
		// before the peer sends again.
		c.loop.stats.pausedReads.Add(1)
		c.watch(c.interest &^ interestRead)
	}
}

func (c *conn) socketError() error {
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || errno == 0 {
		return nil
	}
	return fmt.Errorf("netloop: the connection broke: %w", unix.Errno(errno))
}

// watch sets what the poller watches. gnet's poller has no "nothing" and no
// "change to write only", so both go by way of Delete.
func (c *conn) watch(want uint8) {
	if want == c.interest {
		return
	}
	pa := netpoll.PollAttachment{FD: c.fd}
	p := c.loop.poller
	var err error
	switch had := c.interest; {
	case want == 0:
		err = p.Delete(c.fd)
	case want == interestRead && had == 0:
		err = p.AddRead(&pa, false)
	case want == interestRead:
		err = p.ModRead(&pa, false)
	case want == interestWrite:
		if had != 0 {
			err = p.Delete(c.fd)
		}
		if err == nil {
			err = p.AddWrite(&pa, false)
		}
	case had == 0:
		err = p.AddReadWrite(&pa, false)
	default:
		err = p.ModReadWrite(&pa, false)
	}
	c.interest = want
	if err != nil {
		c.close(ClosedSendFailed, fmt.Errorf("netloop: the poller refused a connection: %w", err))
	}
}

// finish closes in order once everything before is sent: the sending side
// first, then the rest when the peer has closed too or lingerTime is over.
func (c *conn) finish(reason CloseReason, why error) {
	if c.closed || c.lingering {
		return
	}
	c.reason, c.why, c.closing = reason, why, true
	if c.link != nil {
		c.lingering = true
		c.link.finish()
		c.loop.Schedule(&c.closeTimer, c.loop.now.Add(lingerTime))
		return
	}
	if !c.mayLoseAnswers() || unix.Shutdown(c.fd, unix.SHUT_WR) != nil {
		c.close(reason, why)
		return
	}
	c.lingering = true
	c.loop.Cancel(&c.muteTimer)
	c.loop.Schedule(&c.closeTimer, c.loop.now.Add(lingerTime))
	c.watch(interestRead)
}

// mayLoseAnswers says whether closing at once could lose what was sent: while
// the peer has not acknowledged everything, or when unread bytes would turn the
// close into a reset.
func (c *conn) mayLoseAnswers() bool {
	unsent, err := unix.IoctlGetInt(c.fd, unix.SIOCOUTQ)
	if err != nil || unsent > 0 {
		return err == nil
	}
	unread, err := unix.IoctlGetInt(c.fd, unix.SIOCINQ)
	return err == nil && unread > 0
}

// discard reads what a lingering connection's peer still sends.
func (c *conn) discard() {
	n, err := unix.Read(c.fd, c.loop.scratch)
	if n == 0 || err != nil && err != unix.EAGAIN && err != unix.EINTR {
		c.close(c.reason, c.why)
	}
}

// close ends the connection now. The handler hears of it at the end of the turn.
func (c *conn) close(reason CloseReason, why error) {
	if c.closed {
		return
	}
	c.closed, c.reason, c.why = true, reason, why
	l := c.loop
	for _, t := range []*Timer{&c.idleTimer, &c.deadlineTimer, &c.muteTimer, &c.closeTimer} {
		l.Cancel(t)
	}
	if c.link != nil {
		c.link.close()
	} else {
		l.conns[c.fd] = nil
		c.srv.closeSocket(c.fd)
		c.interest = 0
	}
	c.dropInput()
	c.dropOutput()
	l.open--
	l.assigned.Add(-1)
	l.stats.closed[reason].Add(1)
	c.srv.forgetConn(c.ln, c.remote.Addr())
	c.dying()
}

// dying asks for bury at the end of the turn.
func (c *conn) dying() {
	if !c.dyingQueued {
		c.dyingQueued = true
		c.loop.dying = append(c.loop.dying, c)
	}
}

// bury tells the handler of the end, once, and gives the object back when
// nobody can reach it any more.
func (c *conn) bury() {
	if c.opened {
		c.opened = false
		c.callClosed()
	}
	c.dropOutput()
	if c.owed > 0 || c.pins > 0 || !c.closed {
		return
	}
	c.reset()
	if l := c.loop; len(l.free) < freeConns {
		l.free = append(l.free, c)
	}
}

// reset makes the object ready for its next life; slot numbers go on.
func (c *conn) reset() {
	if len(c.slots) > keepSlots {
		c.slots = nil
	}
	*c = conn{
		srv: c.srv, loop: c.loop, fd: -1, slots: c.slots, head: c.tail, tail: c.tail,
		claim:     claim{granted: c.claim.granted},
		idleTimer: Timer{Fire: c.idleTimer.Fire}, deadlineTimer: Timer{Fire: c.deadlineTimer.Fire},
		muteTimer: Timer{Fire: c.muteTimer.Fire}, closeTimer: Timer{Fire: c.closeTimer.Fire},
		touchQueued: c.touchQueued, dyingQueued: c.dyingQueued, againQueued: c.againQueued,
	}
}

// pin holds the object for n helpers outside the loop.
func (c *conn) pin(n int) {
	c.pins += n
	c.loop.pinned += n
}

// unpin ends one hold on the object.
func (c *conn) unpin() {
	c.pins--
	c.loop.pinned--
	if c.closed {
		c.dying()
	}
}

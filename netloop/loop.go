package netloop

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// Loop is one event loop: a goroutine on gnet's poller, with the connections,
// timers and mailbox that belong to it.
//
// A turn is one event: a connection that became readable or writable, the
// mailbox, the timers. Everything that a turn answers is sent at its end, so
// that a pipelined burst leaves in one writev, and so do all the answers of a
// commit group to one connection, since a group arrives as one task. To flush at
// the end of a whole batch of events would make the first connection of a batch
// wait for the last.
//
// Nothing spins: that takes the core from the clients, the committer and the
// other loops.
type Loop struct {
	srv    *Server
	index  int
	poller *netpoll.Poller
	epoll  int // its descriptor
	wakeFD int // eventfd, edge-triggered and never read: each write is an edge
	timeFD int // timerfd, likewise
	box    mailbox

	// All below: loop only.
	wheel wheel
	base  time.Time // tick 0
	armed int64     // tick at which timeFD fires; never when it does not
	now   time.Time // read once per turn
	stop  bool      // the loop ends with this turn

	conns   []*conn // by descriptor
	watch   map[int]func()
	links   map[*tlsLink]struct{} // TLS connections, bounded like all
	sweeper sweeper
	pinned  int      // pins of all connections, closed ones too
	ending  bool     // Shutdown: end when nothing is pinned
	touched []*conn  // to be flushed or resumed at the end of the turn
	dying   []*conn  // closed in this turn, or closed and now without debts
	errands []Errand // see lend.go
	again   []*conn  // sent a full slice and has more
	free    []*conn
	open    int

	scratch []byte // what a read takes that has no frame buffer yet
	chunk   []byte // a piece of a range that has no descriptor
	iov     []unix.Iovec

	lease  atomic.Uint64 // see lend.go
	leases uint64        // loop only; the last lease

	stats    loopStats
	assigned atomic.Int64 // connections given to the loop, handshakes included; any goroutine
}

const (
	scratchBytes = 64 << 10
	chunkBytes   = 64 << 10
	// stallLimit is how long a turn may take before it counts as a stall.
	stallLimit = time.Millisecond
	// freeConns is how many connection objects a loop keeps for reuse.
	freeConns = 1024
	// sendIovecs is how many pieces one system call takes.
	sendIovecs = 256
)

func newLoop(s *Server, index int) (*Loop, error) {
	l := &Loop{srv: s, index: index, wakeFD: -1, timeFD: -1, base: time.Now(), armed: never, watch: map[int]func(){}, links: map[*tlsLink]struct{}{}}
	l.now = l.base
	l.sweeper.loop = l
	l.sweeper.timer.Fire = func(time.Time) { l.sweeper.RunOnLoop(l) }
	var err error
	if l.poller, err = netpoll.OpenPoller(); err != nil {
		return nil, fmt.Errorf("netloop: opening loop %d's poller: %w", index, err)
	}
	if l.epoll, err = epollOf(l.poller); err != nil {
		return nil, errors.Join(err, l.release())
	}
	if l.wakeFD, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), l.release())
	}
	if l.timeFD, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return nil, errors.Join(os.NewSyscallError("timerfd_create", err), l.release())
	}
	l.watch[l.wakeFD] = l.runTasks
	l.watch[l.timeFD] = l.fireTimers
	for fd := range l.watch {
		if err := l.poller.AddRead(&netpoll.PollAttachment{FD: fd}, true); err != nil {
			return nil, errors.Join(err, l.release())
		}
	}
	return l, nil
}

// release closes the loop's own descriptors; the loop must not run.
func (l *Loop) release() error {
	for l.box.wakers.Load() > 0 {
		runtime.Gosched() // a poster is within a system call of having written
	}
	err := l.poller.Close()
	for _, fd := range []int{l.wakeFD, l.timeFD} {
		if fd >= 0 {
			err = errors.Join(err, os.NewSyscallError("close", unix.Close(fd)))
		}
	}
	return err
}

// Index is the loop's number, 0 ≤ Index < len(Server.Loops()). Any goroutine.
func (l *Loop) Index() int { return l.index }

// Now is the loop's clock, read once per turn. Loop only.
func (l *Loop) Now() time.Time { return l.now }

// Post runs t on the loop, in order of posting. Any goroutine; never blocks.
// What may be posted is bounded by its poster: a task belongs to a request in
// flight or is a singleton. After Shutdown has returned, tasks are dropped and
// counted: what they would have answered is closed.
func (l *Loop) Post(t Task) { l.post(t) }

// post is Post; it reports false when the loop has ended.
func (l *Loop) post(t Task) bool {
	wake, ok := l.box.put(t)
	if wake {
		l.wake()
		l.box.wakers.Add(-1)
	}
	return ok
}

var wakeOne = [8]byte{1} // one in the eventfd's native byte order on little endian; any non-zero value wakes

func (l *Loop) wake() {
	// EAGAIN would need 2^64 wakes; anything else means that the loop is gone.
	if _, err := unix.Write(l.wakeFD, wakeOne[:]); err != nil {
		l.srv.opt.Logger.Error("netloop: a loop could not be woken", "loop", l.index, "error", err)
	}
}

// run is the loop's goroutine.
func (l *Loop) run() {
	// A file range or a mapped window may fault when a disk fails or a file is
	// cut short: that is an error of one connection.
	debug.SetPanicOnFault(true)
	over, err := l.poll()
	if !over {
		// epoll_wait itself failed, which only a bug or a broken kernel does:
		// nothing on this loop would ever be answered again.
		l.srv.failed(fmt.Errorf("netloop: loop %d ended by itself: %w", l.index, err))
	}
}

// turn is one event.
func (l *Loop) turn(fd int, ev netpoll.IOEvent) {
	l.now = time.Now()
	l.handle(fd, ev)
	for !l.settle() {
	}
	l.arm()
	took := time.Since(l.now)
	l.stats.turns.Observe(took)
	if took > stallLimit {
		l.stats.stalls.Add(1)
	}
	if l.ending && l.pinned == 0 && l.box.close() {
		l.stop = true
	}
}

// handle runs one event; a panic of our own ends the connection it concerns.
func (l *Loop) handle(fd int, ev netpoll.IOEvent) {
	if f, ok := l.special(fd); ok {
		defer l.recoverTask("event")
		f()
		return
	}
	if fd < len(l.conns) && l.conns[fd] != nil {
		c := l.conns[fd]
		defer c.recoverOwn()
		c.event(ev)
	}
}

func (l *Loop) special(fd int) (func(), bool) {
	if fd < len(l.conns) && l.conns[fd] != nil {
		return nil, false
	}
	f, ok := l.watch[fd]
	return f, ok
}

// runTasks runs what was posted, and goes on with connections that had more to
// send than one turn may.
func (l *Loop) runTasks() {
	again := l.again
	l.again = nil
	for _, c := range again {
		c.againQueued = false
		l.touch(c)
	}
	if l.again == nil {
		clear(again)
		l.again = again[:0]
	}
	tasks := l.box.take()
	for _, t := range tasks {
		l.runTask(t)
	}
	l.box.done(tasks)
}

func (l *Loop) runTask(t Task) {
	defer l.recoverTask("task")
	t.RunOnLoop(l)
}

// recoverTask ends a panic in a task or timer: deferred directly.
func (l *Loop) recoverTask(what string) {
	if p := recover(); p != nil {
		l.stats.panics.Add(1)
		l.srv.opt.Logger.Error("netloop: a panic on a loop was recovered", "in", what, "loop", l.index,
			"panic", p, "stack", string(debug.Stack()))
	}
}

// touch notes that c may have something to send or room to read.
func (l *Loop) touch(c *conn) {
	if !c.touchQueued {
		c.touchQueued = true
		l.touched = append(l.touched, c)
	}
}

// settle flushes what the turn answered, resumes what it made room for and
// buries what it closed. It reports false when that gave new work.
func (l *Loop) settle() bool {
	for i := 0; i < len(l.touched); i++ {
		c := l.touched[i]
		l.touched[i] = nil
		c.touchQueued = false
		if !c.closed {
			c.settle()
		}
	}
	l.touched = l.touched[:0]
	for i := 0; i < len(l.dying); i++ {
		c := l.dying[i]
		l.dying[i] = nil
		c.dyingQueued = false
		c.bury()
	}
	l.dying = l.dying[:0]
	return len(l.touched) == 0
}

// setTimer makes timeFD fire in d.
func (l *Loop) setTimer(d time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := unix.TimerfdSettime(l.timeFD, 0, &spec, nil); err != nil {
		l.srv.opt.Logger.Error("netloop: a loop's timer could not be set", "loop", l.index, "error", err)
	}
}

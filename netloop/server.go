package netloop

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a set of loops and listeners.
type Server struct {
	opt      Options
	loops    []*Loop
	acceptor *acceptor
	budget   budget
	cold     *coldReaders
	shakes   handshakes

	nextID       atomic.Uint64
	open         atomic.Int64
	stashed      atomic.Int64 // bytes read ahead that wait
	accepted     atomic.Int64
	refused      atomic.Int64
	notAdmitted  atomic.Int64
	acceptPauses atomic.Int64

	ipMu  sync.Mutex
	perIP map[netip.Addr]int // ipMu; bounded by open

	// maxConnections and maxPerIP are the limits in force; see SetMaxConnections.
	maxConnections, maxPerIP atomic.Int64
	// ipLimits are the addresses whose limit differs from maxPerIP; the map is
	// never changed.
	ipLimits atomic.Pointer[map[netip.Addr]int]

	running       sync.WaitGroup // loops, acceptor, workers and TLS goroutines
	fatal         chan error     // capacity 1
	draining      atomic.Bool
	drained       chan struct{} // capacity 1: a connection has gone while draining
	acceptorEnded chan struct{}
	stopOnce      sync.Once
	stopErr       error
}

// Listen binds the listeners and starts the loops. Connections are accepted
// (and wait in the kernel) but not served before Serve.
func Listen(o Options) (*Server, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := newServer(o)
	if err := s.build(); err != nil {
		return nil, errors.Join(err, s.discard())
	}
	for i, l := range s.loops {
		s.start(fmt.Sprintf("loop-%d", i), l.run)
	}
	s.start("acceptor", func() {
		defer close(s.acceptorEnded)
		s.acceptor.loop.run()
	})
	for i := range o.ColdReaders {
		s.start(fmt.Sprintf("cold-reader-%d", i), s.cold.run)
	}
	return s, nil
}

// newServer makes a server without loops and listeners; o is filled.
func newServer(o Options) *Server {
	s := &Server{
		opt:           o,
		budget:        budget{limit: o.InFlightBytes},
		perIP:         map[netip.Addr]int{},
		fatal:         make(chan error, 1),
		drained:       make(chan struct{}, 1),
		acceptorEnded: make(chan struct{}),
	}
	s.SetMaxConnections(o.MaxConnections, o.MaxConnectionsPerIP, nil)
	s.shakes.srv = s
	s.shakes.timer.Fire = s.shakes.shed
	s.cold = newColdReaders(s)
	return s
}

func (s *Server) build() (err error) {
	for i := range s.opt.Loops {
		l, err := newLoop(s, i)
		if err != nil {
			return err
		}
		l.scratch = make([]byte, scratchBytes)
		s.loops = append(s.loops, l)
	}
	s.acceptor, err = newAcceptor(s)
	return err
}

// discard closes what build made; nothing runs yet.
func (s *Server) discard() (err error) {
	for _, l := range s.loops {
		err = errors.Join(err, l.release())
	}
	if s.acceptor != nil {
		err = errors.Join(err, s.acceptor.release())
	}
	return err
}

// start runs f as one of the goroutines that Shutdown waits for.
func (s *Server) start(name string, f func()) {
	s.running.Add(1)
	s.opt.Go("netloop-"+name, func() {
		defer s.running.Done()
		f()
	})
}

// Serve begins to accept.
func (s *Server) Serve() { s.acceptor.loop.Post(taskFunc(s.acceptor.serve)) }

// Addr is the bound address of a listener; the zero AddrPort when there is
// none of that name.
func (s *Server) Addr(listener string) netip.AddrPort {
	for _, ln := range s.acceptor.listeners {
		if ln.name == listener {
			return ln.addr
		}
	}
	return netip.AddrPort{}
}

// Loops are the event loops.
func (s *Server) Loops() []*Loop { return s.loops }

// Failed gives an error when a loop has ended by itself, which leaves its
// connections unserved: the process should end. Any goroutine.
func (s *Server) Failed() <-chan error { return s.fatal }

func (s *Server) failed(err error) {
	s.opt.Logger.Error("netloop: a loop has ended", "error", err)
	select {
	case s.fatal <- err:
	default:
	}
}

// StopAccepting closes the listeners without touching connections.
func (s *Server) StopAccepting() {
	s.acceptor.loop.Post(taskFunc(s.acceptor.closeListeners))
}

// ErrDrainTimeout is wrapped by Shutdown's error when requests were still
// unanswered at the deadline.
var ErrDrainTimeout = errors.New("netloop: the deadline passed before every request was answered")

// Shutdown stops accepting and reading, waits until every outstanding slot is
// answered and sent or the deadline passes, then closes everything. No
// goroutine, descriptor or map of the server's is left on return. Requests
// that wait on a timer of their own (long polls) are the handler's to answer
// early.
func (s *Server) Shutdown(deadline time.Time) error {
	s.stopOnce.Do(func() { s.stopErr = s.shutdown(deadline) })
	return s.stopErr
}

func (s *Server) shutdown(deadline time.Time) error {
	s.draining.Store(true)
	s.StopAccepting()
	s.shakes.stop()
	for _, l := range s.loops {
		l.Post(taskFunc(l.drain))
	}
	err := s.waitDrained(deadline)
	// The acceptor goes first so that no loop gets a connection any more.
	s.acceptor.loop.Post(taskFunc(s.acceptor.loop.end))
	<-s.acceptorEnded
	for _, l := range s.loops {
		l.Post(taskFunc(l.end))
	}
	s.cold.close()
	s.running.Wait()
	return errors.Join(err, s.discard())
}

func (s *Server) waitDrained(deadline time.Time) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		n := s.open.Load()
		if n == 0 {
			return nil
		}
		select {
		case <-s.drained:
		case <-timer.C:
			return fmt.Errorf("%w: %d connections were closed early", ErrDrainTimeout, n)
		}
	}
}

// SetMaxConnections replaces Options.MaxConnections and MaxConnectionsPerIP for
// connections that come from now on; exceptions are addresses with a limit of
// their own, of which 0 lets none in. The map is the server's from here. Any
// goroutine.
func (s *Server) SetMaxConnections(all, perIP int, exceptions map[netip.Addr]int) {
	s.maxConnections.Store(int64(all))
	s.maxPerIP.Store(int64(perIP))
	s.ipLimits.Store(&exceptions)
}

// SetListenerConnections bounds one listener's connections, beside the limits of
// all; 0 is no bound. Any goroutine.
func (s *Server) SetListenerConnections(listener string, limit int) {
	for _, ln := range s.acceptor.listeners {
		if ln.name == listener {
			ln.max.Store(int64(limit))
		}
	}
}

// admitConn counts a connection in, or refuses it. Acceptor only.
func (s *Server) admitConn(ln *listener, ip netip.Addr) bool {
	if limit := s.maxConnections.Load(); limit > 0 && s.open.Load() >= limit {
		return false
	}
	if limit := ln.max.Load(); limit > 0 && ln.open.Load() >= limit {
		return false
	}
	s.ipMu.Lock()
	defer s.ipMu.Unlock()
	limit, own := (*s.ipLimits.Load())[ip]
	if !own {
		limit = int(s.maxPerIP.Load())
	}
	if (own || limit > 0) && s.perIP[ip] >= limit {
		return false
	}
	s.perIP[ip]++
	s.open.Add(1)
	ln.open.Add(1)
	return true
}

// forgetConn counts a connection out. Any goroutine.
func (s *Server) forgetConn(ln *listener, ip netip.Addr) {
	ln.open.Add(-1)
	s.ipMu.Lock()
	if s.perIP[ip]--; s.perIP[ip] <= 0 {
		delete(s.perIP, ip)
	}
	s.ipMu.Unlock()
	s.open.Add(-1)
	if s.draining.Load() {
		select {
		case s.drained <- struct{}{}:
		default:
		}
	}
}

// taskFunc is a task for what happens rarely.
type taskFunc func(*Loop)

func (f taskFunc) RunOnLoop(l *Loop) { f(l) }

// drain makes the loop's connections finish what is outstanding and go.
func (l *Loop) drain(*Loop) {
	for _, c := range l.conns {
		if c != nil {
			c.draining = true
			l.touch(c)
		}
	}
	for k := range l.links {
		k.c.draining = true
		l.touch(k.c)
	}
}

// end closes what is left. The loop ends with the turn that finds nothing
// posted and no worker or TLS goroutine with one of its connections.
func (l *Loop) end(*Loop) {
	for _, c := range l.conns {
		if c != nil {
			c.close(ClosedShutdown, errShutdown)
		}
	}
	for k := range l.links {
		k.c.close(ClosedShutdown, errShutdown)
	}
	l.ending = true
}

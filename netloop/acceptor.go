package netloop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// acceptor takes connections from all listeners on a small loop of its own and
// spreads them over the loops, fewest connections first.
//
// The obvious way is SO_REUSEPORT with one listener a loop. The kernel then
// hashes: four connections on two loops all land on one with probability 1/8,
// for as long as they live, and Kafka clients open few and keep them. It also
// lets a second broker bind the same port without an error, and whatever waits
// in the backlog of a stalled loop waits with it. One accept costs one hop of
// some microseconds here, and every limit is counted in one place.
//
// Running out of descriptors must not end anything: the listener would stay
// readable and spin, so it leaves the poller and a timer puts it back.
type acceptor struct {
	srv       *Server
	loop      *Loop
	listeners []*listener
	delayed   map[*delayedSocket]struct{} // loop only; bounded by MaxConnections
}

// acceptBatch is how many connections one turn takes from a listener.
const acceptBatch = 64

// acceptPause is how long accepting rests when descriptors or memory run out.
const acceptPause = 100 * time.Millisecond

// keepAliveIdle is how many seconds a connection is silent before the kernel
// asks whether the peer is still there.
const keepAliveIdle = 60

type listener struct {
	name   string
	addr   netip.AddrPort
	tls    *tls.Config
	fd     int
	polled bool  // acceptor only
	retry  Timer // acceptor only

	open, max atomic.Int64 // connections, and how many may be; 0 is no bound of its own
}

func newAcceptor(s *Server) (*acceptor, error) {
	a := &acceptor{srv: s, delayed: map[*delayedSocket]struct{}{}}
	var err error
	if a.loop, err = newLoop(s, -1); err != nil {
		return nil, err
	}
	for _, cfg := range s.opt.Listeners {
		ln, err := bind(cfg, &s.opt)
		if err != nil {
			return nil, errors.Join(err, a.release())
		}
		a.listeners = append(a.listeners, ln)
		ln.retry.Fire = func(time.Time) { a.poll(ln) }
	}
	return a, nil
}

func bind(cfg Listener, o *Options) (*listener, error) {
	opts := []socket.Option[int]{
		{SetSockOpt: socket.SetReuseAddr, Opt: 1},
		{SetSockOpt: socket.SetNoDelay, Opt: 1},
		{SetSockOpt: socket.SetKeepAlivePeriod, Opt: keepAliveIdle},
	}
	if o.SocketReceiveBuffer > 0 {
		opts = append(opts, socket.Option[int]{SetSockOpt: socket.SetRecvBuffer, Opt: o.SocketReceiveBuffer})
	}
	if o.SocketSendBuffer > 0 {
		opts = append(opts, socket.Option[int]{SetSockOpt: socket.SetSendBuffer, Opt: o.SocketSendBuffer})
	}
	fd, _, err := socket.TCPSocket("tcp", cfg.Addr, true, opts, nil)
	if errors.Is(err, unix.EAFNOSUPPORT) { // a wildcard on a machine without IPv6
		fd, _, err = socket.TCPSocket("tcp4", cfg.Addr, true, opts, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("netloop: listener %s cannot listen on %s: %w", cfg.Name, cfg.Addr, err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("getsockname", err), unix.Close(fd))
	}
	return &listener{name: cfg.Name, addr: addrPort(sa), tls: cfg.TLS, fd: fd}, nil
}

// release closes what is open; the acceptor must not run.
func (a *acceptor) release() error {
	err := a.loop.release()
	for _, ln := range a.listeners {
		if ln.fd >= 0 {
			err = errors.Join(err, os.NewSyscallError("close", unix.Close(ln.fd)))
			ln.fd = -1
		}
	}
	return err
}

// serve begins to accept on every listener. Acceptor only.
func (a *acceptor) serve(*Loop) {
	for _, ln := range a.listeners {
		a.poll(ln)
	}
}

// poll puts a listener into the poller. Acceptor only.
func (a *acceptor) poll(ln *listener) {
	if ln.fd < 0 || ln.polled {
		return
	}
	if err := a.loop.poller.AddRead(&netpoll.PollAttachment{FD: ln.fd}, false); err != nil {
		a.rest(ln, err)
		return
	}
	ln.polled = true
	a.loop.watch[ln.fd] = func() { a.accept(ln) }
}

// rest takes a listener out of the poller for a while. Acceptor only.
func (a *acceptor) rest(ln *listener, why error) {
	a.srv.acceptPauses.Add(1)
	a.srv.opt.Logger.Warn("netloop: accepting rests; the process is out of descriptors or memory",
		"listener", ln.name, "for", acceptPause, "error", why)
	a.unpoll(ln)
	a.loop.Schedule(&ln.retry, a.loop.now.Add(acceptPause))
}

func (a *acceptor) unpoll(ln *listener) {
	if !ln.polled {
		return
	}
	if err := a.loop.poller.Delete(ln.fd); err != nil {
		a.srv.opt.Logger.Error("netloop: a listener could not leave the poller", "listener", ln.name, "error", err)
	}
	ln.polled = false
	delete(a.loop.watch, ln.fd)
}

// closeListeners ends accepting for good; sockets that a quota delays are
// closed too. Acceptor only.
func (a *acceptor) closeListeners(*Loop) {
	for _, ln := range a.listeners {
		if ln.fd < 0 {
			continue
		}
		a.loop.Cancel(&ln.retry)
		a.unpoll(ln)
		a.srv.closeSocket(ln.fd)
		ln.fd = -1
	}
	for d := range a.delayed {
		a.loop.Cancel(&d.timer)
		a.drop(d.ln, d.fd, d.remote.Addr())
	}
	clear(a.delayed)
}

// accept takes what waits on a listener. Acceptor only.
func (a *acceptor) accept(ln *listener) {
	for range acceptBatch {
		fd, sa, err := socket.Accept(ln.fd)
		switch {
		case err == nil:
			a.arrived(ln, fd, addrPort(sa))
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE),
			errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
			a.rest(ln, err)
			return
		default:
			// The peer gave up before it was accepted, or a network error that
			// Linux reports for it. If it were the listener's own it would
			// come again: the batch bounds a turn.
			continue
		}
	}
}

// arrived applies the limits to a new socket. Acceptor only.
func (a *acceptor) arrived(ln *listener, fd int, remote netip.AddrPort) {
	a.srv.accepted.Add(1)
	if !a.srv.admitConn(ln, remote.Addr()) {
		a.srv.refused.Add(1)
		a.srv.closeSocket(fd)
		return
	}
	if a.srv.opt.Admit == nil {
		a.hand(ln, fd, remote)
		return
	}
	delay, err := a.admit(ln, remote.Addr())
	if err != nil {
		a.srv.notAdmitted.Add(1)
	}
	switch {
	case delay > 0:
		d := &delayedSocket{ln: ln, fd: fd, remote: remote}
		d.timer.Fire = func(time.Time) {
			delete(a.delayed, d)
			if err != nil {
				a.drop(ln, fd, remote.Addr())
			} else {
				a.hand(ln, fd, remote)
			}
		}
		a.delayed[d] = struct{}{}
		a.loop.Schedule(&d.timer, a.loop.now.Add(delay))
	case err != nil:
		a.drop(ln, fd, remote.Addr())
	default:
		a.hand(ln, fd, remote)
	}
}

// admit asks Options.Admit; a panic in it refuses the socket.
func (a *acceptor) admit(ln *listener, ip netip.Addr) (delay time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.loop.stats.panics.Add(1)
			a.srv.opt.Logger.Error("netloop: a panic in Options.Admit was recovered; the connection is refused",
				"listener", ln.name, "panic", p, "stack", string(debug.Stack()))
			delay, err = 0, errPanic
		}
	}()
	return a.srv.opt.Admit(ln.name, ip)
}

// delayedSocket is one that Options.Admit makes wait.
type delayedSocket struct {
	ln     *listener
	fd     int
	remote netip.AddrPort
	timer  Timer
}

// hand gives a socket to the loop with the fewest connections. Acceptor only.
func (a *acceptor) hand(ln *listener, fd int, remote netip.AddrPort) {
	sa, err := unix.Getsockname(fd)
	if err != nil { // the peer is gone
		a.drop(ln, fd, remote.Addr())
		return
	}
	best := a.srv.loops[0]
	for _, l := range a.srv.loops[1:] {
		if l.assigned.Load() < best.assigned.Load() {
			best = l
		}
	}
	best.assigned.Add(1)
	in := &arrival{fd: fd, ln: ln, remote: remote, local: addrPort(sa), loop: best}
	if ln.tls != nil {
		a.srv.shakes.arrived(in)
		return
	}
	best.Post(in)
}

// drop closes a socket that no loop has. Acceptor only.
func (a *acceptor) drop(ln *listener, fd int, ip netip.Addr) {
	a.srv.closeSocket(fd)
	a.srv.forgetConn(ln, ip)
}

func (s *Server) closeSocket(fd int) {
	if err := unix.Close(fd); err != nil {
		s.opt.Logger.Error("netloop: a socket could not be closed", "error", err)
	}
}

// arrival carries an accepted socket to its loop.
type arrival struct {
	fd            int
	ln            *listener
	loop          *Loop
	remote, local netip.AddrPort
	link          *tlsLink // nil for plaintext
	nc            net.Conn // under TLS, once the handshake has begun; fd is -1 then
}

// RunOnLoop makes a connection of it.
func (in *arrival) RunOnLoop(l *Loop) { l.adopt(in) }

// addrPort is a socket address as netip has it; IPv4 in IPv6 becomes IPv4, so
// that one peer has one address.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	a, ok := socket.SockaddrToTCPOrUnixAddr(sa).(*net.TCPAddr)
	if !ok || a == nil {
		return netip.AddrPort{}
	}
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

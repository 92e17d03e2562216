package netloop

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// tlsPipe is the socket under a [tls.Conn]. Until open, and while the writer has
// taken it by hold, a Write waits for the socket as net.Conn's does. At all other
// times a Write never waits: what the socket does not take is kept in rest, and
// the writer is woken to drain it. So a loop can encrypt a small answer itself,
// and the reader, who answers a peer's KeyUpdate with the lock of tls.Conn's
// outgoing half held, cannot make a loop wait for that lock: idle is false while
// such a Write waits.
type tlsPipe struct {
	net.Conn
	raw syscall.RawConn

	mu       sync.Mutex
	opened   bool   // mu
	held     bool   // mu; the writer's: Writes may wait
	waiting  int    // mu; Writes that wait for the socket, or may
	draining bool   // mu; the writer sends what was in rest
	rest     []byte // mu; bounded by pipeRest
	wake     func() // called with mu held when rest gets its first bytes; set by open
}

// pipeRest bounds what a peer can make us keep that does not read: a small
// answer and its own KeyUpdates' replies.
const pipeRest = 64 << 10

var errPipeFull = errors.New("netloop: the peer asks for TLS key updates and does not read the replies")

func newPipe(nc *net.TCPConn) (*tlsPipe, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &tlsPipe{Conn: nc, raw: raw}, nil
}

// open ends the handshake's way of writing.
func (p *tlsPipe) open(wake func()) {
	p.mu.Lock()
	p.opened, p.wake = true, wake
	p.mu.Unlock()
}

// Write is called by tls.Conn only, which never calls it twice at one time.
func (p *tlsPipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	if !p.opened || p.held {
		p.waiting++
		p.mu.Unlock()
		n, err := p.Conn.Write(b)
		p.mu.Lock()
		p.waiting--
		p.mu.Unlock()
		return n, err
	}
	defer p.mu.Unlock()
	n := 0
	if len(p.rest) == 0 && !p.draining {
		var err error
		if n, err = p.try(b); err != nil {
			return n, err
		}
	}
	if n == len(b) {
		return n, nil
	}
	if len(p.rest)+len(b)-n > pipeRest {
		return n, errPipeFull
	}
	if len(p.rest) == 0 {
		p.wake()
	}
	p.rest = append(p.rest, b[n:]...)
	return len(b), nil
}

// try writes what the socket takes at once.
func (p *tlsPipe) try(b []byte) (n int, err error) {
	var errno error
	err = p.raw.Write(func(fd uintptr) bool {
		for {
			n, errno = unix.Write(int(fd), b)
			if errno != unix.EINTR {
				return true
			}
		}
	})
	if errno == unix.EAGAIN {
		return 0, err
	}
	return max(n, 0), errors.Join(err, errno)
}

// idle reports that a Write now would go to the socket, and that nobody holds
// tls.Conn's outgoing half for long. True stays true until the caller, a loop,
// gives the writer something to do, but for the reader's short replies.
func (p *tlsPipe) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.held && p.waiting == 0 && !p.draining && len(p.rest) == 0
}

// hold drains rest and has Writes wait until letGo. The writer's.
func (p *tlsPipe) hold() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.rest) > 0 {
		b := p.rest
		p.rest, p.draining = nil, true
		p.mu.Unlock()
		_, err := p.Conn.Write(b)
		p.mu.Lock()
		p.draining = false
		if err != nil {
			return err
		}
	}
	p.held = true
	return nil
}

func (p *tlsPipe) letGo() {
	p.mu.Lock()
	p.held = false
	p.mu.Unlock()
}

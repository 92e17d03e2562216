package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/netloop"
)

// session is what the broker knows of one connection. Loop only, but for the
// fields that never change after Opened.
//
// Order: Kafka serves one request of a connection at a time. Here a request
// may begin when the one before it has begun its effects. A Produce that waits
// for the disk, a parked Fetch and a request that a coordinator has let the
// next one begin; a request on a worker, and a Produce that found the commit
// queue full, hold the later ones back in queue.
type session struct {
	b        *Broker
	loop     *loop
	conn     netloop.Conn
	listener *listener
	host     netip.Addr

	// principal is nil until a client on a SASL listener has logged in; then
	// only what a client needs to log in is served.
	principal *auth.Principal
	// login is how the connection came to its principal.
	login login
	// throttle is its quotas; any goroutine.
	throttle throttle
	// clientID is the last request's, kept so that it is made a string once.
	clientID string
	// software is what ApiVersions v3+ told (KIP-511).
	softwareName, softwareVersion string

	busy        bool // the request at work holds back queue
	closed      bool
	queue, last *request
	// fetches are the connection's parked fetches.
	fetches *fetch
}

var (
	errUnknownAPI  = errors.New("broker: the request's API key is not served")
	errBadVersion  = errors.New("broker: the request's version is not served")
	errNotLoggedIn = errors.New("broker: a request came before the client has logged in")
)

// handler is the broker as netloop sees it.
type handler struct{ b *Broker }

// Opened makes the session.
func (h handler) Opened(c netloop.Conn) error {
	l := h.b.listenerByName(c.Listener())
	if l == nil {
		return fmt.Errorf("broker: listener %q is not known", c.Listener())
	}
	s := &session{b: h.b, loop: h.b.loops[c.Loop().Index()], conn: c, listener: l, host: c.RemoteAddr().Addr().Unmap()}
	if err := s.arrived(); err != nil {
		return err
	}
	s.loop.live[s] = struct{}{}
	c.SetSession(s)
	return nil
}

// Frame begins a request, or queues it behind the one that is at work.
func (h handler) Frame(c netloop.Conn, f netloop.Frame) {
	s, ok := c.Session().(*session)
	if !ok {
		f.Buf.Release()
		c.Fail(f.Slot, errNotLoggedIn)
		return
	}
	if f.Raw {
		s.rawToken(f)
		return
	}
	hdr, body, err := codec.ParseHeader(f.Buf.B)
	if err != nil {
		f.Buf.Release()
		c.Fail(f.Slot, err)
		return
	}
	a := h.b.apis.find(hdr.Key)
	switch {
	case a == nil:
		err = fmt.Errorf("%w: key %d version %d", errUnknownAPI, hdr.Key, hdr.Version)
	case hdr.Key == keyApiVersions && !a.serves(hdr.Version):
		// Answered in version 0, its body not looked at (KIP-511).
	case !a.serves(hdr.Version):
		err = fmt.Errorf("%w: %s (key %d) is served in versions %d to %d, the request has %d", errBadVersion, a.name, hdr.Key, a.min, a.max, hdr.Version)
	default:
		err = s.mayAsk(a)
	}
	if err != nil {
		f.Buf.Release()
		c.Fail(f.Slot, err)
		return
	}
	if s.clientID != string(hdr.ClientID) {
		s.clientID = string(hdr.ClientID)
	}
	rq := s.loop.request()
	rq.s, rq.conn, rq.slot, rq.api = s, c, f.Slot, a
	rq.version, rq.correlation, rq.clientID, rq.received = hdr.Version, hdr.CorrelationID, s.clientID, f.Received
	rq.size = len(f.Buf.B)
	rq.buf, rq.body = f.Buf, body
	s.loop.stats[a.key].bytesIn.Add(int64(len(f.Buf.B)))
	if s.busy {
		s.push(rq)
		return
	}
	rq.begin()
}

// Closed ends what waits for this connection.
func (h handler) Closed(c netloop.Conn, why error) {
	s, ok := c.Session().(*session)
	if !ok {
		return
	}
	s.closed = true
	delete(s.loop.live, s)
	c.SetSession(nil)
	s.left(why)
	for s.fetches != nil {
		s.fetches.cancel()
	}
	for rq := s.pop(); rq != nil; rq = s.pop() {
		rq.finish()
	}
	if why != nil && h.b.logger.Enabled(context.Background(), slog.LevelDebug) {
		h.b.logger.Debug("connection closed", "remote", c.RemoteAddr(), "client", s.clientID, "why", why)
	}
}

func (s *session) push(rq *request) {
	if s.last == nil {
		s.queue = rq
	} else {
		s.last.next = rq
	}
	s.last = rq
}

func (s *session) pop() *request {
	rq := s.queue
	if rq == nil {
		return nil
	}
	s.queue = rq.next
	if s.queue == nil {
		s.last = nil
	}
	rq.next = nil
	return rq
}

// unblock lets the queue go on.
func (s *session) unblock() {
	s.busy = false
	for !s.busy {
		rq := s.pop()
		if rq == nil {
			return
		}
		rq.begin()
	}
}

// authorize asks the authorizer without a word to the audit log: for what is
// only looked for, and where another operation may do as well. name may alias
// the request.
func (s *session) authorize(op auth.Operation, rt auth.ResourceType, name []byte) bool {
	return s.b.auth.Authorize(s.principal, s.host, op, rt, name)
}

// asNow is authorize for an answer that is put together on another goroutine:
// who the client is now, whatever a later login makes of the connection. Loop
// only; what it gives is for any goroutine.
func (s *session) asNow() func(op auth.Operation, rt auth.ResourceType, name string) bool {
	b, principal, host := s.b, s.principal, s.host
	return func(op auth.Operation, rt auth.ResourceType, name string) bool {
		return b.auth.Authorize(principal, host, op, rt, []byte(name))
	}
}

// authorize asks the authorizer; a denial is audited. name may alias the
// request.
func (rq *request) authorize(op auth.Operation, rt auth.ResourceType, name []byte) bool {
	if rq.s.authorize(op, rt, name) {
		return true
	}
	rq.s.b.security.audit.Denied(time.Now(), rq.where(), rq.s.principal, rq.api.name, op, rt, name)
	return false
}

func (rq *request) may(op auth.Operation, rt auth.ResourceType, name string) bool {
	return rq.authorize(op, rt, []byte(name))
}

// could is may without an audit line.
func (rq *request) could(op auth.Operation, rt auth.ResourceType, name string) bool {
	return rq.s.authorize(op, rt, []byte(name))
}

func (rq *request) mayCluster(op auth.Operation) bool {
	return rq.authorize(op, auth.ResCluster, clusterName)
}

func (rq *request) mayTopic(op auth.Operation, name string) bool {
	return rq.may(op, auth.ResTopic, name)
}

func (rq *request) mayGroup(op auth.Operation, name string) bool {
	return rq.may(op, auth.ResGroup, name)
}

var clusterName = []byte(auth.ClusterName)

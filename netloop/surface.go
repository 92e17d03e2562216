package netloop

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/chronik-stream/chronik/codec"
)

// This file fixes the package's surface before its insides exist; each piece
// moves to its own file with its implementation.

// Options of a Server. Zero values mean defaults.
type Options struct {
	Handler   Handler
	Listeners []Listener
	// Loops is the number of event loops; default one per core.
	Loops int
	// MaxInFlight is the pipelining limit per connection. Default 64.
	MaxInFlight int
	// FrameLimit is Kafka's socket.request.max.bytes. Default 100 MiB.
	FrameLimit int
	// MaxConnections and MaxConnectionsPerIP refuse further ones; 0 is no
	// limit but the descriptors'.
	MaxConnections, MaxConnectionsPerIP int
	// InFlightBytes bounds the memory of requests in all. Default 1/8 of RAM, at most 1 GiB.
	InFlightBytes int64
	// ConnInFlightBytes bounds it per connection. A single larger frame is
	// still let in when it is alone.
	ConnInFlightBytes int64
	// OutboundBytes bounds the literal bytes queued on one connection; above
	// it the connection is not read.
	OutboundBytes int64
	// IdleTimeout is Kafka's connections.max.idle.ms. Default 10 minutes.
	IdleTimeout time.Duration
	// HandshakeTimeout and MaxHandshakes bound TLS handshakes.
	HandshakeTimeout                      time.Duration
	MaxHandshakes                         int
	SocketSendBuffer, SocketReceiveBuffer int
	Logger                                *slog.Logger
	// Go starts a goroutine; the broker passes the one function that recovers.
	Go func(name string, f func())
}

// Listener is one listening address.
type Listener struct {
	Name string // Kafka's listener name
	Addr string // host:port; port 0 picks one
	// TLS is nil for plaintext. It may be reloaded: GetConfigForClient is asked
	// for each connection.
	TLS *tls.Config
}

// Server is a set of loops and listeners.
type Server struct{}

// Listen binds the listeners and starts the loops. Connections are accepted
// (and wait in the kernel) but not served before Serve.
func Listen(o Options) (*Server, error) { return nil, errors.New("netloop: not built yet") }

// Serve begins to accept.
func (s *Server) Serve() {}

// Addr is the bound address of a listener.
func (s *Server) Addr(listener string) netip.AddrPort { return netip.AddrPort{} }

// Loops are the event loops.
func (s *Server) Loops() []*Loop { return nil }

// Shutdown stops accepting and reading, waits until every outstanding slot is
// answered and sent or the deadline passes, then closes everything. No
// goroutine, descriptor or map of the server's is left on return.
func (s *Server) Shutdown(deadline time.Time) error { return nil }

// CloseListener stops accepting (drain) without touching connections.
func (s *Server) StopAccepting() {}

// Loop is one event loop.
type Loop struct{}

// Index is the loop's number, 0 ≤ Index < len(Server.Loops()). Any goroutine.
func (l *Loop) Index() int { return 0 }

// Post runs t on the loop, in order of posting. Any goroutine; never blocks.
// What may be posted is bounded by its poster: a task belongs to a request in
// flight or is a singleton.
func (l *Loop) Post(t Task) {}

// Now is the loop's clock, read once per turn. Loop only.
func (l *Loop) Now() time.Time { return time.Time{} }

// Timer is an intrusive timer; Fire runs on the loop. The zero value is not
// scheduled.
type Timer struct {
	// Fire is called on the loop when the time has come.
	Fire func(now time.Time)
	timerState
}

type timerState struct{}

// Schedule sets or moves t. Resolution 1 ms. Loop only.
func (l *Loop) Schedule(t *Timer, at time.Time) {}

// Cancel unsets t; it reports whether t was set. Loop only.
func (l *Loop) Cancel(t *Timer) bool { return false }

// NewResponse gives an empty response whose Buf has capacity for n bytes.
// Any goroutine.
func NewResponse(n int) *Response { return &Response{Buf: codec.NewBuffer(0)} }

// Cut ends the piece of Buf since the last cut and puts r behind it. A Range
// of Len 0 is allowed and only cuts.
func (r *Response) Cut(rng Range) {}

// Release drops a response that was never handed to a connection.
func (r *Response) Release() {}

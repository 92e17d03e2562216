package netloop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a Server. Zero values mean defaults.
type Options struct {
	Handler   Handler
	Listeners []Listener
	// Loops is the number of event loops; default one per core.
	Loops int
	// MaxInFlight is the pipelining limit per connection: requests handed over
	// whose answers have not left. Default 64.
	MaxInFlight int
	// FrameLimit is Kafka's socket.request.max.bytes. Default 100 MiB.
	FrameLimit int
	// MaxConnections and MaxConnectionsPerIP refuse further ones; 0 is no
	// limit but the descriptors'.
	MaxConnections, MaxConnectionsPerIP int
	// InFlightBytes bounds the memory of requests in all (and one FrameLimit on
	// top, so that the largest frame always has its turn). Default 1/8 of RAM,
	// at most 1 GiB.
	InFlightBytes int64
	// ConnInFlightBytes bounds it per connection. A single larger frame is
	// still let in when it is alone. Default a quarter of InFlightBytes.
	ConnInFlightBytes int64
	// OutboundBytes bounds the literal bytes queued on one connection; above
	// it the connection is not read. Default 1 MiB.
	OutboundBytes int64
	// IdleTimeout is Kafka's connections.max.idle.ms: a connection with no
	// request outstanding that completes no frame for so long is closed.
	// Default 10 minutes; negative for never.
	IdleTimeout time.Duration
	// HandshakeTimeout and MaxHandshakes bound TLS handshakes in time and
	// number; further connections wait their turn, at most eight times as
	// many, and are closed beyond that. While some wait, handshakes that take
	// longer than a quarter of a second give way. Defaults 10 s and 256.
	HandshakeTimeout time.Duration
	MaxHandshakes    int
	// SocketSendBuffer and SocketReceiveBuffer are SO_SNDBUF and SO_RCVBUF;
	// 0 leaves them to the kernel, which tunes them by itself.
	SocketSendBuffer, SocketReceiveBuffer int
	// ColdReaders is how many goroutines wait for the disk on behalf of
	// ranges that are not in the page cache. Default 4.
	ColdReaders int
	// Admit is asked for each accepted connection before it is served, for
	// connection rate quotas. With an error the connection is closed after
	// delay; without one it is served after delay. It is called on the
	// acceptor's goroutine, so it delays every accept if it waits. Optional.
	Admit func(listener string, ip netip.Addr) (delay time.Duration, err error)
	// HandshakeFailed is told of each TLS handshake that failed. It is called on
	// the handshake's goroutine. Optional.
	HandshakeFailed func(listener string, remote netip.AddrPort, why error)
	Logger          *slog.Logger
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

var (
	errNoHandler   = errors.New("netloop: Options.Handler is nil; a server needs one")
	errNoGo        = errors.New("netloop: Options.Go is nil; a server needs the function that starts its goroutines")
	errNoListeners = errors.New("netloop: Options.Listeners is empty; a server needs at least one address")
)

// fill checks o and replaces zero values by defaults.
func (o *Options) fill() error {
	switch {
	case o.Handler == nil:
		return errNoHandler
	case o.Go == nil:
		return errNoGo
	case len(o.Listeners) == 0:
		return errNoListeners
	}
	names := make(map[string]bool, len(o.Listeners))
	for _, l := range o.Listeners {
		if names[l.Name] {
			return fmt.Errorf("netloop: two listeners are named %q; give each its own name", l.Name)
		}
		names[l.Name] = true
	}
	positive(&o.Loops, runtime.NumCPU())
	positive(&o.MaxInFlight, 64)
	positive(&o.FrameLimit, 100<<20)
	positive(&o.MaxHandshakes, 256)
	positive(&o.ColdReaders, 4)
	positive(&o.InFlightBytes, defaultInFlight())
	positive(&o.ConnInFlightBytes, o.InFlightBytes/4)
	positive(&o.OutboundBytes, 1<<20)
	positive(&o.HandshakeTimeout, 10*time.Second)
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 10 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func positive[T int | int64 | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

func defaultInFlight() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 256 << 20
	}
	return min(int64(info.Totalram)*int64(info.Unit)/8, 1<<30)
}

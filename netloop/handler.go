package netloop

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/chronik-stream/chronik/codec"
)

// Handler receives what happens on connections. All of its methods are called
// on the connection's loop and must not wait. A panic in one of them ends that
// connection, is logged with its stack and counted; the process goes on.
type Handler interface {
	// Opened is called once per connection, before its first frame (under TLS:
	// after the handshake). An error refuses the connection.
	Opened(c Conn) error

	// Frame hands over one request frame. The handler owns f.Buf from here on
	// and must answer f.Slot exactly once, with Conn.Respond, Conn.Skip or
	// Conn.Fail, even when the connection has been closed meanwhile: an answer
	// to a closed connection only releases what it holds.
	Frame(c Conn, f Frame)

	// Closed is called once for every connection that Opened let in, after the
	// last Frame and never from inside another callback. why is nil when the
	// peer closed in the ordinary way. Slots may still be outstanding.
	Closed(c Conn, why error)
}

// Slot is the place of one request in its connection's order of answers.
type Slot uint64

// Frame is one request as it came off the wire, without its length prefix.
type Frame struct {
	Slot Slot
	Buf  *codec.Buffer // owned by the handler; Buf.B holds exactly the frame
	// Received is when the frame was complete.
	Received time.Time
	// Raw is true when the connection was in raw-token mode (SASL handshake
	// v0): the frame is a bare token without a Kafka header.
	Raw bool
}

// Conn is one client connection. The object stays valid until it is closed and
// every slot is answered; it is reused afterwards, so a handler must not keep
// it longer than its last unanswered slot, except in Session state that dies
// in Closed.
type Conn interface {
	// ID is unique in the process's life. Any goroutine.
	ID() uint64
	// Loop is where the connection lives for all its life. Any goroutine.
	Loop() *Loop
	// Listener is the name of the listener that accepted it (Kafka's listener
	// name, e.g. PLAINTEXT or EXTERNAL). Any goroutine.
	Listener() string
	// RemoteAddr and LocalAddr are fixed at accept. Any goroutine.
	RemoteAddr() netip.AddrPort
	LocalAddr() netip.AddrPort
	// TLS is nil on a plaintext connection. Any goroutine.
	TLS() *tls.ConnectionState

	// Session is the handler's own state. Loop only.
	Session() any
	SetSession(any)

	// SetMaxInFlight bounds the requests handed over whose answers have not
	// left; reading stops at the bound. The default is Options.MaxInFlight.
	// Loop only.
	SetMaxInFlight(n int)
	// SetFrameLimit bounds the length of the frames that follow. A longer one
	// closes the connection before anything of it is buffered. (Under TLS the
	// reader may be ahead by the frames that MaxInFlight allows; with one in
	// flight it is exact.) Loop only.
	SetFrameLimit(n int)
	// SetRaw turns raw-token mode on or off for the frames that follow. Loop only.
	SetRaw(on bool)
	// Mute stops reading until the given time (KIP-219 throttling). Loop only.
	Mute(until time.Time)
	// SetDeadline closes the connection at t unless it is moved or cleared by
	// the zero time before: the time that authentication may take. Loop only.
	SetDeadline(t time.Time)
	// CloseAfter sends what is queued and closes d later; frames that arrive
	// meanwhile are dropped. Loop only.
	CloseAfter(d time.Duration, why error)
	// Close closes now; what is queued is dropped. Loop only.
	Close(why error)

	// Respond answers a slot; r is owned by the connection from here on and
	// released when it is sent or the connection is gone. Loop only.
	Respond(s Slot, r *Response)
	// Skip completes a slot that has no answer (acks=0). Loop only.
	Skip(s Slot)
	// Fail completes a slot by closing the connection once the answers before
	// it are sent, as Kafka does on a breach of protocol. Loop only.
	Fail(s Slot, why error)
}

// Task is work for a loop. It must not wait. The same Task object may be posted
// again only after RunOnLoop was called.
type Task interface{ RunOnLoop(l *Loop) }

// File is where a Range's bytes lie. *logstore.Segment satisfies it.
type File interface {
	// Fd returns a descriptor for sendfile, or false when there is none (the
	// in-memory disk); the range is then copied out with ReadAt.
	Fd() (fd int, ok bool)
	ReadAt(p []byte, off int64) (int, error)
	// ReadFailed is told what the descriptor answered in place of the bytes; what
	// ReadAt answers the file knows. On a loop or a worker; it must not wait.
	ReadFailed(err error)
}

// Owner keeps the bytes of a part alive. Release is called exactly once, on
// any goroutine, when the part has been sent or dropped.
type Owner interface{ Release() }

// Range is a part of a response that leaves straight from a file.
type Range struct {
	File File
	Off  int64
	Len  int64
	// Mem, when not nil, is the same bytes as mapped or cached memory, valid
	// until Owner.Release: small ranges then leave by writev.
	Mem []byte
	// Hot says that the pages are known to be in the page cache (the tail of
	// the log). A range that is not hot is probed, and sent by a worker when
	// it is cold, so that the loop never waits for a disk.
	Hot   bool
	Owner Owner
}

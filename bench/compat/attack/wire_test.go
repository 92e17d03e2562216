package attack

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const patience = 15 * time.Second

// wire is a connection of single requests.
type wire struct {
	t    testing.TB
	conn net.Conn
	n    int32
}

// sources gives each connection an address of its own on the loopback network,
// so that failures of one test do not hold back another; failures are counted
// by address.
var sources atomic.Uint32

func source() *net.TCPAddr {
	n := sources.Add(1)
	return &net.TCPAddr{IP: net.IPv4(127, byte(1+n>>16), byte(n>>8), byte(n))}
}

func dialer() *net.Dialer { return &net.Dialer{Timeout: patience, LocalAddr: source()} }

// dial connects to a listener, under TLS where it speaks it.
func dial(t testing.TB, listener string) *wire {
	t.Helper()
	var conn net.Conn
	var err error
	if listener == "TLS" || listener == "MTLS" {
		conn, err = tls.DialWithDialer(dialer(), "tcp", victim.addrs[listener], trusting())
	} else {
		conn, err = dialer().Dial("tcp", victim.addrs[listener])
	}
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, conn)
}

func wrap(t testing.TB, conn net.Conn) *wire {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the broker may have closed it already
	return &wire{t: t, conn: conn}
}

// frame sends bytes as one frame; an error is the broker's closing, which the
// next read tells.
func (w *wire) frame(b []byte) {
	_, _ = w.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
}

// send sends a request and gives its correlation id.
func (w *wire) send(req kmsg.Request) int32 {
	w.n++
	_, _ = w.conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("attacker")).AppendRequest(nil, req, w.n))
	return w.n
}

// read gives a frame's body.
func (w *wire) read() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(w.conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 1<<20 {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(w.conn, b)
	return b, err
}

// ask sends a request and reads its answer.
func ask[R kmsg.Response](w *wire, req kmsg.Request) (R, error) {
	var none R
	w.send(req)
	b, err := w.read()
	if err != nil {
		return none, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	skip := 4
	if resp.IsFlexible() && resp.Key() != 18 {
		skip = 5
	}
	if len(b) < skip {
		return none, fmt.Errorf("an answer of %d bytes", len(b))
	}
	if err := resp.ReadFrom(b[skip:]); err != nil {
		return none, err
	}
	typed, ok := resp.(R)
	if !ok {
		return none, fmt.Errorf("an answer of type %T", resp)
	}
	return typed, nil
}

func (w *wire) handshake(version int16, mechanism string) (*kmsg.SASLHandshakeResponse, error) {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = version, mechanism
	return ask[*kmsg.SASLHandshakeResponse](w, req)
}

// token sends a SASL token in SaslAuthenticate.
func (w *wire) token(b []byte) (*kmsg.SASLAuthenticateResponse, error) {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = 2, b
	return ask[*kmsg.SASLAuthenticateResponse](w, req)
}

// begin does a handshake that must succeed.
func (w *wire) begin(mechanism string) *wire {
	w.t.Helper()
	resp, err := w.handshake(1, mechanism)
	if err != nil || resp.ErrorCode != 0 {
		w.t.Fatalf("handshake of %s: %+v, %v", mechanism, resp, err)
	}
	return w
}

// inside reports whether the broker answers what only those may ask who have
// logged in.
func (w *wire) inside() bool {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	resp, err := ask[*kmsg.MetadataResponse](w, req)
	return err == nil && len(resp.Brokers) > 0
}

// outside fails the test when the connection got in, or is open still.
func (w *wire) outside(what string) {
	w.t.Helper()
	if w.inside() {
		w.t.Errorf("%s: it got in", what)
		return
	}
	w.gone(what)
}

// gone waits until the broker has closed the connection and takes no answer.
func (w *wire) gone(what string) {
	w.t.Helper()
	for {
		b, err := w.read()
		switch {
		case err == nil:
			w.t.Errorf("%s: an answer of %d bytes", what, len(b))
			return
		case isTimeout(err):
			w.t.Errorf("%s: the connection is still open after %v", what, patience)
			return
		}
		return
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// refused sends a token and wants SASL_AUTHENTICATION_FAILED or the end, then
// the end.
func (w *wire) refused(what string, token []byte) {
	w.t.Helper()
	resp, err := w.token(token)
	if err == nil && resp.ErrorCode == 0 && len(resp.SASLAuthBytes) > 0 {
		// A challenge, as OAUTHBEARER tells its error: whatever is said to it.
		resp, err = w.token([]byte{1})
	}
	if err == nil && resp.ErrorCode != 58 {
		w.t.Errorf("%s: answered with code %d", what, resp.ErrorCode)
	}
	w.outside(what)
}

package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawConn is one connection that speaks kmsg. It costs next to no CPU, so
// that on a machine shared with the broker the broker is what is measured.
// Send and receive may run on two goroutines; each belongs to one at a time.
type rawConn struct {
	conn     net.Conn
	in       *bufio.Reader
	format   *kmsg.RequestFormatter
	out, buf []byte
	sent     int32
	received int32
}

// dial connects to the target, by TLS and with a login where it asks for them.
func (t Target) dial(ctx context.Context, clientID string) (*rawConn, error) {
	var conn net.Conn
	var err error
	if t.TLS != nil {
		conn, err = (&tls.Dialer{Config: t.TLS}).DialContext(ctx, "tcp", t.Bootstrap)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", t.Bootstrap)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", t.Bootstrap, err)
	}
	c := &rawConn{conn: conn, in: bufio.NewReaderSize(conn, t.readBuffer()),
		format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))}
	if t.Login == nil {
		return c, nil
	}
	if err := c.login(ctx, t); err != nil {
		c.close()
		return nil, fmt.Errorf("logging in to %s with %s: %w", t.Bootstrap, t.Login.Name(), err)
	}
	return c, nil
}

// readBuffer is small where connections are many and answers short.
func (t Target) readBuffer() int {
	if t.smallBuffers {
		return 1 << 10
	}
	return 256 << 10
}

// login runs the target's mechanism.
func (c *rawConn) login(ctx context.Context, t Target) error {
	const timeout = 30 * time.Second
	hello := kmsg.NewPtrSASLHandshakeRequest()
	hello.Version, hello.Mechanism = 1, t.Login.Name()
	agreed, err := roundTrip[*kmsg.SASLHandshakeResponse](c, hello, timeout)
	if err != nil {
		return err
	}
	if agreed.ErrorCode != 0 {
		return fmt.Errorf("%w; it offers %v", brokerError(agreed.ErrorCode), agreed.SupportedMechanisms)
	}
	session, out, err := t.Login.Authenticate(ctx, t.Bootstrap)
	for done := false; err == nil && !done; {
		step := kmsg.NewPtrSASLAuthenticateRequest()
		step.Version, step.SASLAuthBytes = 2, out
		var in *kmsg.SASLAuthenticateResponse
		if in, err = roundTrip[*kmsg.SASLAuthenticateResponse](c, step, timeout); err != nil {
			return err
		}
		if in.ErrorCode != 0 {
			why := ""
			if in.ErrorMessage != nil {
				why = ": " + *in.ErrorMessage
			}
			return fmt.Errorf("%w%s", brokerError(in.ErrorCode), why)
		}
		done, out, err = session.Challenge(in.SASLAuthBytes)
	}
	return err
}

func (c *rawConn) close() { c.conn.Close() }

// send writes one request.
func (c *rawConn) send(req kmsg.Request) error {
	c.out = c.format.AppendRequest(c.out[:0], req, c.sent)
	c.sent++
	_, err := c.conn.Write(c.out)
	return err
}

// sendEncoded writes a request that was encoded before, with its correlation id
// brought up to date.
func (c *rawConn) sendEncoded(frame []byte) error {
	binary.BigEndian.PutUint32(frame[8:], uint32(c.sent))
	c.sent++
	_, err := c.conn.Write(frame)
	return err
}

// receive reads the next response; it must answer the oldest request.
func (c *rawConn) receive(resp kmsg.Response) error {
	body, err := c.receiveBody(resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions))
	if err != nil {
		return err
	}
	return resp.ReadFrom(body)
}

// receiveBody reads the next response's body, which is valid until the next call.
func (c *rawConn) receiveBody(flexible bool) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n < 4 || n > 1<<30 {
		return nil, fmt.Errorf("the broker announced a response of %d bytes", n)
	}
	if cap(c.buf) < n {
		c.buf = make([]byte, n)
	}
	c.buf = c.buf[:n]
	if _, err := io.ReadFull(c.in, c.buf); err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(c.buf)); got != c.received {
		return nil, fmt.Errorf("the broker answered request %d where %d was next", got, c.received)
	}
	c.received++
	body := c.buf[4:]
	if flexible {
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("the response header carries tags")
		}
		body = body[1:]
	}
	return body, nil
}

// roundTrip sends a request and waits for its answer.
func roundTrip[R kmsg.Response](c *rawConn, req kmsg.Request, timeout time.Duration) (R, error) {
	resp := req.ResponseKind().(R)
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return resp, err
	}
	if err := c.send(req); err != nil {
		return resp, err
	}
	if err := c.receive(resp); err != nil {
		return resp, err
	}
	return resp, c.conn.SetDeadline(time.Time{})
}

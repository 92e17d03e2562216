package broker

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is a bare connection, for what no client would send.
type wire struct {
	t    testing.TB
	conn net.Conn
	next int32
}

func dial(t testing.TB, b *Broker) *wire {
	t.Helper()
	c, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &wire{t: t, conn: c}
}

// frame is a request with its length prefix.
func frame(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("wire")).AppendRequest(nil, req, correlation)
}

func (w *wire) write(b []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(b); err != nil {
		w.t.Fatalf("write: %v", err)
	}
}

// send sends a request and gives its correlation id.
func (w *wire) send(req kmsg.Request) int32 {
	w.t.Helper()
	w.next++
	w.write(frame(req, w.next))
	return w.next
}

// read reads one answer without its length.
func (w *wire) read() ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(w.conn, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(w.conn, b)
	return b, err
}

// answer reads the answer to req.
func (w *wire) answer(req kmsg.Request, correlation int32) kmsg.Response {
	w.t.Helper()
	b, err := w.read()
	if err != nil {
		w.t.Fatalf("%T: no answer: %v", req, err)
	}
	r := kbin.Reader{Src: b}
	if got := r.Int32(); got != correlation {
		w.t.Fatalf("%T: the answer's correlation id is %d, want %d", req, got, correlation)
	}
	resp := req.ResponseKind()
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		kmsg.SkipTags(&r)
	}
	if err := resp.ReadFrom(r.Src); err != nil {
		w.t.Fatalf("%T v%d: the answer cannot be read: %v", req, req.GetVersion(), err)
	}
	return resp
}

// ask sends a request and reads its answer.
func ask[R kmsg.Response](w *wire, req kmsg.Request) R {
	w.t.Helper()
	resp, ok := w.answer(req, w.send(req)).(R)
	if !ok {
		w.t.Fatalf("%T has another answer", req)
	}
	return resp
}

// closed waits for the broker to close the connection without a byte.
func (w *wire) closed() {
	w.t.Helper()
	b, err := w.read()
	if err == nil {
		w.t.Fatalf("an answer of %d bytes came, want a closed connection", len(b))
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		w.t.Fatal("the connection is still open after two minutes")
	}
}

// alive fails the test when the broker does not serve any more.
func alive(t testing.TB, b *Broker) {
	t.Helper()
	req := kmsg.NewPtrApiVersionsRequest()
	if resp := ask[*kmsg.ApiVersionsResponse](dial(t, b), req); resp.ErrorCode != 0 || len(resp.ApiKeys) == 0 {
		t.Fatalf("ApiVersions: %d, %d keys", resp.ErrorCode, len(resp.ApiKeys))
	}
}

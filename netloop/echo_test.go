package netloop

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"
)

// handlerFuncs is a Handler made of functions; nil ones do nothing.
type handlerFuncs struct {
	opened func(Conn) error
	frame  func(Conn, Frame)
	closed func(Conn, error)
}

func (h *handlerFuncs) Opened(c Conn) error {
	if h.opened != nil {
		return h.opened(c)
	}
	return nil
}

func (h *handlerFuncs) Frame(c Conn, f Frame) {
	if h.frame != nil {
		h.frame(c, f)
		return
	}
	echo(c, f)
}

func (h *handlerFuncs) Closed(c Conn, why error) {
	if h.closed != nil {
		h.closed(c, why)
	}
}

// echo answers a frame with itself.
func echo(c Conn, f Frame) {
	c.Respond(f.Slot, echoOf(f))
	f.Buf.Release()
}

func echoOf(f Frame) *Response {
	r := NewResponse(4 + len(f.Buf.B))
	r.Buf.B = binary.BigEndian.AppendUint32(r.Buf.B, uint32(len(f.Buf.B)))
	r.Buf.B = append(r.Buf.B, f.Buf.B...)
	return r
}

// listen serves h on a free loopback port until the test ends. change may be nil.
func listen(t testing.TB, h Handler, change func(*Options)) (*Server, string) {
	t.Helper()
	o := Options{
		Handler:   h,
		Listeners: []Listener{{Name: "PLAINTEXT", Addr: "127.0.0.1:0"}},
		Loops:     2,
		Go:        func(_ string, f func()) { go f() },
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1})),
	}
	if change != nil {
		change(&o)
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve()
	t.Cleanup(func() {
		if err := s.Shutdown(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return s, s.Addr(o.Listeners[0].Name).String()
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	deadline(t, nc)
	return nc.(*net.TCPConn)
}

// deadline keeps a broken server from hanging the test.
func deadline(t testing.TB, nc net.Conn) {
	t.Helper()
	if err := nc.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func frameOf(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func sendFrame(t testing.TB, w io.Writer, body []byte) {
	t.Helper()
	if _, err := w.Write(frameOf(body)); err != nil {
		t.Fatal(err)
	}
}

func readFrame(t testing.TB, r io.Reader) []byte {
	t.Helper()
	body, err := tryReadFrame(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func tryReadFrame(r io.Reader) ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(prefix[:]))
	_, err := io.ReadFull(r, body)
	return body, err
}

func TestEcho(t *testing.T) {
	_, addr := listen(t, &handlerFuncs{}, nil)
	nc := dial(t, addr)
	for n := 1; n < 5<<20; n = n*3 + 1 {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(i * n)
		}
		go nc.Write(frameOf(body))
		if got := readFrame(t, nc); string(got) != string(body) {
			t.Fatalf("a frame of %d bytes came back as %d other bytes", n, len(got))
		}
	}
}

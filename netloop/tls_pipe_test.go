package netloop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
)

// pipePair is a pipe with small socket buffers and its peer.
func pipePair(t *testing.T) (*tlsPipe, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); peer.Close() })
	tcp := nc.(*net.TCPConn)
	if err := errors.Join(tcp.SetWriteBuffer(64<<10), peer.(*net.TCPConn).SetReadBuffer(64<<10)); err != nil {
		t.Fatal(err)
	}
	p, err := newPipe(tcp)
	if err != nil {
		t.Fatal(err)
	}
	return p, peer
}

// TestPipeNeverWaits: who does not read makes no Write wait, what the socket does
// not take is kept up to a bound, and arrives in order once the writer drains it.
func TestPipeNeverWaits(t *testing.T) {
	p, peer := pipePair(t)
	wakes := 0
	p.open(func() { wakes++ })
	piece := pattern(1000)
	var sent []byte
	for {
		// A Write that waited would make the test wait for ever: nobody reads.
		n, err := p.Write(piece)
		if err != nil {
			if !errors.Is(err, errPipeFull) {
				t.Fatal(err)
			}
			sent = append(sent, piece[:n]...)
			break
		}
		if sent = append(sent, piece...); len(sent) > 64<<20 {
			t.Fatal("64 MiB were taken for a peer that reads nothing")
		}
	}
	if p.idle() || wakes != 1 || len(p.rest) > pipeRest || len(p.rest) < pipeRest-len(piece) {
		t.Fatalf("idle %v, %d wakes, %d bytes kept, of %d", p.idle(), wakes, len(p.rest), pipeRest)
	}
	held := make(chan error)
	go func() { held <- p.hold() }()
	eventually(t, "the writer drains", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.draining
	})
	// The reader replies to a KeyUpdate meanwhile: behind what is being drained.
	if _, err := p.Write([]byte("reply")); err != nil {
		t.Fatal(err)
	}
	sent = append(sent, "reply"...)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("what was kept came changed or not: %v", err)
	}
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	if p.idle() {
		t.Error("idle while the writer holds it")
	}
	// Held, a Write waits for the socket; nothing is kept.
	large := pattern(2 << 20)
	done := make(chan error)
	go func() {
		_, err := p.Write(large)
		done <- err
	}()
	eventually(t, "the Write waits", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.waiting == 1
	})
	p.letGo()
	if p.idle() {
		t.Error("idle while a Write waits")
	}
	got = make([]byte, len(large))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, large) {
		t.Fatalf("what was written came changed or not: %v", err)
	}
	if err := <-done; err != nil || !p.idle() || len(p.rest) > 0 {
		t.Errorf("%v, idle %v, %d bytes kept", err, p.idle(), len(p.rest))
	}
}

// TestTLSSmallAnswersToSlowReader: more small answers than the sockets hold, to
// a peer that reads late, while another connection of the same loop is served.
func TestTLSSmallAnswersToSlowReader(t *testing.T) {
	const answers, size = 2000, 5000
	body := pattern(size)
	var asked int // loop only; one loop
	h := &handlerFuncs{frame: func(c Conn, f Frame) {
		f.Buf.Release()
		r := NewResponse(4 + size)
		r.Buf.B = append(r.Buf.B, frameOf(body)...)
		asked++
		r.Buf.B[4] = byte(asked)
		c.Respond(f.Slot, r)
	}}
	s, addr := listen(t, h, func(o *Options) {
		o.Loops, o.MaxInFlight = 1, answers
		secureOption(t, true)(o)
	})
	slow := dialMaybeTLS(t, addr, true)
	go func() {
		for range answers {
			if _, err := slow.Write(frameOf([]byte("x"))); err != nil {
				return // the test has ended
			}
		}
	}()
	eventually(t, "the sockets are full", func() bool { return s.Stats().PausedReads > 0 || s.Stats().Frames >= 400 })
	other := dialMaybeTLS(t, addr, true)
	sendFrame(t, other, []byte("y"))
	readFrame(t, other)
	last := byte(0)
	for i := range answers {
		got := readFrame(t, slow)
		// The other connection's answer took one of the numbers.
		if len(got) != size || got[0]-last != 1 && got[0]-last != 2 || !bytes.Equal(got[1:], body[1:]) {
			t.Fatalf("answer %d: %d bytes, numbered %d after %d", i, len(got), got[0], last)
		}
		last = got[0]
	}
}

// gatedFile is a File whose bytes come when the gate opens.
type gatedFile struct {
	memFile
	gate chan struct{}
}

func (f gatedFile) ReadAt(p []byte, off int64) (int, error) {
	<-f.gate
	return f.memFile.ReadAt(p, off)
}

// TestTLSSmallAnswerBehindWriter: an answer that is ready when the writer has
// just sent the one before, of which the loop has not heard yet, is not taken for
// that one.
func TestTLSSmallAnswerBehindWriter(t *testing.T) {
	body, gate := pattern(100_000), make(chan struct{})
	h := &handlerFuncs{frame: func(c Conn, f Frame) {
		kind := f.Buf.B[0]
		f.Buf.Release()
		r := NewResponse(16)
		switch kind {
		case 'a': // by the writer, once b's turn has begun
			r.Buf.B = binary.BigEndian.AppendUint32(r.Buf.B, uint32(len(body)))
			r.Cut(Range{File: gatedFile{body, gate}, Len: int64(len(body))})
		case 'b':
			close(gate)
			k := c.(*conn).link
			for sent := false; !sent; runtime.Gosched() {
				k.mu.Lock()
				sent = k.done == 1 && !k.writing
				k.mu.Unlock()
			}
			fallthrough
		default:
			r.Buf.B = append(r.Buf.B, frameOf([]byte{kind})...)
		}
		c.Respond(f.Slot, r)
	}}
	s, addr := listen(t, h, func(o *Options) {
		o.Loops = 1
		secureOption(t, true)(o)
	})
	nc := dialMaybeTLS(t, addr, true)
	sendFrame(t, nc, []byte("a"))
	eventually(t, "the first request is with the writer", func() bool { return s.Stats().Frames == 1 })
	sendFrame(t, nc, []byte("b"))
	if got := readFrame(t, nc); !bytes.Equal(got, body) {
		t.Fatalf("the first answer has %d bytes", len(got))
	}
	for _, kind := range "bcd" {
		if kind != 'b' {
			sendFrame(t, nc, []byte(string(kind)))
		}
		if got := readFrame(t, nc); string(got) != string(kind) {
			t.Fatalf("the answer to %c is %q", kind, got)
		}
	}
	eventually(t, "four answers are counted", func() bool { return s.Stats().Responses == 4 })
}

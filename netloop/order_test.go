package netloop

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// TestOutOfOrderAnswersLeaveInOrder answers 1,000 pipelined requests in random
// order, some by nothing.
func TestOutOfOrderAnswersLeaveInOrder(t *testing.T) {
	const total, window = 1000, 50
	type pending struct {
		f   Frame
		seq uint32
	}
	var held []pending
	seen := 0
	h := &handlerFuncs{frame: func(c Conn, f Frame) {
		held = append(held, pending{f, binary.BigEndian.Uint32(f.Buf.B)})
		seen++
		if len(held) < window && seen < total {
			return
		}
		rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for _, p := range held {
			if p.seq%7 == 3 {
				c.Skip(p.f.Slot)
			} else {
				c.Respond(p.f.Slot, echoOf(p.f))
			}
			p.f.Buf.Release()
		}
		held = held[:0]
	}}
	for _, secure := range []bool{false, true} {
		held, seen = nil, 0
		s, addr := listen(t, h, secureOption(t, secure))
		nc := dialMaybeTLS(t, addr, secure)
		go func() {
			for i := range total {
				nc.Write(frameOf(binary.BigEndian.AppendUint32(nil, uint32(i))))
			}
		}()
		for i := range uint32(total) {
			if i%7 == 3 {
				continue
			}
			if got := binary.BigEndian.Uint32(readFrame(t, nc)); got != i {
				t.Fatalf("secure=%v: answer %d came when %d was due", secure, got, i)
			}
		}
		eventually(t, "memory is given back", func() bool { return s.Stats().InFlightBytes == 0 })
		// The client may have an answer before the loop has counted it.
		eventually(t, "every frame and answer is counted", func() bool {
			st := s.Stats()
			return st.Frames == total && st.Responses > 0 && st.Requests.Count == st.Responses
		})
	}
}

// TestAnswersFromAnotherGoroutine posts each answer from outside.
func TestAnswersFromAnotherGoroutine(t *testing.T) {
	h := &handlerFuncs{frame: func(c Conn, f Frame) {
		go c.Loop().Post(taskFunc(func(*Loop) { echo(c, f) }))
	}}
	_, addr := listen(t, h, nil)
	nc := dial(t, addr)
	const total = 2000
	go func() {
		for i := range total {
			nc.Write(frameOf(binary.BigEndian.AppendUint32(nil, uint32(i))))
		}
	}()
	for i := range uint32(total) {
		if got := binary.BigEndian.Uint32(readFrame(t, nc)); got != i {
			t.Fatalf("answer %d came when %d was due", got, i)
		}
	}
}

// TestFailSendsWhatCameBefore closes on a breach only after the answers before it.
func TestFailSendsWhatCameBefore(t *testing.T) {
	why := errors.New("breach")
	for _, secure := range []bool{false, true} {
		closed := make(chan error, 1)
		var frames []Frame
		h := &handlerFuncs{
			frame: func(c Conn, f Frame) {
				frames = append(frames, f)
				if len(frames) < 4 {
					return
				}
				c.Fail(frames[2].Slot, why)
				c.Respond(frames[3].Slot, echoOf(frames[3]))
				c.Respond(frames[1].Slot, echoOf(frames[1]))
				c.Respond(frames[0].Slot, echoOf(frames[0]))
				for _, f := range frames {
					f.Buf.Release()
				}
			},
			closed: func(_ Conn, why error) { closed <- why },
		}
		s, addr := listen(t, h, secureOption(t, secure))
		nc := dialMaybeTLS(t, addr, secure)
		for _, b := range []string{"a", "b", "c", "d"} {
			sendFrame(t, nc, []byte(b))
		}
		for _, want := range []string{"a", "b"} {
			if got := string(readFrame(t, nc)); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("secure=%v: after the failed slot: %v, want the end of the stream", secure, err)
		}
		nc.Close()
		if got := <-closed; !errors.Is(got, why) {
			t.Errorf("secure=%v: Closed was told %v", secure, got)
		}
		eventually(t, "the connection is counted", func() bool { return s.Stats().Closed[ClosedByHandler] == 1 })
	}
}

func TestResponseCloseAfter(t *testing.T) {
	h := &handlerFuncs{frame: func(c Conn, f Frame) {
		r := echoOf(f)
		r.CloseAfter = errors.New("last one")
		f.Buf.Release()
		c.Respond(f.Slot, r)
	}}
	for _, secure := range []bool{false, true} {
		_, addr := listen(t, h, secureOption(t, secure))
		nc := dialMaybeTLS(t, addr, secure)
		sendFrame(t, nc, []byte("x"))
		if got := string(readFrame(t, nc)); got != "x" {
			t.Fatalf("got %q", got)
		}
		if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("secure=%v: %v, want the end of the stream", secure, err)
		}
	}
}

// TestAnswersAfterTheEnd answers slots of a connection that is gone, and then
// reuses the object: the old slots must be recognised.
func TestAnswersAfterTheEnd(t *testing.T) {
	frames := make(chan Frame, 10)
	conns := make(chan Conn, 10)
	closed := make(chan error, 10)
	h := &handlerFuncs{
		frame:  func(c Conn, f Frame) { conns <- c; frames <- f },
		closed: func(_ Conn, why error) { closed <- why },
	}
	s, addr := listen(t, h, func(o *Options) { o.Loops = 1 })
	nc := dial(t, addr)
	sendFrame(t, nc, []byte("one"))
	c, f := <-conns, <-frames
	nc.Close()
	if why := <-closed; why != nil {
		t.Errorf("an ordinary end came as %v", why)
	}
	if got := s.Stats().InFlightBytes; got != 3 {
		t.Errorf("%d bytes in flight, want those of the open slot", got)
	}
	owner := newCountingOwner()
	onLoop(s.Loops()[0], func() {
		r := echoOf(f)
		r.Cut(Range{Mem: []byte("m"), Len: 1, Owner: owner})
		c.Respond(f.Slot, r)
		f.Buf.Release()
	})
	eventually(t, "the late answer is released", func() bool { return owner.released() == 1 && s.Stats().InFlightBytes == 0 })

	nc = dial(t, addr)
	sendFrame(t, nc, []byte("two"))
	c2, f2 := <-conns, <-frames
	if c2 != c {
		t.Skip("the object was not reused")
	}
	if f2.Slot == f.Slot {
		t.Error("a slot number came again in the object's next life")
	}
	onLoop(s.Loops()[0], func() { echo(c2, f2) })
	if got := string(readFrame(t, nc)); got != "two" {
		t.Errorf("got %q", got)
	}
}

func TestPanicsEndOneConnection(t *testing.T) {
	h := &handlerFuncs{
		frame: func(c Conn, f Frame) {
			switch string(f.Buf.B) {
			case "panic":
				panic("in the handler")
			case "memory":
				var p *int
				*p = 1
			case "answered":
				c.Respond(f.Slot, echoOf(f))
				panic("after the answer")
			default:
				echo(c, f)
			}
		},
		closed: func(c Conn, why error) {
			if c.Session() == "panics when closed" {
				panic("in Closed")
			}
		},
		opened: func(c Conn) error { c.SetSession("panics when closed"); return nil },
	}
	s, addr := listen(t, h, func(o *Options) { o.Loops = 1 })
	other := dial(t, addr)
	sendFrame(t, other, []byte("hello"))
	readFrame(t, other)
	for i, body := range []string{"panic", "memory", "answered"} {
		nc := dial(t, addr)
		sendFrame(t, nc, []byte(body))
		if _, err := io.ReadAll(nc); err != nil && body != "answered" {
			t.Logf("%s: %v", body, err) // a reset is as good as an end
		}
		want := int64(i + 1)
		eventually(t, "the panic is counted", func() bool { return s.Stats().Closed[ClosedPanic] == want })
	}
	s.Loops()[0].Post(taskFunc(func(*Loop) { panic("in a task") }))
	sendFrame(t, other, []byte("still here"))
	if got := string(readFrame(t, other)); got != "still here" {
		t.Errorf("got %q", got)
	}
	if got := s.Stats().Panics; got != 7 { // three in Frame, three in Closed, one task
		t.Errorf("%d panics counted, want 7", got)
	}
	if got := s.Stats().InFlightBytes; got != 0 {
		t.Errorf("%d bytes in flight after the panics", got)
	}
}

func TestStallsAreCounted(t *testing.T) {
	s, _ := listen(t, &handlerFuncs{}, nil)
	onLoop(s.Loops()[0], func() {
		for start := time.Now(); time.Since(start) < 2*stallLimit; {
		}
	})
	eventually(t, "a stall is counted", func() bool { return s.Stats().Stalls > 0 })
}

package netloop

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ticks gives a channel that fires after n milliseconds, for what must not
// happen meanwhile.
func ticks(n int) <-chan time.Time { return time.After(time.Duration(n) * time.Millisecond) }

func mustEnd(t *testing.T, nc net.Conn) {
	t.Helper()
	if n, err := nc.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes came where the end was due", n)
	} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Fatal("the connection was not closed")
	}
}

func TestBadFrames(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s, addr := listen(t, &handlerFuncs{}, func(o *Options) { o.FrameLimit = 1000; secureOption(t, secure)(o) })
		for i, size := range []int32{1001, -1, -1 << 31, 0, 1<<31 - 1} {
			nc := dialMaybeTLS(t, addr, secure)
			sendFrame(t, nc, make([]byte, 1000))
			readFrame(t, nc)
			nc.Write(binary.BigEndian.AppendUint32(nil, uint32(size)))
			mustEnd(t, nc)
			eventually(t, "the close is counted", func() bool { return s.Stats().Closed[ClosedBadFrame] == int64(i+1) })
		}
		if got := s.Stats().InFlightBytes; got != 0 {
			t.Errorf("%d bytes in flight", got)
		}
	}
}

func TestOneBytePieces(t *testing.T) {
	_, addr := listen(t, &handlerFuncs{}, nil)
	nc := dial(t, addr)
	stream := append(frameOf([]byte("hello")), frameOf(pattern(300))...)
	go func() {
		for i := range stream {
			nc.Write(stream[i : i+1])
		}
	}()
	if got := string(readFrame(t, nc)); got != "hello" {
		t.Errorf("got %q", got)
	}
	if got := string(readFrame(t, nc)); got != string(pattern(300)) {
		t.Error("the second frame came back changed")
	}
}

func TestRawMode(t *testing.T) {
	for _, secure := range []bool{false, true} {
		raws := make(chan bool, 3)
		frames := 0
		h := &handlerFuncs{
			opened: func(c Conn) error { c.SetMaxInFlight(1); return nil },
			frame: func(c Conn, f Frame) {
				raws <- f.Raw
				frames++
				c.SetRaw(frames == 1)
				echo(c, f)
			},
		}
		_, addr := listen(t, h, secureOption(t, secure))
		nc := dialMaybeTLS(t, addr, secure)
		for _, body := range []string{"handshake", "", "after"} { // an empty token is one
			sendFrame(t, nc, []byte(body))
			if got := string(readFrame(t, nc)); got != body {
				t.Errorf("got %q, want %q", got, body)
			}
		}
		for i, want := range []bool{false, true, false} {
			if got := <-raws; got != want {
				t.Errorf("secure=%v: frame %d came with raw %v", secure, i, got)
			}
		}
	}
}

func TestConnectionLimits(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"in all": func(o *Options) { o.MaxConnections = 3 },
		"per IP": func(o *Options) { o.MaxConnectionsPerIP = 3 },
	} {
		s, addr := listen(t, &handlerFuncs{}, change)
		var open []net.Conn
		for range 3 {
			nc := dial(t, addr)
			sendFrame(t, nc, []byte("x"))
			readFrame(t, nc)
			open = append(open, nc)
		}
		mustEnd(t, dial(t, addr))
		if st := s.Stats(); st.Refused != 1 || st.Open != 3 {
			t.Errorf("%s: %d refused, %d open", name, st.Refused, st.Open)
		}
		open[0].Close()
		eventually(t, "the place is free", func() bool { return s.Stats().Open == 2 })
		nc := dial(t, addr)
		sendFrame(t, nc, []byte("x"))
		readFrame(t, nc)
	}
}

func TestAdmit(t *testing.T) {
	no := errors.New("too fast")
	var calls atomic.Int32
	s, addr := listen(t, &handlerFuncs{}, func(o *Options) {
		o.Admit = func(listener string, ip netip.Addr) (time.Duration, error) {
			if listener != "PLAINTEXT" || ip != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("asked for %s, %v", listener, ip)
			}
			switch calls.Add(1) {
			case 1:
				return 0, no
			case 2:
				return 30 * time.Millisecond, no
			case 3:
				return 30 * time.Millisecond, nil
			}
			return 0, nil
		}
	})
	mustEnd(t, dial(t, addr))
	start := time.Now()
	mustEnd(t, dial(t, addr))
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("closed after %v, before its delay", took)
	}
	for _, atLeast := range []time.Duration{30 * time.Millisecond, 0} {
		start = time.Now()
		nc := dial(t, addr)
		sendFrame(t, nc, []byte("x"))
		readFrame(t, nc)
		if took := time.Since(start); took < atLeast {
			t.Errorf("served after %v, before its delay", took)
		}
	}
	if got := s.Stats().NotAdmitted; got != 2 {
		t.Errorf("%d not admitted", got)
	}
}

func TestOpenedRefuses(t *testing.T) {
	h := &handlerFuncs{
		opened: func(Conn) error { return errors.New("no") },
		closed: func(Conn, error) { t.Error("Closed was called for a connection that was never open") },
	}
	for _, secure := range []bool{false, true} {
		s, addr := listen(t, h, secureOption(t, secure))
		nc := dialMaybeTLS(t, addr, secure)
		nc.Write([]byte("x"))
		mustEnd(t, nc)
		eventually(t, "the close is counted", func() bool { return s.Stats().Closed[ClosedRefused] == 1 && s.Stats().Open == 0 })
	}
}

// TestMaxInFlight hands over no more than the limit until answers leave.
func TestMaxInFlight(t *testing.T) {
	for _, secure := range []bool{false, true} {
		frames := make(chan Frame, 100)
		conns := make(chan Conn, 1)
		h := &handlerFuncs{
			opened: func(c Conn) error { c.SetMaxInFlight(3); conns <- c; return nil },
			frame:  func(_ Conn, f Frame) { frames <- f },
		}
		_, addr := listen(t, h, secureOption(t, secure))
		nc := dialMaybeTLS(t, addr, secure)
		go func() {
			for i := range byte(20) {
				nc.Write(frameOf([]byte{i}))
			}
		}()
		next := func() Frame {
			select {
			case f := <-frames:
				return f
			case <-time.After(10 * time.Second):
				t.Fatal("no frame came")
				return Frame{}
			}
		}
		held := []Frame{next(), next(), next()}
		c := <-conns
		for i := byte(0); i < 20; i++ {
			select {
			case <-frames:
				t.Fatalf("secure=%v: a fourth request was handed over", secure)
			case <-ticks(2):
			}
			f := held[0]
			held = held[1:]
			onLoop(c.Loop(), func() { echo(c, f) })
			if got := readFrame(t, nc); got[0] != i {
				t.Fatalf("answer %d, want %d", got[0], i)
			}
			if i < 17 {
				held = append(held, next())
			}
		}
	}
}

// TestMemoryAdmission holds requests until memory is short: bodies wait, in
// order, and a frame larger than everything is let in when it is alone.
func TestMemoryAdmission(t *testing.T) {
	for _, secure := range []bool{false, true} {
		type request struct {
			c Conn
			f Frame
		}
		requests := make(chan request, 100)
		h := &handlerFuncs{frame: func(c Conn, f Frame) { requests <- request{c, f} }}
		s, addr := listen(t, h, func(o *Options) {
			o.InFlightBytes, o.ConnInFlightBytes = 10_000, 6_000
			secureOption(t, secure)(o)
		})
		next := func() request {
			t.Helper()
			select {
			case r := <-requests:
				return r
			case <-time.After(10 * time.Second):
				t.Fatalf("secure=%v: no request came; %+v", secure, s.Stats())
				return request{}
			}
		}
		answer := func(r request) { onLoop(r.c.Loop(), func() { echo(r.c, r.f) }) }
		none := func() {
			t.Helper()
			select {
			case r := <-requests:
				t.Fatalf("secure=%v: a request of %d bytes came too early", secure, len(r.f.Buf.B))
			case <-ticks(20):
			}
		}
		one, two, three := dialMaybeTLS(t, addr, secure), dialMaybeTLS(t, addr, secure), dialMaybeTLS(t, addr, secure)

		// Per connection: 4,000 + 4,000 is over 6,000.
		go one.Write(append(frameOf(make([]byte, 4000)), frameOf(make([]byte, 4000))...))
		a := next()
		none()
		answer(a)
		readFrame(t, one)
		b := next() // 4,000 in flight
		// In all: 4,000 + 5,000 fits, 5,000 more does not, and 100 behind must wait too.
		go two.Write(frameOf(make([]byte, 5000)))
		c := next()
		go three.Write(frameOf(make([]byte, 5000)))
		eventually(t, "the third waits", func() bool { return s.Stats().InFlightWaiters == 1 })
		four := dialMaybeTLS(t, addr, secure)
		go four.Write(frameOf(make([]byte, 100)))
		eventually(t, "the fourth waits behind it", func() bool { return s.Stats().InFlightWaiters == 2 })
		none()
		answer(c)
		d := next()
		e := next()
		if len(d.f.Buf.B)+len(e.f.Buf.B) != 5100 {
			t.Error("the wrong requests were woken")
		}
		for _, r := range []request{b, d, e} {
			answer(r)
		}
		for _, nc := range []net.Conn{one, two, three, four} {
			readFrame(t, nc)
		}
		// Larger than everything, alone.
		go one.Write(frameOf(make([]byte, 50_000)))
		f := next()
		go two.Write(frameOf(make([]byte, 10)))
		none()
		answer(f)
		if got := readFrame(t, one); len(got) != 50_000 {
			t.Error("the large frame was answered wrongly")
		}
		answer(next())
		readFrame(t, two)
		eventually(t, "memory is given back", func() bool { return s.Stats().InFlightBytes == 0 })
		if s.Stats().MemoryWaits < 3 {
			t.Errorf("%d waits counted", s.Stats().MemoryWaits)
		}
	}
}

// TestClosingGivesMemoryBack closes connections in every state of reading.
func TestClosingGivesMemoryBack(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var held []Frame
		var conns []Conn
		h := &handlerFuncs{frame: func(c Conn, f Frame) { held = append(held, f); conns = append(conns, c) }}
		s, addr := listen(t, h, func(o *Options) {
			o.Loops = 1
			o.InFlightBytes, o.ConnInFlightBytes, o.MaxInFlight = 10_000, 10_000, 2
			secureOption(t, secure)(o)
		})
		holder := dialMaybeTLS(t, addr, secure)
		sendFrame(t, holder, make([]byte, 9000))
		eventually(t, "the first is in", func() bool { return s.Stats().InFlightBytes == 9000 })
		partial := dialMaybeTLS(t, addr, secure)
		partial.Write(frameOf(make([]byte, 800))[:300])
		eventually(t, "the partial frame has its memory", func() bool { return s.Stats().InFlightBytes == 9800 })
		waiting := dialMaybeTLS(t, addr, secure)
		waiting.Write(frameOf(make([]byte, 500)))
		eventually(t, "the third waits", func() bool { return s.Stats().InFlightWaiters == 1 })
		waiting.Close()
		partial.Close()
		eventually(t, "the partial frame's memory is back", func() bool { return s.Stats().InFlightBytes <= 9500 })
		holder.Close()
		eventually(t, "the holder is gone", func() bool { return s.Stats().Closed[ClosedByPeer] >= 2 })
		onLoop(s.Loops()[0], func() {
			for i, f := range held {
				echo(conns[i], f)
			}
			held = nil
		})
		eventually(t, "everything is back", func() bool {
			onLoop(s.Loops()[0], func() {
				for i, f := range held {
					echo(conns[len(conns)-len(held)+i], f)
				}
				held = nil
			})
			st := s.Stats()
			return st.InFlightBytes == 0 && st.InFlightWaiters == 0 && st.Open == 0 && st.ReadAhead == 0
		})
	}
}

func TestMute(t *testing.T) {
	for _, secure := range []bool{false, true} {
		const pause = 60 * time.Millisecond
		h := &handlerFuncs{frame: func(c Conn, f Frame) {
			c.Mute(c.Loop().Now().Add(pause))
			c.Mute(c.Loop().Now().Add(pause / 2)) // the longer one stands
			echo(c, f)
		}}
		_, addr := listen(t, h, secureOption(t, secure))
		nc := dialMaybeTLS(t, addr, secure)
		start := time.Now()
		sendFrame(t, nc, []byte("a"))
		readFrame(t, nc)
		sendFrame(t, nc, []byte("b"))
		readFrame(t, nc)
		if took := time.Since(start); took < pause && !secure {
			t.Errorf("the second request was served after %v", took)
		}
		sendFrame(t, nc, []byte("c"))
		readFrame(t, nc)
		if took := time.Since(start); took < pause {
			t.Errorf("secure=%v: the third request was served after %v", secure, took)
		}
	}
}

func TestDeadline(t *testing.T) {
	for _, secure := range []bool{false, true} {
		closed := make(chan error, 2)
		var patience atomic.Int64 // of who opens next
		patience.Store(int64(time.Hour))
		h := &handlerFuncs{
			opened: func(c Conn) error {
				wait := time.Duration(patience.Load())
				c.SetDeadline(c.Loop().Now().Add(wait))
				return nil
			},
			frame: func(c Conn, f Frame) {
				c.SetDeadline(time.Time{})
				echo(c, f)
			},
			closed: func(_ Conn, why error) { closed <- why },
		}
		s, addr := listen(t, h, secureOption(t, secure))
		good := dialMaybeTLS(t, addr, secure)
		sendFrame(t, good, []byte("authenticated"))
		readFrame(t, good)
		patience.Store(int64(50 * time.Millisecond))
		slow := dialMaybeTLS(t, addr, secure)
		slow.Write(frameOf(make([]byte, 100))[:7])
		mustEnd(t, slow)
		if why := <-closed; !errors.Is(why, ErrDeadline) {
			t.Errorf("closed by %v", why)
		}
		sendFrame(t, good, []byte("still"))
		readFrame(t, good)
		eventually(t, "the close is counted", func() bool { return s.Stats().Closed[ClosedDeadline] == 1 })
	}
}

func TestIdle(t *testing.T) {
	for _, secure := range []bool{false, true} {
		frames := make(chan Frame, 1)
		h := &handlerFuncs{frame: func(c Conn, f Frame) {
			if string(f.Buf.B) == "long poll" {
				frames <- f
				return
			}
			echo(c, f)
		}}
		var c Conn
		h.opened = func(conn Conn) error { c = conn; return nil }
		s, addr := listen(t, h, func(o *Options) { o.Loops = 1; o.IdleTimeout = 80 * time.Millisecond; secureOption(t, secure)(o) })
		nc := dialMaybeTLS(t, addr, secure)
		sendFrame(t, nc, []byte("long poll"))
		f := <-frames
		<-ticks(200) // a connection that is owed an answer is not idle
		start := time.Now()
		onLoop(s.Loops()[0], func() { echo(c, f) })
		readFrame(t, nc)
		mustEnd(t, nc)
		if took := time.Since(start); took < 40*time.Millisecond {
			t.Errorf("secure=%v: closed after %v", secure, took)
		}
		eventually(t, "the close is counted", func() bool { return s.Stats().Closed[ClosedIdle] == 1 })
	}
}

func TestCloseAfter(t *testing.T) {
	why := errors.New("wrong password")
	for _, secure := range []bool{false, true} {
		closed := make(chan error, 1)
		h := &handlerFuncs{
			frame: func(c Conn, f Frame) {
				echo(c, f)
				c.CloseAfter(50*time.Millisecond, why)
			},
			closed: func(_ Conn, why error) { closed <- why },
		}
		s, addr := listen(t, h, secureOption(t, secure))
		nc := dialMaybeTLS(t, addr, secure)
		start := time.Now()
		sendFrame(t, nc, []byte("a"))
		sendFrame(t, nc, []byte("dropped"))
		readFrame(t, nc)
		if _, err := io.ReadAll(nc); err != nil {
			t.Logf("the end came as %v", err) // unread bytes make it a reset
		}
		if took := time.Since(start); took < 50*time.Millisecond {
			t.Errorf("closed after %v", took)
		}
		if got := <-closed; got != why {
			t.Errorf("closed by %v", got)
		}
		if got := s.Stats().Frames; got > 2 || got > 1 && !secure {
			t.Errorf("%d frames handed over", got)
		}
	}
}

// TestStalledFramesAreShed lets two connections hold the memory that a third
// waits for: the one that stalls is closed, the one that gets on is not.
func TestStalledFramesAreShed(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s, addr := listen(t, &handlerFuncs{}, func(o *Options) {
			o.Loops, o.InFlightBytes, o.ConnInFlightBytes = 1, 10_000, 10_000
			secureOption(t, secure)(o)
		})
		look := func() {
			l := s.Loops()[0]
			onLoop(l, func() {
				l.Cancel(&l.sweeper.timer)
				l.sweeper.RunOnLoop(l)
			})
		}
		body := frameOf(make([]byte, 4000))
		stalls, gets := dialMaybeTLS(t, addr, secure), dialMaybeTLS(t, addr, secure)
		stalls.Write(body[:1000])
		gets.Write(body[:1000])
		eventually(t, "both have begun", func() bool { return s.Stats().InFlightBytes == 8000 })
		look()
		look() // nobody waits, but a look is a look: both are where they were
		if got := s.Stats().Closed[ClosedStalled]; got != 2 {
			t.Fatalf("secure=%v: %d connections were shed, want 2", secure, got)
		}

		stalls, gets = dialMaybeTLS(t, addr, secure), dialMaybeTLS(t, addr, secure)
		stalls.Write(body[:1000])
		gets.Write(body[:1000])
		eventually(t, "both have begun", func() bool { return s.Stats().InFlightBytes == 8000 })
		waits := dialMaybeTLS(t, addr, secure)
		sendFrame(t, waits, make([]byte, 5000))
		eventually(t, "the third waits and the loop has looked", func() bool {
			scheduled := false
			onLoop(s.Loops()[0], func() { scheduled = s.Loops()[0].sweeper.timer.set })
			return scheduled
		})
		gets.Write(body[1000:2000])
		eventually(t, "the second got on", func() bool {
			got := false
			onLoop(s.Loops()[0], func() {
				l := s.Loops()[0]
				for _, c := range l.conns {
					got = got || c != nil && c.in.filled == 1996
				}
				for k := range l.links {
					got = got || k.got.Load() == 1996
				}
			})
			return got
		})
		look()
		readFrame(t, waits)
		gets.Write(body[2000:])
		readFrame(t, gets)
		mustEnd(t, stalls)
		eventually(t, "only the stalled one was shed", func() bool { return s.Stats().Closed[ClosedStalled] == 3 })
	}
}

func TestSocketOptions(t *testing.T) {
	conns := make(chan Conn, 1)
	h := &handlerFuncs{opened: func(c Conn) error { conns <- c; return nil }}
	_, addr := listen(t, h, func(o *Options) { o.SocketReceiveBuffer = 50_000 })
	nc := dial(t, addr)
	sendFrame(t, nc, []byte("x"))
	readFrame(t, nc)
	c := <-conns
	onLoop(c.Loop(), func() {
		fd := c.(*conn).fd
		for name, opt := range map[string][3]int{
			"TCP_NODELAY":  {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			"SO_KEEPALIVE": {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			"TCP_KEEPIDLE": {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle},
			"SO_RCVBUF":    {unix.SOL_SOCKET, unix.SO_RCVBUF, 100_000}, // the kernel doubles it
		} {
			if got, err := unix.GetsockoptInt(fd, opt[0], opt[1]); err != nil || got != opt[2] {
				t.Errorf("%s is %d, %v; want %d", name, got, err, opt[2])
			}
		}
		if c.RemoteAddr() != nc.LocalAddr().(*net.TCPAddr).AddrPort() || c.LocalAddr().String() != addr || c.ID() == 0 {
			t.Errorf("the connection says %v to %v, id %d", c.RemoteAddr(), c.LocalAddr(), c.ID())
		}
	})
}

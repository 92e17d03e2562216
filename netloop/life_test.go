package netloop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func ourGoroutines() int {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	n := 0
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(g, "netloop.(*Server)") || strings.Contains(g, "netloop.(*Loop)") || strings.Contains(g, "netloop.(*tlsLink)") {
			n++
		}
	}
	return n
}

// TestNothingIsLeft starts and stops servers with connections in every state.
func TestNothingIsLeft(t *testing.T) {
	goroutines, descriptors := ourGoroutines(), openDescriptors(t)
	for round := range 20 {
		secure := round%2 == 1
		var mu sync.Mutex
		var held []Frame
		h := &handlerFuncs{frame: func(c Conn, f Frame) {
			if string(f.Buf.B) == "hold" {
				mu.Lock()
				held = append(held, f)
				mu.Unlock()
				return
			}
			echo(c, f)
		}}
		o := Options{Handler: h, Listeners: []Listener{{Name: "A", Addr: "127.0.0.1:0"}}, Loops: 2,
			Go: func(_ string, f func()) { go f() }}
		secureOption(t, secure)(&o)
		s, err := Listen(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Serve()
		addr := s.Addr("A").String()
		var conns []net.Conn
		for range 5 {
			nc := dialMaybeTLS(t, addr, secure)
			sendFrame(t, nc, []byte("x"))
			readFrame(t, nc)
			conns = append(conns, nc)
		}
		conns[0].Close()
		sendFrame(t, conns[1], []byte("hold"))
		conns[2].Write([]byte{0, 0, 1})
		conns = append(conns, dial(t, addr)) // nothing sent; under TLS a handshake that never comes
		eventually(t, "the request is held", func() bool { mu.Lock(); defer mu.Unlock(); return len(held) == 1 })
		if err := s.Shutdown(time.Now().Add(30 * time.Millisecond)); !errors.Is(err, ErrDrainTimeout) {
			t.Errorf("Shutdown with a request that nobody answers: %v", err)
		}
		if err := s.Shutdown(time.Now()); !errors.Is(err, ErrDrainTimeout) {
			t.Errorf("a second Shutdown: %v", err)
		}
		if got := s.Stats().Open; got != 0 {
			t.Errorf("%d connections open after Shutdown", got)
		}
		s.Loops()[0].Post(taskFunc(func(*Loop) { t.Error("a task ran after Shutdown") }))
		if s.Stats().TasksDropped != 1 {
			t.Error("a task after Shutdown was not counted")
		}
		for _, nc := range conns {
			nc.Close()
		}
	}
	eventually(t, "goroutines are gone", func() bool { return ourGoroutines() <= goroutines })
	eventually(t, "descriptors are closed", func() bool { return openDescriptors(t) <= descriptors })
}

// TestChurn opens and closes many connections on one server.
func TestChurn(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s, addr := listen(t, &handlerFuncs{}, secureOption(t, secure))
		descriptors, goroutines := openDescriptors(t), ourGoroutines()
		total := 1000
		if secure {
			total = 100
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range total / 4 {
					raw, err := net.Dial("tcp", addr)
					if err != nil {
						t.Error(err)
						return
					}
					nc := dialOver(raw, secure)
					deadline(t, nc)
					switch i % 4 {
					case 0:
						nc.Write(frameOf([]byte("x"))[:i%5])
					default:
						if _, err := nc.Write(frameOf([]byte("x"))); err == nil {
							tryReadFrame(nc)
						}
					}
					nc.Close()
				}
			})
		}
		wg.Wait()
		eventually(t, "all connections are gone", func() bool { return s.Stats().Open == 0 && s.Stats().Handshakes == 0 })
		eventually(t, "descriptors are closed", func() bool { return openDescriptors(t) <= descriptors })
		eventually(t, "goroutines are gone", func() bool { return ourGoroutines() <= goroutines })
		s.ipMu.Lock()
		if len(s.perIP) != 0 {
			t.Errorf("%d addresses are remembered without a connection", len(s.perIP))
		}
		s.ipMu.Unlock()
		if got := s.Stats().Accepted; got != int64(total) {
			t.Errorf("%d accepted, want %d", got, total)
		}
	}
}

// TestDrain answers what is outstanding, sends it, and only then closes; a
// connection without anything outstanding goes at once, new ones are refused.
func TestDrain(t *testing.T) {
	for _, secure := range []bool{false, true} {
		frames := make(chan Frame, 10)
		conns := make(chan Conn, 10)
		content := pattern(6 << 20)
		h := &handlerFuncs{frame: func(c Conn, f Frame) {
			if string(f.Buf.B) == "hold" {
				conns <- c
				frames <- f
				return
			}
			echo(c, f)
		}}
		s, addr := listen(t, h, secureOption(t, secure))
		idle, busy := dialMaybeTLS(t, addr, secure), dialMaybeTLS(t, addr, secure)
		sendFrame(t, idle, []byte("x"))
		readFrame(t, idle)
		sendFrame(t, busy, []byte("hold"))
		c, f := <-conns, <-frames
		done := make(chan error)
		go func() { done <- s.Shutdown(time.Now().Add(time.Minute)) }()
		mustEnd(t, idle)
		idle.Close()
		sendFrame(t, busy, []byte("too late"))
		if _, err := net.Dial("tcp", addr); err == nil {
			// The listener may have been open a moment longer; the socket is not served.
			t.Log("a connection came in before the listener closed")
		}
		select {
		case err := <-done:
			t.Fatalf("Shutdown returned %v with a request outstanding", err)
		case <-ticks(20):
		}
		c.Loop().Post(taskFunc(func(*Loop) {
			r := echoOf(f)
			f.Buf.Release()
			r.Buf.B = r.Buf.B[:0]
			r.Buf.B = append(r.Buf.B, frameOf(content)[:4]...)
			r.Cut(Range{File: memFile(content), Len: int64(len(content))})
			c.Respond(f.Slot, r)
		}))
		if got := readFrame(t, busy); string(got) != string(content) {
			t.Errorf("secure=%v: the last answer came back as %d bytes", secure, len(got))
		}
		busy.Close()
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
}

func TestStopAccepting(t *testing.T) {
	s, addr := listen(t, &handlerFuncs{}, nil)
	nc := dial(t, addr)
	sendFrame(t, nc, []byte("x"))
	readFrame(t, nc)
	s.StopAccepting()
	onLoop(s.acceptor.loop, func() {})
	if other, err := net.Dial("tcp", addr); err == nil {
		other.Close()
		t.Error("a connection came in after StopAccepting")
	}
	sendFrame(t, nc, []byte("y"))
	readFrame(t, nc)
}

func TestListenErrors(t *testing.T) {
	gofunc := func(_ string, f func()) { go f() }
	ok := []Listener{{Name: "A", Addr: "127.0.0.1:0"}}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	before := openDescriptors(t)
	for name, o := range map[string]Options{
		"no handler":   {Listeners: ok, Go: gofunc},
		"no Go":        {Listeners: ok, Handler: &handlerFuncs{}},
		"no listeners": {Handler: &handlerFuncs{}, Go: gofunc},
		"same name":    {Handler: &handlerFuncs{}, Go: gofunc, Listeners: append(ok, ok...)},
		"taken":        {Handler: &handlerFuncs{}, Go: gofunc, Listeners: append(ok[:1:1], Listener{Name: "B", Addr: taken.Addr().String()})},
		"nonsense":     {Handler: &handlerFuncs{}, Go: gofunc, Listeners: []Listener{{Name: "A", Addr: "nowhere"}}},
	} {
		if s, err := Listen(o); err == nil {
			t.Errorf("%s: no error", name)
			_ = s.Shutdown(time.Now()) // the test has failed already
		} else {
			t.Log(err)
		}
	}
	eventually(t, "every descriptor is closed", func() bool { return openDescriptors(t) <= before })
}

const floodVariable = "NETLOOP_TEST_FLOOD"

// TestOutOfDescriptors floods a server whose process may open few descriptors:
// it must serve those it has, go on accepting when some are free, and not spin.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv(floodVariable) != "" {
		flooded(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.v")
	cmd.Env = append(os.Environ(), floodVariable+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	for addr == "" {
		var line string
		if _, err := fmt.Fscanln(stdout, &line); errors.Is(err, io.EOF) {
			t.Fatal("the flooded process said nothing")
		}
		addr, _ = strings.CutPrefix(line, "listening:")
		if addr == line {
			addr = ""
		}
	}
	// More than the process can open; the kernel holds the rest in its backlog.
	var conns []net.Conn
	for range 150 {
		conns = append(conns, dial(t, addr))
	}
	sendFrame(t, conns[0], []byte("served"))
	readFrame(t, conns[0])
	for _, nc := range conns[1:] {
		nc.Close()
	}
	last := dial(t, addr)
	sendFrame(t, last, []byte("served again"))
	if got := string(readFrame(t, last)); got != "served again" {
		t.Errorf("got %q", got)
	}
	stdin.Close()
	out, err := io.ReadAll(stdout)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// flooded is the process with few descriptors; it ends with its standard input.
func flooded(t *testing.T) {
	s, addr := listen(t, &handlerFuncs{}, nil)
	limit := unix.Rlimit{Cur: 64, Max: 64}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\nlistening:%s\n", addr)
	if _, err := io.ReadAll(os.Stdin); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.AcceptPauses == 0 || st.AcceptPauses > 1000 {
		t.Errorf("accepting paused %d times", st.AcceptPauses)
	}
	if st.Accepted < 100 {
		t.Errorf("only %d accepted", st.Accepted)
	}
}

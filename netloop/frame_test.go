package netloop

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// offline is a loop that nobody runs: the test is its goroutine and drives it
// event by event, over one end of a socket pair.
type offline struct {
	l    *Loop
	c    *conn
	fd   int
	peer int
}

func newOffline(t testing.TB, h Handler, change func(*Options)) *offline {
	t.Helper()
	o := Options{Handler: h, Listeners: []Listener{{Name: "A"}}, Go: func(_ string, f func()) { go f() }}
	if change != nil {
		change(&o)
	}
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	s := newServer(o)
	l, err := newLoop(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.scratch = make([]byte, scratchBytes)
	s.loops = []*Loop{l}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	off := &offline{l: l, fd: pair[0], peer: pair[1]}
	s.open.Add(1)
	l.adopt(&arrival{fd: pair[0], ln: &listener{name: "A"}, loop: l})
	off.c = l.conns[pair[0]]
	for !l.settle() {
	}
	t.Cleanup(func() {
		if !off.closed() {
			off.c.close(ClosedShutdown, nil)
		}
		for !l.settle() {
		}
		if err := l.release(); err != nil {
			t.Error(err)
		}
		if err := unix.Close(off.peer); err != nil {
			t.Error(err)
		}
	})
	return off
}

// closed says whether the connection is gone; its object may live on.
func (o *offline) closed() bool { return o.l.conns[o.fd] == nil }

// turn lets the loop see the connection as readable.
func (o *offline) turn() { o.l.turn(o.c.fd, unix.EPOLLIN) }

// unread is how much the connection has not taken from its socket.
func (o *offline) unread(t testing.TB) int {
	n, err := unix.IoctlGetInt(o.fd, unix.SIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (o *offline) write(t testing.TB, b []byte) {
	if n, err := unix.Write(o.peer, b); err != nil || n != len(b) {
		t.Fatal(n, err)
	}
}

// FuzzFrames cuts any stream into any pieces: the frames handed over are those
// that a plain reading of the stream gives, up to the first bad length.
func FuzzFrames(f *testing.F) {
	f.Add(append(frameOf([]byte("a")), frameOf([]byte("bcd"))...), []byte{1, 2, 3}, uint8(2), false)
	f.Add([]byte{0, 0, 0, 0}, []byte{4}, uint8(1), true)
	f.Add([]byte{255, 255, 255, 255, 0}, []byte{}, uint8(1), false)
	f.Add(append(frameOf(make([]byte, 5000)), 0, 0, 16), []byte{200, 7}, uint8(3), false)
	f.Fuzz(func(t *testing.T, stream, cuts []byte, inFlight uint8, raw bool) {
		const limit = 6000
		if len(stream) > 60_000 {
			return
		}
		var want [][]byte
		bad := false
		for b := stream; len(b) >= 4; {
			n := int(int32(binary.BigEndian.Uint32(b)))
			if bad = n < 0 || n > limit || n == 0 && !raw; bad || len(b) < 4+n {
				break
			}
			want = append(want, b[4:4+n])
			b = b[4+n:]
		}
		var got [][]byte
		h := &handlerFuncs{frame: func(c Conn, f Frame) {
			got = append(got, bytes.Clone(f.Buf.B))
			f.Buf.Release()
			c.Skip(f.Slot)
		}}
		o := newOffline(t, h, func(o *Options) {
			o.FrameLimit, o.MaxInFlight, o.InFlightBytes = limit, int(inFlight)+1, 8000
		})
		o.c.SetRaw(raw)
		for i := 0; len(stream) > 0 && !o.closed(); i++ {
			n := len(stream)
			if i < len(cuts) {
				n = min(n, int(cuts[i])+1)
			}
			o.write(t, stream[:n])
			stream = stream[n:]
			for turns := 0; !o.closed() && o.unread(t) > 0; turns++ { // each reads what it may
				if turns > 100 {
					t.Fatal("the connection does not read what is there")
				}
				o.turn()
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d frames came, want %d", len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("frame %d differs", i)
			}
		}
		if bad != o.closed() {
			t.Fatalf("closed is %v, want %v", o.closed(), bad)
		}
	})
}

// TestNoAllocations holds a request from the socket to the socket at none.
func TestNoAllocations(t *testing.T) {
	content := pattern(1 << 20)
	file := File(tempFile(t, content))
	answers := map[string]func(c Conn, f Frame){
		"bytes": echo,
		"a range by writev": func(c Conn, f Frame) {
			r := echoOf(f)
			f.Buf.Release()
			r.Cut(Range{File: file, Len: 1000, Mem: content[:1000], Hot: true})
			c.Respond(f.Slot, r)
		},
		"a range that is probed": func(c Conn, f Frame) {
			r := echoOf(f)
			f.Buf.Release()
			r.Cut(Range{File: file, Len: 1000})
			c.Respond(f.Slot, r)
		},
		"a range by sendfile": func(c Conn, f Frame) {
			r := echoOf(f)
			f.Buf.Release()
			r.Cut(Range{File: file, Len: 20_000})
			c.Respond(f.Slot, r)
		},
		"nothing": func(c Conn, f Frame) {
			f.Buf.Release()
			c.Skip(f.Slot)
		},
	}
	request := append(frameOf(pattern(700)), frameOf(pattern(30))...)
	sink := make([]byte, 256<<10)
	for name, answer := range answers {
		o := newOffline(t, &handlerFuncs{frame: answer}, nil)
		before := o.l.stats.frames.Load()
		got := testing.AllocsPerRun(2000, func() {
			o.write(t, request)
			o.turn()
			for {
				if n, err := unix.Read(o.peer, sink); n <= 0 || err != nil {
					break
				}
			}
		})
		if o.l.stats.frames.Load()-before != 2*2001 {
			t.Errorf("%s: %d frames were served", name, o.l.stats.frames.Load()-before)
		}
		if got != 0 && !raceEnabled && !invariants {
			t.Errorf("%s: %v allocations per turn of two requests", name, got)
		}
	}
}

// TestNoAllocationsForTasksAndTimers holds what a commit group and a long poll cost at none.
func TestNoAllocationsForTasksAndTimers(t *testing.T) {
	o := newOffline(t, &handlerFuncs{}, nil)
	task := &countTask{}
	tm := &Timer{Fire: func(now time.Time) {}}
	got := testing.AllocsPerRun(2000, func() {
		o.l.Post(task)
		o.l.Schedule(tm, o.l.Now().Add(time.Hour))
		o.l.turn(o.l.wakeFD, unix.EPOLLIN)
		o.l.Cancel(tm)
	})
	if got != 0 || task.n != 2001 {
		t.Errorf("%v allocations, %d tasks", got, task.n)
	}
}

type countTask struct{ n int }

func (c *countTask) RunOnLoop(*Loop) { c.n++ }

// TestGrantAfterTheEnd grants memory to a connection, which closes before its
// loop hears of it: the memory goes back.
func TestGrantAfterTheEnd(t *testing.T) {
	o := newOffline(t, &handlerFuncs{}, func(o *Options) { o.InFlightBytes = 1000 })
	b := &o.l.srv.budget
	if !b.take(&claim{}, 900) {
		t.Fatal("an empty budget refused")
	}
	o.write(t, frameOf(make([]byte, 500)))
	o.turn()
	if b.waiting.Load() != 1 {
		t.Fatal("the connection does not wait")
	}
	b.give(900)
	if got := b.used.Load(); got != 500 {
		t.Fatalf("%d bytes taken by the grant", got)
	}
	o.c.Close(nil)
	for range 2 {
		o.l.turn(o.l.wakeFD, unix.EPOLLIN)
	}
	if used, pinned := b.used.Load(), o.l.pinned; used != 0 || pinned != 0 {
		t.Errorf("%d bytes and %d pins are left", used, pinned)
	}
}

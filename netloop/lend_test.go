package netloop

import (
	"sync"
	"sync/atomic"
	"testing"
)

// errand is an Errand of a function.
type errand struct{ run func() }

func (e *errand) Run() { e.run() }

// TestErrandRunsAfterTheBatch: an errand runs once, however often a turn asks for
// it, on the loop's own time: what it posts is done before the loop sleeps.
func TestErrandRunsAfterTheBatch(t *testing.T) {
	s, _ := listen(t, &handlerFuncs{}, func(o *Options) { o.Loops = 1 })
	l := s.Loops()[0]
	var runs atomic.Int64
	done := make(chan bool)
	e := &errand{}
	var order []string
	e.run = func() {
		runs.Add(1)
		l.Post(taskFunc(func(*Loop) { order = append(order, "posted by the errand"); done <- true }))
	}
	for range 100 {
		order = nil
		l.Post(taskFunc(func(*Loop) {
			l.Lend(e)
			l.Lend(e)
			order = append(order, "turn")
		}))
		<-done
	}
	if n := runs.Load(); n != 100 {
		t.Errorf("100 turns that each asked twice ran the errand %d times", n)
	}
	if len(order) != 2 || order[0] != "turn" {
		t.Errorf("the order was %q", order)
	}
	if n := s.Stats().HandOvers; n != 0 {
		t.Errorf("%d loops were handed over", n)
	}
}

// TestAwakeLoopIsNotWoken: what an errand of a loop posts to that loop, whose
// sleep a connection has ended, writes no eventfd, and is done all the same.
func TestAwakeLoopIsNotWoken(t *testing.T) {
	h := &handlerFuncs{frame: func(c Conn, f Frame) {
		l := c.Loop()
		l.Lend(&errand{func() {
			l.box.mu.Lock()
			armed := l.box.armed
			l.box.mu.Unlock()
			if armed {
				t.Error("a post of the loop's own errand would wake the loop")
			}
			l.Post(taskFunc(func(*Loop) {
				c.Respond(f.Slot, echoOf(f))
				f.Buf.Release()
			}))
		}})
	}}
	_, addr := listen(t, h, func(o *Options) { o.Loops = 1 })
	nc := dial(t, addr)
	for range 100 {
		sendFrame(t, nc, []byte("x"))
		if got := readFrame(t, nc); string(got) != "x" {
			t.Fatalf("the answer was %q", got)
		}
	}
}

// TestHandOver: while an errand waits, another goroutine serves the loop's
// connections; what the errand posts at its end reaches them; and the loop can be
// lent again while the first errand still runs, each time to one goroutine only.
func TestHandOver(t *testing.T) {
	const stuck = 20
	gates := make(chan chan struct{}, stuck)
	var running atomic.Int64
	var answer sync.WaitGroup
	h := &handlerFuncs{frame: func(c Conn, f Frame) {
		if f.Buf.B[0] != 's' {
			c.Respond(f.Slot, echoOf(f))
			f.Buf.Release()
			return
		}
		answer.Add(1)
		l := c.Loop()
		l.Lend(&errand{func() {
			gate := make(chan struct{})
			gates <- gate
			<-gate
			l.Post(taskFunc(func(*Loop) {
				if running.Add(1) > 1 {
					t.Error("two goroutines run one loop")
				}
				defer running.Add(-1)
				c.Respond(f.Slot, echoOf(f))
				f.Buf.Release()
				answer.Done()
			}))
		}})
	}}
	var ended atomic.Int64 // goroutines of the server
	s, addr := listen(t, h, func(o *Options) {
		o.Loops = 1
		o.Go = func(_ string, f func()) {
			go func() {
				defer ended.Add(1)
				f()
			}()
		}
	})
	l := s.Loops()[0]
	other := dial(t, addr)
	var last chan struct{}
	for i := range int64(stuck) {
		nc := dial(t, addr)
		defer nc.Close()
		if _, err := nc.Write(frameOf([]byte("stuck"))); err != nil {
			t.Fatal(err)
		}
		gate := <-gates
		if last != nil {
			// The goroutine before comes back to a loop that is lent again, by another.
			close(last)
			eventually(t, "the goroutine whose loop went on has ended", func() bool { return ended.Load() == i })
		}
		last = gate
		l.HandOver()
		l.HandOver() // nobody has lent it now
		if _, err := other.Write(frameOf([]byte("echo"))); err != nil {
			t.Fatal(err)
		}
		if got := string(readFrame(t, other)); got != "echo" {
			t.Fatalf("beside a stuck errand the loop answered %q", got)
		}
		defer func() {
			if got := string(readFrame(t, nc)); got != "stuck" {
				t.Errorf("a stuck request was answered %q", got)
			}
		}()
	}
	close(last)
	answer.Wait()
	if n := s.Stats().HandOvers; n != stuck {
		t.Errorf("%d of %d stuck errands had their loop handed over", n, stuck)
	}
}

// TestErrandPanics: the loop goes on.
func TestErrandPanics(t *testing.T) {
	s, addr := listen(t, &handlerFuncs{frame: func(c Conn, f Frame) {
		c.Loop().Lend(&errand{func() { panic("an errand's") }})
		c.Respond(f.Slot, echoOf(f))
		f.Buf.Release()
	}}, func(o *Options) { o.Loops = 1 })
	nc := dial(t, addr)
	for range 3 {
		if _, err := nc.Write(frameOf([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		readFrame(t, nc)
	}
	eventually(t, "three panics are counted", func() bool { return s.Stats().Panics == 3 })
}

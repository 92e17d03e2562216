package netloop

import (
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWheelModel holds the wheel against a sorted list: the same timers fire in
// the same tick, none early, none late, and next never points beyond one.
func TestWheelModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var w wheel
		timers := make([]*Timer, 40)
		for i := range timers {
			timers[i] = &Timer{}
		}
		due := map[*Timer]int64{}
		now := int64(0)
		distance := rapid.OneOf(
			rapid.Int64Range(-5, 300),
			rapid.Int64Range(0, 1<<15),
			rapid.Int64Range(0, 1<<21),
			rapid.Int64Range(0, 1<<28))
		rt.Repeat(map[string]func(*rapid.T){
			"schedule": func(rt *rapid.T) {
				tm := rapid.SampledFrom(timers).Draw(rt, "timer")
				at := now + distance.Draw(rt, "distance")
				w.schedule(tm, at)
				due[tm] = max(at, now+1)
			},
			"cancel": func(rt *rapid.T) {
				tm := rapid.SampledFrom(timers).Draw(rt, "timer")
				_, was := due[tm]
				if got := w.cancel(tm); got != was {
					rt.Fatalf("cancel says %v, want %v", got, was)
				}
				delete(due, tm)
			},
			"advance": func(rt *rapid.T) {
				target := now + max(distance.Draw(rt, "step"), 0)
				if rapid.Bool().Draw(rt, "to next") {
					if n := w.next(); n != never {
						target = n
					}
				}
				var want, got []int64
				for tm, at := range due {
					if at <= target {
						want = append(want, at)
						_ = tm // the model only needs when
					}
				}
				sort.Slice(want, func(i, j int) bool { return want[i] < want[j] })
				for tm := w.pop(target); tm != nil; tm = w.pop(target) {
					at, ok := due[tm]
					if !ok {
						rt.Fatal("a timer fired that was not set")
					}
					if w.cur != at {
						rt.Fatalf("a timer due at %d came at %d", at, w.cur)
					}
					got = append(got, at)
					delete(due, tm)
				}
				if len(got) != len(want) {
					rt.Fatalf("%d timers fired by %d, want %d", len(got), target, len(want))
				}
				for i := range got {
					if got[i] != want[i] {
						rt.Fatalf("fired %v, want %v", got, want)
					}
				}
				now = target
			},
			"": func(rt *rapid.T) {
				if w.count != len(due) {
					rt.Fatalf("the wheel holds %d timers, want %d", w.count, len(due))
				}
				first := int64(never)
				for _, at := range due {
					first = min(first, at)
				}
				n := w.next()
				if n > first || (first == never) != (n == never) || n <= now {
					rt.Fatalf("next is %d at %d, the first timer is due at %d", n, now, first)
				}
			},
		})
	})
}

// TestWheelFarTimersWakeSeldom keeps a loop with many idle timeouts asleep.
func TestWheelFarTimersWakeSeldom(t *testing.T) {
	var w wheel
	timers := make([]Timer, 10_000)
	for i := range timers {
		w.schedule(&timers[i], int64(10*time.Minute/time.Millisecond)+int64(i))
	}
	wakes := 0
	for w.next() < 590_000 {
		n := w.next()
		if w.pop(n) != nil {
			t.Fatal("a timer fired early")
		}
		wakes++
	}
	if wakes > 60 {
		t.Errorf("%d wakes in 590 s with nothing due", wakes)
	}
}

func TestTimersOnALoop(t *testing.T) {
	s, _ := listen(t, &handlerFuncs{}, nil)
	type firing struct{ at, now time.Time }
	fired := make(chan firing, 10)
	cancelled := make(chan bool, 1)
	l := s.Loops()[0]
	start := time.Now()
	l.Post(taskFunc(func(l *Loop) {
		for _, d := range []time.Duration{30, 5, 0, 12} {
			at := start.Add(d * time.Millisecond)
			tm := &Timer{}
			tm.Fire = func(now time.Time) { fired <- firing{at, now} }
			l.Schedule(tm, at)
		}
		gone := &Timer{Fire: func(time.Time) { t.Error("a cancelled timer fired") }}
		l.Schedule(gone, start.Add(8*time.Millisecond))
		cancelled <- l.Cancel(gone) && !l.Cancel(gone)
	}))
	if !<-cancelled {
		t.Error("Cancel does not say whether the timer was set")
	}
	last := time.Time{}
	for range 4 {
		f := <-fired
		if f.now.Before(f.at) {
			t.Errorf("a timer fired %v early", f.at.Sub(f.now))
		}
		if f.at.Before(last) {
			t.Error("timers fired out of order")
		}
		last = f.at
	}
}

func TestMailboxKeepsOrderAndNeverLosesAWake(t *testing.T) {
	s, _ := listen(t, &handlerFuncs{}, nil)
	l := s.Loops()[1]
	const posters, each = 8, 5_000
	next := [posters]int{}
	done := make(chan struct{})
	total := 0
	for p := range posters {
		go func() {
			for i := range each {
				l.Post(taskFunc(func(on *Loop) {
					if on != l {
						t.Error("a task ran on another loop")
					}
					if next[p] != i {
						t.Errorf("poster %d: task %d came when %d was due", p, i, next[p])
					}
					next[p]++
					if total++; total == posters*each {
						close(done)
					}
				}))
			}
		}()
	}
	<-done
	if s.Stats().MailboxPeak == 0 {
		t.Error("the mailbox's high-water mark was not kept")
	}
}

func TestBudgetModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := budget{limit: 100}
		var held []int64
		var queue []*claim // the model's queue
		var granted []*claim
		used := int64(0)
		serve := func() {
			for len(queue) > 0 && (used == 0 || used+min(queue[0].n, 75) <= 100) {
				used += queue[0].n
				granted = append(granted, queue[0])
				queue = queue[1:]
			}
		}
		got := 0
		rt.Repeat(map[string]func(*rapid.T){
			"take": func(rt *rapid.T) {
				n := rapid.Int64Range(1, 150).Draw(rt, "n")
				c := &claim{n: n}
				c.granted = func() {
					if got >= len(granted) {
						got++ // checked below: the model serves after the call
						return
					}
					got++
				}
				want := len(queue) == 0 && (used == 0 || used+min(n, 75) <= 100)
				if ok := b.take(c, n); ok != want {
					rt.Fatalf("take(%d) says %v with %d of 100 used and %d waiting", n, ok, used, len(queue))
				}
				if want {
					used += n
					held = append(held, n)
				} else {
					queue = append(queue, c)
				}
			},
			"give": func(rt *rapid.T) {
				if len(held) == 0 {
					return
				}
				i := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
				n := held[i]
				held = append(held[:i], held[i+1:]...)
				used -= n
				before := len(granted)
				serve()
				b.give(n)
				for _, c := range granted[before:] {
					held = append(held, c.n)
				}
			},
			"withdraw": func(rt *rapid.T) {
				if len(queue) == 0 {
					return
				}
				i := rapid.IntRange(0, len(queue)-1).Draw(rt, "which")
				c := queue[i]
				queue = append(queue[:i:i], queue[i+1:]...)
				before := len(granted)
				serve()
				if !b.withdraw(c) {
					rt.Fatal("a claim that waits could not be withdrawn")
				}
				for _, c := range granted[before:] {
					held = append(held, c.n)
				}
			},
			"": func(rt *rapid.T) {
				if b.used.Load() != used || b.waiting.Load() != int64(len(queue)) || got != len(granted) {
					rt.Fatalf("used %d, waiting %d, granted %d; want %d, %d, %d",
						b.used.Load(), b.waiting.Load(), got, used, len(queue), len(granted))
				}
			},
		})
	})
}

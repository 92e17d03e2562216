package group

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// committing is a goroutine that leads the store when it is asked to, as an
// event loop does.
type committing struct {
	store *logstore.Store
	ask   chan struct{}
	leads atomic.Int64
}

func newCommitting(t *testing.T, d *disk) *committing {
	l := &committing{store: d.store, ask: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range l.ask {
			l.store.Lead(l)
		}
	})
	t.Cleanup(func() { close(l.ask); wg.Wait() })
	return l
}

func (l *committing) LeadIsLate() {}

func (l *committing) LeadAgain() {
	select {
	case l.ask <- struct{}{}:
	default:
	}
}

func (l *committing) lead() {
	l.leads.Add(1)
	l.LeadAgain()
}

// idleCounter is a counter that serves and owes nothing.
func idleCounter(t *testing.T, d *disk) *counter {
	t.Helper()
	c := newCounter(d)
	if _, err := c.value(); err != nil {
		t.Fatal(err)
	}
	for { // the goroutine may not have gone to sleep yet
		if c.shard.own.TryLock() {
			idle := c.shard.idle() && len(c.shard.flying) == 0
			c.shard.own.Unlock()
			if idle {
				return c
			}
		}
	}
}

// openHere opens a disk with an idle counter, and who commits what it appends.
func openHere(t *testing.T, fs *vfs.Mem) (*disk, *counter, *committing) {
	t.Helper()
	d := openDisk(t, fs, 1, nil)
	l := newCommitting(t, d)
	t.Cleanup(func() { d.close() })
	c := idleCounter(t, d)
	t.Cleanup(func() { c.shard.Close() })
	return d, c, l
}

// addHere is an operation of DoHere; done gets its answer.
func (c *counter) addHere(n int64, lead func(), done func(error)) error {
	return c.shard.DoHere(func(time.Time) error {
		c.sum += n
		c.shard.Out.Write([]byte("k"), number(n))
		c.shard.Out.Answer(done)
		return nil
	}, done, lead)
}

// answerWithin is longer than any answer takes on a loaded machine.
const answerWithin = 10 * time.Second

var errNoAnswer = errors.New("no answer came: nobody was told to commit what was appended")

// answered waits for an operation's answer, which never comes when DoHere has told
// nobody to lead.
func answered(from <-chan error) error {
	select {
	case err := <-from:
		return err
	case <-time.After(answerWithin):
		return errNoAnswer
	}
}

// TestShardHere: an idle shard runs an operation on its caller's goroutine; the
// answer comes from the commit and not before it.
func TestShardHere(t *testing.T) {
	fs := vfs.NewMem()
	_, c, l := openHere(t, fs)
	var told, early atomic.Bool
	sum, led := int64(0), false
	for began := time.Now(); !led; { // once the goroutine sleeps
		if time.Since(began) > answerWithin {
			t.Fatal("no operation has run on its caller's goroutine, or none of those told it to lead")
		}
		sum += 5
		told.Store(false)
		fs.Inject(vfs.Fault{Op: vfs.OpSync, Hook: func() { early.Store(told.Load()) }})
		done := make(chan error, 1)
		ran := false
		err := c.shard.DoHere(func(time.Time) error {
			ran = true
			c.sum += 5
			c.shard.Out.Write([]byte("k"), number(5))
			c.shard.Out.Answer(func(err error) { told.Store(true); done <- err })
			return nil
		}, nil, func() { led = true })
		if led && !ran { // the race detector sees it when it runs elsewhere
			t.Fatal("told to lead what has not run")
		}
		if led {
			l.lead()
		}
		if err == nil {
			err = answered(done)
		}
		if err != nil || early.Load() {
			t.Fatalf("answered %v, before the sync %v", err, early.Load())
		}
	}
	if got, err := c.value(); err != nil || got != sum {
		t.Fatalf("%d %v, want %d", got, err, sum)
	}
	// What waits in the mailbox comes first.
	c.shard.own.Lock()
	err := c.shard.Do(func(time.Time) error { return nil }, nil)
	idle := c.shard.idle()
	c.shard.own.Unlock()
	if err != nil || idle {
		t.Fatalf("idle %v with an operation in the mailbox (%v)", idle, err)
	}
}

// TestShardHereKeepsOrder: what waits in the mailbox runs first, and a read
// waits for the append that DoHere made before it.
func TestShardHereKeepsOrder(t *testing.T) {
	fs := vfs.NewMem()
	_, c, l := openHere(t, fs)
	held, hold := make(chan struct{}), make(chan struct{})
	var order []string // the owner's
	post := func(name string, wait bool) {
		if err := c.shard.Do(func(time.Time) error {
			if wait {
				close(held)
				<-hold
			}
			order = append(order, name)
			return nil
		}, nil); err != nil {
			t.Fatal(err)
		}
	}
	post("first", true)
	<-held
	post("second", false)
	done := make(chan error, 1)
	if err := c.shard.DoHere(func(time.Time) error {
		order = append(order, "here")
		c.sum++
		c.shard.Out.Write([]byte("k"), number(1))
		c.shard.Out.Answer(func(err error) { done <- err })
		return nil
	}, nil, l.lead); err != nil {
		t.Fatal(err)
	}
	close(hold)
	if err := answered(done); err != nil || len(order) != 3 || order[2] != "here" || l.leads.Load() != 0 {
		t.Fatalf("%v, order %v, led %d times", err, order, l.leads.Load())
	}

	// A read that finds the shard idle, while a sync is under way.
	syncing, release := make(chan struct{}), make(chan struct{})
	fs.Inject(vfs.Fault{Op: vfs.OpSync, Hook: func() { close(syncing); <-release }})
	for c.addHere(10, l.lead, func(err error) { done <- err }) != nil {
	}
	<-syncing
	read := make(chan int64, 1)
	if err := c.shard.DoHere(func(time.Time) error {
		v := c.sum
		c.shard.Out.Answer(func(error) { read <- v })
		return nil
	}, nil, l.lead); err != nil {
		t.Fatal(err)
	}
	select {
	case v := <-read:
		t.Fatalf("%d was told before it was durable", v)
	default:
	}
	close(release)
	if err := answered(done); err != nil {
		t.Fatal(err)
	}
	if v := <-read; v != 11 {
		t.Fatalf("read %d", v)
	}
}

// TestShardHereAndThere mixes both ways over lives that end in a crash.
func TestShardHereAndThere(t *testing.T) {
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(5, 6))
	var sum, leads int64
	for life := range 4 {
		d := openDisk(t, fs, 1, func(o *logstore.Options) {
			if life == 2 {
				o.QueueBytes = 1024 // the store is often busy
			}
		})
		c := newCounter(d)
		if got, err := c.value(); err != nil || got != sum {
			t.Fatalf("life %d begins with %d (%v), want %d", life, got, err, sum)
		}
		l := newCommitting(t, d)
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 100 {
					var err error
					if (worker+i)%3 == 0 {
						err = c.add(1)
					} else {
						done := make(chan error, 1)
						if err = c.addHere(1, l.lead, func(err error) { done <- err }); err == nil {
							err = answered(done)
						}
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		sum += 800
		leads += l.leads.Load()
		after := fs.Crash(rng, vfs.CrashOptions{})
		c.shard.Close()
		d.close()
		fs = after
	}
	if leads == 0 {
		t.Error("nothing ran on its caller's goroutine")
	}
}

// TestShardHerePanics: an operation, or an answer, that panics on somebody
// else's goroutine does not end that; the shard reads its log again.
func TestShardHerePanics(t *testing.T) {
	for _, where := range []string{"operation", "answer"} {
		t.Run(where, func(t *testing.T) {
			d, c, l := openHere(t, vfs.NewMem())
			want, told := int64(5), make(chan error, 2)
			if err := c.add(5); err != nil {
				t.Fatal(err)
			}
			for !c.shard.own.TryLock() { // let the goroutine go to sleep
			}
			c.shard.own.Unlock()
			err := c.shard.DoHere(func(time.Time) error {
				c.sum += 1000 // half done
				if where == "operation" {
					panic("boom")
				}
				c.shard.Out.Write([]byte("k"), number(1000))
				c.shard.Out.Answer(func(error) { panic("boom") })
				c.shard.Out.Answer(func(err error) { told <- err })
				return nil
			}, func(err error) { told <- err }, l.lead)
			if err != nil {
				t.Fatal(err)
			}
			if err := answered(told); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("told %v", err)
			}
			if where == "answer" {
				want += 1000 // it was durable
			}
			if got, err := c.value(); err != nil || got != want {
				t.Fatalf("after the panic: %d %v, want %d", got, err, want)
			}
			if d.panics.Load() != 1 || c.lost == 0 {
				t.Fatalf("%d panics were seen, the state was lost %d times", d.panics.Load(), c.lost)
			}
		})
	}
}

// TestShardHereLosesItsLog: neither an append nor a sync that fails is answered
// as done.
func TestShardHereLosesItsLog(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
		t.Run(op.String(), func(t *testing.T) {
			fs := vfs.NewMem()
			_, c, l := openHere(t, fs)
			fs.Inject(vfs.Fault{Op: op, Times: -1, Err: errors.New("the disk is gone")})
			told := make(chan error, 1)
			if err := c.addHere(6, l.lead, func(err error) { told <- err }); err != nil {
				t.Fatal(err)
			}
			if err := answered(told); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("told %v", err)
			}
		})
	}
}

// TestShardHereTriesAgain: an operation that the log is too busy for is run
// again by the goroutine.
func TestShardHereTriesAgain(t *testing.T) {
	_, c, l := openHere(t, vfs.NewMem())
	runs, told := 0, make(chan error, 1)
	if err := c.shard.DoHere(func(time.Time) error {
		if runs++; runs < 3 {
			return logstore.ErrBusy
		}
		c.shard.Out.Answer(func(err error) { told <- err })
		return nil
	}, nil, l.lead); err != nil {
		t.Fatal(err)
	}
	if err := answered(told); err != nil || runs != 3 {
		t.Fatalf("%d runs, %v", runs, err)
	}
}

// TestShardHereDeadlines: a deadline that DoHere brings nearer than the
// goroutine sleeps is met.
func TestShardHereDeadlines(t *testing.T) {
	_, c, l := openHere(t, vfs.NewMem())
	fired, here := make(chan time.Time, 1), make(chan struct{}, 1)
	due := time.Now().Add(20 * time.Millisecond)
	if err := c.shard.DoHere(func(now time.Time) error {
		c.shard.Deadlines.Set(&Deadline{Fire: func(now time.Time) { fired <- now }}, due)
		here <- struct{}{}
		return nil
	}, nil, l.lead); err != nil {
		t.Fatal(err)
	}
	<-here
	if at := <-fired; at.Before(due) {
		t.Fatalf("fired %v early", due.Sub(at))
	}
}

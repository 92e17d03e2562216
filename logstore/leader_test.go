package logstore

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// eventLoop is a Leader that runs as a loop of the broker's does: what it is asked
// happens on its own goroutine, one thing after the other, and when its lead is
// late it goes on with another one.
type eventLoop struct {
	s    *Store
	wg   *sync.WaitGroup
	mu   sync.Mutex
	late int // mu
	asks int // mu
}

func (e *eventLoop) LeadAgain() {
	e.mu.Lock()
	e.asks++
	e.mu.Unlock()
	e.wg.Go(func() { e.s.Lead(e) })
}

func (e *eventLoop) LeadIsLate() {
	e.mu.Lock()
	e.late++
	e.mu.Unlock()
}

func (e *eventLoop) told() (asks, late int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asks, e.late
}

func ledAppend(t *testing.T, l *Log, text string, done Token) {
	t.Helper()
	if _, err := l.Append(&Append{Batches: makeBatch(text, 1, nobody, testNow), Token: done, Now: testNow, Guard: Unguarded, Led: true}); err != nil {
		t.Fatal(err)
	}
}

// TestLead: who appends with Led commits by itself, and is done when Lead returns;
// until then nobody does it for him.
func TestLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStage(t, nil)
		l := r.log(stageSpec("t", nil))
		r.ready()
		defer r.close()
		loop := &eventLoop{s: r.store, wg: new(sync.WaitGroup)}
		for i := range 100 {
			done := make(chan error, 1)
			ledAppend(t, l, fmt.Sprint(i), done)
			if i%10 == 0 {
				synctest.Wait() // the committer's goroutine has had its chance
			}
			if hw := l.Offsets().HighWatermark; hw != int64(i) {
				t.Fatalf("before Lead the high watermark is %d of %d", hw, i)
			}
			r.store.Lead(loop)
			select {
			case err := <-done:
				r.must(err)
			default:
				t.Fatalf("append %d was not done when Lead returned", i)
			}
		}
		if st := r.store.Stats(); st.Led != 100 || st.Syncs < 100 {
			t.Errorf("%d of 100 commits were led, with %d syncs", st.Led, st.Syncs)
		}
		if asks, late := loop.told(); asks+late != 0 {
			t.Errorf("a lead that nobody disturbed was asked for %d more and was late %d times", asks, late)
		}
	})
}

// TestLeadIsLate: a lead that waits for the disk is told of within two looks, once;
// what others append meanwhile, led or not, is committed after it.
func TestLeadIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStage(t, nil)
		l := r.log(stageSpec("t", nil))
		r.ready()
		defer r.close()
		var wg sync.WaitGroup
		first, second := &eventLoop{s: r.store, wg: &wg}, &eventLoop{s: r.store, wg: &wg}
		const hang = time.Second
		r.disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: r.store.dirs[0].journal.cur.name, Hook: func() { wait(hang) }})
		done := make([]chan error, 3)
		for i := range done {
			done[i] = make(chan error, 1)
		}
		ledAppend(t, l, "a", done[0])
		wg.Go(func() { r.store.Lead(first) })
		wait(2*watchTime + watchTime/2)
		if _, late := first.told(); late != 1 {
			t.Fatalf("after %v in a sync the leader was told %d times", 2*watchTime+watchTime/2, late)
		}
		ledAppend(t, l, "b", done[1])
		began := time.Now()
		r.store.Lead(second)
		if time.Since(began) > 0 {
			t.Errorf("a lead waited %v for another one", time.Since(began))
		}
		r.must(<-done[0])
		r.must(<-done[1])
		if asks, _ := second.told(); asks != 1 {
			t.Errorf("the second loop was asked %d times to lead", asks)
		}
		_, err := l.Append(&Append{Batches: makeBatch("c", 1, nobody, testNow), Token: done[2], Now: testNow, Guard: Unguarded})
		r.must(err)
		r.must(<-done[2])
		wg.Wait()
		if _, late := first.told(); late != 1 {
			t.Errorf("the leader was told %d times in all", late)
		}
	})
}

// TestLeadLeavesWhatIsLong: while syncs take long, and with much to commit, the
// goroutine does it, and Lead does not wait; when the disk is quick again, so is
// Lead.
func TestLeadLeavesWhatIsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStage(t, func(o *Options) { o.CheckpointEvery = 1000 * time.Hour })
		l := r.log(stageSpec("t", nil))
		r.ready()
		defer r.close()
		loop := &eventLoop{s: r.store, wg: new(sync.WaitGroup)}
		once := func() (waited time.Duration) {
			done := make(chan error, 1)
			ledAppend(t, l, "x", done)
			began := time.Now()
			r.store.Lead(loop)
			waited = time.Since(began)
			r.must(<-done)
			wait(time.Millisecond)
			return waited
		}
		remove := r.disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: r.store.dirs[0].journal.cur.name, Times: -1, Hook: func() { wait(8 * leadSync) }})
		if waited := once(); waited == 0 {
			t.Error("the first sync was not waited for, though nothing was known of the disk")
		}
		if waited := once(); waited != 0 {
			t.Errorf("Lead waited %v for a disk that is known to be slow", waited)
		}
		remove()
		for range 32 {
			once()
		}
		led := r.store.Stats().Led
		once()
		if r.store.Stats().Led != led+1 {
			t.Error("Lead does not lead again when the disk is quick")
		}
		led = r.store.Stats().Led
		done := make(chan error, 1)
		_, err := l.Append(&Append{Batches: testBatch{ts: 1, records: []string{"k", string(make([]byte, leadBytes))}}.bytes(t), Token: done, Now: 1, Led: true})
		r.must(err)
		r.store.Lead(loop)
		r.must(<-done)
		if r.store.Stats().Led != led {
			t.Errorf("an event loop committed more than %d bytes", leadBytes)
		}
	})
}

// TestForgottenLead: an append whose Lead does not come, or whose heir does not
// answer, is committed at the next look.
func TestForgottenLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStage(t, nil)
		l := r.log(stageSpec("t", nil))
		r.ready()
		defer r.close()
		loop := &eventLoop{s: r.store, wg: new(sync.WaitGroup)}
		done := make(chan error, 2)
		ledAppend(t, l, "a", done)
		r.store.Lead(loop) // the goroutine looks from now on
		r.must(<-done)
		ledAppend(t, l, "b", done)
		began := time.Now()
		r.must(<-done)
		if took := time.Since(began); took > 2*watchTime {
			t.Errorf("an append that nobody led was committed after %v", took)
		}
	})
}

// TestLeadOfTwoDirectories: one call sees to both.
func TestLeadOfTwoDirectories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStage(t, func(o *Options) { o.Dirs = []string{"/data", "/more"} })
		logs := []*Log{r.log(stageSpec("t", nil)), r.log(stageSpec("u", nil))}
		r.ready()
		defer r.close()
		if logs[0].Dir() == logs[1].Dir() {
			t.Fatalf("both logs are in %s", logs[0].Dir())
		}
		done := make(chan error, 2)
		for _, l := range logs {
			ledAppend(t, l, "x", done)
		}
		r.store.Lead(&eventLoop{s: r.store, wg: new(sync.WaitGroup)})
		r.must(<-done)
		r.must(<-done)
	})
}

// TestLeadersTogether: loops and plain appenders on two directories at once, with
// syncs that are quick, slow and late: everything is done, in order, once.
func TestLeadersTogether(t *testing.T) {
	for _, hang := range []time.Duration{0, 50 * time.Microsecond, leadSync, 5 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			r := newStage(t, func(o *Options) { o.Dirs = []string{"/data", "/more"} })
			logs := []*Log{r.log(stageSpec("t", nil)), r.log(stageSpec("u", nil))}
			r.ready()
			defer r.close()
			for _, d := range r.store.dirs {
				if hang > 0 {
					defer r.disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: d.journal.cur.name, Times: -1, Hook: func() { wait(hang) }})()
				}
			}
			var wg sync.WaitGroup
			const each = 200
			for n := range 6 {
				loop := &eventLoop{s: r.store, wg: &wg}
				wg.Go(func() {
					last := make([]int64, len(logs))
					for i := range each {
						done := make(chan error, 1)
						at := (n + i) % len(logs)
						res, err := logs[at].Append(&Append{Batches: makeBatch(fmt.Sprint(n, i), 1, nobody, testNow), Token: done, Now: testNow, Guard: Unguarded, Led: n < 4})
						if err != nil {
							t.Error(err)
							return
						}
						if n < 4 {
							r.store.Lead(loop)
						}
						if err := <-done; err != nil {
							t.Error(err)
							return
						}
						if hw := logs[at].Offsets().HighWatermark; hw <= res.BaseOffset {
							t.Errorf("offset %d was acknowledged at high watermark %d", res.BaseOffset, hw)
						}
						if last[at] > res.BaseOffset {
							t.Errorf("offset %d after %d", res.BaseOffset, last[at])
						}
						last[at] = res.BaseOffset
					}
				})
			}
			wg.Wait()
			if logs[0].Offsets().LogEnd+logs[1].Offsets().LogEnd != 6*each {
				t.Errorf("the logs end at %d and %d", logs[0].Offsets().LogEnd, logs[1].Offsets().LogEnd)
			}
		})
	}
}

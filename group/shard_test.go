package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// disk is a store with logs of one topic on it; a test ends and begins lives
// of a broker with it.
type disk struct {
	t       testing.TB
	fs      *vfs.Mem
	store   *logstore.Store
	logs    []*logstore.Log
	running sync.WaitGroup
	panics  atomic.Int64
}

func (d *disk) Go(_ string, f func()) {
	d.running.Go(func() {
		defer func() {
			if recover() != nil {
				d.panics.Add(1)
			}
		}()
		f()
	})
}

func openDisk(t testing.TB, fs *vfs.Mem, logs int, mod func(*logstore.Options)) *disk {
	t.Helper()
	d := &disk{t: t, fs: fs}
	o := logstore.Options{
		Dirs: []string{"/data"}, FS: fs, Go: d.Go, JournalMax: 8 << 20,
		OnCommit: func(_ []logstore.Advance, done []logstore.Done) {
			for _, x := range done {
				ShardDone(x)
			}
		},
	}
	if mod != nil {
		mod(&o)
	}
	var err error
	if d.store, err = logstore.Open(o); err != nil {
		t.Fatal(err)
	}
	for p := range logs {
		cfg := logstore.DefaultLogConfig()
		log, err := d.store.OpenLog(logstore.LogSpec{Topic: OffsetsTopic, ID: logstore.TopicID{9}, Partition: int32(p), Config: cfg, Internal: true})
		if err != nil {
			t.Fatal(err)
		}
		d.logs = append(d.logs, log)
	}
	if err := d.store.Ready(func(string, logstore.TopicID, int32) bool { return true }); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *disk) close() {
	d.store.Close() //nolint:errcheck // a store that went offline says so again
	d.running.Wait()
}

// counter is the smallest state: it adds numbers up.
type counter struct {
	shard *Shard
	sum   int64
	txn   map[int64]int64
	lost  int
	ready chan struct{}
}

func newCounter(d *disk) *counter {
	c := &counter{ready: make(chan struct{}, 100)}
	c.shard = NewShard(ShardOptions{
		Name: "counter", Log: func() *logstore.Log { return d.logs[0] }, Now: time.Now, Go: d.Go,
		Replay: func(r *Record) error {
			n := int64(binary.BigEndian.Uint64(r.Value))
			if r.ProducerID >= 0 {
				c.pending(r.ProducerID, n)
			} else {
				c.sum += n
			}
			return nil
		},
		Marker: c.end,
		Loaded: func(time.Time) { c.ready <- struct{}{} },
		Lost: func(error) {
			c.lost++
			c.sum, c.txn = 0, nil
		},
	})
	c.shard.Start()
	return c
}

func (c *counter) pending(id, n int64) {
	if c.txn == nil {
		c.txn = map[int64]int64{}
	}
	c.txn[id] += n
}

func (c *counter) end(id int64, commit bool) {
	if commit {
		c.sum += c.txn[id]
	}
	delete(c.txn, id)
}

func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// post runs op and waits for its answer.
func (c *counter) post(op func(now time.Time, done func(error)) error) error {
	for {
		done := make(chan error, 1)
		err := c.shard.Do(func(now time.Time) error {
			return op(now, func(err error) { done <- err })
		}, func(err error) { done <- err })
		if errors.Is(err, ErrLoading) || errors.Is(err, ErrUnavailable) {
			<-c.ready
			c.ready <- struct{}{} // for the others that wait
			continue
		}
		if err != nil {
			return err
		}
		return answered(done)
	}
}

func (c *counter) add(n int64) error {
	return c.post(func(now time.Time, done func(error)) error {
		c.sum += n
		c.shard.Out.Write([]byte("k"), number(n))
		c.shard.Out.Answer(done)
		return nil
	})
}

func (c *counter) value() (v int64, err error) {
	err = c.post(func(now time.Time, done func(error)) error {
		v = c.sum
		c.shard.Out.Answer(done)
		return nil
	})
	return v, err
}

func TestShardKeepsWhatItAnswered(t *testing.T) {
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(1, 2))
	var sum int64
	for life := range 5 {
		d := openDisk(t, fs, 1, nil)
		c := newCounter(d)
		if got, err := c.value(); err != nil || got != sum {
			t.Fatalf("life %d begins with %d (%v), want %d", life, got, err, sum)
		}
		for i := range 50 {
			if err := c.add(int64(i)); err != nil {
				t.Fatal(err)
			}
			sum += int64(i)
		}
		after := fs.Crash(rng, vfs.CrashOptions{})
		c.shard.Close()
		d.close()
		fs = after
	}
}

func TestShardBatchesConcurrentOperations(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), 1, nil)
	defer d.close()
	c := newCounter(d)
	defer c.shard.Close()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 50 {
				if err := c.add(1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, _ := c.value(); got != 64*50 {
		t.Fatalf("sum %d", got)
	}
	if n := d.store.Stats().Appends; n >= 64*50 {
		t.Errorf("%d appends for %d operations: nothing was batched", n, 64*50)
	}
}

func TestShardReloadsAfterAPanic(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), 1, nil)
	defer d.close()
	c := newCounter(d)
	defer c.shard.Close()
	if err := c.add(5); err != nil {
		t.Fatal(err)
	}
	err := c.post(func(now time.Time, done func(error)) error {
		c.sum += 1000 // half done
		panic("boom")
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("the operation that panicked was told %v", err)
	}
	if got, err := c.value(); err != nil || got != 5 {
		t.Fatalf("after the panic: %d %v", got, err)
	}
	if d.panics.Load() != 1 || c.lost == 0 {
		t.Fatal("the panic was swallowed")
	}
}

func TestShardFailsWithItsLog(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
		t.Run(op.String(), func(t *testing.T) {
			fs := vfs.NewMem()
			d := openDisk(t, fs, 1, nil)
			defer d.close()
			c := newCounter(d)
			defer c.shard.Close()
			if err := c.add(5); err != nil {
				t.Fatal(err)
			}
			fs.Inject(vfs.Fault{Op: op, Times: -1, Err: errors.New("the disk is gone")})
			if err := c.add(6); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("an append that failed was answered with %v", err)
			}
			if err := c.shard.Do(func(time.Time) error { return nil }, nil); err == nil {
				t.Fatal("a shard without a log takes operations")
			}
			c.shard.Close()
			if err := c.shard.Do(func(time.Time) error { return nil }, nil); !errors.Is(err, ErrClosed) {
				t.Fatalf("a closed shard says %v", err)
			}
		})
	}
}

// TestShardReadsWaitForTheDisk: what another operation wrote is not told
// before it is durable, although the state has it.
func TestShardReadsWaitForTheDisk(t *testing.T) {
	fs := vfs.NewMem()
	d := openDisk(t, fs, 1, nil)
	defer d.close()
	c := newCounter(d)
	defer c.shard.Close()
	if err := c.add(1); err != nil {
		t.Fatal(err)
	}
	syncing, release := make(chan struct{}), make(chan struct{})
	fs.Inject(vfs.Fault{Op: vfs.OpSync, Hook: func() { close(syncing); <-release }})
	written, read := make(chan error, 1), make(chan int64, 1)
	post := func(op Op) {
		if err := c.shard.Do(op, func(err error) { t.Error(err) }); err != nil {
			t.Error(err)
		}
	}
	post(func(time.Time) error {
		c.sum += 10
		c.shard.Out.Write([]byte("k"), number(10))
		c.shard.Out.Answer(func(err error) { written <- err })
		return nil
	})
	<-syncing
	ran := make(chan struct{})
	post(func(time.Time) error {
		v := c.sum
		c.shard.Out.Answer(func(error) { read <- v })
		return nil
	})
	post(func(time.Time) error { close(ran); return nil }) // the read has run, and its turn's answers after it:
	<-ran
	post(func(time.Time) error { return nil })
	for c.shard.Queue() > 0 {
		runtime.Gosched()
	}
	select {
	case v := <-read:
		t.Fatalf("%d was told before it was durable", v)
	case <-written:
		t.Fatal("the write was answered before the sync")
	default:
	}
	close(release)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if v := <-read; v != 11 {
		t.Fatalf("read %d", v)
	}
}

func TestShardWaitsWhenTheStoreIsBusy(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), 1, func(o *logstore.Options) { o.QueueBytes = 4096 })
	defer d.close()
	c := newCounter(d)
	defer c.shard.Close()
	var wg sync.WaitGroup
	big := make([]byte, 900)
	for range 32 {
		wg.Go(func() {
			for range 20 {
				err := c.post(func(now time.Time, done func(error)) error {
					c.sum++
					c.shard.Out.Write(big, number(1))
					c.shard.Out.Answer(done)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, _ := c.value(); got != 640 {
		t.Fatalf("sum %d", got)
	}
}

func TestShardMailboxIsBounded(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), 1, nil)
	defer d.close()
	hold, held := make(chan struct{}), make(chan struct{})
	c := newCounter(d)
	defer c.shard.Close()
	c.shard.o.Mailbox = 3
	if _, err := c.value(); err != nil {
		t.Fatal(err)
	}
	c.shard.Do(func(time.Time) error { close(held); <-hold; return nil }, nil) //nolint:errcheck // it is ready
	<-held
	var full int
	for range 5 {
		if errors.Is(c.shard.Do(func(time.Time) error { return nil }, nil), ErrFull) {
			full++
		}
	}
	close(hold)
	if full != 2 {
		t.Fatalf("%d of 5 were refused, want 2", full)
	}
}

func TestShardClosesWithoutLosingAnswers(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), 1, nil)
	defer d.close()
	c := newCounter(d)
	if _, err := c.value(); err != nil {
		t.Fatal(err)
	}
	var asked, answered atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				asked.Add(1)
				done := make(chan struct{})
				err := c.shard.Do(func(now time.Time) error {
					c.shard.Out.Write([]byte("k"), number(1))
					c.shard.Out.Answer(func(error) { answered.Add(1); close(done) })
					return nil
				}, func(error) { answered.Add(1); close(done) })
				if err != nil {
					answered.Add(1)
					return
				}
				<-done
			}
		})
	}
	c.shard.Close()
	wg.Wait()
	if asked.Load() != answered.Load() {
		t.Fatalf("%d asked, %d answered", asked.Load(), answered.Load())
	}
}

func TestShardDeadlines(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), 1, nil)
	defer d.close()
	c := newCounter(d)
	defer c.shard.Close()
	fired := make(chan time.Time, 1)
	due := time.Now().Add(30 * time.Millisecond)
	err := c.post(func(now time.Time, done func(error)) error {
		c.shard.Deadlines.Set(&Deadline{Fire: func(now time.Time) { fired <- now }}, due)
		done(nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if at := <-fired; at.Before(due) {
		t.Fatalf("fired %v early", due.Sub(at))
	}
}

func TestShardTransactions(t *testing.T) {
	fs := vfs.NewMem()
	d := openDisk(t, fs, 1, nil)
	c := newCounter(d)
	txn := func(n int64, epoch int16) error {
		return c.post(func(now time.Time, done func(error)) error {
			var box Outbox
			box.Write([]byte("k"), number(n))
			if err := c.shard.AppendTransaction(now, 7, epoch, logstore.Unguarded, &box); err != nil {
				if errors.Is(err, logstore.ErrBusy) {
					return err
				}
				done(err)
				return nil
			}
			c.pending(7, n)
			c.shard.Out.Answer(done)
			return nil
		})
	}
	marker := func(commit bool) error {
		return c.post(func(now time.Time, done func(error)) error {
			err := c.shard.AppendMarker(now, record.Marker{ProducerID: 7, ProducerEpoch: 1, Commit: commit}, false)
			if err == nil {
				c.end(7, commit)
				c.shard.Out.Answer(done)
				return nil
			}
			if errors.Is(err, logstore.ErrBusy) {
				return err
			}
			done(err)
			return nil
		})
	}
	for i, step := range []func() error{
		func() error { return txn(5, 1) },
		func() error { return c.add(1) },
		func() error { return marker(true) },
		func() error { return txn(50, 1) },
		func() error { return marker(false) },
		func() error { return txn(500, 1) },
	} {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if err := txn(1, 0); !errors.Is(err, logstore.ErrProducerEpoch) {
		t.Fatalf("an old epoch: %v", err)
	}
	if got, _ := c.value(); got != 6 {
		t.Fatalf("sum %d", got)
	}
	after := fs.Crash(rand.New(rand.NewPCG(3, 4)), vfs.CrashOptions{})
	c.shard.Close()
	d.close()
	d = openDisk(t, after, 1, nil)
	defer d.close()
	c = newCounter(d)
	defer c.shard.Close()
	if got, _ := c.value(); got != 6 || c.txn[7] != 500 {
		t.Fatalf("after a crash: sum %d, pending %v", got, c.txn)
	}
}

// TestShardManyBatches: one operation may write more than a batch holds.
func TestShardManyBatches(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), 1, nil)
	defer d.close()
	c := newCounter(d)
	defer c.shard.Close()
	err := c.post(func(now time.Time, done func(error)) error {
		for i := range 3000 {
			c.shard.Out.Write([]byte(fmt.Sprintf("%01000d", i)), number(1))
			c.sum++
		}
		c.shard.Out.Answer(done)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if end := d.logs[0].Offsets(); end.HighWatermark != 3000 {
		t.Fatalf("%+v", end)
	}
	again := newCounter(d)
	defer again.shard.Close()
	if got, _ := again.value(); got != 3000 {
		t.Fatalf("read back %d", got)
	}
}

// TestShardWaitsForItsLog: until the log is open the shard loads, looking for
// it less and less often, and then serves.
func TestShardWaitsForItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDisk(t, vfs.NewMem(), 1, nil)
		defer d.close()
		began := time.Now()
		looks := 0
		s := NewShard(ShardOptions{
			Name: "late", Now: time.Now, Go: d.Go,
			Log: func() *logstore.Log {
				if looks++; time.Since(began) < time.Second {
					return nil
				}
				return d.logs[0]
			},
			Replay: func(*Record) error { return nil },
			Marker: func(int64, bool) {},
			Loaded: func(time.Time) {},
			Lost:   func(error) {},
		})
		s.Start()
		defer s.Close()
		synctest.Wait()
		if err := s.Do(func(time.Time) error { return nil }, nil); !errors.Is(err, ErrLoading) {
			t.Fatalf("without a log: %v", err)
		}
		<-time.After(1600 * time.Millisecond)
		synctest.Wait()
		if !s.Ready() || looks > 7 {
			t.Fatalf("ready %v after %d looks", s.Ready(), looks)
		}
		fired := make(chan time.Time, 1)
		if err := s.Do(func(now time.Time) error {
			s.Deadlines.Set(&Deadline{Fire: func(now time.Time) { fired <- now }}, now.Add(90*time.Minute))
			return nil
		}, nil); err != nil {
			t.Fatal(err)
		}
		set := time.Now()
		if at := <-fired; at.Sub(set) < 90*time.Minute || at.Sub(set) > 91*time.Minute {
			t.Fatalf("fired after %v", at.Sub(set))
		}
	})
}

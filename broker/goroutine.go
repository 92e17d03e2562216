package broker

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// goroutines starts every goroutine of a broker, and of the packages below it,
// and knows when all have ended.
//
// What a panic means depends on whose goroutine it was:
//
//   - a handler's, on a loop or on a worker: its connection ends (netloop and
//     the workers recover by themselves, this is the net below);
//   - a log's committer or keeper, a coordinator's shard: the owner takes what
//     it guards offline in a defer of its own, since half-applied state must
//     not be used; here it is logged and counted, and the broker is not ready
//     any more;
//   - background work started by [Broker.background]: it begins again after a
//     pause that grows to a minute.
//
// Never does it end the process.
type goroutines struct {
	b      *Broker
	wg     sync.WaitGroup
	panics atomic.Int64
	// lost is set when a goroutine that does not begin again has panicked.
	lost atomic.Pointer[error]
}

// Go is the function that Options.Go of every package gets.
func (g *goroutines) Go(name string, f func()) {
	g.wg.Add(1)
	go func() { // recovers: this is the one function
		defer g.wg.Done()
		if err := g.run(name, f); err != nil {
			g.lost.CompareAndSwap(nil, &err)
		}
	}()
}

// run calls f and turns its panic into an error.
func (g *goroutines) run(name string, f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			g.panics.Add(1)
			err = fmt.Errorf("broker: goroutine %q panicked: %v", name, r)
			g.b.logger.Error("a goroutine panicked", "goroutine", name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	f()
	return nil
}

// background runs f until it returns in order or the broker closes; after a
// panic it begins again.
func (b *Broker) background(name string, f func()) {
	b.goroutines.Go(name, func() {
		pause := 100 * time.Millisecond
		for b.goroutines.run(name, f) != nil {
			select {
			case <-b.closing:
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, time.Minute)
		}
	})
}

// atOnce calls f with each of 0 to n-1, many at a time, and waits for them:
// opening, making or deleting a log waits for the disk, which does many of these
// in the time of one. After an error no more are begun. Not on a loop.
func (b *Broker) atOnce(name string, n int, f func(int) error) error {
	const workers = 32
	var (
		next   atomic.Int64
		failed atomic.Pointer[error]
		wg     sync.WaitGroup
	)
	work := func() {
		for failed.Load() == nil {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			var err error
			if panicked := b.goroutines.run(name, func() { err = f(i) }); panicked != nil {
				err = panicked
			}
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		}
	}
	for range min(workers, n) - 1 {
		wg.Add(1)
		b.goroutines.Go(name, func() {
			defer wg.Done()
			work()
		})
	}
	work()
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

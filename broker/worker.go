package broker

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/chronik-stream/chronik/mmap"
)

// workers run requests that may wait or take long. A connection has at most
// one request with them (see session), which bounds the queue by the number of
// connections.
type workers struct {
	name    string // in the names of their goroutines
	nice    int    // of their threads; 0 as all others. Set before the first resize
	mu      sync.Mutex
	cond    *sync.Cond
	queue   []*request // mu; a ring would save nothing at this rate
	closed  bool       // mu
	want    int        // mu; how many there should be
	have    int        // mu
	depth   atomic.Int64
	running atomic.Int64
}

func (w *workers) init(name string) { w.name, w.cond = name, sync.NewCond(&w.mu) }

// resize makes the workers n: more begin at once, and what there is too much of
// ends when it has nothing under way. Any goroutine.
func (w *workers) resize(b *Broker, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.want = n
	w.cond.Broadcast()
	for ; w.have < n; w.have++ {
		b.background(fmt.Sprintf("%s %d", w.name, w.have), func() {
			if w.nice != 0 {
				if err := mmap.Background(w.nice); err != nil {
					b.logger.Warn("a worker competes with the event loops", "worker", w.name, "error", err)
				}
			}
			w.loop()
		})
	}
}

func (w *workers) submit(rq *request) {
	w.mu.Lock()
	closed := w.closed
	if !closed {
		w.queue = append(w.queue, rq)
		w.depth.Add(1)
		w.cond.Signal()
	}
	w.mu.Unlock()
	if closed {
		rq.failWork(errShuttingDown)
	}
}

func (w *workers) loop() {
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.closed && w.have <= w.want {
			w.cond.Wait()
		}
		if len(w.queue) == 0 || !w.closed && w.have > w.want {
			w.have--
			w.cond.Signal() // what woke this one may have been meant for another
			w.mu.Unlock()
			return
		}
		rq := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.depth.Add(-1)
		w.mu.Unlock()

		w.running.Add(1)
		rq.work()
		w.running.Add(-1)
	}
}

// close lets the workers end once the queue is empty.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.cond.Broadcast()
	w.mu.Unlock()
}

package broker

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// workers run requests that may wait or take long. A connection has at most
// one request with them (see session), which bounds the queue by the number of
// connections.
type workers struct {
	mu      sync.Mutex
	cond    *sync.Cond
	queue   []*request // mu; a ring would save nothing at this rate
	closed  bool       // mu
	depth   atomic.Int64
	running atomic.Int64
}

func (w *workers) start(b *Broker, n int) {
	w.cond = sync.NewCond(&w.mu)
	for i := range n {
		b.background(fmt.Sprintf("worker %d", i), w.loop)
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
		for len(w.queue) == 0 && !w.closed {
			w.cond.Wait()
		}
		if len(w.queue) == 0 {
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

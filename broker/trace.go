package broker

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Trace is one request's way through the broker, as plain values: admin makes
// spans of it. Times that do not apply are zero.
//
//	Received … Begun     it waited for an earlier request of its connection
//	Begun … Waiting      its handler ran on the loop
//	Waiting … Answered   Produce: for the disk (group commit); Fetch: for data,
//	                     in purgatory; others: a worker had it
type Trace struct {
	Key         int16
	Name        string // of the API
	Version     int16
	Correlation int32
	ClientID    string
	Listener    string
	Remote      netip.AddrPort
	Received    time.Time // the frame was complete
	Begun       time.Time
	Waiting     time.Time
	Answered    time.Time // the answer was handed to the connection
	BytesIn     int       // frame
	BytesOut    int       // answer, without file ranges
	Worker      bool      // a worker had it
	Failed      bool      // the answer carries an error
	Closed      string    // why the request ended its connection
}

// tracer decides which requests are kept, and keeps them for whoever asks: a
// ring, so that a reader who is slow or absent costs memory for most of them and
// no more. The decision is made at the end of a request, when it is known to
// have been slow; until then a request carries two times.
type tracer struct {
	every uint64 // one in every so many is kept; 0 none
	slow  time.Duration
	on    bool

	seen atomic.Uint64

	mu    sync.Mutex // leaf
	ring  []Trace    // mu
	ended uint64     // mu: traces ever kept
	most  int        // in the ring: some 200 bytes each
}

func newTracer(sample float64, slow time.Duration, most int) *tracer {
	t := &tracer{slow: slow, most: most}
	if sample > 0 {
		t.every = max(uint64(1/sample+0.5), 1)
	}
	t.on = t.every > 0 || slow > 0
	return t
}

// wants says whether a request that took d is kept. Any goroutine.
func (t *tracer) wants(d time.Duration) bool {
	if t.slow > 0 && d >= t.slow {
		return true
	}
	return t.every > 0 && t.seen.Add(1)%t.every == 0
}

// size is the traces that are kept.
func (t *tracer) size() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(len(t.ring))
}

func (t *tracer) keep(tr Trace) {
	t.mu.Lock()
	if len(t.ring) < t.most {
		t.ring = append(t.ring, tr)
	} else {
		t.ring[t.ended%uint64(t.most)] = tr
	}
	t.ended++
	t.mu.Unlock()
}

// Traces gives the traces kept since the reader's last call: after is what that
// call returned as next, 0 at first. missed counts those that were overwritten
// in between. Any goroutine.
func (b *Broker) Traces(after uint64) (kept []Trace, next, missed uint64) {
	t := b.tracer
	t.mu.Lock()
	defer t.mu.Unlock()
	from := min(after, t.ended)
	if oldest := t.ended - uint64(len(t.ring)); from < oldest {
		missed, from = oldest-from, oldest
	}
	for i := from; i < t.ended; i++ {
		kept = append(kept, t.ring[i%uint64(t.most)])
	}
	return kept, t.ended, missed
}

// began notes when the handler was called. Loop only.
func (rq *request) began() {
	if rq.loop.b.tracer.on {
		rq.begun = time.Now()
	}
}

// waits notes when the request began to wait for somebody else. Loop only.
func (rq *request) waits() {
	if rq.loop.b.tracer.on && rq.waiting.IsZero() {
		rq.waiting = time.Now()
	}
}

// trace keeps the request if it is to be kept. Loop only, from count, before
// the answer is handed over.
func (rq *request) trace(now time.Time, took time.Duration) {
	t := rq.loop.b.tracer
	if !t.on || !t.wants(took) {
		return
	}
	tr := Trace{
		Key: rq.api.key, Name: rq.api.name, Version: rq.version, Correlation: rq.correlation, ClientID: rq.clientID,
		Listener: rq.conn.Listener(), Remote: rq.conn.RemoteAddr(),
		Received: rq.received, Begun: rq.begun, Waiting: rq.waiting, Answered: now,
		BytesIn: rq.size, Worker: rq.job != nil, Failed: rq.failed,
	}
	if rq.out != nil {
		tr.BytesOut = len(rq.out.Buf.B)
	}
	if rq.err != nil {
		tr.Closed = rq.err.Error()
	}
	t.keep(tr)
}

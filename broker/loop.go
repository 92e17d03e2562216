package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/netloop"
)

// loop is the broker's part of one event loop: its pools, its counters, the
// produces that wait for room in the commit queue, and a mailbox that the
// committers fill.
type loop struct {
	b  *Broker
	nl *netloop.Loop

	// Loop only.
	requests *request // free
	produces *produce // free
	fetches  *fetch   // free
	live     map[*session]struct{}
	busy     busyList
	// strangers are those of live that have not logged in.
	strangers strangers
	append    logstore.Append // scratch of Produce, so that it does not escape each time
	seen      seenKeys        // scratch: what a request named already
	lend      func()          // has the loop commit what it appended, see lead.go

	// hasBusy is true while busy is not empty; committers read it.
	hasBusy atomic.Bool

	mail mailbox

	stats [maxKey + 1]apiStats
	load  loadStats
}

// mailbox carries what committers tell to a loop: one post for a whole group.
type mailbox struct {
	mu     sync.Mutex
	posted bool           // mu
	done   []*producePart // mu
	woken  []*fetch       // mu
	retry  bool           // mu: the commit queue has room again
	lead   bool           // mu: the loop may commit what it appended

	// The other halves, loop only.
	doneRun  []*producePart
	wokenRun []*fetch
}

// deliver takes a finished append. Any goroutine.
func (l *loop) deliver(p *producePart) {
	l.mail.mu.Lock()
	l.mail.done = append(l.mail.done, p)
	l.post()
}

// wake takes a fetch whose partition moved. Any goroutine; the fetch's woken
// flag has been set by the caller, so that it is here once.
func (l *loop) wake(f *fetch) {
	l.mail.mu.Lock()
	l.mail.woken = append(l.mail.woken, f)
	l.post()
}

// room tells that the commit queue was emptied. Any goroutine.
func (l *loop) room() {
	if !l.hasBusy.Load() {
		return
	}
	l.mail.mu.Lock()
	l.mail.retry = true
	l.post()
}

// post unlocks the mailbox and posts it when that has not happened yet.
func (l *loop) post() {
	first := !l.mail.posted
	l.mail.posted = true
	l.mail.mu.Unlock()
	if first {
		l.nl.Post(l)
	}
}

// RunOnLoop empties the mailbox.
func (l *loop) RunOnLoop(*netloop.Loop) {
	m := &l.mail
	m.mu.Lock()
	m.done, m.doneRun = m.doneRun[:0], m.done
	m.woken, m.wokenRun = m.wokenRun[:0], m.woken
	retry, lead := m.retry, m.lead
	m.retry, m.lead, m.posted = false, false, false
	m.mu.Unlock()
	for i, p := range m.doneRun {
		m.doneRun[i] = nil
		p.settled()
	}
	if lead {
		l.nl.Lend(l)
	}
	if retry {
		l.retryBusy()
	}
	for i, f := range m.wokenRun {
		m.wokenRun[i] = nil
		f.recheck()
	}
}

// request gives a request from the pool. Loop only.
func (l *loop) request() *request {
	rq := l.requests
	if rq == nil {
		rq = &request{loop: l}
		rq.answerTask.rq, rq.workTask.rq = rq, rq
		return rq
	}
	l.requests, rq.next = rq.next, nil
	return rq
}

// free takes a request back. Loop only.
func (l *loop) free(rq *request) {
	rq.release()
	rq.s, rq.conn, rq.api, rq.req, rq.job, rq.err = nil, nil, nil, nil, nil, nil
	rq.answered, rq.held, rq.failed, rq.workAnswered = false, false, false, false
	rq.produce, rq.resume, rq.out = nil, nil, nil
	rq.throttle = 0
	rq.begun, rq.waiting = time.Time{}, time.Time{}
	rq.clientID = ""
	rq.next, l.requests = l.requests, rq
}

// count notes a finished request. Loop only.
func (l *loop) count(rq *request) {
	st := &l.stats[rq.api.key]
	st.requests.Add(1)
	if rq.err != nil {
		st.closed.Add(1)
	}
	if rq.failed {
		st.errors.Add(1)
	}
	if rq.out != nil {
		st.bytesOut.Add(int64(len(rq.out.Buf.B)))
	}
	now := time.Now()
	took := now.Sub(rq.received)
	st.latency.Observe(took)
	rq.trace(now, took)
}

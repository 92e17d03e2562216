package broker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/netloop"
)

// request is one request from its frame to its answer. It is pooled per loop.
//
// It begins and ends on its connection's loop. Between the two a worker or a
// coordinator may have it; whoever has it answers it exactly once, in one of
// three ways: the handler returns a response, or somebody calls reply later
// (any goroutine), or answer or fail (loop only).
type request struct {
	s    *session
	loop *loop
	conn netloop.Conn
	slot netloop.Slot
	api  *api

	version     int16
	correlation int32
	clientID    string
	received    time.Time
	begun       time.Time     // loop only; zero unless requests are traced
	waiting     time.Time     // likewise
	size        int           // of the frame
	throttle    time.Duration // whoever has the request

	// buf is the frame and body the request's body in it. They are kept for
	// Produce and Fetch only: other requests are decoded from a copy, since
	// kmsg's byte fields alias what they were decoded from and a coordinator
	// keeps them for as long as it likes.
	buf  *codec.Buffer
	body []byte
	req  kmsg.Request

	// Loop only.
	next     *request // in the session's queue or the free list
	working  bool     // a worker has it
	answered bool
	// held: the frame is needed beyond the answer; who holds it frees the
	// request.
	held bool
	// produce is a Produce at work, for a panic to end.
	produce *produce
	// resume goes on with the request when its worker has ended; it reports
	// whether the connection's next request may begin.
	resume func() bool

	// job is what a worker is to run; set before the request is submitted.
	job func() kmsg.Response
	// out and err are the outcome; written by whoever answers, before the post.
	out          *netloop.Response
	err          error
	failed       bool // the answer carries an error, for the counters
	workAnswered bool

	answerTask answerTask
	workTask   workTask
}

type answerTask struct{ rq *request }

// RunOnLoop gives an answer that came from another goroutine.
func (t *answerTask) RunOnLoop(*netloop.Loop) { t.rq.finish() }

type workTask struct{ rq *request }

// RunOnLoop ends a worker's part: the connection's next request may begin.
func (t *workTask) RunOnLoop(*netloop.Loop) {
	rq := t.rq
	s, resume := rq.s, rq.resume
	rq.working, rq.resume = false, nil
	switch {
	case rq.workAnswered && !rq.answered:
		if rq.produce != nil { // it panicked, or the workers have ended
			rq.produce.abandon()
		}
		rq.finish()
	case resume != nil:
		if !resume() {
			return
		}
	case rq.answered && !rq.held:
		rq.loop.free(rq)
	}
	s.unblock()
}

var (
	errShuttingDown = errors.New("broker: shutting down")
	errTooLong      = errors.New("broker: the request's body is longer than may be decoded")
	errTooManyParts = errors.New("broker: the request names more partitions than there may be")
	errPanicked     = errors.New("broker: the request made its handler panic")
)

// encode makes the response's bytes. Any goroutine.
func (rq *request) encode(resp kmsg.Response) *netloop.Response {
	rq.tellThrottle(resp)
	resp.SetVersion(rq.version)
	out := netloop.NewResponse(256)
	out.Buf.B = codec.AppendResponse(out.Buf.B[:0], resp, rq.correlation)
	return out
}

// reply answers from any goroutine. The request must not be used afterwards.
func (rq *request) reply(resp kmsg.Response) {
	rq.out = rq.encode(resp)
	rq.loop.nl.Post(&rq.answerTask)
}

// answer answers with a response that is built already. Loop only.
func (rq *request) answer(out *netloop.Response) {
	rq.out = out
	rq.finish()
}

// fail ends the connection once the answers before it are sent. Loop only.
func (rq *request) fail(err error) {
	rq.err = err
	rq.finish()
}

// finish gives the outcome to the connection. Loop only.
func (rq *request) finish() {
	rq.answered = true
	rq.loop.count(rq)
	switch {
	case rq.err != nil:
		rq.conn.Fail(rq.slot, rq.err)
	case rq.out == nil:
		rq.conn.Skip(rq.slot)
	default:
		rq.conn.Respond(rq.slot, rq.out)
	}
	if rq.throttle > 0 {
		rq.conn.Mute(rq.loop.nl.Now().Add(rq.throttle))
	}
	rq.out = nil
	if !rq.working && !rq.held {
		rq.loop.free(rq)
	}
}

// complete is finish for a request whose frame is needed beyond its answer.
func (rq *request) complete() {
	rq.held = true
	rq.finish()
}

// offload hands the rest of the request to a worker; the connection's later
// requests wait until job has returned. Loop only; a handler calls it last:
//
//	return rq.offload(func() kmsg.Response { … })
func (rq *request) offload(job func() kmsg.Response) kmsg.Response {
	return rq.offloadTo(&rq.s.b.workers, job)
}

// offloadTo is offload to workers of one's choice.
func (rq *request) offloadTo(w *workers, job func() kmsg.Response) kmsg.Response {
	rq.job = job
	rq.waits()
	rq.working = true
	rq.s.busy = true
	w.submit(rq)
	return nil
}

// work is the worker's part.
func (rq *request) work() {
	defer func() {
		if r := recover(); r != nil {
			rq.s.b.panicked("request "+rq.api.name, r, debug.Stack())
			rq.failWork(errPanicked)
			return
		}
		rq.loop.nl.Post(&rq.workTask)
	}()
	timed := rq.limited(auth.QuotaRequest)
	var began time.Time
	if timed {
		began = time.Now()
	}
	resp := rq.job()
	if timed {
		wait := rq.s.chargeTime(rq.clientID, time.Since(began))
		if resp != nil { // otherwise somebody else may have answered it by now
			rq.delay(wait)
		}
	}
	if resp != nil {
		rq.out = rq.encode(resp)
		rq.workAnswered = true
	}
}

// failWork ends a request that a worker could not answer.
func (rq *request) failWork(err error) {
	rq.err, rq.workAnswered = err, true
	rq.loop.nl.Post(&rq.workTask)
}

// guard runs f; a panic ends the connection. Loop only.
func (rq *request) guard(f func()) {
	b, name := rq.s.b, rq.api.name
	defer func() {
		if r := recover(); r != nil {
			b.panicked("request "+name, r, debug.Stack())
			if rq.s != nil && !rq.answered && !rq.working {
				if rq.produce != nil {
					rq.produce.abandon()
				}
				rq.fail(errPanicked)
			}
		}
	}()
	f()
}

// begin decodes the request and runs the handler. Loop only.
func (rq *request) begin() { rq.guard(rq.start) }

func (rq *request) start() {
	rq.began()
	b, name := rq.s.b, rq.api.name
	if rq.api.decode {
		switch size := int64(len(rq.body)); {
		case size > b.limit(limitDecoded):
			rq.fail(fmt.Errorf("%w: %s with %d bytes", errTooLong, name, size))
			return
		case size > decodeOnLoop:
			rq.decodeAway()
			return
		}
		if err := rq.decode(); err != nil {
			rq.fail(err)
			return
		}
		rq.release()
	}
	rq.serve()
}

// checkNamed refuses a Produce or Fetch of more partitions than the cluster may
// have. What is kept of each is many times the six bytes that naming it takes.
func (rq *request) checkNamed(partitions int) error {
	if partitions <= keptParts {
		return nil
	}
	if most := rq.s.b.limit(limitPartitions); int64(partitions) > most {
		return fmt.Errorf("%w: %s with %d, of %d (limit %s)", errTooManyParts, rq.api.name, partitions, most, limitPartitions)
	}
	return nil
}

// decodeOnLoop is the longest body that a loop decodes: a body of the smallest
// elements takes 0.1 µs a byte.
const decodeOnLoop = 64 << 10

// decode makes rq.req of a copy, which leaves the frame's buffer to its pool.
func (rq *request) decode() (err error) {
	rq.req, err = codec.DecodeRequest(rq.api.key, rq.version, append([]byte(nil), rq.body...))
	return err
}

// decodeAway has a worker decode; the request goes on from there.
func (rq *request) decodeAway() {
	s := rq.s
	var err error
	rq.resume = func() bool {
		rq.release()
		s.busy = false
		if err != nil {
			rq.fail(err)
		} else {
			rq.guard(rq.serve)
		}
		// Whoever made it busy again lets the next request begin.
		return !s.busy
	}
	rq.offload(func() kmsg.Response {
		err = rq.decode()
		return nil
	})
}

// serve runs the handler. Loop only.
func (rq *request) serve() {
	if rq.api.place == onWorker {
		rq.offload(func() kmsg.Response { return rq.api.handle(rq) })
		return
	}
	var resp kmsg.Response
	if rq.limited(auth.QuotaRequest) {
		resp = rq.timed()
	} else {
		resp = rq.api.handle(rq)
	}
	if resp != nil {
		rq.answer(rq.encode(resp))
	}
}

// timed runs the handler and charges its time. A request that is answered
// later is somebody else's by then: its connection is throttled without a word
// in the answer.
func (rq *request) timed() kmsg.Response {
	s, clientID, began := rq.s, rq.clientID, time.Now()
	resp := rq.api.handle(rq)
	wait := s.chargeTime(clientID, time.Since(began))
	if resp != nil {
		rq.delay(wait)
	} else if wait > 0 && !s.closed {
		s.conn.Mute(s.loop.nl.Now().Add(wait))
	}
	return resp
}

// release gives the frame's buffer back.
func (rq *request) release() {
	if rq.buf != nil {
		rq.buf.Release()
		rq.buf, rq.body = nil, nil
	}
}

// panicked logs and counts a panic that was recovered.
func (b *Broker) panicked(where string, r any, stack []byte) {
	b.goroutines.panics.Add(1)
	b.logger.Error("a panic was recovered", "where", where, "panic", fmt.Sprint(r), "stack", string(stack))
}

package txn

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/group"
)

// table is the transactional ids of one partition of __transaction_state. It
// belongs to that shard's goroutine: nothing in it is locked. An operation
// changes the table at once and writes its record to the outbox; whoever asked
// is answered when the record is durable. When the append fails the shard drops
// the table and loads it anew from the log, so that the table never runs ahead
// of what can still become durable.
type table struct {
	entries map[string]*entry
	out     *group.Outbox
	ds      *group.Deadlines

	// freshID takes a producer id from the reserve; noProducer when it is empty.
	freshID func() int64
	// sendMarkers starts to write an entry's markers; each ends in marked.
	sendMarkers  func(e *entry)
	flexible     bool
	expirationMs int64
	limit        int // most ids that are remembered
	// serverVersion is the cluster's transaction.version.
	serverVersion func() int16

	counters *counters
}

// entry is one transactional id with what is under way for it.
type entry struct {
	m *meta
	// unmarked are the partitions that still wait for their marker; nil when no
	// transaction is being completed.
	unmarked map[part]struct{}
	inFlight map[part]struct{} // of these, the markers that were sent
	retry    group.Deadline    // sends what failed again
	timeout  group.Deadline    // aborts an open transaction, or forgets the id
	waiters  []*waiter
}

// waiter is a request that met a completing transaction.
type waiter struct {
	again    func(now time.Time, last bool)
	deadline group.Deadline
}

const (
	// parkFor is how long a request waits for the transaction before it to
	// complete. Kafka answers CONCURRENT_TRANSACTIONS at once and lets the client
	// try again after 20 ms or more; completion takes one sync.
	parkFor = 50 * time.Millisecond
	// maxIDs bounds the transactional ids of one partition of the state topic.
	maxIDs = 1 << 16
	// maxWaiters bounds the parked requests of one id; a producer has one.
	maxWaiters = 8
	// markerRetry is the pause before a marker that failed is sent again.
	markerRetry = 50 * time.Millisecond
)

func newTable(out *group.Outbox, ds *group.Deadlines, c *counters) *table {
	return &table{entries: map[string]*entry{}, out: out, ds: ds, counters: c, flexible: true, limit: maxIDs, serverVersion: func() int16 { return 2 }}
}

// write makes next current and writes its record.
func (t *table) write(e *entry, next *meta, now time.Time) {
	key, value := next.encode(t.flexible)
	t.out.Write(key, value)
	e.m = next
	t.arm(e, now)
}

// arm sets the deadline that the entry's state calls for.
func (t *table) arm(e *entry, now time.Time) {
	var at int64
	switch e.m.state {
	case Ongoing:
		at = e.m.startMs + int64(e.m.timeoutMs) + 1
	case Empty, CompleteCommit, CompleteAbort:
		at = e.m.updateMs + t.expirationMs + 1
	default:
		t.ds.Stop(&e.timeout)
		return
	}
	due := time.UnixMilli(at)
	if due.Before(now) {
		due = now
	}
	t.ds.Set(&e.timeout, due)
}

// add makes an entry for a meta.
func (t *table) add(m *meta) *entry {
	e := &entry{m: m}
	e.retry.Fire = func(time.Time) { t.sendMarkers(e) }
	e.timeout.Fire = func(now time.Time) { t.expire(e, now) }
	t.entries[m.id] = e
	return e
}

func (t *table) remove(e *entry) {
	t.ds.Stop(&e.timeout)
	t.ds.Stop(&e.retry)
	delete(t.entries, e.m.id)
	t.counters.ids.Add(-1)
}

// park keeps a request until the transaction of e is complete or parkFor has
// passed; it reports false when it may not wait (any more).
func (t *table) park(e *entry, now time.Time, last bool, again func(now time.Time, last bool)) bool {
	if last || e.unmarked == nil || len(e.waiters) >= maxWaiters {
		return false
	}
	w := &waiter{again: again}
	w.deadline.Fire = func(now time.Time) {
		e.waiters = slices.DeleteFunc(e.waiters, func(o *waiter) bool { return o == w })
		again(now, true)
	}
	t.ds.Set(&w.deadline, now.Add(parkFor))
	e.waiters = append(e.waiters, w)
	t.counters.parked.Add(1)
	return true
}

// wake lets the parked requests of e try again.
func (t *table) wake(e *entry, now time.Time) {
	waiters := e.waiters
	e.waiters = nil
	for _, w := range waiters {
		t.ds.Stop(&w.deadline)
		w.again(now, false)
	}
}

// initResult is the answer to an InitProducerId.
type initResult struct {
	code       int16
	producerID int64
	epoch      int16
}

// initProducer serves InitProducerId for a transactional id. Here and below a
// zero time means that the shard has lost its log, and last that the request
// may not be parked again.
func (t *table) initProducer(id string, expect initExpect, timeoutMs int32, now time.Time, last bool, done func(initResult)) {
	fail := func(code int16) { done(initResult{code, noProducer, noEpoch}) }
	if now.IsZero() {
		fail(errCoordinatorNotAvail)
		return
	}
	e := t.entries[id]
	if e == nil {
		if len(t.entries) >= t.limit {
			fail(errCoordinatorNotAvail)
			return
		}
		fresh := t.freshID()
		if fresh == noProducer {
			fail(errCoordinatorLoading)
			return
		}
		e = t.add(newMeta(id, fresh, now.UnixMilli()))
		t.counters.ids.Add(1)
	}
	var starved bool
	next, fence, code := e.m.initTransition(expect, timeoutMs, t.fresh(&starved), now.UnixMilli())
	switch {
	case starved:
		fail(errCoordinatorLoading)
		return
	case code == errConcurrentTxns:
		if !t.park(e, now, last, func(now time.Time, last bool) {
			t.initProducer(id, expect, timeoutMs, now, last, done)
		}) {
			fail(errConcurrentTxns)
		}
		return
	case code != errNone:
		fail(code)
		return
	}
	if fence {
		if !t.abortFenced(e, now) {
			fail(errCoordinatorLoading)
			return
		}
		if !t.park(e, now, last, func(now time.Time, last bool) {
			t.initProducer(id, expect, timeoutMs, now, last, done)
		}) {
			t.out.Answer(func(error) { fail(errConcurrentTxns) })
		}
		return
	}
	t.write(e, next, now)
	result := initResult{errNone, next.producerID, next.epoch}
	t.out.Answer(func(err error) {
		if err != nil {
			fail(errCoordinatorNotAvail)
			return
		}
		done(result)
	})
}

// fresh wraps the reserve of producer ids: when it is empty the transition that
// needs one must not happen, which starved tells.
func (t *table) fresh(starved *bool) func() int64 {
	return func() int64 {
		id := t.freshID()
		*starved = id == noProducer
		return id
	}
}

// abortFenced aborts the open transaction of e; it reports false when there is
// no producer id to rotate to yet.
func (t *table) abortFenced(e *entry, now time.Time) bool {
	var starved bool
	next := e.m.abortFenced(t.serverVersion(), t.fresh(&starved), now.UnixMilli())
	if starved {
		return false
	}
	t.counters.fenced.Add(1)
	t.prepare(e, next, now, nil)
	return true
}

// addParts serves AddPartitionsToTxn, AddOffsetsToTxn and the implicit add of
// transactions v2.
func (t *table) addParts(id string, producerID int64, epoch int16, parts []part, version int16, now time.Time, last bool, done func(code int16)) {
	if now.IsZero() {
		done(errCoordinatorNotAvail)
		return
	}
	e := t.entries[id]
	if e == nil {
		done(errInvalidProducerIDMap)
		return
	}
	next, code := e.m.addTransition(producerID, epoch, parts, version, now.UnixMilli())
	switch {
	case code == errConcurrentTxns:
		if !t.park(e, now, last, func(now time.Time, last bool) {
			t.addParts(id, producerID, epoch, parts, version, now, last, done)
		}) {
			done(errConcurrentTxns)
		}
	case code != errNone:
		done(code)
	default:
		if next != nil {
			t.write(e, next, now)
		}
		t.out.Answer(func(err error) {
			if err != nil {
				done(errCoordinatorNotAvail)
				return
			}
			done(errNone)
		})
	}
}

// verify tells for each partition whether it is in the open transaction.
func (t *table) verify(id string, producerID int64, epoch int16, parts []part) (code int16, missing map[part]bool) {
	e := t.entries[id]
	if e == nil {
		return errInvalidProducerIDMap, nil
	}
	if code := e.m.checkOwner(producerID, epoch); code != errNone {
		return code, nil
	}
	for _, p := range parts {
		if _, ok := e.m.parts[p]; !ok || e.m.state != Ongoing {
			if missing == nil {
				missing = map[part]bool{}
			}
			missing[p] = true
		}
	}
	return errNone, missing
}

// endTxn serves EndTxn. The answer comes when the decision is durable; the
// markers follow.
func (t *table) endTxn(id string, req end, now time.Time, last bool, done func(code int16, producerID int64, epoch int16)) {
	fail := func(code int16) { done(code, noProducer, noEpoch) }
	if now.IsZero() {
		fail(errCoordinatorNotAvail)
		return
	}
	e := t.entries[id]
	if e == nil {
		fail(errInvalidProducerIDMap)
		return
	}
	var starved bool
	next, code := e.m.endTransition(req, t.fresh(&starved), now.UnixMilli())
	switch {
	case starved:
		fail(errCoordinatorLoading)
	case code == errConcurrentTxns:
		if !t.park(e, now, last, func(now time.Time, last bool) {
			t.endTxn(id, req, now, last, done)
		}) {
			fail(errConcurrentTxns)
		}
	case code != errNone:
		fail(code)
	case next == nil:
		producerID, bumped := e.m.producerID, e.m.epoch
		t.out.Answer(func(error) { done(errNone, producerID, bumped) })
	default:
		producerID, bumped := next.answer()
		t.prepare(e, next, now, func(err error) {
			if err != nil {
				fail(errCoordinatorNotAvail)
				return
			}
			done(errNone, producerID, bumped)
		})
	}
}

// prepare writes the decision; once it is durable the markers go out.
func (t *table) prepare(e *entry, next *meta, now time.Time, answer func(error)) {
	t.write(e, next, now)
	e.unmarked, e.inFlight = maps.Clone(next.parts), nil
	if e.unmarked == nil {
		e.unmarked = map[part]struct{}{}
	}
	if next.state == PrepareCommit {
		t.counters.commits.Add(1)
	} else {
		t.counters.aborts.Add(1)
	}
	t.out.Answer(func(err error) {
		if answer != nil {
			answer(err)
		}
		if err == nil && e.m == next {
			t.sendMarkers(e)
		}
	})
}

// marked is told that a partition's marker is durable, or why it is not. The
// last one completes the transaction.
func (t *table) marked(e *entry, of *meta, p part, failed error, now time.Time) {
	if e.m != of {
		return
	}
	delete(e.inFlight, p)
	if failed != nil {
		t.counters.markerRetries.Add(1)
		if !e.retry.Armed() {
			t.ds.Set(&e.retry, now.Add(markerRetry))
		}
		return
	}
	delete(e.unmarked, p)
	if len(e.unmarked) == 0 {
		t.complete(e, now)
	}
}

// complete writes the end of a transaction. It is in memory at once; who waits
// goes on as soon as it is durable, by the order of the outbox.
func (t *table) complete(e *entry, now time.Time) {
	e.unmarked, e.inFlight = nil, nil
	t.ds.Stop(&e.retry)
	t.write(e, e.m.completeTransition(now.UnixMilli()), now)
	t.wake(e, now)
}

// expire runs when an entry's deadline has come: an open transaction that is
// over its time is aborted with a fenced epoch, an id that nobody used for long
// is forgotten.
func (t *table) expire(e *entry, now time.Time) {
	ms := now.UnixMilli()
	switch {
	case e.m.timedOut(ms):
		if !t.abortFenced(e, now) {
			t.ds.Set(&e.timeout, now.Add(markerRetry))
			return
		}
		t.counters.timedOut.Add(1)
	case e.m.expired(ms, t.expirationMs):
		key, _ := e.m.encode(t.flexible)
		t.out.Write(key, nil)
		t.remove(e)
		t.counters.expired.Add(1)
	default:
		t.arm(e, now)
	}
}

// replay applies one record of the log.
func (t *table) replay(key, value []byte) error {
	id, ok := decodeKey(key)
	if !ok {
		return nil // a key of a newer kind; Kafka passes over it as well
	}
	if value == nil {
		delete(t.entries, id)
		return nil
	}
	m, err := decode(id, value)
	if err != nil {
		return err
	}
	t.add(m)
	return nil
}

// loaded arms the deadlines after a replay and finishes what was decided before
// the crash.
func (t *table) loaded(now time.Time) {
	for _, e := range t.entries {
		t.arm(e, now)
		if e.m.state == PrepareCommit || e.m.state == PrepareAbort {
			e.unmarked = maps.Clone(e.m.parts)
			if e.unmarked == nil {
				e.unmarked = map[part]struct{}{}
			}
			t.sendMarkers(e)
		}
	}
	t.counters.ids.Add(int64(len(t.entries)))
}

// forget drops everything; who is parked hears that the coordinator is gone.
func (t *table) forget() {
	entries := t.entries
	t.entries = map[string]*entry{}
	t.counters.ids.Add(-int64(len(entries)))
	for _, e := range entries {
		e.unmarked = nil
		waiters := e.waiters
		e.waiters = nil
		for _, w := range waiters {
			w.again(time.Time{}, true)
		}
	}
}

// describe fills one entry of a DescribeTransactions response.
func (t *table) describe(id string, r *kmsg.DescribeTransactionsResponseTransactionState) {
	e := t.entries[id]
	if e == nil {
		r.ErrorCode = errTransactionalIDNotFnd
		return
	}
	r.State, r.TimeoutMillis, r.StartTimestamp = e.m.state.String(), e.m.timeoutMs, e.m.startMs
	r.ProducerID, r.ProducerEpoch = e.m.producerID, e.m.epoch
	for _, topic := range topicsOf(e.m.parts) {
		out := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
		out.Topic, out.Partitions = topic.Topic, topic.Partitions
		r.Topics = append(r.Topics, out)
	}
}

package txn

import (
	"testing"

	"pgregory.net/rapid"
)

func fresh(id int64) func() int64 { return func() int64 { return id } }

func ongoing(version int16) *meta {
	m := newMeta("t", 7, 100)
	m.epoch, m.timeoutMs = 3, 1000
	next, code := m.addTransition(7, 3, []part{{"a", 0}, {"a", 1}}, version, 200)
	if code != errNone {
		panic("BUG: the first add failed")
	}
	return next
}

func in(state State, version int16) *meta {
	m := ongoing(version)
	switch state {
	case Ongoing:
		return m
	case Empty:
		e := newMeta("t", 7, 100)
		e.epoch, e.clientVersion = 3, version
		return e
	}
	commit := state == PrepareCommit || state == CompleteCommit
	m, code := m.endTransition(end{producerID: 7, epoch: 3, commit: commit, version: version}, fresh(99), 300)
	if code != errNone {
		panic("BUG: the end failed")
	}
	if state == CompleteCommit || state == CompleteAbort {
		m = m.completeTransition(400)
	}
	return m
}

// TestInit walks InitProducerId over every state (KIP-98, KIP-360).
func TestInit(t *testing.T) {
	none := initExpect{noProducer, noEpoch}
	for _, c := range []struct {
		name   string
		m      *meta
		expect initExpect
		code   int16
		fence  bool
		id     int64
		epoch  int16
	}{
		{"unused", newMeta("t", 7, 0), none, errNone, false, 7, 0},
		{"unused with stale id", newMeta("t", 7, 0), initExpect{5, 9}, errNone, false, 7, 0},
		{"empty", in(Empty, 2), none, errNone, false, 7, 4},
		{"empty, expected", in(Empty, 2), initExpect{7, 3}, errNone, false, 7, 4},
		{"empty, other id", in(Empty, 2), initExpect{8, 3}, errProducerFenced, false, 0, 0},
		{"empty, old epoch", in(Empty, 2), initExpect{7, 1}, errProducerFenced, false, 0, 0},
		{"ongoing", in(Ongoing, 2), none, errNone, true, 7, 4},
		{"prepared to commit", in(PrepareCommit, 1), none, errConcurrentTxns, false, 0, 0},
		{"prepared to abort", in(PrepareAbort, 1), none, errConcurrentTxns, false, 0, 0},
		{"committed", in(CompleteCommit, 1), none, errNone, false, 7, 4},
		{"aborted under v2", in(CompleteAbort, 2), none, errNone, false, 7, 5},
		{"aborted under v2, retry of the bump", in(CompleteAbort, 2), initExpect{7, 3}, errNone, false, 7, 4},
		{"exhausted", &meta{id: "t", producerID: 7, prevProducerID: noProducer, nextProducerID: noProducer, epoch: lastEpoch, lastEpoch: noEpoch}, none, errNone, false, 50, 0},
		{"exhausted, expected", &meta{id: "t", producerID: 7, prevProducerID: noProducer, nextProducerID: noProducer, epoch: lastEpoch, lastEpoch: noEpoch}, initExpect{7, lastEpoch}, errNone, false, 50, 0},
		{"exhausted, retry of the last bump", &meta{id: "t", producerID: 7, prevProducerID: noProducer, nextProducerID: noProducer, epoch: lastEpoch, lastEpoch: lastEpoch - 1}, initExpect{7, lastEpoch - 1}, errNone, false, 7, lastEpoch},
		{"exhausted, an older epoch", &meta{id: "t", producerID: 7, prevProducerID: noProducer, nextProducerID: noProducer, epoch: lastEpoch, lastEpoch: lastEpoch - 1}, initExpect{7, 5}, errProducerFenced, false, 0, 0},
		{"rotated, retry with the old id", &meta{id: "t", producerID: 50, prevProducerID: 7, nextProducerID: noProducer, epoch: 0, lastEpoch: lastEpoch}, initExpect{7, lastEpoch}, errNone, false, 50, 0},
		{"rotated, older epoch of the old id", &meta{id: "t", producerID: 50, prevProducerID: 7, nextProducerID: noProducer, epoch: 0, lastEpoch: lastEpoch}, initExpect{7, 12}, errProducerFenced, false, 0, 0},
		{"rotated, the old id with the new one's epoch", &meta{id: "t", producerID: 50, prevProducerID: 7, nextProducerID: noProducer, epoch: 0, lastEpoch: lastEpoch}, initExpect{7, 0}, errProducerFenced, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := *c.m
			next, fence, code := c.m.initTransition(c.expect, 5000, fresh(50), 1000)
			if code != c.code || fence != c.fence {
				t.Fatalf("got code %d fence %v, want %d %v", code, fence, c.code, c.fence)
			}
			if fence {
				next = c.m.abortFenced(2, fresh(50), 1000)
			}
			if code == errNone && (next.producerID != c.id || next.epoch != c.epoch) {
				t.Fatalf("got producer %d epoch %d, want %d %d", next.producerID, next.epoch, c.id, c.epoch)
			}
			if before.epoch != c.m.epoch || before.state != c.m.state || before.producerID != c.m.producerID {
				t.Fatal("the transition changed the meta that it was given")
			}
		})
	}
}

// TestEnd walks EndTxn over every state, for transaction versions 1 and 2 (KIP-890).
func TestEnd(t *testing.T) {
	type want struct {
		code  int16
		state State // of next; -1 when nothing is written
		epoch int16
	}
	nothing := func(code int16) want { return want{code, -1, 0} }
	for _, c := range []struct {
		name    string
		m       *meta
		commit  bool
		version int16
		epoch   int16
		want    want
	}{
		{"v1 commit", in(Ongoing, 1), true, 1, 3, want{errNone, PrepareCommit, 3}},
		{"v1 abort", in(Ongoing, 1), false, 1, 3, want{errNone, PrepareAbort, 3}},
		{"v1 old epoch", in(Ongoing, 1), true, 1, 2, nothing(errProducerFenced)},
		{"v1 newer epoch", in(Ongoing, 1), true, 1, 4, nothing(errProducerFenced)},
		{"v1 commit of nothing", in(Empty, 1), true, 1, 3, nothing(errInvalidTxnState)},
		{"v1 abort of nothing", in(Empty, 1), false, 1, 3, nothing(errInvalidTxnState)},
		{"v1 commit again", in(CompleteCommit, 1), true, 1, 3, nothing(errNone)},
		{"v1 abort after commit", in(CompleteCommit, 1), false, 1, 3, nothing(errInvalidTxnState)},
		{"v1 abort again", in(CompleteAbort, 1), false, 1, 3, nothing(errNone)},
		{"v1 commit after abort", in(CompleteAbort, 1), true, 1, 3, nothing(errInvalidTxnState)},
		{"v1 commit while committing", in(PrepareCommit, 1), true, 1, 3, nothing(errConcurrentTxns)},
		{"v1 abort while committing", in(PrepareCommit, 1), false, 1, 3, nothing(errInvalidTxnState)},
		{"v2 commit", in(Ongoing, 2), true, 2, 3, want{errNone, PrepareCommit, 4}},
		{"v2 abort", in(Ongoing, 2), false, 2, 3, want{errNone, PrepareAbort, 4}},
		{"v2 commit of nothing", in(Empty, 2), true, 2, 3, nothing(errInvalidTxnState)},
		{"v2 abort of nothing", in(Empty, 2), false, 2, 3, want{errNone, PrepareAbort, 4}},
		{"v2 commit retried", in(CompleteCommit, 2), true, 2, 3, nothing(errNone)},
		{"v2 commit again", in(CompleteCommit, 2), true, 2, 4, nothing(errInvalidTxnState)},
		{"v2 abort after commit", in(CompleteCommit, 2), false, 2, 4, want{errNone, PrepareAbort, 5}},
		{"v2 abort retried after commit", in(CompleteCommit, 2), false, 2, 3, nothing(errInvalidTxnState)},
		{"v2 abort retried", in(CompleteAbort, 2), false, 2, 3, nothing(errNone)},
		{"v2 abort again", in(CompleteAbort, 2), false, 2, 4, want{errNone, PrepareAbort, 5}},
		{"v2 retry while preparing", in(PrepareCommit, 2), true, 2, 3, nothing(errConcurrentTxns)},
		{"v2 end of the next transaction while preparing", in(PrepareCommit, 2), true, 2, 4, nothing(errConcurrentTxns)},
		{"v2 abort of the next transaction while preparing", in(PrepareCommit, 2), false, 2, 4, nothing(errConcurrentTxns)},
		{"v2 zombie", in(CompleteCommit, 2), true, 2, 1, nothing(errProducerFenced)},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, code := c.m.endTransition(end{producerID: 7, epoch: c.epoch, commit: c.commit, version: c.version}, fresh(50), 900)
			got := want{code, -1, 0}
			if next != nil {
				got = want{code, next.state, next.epoch}
			}
			if got != c.want {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
		})
	}
	if _, code := in(Ongoing, 2).endTransition(end{producerID: 8, epoch: 3, version: 2}, fresh(50), 1); code != errInvalidProducerIDMap {
		t.Fatalf("another producer's id: got %d", code)
	}
}

// TestTimedOut: a transaction's time counts from its begin, whatever was added
// to it since, and only while it is open.
func TestTimedOut(t *testing.T) {
	m := ongoing(1) // begun at 200, for 1000 ms
	later, code := m.addTransition(7, 3, []part{{"b", 0}}, 1, 1100)
	if code != errNone {
		t.Fatal(code)
	}
	for _, c := range []struct {
		now  int64
		want bool
	}{{1200, false}, {1201, true}} {
		if got := later.timedOut(c.now); got != c.want {
			t.Errorf("at %d: %v, want %v", c.now, got, c.want)
		}
	}
	for _, state := range []State{Empty, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort} {
		if in(state, 1).timedOut(1 << 40) {
			t.Errorf("state %v times out", state)
		}
	}
	// The next transaction's time is its own, not that of the one before.
	for _, version := range []int16{1, 2} {
		m := in(CompleteCommit, version) // begun at 200
		m, code := m.addTransition(7, m.epoch, []part{{"a", 0}}, version, 5000)
		if code != errNone {
			t.Fatal(code)
		}
		if m.timedOut(6000) || !m.timedOut(6001) {
			t.Errorf("version %d: the second transaction is timed from %d, not from 5000", version, m.startMs)
		}
	}
}

// TestOverflow follows an epoch to its end under transactions v2: the producer
// id rotates, and a retry of the EndTxn that rotated it is recognised.
func TestOverflow(t *testing.T) {
	m := ongoing(2)
	m.epoch = lastEpoch
	m, code := m.endTransition(end{producerID: 7, epoch: lastEpoch, commit: true, version: 2}, fresh(50), 1)
	if code != errNone {
		t.Fatal(code)
	}
	if id, epoch := m.answer(); id != 50 || epoch != 0 {
		t.Fatalf("the client goes on with %d/%d, want 50/0", id, epoch)
	}
	m = m.completeTransition(2)
	if m.producerID != 50 || m.epoch != 0 || m.prevProducerID != 7 {
		t.Fatalf("after completion: %+v", m)
	}
	if next, code := m.endTransition(end{producerID: 7, epoch: lastEpoch, commit: true, version: 2}, fresh(51), 3); next != nil || code != errNone {
		t.Fatalf("the retry got %v, %d", next, code)
	}
}

// TestRecord holds that what is written is what is read.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &meta{id: rapid.StringN(1, 20, -1).Draw(t, "id"), producerID: rapid.Int64Min(0).Draw(t, "pid"),
			prevProducerID: rapid.Int64Min(-1).Draw(t, "prev"), nextProducerID: rapid.Int64Min(-1).Draw(t, "next"),
			epoch: rapid.Int16Min(1).Draw(t, "epoch"), timeoutMs: rapid.Int32Min(1).Draw(t, "timeout"),
			state: State(rapid.IntRange(0, 5).Draw(t, "state")), startMs: rapid.Int64Min(-1).Draw(t, "start"),
			updateMs: rapid.Int64Min(0).Draw(t, "update"), clientVersion: int16(rapid.IntRange(0, 2).Draw(t, "version"))}
		if m.state >= Ongoing && m.state <= PrepareAbort {
			m.parts = map[part]struct{}{}
			for _, p := range rapid.SliceOfN(rapid.IntRange(0, 40), 1, 8).Draw(t, "parts") {
				m.parts[part{string(rune('a' + p%5)), int32(p)}] = struct{}{}
			}
		}
		key, value := m.encode(true)
		id, ok := decodeKey(key)
		if !ok || id != m.id {
			t.Fatalf("key gave %q, %v", id, ok)
		}
		got, err := decode(id, value)
		if err != nil {
			t.Fatal(err)
		}
		_, again := got.encode(true)
		if string(again) != string(value) {
			t.Fatalf("decoded to %+v from %+v", got, m)
		}
	})
}

// TestRotation: between the EndTxn that told a client its new producer id and
// the completion that makes it current, the client is told to come again. The
// id before would end the producer: INVALID_PRODUCER_ID_MAPPING is fatal to it.
func TestRotation(t *testing.T) {
	m := ongoing(2)
	m.epoch = lastEpoch
	m, code := m.endTransition(end{producerID: 7, epoch: lastEpoch, commit: true, version: 2}, fresh(50), 1)
	if code != errNone {
		t.Fatal(code)
	}
	for _, c := range []struct {
		id   int64
		want int16
	}{{50, errConcurrentTxns}, {51, errInvalidProducerIDMap}} {
		if _, code := m.addTransition(c.id, 0, []part{{"a", 0}}, 2, 2); code != c.want {
			t.Errorf("AddPartitions of %d: got %d, want %d", c.id, code, c.want)
		}
		if _, code := m.endTransition(end{producerID: c.id, version: 2}, fresh(60), 2); code != c.want {
			t.Errorf("EndTxn of %d: got %d, want %d", c.id, code, c.want)
		}
	}
	if _, code := m.completeTransition(3).addTransition(50, 0, []part{{"a", 0}}, 2, 4); code != errNone {
		t.Errorf("after the completion: got %d", code)
	}
}

// TestHighestEpoch: the epoch kept for fencing was given to no client, and who
// comes with it can neither open nor end a transaction: the next bump would
// have no epoch left, and its markers would be refused for ever.
func TestHighestEpoch(t *testing.T) {
	m := in(CompleteAbort, 1)
	m.epoch = lastEpoch + 1
	if _, code := m.addTransition(7, lastEpoch+1, []part{{"a", 0}}, 2, 1); code != errProducerFenced {
		t.Errorf("AddPartitions: got %d, want %d", code, errProducerFenced)
	}
	for _, version := range []int16{1, 2} {
		if _, code := m.endTransition(end{producerID: 7, epoch: lastEpoch + 1, version: version}, fresh(50), 1); code != errProducerFenced {
			t.Errorf("EndTxn of transaction version %d: got %d, want %d", version, code, errProducerFenced)
		}
	}
	m = ongoing(1)
	m.epoch = lastEpoch + 1
	for _, server := range []int16{1, 2} {
		if got := m.abortFenced(server, fresh(50), 1).epoch; got != lastEpoch+1 {
			t.Errorf("the fence of version %d gave epoch %d", server, got)
		}
	}
}

// TestFencedAbort: who asks for a new epoch with its own while its transaction
// is open (KIP-360) goes on after the abort; who asks without fences it. Under
// transaction version 1 the old epoch is a zombie's in both cases.
func TestFencedAbort(t *testing.T) {
	for _, c := range []struct {
		server int16
		from   int16
		expect initExpect
		code   int16
		id     int64
		epoch  int16
	}{
		{2, 3, initExpect{7, 3}, errNone, 7, 4},
		{2, 3, initExpect{noProducer, noEpoch}, errNone, 7, 5},
		{2, 3, initExpect{7, 2}, errProducerFenced, 0, 0},
		{2, lastEpoch, initExpect{7, lastEpoch}, errNone, 50, 0},
		{2, lastEpoch, initExpect{noProducer, noEpoch}, errNone, 50, 1},
		{1, 3, initExpect{7, 3}, errProducerFenced, 0, 0},
		{1, 3, initExpect{noProducer, noEpoch}, errNone, 7, 5},
		{1, lastEpoch, initExpect{noProducer, noEpoch}, errNone, 50, 0},
	} {
		m := ongoing(2)
		m.epoch = c.from
		if _, fence, code := m.initTransition(c.expect, 1000, fresh(50), 1); !fence || code != errNone {
			t.Fatalf("%+v: fence %v, code %d", c, fence, code)
		}
		m = m.abortFenced(c.server, fresh(50), 2)
		if m.state != PrepareAbort || m.epoch != c.from+1 || (m.clientVersion >= 2) != (c.server >= 2) {
			t.Fatalf("%+v: the abort is %+v", c, m)
		}
		m = m.completeTransition(3)
		next, _, code := m.initTransition(c.expect, 1000, fresh(50), 4)
		if code != c.code || code == errNone && (next.producerID != c.id || next.epoch != c.epoch) {
			t.Errorf("%+v: code %d, %+v", c, code, next)
		}
	}
}

// TestExpired: an id is forgotten once nobody has used it for longer than
// transactional.id.expiration.ms, and never while something is open.
func TestExpired(t *testing.T) {
	for s, ends := range map[State]bool{Empty: true, CompleteCommit: true, CompleteAbort: true, Ongoing: false, PrepareCommit: false, PrepareAbort: false} {
		m := &meta{state: s, updateMs: 1000}
		if m.expired(1500, 500) {
			t.Errorf("%v: forgotten too early", s)
		}
		if m.expired(1501, 500) != ends {
			t.Errorf("%v: expired is %v after its time, want %v", s, !ends, ends)
		}
	}
}

package logstore

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

func memRig(t testing.TB, change func(*Options)) *rig {
	o := rigOptions(vfs.NewMem())
	if change != nil {
		change(&o)
	}
	return mustRig(t, o).ready()
}

// TestSequences walks Kafka's rules for idempotent producers
// (ProducerAppendInfo, ProducerStateEntry).
func TestSequences(t *testing.T) {
	r := memRig(t, nil)
	defer r.close()
	l := r.open(specOf("t", 0))
	type step struct {
		what  string
		p     producing
		n     int
		txnV2 bool
		err   error
		base  int64
		dup   bool
	}
	for _, s := range []step{
		{"no state: any sequence", producing{1, 0, 7, false}, 2, false, nil, 0, false},
		{"no state under TV2: only 0", producing{2, 0, 7, false}, 1, true, ErrOutOfOrderSequence, 0, false},
		{"no state under TV2: 0", producing{2, 0, 0, false}, 1, true, nil, 2, false},
		{"the next", producing{1, 0, 9, false}, 1, false, nil, 3, false},
		{"a gap", producing{1, 0, 11, false}, 1, false, ErrOutOfOrderSequence, 0, false},
		{"the first again", producing{1, 0, 7, false}, 2, false, nil, 0, true},
		{"the second again", producing{1, 0, 9, false}, 1, false, nil, 3, true},
		{"same first, other last", producing{1, 0, 9, false}, 2, false, ErrOutOfOrderSequence, 0, false},
		{"new epoch not at 0", producing{1, 1, 10, false}, 1, false, ErrOutOfOrderSequence, 0, false},
		{"new epoch at 0", producing{1, 1, 0, false}, 1, false, nil, 4, false},
		{"old epoch", producing{1, 0, 10, false}, 1, false, ErrProducerEpoch, 0, false},
		{"wraps", producing{3, 0, math.MaxInt32 - 1, false}, 4, false, nil, 5, false},
		{"after the wrap", producing{3, 0, 2, false}, 1, false, nil, 9, false},
		{"the wrap again", producing{3, 0, math.MaxInt32 - 1, false}, 4, false, nil, 5, true},
	} {
		res, err := r.append(l, Append{Batches: makeBatch("x", s.n, s.p, testNow), TxnV2: s.txnV2})
		if !errors.Is(err, s.err) || (err == nil && (res.BaseOffset != s.base || res.Duplicate != s.dup || res.LastOffset != s.base+int64(s.n)-1)) {
			t.Errorf("%s: %+v, %v", s.what, res, err)
		}
	}
	// Five batches are remembered, the sixth last is not.
	for seq := range int32(7) {
		if _, err := r.append(l, Append{Batches: makeBatch("y", 1, producing{9, 0, seq, false}, testNow)}); err != nil {
			t.Fatal(err)
		}
	}
	for seq, want := range []error{ErrOutOfOrderSequence, ErrOutOfOrderSequence, nil, nil, nil, nil, nil} {
		res, err := r.append(l, Append{Batches: makeBatch("y", 1, producing{9, 0, int32(seq), false}, testNow)})
		if !errors.Is(err, want) || (want == nil && !res.Duplicate) {
			t.Errorf("batch %d again: %+v, %v", seq, res, err)
		}
	}
}

// TestDuplicatesSurviveRestarts: the last five batches are known after a clean
// stop and after a kill.
func TestDuplicatesSurviveRestarts(t *testing.T) {
	o := rigOptions(vfs.NewMem())
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	for seq := range int32(6) {
		if _, err := r.append(l, Append{Batches: makeBatch("y", 1, producing{9, 0, seq, false}, testNow)}); err != nil {
			t.Fatal(err)
		}
		if seq == 3 {
			if err := r.s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for round := range 3 {
		if round%2 == 0 {
			o.FS = o.FS.(*vfs.Mem).Kill()
		} else {
			r.close()
		}
		r = mustRig(t, o)
		l = r.open(specOf("t", 0))
		r.ready()
		for seq := int32(1); seq < 6; seq++ {
			res, err := r.append(l, Append{Batches: makeBatch("y", 1, producing{9, 0, seq, false}, testNow)})
			if err != nil || !res.Duplicate || res.BaseOffset != int64(seq) {
				t.Errorf("round %d, batch %d: %+v, %v", round, seq, res, err)
			}
		}
		if p := l.Producers(); len(p) != 1 || p[0].LastSequence != 5 || p[0].ID != 9 || p[0].TxnStart != -1 {
			t.Errorf("round %d: producers %+v", round, p)
		}
	}
	r.close()
}

func TestProducerBound(t *testing.T) {
	r := memRig(t, func(o *Options) { o.MaxProducers = 32 })
	defer r.close()
	l := r.open(specOf("t", 0))
	for id := range int64(200) {
		if _, err := r.append(l, Append{Batches: makeBatch("x", 1, producing{id, 0, 0, false}, testNow+id)}); err != nil {
			t.Fatal(err)
		}
		if n := len(l.Producers()); n > 32 {
			t.Fatalf("%d producers are remembered", n)
		}
	}
	last := l.Producers()
	if last[len(last)-1].ID != 199 {
		t.Errorf("the newest producer was forgotten: %+v", last)
	}
	// Open transactions are never forgotten; with nothing else it is an error.
	r2 := memRig(t, func(o *Options) { o.MaxProducers = 4 })
	defer r2.close()
	l = r2.open(specOf("t", 0))
	for id := range int64(4) {
		if _, err := r2.append(l, Append{Batches: makeBatch("x", 1, producing{id, 0, 0, true}, testNow)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r2.append(l, Append{Batches: makeBatch("x", 1, producing{9, 0, 0, false}, testNow)}); !errors.Is(err, ErrTooManyProducers) {
		t.Errorf("a fifth producer: %v", err)
	}
}

func (r *rig) mark(l *Log, id int64, epoch int16, commit bool, coordinator int32, v2 bool) error {
	r.t.Helper()
	_, err := r.append(l, Append{Batches: makeMarker(id, epoch, commit, coordinator, testNow), Origin: Coordinator, TxnV2: v2})
	return err
}

func (r *rig) send(l *Log, id int64, epoch int16, seq int32, txn bool) (int64, error) {
	r.t.Helper()
	res, err := r.append(l, Append{Batches: makeBatch("x", 1, producing{id, epoch, seq, txn}, testNow)})
	return res.BaseOffset, err
}

func TestTransactions(t *testing.T) {
	disks(t, func(t *testing.T, o Options) {
		r := mustRig(t, o).ready()
		l := r.open(specOf("t", 0))
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		lso := func(want int64) {
			t.Helper()
			if got := l.Offsets().LastStable; got != want {
				t.Errorf("last stable offset is %d, want %d", got, want)
			}
		}
		ok := func(_ int64, err error) { t.Helper(); must(err) }
		ok(r.send(l, 1, 0, 0, true)) // 0
		ok(r.send(l, 2, 0, 0, true)) // 1
		ok(r.send(l, 1, 0, 1, true)) // 2
		r.put(l, "plain", 1)         // 3
		lso(0)
		if _, err := r.send(l, 1, 0, 2, false); !errors.Is(err, ErrTxnState) {
			t.Errorf("a plain batch inside a transaction: %v", err)
		}
		must(r.mark(l, 1, 0, false, 5, false)) // 4: abort of 0, 2
		lso(1)
		if err := r.mark(l, 2, 0, true, 4, false); err != nil {
			t.Errorf("another producer's first marker: %v", err)
		} // 5: commit of 1
		lso(6)
		if err := r.mark(l, 1, 0, true, 4, false); !errors.Is(err, ErrCoordinatorFenced) {
			t.Errorf("an older coordinator: %v", err)
		}
		if err := r.mark(l, 1, -1, true, 9, false); !errors.Is(err, ErrProducerEpoch) && !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("an older epoch: %v", err)
		}
		// TV2: the marker carries the next epoch.
		ok(r.send(l, 3, 0, 0, true)) // 6
		if err := r.mark(l, 3, 0, true, 5, true); !errors.Is(err, ErrProducerEpoch) {
			t.Errorf("a TV2 marker with the transaction's own epoch: %v", err)
		}
		must(r.mark(l, 3, 1, false, 5, true)) // 7
		must(r.mark(l, 3, 1, false, 5, true)) // 8: a retry, nothing open
		lso(9)
		ok(r.send(l, 3, 1, 0, true)) // 9, open
		lso(9)
		want := []AbortedTxn{{1, 0}, {3, 6}}
		check := func(what string) {
			t.Helper()
			for _, c := range []struct {
				from int64
				want []AbortedTxn
			}{{0, want}, {2, want}, {5, want[1:]}, {8, nil}} {
				s, err := l.Read(Read{Offset: c.from, MaxBytes: 1 << 20, Committed: true})
				if err != nil || s.Aborted == nil || !slices.Equal(s.Aborted, c.want) || s.NextOffset != 9 {
					t.Errorf("%s: from %d: aborted %v, next %d, %v", what, c.from, s.Aborted, s.NextOffset, err)
				}
				if s.Len > 0 {
					s.Seg.Release()
				}
			}
			s, err := l.Read(Read{Offset: 9, MaxBytes: 1 << 20, Committed: true})
			if err != nil || s.Len != 0 || s.Aborted == nil {
				t.Errorf("%s: at the last stable offset: %+v %v", what, s, err)
			}
			if p := l.Producers(); len(p) != 3 || p[2].TxnStart != 9 || p[0].CoordinatorEpoch != 5 {
				t.Errorf("%s: producers %+v", what, p)
			}
		}
		check("live")
		r.close()
		r = mustRig(t, o)
		l = r.open(specOf("t", 0))
		r.ready()
		lso(9)
		check("after a clean stop")
		must(r.s.Checkpoint())
		r.put(l, "tail", 1)
		r.close()
	})
}

// TestLSOWaitsForTheMarker: a transaction is decided once its marker is
// durable, not when it is appended.
func TestTransactionsSurviveKill(t *testing.T) {
	o := rigOptions(vfs.NewMem())
	for _, checkpoint := range []bool{false, true} {
		r := mustRig(t, o).ready()
		spec := specOf("t", 0)
		if checkpoint {
			spec = specOf("u", 0)
		}
		l := r.open(spec)
		for id := range int64(3) {
			if _, err := r.send(l, id, 0, 0, true); err != nil {
				t.Fatal(err)
			}
		}
		if checkpoint {
			if err := r.s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.mark(l, 1, 0, false, 1, false); err != nil {
			t.Fatal(err)
		}
		if err := r.mark(l, 0, 0, true, 1, false); err != nil {
			t.Fatal(err)
		}
		o.FS = o.FS.(*vfs.Mem).Kill()
		r = mustRig(t, o)
		l = r.open(spec)
		r.ready()
		if got := l.Offsets(); got.LastStable != 2 || got.HighWatermark != 5 {
			t.Errorf("checkpoint %v: %+v", checkpoint, got)
		}
		if err := r.mark(l, 2, 0, true, 1, false); err != nil {
			t.Fatal(err)
		}
		s, err := l.Read(Read{Offset: 0, MaxBytes: 1 << 20, Committed: true})
		if err != nil || s.NextOffset != 6 || !slices.Equal(s.Aborted, []AbortedTxn{{1, 1}}) {
			t.Errorf("checkpoint %v: %+v %v", checkpoint, s, err)
		}
		s.Seg.Release()
		r.close()
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	var p producers
	e := p.entry(7)
	e.epoch, e.timestamp, e.coordinatorEpoch, e.txnFirst = 3, 99, 2, 40
	e.push(sentBatch{lastSeq: 12, delta: 2, lastOffset: 44, timestamp: 99})
	p.entry(-1 << 40).epoch = 1
	raw := encodeSnapshot(&p)
	back, err := decodeSnapshot(raw)
	if err != nil || len(back.m) != 2 || *back.m[7] != *e {
		t.Errorf("read back %+v, %v", back.m[7], err)
	}
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 1
		if _, err := decodeSnapshot(bad); !errors.Is(err, errBadSnapshot) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, err := decodeSnapshot(raw[:i]); !errors.Is(err, errBadSnapshot) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

// TestGuardsGiveWayTogether: at the bound the oldest sixteenth goes.
func TestGuardsGiveWayTogether(t *testing.T) {
	p := &producers{verifying: map[int64]*verification{}}
	for id := range int64(32) {
		p.verifying[id] = &verification{timestamp: 100 - id}
	}
	p.dropVerifications(33)
	if n := len(p.verifying); n != 32 {
		t.Errorf("%d guards of 32 below the bound", n)
	}
	p.dropVerifications(32)
	if n := len(p.verifying); n != 30 || p.verifying[31] != nil || p.verifying[30] != nil {
		t.Errorf("%d guards at the bound, want 30 without the two oldest", n)
	}
}

// TestGuard interleaves the coordinator's answer with what other connections
// write for the same producer: only a guard that nothing has used up suffices.
func TestGuard(t *testing.T) {
	r := memRig(t, nil)
	defer r.close()
	l := r.open(specOf("t", 0))
	send := func(epoch int16, seq int32, txn bool, g Guard) error {
		t.Helper()
		_, err := l.Append(&Append{Batches: makeBatch("x", 1, producing{1, epoch, seq, txn}, testNow), Token: nextToken(), Now: testNow, Guard: g})
		return err
	}
	guard := func(epoch int16, seq int32, wantOpen bool) Guard {
		t.Helper()
		g, open, err := l.Guard(1, epoch, seq, testNow)
		if err != nil || open != wantOpen || open != (g == 0) {
			t.Fatalf("guard %d, open %v, %v; want open %v", g, open, err, wantOpen)
		}
		return g
	}
	want := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	want("without a guard", send(0, 0, true, 0), ErrTxnState)
	want("a guard that nobody gave", send(0, 0, true, 7), ErrTxnState)
	g := guard(0, 0, false)
	if again := guard(0, 1, false); again != g {
		t.Errorf("a second request in flight has guard %d, the first %d", again, g)
	}
	want("a later batch first", send(0, 1, true, g), ErrOutOfOrderSequence)
	want("the first batch", send(0, 0, true, g), nil)
	guard(0, 1, true)
	want("the second, in the open transaction", send(0, 1, true, 0), nil)
	want("the transaction's end", r.mark(l, 1, 0, true, 0, false), nil)
	want("a batch that saw it open", send(0, 2, true, 0), ErrTxnState)
	want("the used guard", send(0, 2, true, g), ErrTxnState)

	// ABA: the guard is taken and the coordinator says yes, then the transaction
	// ends, and another begins that the partition is not part of.
	stale := guard(0, 2, false)
	want("an end from elsewhere", r.mark(l, 1, 0, false, 0, false), nil)
	want("the guard from before the end", send(0, 2, true, stale), ErrTxnState)
	fresh := guard(0, 2, false)
	if fresh == stale {
		t.Error("the guard is given twice")
	}
	want("the guard from before the end, again", send(0, 2, true, stale), ErrTxnState)
	want("an older epoch's end takes nothing", r.mark(l, 1, -1, false, 0, false), ErrProducerEpoch)
	want("the fresh one", send(0, 2, true, fresh), nil)

	// A newer epoch does not go by the older one's transaction.
	newer := guard(1, 0, false)
	want("another epoch's open transaction", send(1, 0, true, 0), ErrTxnState)
	want("the end of the old epoch's", r.mark(l, 1, 1, false, 0, false), nil)
	want("the guard from before it", send(1, 0, true, newer), ErrTxnState)
	want("verified anew", send(1, 0, true, guard(1, 0, false)), nil)
	want("the end", r.mark(l, 1, 1, true, 0, false), nil)
	_, _, err := l.Guard(1, 0, 0, testNow)
	want("a zombie asks", err, ErrProducerEpoch)
	want("outside a transaction no guard is needed", send(1, 1, false, 0), nil)
	want("a broker that verifies nothing", send(1, 2, true, Unguarded), nil)
}

// TestGuardsAreBounded: those that nobody appended after go by number and age.
func TestGuardsAreBounded(t *testing.T) {
	r := memRig(t, func(o *Options) { o.MaxProducers = 8 })
	defer r.close()
	l := r.open(specOf("t", 0))
	for id := range int64(20) {
		if _, _, err := l.Guard(id, 0, 0, testNow+id); err != nil {
			t.Fatal(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.prod.verifying); n != 8 || l.prod.verifying[11] != nil || l.prod.verifying[12] == nil {
		t.Errorf("%d guards, want the newest 8", n)
	}
	l.prod.expire(testNow + 19)
	if n := len(l.prod.verifying); n != 1 {
		t.Errorf("%d guards after the older ones expired, want 1", n)
	}
}

// TestOldDataIsWrittenOnce: a producer whose batches have old timestamps, as a
// copy of a topic has, is known for ten minutes at least.
func TestOldDataIsWrittenOnce(t *testing.T) {
	r := memRig(t, func(o *Options) { o.ProducerExpiration = time.Hour })
	defer r.close()
	l := r.open(specOf("t", 0))
	send := func() Appended {
		t.Helper()
		res, err := r.append(l, Append{Batches: makeBatch("old", 1, producing{1, 0, 0, false}, testNow-2*time.Hour.Milliseconds())})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	send()
	now := int64(testNow)
	for range 20 { // as the keeper does
		r.s.dirs[0].tidy(now)
		if res := send(); !res.Duplicate || res.BaseOffset != 0 {
			t.Fatalf("%d s after it was written: %+v", (now-testNow)/1000, res)
		}
		now += tidyEvery.Milliseconds()
	}
	r.s.dirs[0].tidy(now)
	l.mu.Lock()
	n := len(l.prod.m)
	l.mu.Unlock()
	if n != 0 {
		t.Fatalf("%d producers after %v", n, forgetEvery)
	}
}

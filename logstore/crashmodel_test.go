package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The crash model. A seed is a few lives of one disk. In each, a store is
// opened, held against the model, used at random (producers with and without
// transactions, rolls, checkpoints, retention, DeleteRecords, compaction,
// topics deleted and made again), and harmed at random: the power goes before
// any change, calls fail with EIO, the disk is full, a sync fails and leaves
// its pages clean, checkpoints crawl while a small ring fills up, calls hang
// for longer than the watchdog lets them (crashharm_test.go). It ends by a clean
// stop, a power cut or a kill. What of all that happened is counted, and a
// scenario that never did fails the test (crashcoverage_test.go).
//
// Held against the model, after each start:
//
//   - what was acknowledged is at its offset, nothing is there twice, nothing
//     that was never sent, offsets without holes (but where compaction makes
//     them; there the last record of each key is never lost);
//   - the log start moved at most as far as it was told;
//   - what a reader was given beside all that is there (crashreader_test.go);
//   - high watermark, last stable offset, aborted transactions and producer
//     state are those of the records that are there.
func TestCrashModel(t *testing.T) {
	seeds := 40
	if raceEnabled {
		seeds = 8
	}
	first, n := crashFirst(), uint64(crashSeeds(seeds))
	cover := newCrashCoverage(t, n)
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel() // much of a life is waiting
			w := &crashWorld{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 4)), disk: vfs.NewMem(), cover: cover}
			for i := range 4 {
				m := &crashLog{name: fmt.Sprint("topic", i), transactional: i == 1, compacted: i == 3}
				w.logs = append(w.logs, m)
				w.renew(m)
			}
			for w.life = 0; w.life < 5 && !t.Failed(); w.life++ {
				w.live()
			}
			if t.Failed() {
				t.Fatalf("seed %d, life %d (%s), after %q; the store said\n%s", seed, w.life, w.plan, w.story, &w.said)
			}
		})
	}
}

type crashWorld struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	disk    *vfs.Mem
	logs    []*crashLog
	life    int
	plan    string
	kind    string     // of the plan, as the coverage names it
	struck  func() int // how often the plan's fault struck
	stores  func() int // how often a window was stored into
	stall   *crashStall
	wide    bool // large records in this life: the ring comes around
	opened  bool
	harmed  bool // errors have an excuse in this life
	cover   *crashCoverage
	s       *Store
	readers atomic.Pointer[crashReaders] // of this life, once it is open
	counter int
	mu      sync.Mutex
	story   []string
	off     []error // mu; why directories went offline in this life
	said    recorder
}

// crashLog is the model of one topic.
type crashLog struct {
	name          string
	id            TopicID
	incarnation   int
	transactional bool
	compacted     bool
	acked         map[int64]string // offset -> value
	sent          map[string]bool
	lastSent      map[string]string // key -> newest value tried, compacted topics
	seen          *crashSeen
	start, tried  int64  // log start: acknowledged, asked for
	told          string // by what
	producers     [2]crashProducer
	l             *Log
}

type crashProducer struct {
	epoch int16
	seq   int32
	open  bool // a transaction may be open
	lost  bool // an append failed: silent for the rest of this life
}

// renew makes a topic new, as metadata would.
func (w *crashWorld) renew(m *crashLog) {
	m.incarnation++
	m.id = stageID(fmt.Sprintf("%s/%d", m.name, m.incarnation))
	m.acked, m.sent, m.lastSent = map[int64]string{}, map[string]bool{}, map[string]string{}
	m.seen = newCrashSeen()
	m.start, m.tried = 0, 0
	m.producers = [2]crashProducer{}
}

func (w *crashWorld) spec(m *crashLog) LogSpec {
	c := DefaultLogConfig()
	c.SegmentBytes, c.IndexIntervalBytes, c.FileDeleteDelayMs = 1500, 200, 0
	if w.wide {
		c.SegmentBytes = 300_000
	}
	c.RetentionMs = -1
	c.BeforeMaxMs, c.AfterMaxMs = 1<<62, 1<<62
	if m.compacted {
		c.Compact, c.Delete, c.MinDirtyRatio = true, false, 0
	}
	return LogSpec{Topic: m.name, ID: m.id, Config: c, Epoch: int32(w.life + 1)}
}

func (w *crashWorld) live() {
	w.harmed, w.off, w.opened, w.struck, w.stall = false, nil, false, nil, nil
	w.readers.Store(nil)
	w.wide = w.rng.IntN(8) == 0
	o := Options{
		Dirs: []string{"/data1", "/data2"}, FS: w.disk, JournalMax: 2 << 20, DiskReserve: -1, Ballast: 64 << 10,
		ProducerExpiration: 1 << 62, // the records say 1970, and a life may be long on a busy machine

		OnCommit: func(_ []Advance, done []Done) {
			w.readers.Load().beat()
			for _, d := range done {
				d.Token.(chan error) <- d.Err
			}
		},
		OnOffline: func(_ string, why error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.off = append(w.off, why)
		},
		Go:     func(_ string, f func()) { go f() },
		Logger: slog.New(slog.NewTextHandler(&w.said, nil)).With("life", w.life),
		Upkeep: UpkeepOptions{CleanerRate: -1, ScrubRate: -1, CleanerThreads: -1},
	}
	last := w.life == 4
	if !last {
		w.harm(&o)
	} else {
		w.plan, w.kind = "nothing", ""
	}
	switch {
	case o.DirectBytes != 0:
	case w.wide:
		o.DirectBytes = -1 // all of it through the ring
	case w.rng.IntN(3) == 0:
		o.DirectBytes = 200
	}
	w.stores = w.disk.Inject(vfs.Fault{Op: vfs.OpTouch, Times: -1})
	s, err := Open(o)
	w.s = s
	if w.ok("open", err) {
		for _, d := range s.dirs {
			if m := d.mapper; m != nil {
				m.hot, m.size = 3, 4096
			}
		}
		if w.start() {
			w.opened = true
			w.startReaders()
			for range 30 + w.rng.IntN(50) {
				if w.t.Failed() || !w.s.Usable() {
					break
				}
				w.step()
			}
		}
		w.end(last)
		return
	}
	w.cover.life(w, "power cut")
	w.disk.CutPower()
	w.disk = w.disk.Crash(w.rng, vfs.CrashOptions{})
}

// ok reports success; a failure without an excuse fails the test.
func (w *crashWorld) ok(what string, err error) bool {
	if err == nil {
		return true
	}
	if !w.harmed {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.t.Errorf("%s: %v (offline: %v)", what, err, w.off)
	}
	return false
}

func (w *crashWorld) start() bool {
	for _, m := range w.logs {
		l, err := w.s.OpenLog(w.spec(m))
		if !w.ok("open log", err) {
			return false
		}
		m.l = l
	}
	known := func(topic string, id TopicID, _ int32) bool {
		return slices.ContainsFunc(w.logs, func(m *crashLog) bool { return m.name == topic && m.id == id })
	}
	if !w.ok("ready", w.s.Ready(known)) {
		return false
	}
	for _, m := range w.logs {
		w.check(m)
		for i := range m.producers {
			p := &m.producers[i]
			*p = crashProducer{epoch: p.epoch + 1, open: p.open}
		}
	}
	if n := w.s.Stats().Damaged; n != 0 {
		w.t.Errorf("what happened is taken for damage %d times", n)
	}
	if w.plan == "full disk" {
		u, err := w.disk.Usage("/")
		if err != nil {
			w.t.Error(err)
		}
		w.disk.SetCapacity(int64(u.Total-u.Free) + w.rng.Int64N(64<<10))
	}
	if w.stall != nil {
		w.stall.arm(w)
	}
	return !w.t.Failed()
}

func (w *crashWorld) end(last bool) {
	w.disk.SetCapacity(1 << 40)
	how := w.rng.IntN(3)
	if last {
		for _, m := range w.logs {
			w.check(m)
		}
		how = 0
	}
	end := []string{"stopped", "power cut", "killed"}[how]
	w.story = append(w.story, fmt.Sprintf("%s; %s", w.plan, end))
	w.cover.life(w, end)
	switch how {
	case 0:
		w.readers.Load().end()
		w.ok("close", w.s.Close())
		w.disk = w.disk.Kill() // the same disk without its faults
		if !last && w.harmed {
			w.disk = w.disk.Crash(w.rng, vfs.CrashOptions{})
		}
	case 1:
		w.disk.CutPower()
		w.readers.Load().end()
		_ = w.s.Close() // on a dead disk
		w.disk = w.disk.Crash(w.rng, vfs.CrashOptions{})
	case 2:
		w.disk.CutPower() // nothing it still does counts
		w.readers.Load().end()
		_ = w.s.Close()
		w.disk = w.disk.Kill()
	}
}

func (w *crashWorld) step() {
	m := w.logs[w.rng.IntN(len(w.logs))]
	switch k := w.rng.IntN(40); {
	case k == 0:
		w.cover.hit("checkpoint", w.ok("checkpoint", w.s.Checkpoint()))
	case k == 1:
		w.ok("roll", m.l.Roll(1))
	case k == 2 && !m.compacted:
		hw := m.l.Offsets().HighWatermark
		to := m.start + w.rng.Int64N(max(hw-m.start, 0)/2+1)
		m.tried = max(m.tried, to)
		if start, err := m.l.DeleteRecords(to); w.ok("delete records", err) {
			w.cover.hit("DeleteRecords", start > m.start)
			m.start, m.told = start, fmt.Sprintf("DeleteRecords to %d in life %d", to, w.life)
		}
	case k == 3 && !m.compacted && !m.l.deleted.Load(): // recreate may have left the old incarnation
		// Retention by size; it may take everything.
		c := w.spec(m).Config
		c.RetentionBytes = int64(w.rng.IntN(4000))
		m.l.SetConfig(c)
		m.tried = max(m.tried, m.l.Offsets().HighWatermark)
		// An earlier try may have moved the start and not made it durable.
		if w.ok("retention", m.l.ExpireNow(1)) && w.ok("checkpoint", w.s.Checkpoint()) {
			start := m.l.Offsets().LogStart
			w.cover.hit("retention", start > m.start)
			m.start = start
			m.told = fmt.Sprintf("retention in life %d", w.life)
		}
		m.l.SetConfig(w.spec(m).Config)
	case k == 4 && w.rng.IntN(3) == 0:
		w.recreate(m)
	case k == 5:
		if m = w.logs[3]; w.ok("roll", m.l.Roll(1)) && w.ok("checkpoint", w.s.Checkpoint()) {
			done := w.s.Upkeep().Compactions
			w.ok("compaction", w.s.CompactNow(int64(w.life)*1000))
			w.cover.hit("compaction", w.s.Upkeep().Compactions > done)
		}
	default:
		w.burst()
	}
}

// recreate deletes a topic and makes it again under another id.
func (w *crashWorld) recreate(m *crashLog) {
	old := m.l
	w.renew(m) // the metadata says so first
	w.ok("delete", w.s.Delete(old))
	l, err := w.s.CreateLog(w.spec(m))
	if w.ok("create log again", err) {
		w.cover.hit("topic deleted and made again", true)
		m.l = l
		w.readers.Load().follow(m)
		return
	}
	m.l = old // closed: every use is refused
}

// burst appends to some logs at once and then waits for all of it.
func (w *crashWorld) burst() {
	type flight struct {
		m      *crashLog
		p      *crashProducer
		values []string
		base   int64
		done   chan error
	}
	var flights []flight
	led := w.rng.IntN(2) == 0
	for range 1 + w.rng.IntN(5) {
		m := w.logs[w.rng.IntN(len(w.logs))]
		p := &m.producers[w.rng.IntN(2)]
		if p.lost {
			continue
		}
		raw, values := w.next(m, p)
		w.readers.Load().beat()
		done := make(chan error, 1)
		a, err := m.l.Append(&Append{Batches: raw, Origin: Coordinator, Token: done, Now: 1, Guard: Unguarded, Led: led})
		if !w.ok("append", err) {
			p.lost = true
			w.cover.hit("append refused on a full disk", errors.Is(err, ErrDiskFull))
			continue
		}
		flights = append(flights, flight{m, p, values, a.BaseOffset, done})
	}
	if led {
		go w.s.Lead(&eventLoop{s: w.s, wg: new(sync.WaitGroup)}) // which may wait for what this goroutine is about to do
	}
	for _, f := range flights {
		if !w.ok("commit", <-f.done) {
			f.p.lost = true
			continue
		}
		w.cover.hit("append beside an offline directory", w.offline() == 1)
		w.cover.hit("append in each directory: "+f.m.l.Dir(), true)
		for i, v := range f.values {
			f.m.acked[f.base+int64(i)] = v
		}
	}
}

// next is a producer's next batch: records, or the end of its transaction.
func (w *crashWorld) next(m *crashLog, p *crashProducer) (raw []byte, values []string) {
	id := int64(1)
	if p == &m.producers[1] {
		id = 2
	}
	// What an earlier life left open ends first, as fencing would do.
	if p.open && (p.seq == 0 || w.rng.IntN(4) == 0) {
		p.open = false
		return markerBytes(w.t, id, p.epoch, w.rng.IntN(2) == 0, 1), nil
	}
	b := testBatch{ts: 1, producer: id, epoch: p.epoch, seq: p.seq, txn: m.transactional}
	for range 1 + w.rng.IntN(3) {
		w.counter++
		key, value := fmt.Sprint(w.rng.IntN(5)), fmt.Sprintf("%d-%0*d", w.counter, w.rng.IntN(w.most()), 0)
		b.records = append(b.records, key, value)
		values = append(values, value)
		m.sent[value], m.lastSent[key] = true, value
	}
	p.seq += int32(len(values))
	p.open = p.open || m.transactional
	return b.bytes(w.t), values
}

// check holds a log against the model and takes over what the model could not
// know: how far the log start got.
func (w *crashWorld) check(m *crashLog) {
	t := w.t
	o := m.l.Offsets()
	batches, err := readBatches(m.l, o.LogStart, false)
	if err != nil {
		if !w.ok("read", err) || errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
	if o.LogStart < m.start || o.LogStart > m.tried {
		t.Errorf("%s starts at %d; told was %d (%s), tried %d", m.name, o.LogStart, m.start, m.told, m.tried)
	}
	m.start = o.LogStart
	if o.HighWatermark != o.LogEnd {
		t.Errorf("%s: high watermark %d, log end %d at rest", m.name, o.HighWatermark, o.LogEnd)
	}
	there := map[int64]string{}
	seen := map[string]bool{}
	byKey := map[string]string{}
	next := int64(-1)
	for _, b := range batches {
		if next >= 0 && (b.BaseOffset() < next || !m.compacted && b.BaseOffset() != next) {
			t.Errorf("%s: a batch starts at %d, the one before ends at %d", m.name, b.BaseOffset(), next)
		}
		next = b.NextOffset()
		for _, r := range recordsOf(t, []record.Batch{b}) {
			if seen[r.value] {
				t.Errorf("%s: %.20q is there twice", m.name, r.value)
			}
			if !m.sent[r.value] {
				t.Errorf("%s: %.20q was never sent", m.name, r.value)
			}
			seen[r.value], there[r.offset], byKey[r.key] = true, r.value, r.value
		}
	}
	if next >= 0 && next != o.LogEnd {
		t.Errorf("%s: the last batch ends at %d, the log at %d", m.name, next, o.LogEnd)
	}
	for _, at := range slices.Sorted(maps.Keys(m.acked)) {
		v := m.acked[at]
		if at < o.LogStart || there[at] == v || m.compacted && there[at] == "" && !w.isLast(m, v) {
			continue
		}
		t.Errorf("%s (incarnation %d): acknowledged %.20q at %d, there is %.20q; %+v", m.name, m.incarnation, v, at, there[at], o)
	}
	m.seen.held(w, m, there, o)
	w.checkProducers(m, batches, o)
	w.checkTxns(m, batches, o)
}

// isLast: nothing newer of its key was ever tried.
func (w *crashWorld) isLast(m *crashLog, value string) bool {
	for _, v := range m.lastSent {
		if v == value {
			return true
		}
	}
	return false
}

// checkProducers: the state is that of the newest batches in the log.
func (w *crashWorld) checkProducers(m *crashLog, batches []record.Batch, o Offsets) {
	state := map[int64]Producer{}
	for _, b := range batches {
		p, ok := state[b.ProducerID()]
		if !ok {
			p.LastSequence = -1
		}
		if b.Control() {
			if p.Epoch != b.ProducerEpoch() {
				p.LastSequence = -1
			}
			p.Epoch = b.ProducerEpoch()
		} else {
			p.Epoch, p.LastSequence = b.ProducerEpoch(), b.LastSequence()
		}
		state[b.ProducerID()] = p
	}
	for _, p := range m.l.Producers() {
		want, ok := state[p.ID]
		if !ok {
			if o.LogStart == 0 && !m.compacted {
				w.t.Errorf("%s: producer %d is remembered and has no batch", m.name, p.ID)
			}
			continue
		}
		// Its data may lie below the log start.
		if p.Epoch != want.Epoch || p.LastSequence != want.LastSequence && (want.LastSequence >= 0 || o.LogStart == 0) {
			w.t.Errorf("%s: producer %+v, the log says epoch %d and sequence %d", m.name, p, want.Epoch, want.LastSequence)
		}
		delete(state, p.ID)
	}
	if len(state) > 0 {
		w.t.Errorf("%s: producers %v are in the log and forgotten", m.name, state)
	}
}

// checkTxns: what a committed reader sees is what the markers say.
func (w *crashWorld) checkTxns(m *crashLog, batches []record.Batch, o Offsets) {
	t := w.t
	open := map[int64][]int64{} // producer -> offsets of its open transaction
	aborted := map[int64]bool{}
	for _, b := range batches {
		id := b.ProducerID()
		switch {
		case b.Control():
			if mark, _, _ := record.ParseMarker(b); !mark.Commit {
				for _, at := range open[id] {
					aborted[at] = true
				}
			}
			delete(open, id)
		case b.Transactional():
			open[id] = append(open[id], b.BaseOffset())
		}
	}
	stable := o.HighWatermark
	for _, list := range open {
		stable = min(stable, list[0])
	}
	if o.LastStable > stable || o.LogStart == 0 && o.LastStable != stable {
		t.Errorf("%s: last stable offset %d, the log says %d (%+v)", m.name, o.LastStable, stable, o)
	}
	committed, err := readBatches(m.l, o.LogStart, true)
	if !w.ok("committed read", err) {
		return
	}
	for i, b := range committed {
		if b.BaseOffset() != batches[i].BaseOffset() || b.NextOffset() > o.LastStable {
			t.Errorf("%s: a committed read gives offset %d beyond %d", m.name, b.BaseOffset(), o.LastStable)
		}
		s, err := m.l.Read(Read{Offset: max(b.BaseOffset(), o.LogStart), MaxBytes: 1, MinOne: true, Committed: true})
		if !w.ok("committed read", err) {
			return
		}
		listed := slices.ContainsFunc(s.Aborted, func(a AbortedTxn) bool {
			return a.ProducerID == b.ProducerID() && a.FirstOffset <= b.LastOffset()
		})
		if s.Len > 0 {
			s.Seg.Release()
		}
		w.cover.hit("aborted transaction", listed)
		if !b.Control() && b.Transactional() && listed != aborted[b.BaseOffset()] {
			t.Errorf("%s: the batch at %d is aborted: %v; the reader is told %v", m.name, b.BaseOffset(), aborted[b.BaseOffset()], s.Aborted)
		}
	}
}

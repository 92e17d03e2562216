package logstore

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The power is cut before each single change that a compaction makes on disk,
// and the disk then loses what it likes of what was not synced. The log must
// hold a log: the last record of each key, at its offset, with nothing that
// was not there before, and be able to go on.
func TestCrashCompactionAtEveryChange(t *testing.T) {
	spec := stageSpec("t", compacted(func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 1000, 100 }))
	fill := func(r *stage, l *Log) map[string]testRecord {
		last := map[string]testRecord{}
		for i := range 45 {
			b := testBatch{ts: int64(i), records: []string{fmt.Sprint(i % 5), fmt.Sprint(i)}}
			if i%9 == 4 {
				b.producer, b.seq, b.txn = 7, int32(i/9), true
			}
			a := r.append(l, b.bytes(t))
			if b.txn {
				r.append(l, markerBytes(t, 7, 0, i%2 == 0, int64(i)))
				if i%2 != 0 {
					continue
				}
			}
			last[fmt.Sprint(i%5)] = testRecord{a.BaseOffset, int64(i), fmt.Sprint(i % 5), fmt.Sprint(i)}
		}
		// Once compacted already, so that the next run also merges.
		r.compact(l, 100)
		r.must(l.Roll(200))
		r.append(l, testBatch{records: []string{"end", "x"}}.bytes(t))
		r.must(r.store.Checkpoint())
		return last
	}
	changes := 0
	step := 1
	if raceEnabled {
		step = 5
	}
	for cut := 0; ; cut += step {
		r := newStage(t, nil)
		l := r.log(spec)
		r.ready()
		last := fill(r, l)
		before := map[int64]testRecord{}
		for _, rec := range recordsOf(t, r.batches(l)) {
			before[rec.offset] = rec
		}
		ops := r.disk.Ops()
		r.disk.CrashAt(cut)
		err := r.store.CompactNow(200)
		if cut == 0 {
			r.must(err)
			changes = r.disk.Ops() - ops
			if r.store.Upkeep().Compactions < 2 {
				t.Fatal("nothing was compacted")
			}
		}
		r.disk.CutPower()
		_ = r.store.Close() // says what it says: the disk is dead
		for seed := range uint64(max(2, crashSeeds(0)/100)) {
			o := vfs.CrashOptions{}
			if seed == 2 || cut%4 == 0 && seed == 0 {
				o = vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll}
			}
			rng := rand.New(rand.NewPCG(seed, uint64(cut)))
			disk := r.disk.Crash(rng, o)
			if seed != 0 {
				disk = crashInRecovery(r, spec, disk, rng)
			}
			checkCompacted(t, r, spec, disk, before, last)
			if t.Failed() {
				t.Fatalf("cut before change %d of %d, seed %d", cut, changes, seed)
			}
		}
		if cut > changes {
			break
		}
	}
	if changes < 20 {
		t.Errorf("a compaction makes %d changes; the test looks at too few", changes)
	}
}

// crashInRecovery has the next start lose its power too.
func crashInRecovery(old *stage, spec LogSpec, disk *vfs.Mem, rng *rand.Rand) *vfs.Mem {
	o := old.opt
	o.FS = disk
	disk.CrashAt(1 + rng.IntN(60))
	if s, err := Open(o); err == nil {
		_, err = s.OpenLog(spec)
		if err == nil {
			err = s.Ready(func(string, TopicID, int32) bool { return true })
		}
		disk.CutPower()
		_ = errors.Join(err, s.Close()) // cut at some point, whichever
	}
	disk.CutPower()
	return disk.Crash(rng, vfs.CrashOptions{})
}

func checkCompacted(t *testing.T, old *stage, spec LogSpec, disk *vfs.Mem, before map[int64]testRecord, last map[string]testRecord) {
	t.Helper()
	r := &stage{t: t, disk: disk, opt: old.opt}
	r.open()
	l := r.log(spec)
	r.ready()
	for range 2 {
		batches := r.batches(l)
		seen := map[string]testRecord{}
		at := int64(-1)
		for _, rec := range recordsOf(t, batches) {
			if rec.offset <= at {
				t.Errorf("offset %d comes after %d", rec.offset, at)
			}
			at = rec.offset
			if before[rec.offset] != rec {
				t.Errorf("offset %d holds %+v, before %+v", rec.offset, rec, before[rec.offset])
			}
			seen[rec.key] = rec
		}
		committed, err := readBatches(l, 0, true)
		r.must(err)
		if len(committed) != len(batches) {
			t.Errorf("a committed read gives %d of %d batches", len(committed), len(batches))
		}
		// The indexes belong to the segments they lie beside.
		i := 0
		for from := int64(0); from < l.Offsets().HighWatermark; from++ {
			for batches[i].LastOffset() < from {
				i++
			}
			s, err := l.Read(Read{Offset: from, MaxBytes: 1, MinOne: true})
			r.must(err)
			if s.Len != int64(len(batches[i])) || s.NextOffset != batches[i].NextOffset() {
				t.Errorf("read at %d: %d bytes to %d, want %d to %d", from, s.Len, s.NextOffset, len(batches[i]), batches[i].NextOffset())
			}
			if s.Len > 0 {
				s.Seg.Release()
			}
		}
		for k, rec := range last {
			if seen[k] != rec {
				t.Errorf("the last of key %s is %+v, want %+v", k, seen[k], rec)
			}
		}
		if list := l.Producers(); len(list) != 1 || list[0].LastSequence != 4 {
			t.Errorf("producers are %+v", list)
		}
		sum, err := r.store.Verify(0, nil, func(d Damage) { t.Error(d.String()) })
		if err != nil || sum.Logs != 1 {
			t.Errorf("verified %+v, %v", sum, err)
		}
		r.must(r.store.CompactNow(300))
	}
	r.close()
}

// Compaction against a map: whatever is appended, aborted, deleted and
// compacted, a reader who applies what he reads ends up with the same table
// and no offset ever changes its record.
func TestCompactionModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newStage(t, func(o *Options) {
			o.Upkeep.CleanerMapBytes = rapid.Int64Range(0, 3000).Draw(rt, "map bytes")
		})
		defer r.close()
		spec := stageSpec("t", compacted(func(c *LogConfig) {
			c.SegmentBytes = rapid.Int32Range(300, 3000).Draw(rt, "segment bytes")
			c.IndexIntervalBytes = 100
			c.DeleteRetentionMs = 500
		}))
		l := r.log(spec)
		r.ready()
		m := &compactModel{r: r, rt: rt, l: l, all: map[int64]testRecord{}, table: map[string]testRecord{}, seqs: map[int64]int32{}, open: map[int64][]testRecord{}}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			m.step()
		}
		for p := range m.open {
			m.end(p, true)
		}
		m.compact()
		m.check()
		m.l = r.reopen(spec)[0]
		m.check()
	})
}

type compactModel struct {
	r     *stage
	rt    *rapid.T
	l     *Log
	now   int64
	all   map[int64]testRecord  // every record ever appended
	table map[string]testRecord // committed
	seqs  map[int64]int32
	open  map[int64][]testRecord
}

func (m *compactModel) step() {
	m.now += 100
	switch rapid.IntRange(0, 9).Draw(m.rt, "step") {
	case 0:
		m.compact()
		m.check()
	case 1, 2:
		for p := range m.open {
			m.end(p, rapid.Bool().Draw(m.rt, "commit"))
			break
		}
	case 3, 4:
		p := int64(rapid.IntRange(1, 3).Draw(m.rt, "producer"))
		recs := m.append(testBatch{producer: p, seq: m.seqs[p], txn: true})
		m.seqs[p] += int32(len(recs))
		m.open[p] = append(m.open[p], recs...)
	default:
		m.apply(m.append(testBatch{}))
	}
}

func (m *compactModel) append(b testBatch) (recs []testRecord) {
	b.ts = m.now
	for range rapid.IntRange(1, 4).Draw(m.rt, "records") {
		value := fmt.Sprint(m.now)
		if rapid.IntRange(0, 4).Draw(m.rt, "tombstone") == 0 {
			value = "-"
		}
		b.records = append(b.records, fmt.Sprint(rapid.IntRange(0, 6).Draw(m.rt, "key")), value)
	}
	a := m.r.append(m.l, b.bytes(m.r.t))
	for i := 0; i < len(b.records); i += 2 {
		rec := testRecord{a.BaseOffset + int64(i/2), b.ts, b.records[i], b.records[i+1]}
		m.all[rec.offset] = rec
		recs = append(recs, rec)
	}
	return recs
}

// apply takes records into the table in the order of their offsets: that of
// the last one counts, whenever its transaction was committed.
func (m *compactModel) apply(recs []testRecord) {
	for _, rec := range recs {
		if m.table[rec.key].offset <= rec.offset {
			m.table[rec.key] = rec
		}
	}
}

func (m *compactModel) end(p int64, commit bool) {
	m.r.append(m.l, markerBytes(m.r.t, p, 0, commit, m.now))
	if commit {
		m.apply(m.open[p])
	}
	delete(m.open, p)
}

func (m *compactModel) compact() {
	m.r.must(m.l.Roll(m.now))
	m.r.must(m.r.store.Checkpoint())
	m.r.must(m.r.store.CompactNow(m.now))
}

func (m *compactModel) check() {
	t := m.r.t
	m.r.must(m.l.ensure())
	var aborted []txnEntry
	for _, s := range *m.l.segs.Load() {
		entries, err := s.abortedTxns()
		m.r.must(err)
		aborted = append(aborted, entries...)
	}
	slices.SortFunc(aborted, func(a, b txnEntry) int { return cmp.Compare(a.first, b.first) })
	batches, err := readBatches(m.l, 0, true)
	m.r.must(err)
	table := map[string]testRecord{}
	cut := map[int64]bool{} // producers in an aborted transaction, as a consumer finds out
	for _, b := range batches {
		p := b.ProducerID()
		for len(aborted) > 0 && aborted[0].first <= b.LastOffset() {
			cut[aborted[0].producer] = true
			aborted = aborted[1:]
		}
		if b.Control() {
			cut[p] = false
			continue
		}
		if b.Transactional() && cut[p] {
			continue
		}
		for _, rec := range recordsOf(t, []record.Batch{b}) {
			if m.all[rec.offset] != rec {
				t.Fatalf("offset %d holds %+v, appended was %+v", rec.offset, rec, m.all[rec.offset])
			}
			table[rec.key] = rec
		}
	}
	stable := m.l.Offsets().LastStable
	for key, rec := range m.table {
		got, ok := table[key]
		switch {
		case rec.offset >= stable: // not to be seen yet
		case rec.value == "-" && !ok: // a tombstone may be gone
		case got != rec && got.offset < stable:
			t.Fatalf("key %s is %+v, want %+v", key, got, rec)
		}
	}
	for key, rec := range table {
		if w, ok := m.table[key]; !ok || (w.offset < rec.offset) {
			t.Fatalf("key %s is %+v, which was never committed (%+v)", key, rec, w)
		}
	}
}

// Compaction that meets a full disk leaves the log as it was.
func TestCompactionOnAFullDisk(t *testing.T) {
	r := newStage(t, func(o *Options) { o.DiskReserve = -1 })
	defer r.close()
	l := r.log(stageSpec("t", compacted(nil)))
	r.ready()
	for i := range 50 {
		r.append(l, testBatch{records: []string{fmt.Sprint(i), "value"}}.bytes(t))
	}
	r.must(l.Roll(1))
	r.append(l, testBatch{records: []string{"end", "x"}}.bytes(t))
	r.must(r.store.Checkpoint())
	u, err := r.disk.Usage("/data")
	r.must(err)
	r.disk.SetCapacity(int64(u.Total - u.Free))
	if err := r.store.CompactNow(100); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("compaction on a full disk: %v", err)
	}
	r.disk.SetCapacity(1 << 40)
	if n := len(r.batches(l)); n != 51 || !r.store.Usable() {
		t.Errorf("%d batches are left of 51", n)
	}
	r.must(r.store.CompactNow(200))
	if r.store.Upkeep().Compactions != 1 {
		t.Error("it was not compacted when there was space again")
	}
}

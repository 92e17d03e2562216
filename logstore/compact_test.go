package logstore

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

func compacted(change func(*LogConfig)) func(*LogConfig) {
	return func(c *LogConfig) {
		c.Compact, c.Delete, c.MinDirtyRatio = true, false, 0
		if change != nil {
			change(c)
		}
	}
}

// compact closes the active segment and compacts as of now.
func (r *stage) compact(l *Log, now int64) {
	r.t.Helper()
	r.must(l.Roll(now))
	r.must(r.store.Checkpoint())
	// The watermarks must have left the segment that is to be compacted.
	r.append(l, testBatch{records: []string{fmt.Sprint("end", now), "x"}}.bytes(r.t))
	r.must(r.store.Checkpoint())
	r.must(r.store.CompactNow(now))
}

func want(t *testing.T, got []testRecord, want ...string) {
	t.Helper()
	var s []string
	for _, r := range got {
		s = append(s, fmt.Sprintf("%d:%s=%s", r.offset, r.key, r.value))
	}
	if fmt.Sprint(s) != fmt.Sprint(want) {
		t.Errorf("the log holds %v, want %v", s, want)
	}
}

func TestCompactionKeepsTheLastOfEachKey(t *testing.T) {
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			r := newStage(t, nil)
			defer r.close()
			l := r.log(stageSpec("t", compacted(nil)))
			r.ready()
			r.append(l, testBatch{codec: codec, ts: 5, records: []string{"a", "1", "b", "1", "a", "2"}}.bytes(t))
			r.append(l, testBatch{codec: codec, ts: 6, records: []string{"b", "2", "c", "1"}}.bytes(t))
			r.append(l, testBatch{codec: codec, ts: 7, records: []string{"d", "1"}}.bytes(t))
			r.append(l, testBatch{codec: codec, ts: 8, records: []string{"d", "2"}}.bytes(t))
			r.compact(l, 100)
			want(t, recordsOf(t, r.batches(l)), "2:a=2", "3:b=2", "4:c=1", "6:d=2", "7:end100=x")
			if st := r.store.Upkeep(); st.Compactions != 1 || st.CompactDropped != 3 {
				t.Errorf("stats %+v", st)
			}
			for _, rec := range recordsOf(t, r.batches(l))[:2] {
				if rec.ts != map[int64]int64{2: 5, 3: 6}[rec.offset] {
					t.Errorf("the timestamp of offset %d is %d now", rec.offset, rec.ts)
				}
			}
			// Reading from an offset that is gone gives the next one there is.
			from, err := readBatches(l, 5, false)
			r.must(err)
			want(t, recordsOf(t, from), "6:d=2", "7:end100=x")
		})
	}
}

func TestCompactionTombstones(t *testing.T) {
	r := newStage(t, nil)
	defer r.close()
	spec := stageSpec("t", compacted(func(c *LogConfig) { c.DeleteRetentionMs = 1000 }))
	l := r.log(spec)
	r.ready()
	r.append(l, testBatch{ts: 5, records: []string{"a", "1", "b", "1"}}.bytes(t))
	r.append(l, testBatch{ts: 6, records: []string{"a", "-", "c", "1"}}.bytes(t))
	r.compact(l, 10_000)
	want(t, recordsOf(t, r.batches(l)), "1:b=1", "2:a=-", "3:c=1", "4:end10000=x")
	got := r.batches(l)[1]
	if horizon, ok := got.DeleteHorizon(); !ok || horizon != 11_000 {
		t.Errorf("the delete horizon is %d, %v; want 11000", horizon, ok)
	}
	if got.Timestamp(0) != 11_000 || recordsOf(t, r.batches(l))[1].ts != 6 || got.MaxTimestamp() != 6 {
		t.Errorf("the record's timestamp is %d, the batch's largest %d, want 6", recordsOf(t, r.batches(l))[1].ts, got.MaxTimestamp())
	}
	r.compact(l, 10_999) // not yet
	want(t, recordsOf(t, r.batches(l)), "1:b=1", "2:a=-", "3:c=1", "4:end10000=x", "5:end10999=x")
	if horizon, _ := r.batches(l)[1].DeleteHorizon(); horizon != 11_000 {
		t.Errorf("a second run moved the horizon to %d", horizon)
	}
	r.compact(l, 11_000)
	want(t, recordsOf(t, r.batches(l)), "1:b=1", "3:c=1", "4:end10000=x", "5:end10999=x", "6:end11000=x")
}

func TestCompactionTransactions(t *testing.T) {
	r := newStage(t, nil)
	defer r.close()
	l := r.log(stageSpec("t", compacted(func(c *LogConfig) { c.DeleteRetentionMs = 1000 })))
	r.ready()
	txn := func(producer int64, epoch int16, seq int32, records ...string) []byte {
		return testBatch{producer: producer, epoch: epoch, seq: seq, txn: true, ts: 5, records: records}.bytes(t)
	}
	r.append(l, testBatch{ts: 5, records: []string{"a", "0", "b", "0"}}.bytes(t)) // 0, 1
	r.append(l, txn(7, 0, 0, "a", "aborted"))                                     // 2
	r.append(l, txn(8, 0, 0, "b", "committed"))                                   // 3
	r.append(l, markerBytes(t, 7, 0, false, 5))                                   // 4
	r.append(l, markerBytes(t, 8, 0, true, 5))                                    // 5
	r.append(l, txn(7, 0, 1, "c", "aborted"))                                     // 6
	r.append(l, markerBytes(t, 7, 0, false, 5))                                   // 7
	r.append(l, testBatch{ts: 5, records: []string{"b", "last"}}.bytes(t))        // 8
	offsets := func() (s string) {
		for _, b := range r.batches(l) {
			s += fmt.Sprintf("%d:%d", b.LastOffset(), b.Count())
			if _, ok := b.DeleteHorizon(); ok {
				s += "h"
			}
			s += " "
		}
		return s
	}
	r.compact(l, 10_000)
	// Aborted data is gone at once, but for the header of producer 7's newest
	// batch. A marker whose data was met in this run stays as it is.
	if got := offsets(); got != "1:1 3:0 4:1 5:1 6:0 7:1 8:1 9:1 " {
		t.Errorf("after one run: %s", got)
	}
	want(t, recordsOf(t, r.batches(l)), "0:a=0", "8:b=last", "9:end10000=x")
	r.compact(l, 20_000)
	if got := offsets(); got != "1:1 3:0 4:1h 5:1 6:0 7:1 8:1 9:1 10:1 " {
		t.Errorf("after two runs: %s", got)
	}
	r.compact(l, 20_999)
	if got := offsets(); got != "1:1 3:0 4:1h 5:1 6:0 7:1 8:1 9:1 10:1 11:1 " {
		t.Errorf("a marker goes at its horizon, not before: %s", got)
	}
	r.compact(l, 21_000)
	if got := offsets(); got != "1:1 3:0 5:1 6:0 7:1 8:1 9:1 10:1 11:1 12:1 " {
		t.Errorf("at the marker's horizon: %s", got)
	}
	// The producers go on where they were, also when the state is rebuilt.
	for _, l := range []*Log{l, r.reopen(stageSpec("t", nil))[0]} {
		list := l.Producers()
		if len(list) != 2 || list[0].LastSequence != 1 || list[1].LastSequence != 0 {
			t.Fatalf("producers are %+v", list)
		}
	}
}

// An open transaction holds compaction back.
func TestCompactionStopsAtTheLastStableOffset(t *testing.T) {
	r := newStage(t, nil)
	defer r.close()
	l := r.log(stageSpec("t", compacted(nil)))
	r.ready()
	r.append(l, testBatch{records: []string{"a", "1"}}.bytes(t))
	r.append(l, testBatch{records: []string{"a", "2"}}.bytes(t))
	r.must(l.Roll(1))
	r.append(l, testBatch{producer: 7, txn: true, records: []string{"a", "3"}}.bytes(t))
	r.append(l, testBatch{records: []string{"b", "1"}}.bytes(t))
	r.append(l, testBatch{records: []string{"b", "2"}}.bytes(t))
	r.compact(l, 100)
	want(t, recordsOf(t, r.batches(l)), "1:a=2", "2:a=3", "3:b=1", "4:b=2", "5:end100=x")
	r.append(l, markerBytes(t, 7, 0, true, 1))
	r.compact(l, 200)
	want(t, recordsOf(t, r.batches(l)), "2:a=3", "4:b=2", "5:end100=x", "7:end200=x")
}

func TestCompactionLags(t *testing.T) {
	cases := []struct {
		name   string
		change func(*LogConfig)
		now    int64
		runs   uint64
	}{
		{"dirty enough", func(c *LogConfig) { c.MinDirtyRatio = 0.5 }, 1000, 1},
		{"never dirty enough", func(c *LogConfig) { c.MinDirtyRatio = 1 }, 1000, 0},
		{"too young", func(c *LogConfig) { c.MinCompactionLagMs = 996 }, 1000, 0},
		{"old enough", func(c *LogConfig) { c.MinCompactionLagMs = 995 }, 1000, 1},
		{"must by now", func(c *LogConfig) { c.MinDirtyRatio, c.MaxCompactionLagMs = 1, 994 }, 1000, 1},
		{"need not yet", func(c *LogConfig) { c.MinDirtyRatio, c.MaxCompactionLagMs = 1, 995 }, 1000, 0},
		{"not compacted", func(c *LogConfig) { c.Compact, c.Delete = false, true }, 1000, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newStage(t, nil)
			defer r.close()
			l := r.log(stageSpec("t", compacted(c.change)))
			r.ready()
			r.append(l, testBatch{ts: 5, records: []string{"a", "1"}}.bytes(t))
			r.append(l, testBatch{ts: 5, records: []string{"a", "2"}}.bytes(t))
			r.compact(l, c.now)
			if got := r.store.Upkeep().Compactions; got != c.runs {
				t.Errorf("%d runs, want %d", got, c.runs)
			}
		})
	}
}

// A map too small for all keys cleans a part and goes on there.
func TestCompactionWithAFullMap(t *testing.T) {
	r := newStage(t, func(o *Options) { o.Upkeep.CleanerMapBytes = 20 * keySlotSize }) // 18 keys
	defer r.close()
	l := r.log(stageSpec("t", compacted(nil)))
	r.ready()
	var keep []string
	for round := range 2 {
		for k := range 30 {
			r.append(l, testBatch{records: []string{fmt.Sprint(k), fmt.Sprint(round)}}.bytes(t))
		}
	}
	for k := range 30 {
		keep = append(keep, fmt.Sprintf("%d:%d=1", 30+k, k))
	}
	r.compact(l, 100)
	want(t, recordsOf(t, r.batches(l)), append(keep, "60:end100=x")...)
	if n := r.store.Upkeep().Compactions; n < 4 {
		t.Errorf("%d runs for 60 keys of 18 at a time", n)
	}
}

func TestCompactionMergesSmallSegments(t *testing.T) {
	r := newStage(t, nil)
	defer r.close()
	spec := stageSpec("t", compacted(func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 1000, 100 }))
	l := r.log(spec)
	r.ready()
	for i := range 60 {
		r.append(l, testBatch{ts: int64(i), records: []string{fmt.Sprint(i % 7), fmt.Sprint(i)}}.bytes(t))
	}
	before := len(*l.segs.Load())
	old := r.batches(l)
	r.compact(l, 100)
	r.compact(l, 200) // now that they are small
	after := len(*l.segs.Load())
	if before < 5 || after > 3 {
		t.Errorf("%d segments became %d", before, after)
	}
	if n := len(r.batches(l)); n != 9 || len(old) != 60 {
		t.Errorf("%d batches became %d", len(old), n)
	}
	// Every way to an offset works in the new segments, and after a clean stop.
	for range 2 {
		for from := int64(0); from < 62; from++ {
			got, err := readBatches(l, from, true)
			r.must(err)
			first := max(from, 53)
			if len(got) != int(62-first) || got[0].BaseOffset() != first {
				t.Fatalf("from %d: %d batches from %d on", from, len(got), got[0].BaseOffset())
			}
		}
		o, ok, err := l.OffsetForTime(55, 60)
		if err != nil || !ok || o.Offset != 55 {
			t.Errorf("by time: %+v, %v, %v", o, ok, err)
		}
		sum, err := r.store.Verify(0, nil, func(d Damage) { t.Error(d.String()) })
		if err != nil || sum.Segments < after {
			t.Errorf("verified %+v, %v", sum, err)
		}
		l = r.reopen(spec)[0]
	}
	entries, err := r.disk.ReadDir(l.path)
	r.must(err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffixSwap) || strings.HasSuffix(e.Name(), suffixCleaned) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
	// What is clean is not compacted again.
	r.must(r.store.CompactNow(300))
	if n := r.store.Upkeep().Compactions; n != 0 {
		t.Errorf("%d runs over a clean log", n)
	}
}

// TestCompactionUnderKafkaDumpLog has Apache Kafka's own tool read what
// compaction wrote: set KAFKA_HOME to a distribution.
func TestCompactionUnderKafkaDumpLog(t *testing.T) {
	tool := dumpLogTool()
	if tool == "" {
		t.Skip("KAFKA_HOME is not set")
	}
	r := newStage(t, func(o *Options) { o.Dirs = []string{t.TempDir()} })
	r.close()
	r.opt.FS = vfs.OS
	s, err := Open(r.opt)
	r.must(err)
	r.store = s
	l := r.log(stageSpec("t", compacted(func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes, c.DeleteRetentionMs = 2000, 200, 1000 })))
	r.ready()
	for i := range 200 {
		value := fmt.Sprint(i)
		if i%11 == 0 {
			value = "-"
		}
		b := testBatch{codec: compress.Codec(i % 5), ts: int64(i), records: []string{fmt.Sprint(i % 17), value, fmt.Sprint(i % 5), "x"}}
		if i%4 == 0 {
			b.producer, b.seq, b.txn = 7, int32(i/2), true
		}
		r.append(l, b.bytes(t))
		if b.txn {
			r.append(l, markerBytes(t, 7, 0, i%8 == 0, int64(i)))
		}
	}
	r.compact(l, 10_000)
	r.compact(l, 20_000)
	r.close()
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tool, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		for _, bad := range []string{"Exception", "mismatch", "Mismatch", "isvalid: false", "Found"} {
			if strings.Contains(string(out), bad) {
				t.Errorf("%v says %q:\n%.3000s", args, bad, out)
			}
		}
		return string(out)
	}
	files := func(suffix string) string {
		names, err := filepath.Glob(filepath.Join(l.path, "*"+suffix))
		r.must(err)
		return strings.Join(names, ",")
	}
	out := run("--deep-iteration", "--print-data-log", "--files", files(suffixLog))
	if !strings.Contains(out, "deleteHorizonMs: OptionalLong[") || !strings.Contains(out, "key: 16") {
		t.Errorf("no delete horizon or no record:\n%.2000s", out)
	}
	run("--index-sanity-check", "--files", files(suffixIndex)+","+files(suffixTime))
	run("--files", files(suffixTxn))
}

// TestCompactionOfMuch leaves far more than the cleaner buffers, small batches
// and one that is larger than its buffer.
func TestCompactionOfMuch(t *testing.T) {
	r := newStage(t, nil)
	defer r.close()
	spec := stageSpec("t", compacted(nil))
	l := r.log(spec)
	r.ready()
	var expect []string
	offset := 0
	put := func(key string, kept bool, size int) {
		t.Helper()
		value := strings.Repeat(key, size/len(key))
		r.append(l, testBatch{ts: 5, records: []string{key, value}}.bytes(t))
		if kept {
			expect = append(expect, fmt.Sprintf("%d:%s=%s", offset, key, value))
		}
		offset++
	}
	for i := range 300 {
		put(fmt.Sprintf("key%03d", i), i%3 == 0, 5000+i)
		if i == 100 {
			put("large", true, 3*scanBuffer)
		}
	}
	for i := range 300 {
		if i%3 != 0 {
			put(fmt.Sprintf("key%03d", i), true, 3000+i)
		}
	}
	r.compact(l, 100)
	expect = append(expect, fmt.Sprintf("%d:end100=x", offset))
	want(t, recordsOf(t, r.batches(l)), expect...)
	want(t, recordsOf(t, r.batches(r.reopen(spec)[0])), expect...)
}

// TestCleanerClaims: two workers choose the same log. The slower one leaves it
// alone, though the other has ended by then.
func TestCleanerClaims(t *testing.T) {
	r := newStage(t, nil)
	l := r.log(stageSpec("dirty", compacted(nil)))
	r.ready()
	defer r.close()
	write := func() {
		r.append(l, testBatch{ts: 1, records: []string{"k", "1"}}.bytes(t))
		r.must(l.Roll(1))
		r.append(l, testBatch{ts: 1, records: []string{"k", "2"}}.bytes(t))
		r.must(r.store.Checkpoint())
	}
	write()
	c := newCleaner(r.store)
	slow, err := c.choose(2)
	if err != nil || slow == nil {
		t.Fatal(slow, err)
	}
	if did, err := c.one(2, nil); err != nil || !did {
		t.Fatal(did, err)
	}
	if c.claim(slow) {
		t.Error("a log is compacted twice at the word of one look")
	}
	write()
	if next, err := c.choose(3); err != nil || next == nil || !c.claim(next) || c.claim(next) {
		t.Errorf("what became dirty again is not claimed once: %+v %v", next, err)
	}
}

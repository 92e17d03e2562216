package logstore

import (
	"fmt"
	"testing"

	"github.com/chronik-stream/chronik/codec/compress"
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

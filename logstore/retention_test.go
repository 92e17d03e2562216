package logstore

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetention(t *testing.T) {
	// Ten batches of one record, one segment each but for the last two, which
	// share the active one; timestamps 0, 100 … 900.
	cases := []struct {
		name   string
		change func(*LogConfig)
		now    int64
		start  int64
		segs   int
	}{
		{"nothing is old", func(c *LogConfig) { c.RetentionMs = 1000 }, 1000, 0, 9},
		{"three are old", func(c *LogConfig) { c.RetentionMs = 1000 }, 1201, 3, 6},
		{"exactly as old as allowed", func(c *LogConfig) { c.RetentionMs = 1000 }, 1200, 2, 7},
		{"all are old: the active one is closed first", func(c *LogConfig) { c.RetentionMs = 1000 }, 5000, 10, 1},
		{"no limits", func(c *LogConfig) { c.RetentionMs = -1 }, 1 << 40, 0, 9},
		{"size", func(c *LogConfig) { c.RetentionMs, c.RetentionBytes = -1, 7*70 }, 0, 3, 6},
		{"size, less than one segment over", func(c *LogConfig) { c.RetentionMs, c.RetentionBytes = -1, 9*70+1 }, 0, 0, 9},
		{"size 0", func(c *LogConfig) { c.RetentionMs, c.RetentionBytes = -1, 0 }, 0, 10, 1},
		{"size and time", func(c *LogConfig) { c.RetentionMs, c.RetentionBytes = 1000, 9*70 }, 1201, 3, 6},
		{"compact only", func(c *LogConfig) { c.Compact, c.Delete = true, false }, 1 << 40, 0, 9},
		{"compact and delete", func(c *LogConfig) { c.Compact, c.RetentionMs = true, 1000 }, 1201, 3, 6},
		{"cleanup.policy is empty", func(c *LogConfig) { c.Delete, c.RetentionMs = false, 0 }, 1 << 40, 0, 9},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newStage(t, nil)
			spec := stageSpec("t", c.change)
			l := r.log(spec)
			r.ready()
			for i := range 10 {
				r.append(l, testBatch{ts: int64(i * 100), records: []string{"k", "v"}}.bytes(t))
				if i < 8 {
					r.must(l.Roll(1))
				}
			}
			r.must(l.ExpireNow(c.now))
			check := func(l *Log) {
				t.Helper()
				r.must(l.ensure())
				if o := l.Offsets(); o.LogStart != c.start || o.LogEnd != 10 {
					t.Errorf("the log is %+v, want it to start at %d", o, c.start)
				}
				if n := len(*l.segs.Load()); n != c.segs {
					t.Errorf("%d segments, want %d", n, c.segs)
				}
				if got := r.batches(l); len(got) != int(10-c.start) {
					t.Errorf("%d batches can be read", len(got))
				}
			}
			check(l)
			check(r.reopen(spec)[0])
			r.close()
		})
	}
}

// Retention stops at the high watermark, whatever the rules say.
func TestRetentionStopsAtTheHighWatermark(t *testing.T) {
	r := newStage(t, nil)
	defer r.close()
	l := r.log(stageSpec("t", func(c *LogConfig) { c.RetentionMs = 0 }))
	r.ready()
	r.append(l, testBatch{records: []string{"k", "v"}}.bytes(t))
	r.must(l.Roll(1))
	r.append(l, testBatch{records: []string{"k", "v"}}.bytes(t))
	l.marks.mu.Lock()
	l.marks.hw.offset = 1
	l.marks.mu.Unlock()
	if _, err := l.expire(1 << 40); err != nil {
		t.Fatal(err)
	}
	if o := l.Offsets(); o.LogStart != 1 {
		t.Errorf("the log starts at %d with the high watermark at 1", o.LogStart)
	}
}

// The scheduler finds what is due among many logs and skips the others without
// looking at their segments.
func TestRetentionSchedule(t *testing.T) {
	r := newStage(t, nil)
	defer r.close()
	var logs []*Log
	for i := range 20 {
		logs = append(logs, r.log(stageSpec(fmt.Sprint("topic", i), func(c *LogConfig) { c.RetentionMs = 1000 })))
	}
	r.ready()
	for i, l := range logs {
		r.append(l, testBatch{ts: int64(i * 100), records: []string{"k", "v"}}.bytes(t))
	}
	u := &r.store.upkeep
	u.expireAll(0)
	if len(u.idle) != 20 {
		t.Fatalf("%d logs are known to be idle", len(u.idle))
	}
	for _, l := range logs {
		if !u.stillIdle(l, 999) {
			t.Error("an idle log would be looked at")
		}
	}
	u.expireAll(1550)
	for i, l := range logs {
		want := int64(0)
		if i <= 5 {
			want = 1
		}
		if got := l.Offsets().LogStart; got != want {
			t.Errorf("log %d starts at %d, want %d", i, got, want)
		}
	}
	// An append or a new configuration ends the idleness.
	r.append(logs[19], testBatch{ts: 1, records: []string{"k", "v"}}.bytes(t))
	logs[18].SetConfig(DefaultLogConfig())
	if u.stillIdle(logs[19], 0) || u.stillIdle(logs[18], 0) || !u.stillIdle(logs[17], 0) {
		t.Error("idleness is not told right")
	}
	if n := r.store.Upkeep().ExpiredSegments; n != 6 {
		t.Errorf("%d segments expired", n)
	}
}

// The goroutines: retention and compaction run by the clock, and Close ends
// them.
func TestUpkeepRunsByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStage(t, func(o *Options) {
			o.Upkeep.RetentionEvery, o.Upkeep.CleanerThreads, o.Upkeep.CleanerBackoff, o.Upkeep.ScrubRate = time.Minute, 2, time.Minute, 1<<20
		})
		old := r.log(stageSpec("old", func(c *LogConfig) { c.RetentionMs = 1000 }))
		dirty := r.log(stageSpec("dirty", compacted(nil)))
		r.ready()
		r.append(old, testBatch{ts: 1, records: []string{"k", "v"}}.bytes(t))
		r.append(dirty, testBatch{ts: 1, records: []string{"k", "1"}}.bytes(t))
		r.append(dirty, testBatch{ts: 1, records: []string{"k", "2"}}.bytes(t))
		r.must(dirty.Roll(1))
		r.append(dirty, testBatch{ts: 1, records: []string{"k", "3"}}.bytes(t))
		wait(3 * time.Minute)
		if o := old.Offsets(); o.LogStart != 1 {
			t.Errorf("the old log starts at %d", o.LogStart)
		}
		want(t, recordsOf(t, r.batches(dirty)), "1:k=2", "2:k=3")
		if st := r.store.Upkeep(); st.Compactions != 1 || st.ScrubPasses != 1 || st.ExpiredSegments != 1 {
			t.Errorf("stats %+v", st)
		}
		r.close()
	})
}

// Tuning: a cleaner that was off begins when it is asked for, more follow, and
// they rest when it is switched off. Retention does not wait its whole interval
// for its first look.
func TestTuningChangesUpkeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStage(t, func(o *Options) { o.Upkeep.RetentionEvery = time.Hour })
		old := r.log(stageSpec("old", func(c *LogConfig) { c.RetentionMs = 1000 }))
		dirty := r.log(stageSpec("dirty", compacted(nil)))
		r.ready()
		dirtyAgain := func() {
			r.append(dirty, testBatch{ts: 1, records: []string{"k", "1"}}.bytes(t))
			r.append(dirty, testBatch{ts: 1, records: []string{"k", "2"}}.bytes(t))
			r.must(dirty.Roll(1))
			r.append(dirty, testBatch{ts: 1, records: []string{"k", "3"}}.bytes(t))
		}
		compactions := func(what string, want uint64) {
			t.Helper()
			if st := r.store.Upkeep(); st.Compactions != want {
				t.Errorf("%s: %d compactions, want %d", what, st.Compactions, want)
			}
		}
		r.append(old, testBatch{ts: 1, records: []string{"k", "v"}}.bytes(t))
		dirtyAgain()
		wait(time.Minute)
		if o := old.Offsets(); o.LogStart != 1 {
			t.Errorf("the old log starts at %d a minute after the start", o.LogStart)
		}
		compactions("without a cleaner", 0)
		r.store.Tune(Tuning{CleanerThreads: 2, CleanerBackoff: time.Second})
		wait(time.Minute)
		compactions("with two", 1)
		r.store.Tune(Tuning{CleanerThreads: -1})
		dirtyAgain()
		wait(time.Minute)
		compactions("switched off", 1)
		r.store.Tune(Tuning{CleanerThreads: 1})
		wait(time.Minute)
		compactions("switched on", 2)
		r.close()
	})
}

func wait(d time.Duration) { <-time.After(d) }

func TestPacerHoldsTheRate(t *testing.T) {
	p := &pacer{rate: 1000}
	now := time.Unix(100, 0)
	var waited time.Duration
	for range 100 {
		w := p.due(100, now)
		if w > 0 {
			waited += w
			now = now.Add(w)
		}
	}
	// 10,000 bytes at 1,000 a second, the first and a tenth of a second free.
	if waited < 9700*time.Millisecond || waited > 10*time.Second {
		t.Errorf("waited %v for ten seconds' worth", waited)
	}
	stop := make(chan struct{})
	close(stop)
	if err := (&pacer{stop: stop}).take(1); err != errStopped {
		t.Errorf("a stopped pacer answers %v", err)
	}
	if (&pacer{rate: -1}).due(1<<40, now) != 0 {
		t.Error("no rate is a rate")
	}
}

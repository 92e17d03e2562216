package broker

import (
	"testing"
	"time"
)

func TestTracerWants(t *testing.T) {
	for _, c := range []struct {
		sample float64
		slow   time.Duration
		took   time.Duration
		want   int // of 1,000
	}{
		{0, 0, time.Hour, 0},
		{1, 0, 0, 1000},
		{0.01, 0, time.Hour, 10},
		{0, time.Second, time.Second - 1, 0},
		{0, time.Second, time.Second, 1000},
		{0.5, time.Second, time.Millisecond, 500},
	} {
		tr, kept := newTracer(c.sample, c.slow, 8), 0
		for range 1000 {
			if tr.on && tr.wants(c.took) {
				kept++
			}
		}
		if kept != c.want {
			t.Errorf("sample %g, slow %s, took %s: %d of 1,000 kept, not %d", c.sample, c.slow, c.took, kept, c.want)
		}
	}
}

// TestTraces: each reader sees each trace once, in order, and is told how many
// were overwritten before it came.
func TestTraces(t *testing.T) {
	const most = 100 // the limit "traces"
	b := &Broker{tracer: newTracer(1, 0, most)}
	keep := func(from, to int) {
		for i := from; i < to; i++ {
			b.tracer.keep(Trace{Correlation: int32(i)})
		}
	}
	read := func(after uint64, first, n int, wantMissed uint64) uint64 {
		t.Helper()
		kept, next, missed := b.Traces(after)
		if len(kept) != n || missed != wantMissed {
			t.Fatalf("after %d: %d traces and %d missed, not %d and %d", after, len(kept), missed, n, wantMissed)
		}
		for i, tr := range kept {
			if tr.Correlation != int32(first+i) {
				t.Fatalf("after %d: trace %d is of request %d, not %d", after, i, tr.Correlation, first+i)
			}
		}
		return next
	}
	next := read(0, 0, 0, 0)
	keep(0, 10)
	next = read(next, 0, 10, 0)
	next = read(next, 0, 0, 0)
	keep(10, 10+most+7)
	next = read(next, 17, most, 7)
	read(next+99, 0, 0, 0) // a cursor of another broker's
}

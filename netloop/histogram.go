package netloop

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram is a snapshot of Durations: bucket 0 counts what took less than
// 1 µs, bucket i what took less than 2^i µs, the last everything longer.
type Histogram struct {
	Buckets [histogramBuckets]int64
	Count   int64
	Sum     time.Duration
}

const histogramBuckets = 27 // up to 2^26 µs, about a minute

// Durations counts durations by powers of two of a microsecond. Any goroutine.
type Durations struct {
	buckets [histogramBuckets]atomic.Int64
	sum     atomic.Int64
}

// Observe counts d.
func (h *Durations) Observe(d time.Duration) {
	b := bits.Len64(uint64(max(d, 0) / time.Microsecond))
	h.buckets[min(b, histogramBuckets-1)].Add(1)
	h.sum.Add(int64(d))
}

// AddTo adds what was counted to out: several loops' counters make one
// histogram.
func (h *Durations) AddTo(out *Histogram) {
	for i := range h.buckets {
		n := h.buckets[i].Load()
		out.Buckets[i] += n
		out.Count += n
	}
	out.Sum += time.Duration(h.sum.Load())
}

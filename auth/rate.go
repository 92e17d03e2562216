package auth

import (
	"math"
	"time"
)

// rate is Kafka's windowed rate (SampledStat, WindowedSum and Rate of its
// metrics): a ring of samples of one window each, one more than the number of
// windows so that a sample that overlaps the monitored time still counts.
// Times are milliseconds. Not safe for concurrent use.
type rate struct {
	samples []sample // grows to num+1 and stays
	at      int
}

type sample struct {
	sum           float64
	started, last int64
}

// window is the shape of the measurement: quota.window.num windows of
// quota.window.size.seconds.
type window struct {
	num    int
	sizeMs int64
}

func (w window) spanMs() int64 { return int64(w.num) * w.sizeMs }

func (r *rate) record(w window, value float64, now int64) {
	if len(r.samples) == 0 {
		r.samples = append(make([]sample, 0, w.num+1), sample{started: now, last: now})
	}
	s := &r.samples[r.at]
	if now-s.started >= w.sizeMs {
		r.at = (r.at + 1) % (w.num + 1)
		if r.at >= len(r.samples) {
			r.samples = append(r.samples, sample{})
		}
		s = &r.samples[r.at]
		*s = sample{started: now}
	}
	s.sum += value
	s.last = now
}

// measure gives the rate per second and the milliseconds that it is over. The
// time counts as at least num-1 full windows and what has passed of the last,
// so that a first burst is not taken for a rate.
func (r *rate) measure(w window, now int64) (perSecond float64, overMs int64) {
	if len(r.samples) == 0 {
		return 0, 1
	}
	sum, oldest := 0.0, int64(math.MaxInt64)
	for i := range r.samples {
		s := &r.samples[i]
		if now-s.last >= w.spanMs() {
			*s = sample{started: now, last: now}
		}
		sum += s.sum
		oldest = min(oldest, s.started)
	}
	overMs = max(now-oldest, 0)
	if full := overMs / w.sizeMs; full < int64(w.num-1) {
		overMs += (int64(w.num-1) - full) * w.sizeMs
	}
	overMs = max(overMs, 1)
	return sum / (float64(overMs) / 1000), overMs
}

// throttle is how long to wait until the rate is down at the bound if nothing
// more comes (QuotaUtils.throttleTime), at most most.
func (r *rate) throttle(w window, bound float64, now int64, most time.Duration) time.Duration {
	observed, overMs := r.measure(w, now)
	if observed <= bound {
		return 0
	}
	return millis((observed-bound)/bound*float64(overMs), most)
}

// millis rounds as Java does and keeps within bounds; a bound of zero gives
// infinity, and infinity gives most.
func millis(ms float64, most time.Duration) time.Duration {
	if ms = math.Floor(ms + 0.5); !(ms < float64(most.Milliseconds())) {
		return most
	}
	return time.Duration(ms) * time.Millisecond
}

// bucket is Kafka's token bucket (TokenBucket.java, KIP-599): it fills at the
// bound per second up to the bound times the whole window, and may go below
// zero. Not safe for concurrent use.
type bucket struct {
	tokens float64
	filled int64 // when; a new bucket is full
	new    bool
}

func (b *bucket) fill(w window, bound float64, now int64) {
	burst := bound * float64(w.spanMs()) / 1000
	if !b.new {
		b.new, b.tokens = true, burst
	} else {
		b.tokens = min(burst, b.tokens+bound*float64(max(now-b.filled, 0))/1000)
	}
	b.filled = now
}

// throttle is how long until the bucket is at zero again.
func (b *bucket) throttle(bound float64, most time.Duration) time.Duration {
	if b.tokens >= 0 {
		return 0
	}
	return millis(-b.tokens/bound*1000, most)
}

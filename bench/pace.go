package bench

import (
	"context"
	"time"
)

// pace hands out the times at which the records of an open loop are due. A
// record's latency counts from then, whether or not the client could send it
// then: otherwise a stall of the broker would hide the records that it kept
// from being sent (coordinated omission).
type pace struct {
	start    time.Time
	interval time.Duration
	n        int64
	timer    *time.Timer
}

// newPace spreads rate records/s; 0 gives a pace that is always due.
func newPace(rate float64, start time.Time) *pace {
	p := &pace{start: start}
	if rate > 0 {
		p.interval = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// next waits until the next record is due and tells when that was. ok is false
// when the context ended first.
func (p *pace) next(ctx context.Context) (due time.Time, ok bool) {
	if p.interval == 0 {
		return time.Now(), ctx.Err() == nil
	}
	due = p.start.Add(time.Duration(p.n) * p.interval)
	p.n++
	wait := time.Until(due)
	if wait <= 0 {
		return due, ctx.Err() == nil
	}
	if p.timer == nil {
		p.timer = time.NewTimer(wait)
	} else {
		p.timer.Reset(wait)
	}
	select {
	case <-ctx.Done():
		return due, false
	case <-p.timer.C:
		return due, true
	}
}

package logstore

import (
	"errors"
	"time"
)

// errStopped ends background work whose store is closing or whose log went.
var errStopped = errors.New("logstore: the background work was stopped")

// pacer holds background work to a rate of bytes a second. It lets a tenth of
// a second's worth through at once, so a slow rate does not become a series of
// tiny waits. One goroutine.
type pacer struct {
	rate int64 // bytes a second; 0: no limit
	stop <-chan struct{}
	free time.Time // when what was let through so far is paid for
}

// take waits until n bytes may be moved, or gives errStopped.
func (p *pacer) take(n int) error {
	select {
	case <-p.stop:
		return errStopped
	default:
	}
	wait := p.due(n, time.Now())
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.stop:
		return errStopped
	}
}

// due books n bytes at now and says how long to wait first.
func (p *pacer) due(n int, now time.Time) time.Duration {
	if p.rate <= 0 {
		return 0
	}
	const burst = 100 * time.Millisecond
	if p.free.Before(now.Add(-burst)) {
		p.free = now.Add(-burst)
	}
	wait := p.free.Sub(now)
	p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return wait
}

package broker

import (
	"sync"
	"time"
)

// acceptRate is max.connection.creation.rate: further connections of a second
// wait for their turn, as in Kafka (ConnectionQuotas.scala), where a burst of one
// second is let through at once.
type acceptRate struct {
	mu   sync.Mutex
	rate int64     // mu; connections a second
	free time.Time // mu; when those let in so far are paid for
}

// limit changes the rate. Any goroutine.
func (a *acceptRate) limit(rate int64) {
	a.mu.Lock()
	a.rate = rate
	a.mu.Unlock()
}

// next counts a connection and says how long it has to wait. A rate of 0 lets
// one in a second through, so that the rate can be changed again.
func (a *acceptRate) next(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rate >= 1<<31-1 {
		return 0
	}
	if since := now.Add(-time.Second); a.free.Before(since) {
		a.free = since
	}
	a.free = a.free.Add(time.Second / time.Duration(max(a.rate, 1)))
	return max(a.free.Sub(now), 0)
}

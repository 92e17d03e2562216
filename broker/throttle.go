package broker

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// throttle is what quotas apply to one connection. Nothing of it exists until a
// quota that somebody has set is to be measured.
//
// A throttled request is answered at once, with throttle_time_ms, and the
// connection is not read for that long afterwards, whatever the version
// (KIP-219); a fetch that passes its quota is answered without records.
// ClientQuotas is for one goroutine at a time, and a connection's requests may
// be on a worker and its loop at once: hence the lock, which nobody waits for.
type throttle struct {
	mu     sync.Mutex
	client *auth.ClientQuotas // mu
}

// lockQuotas gives the connection's quotas, locked; unlock s.throttle.mu after use.
func (s *session) lockQuotas(clientID string) *auth.ClientQuotas {
	t := &s.throttle
	t.mu.Lock()
	user := s.principal.Name
	if t.client == nil {
		t.client = s.b.security.quotas.Client(user, clientID)
	}
	t.client.Set(user, []byte(clientID))
	return t.client
}

// limited reports whether a kind of quota is set for anybody at all.
func (rq *request) limited(kind auth.Quota) bool {
	return rq.s.b.security.quotas.Any(kind) && rq.s.principal != nil
}

// delay has the connection throttled after the answer.
func (rq *request) delay(wait time.Duration) { rq.throttle = max(rq.throttle, wait) }

// throttleMillis is for the answer.
func (rq *request) throttleMillis() int32 {
	return int32(min((rq.throttle+time.Millisecond-1)/time.Millisecond, 1<<31-1))
}

// chargeProduce takes note of a Produce request's bytes.
func (rq *request) chargeProduce() {
	if !rq.limited(auth.QuotaProduce) {
		return
	}
	c := rq.s.lockQuotas(rq.clientID)
	rq.delay(c.Produce(int64(rq.size), time.Now()))
	rq.s.throttle.mu.Unlock()
}

// chargeFetch takes note of bytes that are about to be sent; false when they
// must not be.
func (rq *request) chargeFetch(bytes int64) bool {
	if bytes == 0 || !rq.limited(auth.QuotaFetch) {
		return true
	}
	c, now := rq.s.lockQuotas(rq.clientID), time.Now()
	defer rq.s.throttle.mu.Unlock()
	wait := c.Fetch(bytes, now)
	if wait <= 0 {
		return true
	}
	c.Unfetch(bytes, now)
	rq.delay(wait)
	return false
}

// mostFetch bounds a fetch by what its quota could ever let through.
func (rq *request) mostFetch(bytes int64) int64 {
	if !rq.limited(auth.QuotaFetch) {
		return bytes
	}
	c := rq.s.lockQuotas(rq.clientID)
	defer rq.s.throttle.mu.Unlock()
	if most := c.MaxFetch(time.Now()); most >= 0 {
		return min(bytes, most)
	}
	return bytes
}

// chargeTime takes note of the time that a handler has run.
func (s *session) chargeTime(clientID string, took time.Duration) time.Duration {
	c := s.lockQuotas(clientID)
	defer s.throttle.mu.Unlock()
	return c.Request(took, time.Now())
}

var errQuotaExceeded = refuse(errThrottlingQuotaExceeded, "The throttling quota has been exceeded.")

// mutate asks for n partitions to be made or deleted (KIP-599). strict is for
// versions whose clients know THROTTLING_QUOTA_EXCEEDED; others are throttled
// afterwards.
func (rq *request) mutate(n int, strict bool) error {
	if n <= 0 || !rq.limited(auth.QuotaMutation) {
		return nil
	}
	c := rq.s.lockQuotas(rq.clientID)
	allowed, wait := c.Mutate(n, strict, time.Now())
	rq.s.throttle.mu.Unlock()
	rq.delay(wait)
	if !allowed {
		return errQuotaExceeded
	}
	return nil
}

// tellThrottle puts the throttle into an answer that can hold one.
func (rq *request) tellThrottle(resp kmsg.Response) {
	if rq.throttle <= 0 {
		return
	}
	if t, ok := resp.(kmsg.SetThrottleResponse); ok {
		t.SetThrottle(rq.throttleMillis())
	}
}

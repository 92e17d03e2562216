package auth

import "time"

// ClientQuotas is one connection's view of the quotas: which apply to its user
// and client id, found once and again only when a quota, the user or the client
// id changes. One goroutine at a time (the connection's loop); nothing on it
// allocates but that finding. The zero value is not ready: see Quotas.Client.
type ClientQuotas struct {
	q            *Quotas
	user, client string
	limits       *quotaLimits // that the rest was found by
	found        [QuotaMutation + 1]limit
}

// Client is for a new connection.
func (q *Quotas) Client(user, clientID string) *ClientQuotas {
	return &ClientQuotas{q: q, user: user, client: clientID}
}

// Set says who the connection is now: after authentication, and before each
// request, whose header carries the client id. clientID may alias the request.
func (c *ClientQuotas) Set(user string, clientID []byte) {
	if c.user == user && c.client == string(clientID) {
		return
	}
	c.user, c.client = user, string(clientID)
	c.limits = nil
}

// limit gives the applied quota with its sensor locked, or nil.
func (c *ClientQuotas) limit(kind Quota, now int64) *limit {
	limits := c.q.limits.Load()
	if !limits.any[kind] {
		return nil
	}
	if limits != c.limits {
		c.limits = limits
		for k := range c.found {
			c.found[k] = limit{}
			if key, bound, ok := limits.resolve(Quota(k), c.user, c.client); ok {
				c.found[k] = limit{sensor: c.q.sensor(key, now), bound: bound}
			}
		}
	}
	l := &c.found[kind]
	if l.sensor == nil {
		return nil
	}
	l.sensor.mu.Lock()
	if l.sensor.gone {
		l.sensor.mu.Unlock()
		c.limits = nil
		return c.limit(kind, now)
	}
	l.sensor.last = now
	return l
}

// Produce takes note of bytes produced and says how long to mute the
// connection, zero for not at all.
func (c *ClientQuotas) Produce(bytes int64, now time.Time) time.Duration {
	return c.record(QuotaProduce, float64(bytes), now, maxThrottle)
}

// Fetch takes note of bytes about to be fetched. When it throttles, the
// response is to be empty and the bytes are to be given back by Unfetch.
func (c *ClientQuotas) Fetch(bytes int64, now time.Time) time.Duration {
	return c.record(QuotaFetch, float64(bytes), now, maxThrottle)
}

// Unfetch takes bytes back that were not sent after all.
func (c *ClientQuotas) Unfetch(bytes int64, now time.Time) {
	ms := c.q.ms(now)
	if l := c.limit(QuotaFetch, ms); l != nil {
		l.sensor.rate.record(c.q.window, -float64(bytes), ms)
		l.sensor.mu.Unlock()
	}
}

// MaxFetch is the most bytes that a fetch may carry without being throttled for
// ever: more than that can never go at once. Negative for no quota.
func (c *ClientQuotas) MaxFetch(now time.Time) int64 {
	l := c.limit(QuotaFetch, c.q.ms(now))
	if l == nil {
		return -1
	}
	l.sensor.mu.Unlock()
	return int64(l.bound * float64(c.q.window.num-1) * float64(c.q.window.sizeMs) / 1000)
}

// Request takes note of time that a request took on the broker's cores and
// says how long to mute the connection, one window at most (KIP-124).
func (c *ClientQuotas) Request(took time.Duration, now time.Time) time.Duration {
	percent := float64(took) * 100 / float64(time.Second)
	return c.record(QuotaRequest, percent, now, time.Duration(c.q.window.sizeMs)*time.Millisecond)
}

func (c *ClientQuotas) record(kind Quota, value float64, now time.Time, most time.Duration) time.Duration {
	ms := c.q.ms(now)
	l := c.limit(kind, ms)
	if l == nil {
		return 0
	}
	l.sensor.rate.record(c.q.window, value, ms)
	wait := l.sensor.rate.throttle(c.q.window, l.bound, ms, most)
	l.sensor.mu.Unlock()
	return wait
}

// Mutate asks for n mutations (partitions to create or delete). Strict, for
// clients that know THROTTLING_QUOTA_EXCEEDED (CreateTopics v6, DeleteTopics
// v5, CreatePartitions v3): while the quota is used up nothing is done, and the
// time is how long until it is not; an n beyond what is left is done whole.
// Not strict: it is done, and the time is how long to mute the connection.
func (c *ClientQuotas) Mutate(n int, strict bool, now time.Time) (allowed bool, wait time.Duration) {
	ms := c.q.ms(now)
	l := c.limit(QuotaMutation, ms)
	if l == nil {
		return true, 0
	}
	defer l.sensor.mu.Unlock()
	b := &l.sensor.bucket
	b.fill(c.q.window, l.bound, ms)
	if strict && b.tokens < 0 {
		return false, b.throttle(l.bound, maxThrottle)
	}
	b.tokens -= float64(n)
	if strict {
		return true, 0
	}
	return true, b.throttle(l.bound, maxThrottle)
}

package auth

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// Quota is one kind of client quota.
type Quota int8

const (
	QuotaProduce     Quota = iota // bytes a second
	QuotaFetch                    // bytes a second
	QuotaRequest                  // percent of one core's time
	QuotaMutation                 // partitions created or deleted a second
	QuotaConnections              // connections a second, by IP
	quotaKinds
)

var quotaKeys = [quotaKinds]string{
	"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate",
}

// Key is Kafka's name of the quota.
func (q Quota) Key() string { return quotaKeys[q] }

// maxThrottle bounds a throttle; with a positive quota and Kafka's windows it
// is never reached.
const maxThrottle = time.Hour

// QuotaOptions shapes the measurement. Zero is Kafka's default.
type QuotaOptions struct {
	Windows    int           // quota.window.num, 11
	WindowSize time.Duration // quota.window.size.seconds, 1 s
	// MaxSensors bounds the measurements held at once, 16384 by default, about
	// 400 bytes each. One that has been idle for all its windows is forgotten,
	// which loses nothing. When all are in use, a further client is measured by
	// connection alone, and Overflow counts it.
	MaxSensors int
}

// Quotas measures clients and says how long to mute them (KIP-13, KIP-124,
// KIP-219, KIP-599, KIP-612). Any goroutine; a connection holds a ClientQuotas.
//
// A measurement is shared by all connections to which the same quota entity
// applies in the same way, as Kafka's sensors are: a quota of a user is one for
// all its clients together, a default quota of users is one for each user.
type Quotas struct {
	window     window
	maxSensors int
	base       time.Time // times are milliseconds since, by the monotonic clock
	limits     atomic.Pointer[quotaLimits]

	mu       sync.Mutex
	sensors  map[sensorKey]*sensor // mu
	swept    int64                 // mu; when the map was full last
	overflow atomic.Int64
}

// quotaLimits is the quotas of one image. Immutable; its identity tells whether
// what was derived from it still holds.
type quotaLimits struct {
	version int64
	of      map[cluster.QuotaEntity]map[string]float64
	any     [quotaKinds]bool // some entity has one
}

// sensorKey is what a measurement belongs to.
type sensorKey struct {
	kind         Quota
	user, client string
	ip           netip.Addr
}

// sensor is one measurement.
type sensor struct {
	mu     sync.Mutex
	rate   rate   // mu; all kinds but QuotaMutation
	bucket bucket // mu; QuotaMutation
	last   int64  // mu; when it was used last
	gone   bool   // mu; not in the map any more: look it up again
}

// NewQuotas follows the cluster's quotas; c may be nil, for none.
func NewQuotas(c *cluster.Cluster, o QuotaOptions) *Quotas {
	if o.Windows <= 0 {
		o.Windows = 11
	}
	if o.WindowSize < time.Millisecond {
		o.WindowSize = time.Second
	}
	if o.MaxSensors <= 0 {
		o.MaxSensors = 16384
	}
	q := &Quotas{
		window:     window{num: o.Windows, sizeMs: o.WindowSize.Milliseconds()},
		maxSensors: o.MaxSensors,
		base:       time.Now(),
		swept:      math.MinInt64 / 4,
		sensors:    map[sensorKey]*sensor{},
	}
	q.limits.Store(&quotaLimits{version: -1})
	if c != nil {
		c.Subscribe(func(_, image *cluster.Image) { q.update(image) })
		q.update(c.Image())
	}
	return q
}

// update takes an image; an older one than the last is ignored.
func (q *Quotas) update(image *cluster.Image) {
	if image == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if image.QuotasVersion <= q.limits.Load().version {
		return
	}
	next := &quotaLimits{version: image.QuotasVersion, of: image.Quotas}
	for _, values := range image.Quotas {
		for kind, key := range quotaKeys {
			if _, ok := values[key]; ok {
				next.any[kind] = true
			}
		}
	}
	q.limits.Store(next)
}

// ms turns a time into the measurements' own, which a step of the wall clock
// does not disturb.
func (q *Quotas) ms(now time.Time) int64 { return now.Sub(q.base).Milliseconds() }

// Sensors is how many measurements are held, and Overflow how often one more
// was wanted than may be.
func (q *Quotas) Sensors() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.sensors)
}

// Any reports whether some entity has a quota of the kind; without one there is
// nothing to measure.
func (q *Quotas) Any(kind Quota) bool { return q.limits.Load().any[kind] }

// Overflow counts measurements that found no room.
func (q *Quotas) Overflow() int64 { return q.overflow.Load() }

// sweep forgets idle measurements, under mu.
func (q *Quotas) sweep(now int64) {
	q.swept = now
	for key, s := range q.sensors {
		s.mu.Lock()
		if now-s.last > q.window.spanMs()+q.window.sizeMs {
			s.gone = true
			delete(q.sensors, key)
		}
		s.mu.Unlock()
	}
}

// sensor finds or makes a measurement.
func (q *Quotas) sensor(key sensorKey, now int64) *sensor {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.sensors[key]; s != nil {
		return s
	}
	s := &sensor{last: now}
	if len(q.sensors) >= q.maxSensors && now-q.swept >= q.window.sizeMs {
		q.sweep(now)
	}
	if len(q.sensors) >= q.maxSensors {
		q.overflow.Add(1)
		return s // the caller's alone
	}
	q.sensors[key] = s
	return s
}

// limit is an applied quota: what measures it and what it is.
type limit struct {
	sensor *sensor // nil for no quota
	bound  float64
}

// resolve finds the quota of a user and client id by Kafka's precedence
// (ClientQuotaManager.DefaultQuotaCallback): user and client, user and default
// client, user, default user and client, default user and default client,
// default user, client, default client. What it is measured by is the level's:
// a level without a client part is shared by all clients of the user, one
// without a user part by all users.
//
// A client without a client id is measured by user alone, and no level with a
// client part applies to it, as in Kafka.
func (l *quotaLimits) resolve(kind Quota, user, client string) (key sensorKey, bound float64, found bool) {
	if !l.any[kind] {
		return key, 0, false
	}
	name := func(s string) cluster.QuotaPart { return cluster.QuotaPart{Set: true, Name: s} }
	other := cluster.QuotaPart{Set: true, Default: true}
	var none cluster.QuotaPart
	u, c := name(user), name(client)
	levels := [...]struct{ user, client cluster.QuotaPart }{
		{u, c}, {u, other}, {u, none}, {other, c}, {other, other}, {other, none}, {none, c}, {none, other},
	}
	for _, level := range levels {
		if level.client.Set && client == "" || level.user.Set && user == "" {
			continue
		}
		bound, ok := l.of[cluster.QuotaEntity{User: level.user, ClientID: level.client}][quotaKeys[kind]]
		if !ok {
			continue
		}
		key.kind = kind
		if level.user.Set {
			key.user = user
		}
		if level.client.Set {
			key.client = client
		}
		return key, bound, true
	}
	return key, 0, false
}

// Connection takes note of a new connection from an address and says how long
// to wait before it is closed, zero for one that is let in (KIP-612). One that
// is not let in does not count.
func (q *Quotas) Connection(ip netip.Addr, now time.Time) time.Duration {
	l := q.limits.Load()
	if !l.any[QuotaConnections] {
		return 0
	}
	ip = ip.Unmap().WithZone("")
	key := quotaKeys[QuotaConnections]
	bound, ok := l.of[cluster.QuotaEntity{IP: cluster.QuotaPart{Set: true, Name: ip.String()}}][key]
	if !ok {
		if bound, ok = l.of[cluster.QuotaEntity{IP: cluster.QuotaPart{Set: true, Default: true}}][key]; !ok {
			return 0
		}
	}
	ms := q.ms(now)
	for {
		s := q.sensor(sensorKey{kind: QuotaConnections, ip: ip}, ms)
		s.mu.Lock()
		if s.gone {
			s.mu.Unlock()
			continue
		}
		s.last = ms
		s.rate.record(q.window, 1, ms)
		wait := s.rate.throttle(q.window, bound, ms, time.Duration(q.window.sizeMs)*time.Millisecond)
		if wait > 0 {
			s.rate.record(q.window, -1, ms)
		}
		s.mu.Unlock()
		return wait
	}
}

package auth

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// AttemptOptions limits failed authentications by address. Zero is the default.
type AttemptOptions struct {
	Burst     int           // failures that may come at once, 100
	PerSecond float64       // failures that are forgiven each second, 10
	MaxAddrs  int           // addresses remembered at once, 65536
	MaxWait   time.Duration // the longest refusal, 30 s
}

// Attempts holds back addresses from which too many authentications fail, so
// that guessing passwords costs the broker no hashing. An IPv6 address counts
// with its /64. A success forgives nothing: one good account must not pay for
// guesses at others. When more addresses fail at once than are remembered, the
// further ones are let through and counted in Untracked.
type Attempts struct {
	o         AttemptOptions
	untracked atomic.Int64

	mu    sync.Mutex
	addrs map[netip.Addr]attempt // mu
	swept time.Time              // mu
}

type attempt struct {
	failures float64 // as of at; they decay
	at       time.Time
}

// NewAttempts fills in the defaults.
func NewAttempts(o AttemptOptions) *Attempts {
	if o.Burst <= 0 {
		o.Burst = 100
	}
	if o.PerSecond <= 0 {
		o.PerSecond = 10
	}
	if o.MaxAddrs <= 0 {
		o.MaxAddrs = 65536
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 30 * time.Second
	}
	return &Attempts{o: o, addrs: map[netip.Addr]attempt{}}
}

// source is what counts as one: an IPv4 address or an IPv6 /64.
func source(ip netip.Addr) netip.Addr {
	if ip = ip.Unmap().WithZone(""); !ip.Is6() {
		return ip
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return ip // an address that is none has no prefix
	}
	return p.Addr()
}

func (a *Attempts) left(e attempt, now time.Time) float64 {
	return max(0, e.failures-now.Sub(e.at).Seconds()*a.o.PerSecond)
}

// Wait is how long an address has still to wait before it may try; zero to let
// it try now. Refuse with KindRate, before any hashing.
func (a *Attempts) Wait(ip netip.Addr, now time.Time) time.Duration {
	a.mu.Lock()
	e, ok := a.addrs[source(ip)]
	a.mu.Unlock()
	if !ok {
		return 0
	}
	over := a.left(e, now) - float64(a.o.Burst)
	if over <= 0 {
		return 0
	}
	return min(time.Duration(over/a.o.PerSecond*float64(time.Second))+time.Millisecond, a.o.MaxWait)
}

// Failed takes note of a refused authentication; not of one that Wait refused.
func (a *Attempts) Failed(ip netip.Addr, now time.Time) {
	ip = source(ip)
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.addrs[ip]
	if !ok && len(a.addrs) >= a.o.MaxAddrs && now.Sub(a.swept) >= time.Second {
		a.swept = now
		for other, e := range a.addrs {
			if a.left(e, now) == 0 {
				delete(a.addrs, other)
			}
		}
	}
	if !ok && len(a.addrs) >= a.o.MaxAddrs {
		a.untracked.Add(1)
		return
	}
	most := float64(a.o.Burst) + a.o.MaxWait.Seconds()*a.o.PerSecond
	a.addrs[ip] = attempt{failures: min(a.left(e, now)+1, most), at: now}
}

// Untracked counts the failures of addresses that found no room.
func (a *Attempts) Untracked() int64 { return a.untracked.Load() }

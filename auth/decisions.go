package auth

import (
	"bytes"
	"hash/maphash"
	"net/netip"
)

const (
	firstDecisions = 8
	maxDecisions   = 64
	// maxDecisionName bounds the bytes that a cached decision keeps; topic names
	// end at 249, group ids need not.
	maxDecisionName = 256
)

// Decisions caches an authorizer's decisions for one connection. The zero value
// is ready, holds nothing until the first decision and never more than 64
// decisions. For one goroutine at a time (the connection's loop).
//
// Every decision is tagged with the rules' epoch: after a change of any ACL the
// cache starts afresh, and a decision made while the rules change is kept under
// the older epoch, so that it is asked again.
type Decisions struct {
	epoch     uint64
	principal *Principal
	host      netip.Addr
	slots     []decision // a power of two, two places for each hash
}

type decision struct {
	hash    uint64
	name    []byte
	op      Operation
	kind    ResourceType
	set     bool
	allowed bool
}

func (d *decision) is(hash uint64, op Operation, rt ResourceType, name []byte) bool {
	return d.set && d.hash == hash && d.op == op && d.kind == rt && bytes.Equal(d.name, name)
}

// Authorize is a.Authorize by way of the cache. It allocates only when it
// learns a decision, and then only until the slot's name has room.
func (d *Decisions) Authorize(a *Authorizer, p *Principal, host netip.Addr, op Operation, rt ResourceType, name []byte) bool {
	if !a.enabled {
		return true
	}
	epoch := a.Epoch()
	if epoch != d.epoch || p != d.principal || host != d.host {
		d.epoch, d.principal, d.host = epoch, p, host
		for i := range d.slots {
			d.slots[i].set = false
		}
	}
	hash := maphash.Bytes(a.seed, name) ^ (uint64(op)<<8|uint64(rt))*0x9e3779b97f4a7c15>>32
	if n := len(d.slots); n != 0 {
		at := int(hash) & (n - 1)
		if s := &d.slots[at]; s.is(hash, op, rt, name) {
			return s.allowed
		}
		if s := &d.slots[at^1]; s.is(hash, op, rt, name) {
			return s.allowed
		}
	}
	allowed := a.Authorize(p, host, op, rt, name)
	if len(name) <= maxDecisionName {
		d.keep(decision{hash: hash, op: op, kind: rt, set: true, allowed: allowed}, name)
	}
	return allowed
}

// keep stores a decision in one of its two places; when both are taken the
// table grows, and at its largest the first place is given up.
func (d *Decisions) keep(n decision, name []byte) {
	if len(d.slots) == 0 {
		d.slots = make([]decision, firstDecisions)
	}
	at := int(n.hash) & (len(d.slots) - 1)
	if d.slots[at].set && d.slots[at^1].set && len(d.slots) < maxDecisions {
		old := d.slots
		d.slots = make([]decision, 2*len(old))
		for _, o := range old {
			if o.set {
				to := int(o.hash) & (len(d.slots) - 1)
				if d.slots[to].set {
					to ^= 1
				}
				d.slots[to] = o
			}
		}
		at = int(n.hash) & (len(d.slots) - 1)
	}
	if d.slots[at].set && !d.slots[at^1].set {
		at ^= 1
	}
	n.name = append(d.slots[at].name[:0], name...)
	d.slots[at] = n
}

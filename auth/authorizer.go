package auth

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/chronik-stream/chronik/cluster"
)

// Authorizer decides what a principal may do, as Kafka's StandardAuthorizer
// does (StandardAuthorizerData.java):
//
//  1. A super user may do everything.
//  2. A DENY that matches refuses, however many ALLOWs match.
//  3. An ALLOW that matches allows.
//  4. If some ACL is on the resource, by name, prefix or "*", and none of them
//     matched, it refuses.
//  5. With no ACL at all on the resource, allow.everyone.if.no.acl.found
//     decides.
//
// ALLOW of READ, WRITE, DELETE or ALTER implies DESCRIBE, ALTER_CONFIGS implies
// DESCRIBE_CONFIGS; DENY implies nothing. Principals match exactly or by
// User:*, which matches every type of principal too. Hosts match exactly or by
// "*".
//
// Two differences. Hosts are compared as addresses, not as text: Kafka compares
// with Java's long form of an IPv6 address, so that there an ACL for "::1"
// matches nothing, a DENY as little as an ALLOW. And the wildcard holds for names
// that begin with a star too (group ids may), where Kafka 4.2 takes it for the
// literal name "*" and passes it over.
//
// All methods are for any goroutine, take no lock and do not allocate.
type Authorizer struct {
	enabled bool
	noACL   bool
	super   map[principalKey]struct{}

	current atomic.Pointer[rules]

	mu      sync.Mutex // of update only: images come in order
	version int64      // of the image that current was built from
}

// NewAuthorizer builds the rules from the image and follows its changes.
// enabled false (no authorizer configured) allows everything. superUsers are
// "User:name" each (Kafka's super.users, already split at its semicolons).
func NewAuthorizer(c *cluster.Cluster, enabled bool, superUsers []string, allowIfNoACL bool) *Authorizer {
	a := newAuthorizer(enabled, superUsers, allowIfNoACL)
	if c != nil {
		c.Subscribe(func(_, image *cluster.Image) { a.update(image) })
		a.update(c.Image())
	}
	return a
}

func newAuthorizer(enabled bool, superUsers []string, allowIfNoACL bool) *Authorizer {
	a := &Authorizer{enabled: enabled, noACL: allowIfNoACL, super: map[principalKey]struct{}{}, version: -1}
	for _, s := range superUsers {
		if s = strings.TrimSpace(s); s != "" {
			a.super[keyOf(s)] = struct{}{}
		}
	}
	a.current.Store(&rules{epoch: 1})
	return a
}

// update takes an image; an older one than the last is ignored, so that the
// first image and the subscription may come in either order.
func (a *Authorizer) update(image *cluster.Image) {
	if image == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if image.Version < a.version {
		return
	}
	a.version = image.Version
	a.current.Store(a.current.Load().with(image.ACLs))
}

// Enabled reports whether anything is checked at all.
func (a *Authorizer) Enabled() bool { return a.enabled }

// Epoch changes whenever a rule does; caches compare it.
func (a *Authorizer) Epoch() uint64 { return a.current.Load().epoch }

// Super reports whether the principal is a super user.
func (a *Authorizer) Super(p *Principal) bool {
	if p == nil {
		return false
	}
	_, ok := a.super[principalKey{p.Type, p.Name}]
	return ok
}

// Authorize is StandardAuthorizer's decision. name may alias a request's bytes
// and is not kept. An operation or type that no ACL can hold (OpAny) is
// refused to all but super users.
func (a *Authorizer) Authorize(p *Principal, host netip.Addr, op Operation, rt ResourceType, name []byte) bool {
	if !a.enabled {
		return true
	}
	if p == nil {
		return false
	}
	key := principalKey{p.Type, p.Name}
	if _, ok := a.super[key]; ok {
		return true
	}
	bit := op.bit()
	if rt < ResTopic || rt > ResUser || bit == 0 {
		return false
	}
	return a.decide(a.current.Load().kinds[rt], key, host.Unmap(), bit, name)
}

func (a *Authorizer) decide(k *kindRules, key principalKey, host netip.Addr, bit opMask, name []byte) bool {
	v, found := k.look(key, host, name)
	switch {
	case v.deny&bit != 0:
		return false
	case v.allow&bit != 0:
		return true
	case found:
		return false
	}
	return a.noACL
}

// hardcode is the resource name that Kafka asks about first in
// authorizeByResourceType, to let super users and allow.everyone.if.no.acl.found
// through; ACLs that happen to match it count, in Kafka too.
var hardcode = []byte("hardcode")

// AuthorizeAny is authorizeByResourceType (KIP-679): whether the principal may
// do op on at least one resource of the type. An ALLOW counts for its own
// operation only, implied ones do not; one that is dominated by a DENY on the
// same literal or on a prefix of it does not count.
func (a *Authorizer) AuthorizeAny(p *Principal, host netip.Addr, op Operation, rt ResourceType) bool {
	if !a.enabled {
		return true
	}
	if p == nil {
		return false
	}
	key := principalKey{p.Type, p.Name}
	if _, ok := a.super[key]; ok {
		return true
	}
	bit := op.bit()
	if rt < ResTopic || rt > ResUser || bit == 0 || op == OpAll {
		return false
	}
	k := a.current.Load().kinds[rt]
	host = host.Unmap()
	return a.decide(k, key, host, bit, hardcode) || k.any(key, host, op)
}

package auth

import (
	"maps"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/chronik-stream/chronik/cluster"
)

// rules is the ACLs of one image, arranged for decisions. Immutable: a change
// makes a new rules that shares every part that the change does not touch.
//
// A resource name is matched by at most 2 + len(prefixes) patterns: the literal
// name, the wildcard, and one prefix for every distinct prefix length there
// is. Kafka walks a sorted set and steps back at the first divergence; looking
// up one hash per length needs no walk and does not slow down with the number
// of ACLs. Each pattern holds bit sets by principal and host, so that a
// decision is a few lookups, an OR and an AND: no order between rules is left
// to get wrong, DENY simply wins at the end.
type rules struct {
	epoch uint64
	acls  []cluster.ACL // what it was built from
	kinds [ResUser + 1]*kindRules
}

// kindRules is the patterns of one resource type.
type kindRules struct {
	literal  map[string]*pattern // but "*"
	wildcard *pattern            // literal "*"
	prefixed map[string]*pattern
	lengths  []int // of the prefixes, ascending, each once
}

// pattern is everything said about one (type, name, pattern type).
type pattern struct {
	acls        []cluster.ACL // in the image's order
	byPrincipal map[principalKey]*grants
	everyone    *grants // User:*, nil if nothing is said
}

// grants is what a pattern says about one principal.
type grants struct {
	anyHost verdict
	byHost  map[netip.Addr]verdict // by unmapped address
}

// verdict is the operations that rules allow and deny. exact holds the allowed
// operations without the implied ones, which authorizeByResourceType wants.
type verdict struct{ allow, deny, exact opMask }

func (v *verdict) add(o verdict) {
	v.allow |= o.allow
	v.deny |= o.deny
	v.exact |= o.exact
}

func (p *pattern) look(k principalKey, host netip.Addr, v *verdict) {
	if p.everyone != nil {
		p.everyone.look(host, v)
	}
	if g := p.byPrincipal[k]; g != nil {
		g.look(host, v)
	}
}

func (g *grants) look(host netip.Addr, v *verdict) {
	v.add(g.anyHost)
	if len(g.byHost) != 0 {
		v.add(g.byHost[host])
	}
}

// look gathers what is said about a principal on a name, and whether anything
// is said about the name at all.
func (k *kindRules) look(p principalKey, host netip.Addr, name []byte) (v verdict, found bool) {
	if k == nil {
		return v, false
	}
	if k.wildcard != nil {
		found = true
		k.wildcard.look(p, host, &v)
	}
	if pat := k.literal[string(name)]; pat != nil {
		found = true
		pat.look(p, host, &v)
	}
	for _, n := range k.lengths {
		if n > len(name) {
			break
		}
		if pat := k.prefixed[string(name[:n])]; pat != nil {
			found = true
			pat.look(p, host, &v)
		}
	}
	return v, found
}

// any is Authorizer.authorizeByResourceType's second half: whether some allowed
// pattern is not dominated by a denied one (KIP-679).
func (k *kindRules) any(p principalKey, host netip.Addr, op Operation) bool {
	if k == nil {
		return false
	}
	bit := op.bit()
	said := func(pat *pattern) (v verdict) {
		pat.look(p, host, &v)
		return v
	}
	if k.wildcard != nil {
		v := said(k.wildcard)
		if v.deny&bit != 0 {
			return false
		}
		if v.exact&bit != 0 {
			return true
		}
	}
	dominated := func(name string) bool {
		for _, n := range k.lengths {
			if n > len(name) {
				break
			}
			if pat := k.prefixed[name[:n]]; pat != nil && said(pat).deny&bit != 0 {
				return true
			}
		}
		return false
	}
	for name, pat := range k.literal {
		if v := said(pat); v.exact&bit != 0 && v.deny&bit == 0 && !dominated(name) {
			return true
		}
	}
	for name, pat := range k.prefixed {
		if said(pat).exact&bit != 0 && !dominated(name) {
			return true
		}
	}
	return false
}

// with gives the rules for a new list of ACLs. The lists are compared from both
// ends; only the patterns named in between are built again, and only the maps
// of their resource types are copied.
func (r *rules) with(acls []cluster.ACL) *rules {
	if unsafe.SliceData(acls) == unsafe.SliceData(r.acls) && len(acls) == len(r.acls) {
		return r
	}
	front := 0
	for front < len(acls) && front < len(r.acls) && acls[front] == r.acls[front] {
		front++
	}
	back := 0
	for back < len(acls)-front && back < len(r.acls)-front && acls[len(acls)-1-back] == r.acls[len(r.acls)-1-back] {
		back++
	}
	gone, come := r.acls[front:len(r.acls)-back], acls[front:len(acls)-back]
	next := &rules{epoch: r.epoch, acls: acls, kinds: r.kinds}
	if len(gone) == 0 && len(come) == 0 {
		return next
	}
	next.epoch++
	edit := ruleEdit{rules: next}
	for _, acl := range gone {
		edit.change(acl, func(list []cluster.ACL) []cluster.ACL {
			if at := slices.Index(list, acl); at >= 0 {
				return slices.Delete(list, at, at+1)
			}
			return list
		})
	}
	for _, acl := range come {
		edit.change(acl, func(list []cluster.ACL) []cluster.ACL { return append(list, acl) })
	}
	edit.finish()
	return next
}

// patternKey names a pattern.
type patternKey struct {
	kind   ResourceType
	prefix bool
	name   string
}

// ruleEdit gathers the changed patterns' ACLs before they are built once each.
type ruleEdit struct {
	rules   *rules
	changed map[patternKey][]cluster.ACL
}

func (e *ruleEdit) change(acl cluster.ACL, f func([]cluster.ACL) []cluster.ACL) {
	kind := ResourceType(acl.ResourceType)
	if kind < ResTopic || kind > ResUser || (acl.PatternType != PatternLiteral && acl.PatternType != PatternPrefixed) {
		return // not one that anything can ask for
	}
	key := patternKey{kind, acl.PatternType == PatternPrefixed, acl.ResourceName}
	list, ok := e.changed[key]
	if !ok {
		if p := e.rules.kinds[kind].pattern(key); p != nil {
			list = slices.Clone(p.acls)
		}
		if e.changed == nil {
			e.changed = map[patternKey][]cluster.ACL{}
		}
	}
	e.changed[key] = f(list)
}

func (e *ruleEdit) finish() {
	own := [ResUser + 1]bool{}
	for key, list := range e.changed {
		if !own[key.kind] {
			own[key.kind] = true
			e.rules.kinds[key.kind] = e.rules.kinds[key.kind].clone()
		}
		e.rules.kinds[key.kind].set(key, newPattern(list))
	}
	for kind, ours := range own {
		if ours {
			e.rules.kinds[kind].measure()
		}
	}
}

func (k *kindRules) pattern(key patternKey) *pattern {
	switch {
	case k == nil:
		return nil
	case key.prefix:
		return k.prefixed[key.name]
	case key.name == wildcard:
		return k.wildcard
	}
	return k.literal[key.name]
}

func (k *kindRules) clone() *kindRules {
	if k == nil {
		return &kindRules{literal: map[string]*pattern{}, prefixed: map[string]*pattern{}}
	}
	return &kindRules{literal: maps.Clone(k.literal), wildcard: k.wildcard, prefixed: maps.Clone(k.prefixed)}
}

func (k *kindRules) set(key patternKey, p *pattern) {
	in := k.literal
	switch {
	case key.prefix:
		in = k.prefixed
	case key.name == wildcard:
		k.wildcard = p
		return
	}
	if p == nil {
		delete(in, key.name)
	} else {
		in[key.name] = p
	}
}

func (k *kindRules) measure() {
	for name := range k.prefixed {
		k.lengths = append(k.lengths, len(name))
	}
	slices.Sort(k.lengths)
	k.lengths = slices.Compact(k.lengths)
}

// newPattern is nil for no ACLs: a name whose last ACL went away counts as one
// that has none.
func newPattern(acls []cluster.ACL) *pattern {
	if len(acls) == 0 {
		return nil
	}
	p := &pattern{acls: acls, byPrincipal: map[principalKey]*grants{}}
	for _, acl := range acls {
		g := p.grantsOf(acl.Principal)
		var v verdict
		switch op := Operation(acl.Operation); acl.Permission {
		case PermissionAllow:
			v.allow, v.exact = granted(op), refused(op)
		case PermissionDeny:
			v.deny = refused(op)
		}
		if acl.Host == wildcard {
			g.anyHost.add(v)
			continue
		}
		addr, err := netip.ParseAddr(acl.Host)
		if err != nil {
			continue // Kafka compares it with an address's text: it never matches
		}
		if g.byHost == nil {
			g.byHost = map[netip.Addr]verdict{}
		}
		at := g.byHost[addr.Unmap()]
		at.add(v)
		g.byHost[addr.Unmap()] = at
	}
	return p
}

func (p *pattern) grantsOf(principal string) *grants {
	if principal == UserType+":"+wildcard {
		if p.everyone == nil {
			p.everyone = &grants{}
		}
		return p.everyone
	}
	key := keyOf(principal)
	g := p.byPrincipal[key]
	if g == nil {
		g = &grants{}
		p.byPrincipal[key] = g
	}
	return g
}

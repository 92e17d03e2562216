package cluster

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// ScramRecord sets a user's credential for one mechanism.
type ScramRecord struct {
	Key        ScramKey
	Credential ScramCredential
}

func (ScramRecord) recordType() int16 { return typeScram }

func (s ScramRecord) encode(w *writer) {
	w.string(s.Key.User)
	w.byte(byte(s.Key.Mechanism))
	s.Credential.encode(w)
}

func (c *ScramCredential) encode(w *writer) {
	w.bytes(c.Salt)
	w.bytes(c.StoredKey)
	w.bytes(c.ServerKey)
	w.int(int64(c.Iterations))
}

func (r *reader) credential() ScramCredential {
	return ScramCredential{Salt: r.bytes(), StoredKey: r.bytes(), ServerKey: r.bytes(), Iterations: int32(r.small(math.MaxInt32))}
}

func decodeScram(r *reader, _ uint64) Record {
	return ScramRecord{Key: ScramKey{r.string(), int8(r.byte())}, Credential: r.credential()}
}

func (s ScramRecord) apply(d *draft) error {
	if s.Key.User == "" || s.Key.Mechanism < 1 || s.Key.Mechanism > 2 {
		return fmt.Errorf("a SCRAM credential of user %q for mechanism %d cannot be kept", s.Key.User, s.Key.Mechanism)
	}
	d.scram()[s.Key] = s.Credential
	return nil
}

// ScramRemovedRecord takes a user's credential for one mechanism away.
type ScramRemovedRecord struct{ Key ScramKey }

func (ScramRemovedRecord) recordType() int16 { return typeScramRemoved }

func (s ScramRemovedRecord) encode(w *writer) {
	w.string(s.Key.User)
	w.byte(byte(s.Key.Mechanism))
}

func decodeScramRemoved(r *reader, _ uint64) Record {
	return ScramRemovedRecord{Key: ScramKey{r.string(), int8(r.byte())}}
}

func (s ScramRemovedRecord) apply(d *draft) error {
	if _, ok := d.img.Scram[s.Key]; !ok {
		return fmt.Errorf("user %q has no SCRAM credential for mechanism %d", s.Key.User, s.Key.Mechanism)
	}
	delete(d.scram(), s.Key)
	return nil
}

// ACLRecord adds a binding; one that is there already stays as it is.
type ACLRecord struct{ ACL ACL }

func (ACLRecord) recordType() int16  { return typeACL }
func (a ACLRecord) encode(w *writer) { a.ACL.encode(w) }
func decodeACL(r *reader, _ uint64) Record {
	return ACLRecord{r.acl()}
}

func (a ACLRecord) apply(d *draft) error {
	at, found := findACL(d.img.ACLs, a.ACL)
	if !found {
		d.acls()
		d.img.ACLs = slices.Insert(d.img.ACLs, at, a.ACL)
	}
	return nil
}

// ACLRemovedRecord takes a binding away.
type ACLRemovedRecord struct{ ACL ACL }

func (ACLRemovedRecord) recordType() int16  { return typeACLRemoved }
func (a ACLRemovedRecord) encode(w *writer) { a.ACL.encode(w) }
func decodeACLRemoved(r *reader, _ uint64) Record {
	return ACLRemovedRecord{r.acl()}
}

func (a ACLRemovedRecord) apply(d *draft) error {
	at, found := findACL(d.img.ACLs, a.ACL)
	if !found {
		return fmt.Errorf("there is no such ACL on %q", a.ACL.ResourceName)
	}
	d.acls()
	d.img.ACLs = slices.Delete(d.img.ACLs, at, at+1)
	return nil
}

func (a *ACL) encode(w *writer) {
	w.byte(byte(a.ResourceType))
	w.string(a.ResourceName)
	w.byte(byte(a.PatternType))
	w.string(a.Principal)
	w.string(a.Host)
	w.byte(byte(a.Operation))
	w.byte(byte(a.Permission))
}

func (r *reader) acl() ACL {
	return ACL{ResourceType: int8(r.byte()), ResourceName: r.string(), PatternType: int8(r.byte()),
		Principal: r.string(), Host: r.string(), Operation: int8(r.byte()), Permission: int8(r.byte())}
}

// QuotaRecord sets one quota of an entity, or with Delete takes it away.
type QuotaRecord struct {
	Entity QuotaEntity
	Key    string
	Value  float64
	Delete bool
}

func (QuotaRecord) recordType() int16 { return typeQuota }

func (q QuotaRecord) encode(w *writer) {
	for _, p := range []QuotaPart{q.Entity.User, q.Entity.ClientID, q.Entity.IP} {
		w.bool(p.Set)
		w.bool(p.Default)
		w.string(p.Name)
	}
	w.string(q.Key)
	w.bool(q.Delete)
	w.fixed(math.Float64bits(q.Value))
}

func decodeQuota(r *reader, _ uint64) Record {
	var q QuotaRecord
	for _, p := range []*QuotaPart{&q.Entity.User, &q.Entity.ClientID, &q.Entity.IP} {
		*p = QuotaPart{Set: r.bool(), Default: r.bool(), Name: r.string()}
	}
	q.Key, q.Delete, q.Value = r.string(), r.bool(), math.Float64frombits(r.fixed())
	return q
}

func (q QuotaRecord) apply(d *draft) error {
	if q.Entity == (QuotaEntity{}) || q.Key == "" {
		return fmt.Errorf("quota %q belongs to nobody", q.Key)
	}
	if math.IsNaN(q.Value) {
		return fmt.Errorf("quota %s is not a number", q.Key)
	}
	old := d.img.Quotas[q.Entity]
	if _, ok := old[q.Key]; !ok && q.Delete {
		return nil
	}
	m := make(map[string]float64, len(old)+1)
	maps.Copy(m, old)
	if q.Delete {
		delete(m, q.Key)
	} else {
		m[q.Key] = q.Value
	}
	if len(m) == 0 {
		delete(d.quotas(), q.Entity)
	} else {
		d.quotas()[q.Entity] = m
	}
	return nil
}

// TokenRecord adds or changes a delegation token.
type TokenRecord struct{ Token Token }

func (TokenRecord) recordType() int16 { return typeToken }

func (t TokenRecord) encode(w *writer) {
	w.string(t.Token.ID)
	w.bytes(t.Token.HMAC)
	w.string(t.Token.Owner)
	w.string(t.Token.Requester)
	w.uint(uint64(len(t.Token.Renewers)))
	for _, p := range t.Token.Renewers {
		w.string(p)
	}
	w.int(t.Token.IssuedMs)
	w.int(t.Token.ExpiryMs)
	w.int(t.Token.MaxMs)
	t.Token.ScramSHA256.encode(w)
	t.Token.ScramSHA512.encode(w)
}

func decodeToken(r *reader, _ uint64) Record {
	t := Token{ID: r.string(), HMAC: r.bytes(), Owner: r.string(), Requester: r.string()}
	for range r.length() {
		t.Renewers = append(t.Renewers, r.string())
	}
	t.IssuedMs, t.ExpiryMs, t.MaxMs = r.int(), r.int(), r.int()
	t.ScramSHA256, t.ScramSHA512 = r.credential(), r.credential()
	return TokenRecord{t}
}

func (t TokenRecord) apply(d *draft) error {
	if t.Token.ID == "" {
		return fmt.Errorf("a delegation token has no id")
	}
	d.tokens()[t.Token.ID] = t.Token
	return nil
}

// TokenRemovedRecord takes a delegation token away.
type TokenRemovedRecord struct{ ID string }

func (TokenRemovedRecord) recordType() int16  { return typeTokenRemoved }
func (t TokenRemovedRecord) encode(w *writer) { w.string(t.ID) }
func decodeTokenRemoved(r *reader, _ uint64) Record {
	return TokenRemovedRecord{ID: r.string()}
}

func (t TokenRemovedRecord) apply(d *draft) error {
	if _, ok := d.img.Tokens[t.ID]; !ok {
		return fmt.Errorf("there is no delegation token %q", t.ID)
	}
	delete(d.tokens(), t.ID)
	return nil
}

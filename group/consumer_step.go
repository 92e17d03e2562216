package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// work is one operation on a consumer group, in the making. It reads the
// group as it was and collects changes; only commit puts them into effect, so
// that a refusal half way leaves nothing behind.
type work struct {
	s *state
	// g is the group as it was; for a group that comes into being, or is being
	// converted from a classic one, it is not in the state yet.
	g       *consumerGroup
	changes []change
	// convert is the classic group that this operation replaces, nil for none.
	convert *classicGroup
	// epoch is the group's epoch after the operation.
	epoch int32
	// refreshed: the subscribed topics were hashed.
	refreshed bool
	// resolve are patterns to resolve as client once the changes are in effect.
	resolve []string
	client  Client
}

// openConsumer finds a consumer group to work on. create makes it, converting
// a classic group that may be converted.
func (s *state) openConsumer(now time.Time, id string, create bool) (*work, *refusal) {
	w := &work{s: s}
	e := s.find(id)
	switch {
	case e == nil && !create:
		return nil, refuse(codeGroupIDNotFound, "Consumer group "+id+" not found.")
	case e == nil && len(s.groups) >= maxGroups:
		return nil, refuse(codeCoordinatorNotAvailable, "The coordinator's partition holds its maximum of groups.")
	case e == nil:
		w.g = newConsumerGroup(id)
	case e.consumer != nil:
		w.g = e.consumer
	case create && e.classic.state == classicEmpty:
		w.convert = e.classic
		w.g = newConsumerGroup(id)
	case create:
		if bad := w.upgrade(e.classic); bad != nil {
			return nil, bad
		}
	default:
		return nil, refuse(codeGroupIDNotFound, "Group "+id+" is not a consumer group.")
	}
	w.epoch = w.g.epoch
	return w, nil
}

// group is the group after commit.
func (w *work) group() *consumerGroup {
	if e := w.s.groups[w.g.id]; e != nil && e.consumer != nil {
		return e.consumer
	}
	return w.g
}

func (w *work) full(id, instanceID string) bool {
	if w.g.staticMember(instanceID) != nil {
		return false
	}
	return len(w.g.members) >= w.s.cfg().consumerMaxSize && w.g.members[id] == nil
}

// member finds the member that a request speaks of, or begins a new one. The
// result is the member as it was; a static member that comes back under a new
// id is its predecessor renamed.
func (w *work) member(id, instanceID string, create, classic bool, epoch int32, ownedNow []kmsg.ConsumerGroupHeartbeatRequestTopic) (*consumerMember, *refusal) {
	if instanceID == "" {
		m := w.g.members[id]
		if m == nil {
			if !create {
				return nil, refuse(codeUnknownMemberID, "Member "+id+" is not a member of group "+w.g.id+".")
			}
			m = newConsumerMember(id)
		}
		if !classic {
			if bad := checkEpoch(m, epoch, ownedNow); bad != nil {
				return nil, bad
			}
		}
		return m, nil
	}
	have := w.g.staticMember(instanceID)
	switch {
	case !create && have == nil:
		return nil, refuse(codeUnknownMemberID, "Instance id "+instanceID+" is unknown.")
	case !create && have.id != id:
		return nil, refuse(codeFencedInstanceID, "Static member "+id+" with instance id "+instanceID+" was fenced by member "+have.id+".")
	case !create:
		if !classic {
			if bad := checkEpoch(have, epoch, ownedNow); bad != nil {
				return nil, bad
			}
		}
		return have, nil
	case have == nil:
		if m := w.g.members[id]; m != nil {
			return m, nil
		}
		return newConsumerMember(id), nil
	}
	if !classic && !have.classic() && have.cur.epoch != epochStaticLeave {
		return nil, refuse(codeUnreleasedInstanceID, "Static member "+id+" with instance id "+instanceID+
			" cannot join the group because the instance id is owned by "+have.id+" member.")
	}
	m := have.draft()
	m.id = id
	m.cur.epoch, m.cur.previous = 0, 0
	w.add(&currentChange{group: w.g.id, id: have.id, removed: true},
		&targetChange{group: w.g.id, id: have.id, removed: true},
		&memberChange{group: w.g.id, id: have.id, removed: true},
		&memberChange{group: w.g.id, id: id, sub: m.sub},
		&targetChange{group: w.g.id, id: id, target: w.g.targets[have.id]},
		&currentChange{group: w.g.id, id: id, cur: m.cur})
	return m, nil
}

// checkEpoch: a member's epoch is the coordinator's, or the one before if the
// answer that raised it was lost.
func checkEpoch(m *consumerMember, epoch int32, ownedNow []kmsg.ConsumerGroupHeartbeatRequestTopic) *refusal {
	const rejoin = " The member must abandon all its partitions and rejoin."
	switch {
	case epoch == epochJoin || epoch == m.cur.epoch:
		return nil
	case epoch > m.cur.epoch:
		return refuse(codeFencedMemberEpoch, "The consumer group member has a greater member epoch than the one known by the group coordinator."+rejoin)
	case epoch == m.cur.previous && ownedNow != nil && within(ownedNow, m.cur.assigned):
		return nil
	}
	return refuse(codeFencedMemberEpoch, "The consumer group member has a smaller member epoch than the one known by the group coordinator."+rejoin)
}

func within(ts []kmsg.ConsumerGroupHeartbeatRequestTopic, o owned) bool {
	for i := range ts {
		for _, p := range ts[i].Partitions {
			if _, ok := o.epoch(ts[i].TopicID, p); !ok {
				return false
			}
		}
	}
	return true
}

func (w *work) add(cs ...change) { w.changes = append(w.changes, cs...) }

// step takes a member from old to m: its subscription, then the group's epoch,
// then the target, then what it owns. m is updated in place.
func (w *work) step(now time.Time, cl Client, old, m *consumerMember, ownedNow []kmsg.ConsumerGroupHeartbeatRequestTopic) *refusal {
	changed, bad := w.subscribe(now, cl, old, m)
	if bad != nil {
		return bad
	}
	w.retarget(now, old, m)
	epoch, target := w.currentTarget(m)
	return w.reconcile(now, m, epoch, target, changed, ownedNow)
}

// subscribe records a changed subscription and raises the group's epoch when
// it, or the subscribed topics, make a new assignment necessary.
func (w *work) subscribe(now time.Time, cl Client, old, m *consumerMember) (changed bool, bad *refusal) {
	g := w.g
	_, known := g.members[m.id]
	if !old.sub.equal(&m.sub) || !known && !w.replaces(m.id) {
		w.add(&memberChange{group: g.id, id: m.id, sub: m.sub})
	}
	names := !equalTopics(old.sub.topics, m.sub.topics)
	regex, resolved, bad := w.regex(now, cl, old, m)
	if bad != nil {
		return false, bad
	}
	assignorChanged := g.preferred(nil, nil, w.s.cfg().assignors[0]) != g.preferred(w.counted(old), m, w.s.cfg().assignors[0])
	bump := names || resolved || assignorChanged || g.epoch == 0 // epoch 0 is for who joins
	if bump || !now.Before(g.refreshAt) {
		img, _ := w.s.img()
		hash := hashTopics(g.names(w.counted(old), m), img)
		if bump || hash != g.hash {
			w.epoch = g.epoch + 1
			w.add(&groupEpochChange{group: g.id, epoch: w.epoch, hash: hash})
		}
		w.refreshed = true
		if g.hasOldMetadata {
			w.add(&partitionMetadataChange{group: g.id, removed: true})
		}
	}
	return names || regex, nil
}

// counted is old if the group counts it, which it does not for a new member;
// for a static member under a new id it counts the predecessor.
func (w *work) counted(old *consumerMember) *consumerMember {
	if w.g.members[old.id] != nil {
		return old
	}
	if old.sub.instanceID != "" {
		return w.g.staticMember(old.sub.instanceID)
	}
	return nil
}

// replaces reports whether this operation already wrote the member in place of
// another one.
func (w *work) replaces(id string) bool {
	for _, c := range w.changes {
		if m, ok := c.(*memberChange); ok && m.id == id && !m.removed {
			return true
		}
	}
	return false
}

func equalTopics(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// commit puts the changes into effect and into the log.
func (w *work) commit(now time.Time) *refusal {
	if !w.s.fits(w.changes) {
		return refuse(codeUnknownServerError, "A record of the group would be larger than max.message.bytes of __consumer_offsets allows.")
	}
	s := w.s
	if w.convert != nil {
		s.dissolve(now, w.convert)
	}
	e := s.entry(w.g.id)
	if e.consumer == nil {
		e.classic, e.consumer = nil, w.g
	}
	for _, c := range w.changes {
		s.write(c)
	}
	g := e.consumer
	if w.convert != nil {
		s.resumeUpgraded(now, g)
	}
	if w.refreshed {
		g.refreshAt = now.Add(metadataRefresh)
	}
	for _, c := range w.changes {
		if cur, ok := c.(*currentChange); ok && !cur.removed && g.members[cur.id] != nil {
			s.afterChange(now, g, g.members[cur.id])
		}
	}
	if len(w.resolve) > 0 {
		s.startResolve(now, g, w.client, w.resolve)
	}
	return nil
}

// afterChange arms or stops the revocation timer of a member whose assignment
// has changed.
func (s *state) afterChange(now time.Time, g *consumerGroup, m *consumerMember) {
	switch {
	case m.classic():
	case m.cur.state == memberUnrevoked:
		s.watchRevocation(now, g, m)
	case m.rebalance != nil:
		s.deadlines.Stop(m.rebalance)
	}
}

// watchRevocation fences a member that does not give up its partitions within
// its rebalance timeout.
func (s *state) watchRevocation(now time.Time, g *consumerGroup, m *consumerMember) {
	epoch := m.cur.epoch
	if m.rebalance == nil {
		m.rebalance = &Deadline{}
	}
	m.rebalance.Fire = func(now time.Time) {
		if m.cur.epoch == epoch && m.cur.state == memberUnrevoked {
			s.fenceOne(now, g.id, m)
		}
	}
	s.deadlines.Set(m.rebalance, now.Add(ms(m.sub.rebalanceMs)))
}

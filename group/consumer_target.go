package group

import (
	"slices"
	"strings"
	"time"
)

// retarget computes the group's target assignment for its new epoch, at most
// once per consumer.assignment.interval.ms: with many members joining at once,
// most of them find it done (KIP-1263). The interval is 0 unless it is set, and
// not 4.3's second: a member that gave up its partitions for a new subscription
// asks again at once, and when the target is not due then, its next heartbeat is
// five seconds away (librdkafka's test 0045 waits no longer than 4.2 makes it).
func (w *work) retarget(now time.Time, old, m *consumerMember) {
	g := w.g
	if g.targetEpoch >= w.epoch {
		return
	}
	if !w.s.targetDue(now, g) {
		return
	}
	cfg := w.s.cfg()
	img, _ := w.s.img()
	in := w.assignInput(m, img)
	targets := assign(g.preferred(w.counted(old), m, cfg.assignors[0]), in)
	for i := range in.members {
		id := in.members[i].id
		have, ok := g.targets[id]
		if !ok && id == m.id {
			have, ok = w.inherited(id)
		}
		if !ok || !have.equal(targets[i]) {
			w.add(&targetChange{group: g.id, id: id, target: targets[i]})
		}
	}
	w.add(&targetEpochChange{group: g.id, epoch: w.epoch, atMs: now.UnixMilli()})
}

// targetDue says that the group's interval between two targets has passed.
func (s *state) targetDue(now time.Time, g *consumerGroup) bool {
	interval := s.cfg().assignmentIntervalOf(g.id)
	return g.targetAtMs == 0 || interval <= 0 || now.UnixMilli() >= g.targetAtMs+interval.Milliseconds()
}

// inherited is the target that this operation already gave a static member
// under its new id.
func (w *work) inherited(id string) (assignment, bool) {
	for _, c := range w.changes {
		if t, ok := c.(*targetChange); ok && t.id == id && !t.removed {
			return t.target, true
		}
	}
	return nil, false
}

// currentTarget is m's target and its epoch as of this operation.
func (w *work) currentTarget(m *consumerMember) (int32, assignment) {
	epoch := w.g.targetEpoch
	for _, c := range w.changes {
		if t, ok := c.(*targetEpochChange); ok && !t.removed {
			epoch = t.epoch
		}
	}
	target := w.g.targetOf(m.id, m.sub.instanceID)
	for _, c := range w.changes {
		if t, ok := c.(*targetChange); ok && t.id == m.id && !t.removed {
			target = t.target
		}
	}
	return epoch, target
}

// assignInput is the group with m in its place.
func (w *work) assignInput(m *consumerMember, img catalog) *assignInput {
	g := w.g
	in := &assignInput{partitions: map[topicID]int32{}}
	names := topicNames{img: img, regexes: g.regexes, partitions: in.partitions, seen: map[string]*[]topicID{}}
	add := func(id string, sub *subscription, had assignment) {
		in.members = append(in.members, assignMember{
			id: id, instanceID: sub.instanceID, topics: names.of(sub), had: had,
		})
	}
	for _, o := range g.members {
		if o.id == m.id || m.sub.instanceID != "" && o.sub.instanceID == m.sub.instanceID {
			continue
		}
		add(o.id, &o.sub, g.targets[o.id])
	}
	add(m.id, &m.sub, g.targetOf(m.id, m.sub.instanceID))
	slices.SortFunc(in.members, func(a, b assignMember) int { return strings.Compare(a.id, b.id) })
	return in
}

// topicNames resolves subscriptions; members with the same one share the
// resulting list.
type topicNames struct {
	img        catalog
	regexes    map[string]resolvedRegex
	partitions map[topicID]int32
	seen       map[string]*[]topicID
}

func (n *topicNames) of(sub *subscription) []topicID {
	key := strings.Join(sub.topics, "\x00") + "\x01" + sub.regex
	if ids := n.seen[key]; ids != nil {
		return *ids
	}
	ids := subscribedIDs(sub, n.regexes, n.img)
	for _, id := range ids {
		n.partitions[id] = n.img.TopicByID(id).Partitions
	}
	n.seen[key] = &ids
	return ids
}

// subscribedIDs is the topics of a subscription that exist, sorted.
func subscribedIDs(sub *subscription, regexes map[string]resolvedRegex, img catalog) []topicID {
	var ids []topicID
	for _, names := range [][]string{sub.topics, regexes[sub.regex].topics} {
		for _, name := range names {
			if t := img.Topic(name); t != nil {
				ids = append(ids, t.ID)
			}
		}
	}
	sortIDs(ids)
	return slices.Compact(ids)
}

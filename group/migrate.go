package group

import (
	"time"
)

// Live migration (KIP-848, group.consumer.migration.policy). A classic group
// of consumers becomes a consumer group when the first member with the new
// protocol joins; its classic members stay, served by migrate_member.go. When
// the last member with the new protocol leaves, it becomes a classic group
// again. Offsets are the group's and do not move. An empty group of either
// kind simply gives way to the other.

// upgrade makes the consumer group that a classic one becomes: everybody keeps
// what they have, the generation goes on as the epoch.
func (w *work) upgrade(c *classicGroup) *refusal {
	cannot := func(why string) *refusal {
		return refuse(codeGroupIDNotFound, "Cannot upgrade classic group "+c.id+" to consumer group because "+why+".")
	}
	cfg := w.s.cfg()
	switch {
	case !cfg.upgrade:
		return cannot("online upgrade is disabled")
	case !c.isConsumer():
		return cannot("the group does not use the consumer embedded protocol")
	case len(c.members) > cfg.consumerMaxSize:
		return cannot("the group size exceeds the consumer group maximum size")
	}
	img, _ := w.s.img()
	g := newConsumerGroup(c.id)
	g.epoch, g.targetEpoch = c.generation, c.generation
	for _, m := range c.sorted() {
		has := assignment{}
		if len(m.assignment) > 0 {
			a, err := readAssignment(m.assignment)
			if err != nil {
				return cannot("the embedded consumer protocol is malformed")
			}
			if len(a.UserData) > 0 {
				return cannot("an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor before re-attempting the upgrade")
			}
			has = namesToIDs(a.Topics, img)
		}
		// A rebalance may be under way: then the protocol is the last one's, and
		// a member that has just joined may not know it.
		sub, err := readSubscription(m.metadata(c.protocolName()))
		if err != nil && len(m.protocols) > 0 {
			sub, err = readSubscription(m.protocols[0].metadata)
		}
		if err != nil {
			return cannot("the embedded consumer protocol is malformed")
		}
		s := subscription{
			instanceID: m.instanceID, rackID: text(sub.Rack), clientID: m.clientID, clientHost: m.clientHost,
			topics: sortedNames(sub.Topics), rebalanceMs: int32(m.rebalance.Milliseconds()),
			classic: &classicMetadata{sessionMs: int32(m.session.Milliseconds()), protocols: m.protocols},
		}
		g.targets[m.id] = has
		g.setSubscription(m.id, s)
		g.setCurrent(m.id, current{epoch: c.generation, previous: c.generation, assigned: has.withEpoch(c.generation)})
	}
	g.hash = hashTopics(g.names(nil, nil), img)
	w.g, w.convert = g, c
	for _, m := range g.sorted() {
		w.add(&memberChange{group: g.id, id: m.id, sub: m.sub})
	}
	w.add(&groupEpochChange{group: g.id, epoch: g.epoch, hash: g.hash})
	for _, m := range g.sorted() {
		w.add(&targetChange{group: g.id, id: m.id, target: g.targets[m.id]})
	}
	w.add(&targetEpochChange{group: g.id, epoch: g.targetEpoch})
	for _, m := range g.sorted() {
		w.add(&currentChange{group: g.id, id: m.id, cur: m.cur})
	}
	return nil
}

// dissolve ends a classic group that a consumer group replaces: who waits is
// sent to join again, and finds the new group.
func (s *state) dissolve(now time.Time, c *classicGroup) {
	for _, m := range c.sorted() {
		if done := m.joining; done != nil {
			c.setJoining(m, nil)
			s.answerJoin(done, joinError(m.id, codeRebalanceInProgress))
		}
		s.answerSyncOf(now, c, m, syncError(codeRebalanceInProgress))
	}
	s.stopClassic(c)
	s.scratch = classicKey(s.scratch[:0], c.id)
	s.out.Write(s.scratch, nil)
	if e := s.groups[c.id]; e != nil {
		e.classic = nil
	}
}

// resumeUpgraded starts the sessions of the classic members of a group that
// was just converted.
func (s *state) resumeUpgraded(now time.Time, g *consumerGroup) {
	for _, m := range g.members {
		if m.classic() {
			s.touch(now, g, m, ms(m.sub.classic.sessionMs))
		}
	}
}

// mayDowngrade reports whether the group becomes a classic one once the given
// members have gone.
func (s *state) mayDowngrade(g *consumerGroup, gone []*consumerMember) bool {
	left, classics := len(g.members)-len(gone), g.classics
	for _, m := range gone {
		if m.classic() {
			classics--
		}
	}
	cfg := s.cfg()
	return left > 0 && classics == left && cfg.downgrade && left <= cfg.maxSize
}

// downgrade makes a consumer group a classic one. joining, when not nil, takes
// the place of the static member with its instance id. It reports false, and
// does nothing, when a member's metadata cannot be read or the record would
// be too large.
func (s *state) downgrade(now time.Time, e *group, gone []*consumerMember, joining *consumerMember, rebalance bool) bool {
	g := e.consumer
	img, _ := s.img()
	c := newClassicGroup(g.id, s)
	c.generation, c.stateMs = g.epoch, now.UnixMilli()
	leaving := map[string]bool{}
	for _, m := range gone {
		leaving[m.id] = true
	}
	for _, m := range g.sorted() {
		if leaving[m.id] || joining != nil && m.sub.instanceID == joining.sub.instanceID {
			continue
		}
		s.addDowngraded(c, m)
	}
	if joining != nil {
		s.addDowngraded(c, joining)
	}
	name := c.vote()
	c.protocol, c.state, c.protocolType = &name, classicStable, consumerType
	c.topics = c.subscribedTopics()
	for _, m := range c.members {
		b := m.metadata(name)
		if len(b) < 2 {
			return false
		}
		m.assignment = writeAssignment(g.targetOf(m.id, m.instanceID), int16(b[0])<<8|int16(b[1]), img)
	}
	value := c.value(func(m *classicMember) []byte { return m.assignment })
	if len(value) > s.cfg().maxRecord {
		return false
	}
	for _, ch := range g.tombstones() {
		s.write(ch)
	}
	e = s.entry(c.id)
	e.classic = c
	s.writeClassicValue(c.id, value)
	for _, m := range c.members {
		s.deadlines.Set(&m.heartbeat, now.Add(m.session))
	}
	if rebalance {
		s.prepareRebalance(now, c)
	}
	return true
}

func (s *state) addDowngraded(c *classicGroup, m *consumerMember) {
	cm := &classicMember{
		id: m.id, instanceID: m.sub.instanceID, clientID: m.sub.clientID, clientHost: m.sub.clientHost,
		rebalance: ms(m.sub.rebalanceMs), session: ms(m.sub.classic.sessionMs),
		protocolType: consumerType, protocols: m.sub.classic.protocols,
	}
	s.watch(c, cm)
	c.add(cm, nil)
}

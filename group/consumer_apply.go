package group

// What each record does to the state, live and at load. At load, records come
// in any order that compaction leaves: the parts of a group may arrive before
// the group's own record, and tombstones of what is not there.

// consumerOf gives the consumer group of an id. make creates it; a simple
// classic group (offsets only) gives way, as does any classic group whose
// tombstone compaction took.
func (s *state) consumerOf(id string, make bool) *consumerGroup {
	g := s.groups[id]
	if g != nil && g.consumer != nil {
		return g.consumer
	}
	if !make {
		return nil
	}
	g = s.entry(id)
	g.classic = nil
	g.consumer = newConsumerGroup(id)
	return g.consumer
}

func (c *groupEpochChange) apply(s *state) {
	if c.removed {
		if g := s.groups[c.group]; g != nil && g.consumer != nil {
			s.stopConsumer(g.consumer)
			g.consumer = nil
			s.sweep(g)
		}
		return
	}
	g := s.consumerOf(c.group, true)
	g.epoch, g.hash = c.epoch, c.hash
}

func (c *partitionMetadataChange) apply(s *state) {
	if g := s.consumerOf(c.group, !c.removed); g != nil {
		g.hasOldMetadata = !c.removed
	}
}

func (c *memberChange) apply(s *state) {
	g := s.consumerOf(c.group, !c.removed)
	if g == nil {
		return
	}
	if !c.removed {
		g.setSubscription(c.id, c.sub)
		return
	}
	if m := g.members[c.id]; m != nil {
		s.stopMember(m)
		g.removeMember(c.id)
	}
}

func (c *targetEpochChange) apply(s *state) {
	if g := s.consumerOf(c.group, !c.removed); g != nil {
		g.targetEpoch, g.targetAtMs = c.epoch, c.atMs
	}
}

func (c *targetChange) apply(s *state) {
	g := s.consumerOf(c.group, !c.removed)
	switch {
	case g == nil:
	case c.removed:
		delete(g.targets, c.id)
	default:
		g.targets[c.id] = c.target
	}
}

func (c *currentChange) apply(s *state) {
	g := s.consumerOf(c.group, !c.removed)
	switch {
	case g == nil:
	case !c.removed:
		g.setCurrent(c.id, c.cur)
	case g.members[c.id] != nil:
		// The member stays until its subscription goes; it owns nothing, and a
		// heartbeat must begin anew.
		g.setCurrent(c.id, current{epoch: epochLeave, previous: epochLeave})
	}
}

func (c *regexChange) apply(s *state) {
	g := s.consumerOf(c.group, !c.removed)
	switch {
	case g == nil:
	case c.removed:
		delete(g.regexes, c.regex)
	default:
		if g.regexes == nil {
			g.regexes = map[string]resolvedRegex{}
		}
		g.regexes[c.regex] = c.resolved
	}
}

func (s *state) stopMember(m *consumerMember) {
	for _, d := range m.deadlines() {
		if d != nil {
			s.deadlines.Stop(d)
		}
	}
}

func (s *state) stopConsumer(g *consumerGroup) {
	for _, m := range g.members {
		s.stopMember(m)
	}
}

// tombstones is the changes that delete a group.
func (g *consumerGroup) tombstones() []change {
	members := g.sorted()
	var cs []change
	for _, m := range members {
		cs = append(cs, &currentChange{group: g.id, id: m.id, removed: true})
	}
	for _, m := range members {
		cs = append(cs, &targetChange{group: g.id, id: m.id, removed: true})
	}
	cs = append(cs, &targetEpochChange{group: g.id, removed: true})
	for _, m := range members {
		cs = append(cs, &memberChange{group: g.id, id: m.id, removed: true})
	}
	for _, r := range g.sortedRegexes() {
		cs = append(cs, &regexChange{group: g.id, regex: r, removed: true})
	}
	if g.hasOldMetadata {
		cs = append(cs, &partitionMetadataChange{group: g.id, removed: true})
	}
	return append(cs, &groupEpochChange{group: g.id, removed: true})
}

// removeConsumer writes a group's tombstones and forgets it but for its offsets.
func (s *state) removeConsumer(e *group) {
	for _, c := range e.consumer.tombstones() {
		s.write(c)
	}
}

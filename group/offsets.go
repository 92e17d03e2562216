package group

// putOffset sets a committed offset.
func (s *state) putOffset(g *group, at topicPartition, c *committed) {
	if g.offsets == nil {
		g.offsets = map[topicPartition]*committed{}
	}
	if g.offsets[at] == nil {
		s.stats.offsets.Add(1)
	}
	g.offsets[at] = c
}

// putPending sets an offset that a transaction will commit or drop.
func (s *state) putPending(g *group, at topicPartition, producerID int64, c *committed) {
	m := s.pending[producerID]
	if m == nil {
		m = map[offsetName]*committed{}
		s.pending[producerID] = m
	}
	name := offsetName{g.id, at}
	if m[name] == nil {
		if g.open == nil {
			g.open = map[topicPartition]int{}
		}
		g.open[at]++
	}
	m[name] = c
}

// dropOffset forgets an offset and whatever transactions would make of it: a
// tombstone means both.
func (s *state) dropOffset(g *group, at topicPartition) {
	if g.offsets[at] != nil {
		delete(g.offsets, at)
		s.stats.offsets.Add(-1)
	}
	if g.open[at] == 0 {
		return
	}
	delete(g.open, at)
	name := offsetName{g.id, at}
	for id, m := range s.pending {
		delete(m, name)
		if len(m) == 0 {
			delete(s.pending, id)
		}
	}
}

// tombstone deletes an offset for good.
func (s *state) tombstone(g *group, at topicPartition) {
	s.scratch = offsetKey(s.scratch[:0], g.id, at.topic, at.partition)
	s.out.Write(s.scratch, nil)
	s.order++
	s.dropOffset(g, at)
}

// endTransaction is a marker: pending offsets become committed, unless a later
// commit has overtaken them, or are dropped.
func (s *state) endTransaction(producerID int64, commit bool) {
	m := s.pending[producerID]
	delete(s.pending, producerID)
	for name, c := range m {
		g := s.groups[name.group]
		if g == nil {
			continue
		}
		if g.open[name.topicPartition]--; g.open[name.topicPartition] <= 0 {
			delete(g.open, name.topicPartition)
		}
		if have := g.offsets[name.topicPartition]; commit && (have == nil || c.order > have.order) {
			s.putOffset(g, name.topicPartition, c)
		}
		s.sweep(g)
	}
}

// subscribes reports whether members of a group subscribe to a topic, so that
// its offsets are neither deleted nor expired.
func (g *group) subscribes(topic string) bool {
	switch {
	case g.consumer != nil:
		return g.consumer.subscribes(topic)
	case g.classic != nil:
		return g.classic.subscribes(topic)
	}
	return false
}

package group

import (
	"time"
)

// expire is the check every offsets.retention.check.interval.ms: offsets that
// outlived offsets.retention.minutes go, then groups that hold nothing.
func (s *state) expire(now time.Time) {
	for _, g := range s.groups {
		if g.exists() {
			s.expireGroup(now, g)
		}
	}
	s.deadlines.Set(&s.expiry, now.Add(s.cfg().retentionCheck))
}

func (s *state) expireGroup(now time.Time, g *group) {
	base, ok := g.retentionBase()
	if !ok && len(g.offsets) > 0 {
		return
	}
	nowMs, retention := now.UnixMilli(), s.cfg().offsetsRetention.Milliseconds()
	for at, c := range g.offsets {
		if g.subscribes(at.topic) || g.open[at] > 0 {
			continue
		}
		old := nowMs-base(c) >= retention
		if c.expireMs != noTimestamp {
			old = nowMs >= c.expireMs
		}
		if old {
			s.tombstone(g, at)
			s.stats.expired.Add(1)
		}
	}
	if len(g.offsets) == 0 && len(g.open) == 0 && g.isEmpty() && (g.classic == nil || len(g.classic.pending) == 0) {
		s.removeGroup(g)
	}
}

// retentionBase is from when an offset's retention counts: the moment the
// group became empty, or the commit for topics nobody subscribes to; ok is
// false while nothing may expire.
func (g *group) retentionBase() (base func(*committed) int64, ok bool) {
	sinceCommit := func(c *committed) int64 { return c.commitMs }
	c := g.classic
	switch {
	case c == nil, c.protocolType == "":
		return sinceCommit, true
	case c.state == classicEmpty:
		if c.stateMs == noTimestamp {
			return sinceCommit, true
		}
		return func(*committed) int64 { return c.stateMs }, true
	case c.isConsumer() && c.topics != nil && c.state == classicStable:
		return sinceCommit, true
	}
	return nil, false
}

// removeGroup writes a group's tombstones and forgets it; its offsets are the
// caller's.
func (s *state) removeGroup(g *group) {
	if g.consumer != nil {
		s.removeConsumer(g)
		return
	}
	s.stopClassic(g.classic)
	s.scratch = classicKey(s.scratch[:0], g.id)
	s.out.Write(s.scratch, nil)
	g.classic = nil
	s.sweep(g)
}

// stopClassic disarms a group's timers.
func (s *state) stopClassic(g *classicGroup) {
	s.deadlines.Stop(&g.joinBy)
	s.deadlines.Stop(&g.syncBy)
	for _, d := range g.pending {
		s.deadlines.Stop(d)
	}
	for _, m := range g.members {
		s.deadlines.Stop(&m.heartbeat)
	}
}

// dropTopics deletes the offsets of deleted topics, by name and id.
func (s *state) dropTopics(deleted map[string]topicID) {
	for _, g := range s.groups {
		for at, c := range g.offsets {
			if id, gone := deleted[at.topic]; gone && (c.topicID == (topicID{}) || c.topicID == id) {
				s.tombstone(g, at)
			}
		}
		for at := range g.open {
			if _, gone := deleted[at.topic]; gone {
				s.tombstone(g, at)
			}
		}
		s.sweep(g)
	}
}

package group

import (
	"time"
)

// A rebalance: Preparing collects the members' joins until all are there or
// the rebalance timeout has passed, Completing waits for the leader's
// assignment, Stable hands it out. joinBy ends the first phase, syncBy the
// second.

// rebalanceOrComplete starts a rebalance, or sees whether the one under way
// has everybody.
func (s *state) rebalanceOrComplete(now time.Time, g *classicGroup) {
	if g.state == classicPreparing {
		s.completeJoinPhase(now, g)
	} else {
		s.prepareRebalance(now, g)
	}
}

// completeJoinPhase ends the join phase when everybody has joined; an empty
// group's first rebalance always waits out its delay.
func (s *state) completeJoinPhase(now time.Time, g *classicGroup) {
	if g.state == classicPreparing && g.previous != classicEmpty && g.allJoined() {
		s.completeJoin(now, g)
	}
}

func (s *state) prepareRebalance(now time.Time, g *classicGroup) {
	if g.state == classicCompleting {
		for _, m := range g.members {
			m.assignment = nil
			s.answerSyncOf(now, g, m, syncError(codeRebalanceInProgress))
		}
	}
	clear(g.unsynced)
	s.deadlines.Stop(&g.syncBy)
	first := g.state == classicEmpty
	g.become(now, classicPreparing)
	s.stats.rebalances.Add(1)
	if first {
		delay := s.cfg().initialDelay
		g.newcomer = false
		g.delay, g.remaining = delay, max(g.rebalanceTimeout()-delay, 0)
		if delay <= 0 {
			s.completeJoin(now, g)
			return
		}
		s.deadlines.Set(&g.joinBy, now.Add(delay))
		return
	}
	g.delay = 0
	if g.allJoined() {
		s.completeJoin(now, g)
		return
	}
	s.deadlines.Set(&g.joinBy, now.Add(g.rebalanceTimeout()))
}

// joinDeadline is joinBy's end: the initial delay (which newcomers extend, up
// to the rebalance timeout in all) or the rebalance timeout.
func (s *state) joinDeadline(now time.Time, g *classicGroup) {
	if g.state != classicPreparing {
		return
	}
	if g.delay > 0 && g.newcomer && g.remaining > 0 {
		g.newcomer = false
		next := min(s.cfg().initialDelay, g.remaining)
		g.remaining = max(g.remaining-g.delay, 0)
		g.delay = next
		s.deadlines.Set(&g.joinBy, now.Add(next))
		return
	}
	s.completeJoin(now, g)
}

// completeJoin ends the join phase: dynamic members that did not join are
// out, static ones stay; the others learn the new generation.
func (s *state) completeJoin(now time.Time, g *classicGroup) {
	s.deadlines.Stop(&g.joinBy)
	g.delay = 0
	for _, m := range g.sorted() {
		if m.joining == nil && m.instanceID == "" {
			s.dropMember(g, m.id)
		}
	}
	if len(g.members) > 0 && !g.electLeader() {
		// Only static members are left and none came back: wait on.
		s.deadlines.Set(&g.joinBy, now.Add(g.rebalanceTimeout()))
		return
	}
	g.nextGeneration(now)
	if g.state == classicEmpty {
		s.writeClassic(g)
		return
	}
	if g.unsynced == nil {
		g.unsynced = map[string]struct{}{}
	}
	for _, m := range g.sorted() {
		if done := m.joining; done != nil {
			g.setJoining(m, nil)
			s.answerJoin(done, g.joined(m, g.leader == m.id))
		}
		s.deadlines.Set(&m.heartbeat, now.Add(m.session))
		m.isNew = false
		g.unsynced[m.id] = struct{}{}
	}
	s.deadlines.Set(&g.syncBy, now.Add(g.rebalanceTimeout()))
}

// dropMember forgets a member and its timer; nobody is told.
func (s *state) dropMember(g *classicGroup, id string) {
	if m := g.members[id]; m != nil {
		s.deadlines.Stop(&m.heartbeat)
	}
	if d := g.pending[id]; d != nil {
		s.deadlines.Stop(d)
	}
	g.remove(id)
}

// removeMember forgets a member, answering what it waits for.
func (s *state) removeMember(now time.Time, g *classicGroup, m *classicMember) {
	if done := m.joining; done != nil {
		g.setJoining(m, nil)
		s.answerJoin(done, joinError("", codeUnknownMemberID))
	}
	s.answerSyncOf(now, g, m, syncError(codeUnknownMemberID))
	s.dropMember(g, m.id)
}

// expireMember is the end of a member's session.
func (s *state) expireMember(now time.Time, g *classicGroup, m *classicMember) {
	if g.members[m.id] != m {
		return
	}
	if !m.isNew && (m.joining != nil || m.syncing != nil) {
		return // who waits for us is alive
	}
	s.removeMember(now, g, m)
	s.afterRemoval(now, g)
}

// afterRemoval rebalances a group that lost members, or ends the join phase
// that waited for them.
func (s *state) afterRemoval(now time.Time, g *classicGroup) {
	switch g.state {
	case classicStable, classicCompleting:
		s.prepareRebalance(now, g)
	case classicPreparing:
		if g.allJoined() {
			s.completeJoin(now, g)
		}
	}
}

// expireSync drops the members that joined and never synced.
func (s *state) expireSync(now time.Time, g *classicGroup) {
	if g.state != classicCompleting && g.state != classicStable || len(g.unsynced) == 0 {
		return
	}
	for _, m := range g.sorted() {
		if _, waits := g.unsynced[m.id]; waits {
			s.removeMember(now, g, m)
		}
	}
	s.prepareRebalance(now, g)
}

// answerAll answers every request that waits in the group with an error, at
// once: the shard lost its log.
func (g *classicGroup) answerAll(code int16) {
	for _, m := range g.sorted() {
		if done := m.joining; done != nil {
			g.setJoining(m, nil)
			done(joinError(m.id, code))
		}
		if done := m.syncing; done != nil {
			m.syncing = nil
			done(syncError(code))
		}
	}
}

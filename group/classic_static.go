package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// replaceStatic gives a static member that comes back without its member id a
// new one (KIP-345). The old id is fenced. While the group is stable and the
// protocol stays the same nobody rebalances: the member finds its assignment
// by SyncGroup, and a leader is told not to assign anew (KIP-814).
func (s *state) replaceStatic(now time.Time, g *classicGroup, r *kmsg.JoinGroupRequest, oldID, newID string, done func(*kmsg.JoinGroupResponse)) {
	leader := g.leader
	m := s.fence(now, g, oldID, newID)
	s.deadlines.Set(&m.heartbeat, now.Add(m.session))
	g.update(m, r, done)
	switch g.state {
	case classicStable:
		if g.vote() != g.protocolName() {
			s.rebalanceOrComplete(now, g)
			return
		}
		s.writeClassic(g)
		g.setJoining(m, nil)
		leads := r.Version >= 9 && g.leader == newID
		resp := g.joined(m, leads)
		if resp.SkipAssignment = leads; r.Version < 9 {
			// An older leader must not think that it leads: it would assign.
			resp.LeaderID = leader
		}
		s.answerJoin(done, resp)
	case classicCompleting:
		s.prepareRebalance(now, g)
	default:
		s.completeJoinPhase(now, g)
	}
}

// fence puts a member with a new id in a static member's place.
func (s *state) fence(now time.Time, g *classicGroup, oldID, newID string) *classicMember {
	old := g.members[oldID]
	if old.joining != nil {
		s.answerJoin(old.joining, joinError(oldID, codeFencedInstanceID))
		g.setJoining(old, nil)
	}
	if old.syncing != nil {
		s.answerSync(old.syncing, syncError(codeFencedInstanceID))
		old.syncing = nil
	}
	s.deadlines.Stop(&old.heartbeat)
	m := &classicMember{
		id: newID, instanceID: old.instanceID, clientID: old.clientID, clientHost: old.clientHost,
		rebalance: old.rebalance, session: old.session, protocolType: old.protocolType,
		protocols: old.protocols, assignment: old.assignment, seq: old.seq,
	}
	s.watch(g, m)
	delete(g.members, oldID)
	g.members[newID] = m
	g.static[m.instanceID] = newID
	if g.leader == oldID {
		g.leader = newID
	}
	if _, waits := g.unsynced[oldID]; waits {
		delete(g.unsynced, oldID)
		g.unsynced[newID] = struct{}{}
	}
	return m
}

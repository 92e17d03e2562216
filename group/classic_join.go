package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// newMemberWait is how long a member's first join may wait for the rebalance
// to end (Kafka's NEW_MEMBER_JOIN_TIMEOUT_MS).
const newMemberWait = 5 * time.Minute

// maxPending bounds the members of a group that were given an id and have not
// joined with it yet.
const maxPending = 1 << 16

// maxID bounds client, member and instance ids, which the records of classic
// groups hold with a 16-bit length.
const maxID = 1 << 14

// JoinGroup v0 to v9: a member joins a classic group; the answer comes when
// the rebalance has collected everybody.
//
//   - v0 has no rebalance timeout: the session's is used.
//   - v4 gives a dynamic member an id to join with before it counts (KIP-394).
//   - v5 brings static members (KIP-345), v7 the protocol type in the answer
//     (KIP-559), v9 tells a rejoining static leader to keep the assignment (KIP-814).
//
// To a consumer group with members it is the way in for classic members
// during a migration (migrate_member.go).
func (c *Coordinator) JoinGroup(cl Client, r *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	answer := func(resp *kmsg.JoinGroupResponse) {
		resp.Version = r.Version
		done(resp)
	}
	cfg := c.settings()
	switch {
	case !validGroup(r.Group):
		answer(joinError(r.MemberID, codeInvalidGroupID))
		return
	case ms(r.SessionTimeoutMillis) < cfg.minSession || ms(r.SessionTimeoutMillis) > cfg.maxSession:
		answer(joinError(r.MemberID, codeInvalidSessionTimeout))
		return
	case len(r.MemberID) > maxID || len(cl.ID) > maxID || len(text(r.InstanceID)) > maxID || len(r.ProtocolType) > maxID || longProtocol(r):
		answer(joinError(r.MemberID, codeInvalidRequest))
		return
	}
	c.run(r.Group, func(s *state, now time.Time) error {
		s.join(now, cl, r, answer)
		return nil
	}, func(code int16) { answer(joinError(r.MemberID, code)) })
}

func longProtocol(r *kmsg.JoinGroupRequest) bool {
	for i := range r.Protocols {
		if len(r.Protocols[i].Name) > maxID {
			return true
		}
	}
	return false
}

func joinError(memberID string, code int16) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.MemberID, resp.ErrorCode, resp.Generation = memberID, code, -1
	return resp
}

// answerJoin sends resp once what was written is durable.
func (s *state) answerJoin(done func(*kmsg.JoinGroupResponse), resp *kmsg.JoinGroupResponse) {
	s.out.Answer(func(err error) {
		if err != nil {
			resp = joinError(resp.MemberID, codeOf(err))
		}
		done(resp)
	})
}

func (s *state) join(now time.Time, cl Client, r *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	e := s.find(r.Group)
	if e != nil && e.consumer != nil && !e.isEmpty() {
		s.joinConsumer(now, e, cl, r, done)
		return
	}
	created := e == nil || e.consumer != nil
	if created {
		if r.MemberID != "" {
			s.answerJoin(done, joinError(r.MemberID, codeUnknownMemberID))
			return
		}
		switch {
		case e != nil:
			s.removeConsumer(e) // an empty one gives way
		case len(s.groups) >= maxGroups:
			s.answerJoin(done, joinError("", codeCoordinatorNotAvailable))
			return
		}
		e = s.entry(r.Group)
		e.classic = newClassicGroup(r.Group, s)
	}
	g := e.classic
	before := len(s.out.records)
	switch {
	case !s.accepts(g, r.MemberID):
		s.dropMember(g, r.MemberID)
		s.answerJoin(done, joinError("", codeGroupMaxSizeReached))
	case r.MemberID == "":
		s.joinNew(now, g, cl, r, done)
	default:
		s.joinKnown(now, g, cl, r, done)
	}
	if created && len(s.out.records) == before {
		s.writeNewClassic(g)
	}
}

// accepts: group.max.size, so that a member in the group is never turned away.
func (s *state) accepts(g *classicGroup, id string) bool {
	limit := s.cfg().maxSize
	m := g.members[id]
	switch g.state {
	case classicEmpty:
		return len(g.pending) < maxPending
	case classicPreparing:
		return m != nil && m.joining != nil || g.awaiting < limit
	}
	return m != nil || len(g.members) < limit
}

func (s *state) joinNew(now time.Time, g *classicGroup, cl Client, r *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	if !g.supports(r.ProtocolType, r.Protocols) {
		s.answerJoin(done, joinError("", codeInconsistentProtocol))
		return
	}
	if r.InstanceID != nil {
		id := *r.InstanceID + "-" + s.newID()
		if old, ok := g.static[*r.InstanceID]; ok {
			s.replaceStatic(now, g, r, old, id, done)
		} else {
			s.addMember(now, g, cl, r, id, done)
		}
		return
	}
	id := cl.ID + "-" + s.newID()
	if r.Version < 4 {
		s.addMember(now, g, cl, r, id, done)
		return
	}
	if len(g.pending) >= maxPending {
		s.answerJoin(done, joinError("", codeGroupMaxSizeReached))
		return
	}
	if g.pending == nil {
		g.pending = map[string]*Deadline{}
	}
	d := &Deadline{Fire: func(now time.Time) {
		g.remove(id)
		if g.state == classicPreparing && g.allJoined() {
			s.completeJoin(now, g)
		}
	}}
	g.pending[id] = d
	s.deadlines.Set(d, now.Add(ms(r.SessionTimeoutMillis)))
	s.answerJoin(done, joinError(id, codeMemberIDRequired))
}

func (s *state) joinKnown(now time.Time, g *classicGroup, cl Client, r *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	if !g.supports(r.ProtocolType, r.Protocols) {
		s.answerJoin(done, joinError(r.MemberID, codeInconsistentProtocol))
		return
	}
	if d, ok := g.pending[r.MemberID]; ok {
		if r.InstanceID != nil {
			s.answerJoin(done, joinError(r.MemberID, codeUnknownMemberID))
			return
		}
		s.deadlines.Stop(d)
		s.addMember(now, g, cl, r, r.MemberID, done)
		return
	}
	if code := g.validate(r.MemberID, r.InstanceID); code != codeNone {
		s.answerJoin(done, joinError(r.MemberID, code))
		return
	}
	m := g.members[r.MemberID]
	switch {
	case g.state == classicEmpty:
		s.answerJoin(done, joinError(r.MemberID, codeUnknownMemberID))
	case g.state == classicPreparing,
		!m.offersSame(r),
		g.state == classicStable && g.leader == m.id:
		// A leader that joins again wants a rebalance: its own metadata, or the
		// topics it watches, have changed.
		s.rejoin(now, g, m, r, done)
	default:
		s.answerJoin(done, g.joined(m, g.state == classicCompleting && g.leader == m.id))
	}
}

// rejoin takes a member's new metadata and rebalances.
func (s *state) rejoin(now time.Time, g *classicGroup, m *classicMember, r *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	s.supersede(m)
	g.update(m, r, done)
	s.rebalanceOrComplete(now, g)
}

// supersede answers the join that a member's newer one replaces, so that no
// request is left without an answer.
func (s *state) supersede(m *classicMember) {
	if old := m.joining; old != nil {
		s.answerJoin(old, joinError(m.id, codeRebalanceInProgress))
	}
}

func (s *state) addMember(now time.Time, g *classicGroup, cl Client, r *kmsg.JoinGroupRequest, id string, done func(*kmsg.JoinGroupResponse)) {
	m := &classicMember{
		id: id, instanceID: text(r.InstanceID), clientID: cl.ID, clientHost: cl.host(),
		rebalance: rebalanceTimeout(r), session: ms(r.SessionTimeoutMillis),
		protocolType: r.ProtocolType, protocols: readProtocols(r), isNew: true,
	}
	s.watch(g, m)
	if g.state == classicPreparing && g.previous == classicEmpty {
		g.newcomer = true
	}
	g.add(m, done)
	s.deadlines.Set(&m.heartbeat, now.Add(newMemberWait))
	s.rebalanceOrComplete(now, g)
}

// joined is the answer to a member that has its place in this generation.
func (g *classicGroup) joined(m *classicMember, withMembers bool) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.MemberID, resp.Generation = m.id, g.generation
	resp.ProtocolType, resp.Protocol = nullable(g.protocolType), g.protocol
	resp.LeaderID = g.leader
	resp.Members = []kmsg.JoinGroupResponseMember{}
	if withMembers {
		for _, o := range g.sorted() {
			e := kmsg.NewJoinGroupResponseMember()
			e.MemberID, e.InstanceID = o.id, nullable(o.instanceID)
			if e.ProtocolMetadata = o.metadata(g.protocolName()); e.ProtocolMetadata == nil {
				e.ProtocolMetadata = []byte{}
			}
			resp.Members = append(resp.Members, e)
		}
	}
	return resp
}

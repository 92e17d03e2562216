package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// SyncGroup v0 to v5: the leader brings the assignment, everybody gets theirs.
// v5 checks the protocol type and name (KIP-559).
func (c *Coordinator) SyncGroup(cl Client, r *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	answer := func(resp *kmsg.SyncGroupResponse) {
		resp.Version = r.Version
		done(resp)
	}
	if !validGroup(r.Group) {
		answer(syncError(codeInvalidGroupID))
		return
	}
	c.run(r.Group, func(s *state, now time.Time) error {
		s.sync(now, r, answer)
		return nil
	}, func(code int16) {
		if code == codeCoordinatorLoading {
			// The rebalance was only in memory and is lost: join again.
			code = codeRebalanceInProgress
		}
		answer(syncError(code))
	})
}

func syncError(code int16) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode, resp.MemberAssignment = code, []byte{}
	return resp
}

func (s *state) answerSync(done func(*kmsg.SyncGroupResponse), resp *kmsg.SyncGroupResponse) {
	s.out.Answer(func(err error) {
		if err != nil {
			resp = syncError(codeOf(err))
		}
		done(resp)
	})
}

// answerSyncOf answers a member that waits for its assignment, if it does.
func (s *state) answerSyncOf(now time.Time, g *classicGroup, m *classicMember, resp *kmsg.SyncGroupResponse) {
	if done := m.syncing; done != nil {
		m.syncing = nil
		s.answerSync(done, resp)
		s.deadlines.Set(&m.heartbeat, now.Add(m.session))
	}
}

func (s *state) sync(now time.Time, r *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	e := s.find(r.Group)
	if e == nil || e.isEmpty() {
		s.answerSync(done, syncError(codeUnknownMemberID))
		return
	}
	if e.consumer != nil {
		s.syncConsumer(now, e.consumer, r, done)
		return
	}
	g := e.classic
	code := g.validate(r.MemberID, r.InstanceID)
	switch {
	case code != codeNone:
	case r.Generation != g.generation:
		code = codeIllegalGeneration
	case differs(r.ProtocolType, nullable(g.protocolType)), differs(r.Protocol, g.protocol):
		code = codeInconsistentProtocol
	case g.state == classicPreparing:
		code = codeRebalanceInProgress
	}
	if code != codeNone {
		s.answerSync(done, syncError(code))
		return
	}
	m := g.members[r.MemberID]
	delete(g.unsynced, m.id)
	if len(g.unsynced) == 0 {
		s.deadlines.Stop(&g.syncBy)
	}
	if g.state == classicStable {
		s.answerSync(done, g.synced(m))
		return
	}
	if m.syncing != nil {
		s.answerSync(m.syncing, syncError(codeRebalanceInProgress))
	}
	m.syncing = done
	if g.leader == m.id {
		s.assign(now, g, r.GroupAssignment)
	}
}

// differs reports two names that are both given and not the same.
func differs(a, b *string) bool { return a != nil && b != nil && *a != *b }

// synced is a member's assignment.
func (g *classicGroup) synced(m *classicMember) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType, resp.Protocol = nullable(g.protocolType), g.protocol
	if resp.MemberAssignment = m.assignment; resp.MemberAssignment == nil {
		resp.MemberAssignment = []byte{}
	}
	return resp
}

// assign takes the leader's assignment; members that it forgot get nothing.
func (s *state) assign(now time.Time, g *classicGroup, given []kmsg.SyncGroupRequestGroupAssignment) {
	byID := make(map[string][]byte, len(given))
	for i := range given {
		byID[given[i].MemberID] = given[i].MemberAssignment
	}
	stateMs := g.stateMs
	g.stateMs = now.UnixMilli()
	value := g.value(func(m *classicMember) []byte { return byID[m.id] })
	if len(value) > s.cfg().maxRecord {
		g.stateMs = stateMs
		for _, m := range g.members {
			m.assignment = nil
			s.answerSyncOf(now, g, m, syncError(codeUnknownServerError))
		}
		s.prepareRebalance(now, g)
		return
	}
	s.writeClassicValue(g.id, value)
	g.become(now, classicStable)
	for _, m := range g.sorted() {
		m.assignment = slices.Clone(byID[m.id])
		s.answerSyncOf(now, g, m, g.synced(m))
	}
}

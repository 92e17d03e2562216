package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// LeaveGroup v0 to v5: one member leaves (v0 to v2), or several are removed
// (v3, KIP-345), static ones by instance id alone.
func (c *Coordinator) LeaveGroup(cl Client, r *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {
	answer := func(resp *kmsg.LeaveGroupResponse) {
		resp.Version = r.Version
		if r.Version < 3 && resp.ErrorCode == codeNone && len(resp.Members) == 1 {
			resp.ErrorCode = resp.Members[0].ErrorCode
		}
		done(resp)
	}
	if !validGroup(r.Group) {
		answer(leaveError(codeInvalidGroupID))
		return
	}
	members := r.Members
	if r.Version < 3 {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = r.MemberID
		members = []kmsg.LeaveGroupRequestMember{m}
	}
	c.run(r.Group, func(s *state, now time.Time) error {
		s.leave(now, r.Group, members, answer)
		return nil
	}, func(code int16) { answer(leaveError(code)) })
}

func leaveError(code int16) *kmsg.LeaveGroupResponse {
	resp := kmsg.NewPtrLeaveGroupResponse()
	resp.ErrorCode = code
	return resp
}

func (s *state) answerLeave(done func(*kmsg.LeaveGroupResponse), resp *kmsg.LeaveGroupResponse) {
	s.out.Answer(func(err error) {
		if err != nil {
			resp = leaveError(codeOf(err))
		}
		done(resp)
	})
}

func (s *state) leave(now time.Time, id string, members []kmsg.LeaveGroupRequestMember, done func(*kmsg.LeaveGroupResponse)) {
	e := s.find(id)
	if e == nil {
		// Kafka answers each member of an unknown group by itself.
		resp := kmsg.NewPtrLeaveGroupResponse()
		for i := range members {
			resp.Members = append(resp.Members, leaver(&members[i], codeUnknownMemberID))
		}
		s.answerLeave(done, resp)
		return
	}
	if e.consumer != nil {
		s.leaveConsumer(now, e, members, done)
		return
	}
	g := e.classic
	resp := kmsg.NewPtrLeaveGroupResponse()
	resp.Members = make([]kmsg.LeaveGroupResponseMember, 0, len(members))
	left := false
	for i := range members {
		code := s.leaveOne(now, g, &members[i])
		left = left || code == codeNone
		resp.Members = append(resp.Members, leaver(&members[i], code))
	}
	if left {
		switch g.state {
		case classicStable, classicCompleting:
			s.prepareRebalance(now, g)
		case classicPreparing:
			s.completeJoinPhase(now, g)
		}
	}
	s.answerLeave(done, resp)
}

func leaver(m *kmsg.LeaveGroupRequestMember, code int16) kmsg.LeaveGroupResponseMember {
	e := kmsg.NewLeaveGroupResponseMember()
	e.MemberID, e.InstanceID, e.ErrorCode = m.MemberID, m.InstanceID, code
	return e
}

func (s *state) leaveOne(now time.Time, g *classicGroup, m *kmsg.LeaveGroupRequestMember) int16 {
	id := m.MemberID
	if id == "" {
		have, ok := g.static[text(m.InstanceID)]
		if m.InstanceID == nil || !ok {
			return codeUnknownMemberID
		}
		id = have
	} else if _, ok := g.pending[id]; ok {
		s.dropMember(g, id)
		return codeNone
	} else if code := g.validate(id, m.InstanceID); code != codeNone {
		return code
	}
	s.removeMember(now, g, g.members[id])
	return codeNone
}

package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumerLeave is a heartbeat with epoch -1 (leave) or -2 (a static member
// that will be back: its partitions wait for it until its session ends).
func (s *state) consumerLeave(now time.Time, r *kmsg.ConsumerGroupHeartbeatRequest) (*kmsg.ConsumerGroupHeartbeatResponse, *refusal) {
	e := s.find(r.Group)
	if e == nil || e.consumer == nil {
		return nil, refuse(codeGroupIDNotFound, "Group "+r.Group+" is not a consumer group.")
	}
	g := e.consumer
	m := g.members[r.MemberID]
	if r.InstanceID != nil {
		m = g.staticMember(*r.InstanceID)
		if m != nil && m.id != r.MemberID {
			return nil, refuse(codeFencedInstanceID, "Static member "+r.MemberID+" with instance id "+*r.InstanceID+" was fenced by member "+m.id+".")
		}
	}
	if m == nil {
		return nil, refuse(codeUnknownMemberID, "Member "+r.MemberID+" is not a member of group "+r.Group+".")
	}
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	id := m.id
	resp.MemberID, resp.MemberEpoch = &id, r.MemberEpoch
	if r.MemberEpoch != epochStaticLeave {
		s.fence848(now, e, []*consumerMember{m})
		return resp, nil
	}
	next := m.cur
	next.previous, next.epoch, next.revoking = m.cur.epoch, epochStaticLeave, nil
	next.assigned = m.cur.assigned.plain().withEpoch(0)
	s.write(&currentChange{group: g.id, id: m.id, cur: next})
	if m.rebalance != nil {
		s.deadlines.Stop(m.rebalance)
	}
	return resp, nil
}

// fenceOne removes a member whose time is up, if it is still there.
func (s *state) fenceOne(now time.Time, group string, m *consumerMember) {
	e := s.find(group)
	if e == nil || e.consumer == nil || e.consumer.members[m.id] != m {
		return
	}
	s.fence848(now, e, []*consumerMember{m})
}

// fence848 removes members and raises the group's epoch. When only classic
// members stay the group becomes a classic one again.
func (s *state) fence848(now time.Time, e *group, gone []*consumerMember) {
	if len(gone) == 0 {
		return
	}
	g := e.consumer
	if s.mayDowngrade(g, gone) && s.downgrade(now, e, gone, nil, true) {
		return
	}
	var cs []change
	lost := map[string]int{}
	for _, m := range gone {
		cs = append(cs, &currentChange{group: g.id, id: m.id, removed: true},
			&targetChange{group: g.id, id: m.id, removed: true},
			&memberChange{group: g.id, id: m.id, removed: true})
		if m.sub.regex != "" {
			lost[m.sub.regex]++
		}
	}
	for _, r := range g.sortedRegexes() {
		if n := lost[r]; n > 0 && g.patterns[r] == n {
			cs = append(cs, &regexChange{group: g.id, regex: r, removed: true})
		}
	}
	for _, c := range cs {
		s.write(c)
	}
	img, _ := s.img()
	s.write(&groupEpochChange{group: g.id, epoch: g.epoch + 1, hash: hashTopics(g.names(nil, nil), img)})
	s.stats.rebalances.Add(1)
}

package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Classic members of a consumer group. JoinGroup is their heartbeat with a
// subscription, the generation is their member epoch, and SyncGroup hands out
// what the group reconciled; REBALANCE_IN_PROGRESS of Heartbeat makes them
// join again when there is a step to take.

func sortedNames(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// joinConsumer is JoinGroup to a consumer group that has members.
func (s *state) joinConsumer(now time.Time, e *group, cl Client, r *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	// Kafka names the member only to one that is to join again with it.
	fail := func(code int16) { s.answerJoin(done, joinError("", code)) }
	cfg := s.cfg()
	if !cfg.upgrade && !cfg.downgrade {
		fail(codeInconsistentProtocol)
		return
	}
	w := &work{s: s, g: e.consumer, epoch: e.consumer.epoch}
	id, unknown := r.MemberID, r.MemberID == ""
	if unknown {
		id = s.newID()
	}
	switch {
	case w.full(id, text(r.InstanceID)):
		fail(codeGroupMaxSizeReached)
		return
	case !e.consumer.offered(r):
		fail(codeInconsistentProtocol)
		return
	case unknown && r.InstanceID == nil && r.Version >= 4:
		s.answerJoin(done, joinError(id, codeMemberIDRequired))
		return
	}
	sub, err := readSubscription(r.Protocols[0].Metadata)
	if err != nil {
		fail(codeInconsistentProtocol)
		return
	}
	create := unknown || r.InstanceID == nil
	old, bad := w.member(id, text(r.InstanceID), create, true, epochLeave, nil)
	if bad != nil {
		fail(bad.code)
		return
	}
	replaced := e.consumer.staticMember(text(r.InstanceID))
	m := old.draft()
	if r.InstanceID != nil {
		m.sub.instanceID = *r.InstanceID
	}
	if sub.Rack != nil {
		m.sub.rackID = *sub.Rack
	}
	m.sub.rebalanceMs = int32(rebalanceTimeout(r).Milliseconds())
	// What a join cannot say stays: the instance id above, and the assignor.
	m.sub.topics, m.sub.regex = sortedNames(sub.Topics), ""
	m.sub.clientID, m.sub.clientHost = cl.ID, cl.host()
	m.sub.classic = &classicMetadata{sessionMs: r.SessionTimeoutMillis, protocols: readProtocols(r)}
	img, _ := s.img()
	owned := ownedTopics(sub.OwnedPartitions, img)
	if replaced != nil && onlyClassicBut(e.consumer, replaced) && cfg.downgrade && len(e.consumer.members) <= cfg.maxSize &&
		s.downgradeWith(now, e, old, m, done) {
		return
	}
	if bad = w.step(now, cl, old, m, owned); bad == nil {
		bad = w.commit(now)
	}
	if bad != nil {
		fail(bad.code)
		return
	}
	live := w.group().members[m.id]
	if live.join != nil {
		s.deadlines.Stop(live.join)
	}
	s.touch(now, w.group(), live, ms(r.SessionTimeoutMillis))
	if live.sync == nil {
		live.sync = &Deadline{Fire: func(now time.Time) { s.fenceOne(now, r.Group, live) }}
	}
	s.deadlines.Set(live.sync, now.Add(rebalanceTimeout(r)))
	s.answerJoin(done, consumerJoined(m))
}

// onlyClassicBut: every member but m speaks the classic protocol.
func onlyClassicBut(g *consumerGroup, m *consumerMember) bool {
	return !m.classic() && g.classics == len(g.members)-1
}

func consumerJoined(m *consumerMember) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.MemberID, resp.Generation = m.id, m.cur.epoch
	typ, name := consumerType, m.sub.classic.protocols[0].name
	resp.ProtocolType, resp.Protocol = &typ, &name
	resp.Members = []kmsg.JoinGroupResponseMember{}
	return resp
}

// downgradeWith makes the group classic since its last member with the new
// protocol, a static one, came back with the old one.
func (s *state) downgradeWith(now time.Time, e *group, old, m *consumerMember, done func(*kmsg.JoinGroupResponse)) bool {
	same := slices.Equal(old.sub.topics, m.sub.topics) && e.consumer.targetEpoch >= e.consumer.epoch
	if !s.downgrade(now, e, nil, m, !same) {
		return false
	}
	resp := consumerJoined(m)
	resp.Generation = s.groups[e.id].classic.generation
	s.answerJoin(done, resp)
	return true
}

// offered: the member's protocols include one that all classic members have.
func (g *consumerGroup) offered(r *kmsg.JoinGroupRequest) bool {
	if r.ProtocolType != consumerType {
		return false
	}
	for i := range r.Protocols {
		if g.offers[r.Protocols[i].Name] == g.classics {
			return true
		}
	}
	return false
}

func ownedTopics(ts []kmsg.ConsumerMemberMetadataOwnedPartition, img catalog) []kmsg.ConsumerGroupHeartbeatRequestTopic {
	out := []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for i := range ts {
		if t := img.Topic(ts[i].Topic); t != nil {
			e := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			e.TopicID, e.Partitions = t.ID, ts[i].Partitions
			out = append(out, e)
		}
	}
	return out
}

// classicIn finds a classic member of a consumer group.
func (g *consumerGroup) classicIn(id string, instanceID *string, generation int32) (*consumerMember, int16) {
	m := g.members[id]
	if instanceID != nil {
		if m = g.staticMember(*instanceID); m != nil && m.id != id {
			return nil, codeFencedInstanceID
		}
	}
	switch {
	case m == nil || !m.classic():
		return nil, codeUnknownMemberID
	case m.cur.epoch != generation:
		return nil, codeIllegalGeneration
	}
	return m, codeNone
}

// syncConsumer is SyncGroup of a classic member.
func (s *state) syncConsumer(now time.Time, g *consumerGroup, r *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	m, code := g.classicIn(r.MemberID, r.InstanceID, r.Generation)
	typ := consumerType
	switch {
	case code != codeNone:
	case differs(r.ProtocolType, &typ), differs(r.Protocol, &m.sub.classic.protocols[0].name):
		code = codeInconsistentProtocol
	case s.behind(now, g, m) && m.cur.state != memberUnrevoked:
		s.awaitJoin(now, g, m)
		code = codeRebalanceInProgress
	}
	if code != codeNone {
		s.answerSync(done, syncError(code))
		return
	}
	if m.sync != nil {
		s.deadlines.Stop(m.sync)
	}
	s.touch(now, g, m, ms(m.sub.classic.sessionMs))
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType, resp.Protocol = r.ProtocolType, r.Protocol
	resp.MemberAssignment = []byte{}
	if b := m.sub.classic.protocols[0].metadata; len(b) >= 2 {
		img, _ := s.img()
		resp.MemberAssignment = writeAssignment(m.cur.assigned.plain(), int16(b[0])<<8|int16(b[1]), img)
	}
	s.answerSync(done, resp)
}

// behind says that a classic member is to join again: there is a newer target,
// or the group has changed and the join would compute one. Nobody else may do so
// for as long as the members of KIP-848 do not send a heartbeat.
func (s *state) behind(now time.Time, g *consumerGroup, m *consumerMember) bool {
	return m.cur.epoch < g.targetEpoch || m.cur.epoch < g.epoch && s.targetDue(now, g)
}

// heartbeatConsumer is Heartbeat of a classic member.
func (s *state) heartbeatConsumer(now time.Time, g *consumerGroup, r *kmsg.HeartbeatRequest) int16 {
	m, code := g.classicIn(r.MemberID, r.InstanceID, r.Generation)
	if code != codeNone {
		return code
	}
	s.touch(now, g, m, ms(m.sub.classic.sessionMs))
	if s.behind(now, g, m) || m.cur.state == memberUnrevoked ||
		m.cur.state == memberUnreleased && !g.waitsForOthers(m) {
		s.awaitJoin(now, g, m)
		return codeRebalanceInProgress
	}
	return codeNone
}

// waitsForOthers: some of the member's target is still held by others.
func (g *consumerGroup) waitsForOthers(m *consumerMember) bool {
	for id, parts := range g.targets[m.id] {
		for _, p := range parts {
			if _, have := m.cur.assigned.epoch(id, p); !have && g.ownerEpoch(id, p) != -1 {
				return true
			}
		}
	}
	return false
}

// awaitJoin gives a member that was told to join again its rebalance timeout.
func (s *state) awaitJoin(now time.Time, g *consumerGroup, m *consumerMember) {
	if m.join == nil {
		m.join = &Deadline{Fire: func(now time.Time) { s.fenceOne(now, g.id, m) }}
	}
	if !m.join.Armed() {
		s.deadlines.Set(m.join, now.Add(ms(m.sub.rebalanceMs)))
	}
}

// leaveConsumer is LeaveGroup to a consumer group.
func (s *state) leaveConsumer(now time.Time, e *group, members []kmsg.LeaveGroupRequestMember, done func(*kmsg.LeaveGroupResponse)) {
	resp := kmsg.NewPtrLeaveGroupResponse()
	var gone []*consumerMember
	for i := range members {
		r := &members[i]
		m, code := e.consumer.members[r.MemberID], codeNone
		if r.InstanceID != nil {
			m = e.consumer.staticMember(*r.InstanceID)
		}
		switch {
		case m == nil:
			code = codeUnknownMemberID
		case r.InstanceID != nil && r.MemberID != "" && r.MemberID != m.id:
			code = codeFencedInstanceID
		case !slices.Contains(gone, m):
			gone = append(gone, m)
		}
		resp.Members = append(resp.Members, leaver(r, code))
	}
	s.fence848(now, e, gone)
	s.answerLeave(done, resp)
}

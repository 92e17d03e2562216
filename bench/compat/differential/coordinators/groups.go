package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupScript is a group with the members that the script plays.
type groupScript struct {
	id       string
	members  [3]memberScript
	consumer bool // a member of KIP-848 has joined
}

// memberScript is one member: a classic one, or one of KIP-848.
type memberScript struct {
	group *groupScript
	name  string
	// instance makes it static; set for the third.
	instance *string
	// asked: a join or sync is under way. Kafka leaves the first of two without
	// an answer; here it is told to join again.
	asked bool
}

func (g *groupScript) member(r *run) *memberScript {
	i := r.rand.IntN(len(g.members))
	m := &g.members[i]
	m.group, m.name = g, fmt.Sprintf("%s.m%d", g.id, i)
	if i == 2 {
		m.instance = &m.name
	}
	return m
}

// identity is how a request says who sends it.
type identity struct {
	what       string
	member     func(b int) string
	generation func(b int) int32
	instance   *string
}

// identity is mostly the member's own.
func (m *memberScript) identity(r *run) identity {
	out := identity{
		"own " + m.name,
		func(b int) string { return r.texts[b][m.name] },
		func(b int) int32 { return r.nums[b][m.name] },
		m.instance,
	}
	none := func(int) string { return "" }
	switch r.rand.IntN(14) {
	case 0:
		out.what, out.member = out.what+", no member id", none
	case 1:
		out.what, out.member = out.what+", unknown member id", func(int) string { return "nobody" }
	case 2:
		out.what, out.generation = out.what+", generation + 1", func(b int) int32 { return r.nums[b][m.name] + 1 }
	case 3:
		out.what, out.generation = out.what+", generation - 1", func(b int) int32 { return r.nums[b][m.name] - 1 }
	case 4:
		out.what, out.instance = out.what+", unknown instance", kmsg.StringPtr("unknown")
	case 5, 6:
		out = identity{"no member", none, func(int) int32 { return -1 }, nil}
	case 7:
		out.what, out.instance = out.what+", no instance", nil
	}
	return out
}

func (g *groupScript) step(r *run) {
	m := g.member(r)
	n := r.rand.IntN(100)
	if m.asked && n < 40 {
		n += 40
	}
	switch {
	case n < 24:
		r.do(m.join(r))
	case n < 40:
		r.do(m.sync(r))
	case n < 50:
		r.do(m.heartbeat(r))
	case n < 56:
		r.do(m.leave(r))
	case n < 70:
		r.do(m.commit(r))
	case n < 78:
		r.do(m.fetch(r))
	case n < 81:
		r.do(g.deleteOffsets(r))
	case n < 84:
		r.do(g.delete(r))
	case n < 96:
		r.do(m.consumerHeartbeat(r))
	default:
		r.do(g.describeConsumer(r))
	}
}

func (m *memberScript) join(r *run) *op {
	version := r.between(0, 9)
	who := m.identity(r)
	kind := some(r, "consumer", "consumer", "consumer", "consumer", "connect", "")
	session := some(r, int32(300000), 300000, 300000, 10, 1900000)
	protocols := some(r, []string{"range", "roundrobin"}, []string{"range"}, []string{"roundrobin"}, []string{"other"}, nil)
	group := some(r, m.group.id, m.group.id, m.group.id, m.group.id, m.group.id, "")
	m.asked = true
	return &op{finished: func() { m.asked = false }, what: fmt.Sprintf("join %q as %s, type %q, %v", group, who.what, kind, protocols), late: true, build: func(b int) kmsg.Request {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.ProtocolType, req.MemberID = version, group, kind, who.member(b)
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = session, 300000
		if version >= 5 {
			req.InstanceID = who.instance
		}
		for _, p := range protocols {
			rp := kmsg.NewJoinGroupRequestProtocol()
			rp.Name, rp.Metadata = p, subscription(r.topic(0))
			req.Protocols = append(req.Protocols, rp)
		}
		return req
	}, keep: func(b int, resp kmsg.Response) {
		got := resp.(*kmsg.JoinGroupResponse)
		// A join by member id to an empty consumer group is refused, but Kafka has
		// forgotten the group's epoch by then, in memory and not in its log
		// (GroupMetadataManager.maybeDeleteEmptyConsumerGroup); here it is kept.
		r.over = r.over || got.ErrorCode == 25 && m.group.consumer
		if got.MemberID != "" && got.MemberID != "nobody" && (got.ErrorCode == 0 || got.ErrorCode == 79) {
			r.text(b, m.name, got.MemberID)
		}
		if got.ErrorCode == 0 {
			r.nums[b][m.name] = got.Generation
		}
	}, again: func(resp kmsg.Response) bool { return busy(resp.(*kmsg.JoinGroupResponse).ErrorCode) }}
}

// subscription is the consumer protocol's metadata, version 1.
func subscription(topic string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics = 1, []string{topic}
	return m.AppendTo(nil)
}

func assigned(topic string, partitions ...int32) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	a.Version, a.Topics = 1, []kmsg.ConsumerMemberAssignmentTopic{{Topic: topic, Partitions: partitions}}
	return a.AppendTo(nil)
}

func (m *memberScript) sync(r *run) *op {
	version, who := r.between(0, 5), m.identity(r)
	kind := some(r, kmsg.StringPtr("consumer"), kmsg.StringPtr("connect"), nil)
	protocol := some(r, kmsg.StringPtr("range"), kmsg.StringPtr("roundrobin"), nil)
	give := r.rand.IntN(3) > 0
	m.asked = true
	return &op{finished: func() { m.asked = false }, trim: func(resp kmsg.Response) {
		if m.group.consumer {
			resp.(*kmsg.SyncGroupResponse).MemberAssignment = nil // as flatten's Assignment
		}
	}, what: fmt.Sprintf("sync %s as %s", m.group.id, who.what), late: true, build: func(b int) kmsg.Request {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Version, req.Group, req.MemberID, req.Generation = version, m.group.id, who.member(b), who.generation(b)
		if version >= 3 {
			req.InstanceID = who.instance
		}
		if version >= 5 {
			req.ProtocolType, req.Protocol = kind, protocol
		}
		for i := range m.group.members {
			id := r.texts[b][fmt.Sprintf("%s.m%d", m.group.id, i)]
			if give && id != "" {
				req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{
					MemberID: id, MemberAssignment: assigned(r.topic(0), int32(i))})
			}
		}
		return req
	}, again: func(resp kmsg.Response) bool { return busy(resp.(*kmsg.SyncGroupResponse).ErrorCode) }}
}

func (m *memberScript) heartbeat(r *run) *op {
	version, who := r.between(0, 4), m.identity(r)
	return &op{what: fmt.Sprintf("heartbeat %s as %s", m.group.id, who.what), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.Generation = version, m.group.id, who.member(b), who.generation(b)
		if version >= 3 {
			req.InstanceID = who.instance
		}
		return req
	}}
}

func (m *memberScript) leave(r *run) *op {
	version, who := r.between(0, 5), m.identity(r)
	return &op{what: fmt.Sprintf("leave %s as %s", m.group.id, who.what), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Version, req.Group, req.MemberID = version, m.group.id, who.member(b)
		if version >= 3 {
			one := kmsg.NewLeaveGroupRequestMember()
			one.MemberID, one.InstanceID = who.member(b), who.instance
			req.Members = append(req.Members, one)
		}
		return req
	}}
}

func (m *memberScript) commit(r *run) *op {
	version, who, places := r.between(2, 10), m.identity(r), r.places()
	metadata := some(r, kmsg.StringPtr("note"), nil, kmsg.StringPtr(string(make([]byte, 4097))))
	if metadata != nil && r.nums[kafka][m.name] == 0 {
		// From outside of a group it would make one that only Kafka remembers.
		metadata = nil
	}
	return &op{what: fmt.Sprintf("commit %v of %s as %s", places, m.group.id, who.what), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.MemberID, req.Generation = version, m.group.id, who.member(b), who.generation(b)
		req.RetentionTimeMillis = -1
		if version >= 7 {
			req.InstanceID = who.instance
		}
		for topic, partitions := range places {
			rt := kmsg.NewOffsetCommitRequestTopic()
			rt.Topic, rt.TopicID = topic, r.topicID(b, topic)
			for _, p := range partitions {
				rp := kmsg.NewOffsetCommitRequestTopicPartition()
				rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = p, 5, 3, metadata
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
		}
		return req
	}}
}

// topicID is a topic's id, or one that nobody has.
func (r *run) topicID(b int, topic string) [16]byte {
	if id, ok := r.topics[b][topic]; ok {
		return id
	}
	return [16]byte{15: 9}
}

func (m *memberScript) fetch(r *run) *op {
	version, places, stable := r.between(1, 10), r.places(), r.rand.IntN(2) == 0
	all := version >= 2 && r.rand.IntN(3) == 0
	groups := []string{m.group.id, some(r, pick(r, r.groups).id, r.label+"-unknown")}
	epochs := r.rand.IntN(3) == 0
	who := m.identity(r)
	return &op{what: fmt.Sprintf("fetch %v of %v, all %v, stable %v, member %v %s", places, groups, all, stable, epochs, who.what), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Group = version, groups[0]
		req.RequireStable = stable && version >= 7
		if !all {
			req.Topics = []kmsg.OffsetFetchRequestTopic{}
			for topic, partitions := range places {
				req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: topic, Partitions: partitions})
			}
		}
		if version >= 8 {
			for i, id := range groups {
				g := kmsg.NewOffsetFetchRequestGroup()
				g.Group, g.MemberEpoch = id, -1
				if version >= 9 && epochs && i == 0 {
					member := who.member(b)
					g.MemberID, g.MemberEpoch = &member, who.generation(b)
				}
				if !all {
					g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
					for topic, partitions := range places {
						g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic, TopicID: r.topicID(b, topic), Partitions: partitions})
					}
				}
				req.Groups = append(req.Groups, g)
			}
		}
		return req
	}}
}

func (g *groupScript) deleteOffsets(r *run) *op {
	id, places := some(r, g.id, g.id, r.label+"-unknown", ""), r.places()
	return &op{what: fmt.Sprintf("delete offsets %v of %q", places, id), build: func(int) kmsg.Request {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = id
		for topic, partitions := range places {
			rt := kmsg.NewOffsetDeleteRequestTopic()
			rt.Topic = topic
			for _, p := range partitions {
				rt.Partitions = append(rt.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: p})
			}
			req.Topics = append(req.Topics, rt)
		}
		return req
	}}
}

func (g *groupScript) delete(r *run) *op {
	version, ids := r.between(0, 2), []string{g.id, some(r, r.label+"-unknown", "")}
	return &op{what: fmt.Sprintf("delete groups %q", ids), build: func(int) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Version, req.Groups = version, ids
		return req
	}}
}

package group

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataRefresh is how long a group goes on with the topics it hashed
// without being told of a change (Kafka's METADATA_REFRESH_INTERVAL_MS).
const metadataRefresh = time.Hour

// ConsumerGroupHeartbeat v0 and v1: a member of a KIP-848 group joins, stays,
// tells what it owns and learns what it should own, or leaves.
//
//   - v0: the coordinator may make the member id; v1: the client does (KIP-1082)
//     and may subscribe by regular expression.
//   - A null field means "as last time".
func (c *Coordinator) ConsumerGroupHeartbeat(cl Client, r *kmsg.ConsumerGroupHeartbeatRequest, done func(*kmsg.ConsumerGroupHeartbeatResponse)) {
	answer := func(resp *kmsg.ConsumerGroupHeartbeatResponse) {
		resp.Version = r.Version
		done(resp)
	}
	if bad := checkHeartbeat(r, c.settings()); bad != nil {
		answer(heartbeatError(bad))
		return
	}
	c.run(r.Group, func(s *state, now time.Time) error {
		resp, bad := s.consumerHeartbeat(now, cl, r)
		if bad != nil {
			resp = heartbeatError(bad)
		}
		s.out.Answer(func(err error) {
			if err != nil {
				resp = heartbeatError(refuse(codeOf(err), err.Error()))
			}
			answer(resp)
		})
		return nil
	}, func(code int16) { answer(heartbeatError(refuse(code, ErrUnavailable.Error()))) })
}

func heartbeatError(bad *refusal) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = bad.code, &bad.text
	return resp
}

func blank(p *string) bool { return p != nil && strings.TrimSpace(*p) == "" }

// checkHeartbeat is what can be refused without knowing the group.
func checkHeartbeat(r *kmsg.ConsumerGroupHeartbeatRequest, cfg *settings) *refusal {
	invalid := func(text string) *refusal { return refuse(codeInvalidRequest, text) }
	needsID := r.Version >= 1 || r.MemberEpoch > 0 || r.MemberEpoch == epochLeave
	switch {
	case needsID && strings.TrimSpace(r.MemberID) == "":
		return invalid("MemberId can't be empty.")
	case strings.TrimSpace(r.Group) == "" || !validGroup(r.Group):
		return invalid("GroupId can't be empty.")
	case blank(r.InstanceID):
		return invalid("InstanceId can't be empty.")
	case blank(r.RackID):
		return invalid("RackId can't be empty.")
	case len(r.MemberID) > maxID || len(text(r.InstanceID)) > maxID:
		return invalid("MemberId and InstanceId may have 16384 bytes at most.")
	case len(text(r.SubscribedTopicRegex)) > maxID:
		return refuse(codeInvalidRegex, "SubscribedTopicRegex may have 16384 bytes at most.")
	case r.MemberEpoch == epochJoin && r.RebalanceTimeoutMillis == -1:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case r.MemberEpoch == epochJoin && (r.Topics == nil || len(r.Topics) > 0):
		return invalid("TopicPartitions must be empty when (re-)joining.")
	case r.MemberEpoch == epochJoin && r.SubscribedTopicNames == nil && r.SubscribedTopicRegex == nil:
		return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	case r.MemberEpoch == epochStaticLeave && r.InstanceID == nil:
		return invalid("InstanceId can't be null.")
	case r.MemberEpoch < epochStaticLeave:
		return invalid("MemberEpoch is invalid.")
	case r.ServerAssignor != nil && !slices.Contains(cfg.assignors, *r.ServerAssignor):
		return refuse(codeUnsupportedAssignor, "ServerAssignor "+*r.ServerAssignor+
			" is not supported. Supported assignors: "+strings.Join(cfg.assignors, ", ")+".")
	}
	return nil
}

func (s *state) consumerHeartbeat(now time.Time, cl Client, r *kmsg.ConsumerGroupHeartbeatRequest) (*kmsg.ConsumerGroupHeartbeatResponse, *refusal) {
	if r.MemberEpoch == epochLeave || r.MemberEpoch == epochStaticLeave {
		return s.consumerLeave(now, r)
	}
	joins := r.MemberEpoch == epochJoin
	w, bad := s.openConsumer(now, r.Group, joins)
	if bad != nil {
		return nil, bad
	}
	id := r.MemberID
	if w.full(id, text(r.InstanceID)) {
		return nil, refuse(codeGroupMaxSizeReached, "The consumer group has reached its maximum capacity of members.")
	}
	if id == "" {
		id = s.newID()
	}
	old, bad := w.member(id, text(r.InstanceID), joins, false, r.MemberEpoch, r.Topics)
	if bad != nil {
		return nil, bad
	}
	had := old.cur.assigned
	m := old.draft()
	if r.InstanceID != nil {
		m.sub.instanceID = *r.InstanceID
	}
	if r.RackID != nil {
		m.sub.rackID = *r.RackID
	}
	if r.RebalanceTimeoutMillis != -1 {
		m.sub.rebalanceMs = r.RebalanceTimeoutMillis
	}
	if r.ServerAssignor != nil {
		m.sub.assignor = *r.ServerAssignor
	}
	if r.SubscribedTopicNames != nil {
		m.sub.topics = slices.Compact(slices.Sorted(slices.Values(r.SubscribedTopicNames)))
	}
	if r.SubscribedTopicRegex != nil {
		m.sub.regex = *r.SubscribedTopicRegex
	}
	m.sub.clientID, m.sub.clientHost, m.sub.classic = cl.ID, cl.host(), nil
	if bad := w.step(now, cl, old, m, r.Topics); bad != nil {
		return nil, bad
	}
	if bad := w.commit(now); bad != nil {
		return nil, bad
	}
	live := w.group().members[m.id]
	s.touch(now, w.group(), live, s.cfg().sessionOf(r.Group))
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &id, m.cur.epoch
	resp.HeartbeatIntervalMillis = int32(s.cfg().heartbeatOf(r.Group).Milliseconds())
	full := r.RebalanceTimeoutMillis != -1 && (r.SubscribedTopicNames != nil || r.SubscribedTopicRegex != nil) && r.Topics != nil
	if joins || full || !had.plain().equal(m.cur.assigned.plain()) {
		resp.Assignment = heartbeatAssignment(m.cur.assigned.plain())
	}
	return resp, nil
}

func heartbeatAssignment(a assignment) *kmsg.ConsumerGroupHeartbeatResponseAssignment {
	out := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	out.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}
	for _, id := range a.topics() {
		t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
		t.TopicID, t.Partitions = id, a[id]
		out.Topics = append(out.Topics, t)
	}
	return &out
}

// touch renews a member's session.
func (s *state) touch(now time.Time, g *consumerGroup, m *consumerMember, session time.Duration) {
	if m.session == nil {
		m.session = &Deadline{Fire: func(now time.Time) { s.fenceOne(now, g.id, m) }}
	}
	s.deadlines.Set(m.session, now.Add(session))
}

// resumeConsumer starts a loaded group's timers.
func (s *state) resumeConsumer(now time.Time, g *consumerGroup) {
	for _, m := range g.members {
		session := s.cfg().sessionOf(g.id)
		if m.classic() {
			session = ms(m.sub.classic.sessionMs)
		}
		s.touch(now, g, m, session)
		if m.cur.state == memberUnrevoked && !m.classic() {
			s.watchRevocation(now, g, m)
		}
	}
}

// checkRegex refuses what RE2 cannot parse.
func checkRegex(pattern string) *refusal {
	if _, err := regexp.Compile(pattern); err != nil {
		return refuse(codeInvalidRegex, "SubscribedTopicRegex `"+pattern+"` is not a valid regular expression: "+err.Error()+".")
	}
	return nil
}

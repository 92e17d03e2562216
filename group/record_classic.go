package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicValueVersion is the version of GroupMetadataValue that Kafka writes.
const classicValueVersion = 3

// classicKey writes GroupMetadataKey.
func classicKey(b []byte, group string) []byte { return consumerKey(b, keyClassicGroup, group) }

// value is the group as GroupMetadataValue with the given assignments; a
// member without one has the empty assignment.
func (g *classicGroup) value(assignment func(m *classicMember) []byte) []byte {
	v := kmsg.NewGroupMetadataValue()
	v.Version = classicValueVersion
	v.ProtocolType, v.Generation = g.protocolType, g.generation
	v.Protocol, v.Leader = g.protocol, nullable(g.leader)
	v.CurrentStateTimestamp = g.stateMs
	for _, m := range g.sorted() {
		e := kmsg.NewGroupMetadataValueMember()
		e.MemberID, e.InstanceID = m.id, nullable(m.instanceID)
		e.ClientID, e.ClientHost = m.clientID, m.clientHost
		e.RebalanceTimeoutMillis = int32(m.rebalance / time.Millisecond)
		e.SessionTimeoutMillis = int32(m.session / time.Millisecond)
		e.Subscription = m.metadata(g.protocolName())
		if e.Subscription == nil {
			e.Subscription = []byte{}
		}
		if e.Assignment = assignment(m); e.Assignment == nil {
			e.Assignment = []byte{}
		}
		v.Members = append(v.Members, e)
	}
	return v.AppendTo(nil)
}

// writeClassic writes the group with the assignments its members have.
func (s *state) writeClassic(g *classicGroup) {
	s.writeClassicValue(g.id, g.value(func(m *classicMember) []byte { return m.assignment }))
}

func (s *state) writeClassicValue(id string, value []byte) {
	s.scratch = classicKey(s.scratch[:0], id)
	s.out.Write(s.scratch, value)
}

// writeNewClassic writes a group that nobody has joined yet.
func (s *state) writeNewClassic(g *classicGroup) {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.CurrentStateTimestamp = classicValueVersion, g.stateMs
	s.writeClassicValue(g.id, v.AppendTo(nil))
}

// readClassicGroup makes a group of its record; its members are stable.
func readClassicGroup(id string, v *kmsg.GroupMetadataValue, s *state) *classicGroup {
	g := newClassicGroup(id, s)
	g.generation, g.protocolType = v.Generation, v.ProtocolType
	if v.Version >= 2 {
		g.stateMs = v.CurrentStateTimestamp
	}
	g.protocol = v.Protocol
	for i := range v.Members {
		e := &v.Members[i]
		m := &classicMember{
			id: e.MemberID, instanceID: text(e.InstanceID), clientID: e.ClientID, clientHost: e.ClientHost,
			session: ms(e.SessionTimeoutMillis), rebalance: ms(e.RebalanceTimeoutMillis),
			protocolType: v.ProtocolType,
			protocols:    []protocol{{text(v.Protocol), slices.Clone(e.Subscription)}},
			assignment:   slices.Clone(e.Assignment),
		}
		if v.Version < 1 || e.RebalanceTimeoutMillis == -1 {
			m.rebalance = m.session
		}
		s.watch(g, m)
		g.add(m, nil)
	}
	if len(g.members) > 0 {
		g.state = classicStable
	}
	g.leader = text(v.Leader)
	g.protocolType = v.ProtocolType
	g.topics = g.subscribedTopics()
	return g
}

// watch gives a member its heartbeat timer.
func (s *state) watch(g *classicGroup, m *classicMember) {
	m.heartbeat.Fire = func(now time.Time) { s.expireMember(now, g, m) }
}

// resumeClassic starts a loaded group's timers.
func (s *state) resumeClassic(now time.Time, g *classicGroup) {
	for _, m := range g.members {
		s.deadlines.Set(&m.heartbeat, now.Add(m.session))
	}
	if len(g.members) > s.cfg().maxSize {
		s.prepareRebalance(now, g)
	}
}

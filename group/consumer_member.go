package group

import (
	"slices"
)

// memberState is where a member stands on its way to the target (Kafka's
// MemberState numbers).
type memberState int8

const (
	memberStable     memberState = 0
	memberUnrevoked  memberState = 1 // it must give partitions up before it gets others
	memberUnreleased memberState = 2 // it waits for others to give partitions up
)

// Epochs with a meaning of their own in ConsumerGroupHeartbeat.
const (
	epochJoin        int32 = 0
	epochLeave       int32 = -1
	epochStaticLeave int32 = -2 // a static member will be back
)

// protocol is one of a classic member's protocols, in its order of preference.
type protocol struct {
	name     string
	metadata []byte
}

// classicMetadata is what a consumer group keeps of a member that still speaks
// the classic protocol.
type classicMetadata struct {
	sessionMs int32
	protocols []protocol
}

func (m *classicMetadata) equal(o *classicMetadata) bool {
	if m == nil || o == nil {
		return m == o
	}
	return m.sessionMs == o.sessionMs && slices.EqualFunc(m.protocols, o.protocols, func(a, b protocol) bool {
		return a.name == b.name && string(a.metadata) == string(b.metadata)
	})
}

// subscription is what a member told of itself. "" is null for every string.
type subscription struct {
	instanceID, rackID, clientID, clientHost string
	topics                                   []string // sorted
	regex, assignor                          string
	rebalanceMs                              int32
	classic                                  *classicMetadata
}

func (s *subscription) equal(o *subscription) bool {
	return s.instanceID == o.instanceID && s.rackID == o.rackID && s.clientID == o.clientID &&
		s.clientHost == o.clientHost && s.regex == o.regex && s.assignor == o.assignor &&
		s.rebalanceMs == o.rebalanceMs && slices.Equal(s.topics, o.topics) && s.classic.equal(o.classic)
}

// current is what a member has and what it must give up.
type current struct {
	epoch, previous    int32
	state              memberState
	assigned, revoking owned
}

func (c *current) equal(o *current) bool {
	return c.epoch == o.epoch && c.previous == o.previous && c.state == o.state &&
		c.assigned.equal(o.assigned) && c.revoking.equal(o.revoking)
}

// at is c with a new epoch; the old one is kept as the previous.
func (c current) at(epoch int32) current {
	c.previous, c.epoch = c.epoch, epoch
	return c
}

// consumerMember is a member of a consumer group. The subscription and the
// current assignment are replaced, never changed in place.
type consumerMember struct {
	id  string
	sub subscription
	cur current

	// timers; nil until first used
	session, rebalance, join, sync *Deadline
}

func newConsumerMember(id string) *consumerMember {
	return &consumerMember{id: id, sub: subscription{rebalanceMs: -1}}
}

// draft is a copy to work on; the group does not see it.
func (m *consumerMember) draft() *consumerMember {
	return &consumerMember{id: m.id, sub: m.sub, cur: m.cur}
}

// reconciled reports whether the member has what the target of epoch gives it.
func (m *consumerMember) reconciled(epoch int32) bool {
	return m.cur.state == memberStable && m.cur.epoch == epoch
}

func (m *consumerMember) classic() bool { return m.sub.classic != nil }

func (m *consumerMember) deadlines() []*Deadline {
	return []*Deadline{m.session, m.rebalance, m.join, m.sync}
}

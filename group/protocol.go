package group

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The consumer's own protocol inside the classic one (Kafka's
// ConsumerProtocol): the coordinator reads it to know who subscribes to what,
// and writes it for classic members of a consumer group.

var errMetadata = errors.New("group: a member's consumer protocol metadata is malformed")

// readSubscription reads ConsumerProtocolSubscription. Of versions newer than
// known the known part is read, as Kafka does.
func readSubscription(b []byte) (*kmsg.ConsumerMemberMetadata, error) {
	m := kmsg.NewConsumerMemberMetadata()
	if len(b) < 2 || int8(b[0]) < 0 {
		return nil, errMetadata
	}
	if err := m.ReadFrom(clampVersion(b, 3)); err != nil {
		return nil, errMetadata
	}
	return &m, nil
}

// readAssignment reads ConsumerProtocolAssignment.
func readAssignment(b []byte) (*kmsg.ConsumerMemberAssignment, error) {
	a := kmsg.NewConsumerMemberAssignment()
	if len(b) < 2 || int8(b[0]) < 0 {
		return nil, errMetadata
	}
	if err := a.ReadFrom(clampVersion(b, 3)); err != nil {
		return nil, errMetadata
	}
	return &a, nil
}

func clampVersion(b []byte, newest int16) []byte {
	if v := int16(b[0])<<8 | int16(b[1]); v > newest {
		return append([]byte{byte(newest >> 8), byte(newest)}, b[2:]...)
	}
	return b
}

// writeAssignment is an assignment as a classic member reads it, in the
// version of its subscription. Topics that are gone are left out.
func writeAssignment(a assignment, version int16, img catalog) []byte {
	v := kmsg.NewConsumerMemberAssignment()
	v.Version = min(max(version, 0), 3)
	for _, id := range a.topics() {
		t := img.TopicByID(id)
		if t == nil {
			continue
		}
		topic := kmsg.NewConsumerMemberAssignmentTopic()
		topic.Topic, topic.Partitions = t.Name, slices.Clone(a[id])
		v.Topics = append(v.Topics, topic)
	}
	return v.AppendTo(nil)
}

// namesToIDs turns partitions by topic name into partitions by id.
func namesToIDs(topics []kmsg.ConsumerMemberAssignmentTopic, img catalog) assignment {
	a := assignment{}
	for i := range topics {
		t := img.Topic(topics[i].Topic)
		if t == nil || len(topics[i].Partitions) == 0 {
			continue
		}
		parts := slices.Clone(topics[i].Partitions)
		slices.Sort(parts)
		a[t.ID] = slices.Compact(parts)
	}
	return a
}

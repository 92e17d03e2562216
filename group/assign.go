package group

import (
	"bytes"
	"slices"
	"strings"
)

// The assignors that a broker has (group.consumer.assignors).
const (
	assignorUniform = "uniform"
	assignorRange   = "range"
)

// assignMember is a member as an assignor sees it.
type assignMember struct {
	id, instanceID string
	// topics it subscribes to that exist, sorted.
	topics []topicID
	// had is its last target; it may name topics and partitions that are gone.
	had assignment
}

// assignInput is a group as an assignor sees it.
type assignInput struct {
	members    []assignMember // sorted by id
	partitions map[topicID]int32
}

// assign gives every partition of every subscribed topic to one subscriber.
func assign(assignor string, in *assignInput) []assignment {
	if assignor == assignorRange {
		return assignInRanges(in)
	}
	return assignUniformly(in)
}

// alike reports whether all members subscribe to the same topics.
func (in *assignInput) alike() bool {
	for i := 1; i < len(in.members); i++ {
		if !slices.Equal(in.members[i].topics, in.members[0].topics) {
			return false
		}
	}
	return true
}

func sortIDs(ids []topicID) {
	slices.SortFunc(ids, func(a, b topicID) int { return bytes.Compare(a[:], b[:]) })
}

// byInstance orders members so that static ones keep their place across
// restarts: instance ids first, then the others by member id.
func byInstance(a, b assignMember) int {
	switch {
	case a.instanceID != "" && b.instanceID != "":
		return strings.Compare(a.instanceID, b.instanceID)
	case a.instanceID != "":
		return -1
	case b.instanceID != "":
		return 1
	}
	return strings.Compare(a.id, b.id)
}

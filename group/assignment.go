package group

import (
	"bytes"
	"maps"
	"slices"

	"github.com/chronik-stream/chronik/logstore"
)

// topicID is short for the key of most maps here.
type topicID = logstore.TopicID

// assignment is what a target assignment gives one member: partitions by
// topic, each list sorted, non-empty and without repeats. It is never written
// to once it is in a group.
type assignment map[topicID][]int32

// topics is the topics in a fixed order.
func (a assignment) topics() []topicID { return sortedIDs(a) }

func (a assignment) equal(b assignment) bool {
	return maps.EqualFunc(a, b, slices.Equal[[]int32])
}

func (a assignment) has(id topicID, p int32) bool {
	_, ok := slices.BinarySearch(a[id], p)
	return ok
}

// owned is partitions with the member epoch at which each was assigned; a
// commit of an older epoch is refused. Never written to once in a member.
type owned map[topicID]map[int32]int32

func (o owned) topics() []topicID { return sortedIDs(o) }

func (o owned) partitions(id topicID) []int32 { return slices.Sorted(maps.Keys(o[id])) }

func (o owned) equal(b owned) bool {
	return maps.EqualFunc(o, b, maps.Equal[map[int32]int32, map[int32]int32])
}

func (o owned) epoch(id topicID, p int32) (epoch int32, ok bool) {
	epoch, ok = o[id][p]
	return epoch, ok
}

func (o owned) clone() owned {
	c := make(owned, len(o))
	for id, m := range o {
		c[id] = maps.Clone(m)
	}
	return c
}

// withEpoch is a target as if owned since epoch.
func (a assignment) withEpoch(epoch int32) owned {
	o := make(owned, len(a))
	for id, parts := range a {
		m := make(map[int32]int32, len(parts))
		for _, p := range parts {
			m[p] = epoch
		}
		o[id] = m
	}
	return o
}

// plain is the partitions without their epochs.
func (o owned) plain() assignment {
	a := make(assignment, len(o))
	for id := range o {
		if len(o[id]) > 0 {
			a[id] = o.partitions(id)
		}
	}
	return a
}

func sortedIDs[V any](m map[topicID]V) []topicID {
	ids := slices.Collect(maps.Keys(m))
	slices.SortFunc(ids, func(a, b topicID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

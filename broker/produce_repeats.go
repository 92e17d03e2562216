package broker

import (
	"hash/maphash"

	"github.com/chronik-stream/chronik/codec"
)

// A Produce that names a partition twice: Kafka's handler puts the batches into
// a map by partition, so that only the last is appended, and answers once for
// each partition. (There one that fails the first look beside one that passes it
// is appended and refused in one; here the last one counts in everything.)
//
// Nearly no request does that, and most have one partition. So that the others
// pay little, a set of hashes finds who may repeat himself, and only his request
// is laid out in memory.

// maxSeen is the largest set of hashes that a loop keeps.
const maxSeen = 1 << 14

var seenSeed = maphash.MakeSeed()

// topicHash tells topics apart, nearly always.
func topicHash(t *codec.TopicRef) uint64 {
	if len(t.Name) == 0 {
		return maphash.Bytes(seenSeed, t.ID[:])
	}
	return maphash.Bytes(seenSeed, t.Name)
}

// mayRepeat is whether it may name a partition or a topic twice; seldom it says
// so of a request that does not. Allocates nothing in steady state. Loop only.
func (l *loop) mayRepeat(it codec.ProduceIter) bool {
	if l.seen == nil {
		l.seen = make(map[uint64]struct{})
	}
	found := false
	var topic uint64
	for in, ok := it.Next(); ok && !found; in, ok = it.Next() {
		if in.FirstOfTopic {
			topic = topicHash(&in.Topic)
			_, found = l.seen[topic]
			l.seen[topic] = struct{}{}
		}
		key := topic ^ (uint64(uint32(in.Partition))+1)*0x9e3779b97f4a7c15
		if _, twice := l.seen[key]; twice {
			found = true
		}
		l.seen[key] = struct{}{}
	}
	if len(l.seen) > maxSeen {
		l.seen = nil
	} else {
		clear(l.seen)
	}
	return found
}

// lastOfEach gives the partitions with each once, with the last records that
// were named for it, a topic's beside each other. They alias the body.
func lastOfEach(it codec.ProduceIter) []codec.ProducePartition {
	type name struct {
		topic string
		id    [16]byte
	}
	type topic struct {
		parts []codec.ProducePartition
		at    map[int32]int
	}
	topics := map[name]*topic{}
	var order []*topic
	for in, ok := it.Next(); ok; in, ok = it.Next() {
		n := name{string(in.Topic.Name), in.Topic.ID}
		t := topics[n]
		if t == nil {
			t = &topic{at: map[int32]int{}}
			topics[n], order = t, append(order, t)
		}
		in.FirstOfTopic = len(t.parts) == 0
		if at, twice := t.at[in.Partition]; twice {
			t.parts[at].Records = in.Records
			continue
		}
		t.at[in.Partition], t.parts = len(t.parts), append(t.parts, in)
	}
	var out []codec.ProducePartition
	for _, t := range order {
		out = append(out, t.parts...)
	}
	return out
}

package broker

import (
	"hash/maphash"

	"github.com/chronik-stream/chronik/codec"
)

// A Produce that names a partition twice: Kafka's handler puts the batches into
// a map by partition, so that only the last is appended, and answers once for
// each partition. One that fails the first look (checkRecords) never reaches the
// map: the last good one is appended, and the answer is the last bad one's error.
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

// seenKeys is scratch that tells whether something may have come before; seldom
// it says so of what has not. It allocates nothing in steady state. Loop only.
type seenKeys map[uint64]struct{}

// again is whether the key was given since the last done.
func (s *seenKeys) again(key uint64) bool {
	if *s == nil {
		*s = make(map[uint64]struct{})
	}
	_, found := (*s)[key]
	(*s)[key] = struct{}{}
	return found
}

// done forgets them all.
func (s *seenKeys) done() {
	if len(*s) > maxSeen {
		*s = nil
		return
	}
	clear(*s)
}

// partHash tells partitions apart, nearly always.
func partHash(topic uint64, index int32) uint64 {
	return topic ^ (uint64(uint32(index))+1)*0x9e3779b97f4a7c15
}

// produceRepeats is whether a Produce may name a partition or a topic twice.
func (s *seenKeys) produceRepeats(it codec.ProduceIter) bool {
	defer s.done()
	var topic uint64
	for in, ok := it.Next(); ok; in, ok = it.Next() {
		if in.FirstOfTopic {
			if topic = topicHash(&in.Topic); s.again(topic) {
				return true
			}
		}
		if s.again(partHash(topic, in.Partition)) {
			return true
		}
	}
	return false
}

// fetchRepeats is whether a Fetch may name a partition twice.
func (s *seenKeys) fetchRepeats(it codec.FetchIter) bool {
	defer s.done()
	for in, ok := it.Next(); ok; in, ok = it.Next() {
		if s.again(partHash(topicHash(&in.Topic), in.Partition)) {
			return true
		}
	}
	return false
}

// spoiled is what the answer for a partition says though a batch was appended:
// another that was named for it is bad. errNone for nothing.
type spoiled struct {
	code errCode
	why  string
}

// lastOfEach gives the partitions with each once, with the last good records that
// were named for it, or bad ones for want of good; a topic's beside each other.
// They alias the body. Beside them it gives what spoils each.
func lastOfEach(it codec.ProduceIter, version int16) ([]codec.ProducePartition, []spoiled) {
	type name struct {
		topic string
		id    [16]byte
	}
	type topic struct {
		parts []codec.ProducePartition
		bad   []spoiled
		good  []bool
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
		var bad spoiled
		if version >= firstBatchVersion {
			_, bad.code, bad.why = checkRecords(in.Records, version)
		}
		good := bad.code == errNone
		at, twice := t.at[in.Partition]
		if !twice {
			t.at[in.Partition] = len(t.parts)
			t.parts, t.bad, t.good = append(t.parts, in), append(t.bad, bad), append(t.good, good)
			continue
		}
		if good || !t.good[at] {
			t.parts[at].Records = in.Records
		}
		if !good {
			t.bad[at] = bad
		}
		t.good[at] = t.good[at] || good
	}
	var parts []codec.ProducePartition
	var bad []spoiled
	for _, t := range order {
		parts, bad = append(parts, t.parts...), append(bad, t.bad...)
	}
	return parts, bad
}

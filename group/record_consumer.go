package group

import (
	"encoding/binary"
	"slices"
)

// The records of consumer groups (KIP-848), after Kafka's definitions
// ConsumerGroup*.json. Every lasting change of a consumer group is one of
// them: it is applied to the state and written, and a load applies the same
// records, so that both can only agree.

// change is one record of a consumer group.
type change interface {
	// apply changes the state; it is used live and at load.
	apply(s *state)
	key(b []byte) []byte
	// value gives nil for a tombstone.
	value() []byte
}

func consumerKey(b []byte, kind byte, parts ...string) []byte {
	b = append(b, 0, kind)
	for _, p := range parts {
		b = putString(b, p)
	}
	return b
}

// groupEpochChange is ConsumerGroupMetadata.
type groupEpochChange struct {
	group   string
	removed bool
	epoch   int32
	hash    int64
}

func (c *groupEpochChange) key(b []byte) []byte { return consumerKey(b, keyConsumerGroup, c.group) }

func (c *groupEpochChange) value() []byte {
	if c.removed {
		return nil
	}
	b := putInt32([]byte{0, 0}, c.epoch)
	if c.hash == 0 {
		return append(b, 0)
	}
	return putTag(append(b, 1), 0, putInt64(nil, c.hash))
}

func readGroupEpoch(c *groupEpochChange, w *wire) {
	c.epoch = w.int32()
	w.tags(func(tag uint64, body *wire) {
		if tag == 0 {
			c.hash = body.int64()
		}
	})
}

// partitionMetadataChange is ConsumerGroupPartitionMetadata, which Kafka wrote
// before 4.1. Only its tombstone is written.
type partitionMetadataChange struct {
	group   string
	removed bool
}

func (c *partitionMetadataChange) key(b []byte) []byte {
	return consumerKey(b, keyPartitionMetadata, c.group)
}
func (c *partitionMetadataChange) value() []byte { return nil }

// memberChange is ConsumerGroupMemberMetadata.
type memberChange struct {
	group, id string
	removed   bool
	sub       subscription
}

func (c *memberChange) key(b []byte) []byte {
	return consumerKey(b, keyConsumerMember, c.group, c.id)
}

func (c *memberChange) value() []byte {
	if c.removed {
		return nil
	}
	s := &c.sub
	b := []byte{0, 0}
	b = putCompactNullable(b, s.instanceID)
	b = putCompactNullable(b, s.rackID)
	b = putCompactString(b, s.clientID)
	b = putCompactString(b, s.clientHost)
	b = putCompactLen(b, len(s.topics))
	for _, t := range s.topics {
		b = putCompactString(b, t)
	}
	b = putCompactNullable(b, s.regex)
	b = putInt32(b, s.rebalanceMs)
	b = putCompactNullable(b, s.assignor)
	if s.classic == nil {
		return append(b, 0)
	}
	t := putInt32([]byte{1}, s.classic.sessionMs) // 1: the nullable struct is there
	t = putCompactLen(t, len(s.classic.protocols))
	for _, p := range s.classic.protocols {
		t = putCompactString(t, p.name)
		t = putCompactBytes(t, p.metadata)
		t = append(t, 0)
	}
	return putTag(append(b, 1), 0, append(t, 0))
}

func readMember(c *memberChange, w *wire) {
	s := &c.sub
	s.instanceID, s.rackID = w.compactString(), w.compactString()
	s.clientID, s.clientHost = w.compactString(), w.compactString()
	for n := w.compactLen(1); n > 0; n-- {
		s.topics = append(s.topics, w.compactString())
	}
	s.regex = w.compactString()
	s.rebalanceMs = w.int32()
	s.assignor = w.compactString()
	w.tags(func(tag uint64, body *wire) {
		if tag != 0 || body.int8() < 0 {
			return
		}
		m := &classicMetadata{sessionMs: body.int32()}
		for n := body.compactLen(3); n > 0; n-- {
			p := protocol{name: body.compactString(), metadata: slices.Clone(body.compactBytes())}
			body.tags(nil)
			m.protocols = append(m.protocols, p)
		}
		body.tags(nil)
		s.classic = m
	})
	slices.Sort(s.topics)
}

// targetEpochChange is ConsumerGroupTargetAssignmentMetadata.
type targetEpochChange struct {
	group   string
	removed bool
	epoch   int32
	atMs    int64
}

func (c *targetEpochChange) key(b []byte) []byte { return consumerKey(b, keyTargetMetadata, c.group) }

func (c *targetEpochChange) value() []byte {
	if c.removed {
		return nil
	}
	b := putInt32([]byte{0, 0}, c.epoch)
	if c.atMs == 0 {
		return append(b, 0)
	}
	return putTag(append(b, 1), 0, putInt64(nil, c.atMs))
}

func readTargetEpoch(c *targetEpochChange, w *wire) {
	c.epoch = w.int32()
	w.tags(func(tag uint64, body *wire) {
		if tag == 0 {
			c.atMs = body.int64()
		}
	})
}

// targetChange is ConsumerGroupTargetAssignmentMember.
type targetChange struct {
	group, id string
	removed   bool
	target    assignment
}

func (c *targetChange) key(b []byte) []byte { return consumerKey(b, keyTargetMember, c.group, c.id) }

func (c *targetChange) value() []byte {
	if c.removed {
		return nil
	}
	b := putCompactLen([]byte{0, 0}, len(c.target))
	for _, id := range c.target.topics() {
		b = append(b, id[:]...)
		b = putCompactLen(b, len(c.target[id]))
		for _, p := range c.target[id] {
			b = putInt32(b, p)
		}
		b = append(b, 0)
	}
	return append(b, 0)
}

func readTarget(c *targetChange, w *wire) {
	c.target = assignment{}
	for n := w.compactLen(18); n > 0; n-- {
		id := w.uuid()
		var parts []int32
		for k := w.compactLen(4); k > 0; k-- {
			parts = append(parts, w.int32())
		}
		w.tags(nil)
		slices.Sort(parts)
		if len(parts) > 0 {
			c.target[id] = slices.Compact(parts)
		}
	}
	w.tags(nil)
}

// currentChange is ConsumerGroupCurrentMemberAssignment.
type currentChange struct {
	group, id string
	removed   bool
	cur       current
}

func (c *currentChange) key(b []byte) []byte { return consumerKey(b, keyCurrentMember, c.group, c.id) }

func (c *currentChange) value() []byte {
	if c.removed {
		return nil
	}
	b := putInt32([]byte{0, 0}, c.cur.epoch)
	b = putInt32(b, c.cur.previous)
	b = append(b, byte(c.cur.state))
	b = putOwned(b, c.cur.assigned)
	b = putOwned(b, c.cur.revoking)
	return append(b, 0)
}

func putOwned(b []byte, o owned) []byte {
	b = putCompactLen(b, len(o))
	for _, id := range o.topics() {
		parts := o.partitions(id)
		b = append(b, id[:]...)
		b = putCompactLen(b, len(parts))
		for _, p := range parts {
			b = putInt32(b, p)
		}
		t := binary.AppendUvarint(nil, uint64(len(parts))+1)
		for _, p := range parts {
			t = putInt32(t, o[id][p])
		}
		b = putTag(append(b, 1), 0, t)
	}
	return b
}

func readCurrent(c *currentChange, w *wire) {
	c.cur.epoch, c.cur.previous = w.int32(), w.int32()
	c.cur.state = memberState(w.int8())
	c.cur.assigned = readOwned(w, c.cur.epoch)
	c.cur.revoking = readOwned(w, c.cur.epoch)
	w.tags(nil)
}

// readOwned reads partitions with the epochs they were assigned at; records
// of Kafka before 4.3 have none, they count from the member's epoch.
func readOwned(w *wire, epoch int32) owned {
	o := owned{}
	for n := w.compactLen(18); n > 0; n-- {
		id := w.uuid()
		var parts, epochs []int32
		for k := w.compactLen(4); k > 0; k-- {
			parts = append(parts, w.int32())
		}
		w.tags(func(tag uint64, body *wire) {
			if tag == 0 {
				for k := body.compactLen(4); k > 0; k-- {
					epochs = append(epochs, body.int32())
				}
			}
		})
		if len(parts) == 0 {
			continue
		}
		m := make(map[int32]int32, len(parts))
		for i, p := range parts {
			if len(epochs) == len(parts) {
				m[p] = epochs[i]
			} else {
				m[p] = max(epoch, 0)
			}
		}
		o[id] = m
	}
	return o
}

// regexChange is ConsumerGroupRegularExpression.
type regexChange struct {
	group, regex string
	removed      bool
	resolved     resolvedRegex
}

func (c *regexChange) key(b []byte) []byte { return consumerKey(b, keyConsumerRegex, c.group, c.regex) }

func (c *regexChange) value() []byte {
	if c.removed {
		return nil
	}
	b := putCompactLen([]byte{0, 0}, len(c.resolved.topics))
	for _, t := range c.resolved.topics {
		b = putCompactString(b, t)
	}
	b = putInt64(b, c.resolved.version)
	b = putInt64(b, c.resolved.atMs)
	return append(b, 0)
}

func readRegex(c *regexChange, w *wire) {
	for n := w.compactLen(1); n > 0; n-- {
		c.resolved.topics = append(c.resolved.topics, w.compactString())
	}
	slices.Sort(c.resolved.topics)
	c.resolved.version, c.resolved.atMs = w.int64(), w.int64()
	w.tags(nil)
}

// readChange reads a record of a consumer group; key is what follows the type.
func readChange(kind int16, key *wire, value []byte) (change, error) {
	v := &wire{b: value}
	removed := value == nil
	if !removed {
		if v.int16() != 0 {
			return nil, errUnknownRecord
		}
	}
	var c change
	switch kind {
	case keyConsumerGroup:
		x := &groupEpochChange{group: key.string(), removed: removed}
		if c = x; !removed {
			readGroupEpoch(x, v)
		}
	case keyPartitionMetadata:
		c = &partitionMetadataChange{group: key.string(), removed: removed}
	case keyConsumerMember:
		x := &memberChange{group: key.string(), id: key.string(), removed: removed}
		if c = x; !removed {
			readMember(x, v)
		}
	case keyTargetMetadata:
		x := &targetEpochChange{group: key.string(), removed: removed}
		if c = x; !removed {
			readTargetEpoch(x, v)
		}
	case keyTargetMember:
		x := &targetChange{group: key.string(), id: key.string(), removed: removed}
		if c = x; !removed {
			readTarget(x, v)
		}
	case keyCurrentMember:
		x := &currentChange{group: key.string(), id: key.string(), removed: removed}
		if c = x; !removed {
			readCurrent(x, v)
		}
	case keyConsumerRegex:
		x := &regexChange{group: key.string(), regex: key.string(), removed: removed}
		if c = x; !removed {
			readRegex(x, v)
		}
	default:
		return nil, errUnknownRecord
	}
	if key.bad || v.bad {
		return nil, errShort
	}
	return c, nil
}

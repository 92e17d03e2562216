package bench

import (
	"fmt"
	"sync"
)

// GroupVerdict is what a check of one consumer group has found.
type GroupVerdict struct {
	Group    string `json:"group"`
	Protocol string `json:"protocol"`
	Values   int64  `json:"values"` // acknowledged into the topic
	Read     int64  `json:"read"`
	// Again counts records delivered more than once, which at-least-once allows.
	Again   int64 `json:"read_again"`
	Joined  int64 `json:"members_joined"`
	Left    int64 `json:"members_left"`
	Killed  int64 `json:"members_killed"`
	Commits int64 `json:"commits"`
	Looks   int64 `json:"commits_looked_at"`

	Lost    int64 `json:"lost"`    // acknowledged and never delivered
	Skipped int64 `json:"skipped"` // offsets that an assignment jumped over
	// Backwards counts polls of one assignment that did not go forward.
	Backwards int64 `json:"backwards"`
	// CommitsLost counts looks at, and starts from, a committed offset below one
	// that had been acknowledged before.
	CommitsLost int64 `json:"commits_lost"`
	Changed     int64 `json:"changed"` // offsets at which two different values were seen
	Unknown     int64 `json:"unknown"` // values that nobody has sent
	// First tells the first broken promise in words.
	First string `json:"first,omitempty"`
}

// Bad reports whether a promise was broken.
func (v *GroupVerdict) Bad() bool {
	return v.Lost+v.Skipped+v.Backwards+v.CommitsLost+v.Changed+v.Unknown > 0
}

func (v *GroupVerdict) String() string {
	s := fmt.Sprintf("group %s (%s): %d values, %d read and %d again, %d members joined, %d left, %d killed, %d commits, %d looks at them: %d lost, %d skipped, %d backwards, %d commits lost, %d changed, %d unknown",
		v.Group, v.Protocol, v.Values, v.Read, v.Again, v.Joined, v.Left, v.Killed, v.Commits, v.Looks, v.Lost, v.Skipped, v.Backwards, v.CommitsLost, v.Changed, v.Unknown)
	if v.First != "" {
		s += "; the first: " + v.First
	}
	return s
}

// groupHistory holds the events of one group against what a group promises:
// each acknowledged value is delivered; an assignment starts at what was
// committed and goes on without a gap; a committed offset never goes back. It
// may be used by several goroutines; events must be told in the order in which
// the member that tells them met them.
type groupHistory struct {
	mu       sync.Mutex
	v        GroupVerdict
	seen     bitset
	values   map[int32][]int64 // by partition and offset: the value there, plus 1
	sessions map[sessionKey]*groupSession
	// Per partition: the highest offset that a member has tried to commit, and
	// the highest whose commit was acknowledged.
	tried, acked map[int32]int64
}

type sessionKey struct {
	member    string
	partition int32
}

// groupSession is a partition's stay with a member.
type groupSession struct {
	floor int64 // what was committed when it began
	next  int64 // the offset that must come next; -1 before the first
}

func newGroupHistory(group, protocol string) *groupHistory {
	return &groupHistory{v: GroupVerdict{Group: group, Protocol: protocol}, values: map[int32][]int64{},
		sessions: map[sessionKey]*groupSession{}, tried: map[int32]int64{}, acked: map[int32]int64{}}
}

// broken counts a broken promise and keeps the words of the first.
func (h *groupHistory) broken(count *int64, n int64, format string, args ...any) {
	*count += n
	if h.v.First == "" {
		h.v.First = fmt.Sprintf(format, args...)
	}
}

// maxHistoryOffset is beyond what a check can reach.
const maxHistoryOffset = 1 << 30

// at notes which value is at an offset.
func (h *groupHistory) at(partition int32, offset, value int64) {
	if offset < 0 || offset > maxHistoryOffset {
		h.broken(&h.v.Unknown, 1, "value %d is said to be at offset %d of partition %d", value, offset, partition)
		return
	}
	p := h.values[partition]
	for int64(len(p)) <= offset {
		p = append(p, 0)
	}
	h.values[partition] = p
	if was := p[offset] - 1; was >= 0 && was != value {
		h.broken(&h.v.Changed, 1, "offset %d of partition %d had value %d and then %d", offset, partition, was, value)
		return
	}
	p[offset] = value + 1
}

// produced tells where the broker has put a value.
func (h *groupHistory) produced(partition int32, offset, value int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at(partition, offset, value)
}

// assigned begins a partition's stay with a member.
func (h *groupHistory) assigned(member string, partition int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[sessionKey{member, partition}] = &groupSession{floor: h.acked[partition], next: -1}
}

// revoked ends it.
func (h *groupHistory) revoked(member string, partition int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, sessionKey{member, partition})
}

// polled tells of a record that a member was given. sent is how many values
// have been sent so far.
func (h *groupHistory) polled(member string, partition int32, offset, value, sent int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if value < 0 || value >= sent {
		h.broken(&h.v.Unknown, 1, "%s was given value %d at offset %d of partition %d, and %d values were sent", member, value, offset, partition, sent)
		return
	}
	h.at(partition, offset, value)
	if h.seen.set(uint64(value)) {
		h.v.Read++
	} else {
		h.v.Again++
	}
	key := sessionKey{member, partition}
	s := h.sessions[key]
	if s == nil { // the client had it before its callback ran
		s = &groupSession{next: -1}
		h.sessions[key] = s
	}
	switch {
	case s.next < 0 && offset > h.tried[partition]:
		h.broken(&h.v.Skipped, offset-h.tried[partition], "%s began partition %d at offset %d, and nobody had committed more than %d", member, partition, offset, h.tried[partition])
	case s.next < 0 && offset < s.floor:
		h.broken(&h.v.CommitsLost, 1, "%s began partition %d at offset %d, and %d had been committed", member, partition, offset, s.floor)
	case s.next >= 0 && offset > s.next:
		h.broken(&h.v.Skipped, offset-s.next, "%s was given offset %d of partition %d where %d was next", member, offset, partition, s.next)
	case s.next >= 0 && offset < s.next:
		h.broken(&h.v.Backwards, 1, "%s was given offset %d of partition %d after %d", member, offset, partition, s.next-1)
	}
	s.next = offset + 1
}

// committing tells of a commit that is about to be sent, committed of one that
// the broker has acknowledged.
func (h *groupHistory) committing(partition int32, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried[partition] = max(h.tried[partition], offset)
}

func (h *groupHistory) committed(partition int32, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.v.Commits++
	h.acked[partition] = max(h.acked[partition], offset)
}

// floors is what an OffsetFetch sent from now on may not fall below.
func (h *groupHistory) floors() map[int32]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	floors := map[int32]int64{}
	for p, at := range h.acked {
		floors[p] = at
	}
	return floors
}

// fetched tells of a committed offset that the broker has named (-1 for none);
// floor is that of floors before the question was sent.
func (h *groupHistory) fetched(partition int32, offset, floor int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.v.Looks++
	switch {
	case offset < floor:
		h.broken(&h.v.CommitsLost, 1, "the broker names %d as committed in partition %d, and %d had been acknowledged", offset, partition, floor)
	case offset > h.tried[partition]:
		h.broken(&h.v.CommitsLost, 1, "the broker names %d as committed in partition %d, and nobody has committed more than %d", offset, partition, h.tried[partition])
	}
}

// count adds to a counter of the verdict.
func (h *groupHistory) count(counter func(*GroupVerdict) *int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*counter(&h.v)++
}

// read is how many of the values have been delivered.
func (h *groupHistory) read() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.v.Read
}

// verdict sums up after values 0 to values-1 were acknowledged.
func (h *groupHistory) verdict(values int64) *GroupVerdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.v
	v.Values = values
	for n := range values {
		if !h.seen.has(uint64(n)) {
			v.Lost++
			if v.First == "" {
				v.First = fmt.Sprintf("value %d was acknowledged and never delivered", n)
			}
		}
	}
	return &v
}

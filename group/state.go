package group

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/logstore"
)

var errUnknownRecord = errors.New("group: a record of __consumer_offsets is of a type or version this release does not know")

// maxGroups bounds the groups of one shard; 50 shards make three million.
const maxGroups = 1 << 16

// state is everything one shard knows: its groups and their offsets. It is a
// plain state machine: an operation takes the time, changes the state, writes
// records to the outbox and asks there for its answer to be sent once they are
// durable. It starts no goroutine, reads no clock and does no I/O.
//
// It belongs to the shard's goroutine.
type state struct {
	out       *Outbox
	deadlines *Deadlines
	// cfg and img give the newest settings and metadata; each is one atomic load.
	cfg func() *settings
	img func() (catalog, int64)
	// newID makes member ids.
	newID func() string
	// resolve finds the topics that patterns match, away from the shard's
	// goroutine, and calls back on it.
	resolve func(c Client, patterns []string, done func(now time.Time, found map[string]resolvedRegex))
	// appendTxn and appendMarker write at once and tell at once whether the log
	// took it; what was written before has been appended first. On ErrBusy
	// nothing has happened and the operation is to be run again.
	appendTxn    func(now time.Time, producerID int64, epoch int16, guard logstore.Guard, records *Outbox) error
	appendMarker func(now time.Time, producerID int64, epoch int16, coordinatorEpoch int32, commit, v2 bool) error

	groups map[string]*group
	// pending is what transactions will commit, by producer id.
	pending map[int64]map[offsetName]*committed
	// order counts records; see committed.order.
	order  int64
	expiry Deadline
	// newTopics is the metadata version at which topics were last created.
	newTopics int64
	stats     *counters
	scratch   []byte
}

// group is all that is known under one group id: at most one of classic and
// consumer, and the offsets, which outlive a change from one to the other.
type group struct {
	id       string
	classic  *classicGroup
	consumer *consumerGroup
	offsets  map[topicPartition]*committed
	// open counts the transactions with pending offsets per partition.
	open map[topicPartition]int
}

type topicPartition struct {
	topic     string
	partition int32
}

// offsetName is a partition of a group.
type offsetName struct {
	group string
	topicPartition
}

// exists reports whether Kafka would find a group here.
func (g *group) exists() bool { return g != nil && (g.classic != nil || g.consumer != nil) }

// isEmpty reports whether it has no members.
func (g *group) isEmpty() bool {
	if g.consumer != nil {
		return len(g.consumer.members) == 0
	}
	return g.classic == nil || g.classic.state == classicEmpty
}

func newState(out *Outbox, deadlines *Deadlines, stats *counters) *state {
	s := &state{out: out, deadlines: deadlines, stats: stats}
	s.expiry.Fire = s.expire
	s.forget()
	return s
}

// forget empties the state; the counter of what it held goes down.
func (s *state) forget() {
	for _, g := range s.groups {
		s.stats.offsets.Add(-int64(len(g.offsets)))
	}
	s.groups = map[string]*group{}
	s.pending = map[int64]map[offsetName]*committed{}
	s.order = 0
	s.deadlines.Clear()
}

// find gives an existing group or nil.
func (s *state) find(id string) *group {
	if g := s.groups[id]; g.exists() {
		return g
	}
	return nil
}

// entry gives the entry of an id, making it.
func (s *state) entry(id string) *group {
	g := s.groups[id]
	if g == nil {
		g = &group{id: id}
		s.groups[id] = g
	}
	return g
}

// sweep drops an entry that holds nothing any more.
func (s *state) sweep(g *group) {
	if !g.exists() && len(g.offsets) == 0 && len(g.open) == 0 {
		delete(s.groups, g.id)
	}
}

// write puts a change into effect and into the log.
func (s *state) write(c change) {
	s.scratch = c.key(s.scratch[:0])
	s.out.Write(s.scratch, c.value())
	c.apply(s)
}

// fits reports whether every change's record can be written.
func (s *state) fits(cs []change) bool {
	limit := s.cfg().maxRecord
	for _, c := range cs {
		if len(c.value()) > limit {
			return false
		}
	}
	return true
}

// replay applies one record of the log. A record of an unknown kind is left
// alone: share and streams groups of an imported log.
func (s *state) replay(r *Record) error {
	s.order++
	key := &wire{b: r.Key}
	kind := key.int16()
	var err error
	switch kind {
	case keyOffsetLegacy, keyOffset:
		err = s.replayOffset(key, r)
	case keyClassicGroup:
		err = s.replayClassic(key, r)
	default:
		var c change
		if c, err = readChange(kind, key, r.Value); err == nil {
			c.apply(s)
		}
	}
	if errors.Is(err, errUnknownRecord) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("record of type %d at offset %d: %w", kind, r.Offset, err)
	}
	return nil
}

func (s *state) replayOffset(key *wire, r *Record) error {
	id, topic, partition := readOffsetKey(key)
	if key.bad {
		return errShort
	}
	at := topicPartition{topic, partition}
	if r.Value == nil {
		if g := s.groups[id]; g != nil {
			s.dropOffset(g, at)
			s.sweep(g)
		}
		return nil
	}
	c, err := readOffset(r.Value)
	if err != nil {
		return err
	}
	c.order = s.order
	g := s.entry(id)
	if !g.exists() {
		g.classic = newClassicGroup(id, s)
	}
	if r.ProducerID < 0 {
		s.putOffset(g, at, &c)
	} else {
		s.putPending(g, at, r.ProducerID, &c)
	}
	return nil
}

func (s *state) replayClassic(key *wire, r *Record) error {
	id := key.string()
	if key.bad {
		return errShort
	}
	g := s.entry(id)
	g.classic = nil
	if r.Value != nil {
		var v kmsg.GroupMetadataValue
		if err := v.ReadFrom(r.Value); err != nil {
			return errShort
		}
		g.classic = readClassicGroup(id, &v, s)
		g.consumer = nil
	}
	s.sweep(g)
	return nil
}

// loaded ends a load: the log has been read, timers start.
func (s *state) loaded(now time.Time) {
	for _, g := range s.groups {
		switch {
		case g.classic != nil:
			s.resumeClassic(now, g.classic)
		case g.consumer != nil:
			s.resumeConsumer(now, g.consumer)
		}
	}
	s.deadlines.Set(&s.expiry, now.Add(s.cfg().retentionCheck))
}

// lost answers everybody who waits with the error's code and forgets all.
func (s *state) lost(err error) {
	code := codeOf(err)
	for _, g := range s.groups {
		if g.classic != nil {
			g.classic.answerAll(code)
		}
	}
	s.forget()
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

package group

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// consumerGroup is a KIP-848 group. Its lasting parts change only through a
// change's apply; counts and indexes follow from them.
type consumerGroup struct {
	id          string
	epoch       int32
	hash        int64 // of the subscribed topics' metadata
	targetEpoch int32
	targetAtMs  int64
	members     map[string]*consumerMember
	targets     map[string]assignment
	regexes     map[string]resolvedRegex
	// hasOldMetadata: a PartitionMetadata record of an older Kafka is in the log.
	hasOldMetadata bool

	static   map[string]string // instance id → member id
	owners   map[topicID]map[int32]int32
	topics   map[string]int // how many subscribe by name
	patterns map[string]int // how many subscribe by pattern
	assignor map[string]int
	classics int            // members that speak the classic protocol
	offers   map[string]int // their protocols

	// refreshAt is when the subscribed topics are hashed again.
	refreshAt time.Time
	// resolving is until when a resolution of patterns counts as under way.
	resolving time.Time
}

// resolvedRegex is the topics that a pattern matched.
type resolvedRegex struct {
	topics  []string // sorted
	version int64    // the metadata's
	atMs    int64
}

func newConsumerGroup(id string) *consumerGroup {
	return &consumerGroup{
		id: id, members: map[string]*consumerMember{}, targets: map[string]assignment{},
		static: map[string]string{}, owners: map[topicID]map[int32]int32{}, topics: map[string]int{},
	}
}

// state is Kafka's ConsumerGroupState as text.
func (g *consumerGroup) state() string {
	switch {
	case len(g.members) == 0:
		return "Empty"
	case g.epoch > g.targetEpoch:
		return "Assigning"
	}
	for _, m := range g.members {
		if !m.reconciled(g.targetEpoch) {
			return "Reconciling"
		}
	}
	return "Stable"
}

// staticMember finds a member by instance id.
func (g *consumerGroup) staticMember(instanceID string) *consumerMember {
	if instanceID == "" {
		return nil
	}
	return g.members[g.static[instanceID]]
}

// ownerEpoch is the epoch at which some member holds a partition, -1 for none.
func (g *consumerGroup) ownerEpoch(id topicID, p int32) int32 {
	if e, ok := g.owners[id][p]; ok {
		return e
	}
	return -1
}

// targetOf is a member's target; a static member that is being replaced finds
// its predecessor's.
func (g *consumerGroup) targetOf(id, instanceID string) assignment {
	if instanceID != "" {
		if prev, ok := g.static[instanceID]; ok {
			return g.targets[prev]
		}
		return nil
	}
	return g.targets[id]
}

// count moves the indexes from a member's old self to its new one.
func (g *consumerGroup) count(m *consumerMember, by int) {
	for _, t := range m.sub.topics {
		add(g.topics, t, by)
	}
	if m.sub.regex != "" {
		if g.patterns == nil {
			g.patterns = map[string]int{}
		}
		add(g.patterns, m.sub.regex, by)
	}
	if m.sub.assignor != "" {
		if g.assignor == nil {
			g.assignor = map[string]int{}
		}
		add(g.assignor, m.sub.assignor, by)
	}
	if m.sub.classic != nil {
		g.classics += by
		if g.offers == nil {
			g.offers = map[string]int{}
		}
		for _, p := range m.sub.classic.protocols {
			add(g.offers, p.name, by)
		}
	}
}

func add(m map[string]int, key string, by int) {
	if m[key] += by; m[key] <= 0 {
		delete(m, key)
	}
}

// setSubscription replaces a member's subscription, adding the member.
func (g *consumerGroup) setSubscription(id string, s subscription) {
	m := g.members[id]
	if m == nil {
		m = newConsumerMember(id)
		g.members[id] = m
	} else {
		g.count(m, -1)
		if m.sub.instanceID != "" && g.static[m.sub.instanceID] == id {
			delete(g.static, m.sub.instanceID)
		}
	}
	m.sub = s
	g.count(m, 1)
	if s.instanceID != "" {
		g.static[s.instanceID] = id
	}
}

// setCurrent replaces what a member owns.
func (g *consumerGroup) setCurrent(id string, c current) {
	m := g.members[id]
	if m == nil {
		m = newConsumerMember(id)
		g.members[id] = m
	}
	g.disown(&m.cur)
	m.cur = c
	g.own(c.assigned, c.epoch)
	g.own(c.revoking, c.epoch)
}

func (g *consumerGroup) own(o owned, epoch int32) {
	for id, parts := range o {
		held := g.owners[id]
		if held == nil {
			held = make(map[int32]int32, len(parts))
			g.owners[id] = held
		}
		for p := range parts {
			held[p] = epoch
		}
	}
}

// disown gives up what c holds, but for what another member has taken since at
// another epoch (records of one operation may arrive in either order at load).
func (g *consumerGroup) disown(c *current) {
	for _, o := range []owned{c.assigned, c.revoking} {
		for id, parts := range o {
			held := g.owners[id]
			for p := range parts {
				if e, ok := held[p]; ok && e == c.epoch {
					delete(held, p)
				}
			}
			if len(held) == 0 {
				delete(g.owners, id)
			}
		}
	}
}

// removeMember forgets a member and what it owns.
func (g *consumerGroup) removeMember(id string) {
	m := g.members[id]
	if m == nil {
		return
	}
	g.disown(&m.cur)
	g.count(m, -1)
	if m.sub.instanceID != "" && g.static[m.sub.instanceID] == id {
		delete(g.static, m.sub.instanceID)
	}
	delete(g.members, id)
}

// names is every topic that the members subscribe to, by name or pattern, as
// it would be with old replaced by new (either may be nil).
func (g *consumerGroup) names(old, new *consumerMember) map[string]bool {
	set := map[string]bool{}
	byName, byPattern := g.topics, g.patterns
	if old != nil || new != nil {
		byName, byPattern = maps.Clone(byName), maps.Clone(byPattern)
		if byPattern == nil {
			byPattern = map[string]int{}
		}
		for i, m := range []*consumerMember{old, new} {
			if m == nil {
				continue
			}
			for _, t := range m.sub.topics {
				add(byName, t, 2*i-1)
			}
			if m.sub.regex != "" {
				add(byPattern, m.sub.regex, 2*i-1)
			}
		}
	}
	for t := range byName {
		set[t] = true
	}
	for p := range byPattern {
		for _, t := range g.regexes[p].topics {
			set[t] = true
		}
	}
	return set
}

// subscribes reports whether a member subscribes to a topic.
func (g *consumerGroup) subscribes(topic string) bool {
	if g.topics[topic] > 0 {
		return true
	}
	for _, r := range g.regexes {
		if _, ok := slices.BinarySearch(r.topics, topic); ok {
			return true
		}
	}
	return false
}

// hashTopics is a number that changes when a subscribed topic is created,
// deleted, made anew or grows. It is compared with itself only; 0 is no topic.
func hashTopics(names map[string]bool, img catalog) int64 {
	h := fnv.New64a()
	some := false
	for _, name := range slices.Sorted(maps.Keys(names)) {
		t := img.Topic(name)
		if t == nil {
			continue
		}
		some = true
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(t.Partitions))
		h.Write(t.ID[:])
		h.Write([]byte(t.Name))
		h.Write(n[:])
	}
	if !some {
		return 0
	}
	if v := int64(h.Sum64()); v != 0 {
		return v
	}
	return math.MaxInt64
}

// preferred is the assignor most members ask for, as it would be with old
// replaced by new; ties go to the first by name.
func (g *consumerGroup) preferred(old, new *consumerMember, fallback string) string {
	votes := maps.Clone(g.assignor)
	if votes == nil {
		votes = map[string]int{}
	}
	if old != nil && old.sub.assignor != "" {
		add(votes, old.sub.assignor, -1)
	}
	if new != nil && new.sub.assignor != "" {
		add(votes, new.sub.assignor, 1)
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	if best == "" {
		return fallback
	}
	return best
}

// catalog is what the coordinator reads of the metadata; *cluster.Image is one.
type catalog interface {
	Topic(name string) *cluster.Topic
	TopicByID(id topicID) *cluster.Topic
	Topics() []*cluster.Topic
}

// sorted is the members by id.
func (g *consumerGroup) sorted() []*consumerMember {
	ms := slices.Collect(maps.Values(g.members))
	slices.SortFunc(ms, func(a, b *consumerMember) int { return strings.Compare(a.id, b.id) })
	return ms
}

func (g *consumerGroup) sortedRegexes() []string { return slices.Sorted(maps.Keys(g.regexes)) }

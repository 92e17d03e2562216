package group

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicState is a classic group's state; Dead is the absence of a group.
type classicState int8

const (
	classicEmpty classicState = iota
	classicPreparing
	classicCompleting
	classicStable
)

func (c classicState) String() string {
	switch c {
	case classicEmpty:
		return "Empty"
	case classicPreparing:
		return "PreparingRebalance"
	case classicCompleting:
		return "CompletingRebalance"
	}
	return "Stable"
}

// consumerType is the protocol type whose metadata the coordinator can read.
const consumerType = "consumer"

// classicGroup is a group of the classic protocol: Kafka's ClassicGroup.
//
// Only what a SyncGroup of the leader decided is in the log; a rebalance under
// way is not and starts anew after a restart, as in Kafka.
type classicGroup struct {
	id              string
	state, previous classicState
	// stateMs is when state was entered, -1 when unknown.
	stateMs      int64
	generation   int32
	protocolType string // "" before the first member ever joined
	protocol     *string
	leader       string
	members      map[string]*classicMember
	static       map[string]string // instance id → member id
	offers       map[string]int    // how many members support a protocol
	awaiting     int               // members that wait for their JoinGroup's answer
	nextSeq      int
	// pending are dynamic members that were given an id and have not joined
	// with it (KIP-394).
	pending map[string]*Deadline
	// unsynced members have not sent SyncGroup in this generation.
	unsynced map[string]struct{}
	// topics is what a group of consumers subscribes to; nil when not known.
	topics map[string]struct{}
	// newcomer: somebody joined during the initial delay, which starts again.
	newcomer         bool
	joinBy, syncBy   Deadline
	delay, remaining time.Duration
}

// classicMember is a member of a classic group.
type classicMember struct {
	id, instanceID, clientID, clientHost string
	rebalance, session                   time.Duration
	protocolType                         string
	protocols                            []protocol
	assignment                           []byte
	seq                                  int
	// isNew: it has not completed a join; its first wait may take long.
	isNew bool
	// joining and syncing answer the request that waits, nil when none does.
	joining   func(*kmsg.JoinGroupResponse)
	syncing   func(*kmsg.SyncGroupResponse)
	heartbeat Deadline
}

func newClassicGroup(id string, s *state) *classicGroup {
	g := &classicGroup{id: id, stateMs: noTimestamp}
	g.joinBy.Fire = func(now time.Time) { s.joinDeadline(now, g) }
	g.syncBy.Fire = func(now time.Time) { s.expireSync(now, g) }
	return g
}

func (g *classicGroup) become(now time.Time, st classicState) {
	g.previous, g.state, g.stateMs = g.state, st, now.UnixMilli()
}

func (g *classicGroup) isConsumer() bool { return g.protocolType == consumerType }

func (g *classicGroup) protocolName() string { return text(g.protocol) }

// sorted is the members in the order they joined.
func (g *classicGroup) sorted() []*classicMember {
	ms := slices.Collect(maps.Values(g.members))
	slices.SortFunc(ms, func(a, b *classicMember) int { return a.seq - b.seq })
	return ms
}

func (g *classicGroup) add(m *classicMember, joining func(*kmsg.JoinGroupResponse)) {
	if g.members == nil {
		g.members, g.offers = map[string]*classicMember{}, map[string]int{}
	}
	if m.instanceID != "" {
		if g.static == nil {
			g.static = map[string]string{}
		}
		g.static[m.instanceID] = m.id
	}
	if len(g.members) == 0 {
		g.protocolType = m.protocolType
	}
	if g.leader == "" {
		g.leader = m.id
	}
	m.seq = g.nextSeq
	g.nextSeq++
	g.members[m.id] = m
	g.countOffers(m, 1)
	if m.joining = joining; joining != nil {
		g.awaiting++
	}
	delete(g.pending, m.id)
}

func (g *classicGroup) countOffers(m *classicMember, by int) {
	seen := make(map[string]bool, len(m.protocols))
	for _, p := range m.protocols {
		if !seen[p.name] {
			seen[p.name] = true
			add(g.offers, p.name, by)
		}
	}
}

// remove forgets a member, pending or not. Its timer is the caller's.
func (g *classicGroup) remove(id string) {
	if m := g.members[id]; m != nil {
		delete(g.members, id)
		g.countOffers(m, -1)
		if m.joining != nil {
			g.awaiting--
		}
		if m.instanceID != "" {
			delete(g.static, m.instanceID)
		}
	}
	if g.leader == id {
		g.leader = ""
		if ms := g.sorted(); len(ms) > 0 {
			g.leader = ms[0].id
		}
	}
	delete(g.pending, id)
	delete(g.unsynced, id)
}

// update takes a member's new protocols and timeouts; joining is the request
// that waits from now on.
func (g *classicGroup) update(m *classicMember, r *kmsg.JoinGroupRequest, joining func(*kmsg.JoinGroupResponse)) {
	g.countOffers(m, -1)
	m.protocols = readProtocols(r)
	g.countOffers(m, 1)
	m.rebalance, m.session = rebalanceTimeout(r), ms(r.SessionTimeoutMillis)
	g.setJoining(m, joining)
}

func (g *classicGroup) setJoining(m *classicMember, joining func(*kmsg.JoinGroupResponse)) {
	if (m.joining == nil) != (joining == nil) {
		if joining == nil {
			g.awaiting--
		} else {
			g.awaiting++
		}
	}
	m.joining = joining
}

// allJoined: the join phase may end.
func (g *classicGroup) allJoined() bool {
	return len(g.members) == g.awaiting && len(g.pending) == 0
}

// electLeader keeps the leader if it rejoined, else takes the first that did.
func (g *classicGroup) electLeader() bool {
	l := g.members[g.leader]
	if l == nil {
		return false
	}
	if l.joining != nil {
		return true
	}
	for _, m := range g.sorted() {
		if m.joining != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}

// rebalanceTimeout is the longest of the members'.
func (g *classicGroup) rebalanceTimeout() (d time.Duration) {
	for _, m := range g.members {
		d = max(d, m.rebalance)
	}
	return d
}

// supports reports whether a member with these protocols may be in the group.
func (g *classicGroup) supports(protocolType string, protocols []kmsg.JoinGroupRequestProtocol) bool {
	if g.state == classicEmpty {
		return protocolType != "" && len(protocols) > 0
	}
	if protocolType != g.protocolType {
		return false
	}
	for i := range protocols {
		if g.offers[protocols[i].Name] == len(g.members) {
			return true
		}
	}
	return false
}

// vote picks the protocol that most members prefer of those that all support;
// of equals the one that the earliest member prefers.
func (g *classicGroup) vote() string {
	votes := map[string]int{}
	ballots := make([]string, 0, len(g.members))
	for _, m := range g.sorted() {
		for _, p := range m.protocols {
			if g.offers[p.name] == len(g.members) {
				votes[p.name]++
				ballots = append(ballots, p.name)
				break
			}
		}
	}
	best := ""
	for _, name := range ballots {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// nextGeneration begins the sync phase, or empties the group.
func (g *classicGroup) nextGeneration(now time.Time) {
	g.generation++
	if len(g.members) > 0 {
		name := g.vote()
		g.protocol = &name
		g.become(now, classicCompleting)
	} else {
		g.protocol = nil
		g.become(now, classicEmpty)
	}
	g.topics = g.subscribedTopics()
	clear(g.unsynced)
}

// validate checks a member id and instance id against the group.
func (g *classicGroup) validate(id string, instanceID *string) int16 {
	if instanceID != nil {
		have, ok := g.static[*instanceID]
		switch {
		case !ok:
			return codeUnknownMemberID
		case have != id:
			return codeFencedInstanceID
		}
	}
	if g.members[id] == nil {
		return codeUnknownMemberID
	}
	return codeNone
}

// subscribedTopics reads the members' metadata; nil when it is not a group of
// consumers or one of them cannot be read.
func (g *classicGroup) subscribedTopics() map[string]struct{} {
	if !g.isConsumer() {
		return nil
	}
	set := map[string]struct{}{}
	if len(g.members) > 0 && g.protocol == nil {
		return nil
	}
	for _, m := range g.members {
		sub, err := readSubscription(m.metadata(*g.protocol))
		if err != nil {
			return nil
		}
		for _, t := range sub.Topics {
			set[t] = struct{}{}
		}
	}
	return set
}

// subscribes reports whether members may use a topic; a group of consumers
// whose metadata cannot be read may use any.
func (g *classicGroup) subscribes(topic string) bool {
	if g.topics == nil {
		return g.isConsumer()
	}
	_, ok := g.topics[topic]
	return ok
}

// metadata is the member's metadata for a protocol.
func (m *classicMember) metadata(name string) []byte {
	for _, p := range m.protocols {
		if p.name == name {
			return p.metadata
		}
	}
	return nil
}

// offersSame reports whether a JoinGroup brings the protocols it already has.
func (m *classicMember) offersSame(r *kmsg.JoinGroupRequest) bool {
	return slices.EqualFunc(m.protocols, r.Protocols, func(a protocol, b kmsg.JoinGroupRequestProtocol) bool {
		return a.name == b.Name && string(a.metadata) == string(b.Metadata)
	})
}

func readProtocols(r *kmsg.JoinGroupRequest) []protocol {
	ps := make([]protocol, len(r.Protocols))
	for i := range r.Protocols {
		ps[i] = protocol{r.Protocols[i].Name, slices.Clone(r.Protocols[i].Metadata)}
	}
	return ps
}

// rebalanceTimeout of a JoinGroup; v0 has none and means the session's.
func rebalanceTimeout(r *kmsg.JoinGroupRequest) time.Duration {
	if r.Version < 1 {
		return ms(r.SessionTimeoutMillis)
	}
	return ms(r.RebalanceTimeoutMillis)
}

func ms[N ~int32 | ~int64](n N) time.Duration { return time.Duration(n) * time.Millisecond }

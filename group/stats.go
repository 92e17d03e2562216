package group

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// counters are a coordinator's running numbers.
type counters struct {
	commits, rebalances, expired atomic.Uint64
	offsets                      atomic.Int64
	loads                        atomic.Uint64
	loadNanos                    atomic.Int64
	regexRuns                    atomic.Uint64
}

// Stats is a coordinator at one moment.
type Stats struct {
	// Groups by type ("classic", "consumer") and state, as Kafka names them.
	Groups map[GroupState]int
	// Members of all groups.
	Members int
	// Offsets committed, of all groups.
	Offsets int64
	// Commits, Rebalances, Expired (offsets) and Resolutions (of a group's
	// regular expressions) since the start.
	Commits, Rebalances, Expired, Resolutions uint64
	// Loads of partitions and the time they took in all.
	Loads    uint64
	LoadTime time.Duration
	// Loading is the partitions that do not serve yet; Queued the requests that
	// wait in all of them.
	Shards, Loading, Queued int
}

// GroupState is a group's type and state.
type GroupState struct{ Type, State string }

// GroupInfo is one group for admin's views.
type GroupInfo struct {
	ID, Type, State, ProtocolType string
	Members                       int
	// Offsets are the committed offsets, by topic and partition.
	Offsets []CommittedOffset
}

// CommittedOffset is a group's offset of one partition.
type CommittedOffset struct {
	Topic           string
	Partition       int32
	Offset          int64
	CommitTimestamp time.Time
}

func (s *state) infos() []GroupInfo {
	var out []GroupInfo
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[id]
		if !g.exists() {
			continue
		}
		info := GroupInfo{ID: id}
		info.Type, info.State, info.ProtocolType = g.describe()
		info.Members = g.size()
		for at, c := range g.offsets {
			info.Offsets = append(info.Offsets, CommittedOffset{at.topic, at.partition, c.offset, time.UnixMilli(c.commitMs)})
		}
		slices.SortFunc(info.Offsets, func(a, b CommittedOffset) int {
			if c := strings.Compare(a.Topic, b.Topic); c != 0 {
				return c
			}
			return int(a.Partition - b.Partition)
		})
		out = append(out, info)
	}
	return out
}

// describe gives a group's type, state and protocol type as ListGroups has them.
func (g *group) describe() (typ, state, protocolType string) {
	if g.consumer != nil {
		return "consumer", g.consumer.state(), consumerType
	}
	return "classic", g.classic.state.String(), g.classic.protocolType
}

// Stats asks every shard; it waits for their goroutines, so not on a loop.
// A shard that loads counts as loading and adds nothing.
func (c *Coordinator) Stats() Stats {
	k := &c.counters
	st := Stats{
		Groups: map[GroupState]int{}, Offsets: k.offsets.Load(), Commits: k.commits.Load(),
		Rebalances: k.rebalances.Load(), Expired: k.expired.Load(),
		Resolutions: k.regexRuns.Load(), Loads: k.loads.Load(), LoadTime: time.Duration(k.loadNanos.Load()),
	}
	for _, g := range c.all() {
		st.Shards++
		st.Queued += g.Queue()
		if !g.Ready() {
			st.Loading++
		}
	}
	collect(c, func(s *state) map[GroupState][2]int {
		m := map[GroupState][2]int{}
		for _, g := range s.groups {
			if !g.exists() {
				continue
			}
			typ, state, _ := g.describe()
			n := m[GroupState{typ, state}]
			n[0]++
			n[1] += g.size()
			m[GroupState{typ, state}] = n
		}
		return m
	}, func(m map[GroupState][2]int) {
		for k, n := range m {
			st.Groups[k] += n[0]
			st.Members += n[1]
		}
	})
	return st
}

// Groups is a snapshot of every group and its committed offsets, for admin's
// views and lag. It waits for the shards' goroutines: not on a loop.
func (c *Coordinator) Groups() []GroupInfo {
	var out []GroupInfo
	collect(c, func(s *state) []GroupInfo { return s.infos() }, func(part []GroupInfo) { out = append(out, part...) })
	slices.SortFunc(out, func(a, b GroupInfo) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// collect asks every shard that serves and hands the answers over one by one.
func collect[T any](c *Coordinator, ask func(s *state) T, each func(T)) {
	type answer struct {
		v  T
		ok bool
	}
	shards := c.all()
	answers := make(chan answer, len(shards))
	for _, g := range shards {
		post := func(time.Time) error {
			answers <- answer{ask(g.state), true}
			return nil
		}
		if g.Do(post, func(error) { answers <- answer{} }) != nil {
			answers <- answer{}
		}
	}
	for range shards {
		if a := <-answers; a.ok {
			each(a.v)
		}
	}
}

// size is the number of members.
func (g *group) size() int {
	if g.consumer != nil {
		return len(g.consumer.members)
	}
	return len(g.classic.members)
}

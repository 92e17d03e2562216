package group

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// assigned is a classic consumer's assignment of topic a.
func assigned(parts ...int32) string {
	a := kmsg.NewConsumerMemberAssignment()
	a.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: "a", Partitions: parts}}
	return string(a.AppendTo(nil))
}

func parts(t *testing.T, b []byte) (n int) {
	t.Helper()
	if len(b) == 0 {
		return 0
	}
	a, err := readAssignment(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range a.Topics {
		n += len(topic.Partitions)
	}
	return n
}

// classicGroupOfTwo shares a's four partitions.
func classicGroupOfTwo(r *rig) (ids []string, gen int32) {
	r.t.Helper()
	ids, gen = r.stable("g", 2)
	lead, follow := r.join("g", ids[0]), r.join("g", ids[1])
	lead.get()
	follow.get()
	gen++
	r.sync("g", ids[1], gen, nil)
	r.sync("g", ids[0], gen, map[string]string{ids[0]: assigned(0, 1), ids[1]: assigned(2, 3)}).get()
	r.commit("g", ids[0], gen, 7, "a", 0, 77)
	return ids, gen
}

// classicRound is what a classic member does when told to rebalance.
func (r *rig) classicRound(id string, owned ...int32) (int32, int) {
	r.t.Helper()
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics = 1, []string{"a"}
	if len(owned) > 0 {
		m.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: "a", Partitions: owned}}
	}
	j := r.join("g", id, func(q *kmsg.JoinGroupRequest) { q.Protocols[0].Metadata = m.AppendTo(nil) }).get()
	if j.ErrorCode != 0 {
		r.t.Fatalf("join of classic member %s: %d", id, j.ErrorCode)
	}
	s := r.sync("g", id, j.Generation, nil).get()
	if s.ErrorCode != 0 {
		r.t.Fatalf("sync of classic member %s: %d", id, s.ErrorCode)
	}
	a, err := readAssignment(s.MemberAssignment)
	if err != nil {
		r.t.Fatal(err)
	}
	n := 0
	for _, topic := range a.Topics {
		n += len(topic.Partitions)
	}
	return j.Generation, n
}

func TestUpgradeAndDowngrade(t *testing.T) {
	r := newRig(t)
	ids, gen := classicGroupOfTwo(r)
	m := r.member("g", "new", "a")
	m.mustBeat()
	g := r.s.groups["g"].consumer
	if g == nil || len(g.members) != 3 || g.classics != 2 {
		t.Fatalf("not upgraded: %s", r.s.dump())
	}
	if got, _ := r.offset("g", "a", 0, false); got != 77 {
		t.Fatalf("the offset is %d after the upgrade", got)
	}
	r.sameAfterReload()
	// The classic members hear of it, join again and give up what they must.
	owned := map[string][]int32{ids[0]: {0, 1}, ids[1]: {2, 3}}
	gens := map[string]int32{ids[0]: gen, ids[1]: gen}
	for range 6 {
		for _, id := range ids {
			if r.beat("g", id, gens[id]) == codeRebalanceInProgress {
				var n int
				gens[id], n = r.classicRound(id, owned[id]...)
				owned[id] = owned[id][:min(n, len(owned[id]))]
			}
		}
		m.mustBeat()
		r.advance(time.Second)
	}
	if m.has.size() != 1 || g.state() != "Stable" {
		t.Fatalf("the newcomer has %v in state %s\n%s", m.has, g.state(), r.s.dump())
	}
	if got := r.commit("g", ids[0], gens[ids[0]], 7, "a", 0, 78); got != 0 {
		t.Fatalf("a classic member's commit: %d", got)
	}
	if got := r.commit("g", ids[0], gens[ids[0]]+1, 7, "a", 0, 78); got != codeIllegalGeneration {
		t.Fatalf("a classic member's commit of another generation: %d", got)
	}
	r.sameAfterReload()
	// The last new member leaves: the group is classic again and rebalances.
	if code := m.leave(epochLeave); code != 0 {
		t.Fatal(code)
	}
	c := r.s.groups["g"].classic
	if c == nil || len(c.members) != 2 || c.state != classicPreparing {
		t.Fatalf("not downgraded: %s", r.s.dump())
	}
	if got, _ := r.offset("g", "a", 0, false); got != 78 {
		t.Fatalf("the offset is %d after the downgrade", got)
	}
	for _, id := range ids {
		if code := r.beat("g", id, c.generation); code != codeRebalanceInProgress {
			t.Fatalf("heartbeat of %s: %d", id, code)
		}
	}
	lead, follow := r.join("g", ids[0]), r.join("g", ids[1])
	if lead.get().Generation != follow.get().Generation {
		t.Fatal("two generations")
	}
	r.boot()
	if c := r.s.groups["g"].classic; c == nil || len(c.members) != 2 {
		t.Fatalf("after a reload: %s", r.s.dump())
	}
}

// TestClassicMembersHearOfAChange: a classic member of a consumer group is told
// to join again when the group has changed, though no member of KIP-848 has asked
// for a new target, and the join gives it one.
func TestClassicMembersHearOfAChange(t *testing.T) {
	r := newRig(t)
	ids, gen := classicGroupOfTwo(r)
	m := r.member("g", "new", "a")
	m.mustBeat()
	owned := map[string][]int32{ids[0]: {0, 1}, ids[1]: {2, 3}}
	gens := map[string]int32{ids[0]: gen, ids[1]: gen}
	for range 6 {
		for _, id := range ids {
			if r.beat("g", id, gens[id]) == codeRebalanceInProgress {
				var n int
				gens[id], n = r.classicRound(id, owned[id]...)
				owned[id] = owned[id][:min(n, len(owned[id]))]
			}
		}
		m.mustBeat()
		r.advance(time.Second)
	}
	stay, gone := ids[0], ids[1]
	if code := r.beat("g", stay, gens[stay]); code != 0 {
		t.Fatalf("before: %d", code)
	}
	if resp := r.sync("g", stay, gens[stay], nil).get(); resp.ErrorCode != 0 {
		t.Fatalf("sync before: %d", resp.ErrorCode)
	}
	m.mustBeat() // a target of this very moment
	r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: gone})
	g := r.s.groups["g"].consumer
	g.targetAtMs = r.now.UnixMilli()
	if code := r.beat("g", stay, gens[stay]); code != 0 {
		t.Fatalf("within the interval of targets, where a join would change nothing: %d", code)
	}
	r.advance(time.Second)
	if code := r.beat("g", stay, gens[stay]); code != codeRebalanceInProgress {
		t.Fatalf("heartbeat: %d", code)
	}
	if resp := r.sync("g", stay, gens[stay], nil).get(); resp.ErrorCode != codeRebalanceInProgress {
		t.Fatalf("sync: %d", resp.ErrorCode)
	}
	if next, _ := r.classicRound(stay, owned[stay]...); next <= gens[stay] || g.targetEpoch != g.epoch {
		t.Fatalf("generation %d after %d, target of epoch %d in %d", next, gens[stay], g.targetEpoch, g.epoch)
	}
}

func TestUpgradeRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		prep func(r *rig)
	}{
		{"by policy", func(r *rig) { classicGroupOfTwo(r); r.cfg.upgrade = false }},
		{"for another protocol type", func(r *rig) {
			r.stable("g", 1, func(q *kmsg.JoinGroupRequest) { q.ProtocolType = "connect" })
		}},
		{"for a full group", func(r *rig) { classicGroupOfTwo(r); r.cfg.consumerMaxSize = 1 }},
		{"for an assignment that cannot be read", func(r *rig) { r.stable("g", 1) }},
		{"for a custom assignor's user data", func(r *rig) {
			ids, _ := r.stable("g", 1)
			lead := r.join("g", ids[0])
			a := kmsg.NewConsumerMemberAssignment()
			a.UserData = []byte("mine")
			r.sync("g", ids[0], lead.get().Generation, map[string]string{ids[0]: string(a.AppendTo(nil))}).get()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.prep(r)
			before := r.s.dump()
			if got := r.member("g", "new", "a").beat(); got != codeGroupIDNotFound {
				t.Fatalf("code %d", got)
			}
			if r.s.dump() != before {
				t.Fatal("a refused upgrade changed the group")
			}
		})
	}
}

func TestEmptyGroupsConvert(t *testing.T) {
	r := newRig(t)
	r.cfg.upgrade, r.cfg.downgrade = false, false
	r.commit("g", "", -1, 7, "a", 0, 5)
	m := r.member("g", "m", "a")
	m.mustBeat()
	r.sameAfterReload()
	if code := r.join("g", "").get().ErrorCode; code != codeInconsistentProtocol {
		t.Fatalf("a classic member joined against the policy: %d", code)
	}
	m.leave(epochLeave)
	if _, j := r.enter("g"); j.get().ErrorCode != 0 {
		t.Fatal("an empty consumer group did not give way")
	}
	if got, _ := r.offset("g", "a", 0, false); got != 5 {
		t.Fatalf("offset %d", got)
	}
	r.sameAfterReload()
}

func TestClassicMemberJoinsAConsumerGroup(t *testing.T) {
	r := newRig(t)
	m := r.member("g", "new", "a")
	m.mustBeat()
	r.advance(2 * time.Second)
	id := r.join("g", "").get()
	if id.ErrorCode != codeMemberIDRequired {
		t.Fatalf("%+v", id)
	}
	gen, n := r.classicRound(id.MemberID)
	if n != 0 {
		t.Fatalf("%d partitions before their owner gave them up", n)
	}
	if code := r.beat("g", id.MemberID, gen); code != 0 {
		t.Fatalf("told to join again while there is nothing to get: %d", code)
	}
	for range 4 {
		m.mustBeat()
		if r.beat("g", id.MemberID, gen) == codeRebalanceInProgress {
			gen, n = r.classicRound(id.MemberID)
		}
	}
	if n != 2 || m.has.size() != 2 {
		t.Fatalf("%d and %v\n%s", n, m.has, r.s.dump())
	}
	r.sameAfterReload()
	other := func(q *kmsg.JoinGroupRequest) { q.ProtocolType = "connect" }
	if code := r.join("g", "", other).get().ErrorCode; code != codeInconsistentProtocol {
		t.Fatalf("another protocol type: %d", code)
	}
	if got := r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: id.MemberID}, kmsg.LeaveGroupRequestMember{MemberID: "x"}); got.Members[0].ErrorCode != 0 || got.Members[1].ErrorCode != codeUnknownMemberID {
		t.Fatalf("%+v", got)
	}
	r.advance(2 * time.Second)
	r.converge(m)
	if m.has.size() != 4 {
		t.Fatalf("%v", m.has)
	}
}

func TestClassicMemberThatDoesNotRejoinIsFenced(t *testing.T) {
	r := newRig(t)
	ids, gen := classicGroupOfTwo(r)
	m := r.member("g", "new", "a")
	m.mustBeat()
	for range 14 {
		r.advance(5 * time.Second)
		m.mustBeat()
		for _, id := range ids {
			r.beat("g", id, gen)
		}
	}
	if n := len(r.s.groups["g"].consumer.members); n != 1 {
		t.Fatalf("%d members: who was told to join again and did not is still there", n)
	}
	r.converge(m)
}

func TestStaticMemberDowngrades(t *testing.T) {
	r := newRig(t)
	one := "one"
	m := r.member("g", "m", "a")
	m.instance = &one
	m.mustBeat()
	m.leave(epochStaticLeave)
	// Alone, it comes back with the old protocol: the group becomes classic.
	j := r.join("g", "", instance(one)).get()
	if j.ErrorCode != 0 || r.s.groups["g"].classic == nil {
		t.Fatalf("%+v\n%s", j, r.s.dump())
	}
	s := r.sync("g", j.MemberID, j.Generation, nil).get()
	if s.ErrorCode != 0 || parts(t, s.MemberAssignment) != 4 {
		t.Fatalf("%+v", s)
	}
	r.sameAfterReload()
}

package group

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestFirstJoinAndSync(t *testing.T) {
	r := newRig(t)
	id, join := r.enter("g")
	j := join.get()
	if j.ErrorCode != 0 || j.Generation != 1 || j.LeaderID != id || len(j.Members) != 1 || *j.Protocol != "range" || *j.ProtocolType != "consumer" {
		t.Fatalf("join: %+v", j)
	}
	s := r.sync("g", id, 1, map[string]string{id: "mine"}).get()
	if s.ErrorCode != 0 || string(s.MemberAssignment) != "mine" || *s.Protocol != "range" {
		t.Fatalf("sync: %+v", s)
	}
	if code := r.beat("g", id, 1); code != 0 {
		t.Fatalf("heartbeat: %d", code)
	}
	r.sameAfterReload()
}

func TestOldVersionsJoinAtOnce(t *testing.T) {
	for v := int16(0); v <= 3; v++ {
		r := newRig(t)
		j := r.join("g", "", version(v)).get()
		if j.ErrorCode != 0 || j.MemberID == "" {
			t.Fatalf("v%d: %+v", v, j)
		}
		m := r.s.groups["g"].classic.members[j.MemberID]
		want := time.Minute
		if v == 0 {
			want = 10 * time.Second
		}
		if m.rebalance != want {
			t.Errorf("v%d: rebalance timeout %v, want %v", v, m.rebalance, want)
		}
	}
	if j := newRig(t).join("g", "", version(4)).get(); j.ErrorCode != codeMemberIDRequired || j.MemberID == "" {
		t.Errorf("v4: %+v", j)
	}
}

func TestJoinErrors(t *testing.T) {
	other := func(q *kmsg.JoinGroupRequest) { q.ProtocolType = "connect" }
	none := func(q *kmsg.JoinGroupRequest) { q.Protocols = nil }
	for _, c := range []struct {
		name string
		id   func(ids []string) string
		opts []joinOpt
		want int16
	}{
		{"another protocol", func([]string) string { return "" }, []joinOpt{protocols("other")}, codeInconsistentProtocol},
		{"another protocol type", func([]string) string { return "" }, []joinOpt{other}, codeInconsistentProtocol},
		{"no protocols", func([]string) string { return "" }, []joinOpt{none}, codeInconsistentProtocol},
		{"a member with another protocol", func(ids []string) string { return ids[0] }, []joinOpt{protocols("other")}, codeInconsistentProtocol},
		{"unknown member", func([]string) string { return "nobody" }, nil, codeUnknownMemberID},
		{"unknown instance", func(ids []string) string { return ids[0] }, []joinOpt{instance("nope")}, codeUnknownMemberID},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			ids, _ := r.stable("g", 2)
			if got := r.join("g", c.id(ids), c.opts...).get().ErrorCode; got != c.want {
				t.Errorf("code %d, want %d", got, c.want)
			}
			r.sameAfterReload()
		})
	}
	t.Run("unknown group with a member id", func(t *testing.T) {
		r := newRig(t)
		if got := r.join("nope", "m").get().ErrorCode; got != codeUnknownMemberID {
			t.Errorf("code %d", got)
		}
		if r.s.find("nope") != nil {
			t.Error("the group was made")
		}
	})
}

func TestInitialDelayGrowsWithNewcomers(t *testing.T) {
	r := newRig(t)
	r.cfg.initialDelay = 3 * time.Second
	_, first := r.enter("g")
	r.advance(2 * time.Second)
	first.waits()
	_, second := r.enter("g")
	r.advance(2 * time.Second) // the first delay ended and began anew
	first.waits()
	second.waits()
	r.advance(2 * time.Second)
	if a, b := first.get(), second.get(); a.Generation != 1 || b.Generation != 1 || len(a.Members) != 2 {
		t.Fatalf("%+v %+v", a, b)
	}
}

func TestInitialDelayEndsWithTheRebalanceTimeout(t *testing.T) {
	r := newRig(t)
	r.cfg.initialDelay = 3 * time.Second
	short := func(q *kmsg.JoinGroupRequest) { q.RebalanceTimeoutMillis = 7000 }
	_, first := r.enter("g", short)
	for range 8 {
		r.advance(900 * time.Millisecond)
		if first.n == 0 {
			r.enter("g", short)
		}
	}
	if first.n != 1 {
		t.Fatal("newcomers held the first rebalance beyond its timeout")
	}
}

func TestRebalanceDropsWhoDoesNotJoin(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 3)
	_, newcomer := r.enter("g")
	for _, id := range ids {
		if code := r.beat("g", id, gen); code != codeRebalanceInProgress {
			t.Fatalf("heartbeat during the rebalance: %d", code)
		}
	}
	again := r.join("g", ids[1])
	for range 11 { // the others heartbeat and never join
		r.advance(5 * time.Second)
		r.beat("g", ids[0], gen)
		r.beat("g", ids[2], gen)
	}
	newcomer.waits()
	r.advance(10 * time.Second)
	if j := newcomer.get(); j.Generation != gen+1 || j.LeaderID != ids[1] {
		t.Fatalf("%+v", j)
	}
	if n := len(again.get().Members); n != 2 {
		t.Fatalf("the leader sees %d members, want 2", n)
	}
	if code := r.beat("g", ids[0], gen); code != codeUnknownMemberID {
		t.Fatalf("dropped member's heartbeat: %d", code)
	}
}

// TestNewMemberWaitEnds: a new member may wait long for the others, longer than
// its session, but not for ever: its client may be gone.
func TestNewMemberWaitEnds(t *testing.T) {
	r := newRig(t)
	long := func(q *kmsg.JoinGroupRequest) { q.RebalanceTimeoutMillis = 600_000 }
	ids, gen := r.stable("g", 1, long)
	_, newcomer := r.enter("g", long)
	wait := func(d time.Duration) {
		for until := r.now.Add(d); r.now.Before(until); { // the old member lives and does not join
			r.advance(min(5*time.Second, until.Sub(r.now)))
			r.beat("g", ids[0], gen)
		}
	}
	wait(newMemberWait - time.Second)
	newcomer.waits()
	wait(2 * time.Second)
	if code := newcomer.get().ErrorCode; code != codeUnknownMemberID {
		t.Fatalf("the join that waited too long: %d, want UNKNOWN_MEMBER_ID", code)
	}
}

func TestSessionExpiry(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 2)
	for range 4 {
		r.advance(4 * time.Second)
		r.beat("g", ids[0], gen)
	}
	if code := r.beat("g", ids[0], gen); code != codeRebalanceInProgress {
		t.Fatalf("the silent member did not start a rebalance: %d", code)
	}
	if code := r.beat("g", ids[1], gen); code != codeUnknownMemberID {
		t.Fatalf("the silent member's heartbeat: %d", code)
	}
}

func TestPendingMemberExpires(t *testing.T) {
	r := newRig(t)
	pending := r.join("g", "").get().MemberID
	r.advance(11 * time.Second)
	if got := r.join("g", pending).get().ErrorCode; got != codeUnknownMemberID {
		t.Fatalf("code %d", got)
	}
}

// TestPendingMembersAreBounded: who asks for ids and never joins with them is
// turned away at last, whatever the group's state.
func TestPendingMembersAreBounded(t *testing.T) {
	for _, members := range []int{0, 1} {
		r := newRig(t)
		if members > 0 {
			r.stable("g", members)
		}
		for n := range maxPending {
			if code := r.join("g", "").get().ErrorCode; code != codeMemberIDRequired {
				t.Fatalf("%d members, id %d: code %d", members, n, code)
			}
		}
		if code := r.join("g", "").get().ErrorCode; code != codeGroupMaxSizeReached {
			t.Errorf("%d members, one id too many: code %d", members, code)
		}
		r.advance(11 * time.Second) // the ids end with their sessions
		if code := r.join("g", "").get().ErrorCode; code != codeMemberIDRequired {
			t.Errorf("%d members, after the others' end: code %d", members, code)
		}
	}
}

func TestPendingMemberHoldsTheRebalance(t *testing.T) {
	r := newRig(t)
	ids, _ := r.stable("g", 1)
	pending := r.join("g", "").get().MemberID
	again := r.join("g", ids[0], topics("a", "b"))
	again.waits()
	r.join("g", pending)
	if n := len(again.get().Members); n != 2 {
		t.Fatalf("%d members, want 2", n)
	}
}

func TestGroupMaxSize(t *testing.T) {
	r := newRig(t)
	r.cfg.maxSize = 2
	ids, _ := r.stable("g", 2)
	if got := r.join("g", "").get().ErrorCode; got != codeGroupMaxSizeReached {
		t.Fatalf("code %d", got)
	}
	if got := r.join("g", ids[1]).get().ErrorCode; got != 0 {
		t.Fatalf("a member was turned away: %d", got)
	}
}

func TestProtocolVote(t *testing.T) {
	r := newRig(t)
	r.cfg.initialDelay = time.Second
	_, a := r.enter("g", protocols("range", "roundrobin"))
	_, b := r.enter("g", protocols("roundrobin", "range"))
	_, c := r.enter("g", protocols("sticky", "roundrobin", "range"))
	r.advance(2 * time.Second)
	for _, j := range []*answer[*kmsg.JoinGroupResponse]{a, b, c} {
		if got := *j.get().Protocol; got != "roundrobin" {
			t.Fatalf("protocol %s, want roundrobin: two prefer it of those that all have", got)
		}
	}
}

func TestFollowerRejoinsWithoutARebalance(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 2)
	if j := r.join("g", ids[1]).get(); j.Generation != gen || len(j.Members) != 0 {
		t.Fatalf("follower: %+v", j)
	}
	leader := r.join("g", ids[0])
	leader.waits() // the leader's join is a wish for a rebalance
	if code := r.beat("g", ids[1], gen); code != codeRebalanceInProgress {
		t.Fatalf("heartbeat: %d", code)
	}
}

func TestSyncErrors(t *testing.T) {
	typ, name := "connect", "sticky"
	for _, c := range []struct {
		name string
		mod  func(q *kmsg.SyncGroupRequest)
		want int16
	}{
		{"unknown group", func(q *kmsg.SyncGroupRequest) { q.Group = "nope" }, codeUnknownMemberID},
		{"unknown member", func(q *kmsg.SyncGroupRequest) { q.MemberID = "nope" }, codeUnknownMemberID},
		{"old generation", func(q *kmsg.SyncGroupRequest) { q.Generation-- }, codeIllegalGeneration},
		{"new generation", func(q *kmsg.SyncGroupRequest) { q.Generation++ }, codeIllegalGeneration},
		{"protocol type", func(q *kmsg.SyncGroupRequest) { q.ProtocolType = &typ }, codeInconsistentProtocol},
		{"protocol name", func(q *kmsg.SyncGroupRequest) { q.Protocol = &name }, codeInconsistentProtocol},
		{"none", func(q *kmsg.SyncGroupRequest) {}, codeNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			ids, gen := r.stable("g", 2)
			q := kmsg.NewPtrSyncGroupRequest()
			q.Group, q.MemberID, q.Generation = "g", ids[1], gen
			c.mod(q)
			a := &answer[*kmsg.SyncGroupResponse]{rig: r, what: "sync"}
			r.s.sync(r.now, q, a.done)
			if got := a.get(); got.ErrorCode != c.want {
				t.Errorf("code %d, want %d", got.ErrorCode, c.want)
			} else if c.want == 0 && string(got.MemberAssignment) != "as-1" {
				t.Errorf("assignment %q", got.MemberAssignment)
			}
		})
	}
}

func TestSyncWaitsForTheLeader(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 2)
	leader := r.join("g", ids[0])
	follower := r.join("g", ids[1])
	if leader.get().Generation != gen+1 || follower.get().Generation != gen+1 {
		t.Fatal("no new generation")
	}
	early := r.sync("g", ids[1], gen+1, nil)
	early.waits()
	if got := r.commit("g", ids[1], gen+1, 7, "a", 0, 1); got != codeRebalanceInProgress {
		t.Fatalf("commit before the sync: %d", got)
	}
	r.sync("g", ids[0], gen+1, map[string]string{ids[0]: "x"}).get()
	if got := early.get(); got.ErrorCode != 0 || len(got.MemberAssignment) != 0 {
		t.Fatalf("a member that the leader forgot: %+v", got)
	}
	r.sameAfterReload()
}

func TestSyncIsInterruptedByAJoin(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 2)
	r.join("g", ids[0]).waits()
	r.join("g", ids[1]).get()
	early := r.sync("g", ids[1], gen+1, nil)
	early.waits()
	r.enter("g")
	if got := early.get().ErrorCode; got != codeRebalanceInProgress {
		t.Fatalf("code %d", got)
	}
}

func TestPendingSyncExpires(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 2)
	r.join("g", ids[0])
	r.join("g", ids[1])
	r.sync("g", ids[0], gen+1, map[string]string{ids[0]: "x", ids[1]: "y"}).get()
	for range 13 { // the follower heartbeats and never syncs
		r.advance(5 * time.Second)
		r.beat("g", ids[0], gen+1)
		r.beat("g", ids[1], gen+1)
	}
	if code := r.beat("g", ids[1], gen+1); code != codeUnknownMemberID {
		t.Fatalf("code %d: the member that never synced is still there", code)
	}
	if code := r.beat("g", ids[0], gen+1); code != codeRebalanceInProgress {
		t.Fatalf("code %d: no rebalance followed", code)
	}
}

func TestHeartbeatErrors(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 1)
	for _, c := range []struct {
		group, id string
		gen       int32
		want      int16
	}{
		{"nope", ids[0], gen, codeUnknownMemberID},
		{"g", "nope", gen, codeUnknownMemberID},
		{"g", ids[0], gen - 1, codeIllegalGeneration},
		{"g", ids[0], gen, codeNone},
	} {
		if got := r.beat(c.group, c.id, c.gen); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestLeave(t *testing.T) {
	r := newRig(t)
	ids, _ := r.stable("g", 2)
	got := r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: ids[0]}, kmsg.LeaveGroupRequestMember{MemberID: "nope"})
	if got.ErrorCode != 0 || got.Members[0].ErrorCode != 0 || got.Members[1].ErrorCode != codeUnknownMemberID {
		t.Fatalf("%+v", got)
	}
	if got := r.leave("nope", kmsg.LeaveGroupRequestMember{MemberID: "m"}); got.ErrorCode != 0 || got.Members[0].ErrorCode != codeUnknownMemberID {
		t.Fatalf("unknown group: %+v", got)
	}
	r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: ids[1]})
	if g := r.s.groups["g"].classic; g.state != classicEmpty || g.protocol != nil {
		t.Fatalf("the group is %v", g.state)
	}
	r.sameAfterReload()
}

func TestStaticMemberComesBack(t *testing.T) {
	for _, v := range []int16{8, 9} {
		r := newRig(t)
		r.cfg.initialDelay = time.Second
		lead := r.join("g", "", instance("one"))
		other := r.join("g", "", instance("two"))
		r.advance(2 * time.Second)
		l, o := lead.get().MemberID, other.get().MemberID
		if !strings.HasPrefix(l, "one-") {
			t.Fatalf("member id %q does not begin with the instance id", l)
		}
		r.sync("g", o, 1, nil)
		r.sync("g", l, 1, map[string]string{l: "L", o: "O"}).get()
		again := r.join("g", "", instance("one"), version(v)).get()
		if again.ErrorCode != 0 || again.Generation != 1 || again.MemberID == l {
			t.Fatalf("v%d: %+v", v, again)
		}
		if v >= 9 && (!again.SkipAssignment || again.LeaderID != again.MemberID || len(again.Members) != 2) {
			t.Fatalf("v%d: the leader was not told to keep the assignment: %+v", v, again)
		}
		if v < 9 && (again.SkipAssignment || again.LeaderID != l) {
			t.Fatalf("v%d: an old leader would assign: %+v", v, again)
		}
		if code := r.beat("g", o, 1); code != 0 {
			t.Fatalf("v%d: the group rebalances: %d", v, code)
		}
		if got := r.sync("g", again.MemberID, 1, nil).get(); string(got.MemberAssignment) != "L" {
			t.Fatalf("v%d: assignment %q", v, got.MemberAssignment)
		}
		q := kmsg.NewPtrHeartbeatRequest()
		one := "one"
		q.Group, q.MemberID, q.Generation, q.InstanceID = "g", l, 1, &one
		if code := r.s.heartbeat(r.now, q); code != codeFencedInstanceID {
			t.Fatalf("v%d: the old id: %d", v, code)
		}
		r.sameAfterReload()
	}
}

func TestStaticMemberWithANewProtocolRebalances(t *testing.T) {
	r := newRig(t)
	j := r.join("g", "", instance("one"), protocols("range", "sticky")).get()
	r.sync("g", j.MemberID, 1, map[string]string{j.MemberID: "L"}).get()
	again := r.join("g", "", instance("one"), protocols("sticky", "range")).get()
	if again.Generation != 2 || *again.Protocol != "sticky" {
		t.Fatalf("%+v", again)
	}
}

func TestStaticMemberIsRemovedByInstance(t *testing.T) {
	r := newRig(t)
	one := "one"
	r.join("g", "", instance(one)).get()
	wrong := r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: "other", InstanceID: &one})
	if wrong.Members[0].ErrorCode != codeFencedInstanceID {
		t.Fatalf("%+v", wrong)
	}
	if got := r.leave("g", kmsg.LeaveGroupRequestMember{InstanceID: &one}); got.Members[0].ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestStaticMembersSurviveARebalance(t *testing.T) {
	r := newRig(t)
	r.cfg.initialDelay = time.Second
	a := r.join("g", "", instance("one"))
	b := r.join("g", "", instance("two"))
	r.advance(2 * time.Second)
	ai, bi := a.get().MemberID, b.get().MemberID
	r.sync("g", bi, 1, nil)
	r.sync("g", ai, 1, map[string]string{ai: "A", bi: "B"}).get()
	again := r.join("g", ai, instance("one"), topics("a", "b"))
	long := func(id string) { // static members stay by their session, not by joining
		q := kmsg.NewPtrHeartbeatRequest()
		q.Group, q.MemberID, q.Generation = "g", id, 1
		r.s.heartbeat(r.now, q)
	}
	for range 13 {
		r.advance(5 * time.Second)
		long(bi)
	}
	if j := again.get(); j.Generation != 2 || len(j.Members) != 2 {
		t.Fatalf("%+v", j)
	}
}

func TestClassicGroupOverSizeAfterReloadRebalances(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 3)
	r.cfg.maxSize = 2
	r.boot()
	if code := r.beat("g", ids[0], gen); code != codeRebalanceInProgress {
		t.Fatalf("code %d", code)
	}
}

func TestReloadKeepsMembersAndSessions(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 2)
	r.boot()
	if code := r.beat("g", ids[0], gen); code != 0 {
		t.Fatalf("heartbeat after a restart: %d", code)
	}
	if got := r.sync("g", ids[1], gen, nil).get(); string(got.MemberAssignment) != "as-1" {
		t.Fatalf("assignment after a restart: %q", got.MemberAssignment)
	}
	r.advance(9 * time.Second)
	r.beat("g", ids[0], gen)
	r.advance(2 * time.Second)
	if code := r.beat("g", ids[1], gen); code != codeUnknownMemberID {
		t.Fatalf("a session did not end after a restart: %d", code)
	}
}

func TestLostStateAnswersWhoWaits(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 2)
	join := r.join("g", ids[0])
	join.waits()
	r.s.lost(ErrUnavailable)
	if got := join.get().ErrorCode; got != codeNotCoordinator {
		t.Fatalf("join: %d", got)
	}
	r.boot()
	r.join("g", ids[0])
	r.join("g", ids[1]).get()
	sync := r.sync("g", ids[1], gen+1, nil)
	sync.waits()
	r.s.lost(ErrUnavailable)
	if got := sync.get().ErrorCode; got != codeNotCoordinator {
		t.Fatalf("sync: %d", got)
	}
}

func TestTooLargeAssignmentIsRefused(t *testing.T) {
	r := newRig(t)
	r.cfg.maxRecord = 2000
	ids, gen := r.stable("g", 2)
	leader := r.join("g", ids[0])
	r.join("g", ids[1])
	leader.get()
	follower := r.sync("g", ids[1], gen+1, nil)
	big := strings.Repeat("x", 3000)
	got := r.sync("g", ids[0], gen+1, map[string]string{ids[0]: big}).get()
	if got.ErrorCode != codeUnknownServerError || follower.get().ErrorCode != codeUnknownServerError {
		t.Fatalf("code %d", got.ErrorCode)
	}
	if code := r.beat("g", ids[0], gen+1); code != codeRebalanceInProgress {
		t.Fatalf("heartbeat: %d", code)
	}
	r.cfg.maxRecord = maxBatch
}

func TestDescribeAndList(t *testing.T) {
	r := newRig(t)
	ids, _ := r.stable("g", 2)
	r.commit("simple", "", -1, 7, "a", 0, 1)
	d := r.s.describe(5, "g")
	if d.State != "Stable" || d.Protocol != "range" || len(d.Members) != 2 || string(d.Members[0].MemberAssignment) != "as-0" || d.Members[0].ClientHost != "/127.0.0.1" || d.Members[0].MemberID != ids[0] {
		t.Fatalf("%+v", d)
	}
	r.enter("g")
	if d := r.s.describe(5, "g"); d.State != "PreparingRebalance" || d.Protocol != "" || len(d.Members[0].ProtocolMetadata) != 0 || string(d.Members[0].MemberAssignment) != "as-0" {
		t.Fatalf("%+v", d)
	}
	if d := r.s.describe(5, "nope"); d.State != "Dead" || d.ErrorCode != 0 {
		t.Fatalf("v5 unknown: %+v", d)
	}
	if d := r.s.describe(6, "nope"); d.State != "Dead" || d.ErrorCode != codeGroupIDNotFound || d.ErrorMessage == nil {
		t.Fatalf("v6 unknown: %+v", d)
	}
	names := func(states, types []string) (out []string) {
		for _, g := range r.s.list(&kmsg.ListGroupsRequest{StatesFilter: states, TypesFilter: types}) {
			out = append(out, g.Group)
		}
		slices.Sort(out)
		return out
	}
	if got := names(nil, nil); !slices.Equal(got, []string{"g", "simple"}) {
		t.Fatalf("%v", got)
	}
	if got := names([]string{"empty"}, nil); !slices.Equal(got, []string{"simple"}) {
		t.Fatalf("%v", got)
	}
	if got := names(nil, []string{"consumer"}); len(got) != 0 {
		t.Fatalf("%v", got)
	}
}

func TestDelete(t *testing.T) {
	r := newRig(t)
	ids, _ := r.stable("g", 1)
	r.commit("simple", "", -1, 7, "a", 0, 1)
	if got := r.s.deleteGroup("g"); got != codeNonEmptyGroup {
		t.Fatalf("%d", got)
	}
	if got := r.s.deleteGroup("nope"); got != codeGroupIDNotFound {
		t.Fatalf("%d", got)
	}
	r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: ids[0]})
	for _, g := range []string{"g", "simple"} {
		if got := r.s.deleteGroup(g); got != 0 {
			t.Fatalf("%s: %d", g, got)
		}
	}
	if len(r.s.groups) != 0 {
		t.Fatalf("%d groups left", len(r.s.groups))
	}
	r.sameAfterReload()
}

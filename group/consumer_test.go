package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is a client of the new protocol: it does what it is told.
type member struct {
	r        *rig
	group    string
	id       string
	instance *string
	topics   []string
	regex    *string
	assignor *string
	epoch    int32
	has      assignment
	first    bool
}

func (r *rig) member(group, id string, topics ...string) *member {
	return &member{r: r, group: group, id: id, topics: topics, first: true}
}

// send makes a heartbeat that says everything on the first, and afterwards
// only what it owns.
func (m *member) request() *kmsg.ConsumerGroupHeartbeatRequest {
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Version, q.Group, q.MemberID, q.MemberEpoch, q.InstanceID = 1, m.group, m.id, m.epoch, m.instance
	q.RebalanceTimeoutMillis = -1
	if m.first || m.epoch == 0 {
		q.RebalanceTimeoutMillis = 30_000
		q.SubscribedTopicNames, q.SubscribedTopicRegex, q.ServerAssignor = m.topics, m.regex, m.assignor
		if q.SubscribedTopicNames == nil && m.regex == nil {
			q.SubscribedTopicNames = []string{}
		}
		if m.epoch == 0 {
			m.has = nil
		}
	}
	q.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, id := range m.has.topics() {
		q.Topics = append(q.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: id, Partitions: m.has[id]})
	}
	return q
}

// do sends a request and takes the answer in.
func (m *member) do(q *kmsg.ConsumerGroupHeartbeatRequest) int16 {
	resp, bad := m.r.s.consumerHeartbeat(m.r.now, testClient, q)
	m.r.settle()
	if bad != nil {
		return bad.code
	}
	m.first = false
	m.epoch = resp.MemberEpoch
	if resp.Assignment != nil {
		m.has = assignment{}
		for _, t := range resp.Assignment.Topics {
			m.has[t.TopicID] = slices.Sorted(slices.Values(t.Partitions))
		}
	}
	return 0
}

func (m *member) beat() int16 { return m.do(m.request()) }

func (m *member) mustBeat() {
	m.r.t.Helper()
	if code := m.beat(); code != 0 {
		m.r.t.Fatalf("heartbeat of %s: %d", m.id, code)
	}
}

func (m *member) leave(epoch int32) int16 {
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Version, q.Group, q.MemberID, q.MemberEpoch, q.InstanceID = 1, m.group, m.id, epoch, m.instance
	code := m.do(q)
	m.epoch, m.first = 0, true
	return code
}

// TestSilenceIsNoRevocation: a member that has to give partitions up and sends
// a heartbeat that says nothing of what it owns still has them.
func TestSilenceIsNoRevocation(t *testing.T) {
	r := newRig(t)
	a, b := r.member("g", "ma", "a"), r.member("g", "mb", "a")
	a.mustBeat()
	r.converge(a)
	owned := a.has // all four, until it says otherwise
	b.mustBeat()
	r.advance(2 * time.Second)
	b.mustBeat()
	a.mustBeat() // is told to give two up
	epoch := a.epoch
	for range 3 {
		q := a.request()
		q.Topics = nil
		if code := a.do(q); code != 0 {
			t.Fatal(code)
		}
		b.mustBeat()
		if a.epoch != epoch || b.has.size() != 0 {
			t.Fatalf("the silent member is at epoch %d (%d), the other has %v", a.epoch, epoch, b.has)
		}
	}
	if owned.size() != 4 || a.has.size() != 2 {
		t.Fatalf("%v, then %v", owned, a.has)
	}
	a.mustBeat() // lists the two that are left
	b.mustBeat()
	if a.epoch <= epoch || b.has.size() != 2 {
		t.Fatalf("after the revocation: epoch %d, the other has %v", a.epoch, b.has)
	}
}

// converge lets the members heartbeat until all have their target.
func (r *rig) converge(ms ...*member) {
	r.t.Helper()
	for range 50 {
		for _, m := range ms {
			m.mustBeat()
		}
		r.advance(time.Second)
		g := r.s.groups[ms[0].group].consumer
		if g.state() == "Stable" {
			for _, m := range ms {
				m.mustBeat()
				if !m.has.equal(g.targets[m.id]) {
					r.t.Fatalf("%s has %v, its target is %v", m.id, m.has, g.targets[m.id])
				}
			}
			return
		}
	}
	r.t.Fatalf("the group did not settle: %s", r.s.dump())
}

// oneOwner checks that every partition has one owner at most and gives how
// many partitions are owned. A member whose session ended does not know yet;
// its commits are fenced and it does not count.
func (r *rig) oneOwner(ms ...*member) int {
	r.t.Helper()
	seen := map[string]string{}
	for _, m := range ms {
		if e := r.s.groups[m.group]; !e.exists() || e.consumer == nil || e.consumer.members[m.id] == nil ||
			m.epoch != e.consumer.members[m.id].cur.epoch && m.epoch != e.consumer.members[m.id].cur.previous {
			continue
		}
		for id, parts := range m.has {
			for _, p := range parts {
				k := fmt.Sprintf("%x-%d", id, p)
				if o, ok := seen[k]; ok {
					r.t.Fatalf("%s is owned by %s and %s", k, o, m.id)
				}
				seen[k] = m.id
			}
		}
	}
	return len(seen)
}

func TestConsumerGroupOfOne(t *testing.T) {
	r := newRig(t)
	m := r.member("g", "m1", "a", "b")
	m.mustBeat()
	if m.epoch != 1 || m.has.size() != 6 {
		t.Fatalf("epoch %d, %v", m.epoch, m.has)
	}
	if g := r.s.groups["g"].consumer; g.state() != "Stable" || g.epoch != 1 || g.targetEpoch != 1 {
		t.Fatalf("%s %d %d", g.state(), g.epoch, g.targetEpoch)
	}
	r.sameAfterReload()
	if code := m.leave(epochLeave); code != 0 {
		t.Fatal(code)
	}
	if g := r.s.groups["g"].consumer; g.state() != "Empty" || g.epoch != 2 || g.targetEpoch != 1 || len(g.owners) != 0 {
		t.Fatalf("%s %d", g.state(), g.epoch)
	}
	r.sameAfterReload()
}

func TestConsumerGroupHandsOver(t *testing.T) {
	r := newRig(t)
	a, b := r.member("g", "a", "a"), r.member("g", "b", "a")
	a.mustBeat()
	r.advance(2 * time.Second)
	b.mustBeat()
	if b.epoch != 2 || b.has.size() != 0 {
		t.Fatalf("the newcomer got %v before the owner gave anything up", b.has)
	}
	before := a.has
	a.mustBeat() // learns what to give up
	if a.epoch != 1 || a.has.size() != 2 {
		t.Fatalf("epoch %d, %v", a.epoch, a.has)
	}
	b.mustBeat()
	if b.has.size() != 0 {
		t.Fatal("partitions moved before their owner said that it gave them up")
	}
	r.sameAfterReload()
	a.mustBeat() // no longer lists them
	if a.epoch != 2 {
		t.Fatalf("epoch %d", a.epoch)
	}
	b.mustBeat()
	if r.oneOwner(a, b) != 4 || b.has.size() != 2 {
		t.Fatalf("%v %v", a.has, b.has)
	}
	for id, parts := range a.has {
		for _, p := range parts {
			if !before.has(id, p) {
				t.Fatal("the first member's partitions moved more than they must")
			}
		}
	}
	r.sameAfterReload()
}

func TestConsumerHeartbeatErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		mod  func(q *kmsg.ConsumerGroupHeartbeatRequest)
		want int16
	}{
		{"fine", func(q *kmsg.ConsumerGroupHeartbeatRequest) {}, codeNone},
		{"unknown group", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.Group = "nope" }, codeGroupIDNotFound},
		{"unknown member", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberID = "nope" }, codeUnknownMemberID},
		{"greater epoch", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberEpoch++ }, codeFencedMemberEpoch},
		{"previous epoch, owning what it may", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberEpoch-- }, codeNone},
		{"previous epoch, owning too much", func(q *kmsg.ConsumerGroupHeartbeatRequest) {
			q.MemberEpoch--
			q.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: idOf("b"), Partitions: []int32{0}}}
		}, codeFencedMemberEpoch},
		{"previous epoch, saying nothing", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberEpoch--; q.Topics = nil }, codeFencedMemberEpoch},
		{"older epoch", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberEpoch -= 2 }, codeFencedMemberEpoch},
		{"unknown instance", func(q *kmsg.ConsumerGroupHeartbeatRequest) { s := "x"; q.InstanceID = &s }, codeUnknownMemberID},
		{"a bad pattern", func(q *kmsg.ConsumerGroupHeartbeatRequest) { s := "("; q.SubscribedTopicRegex = &s }, codeInvalidRegex},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			m := r.member("g", "m", "a")
			m.mustBeat()
			for _, topics := range [][]string{{"a", "b"}, {"a"}} {
				r.advance(2 * time.Second)
				m.topics, m.first = topics, true
				m.mustBeat()
				m.mustBeat()
			}
			if m.epoch != 3 {
				t.Fatalf("epoch %d", m.epoch)
			}
			before := r.s.dump()
			q := m.request()
			c.mod(q)
			if got := m.do(q); got != c.want {
				t.Fatalf("code %d, want %d", got, c.want)
			}
			if c.want != 0 && r.s.dump() != before {
				t.Fatal("a refused heartbeat changed the state")
			}
			r.sameAfterReload()
		})
	}
}

func TestConsumerHeartbeatChecks(t *testing.T) {
	s, empty, rack := "x", " ", ""
	for _, c := range []struct {
		name string
		mod  func(q *kmsg.ConsumerGroupHeartbeatRequest)
		want int16
	}{
		{"fine", func(q *kmsg.ConsumerGroupHeartbeatRequest) {}, codeNone},
		{"v0 without a member id", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.Version, q.MemberID = 0, "" }, codeNone},
		{"v1 without a member id", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberID = "" }, codeInvalidRequest},
		{"no group", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.Group = "" }, codeInvalidRequest},
		{"blank instance", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.InstanceID = &empty }, codeInvalidRequest},
		{"empty rack", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.RackID = &rack }, codeInvalidRequest},
		{"join without a rebalance timeout", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.RebalanceTimeoutMillis = -1 }, codeInvalidRequest},
		{"join with null partitions", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.Topics = nil }, codeInvalidRequest},
		{"join owning something", func(q *kmsg.ConsumerGroupHeartbeatRequest) {
			q.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{}}
		}, codeInvalidRequest},
		{"join without a subscription", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.SubscribedTopicNames = nil }, codeInvalidRequest},
		{"static leave without an instance", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberEpoch = -2 }, codeInvalidRequest},
		{"epoch -3", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberEpoch = -3 }, codeInvalidRequest},
		{"a pattern beyond all measure", func(q *kmsg.ConsumerGroupHeartbeatRequest) {
			long := strings.Repeat("x", maxID+1)
			q.SubscribedTopicRegex = &long
		}, codeInvalidRegex},
		{"unknown assignor", func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.ServerAssignor = &s }, codeUnsupportedAssignor},
	} {
		r := newRig(t)
		q := r.member("g", "m", "a").request()
		c.mod(q)
		got := codeNone
		if bad := checkHeartbeat(q, r.cfg); bad != nil {
			got = bad.code
		}
		if got != c.want {
			t.Errorf("%s: code %d, want %d", c.name, got, c.want)
		}
	}
}

func TestConsumerSessionEnds(t *testing.T) {
	r := newRig(t)
	a, b := r.member("g", "a", "a"), r.member("g", "b", "a")
	r.advance(2 * time.Second)
	a.mustBeat()
	b.mustBeat()
	r.advance(44 * time.Second)
	a.mustBeat()
	r.advance(2 * time.Second)
	if code := b.beat(); code != codeUnknownMemberID {
		t.Fatalf("code %d", code)
	}
	r.converge(a)
	if a.has.size() != 4 {
		t.Fatalf("%v", a.has)
	}
	r.sameAfterReload()
}

func TestRevocationTimeout(t *testing.T) {
	r := newRig(t)
	a, b := r.member("g", "a", "a"), r.member("g", "b", "a")
	a.mustBeat()
	r.advance(2 * time.Second)
	b.mustBeat()
	stuck := a.request() // it goes on listing everything
	for range 7 {
		q := *stuck
		q.MemberEpoch = 1
		if code := a.do(&q); code == codeUnknownMemberID {
			break
		}
		b.mustBeat()
		r.advance(5 * time.Second)
	}
	if r.s.groups["g"].consumer.members["a"] != nil {
		t.Fatal("a member that never gave up its partitions is still there")
	}
	r.converge(b)
	if b.has.size() != 4 {
		t.Fatalf("%v", b.has)
	}
}

func TestStaticConsumerComesBack(t *testing.T) {
	r := newRig(t)
	one := "one"
	a, b := r.member("g", "a", "a"), r.member("g", "b", "a")
	a.instance = &one
	a.mustBeat()
	r.advance(2 * time.Second)
	b.mustBeat()
	r.converge(a, b)
	had, epoch := a.has, r.s.groups["g"].consumer.epoch
	usurper := r.member("g", "u", "a")
	usurper.instance = &one
	if code := usurper.beat(); code != codeUnreleasedInstanceID {
		t.Fatalf("code %d", code)
	}
	if code := a.leave(epochStaticLeave); code != 0 {
		t.Fatal(code)
	}
	r.sameAfterReload()
	b.mustBeat()
	if b.has.size() != 2 {
		t.Fatal("a partition moved while its static owner was away")
	}
	again := r.member("g", "a2", "a")
	again.instance = &one
	again.mustBeat()
	if !again.has.equal(had) || r.s.groups["g"].consumer.epoch != epoch {
		t.Fatalf("came back to %v, had %v", again.has, had)
	}
	a.epoch = 2
	q := a.request()
	q.MemberEpoch = 2
	if code := a.do(q); code != codeFencedInstanceID {
		t.Fatalf("the old member: %d", code)
	}
	r.sameAfterReload()
}

// TestInstanceIDIsGivenBack: who joins anew with another instance id and leaves
// holds neither; Kafka answers the next one with UNKNOWN_MEMBER_ID.
func TestInstanceIDIsGivenBack(t *testing.T) {
	r := newRig(t)
	one, two := "one", "two"
	stays, a := r.member("g", "stays", "a"), r.member("g", "a", "a")
	stays.mustBeat()
	a.instance = &one
	a.mustBeat()
	a.instance, a.epoch, a.has = &two, 0, nil
	a.mustBeat()
	for _, instance := range []*string{&one, &two} {
		next := r.member("g", "next-"+*instance, "a")
		next.instance = instance
		want := codeUnreleasedInstanceID
		if instance == &one {
			want = codeNone // a has given it up already
		}
		if code := next.beat(); code != want {
			t.Fatalf("while a is there, instance %s: code %d, want %d", *instance, code, want)
		}
	}
	if code := a.leave(epochLeave); code != codeNone {
		t.Fatal(code)
	}
	next := r.member("g", "last", "a")
	next.instance = &two
	next.mustBeat()
	r.sameAfterReload()
}

func TestStaticConsumerThatStaysAway(t *testing.T) {
	r := newRig(t)
	one := "one"
	a, b := r.member("g", "a", "a"), r.member("g", "b", "a")
	a.instance = &one
	a.mustBeat()
	r.advance(2 * time.Second)
	b.mustBeat()
	r.converge(a, b)
	a.leave(epochStaticLeave)
	r.advance(40 * time.Second)
	b.mustBeat()
	r.advance(10 * time.Second)
	r.converge(b)
	if b.has.size() != 4 {
		t.Fatalf("%v", b.has)
	}
}

func TestTopicGrowsAndGoes(t *testing.T) {
	r := newRig(t)
	m := r.member("g", "m", "a", "c")
	m.mustBeat()
	if m.has.size() != 4 {
		t.Fatalf("%v", m.has)
	}
	change := func(names ...string) {
		ch := &topicChange{touched: map[string]bool{}, created: r.img.version}
		for _, n := range names {
			ch.touched[n] = true
		}
		r.s.topicsChanged(ch)
		r.advance(2 * time.Second)
		m.mustBeat()
		m.mustBeat()
	}
	r.topic("a", 6)
	change("a")
	if m.has.size() != 6 {
		t.Fatalf("new partitions did not come: %v", m.has)
	}
	r.topic("c", 1)
	change("c")
	if m.has.size() != 7 {
		t.Fatalf("a new topic did not come: %v", m.has)
	}
	delete(r.img.topics, "a")
	change("a")
	if m.has.size() != 1 {
		t.Fatalf("a deleted topic stayed: %v", m.has)
	}
	r.sameAfterReload()
}

func TestAssignmentInterval(t *testing.T) {
	r := newRig(t)
	a := r.member("g", "a", "a")
	a.mustBeat()
	var late []*member
	for i := range 5 {
		m := r.member("g", fmt.Sprintf("m%d", i), "a")
		m.mustBeat()
		late = append(late, m)
	}
	if g := r.s.groups["g"].consumer; g.targetEpoch != 1 || g.epoch != 6 || g.state() != "Assigning" {
		t.Fatalf("assigned again within the interval: %d %d %s", g.targetEpoch, g.epoch, g.state())
	}
	r.advance(time.Second)
	a.mustBeat()
	if g := r.s.groups["g"].consumer; g.targetEpoch != 6 {
		t.Fatalf("not assigned after the interval: %d", g.targetEpoch)
	}
	r.converge(append(late, a)...)
}

// TestSubscribesAnew: a member that has given up what its new subscription does not
// have gets the new partitions with that answer. Its next heartbeat would be
// seconds away.
func TestSubscribesAnew(t *testing.T) {
	r := newRig(t)
	r.cfg.assignmentInterval = 0
	a := r.member("g", "a", "a")
	a.mustBeat()
	a.topics, a.first = []string{"b"}, true
	a.mustBeat()
	if len(a.has) != 0 {
		t.Fatalf("before it gave up topic a: %v", a.has)
	}
	a.mustBeat()
	if b := r.img.topics["b"]; len(a.has[b.ID]) != int(b.Partitions) {
		t.Fatalf("after it gave up topic a: %v", a.has)
	}
}

func TestRegexSubscription(t *testing.T) {
	r := newRig(t)
	r.topic("logs-1", 2)
	r.topic("logs-2", 2)
	r.topic("my-logs-9", 2) // the pattern is about the whole name
	r.topic("logs-hidden", 2)
	r.denied["logs-hidden"] = true
	p := "logs-.*"
	m := r.member("g", "m")
	m.regex = &p
	m.mustBeat()
	if m.has.size() != 0 {
		t.Fatalf("%v", m.has)
	}
	r.runResolves()
	r.advance(2 * time.Second)
	m.mustBeat()
	if m.has.size() != 4 {
		t.Fatalf("%v", m.has)
	}
	r.sameAfterReload()
	r.topic("logs-3", 1)
	r.s.topicsChanged(&topicChange{touched: map[string]bool{"logs-3": true}, created: r.img.version})
	// Within regexBatch of the last time the patterns are not resolved again.
	r.advance(7 * time.Second)
	m.mustBeat()
	r.runResolves()
	m.mustBeat()
	if m.has.size() != 4 {
		t.Fatalf("a new topic came 9 s after the patterns were resolved: %v", m.has)
	}
	r.advance(2 * time.Second)
	m.mustBeat()
	r.runResolves()
	m.mustBeat()
	if m.has.size() != 5 {
		t.Fatalf("a new topic did not come: %v", m.has)
	}
	// What may be described is looked at again, if nothing else happens, after ten minutes.
	r.denied = map[string]bool{}
	for range 30 {
		r.advance(30 * time.Second)
		m.mustBeat()
		r.runResolves()
	}
	if m.has.size() != 7 {
		t.Fatalf("%v", m.has)
	}
	other := r.member("g", "n", "a")
	other.mustBeat()
	m.regex, m.first = new(string), true
	m.topics = []string{"b"}
	m.mustBeat()
	if g := r.s.groups["g"].consumer; len(g.regexes) != 0 {
		t.Fatalf("an unused pattern stayed: %v", g.regexes)
	}
	r.advance(2 * time.Second)
	r.converge(m, other)
	r.sameAfterReload()
}

func TestPreferredAssignor(t *testing.T) {
	r := newRig(t)
	rng := "range"
	a, b, c := r.member("g", "a", "a", "b"), r.member("g", "b", "a", "b"), r.member("g", "c", "a", "b")
	for _, m := range []*member{a, b} {
		m.assignor = &rng
	}
	for _, m := range []*member{a, b, c} {
		m.mustBeat()
		r.advance(2 * time.Second)
	}
	r.converge(a, b, c)
	// Ranges: of a (4) the first gets two, of b (2) the last gets none.
	if got := [3]int{len(a.has[idOf("a")]), len(a.has[idOf("b")]), len(c.has[idOf("b")])}; got != [3]int{2, 1, 0} {
		t.Fatalf("%v %v %v", a.has, b.has, c.has)
	}
	if d := r.s.describeConsumer(r.s.groups["g"].consumer); d.AssignorName != "range" || d.State != "Stable" || len(d.Members) != 3 || d.Members[0].MemberType != 1 {
		t.Fatalf("%+v", d)
	}
}

func TestConsumerCommitFencing(t *testing.T) {
	r := newRig(t)
	a, b := r.member("g", "a", "a"), r.member("g", "b", "a")
	a.mustBeat()
	r.advance(2 * time.Second)
	b.mustBeat()
	r.converge(a, b)
	mine, theirs := a.has[idOf("a")][0], b.has[idOf("a")][0]
	for _, c := range []struct {
		name    string
		member  string
		epoch   int32
		version int16
		part    int32
		want    int16
	}{
		{"current epoch", "a", a.epoch, 9, mine, codeNone},
		{"v8", "a", a.epoch, 8, mine, codeUnsupportedVersion},
		{"newer epoch", "a", a.epoch + 1, 9, mine, codeStaleMemberEpoch},
		{"older epoch, owned since", "a", 1, 9, mine, codeNone},
		{"older epoch, not owned", "a", 1, 9, theirs, codeStaleMemberEpoch},
		{"older epoch, owned later", "b", 1, 9, theirs, codeStaleMemberEpoch},
		{"unknown member", "x", 1, 9, mine, codeUnknownMemberID},
		{"from outside", "", -1, 9, mine, codeUnknownMemberID},
	} {
		if got := r.commit("g", c.member, c.epoch, c.version, "a", c.part, 5); got != c.want {
			t.Errorf("%s: code %d, want %d", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		member *string
		epoch  int32
		want   int16
	}{{nil, -1, 0}, {&a.id, a.epoch, 0}, {&a.id, a.epoch - 1, codeStaleMemberEpoch}, {new(string), 1, codeUnknownMemberID}} {
		q := kmsg.NewOffsetFetchRequestGroup()
		q.Group, q.MemberID, q.MemberEpoch = "g", c.member, c.epoch
		if got := r.s.fetchOffsets(9, &q, false).ErrorCode; got != c.want {
			t.Errorf("fetch with epoch %d: code %d, want %d", c.epoch, got, c.want)
		}
	}
}

// TestOwnersSurviveLateRecords: at load, a member's record may come when its
// partitions have long gone to another one.
func TestOwnersSurviveLateRecords(t *testing.T) {
	g := newConsumerGroup("g")
	id := idOf("a")
	g.setCurrent("old", current{epoch: 1, assigned: owned{id: {0: 1, 1: 1}}})
	g.setCurrent("new", current{epoch: 2, assigned: owned{id: {0: 2}}})
	g.setCurrent("old", current{epoch: 3, assigned: owned{id: {1: 1}}})
	if a, b := g.ownerEpoch(id, 0), g.ownerEpoch(id, 1); a != 2 || b != 3 {
		t.Fatalf("owners %d and %d", a, b)
	}
	g.removeMember("old")
	if a, b := g.ownerEpoch(id, 0), g.ownerEpoch(id, 1); a != 2 || b != -1 {
		t.Fatalf("owners %d and %d", a, b)
	}
}

func TestConsumerGroupMaxSize(t *testing.T) {
	r := newRig(t)
	r.cfg.consumerMaxSize = 1
	r.member("g", "a", "a").mustBeat()
	if code := r.member("g", "b", "a").beat(); code != codeGroupMaxSizeReached {
		t.Fatalf("code %d", code)
	}
}

func TestTooLargeMemberIsRefused(t *testing.T) {
	r := newRig(t)
	r.cfg.maxRecord = 1000
	m := r.member("g", "m")
	for i := range 300 {
		m.topics = append(m.topics, fmt.Sprintf("topic-%d", i))
	}
	if code := m.beat(); code != codeUnknownServerError {
		t.Fatalf("code %d", code)
	}
	if len(r.s.groups) != 0 || len(r.log) != 0 {
		t.Fatal("a refused member left something behind")
	}
}

func TestDeleteConsumerGroup(t *testing.T) {
	r := newRig(t)
	m := r.member("g", "m", "a")
	m.mustBeat()
	r.commit("g", "m", m.epoch, 9, "a", 0, 4)
	if got := r.s.deleteGroup("g"); got != codeNonEmptyGroup {
		t.Fatal(got)
	}
	m.leave(epochLeave)
	r.settle()
	if got := r.s.deleteGroup("g"); got != 0 || len(r.s.groups) != 0 {
		t.Fatal(got)
	}
	r.sameAfterReload()
	if n := len(maps.Collect(maps.All(r.s.groups))); n != 0 {
		t.Fatal(n)
	}
}

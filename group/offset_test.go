package group

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/logstore"
)

func TestCommitErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		group   string
		member  func(ids []string) string
		epoch   func(gen int32) int32
		version int16
		topic   string
		want    int16
	}{
		{"a member", "g", first, same, 7, "a", codeNone},
		{"unknown topic", "g", first, same, 7, "nope", codeUnknownTopicOrPartition},
		{"unknown topic id", "g", first, same, 10, "nope", codeUnknownTopicID},
		{"known topic id", "g", first, same, 10, "a", codeNone},
		{"old generation", "g", first, func(g int32) int32 { return g - 1 }, 7, "a", codeIllegalGeneration},
		{"unknown member", "g", func([]string) string { return "x" }, same, 7, "a", codeUnknownMemberID},
		{"from outside into a group with members", "g", func([]string) string { return "" }, func(int32) int32 { return -1 }, 7, "a", codeUnknownMemberID},
		{"from outside into a new group", "new", func([]string) string { return "" }, func(int32) int32 { return -1 }, 7, "a", codeNone},
		{"a generation in an unknown group, v8", "new", first, same, 8, "a", codeIllegalGeneration},
		{"a generation in an unknown group, v9", "new", first, same, 9, "a", codeGroupIDNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			ids, gen := r.stable("g", 1)
			if got := r.commit(c.group, c.member(ids), c.epoch(gen), c.version, c.topic, 1, 42); got != c.want {
				t.Fatalf("code %d, want %d", got, c.want)
			}
			want := int64(-1)
			if c.want == codeNone {
				want = 42
			}
			if got, code := r.offset(c.group, "a", 1, false); got != want || code != 0 {
				t.Fatalf("offset %d code %d, want %d", got, code, want)
			}
			r.sameAfterReload()
		})
	}
}

func first(ids []string) string { return ids[0] }
func same(g int32) int32        { return g }

func TestCommitV0IsUnsupported(t *testing.T) {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.Topics = "g", []kmsg.OffsetCommitRequestTopic{{Topic: "a", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 1}}}}
	var got *kmsg.OffsetCommitResponse
	(&Coordinator{}).OffsetCommit(q, nil, func(r *kmsg.OffsetCommitResponse) { got = r })
	if got.Topics[0].Partitions[0].ErrorCode != codeUnsupportedVersion {
		t.Fatalf("%+v", got)
	}
}

func TestCommitMetadataBound(t *testing.T) {
	r := newRig(t)
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group, q.Generation = 7, "g", -1
	for i, n := range []int{4096, 4097} {
		m := strings.Repeat("x", n)
		q.Topics = append(q.Topics, kmsg.OffsetCommitRequestTopic{Topic: "a", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: int32(i), Metadata: &m}}})
	}
	resp := kmsg.NewPtrOffsetCommitResponse()
	r.s.commitOffsets(r.now, q, resp)
	if a, b := resp.Topics[0].Partitions[0].ErrorCode, resp.Topics[1].Partitions[0].ErrorCode; a != 0 || b != codeOffsetMetadataTooLarge {
		t.Fatalf("%d %d", a, b)
	}
}

func TestCommitRenewsTheSession(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 1)
	for range 5 {
		r.advance(8 * time.Second)
		if code := r.commit("g", ids[0], gen, 7, "a", 0, 1); code != 0 {
			t.Fatalf("code %d", code)
		}
	}
}

func TestFetchAll(t *testing.T) {
	r := newRig(t)
	for p := range int32(300) {
		r.commit("g", "", -1, 7, "a", p, int64(p)*10)
	}
	r.commit("g", "", -1, 7, "b", 0, 7)
	q := kmsg.NewOffsetFetchRequestGroup()
	q.Group, q.MemberEpoch = "g", -1
	got := r.s.fetchOffsets(8, &q, false)
	if len(got.Topics) != 2 || got.Topics[0].Topic != "a" || len(got.Topics[0].Partitions) != 300 {
		t.Fatalf("%d topics", len(got.Topics))
	}
	for i, p := range got.Topics[0].Partitions {
		if p.Partition != int32(i) || p.Offset != int64(i)*10 || p.LeaderEpoch != 3 || *p.Metadata != "m" {
			t.Fatalf("%+v", p)
		}
	}
	if got := r.s.fetchOffsets(10, &q, false); got.Topics[0].TopicID != idOf("a") {
		t.Fatalf("no topic id: %+v", got.Topics[0])
	}
	q.Group = "nope"
	if got := r.s.fetchOffsets(8, &q, false); got.ErrorCode != 0 || got.Topics == nil || len(got.Topics) != 0 {
		t.Fatalf("unknown group: %+v", got)
	}
	r.sameAfterReload()
}

func TestFetchByTopicID(t *testing.T) {
	r := newRig(t)
	r.commit("g", "", -1, 10, "a", 0, 5)
	q := kmsg.NewOffsetFetchRequestGroup()
	q.Group, q.MemberEpoch = "g", -1
	q.Topics = []kmsg.OffsetFetchRequestGroupTopic{{TopicID: idOf("a"), Partitions: []int32{0, 1}}, {TopicID: idOf("zz"), Partitions: []int32{0}}}
	got := r.s.fetchOffsets(10, &q, false)
	if p := got.Topics[0].Partitions; p[0].Offset != 5 || p[1].Offset != -1 || p[1].LeaderEpoch != -1 || *p[1].Metadata != "" {
		t.Fatalf("%+v", got.Topics[0])
	}
	if got.Topics[1].Partitions[0].ErrorCode != codeUnknownTopicID {
		t.Fatalf("%+v", got.Topics[1])
	}
	// The topic is deleted and made anew while the shard did not hear of it.
	again := *r.img.topics["a"]
	again.ID = idOf("a2")
	r.img.topics["a"] = &again
	q.Topics = q.Topics[:1]
	q.Topics[0].TopicID = again.ID
	if got := r.s.fetchOffsets(10, &q, false); got.Topics[0].Partitions[0].Offset != -1 {
		t.Fatalf("an offset of the old topic is shown: %+v", got.Topics[0].Partitions[0])
	}
}

func TestTransactions(t *testing.T) {
	r := newRig(t)
	r.commit("g", "", -1, 7, "a", 0, 1)
	if code := r.txnCommit("g", 7, "a", 0, 10); code != 0 {
		t.Fatalf("code %d", code)
	}
	if got, _ := r.offset("g", "a", 0, false); got != 1 {
		t.Fatalf("a pending offset is shown: %d", got)
	}
	if _, code := r.offset("g", "a", 0, true); code != codeUnstableOffsetCommit {
		t.Fatalf("stable fetch: %d", code)
	}
	if got, code := r.offset("g", "a", 1, true); got != -1 || code != 0 {
		t.Fatalf("another partition: %d %d", got, code)
	}
	r.sameAfterReload()
	r.endTxn(7, true)
	if got, code := r.offset("g", "a", 0, true); got != 10 || code != 0 {
		t.Fatalf("after the commit: %d %d", got, code)
	}
	r.sameAfterReload()
	r.txnCommit("g", 7, "a", 0, 20)
	r.txnCommit("h", 7, "b", 1, 20)
	r.endTxn(7, false)
	if got, code := r.offset("g", "a", 0, true); got != 10 || code != 0 {
		t.Fatalf("after the abort: %d %d", got, code)
	}
	if _, ok := r.s.groups["h"].offsets[topicPartition{"b", 1}]; ok {
		t.Fatal("an aborted offset stayed")
	}
	r.sameAfterReload()
}

func TestCommitOvertakesATransaction(t *testing.T) {
	r := newRig(t)
	r.txnCommit("g", 7, "a", 0, 10)
	r.commit("g", "", -1, 7, "a", 0, 99)
	r.sameAfterReload()
	r.endTxn(7, true)
	if got, _ := r.offset("g", "a", 0, true); got != 99 {
		t.Fatalf("offset %d: the marker undid a later commit", got)
	}
	r.sameAfterReload()
}

func TestTxnCommitRefusedByTheLogChangesNothing(t *testing.T) {
	for err, want := range map[error]int16{
		logstore.ErrProducerEpoch: codeInvalidProducerEpoch,
		logstore.ErrTxnState:      codeInvalidTxnState,
		logstore.ErrOffline:       codeNotCoordinator,
	} {
		r := newRig(t)
		r.txnErr = err
		if got := r.txnCommit("g", 7, "a", 0, 10); got != want {
			t.Errorf("%v: code %d, want %d", err, got, want)
		}
		if len(r.s.groups) != 0 || len(r.s.pending) != 0 {
			t.Errorf("%v: the state changed", err)
		}
	}
}

func TestTxnCommitChecksTheMember(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 1)
	one := "one"
	for _, c := range []struct {
		name     string
		version  int16
		group    string
		member   string
		instance *string
		gen      int32
		want     int16
	}{
		{"no member", 3, "g", "", nil, -1, codeNone},
		{"the member", 3, "g", ids[0], nil, gen, codeNone},
		{"v2 knows no members", 2, "g", "whoever", nil, 99, codeNone},
		{"old generation", 3, "g", ids[0], nil, gen - 1, codeIllegalGeneration},
		{"unknown member", 3, "g", "x", nil, gen, codeUnknownMemberID},
		{"unknown instance", 3, "g", ids[0], &one, gen, codeUnknownMemberID},
		{"unknown group", 3, "nope", "x", nil, 3, codeIllegalGeneration},
	} {
		q := kmsg.NewPtrTxnOffsetCommitRequest()
		q.Version, q.Group, q.MemberID, q.InstanceID, q.Generation, q.ProducerID = c.version, c.group, c.member, c.instance, c.gen, 5
		q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "a", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 0}}}, {Topic: "nope", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 0}}}}
		resp := kmsg.NewPtrTxnOffsetCommitResponse()
		if err := r.s.commitTxnOffsets(r.now, q, logstore.Unguarded, resp); err != nil {
			t.Fatal(err)
		}
		want := [2]int16{c.want, c.want}
		if c.want == codeNone {
			want[1] = codeUnknownTopicOrPartition
		}
		if got := [2]int16{resp.Topics[0].Partitions[0].ErrorCode, resp.Topics[1].Partitions[0].ErrorCode}; got != want {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}

// TestOffsetDeleteOfPending: to delete an offset that only a transaction would
// commit is to delete it, whatever becomes of the transaction, and for good.
func TestOffsetDeleteOfPending(t *testing.T) {
	r := newRig(t)
	r.commit("g", "", -1, 7, "b", 0, 1) // the group is there
	if code := r.txnCommit("g", 7, "a", 0, 10); code != 0 {
		t.Fatal(code)
	}
	q := kmsg.NewPtrOffsetDeleteRequest()
	q.Group = "g"
	q.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "a", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
	if resp := r.s.deleteOffsets(q); resp.ErrorCode != 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	r.settle()
	if err := r.s.appendMarker(r.now, 7, 0, 0, true, false); err != nil {
		t.Fatal(err)
	}
	r.s.endTransaction(7, true)
	if got, code := r.offset("g", "a", 0, true); got != -1 || code != 0 {
		t.Fatalf("offset %d, code %d after the deletion", got, code)
	}
	r.sameAfterReload()
}

// TestDeletedTopicOfAnotherID: the end of a topic takes the offsets of that
// topic, and not those of the one that has its name now.
func TestDeletedTopicOfAnotherID(t *testing.T) {
	r := newRig(t)
	r.commit("g", "", -1, 10, "a", 0, 5) // v10 names topics by id
	gone := idOf("a")
	gone[15] = 77
	r.s.topicsChanged(&topicChange{touched: map[string]bool{"a": true}, deleted: map[string]topicID{"a": gone}})
	r.settle()
	if got, _ := r.offset("g", "a", 0, false); got != 5 {
		t.Fatalf("offset %d after an older topic of the name was deleted", got)
	}
	r.s.topicsChanged(&topicChange{touched: map[string]bool{"a": true}, deleted: map[string]topicID{"a": idOf("a")}})
	r.settle()
	if got, _ := r.offset("g", "a", 0, false); got != -1 {
		t.Fatalf("offset %d after the topic was deleted", got)
	}
}

func TestOffsetDelete(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 1) // subscribes to a
	r.commit("g", ids[0], gen, 7, "a", 0, 1)
	r.commit("g", ids[0], gen, 7, "b", 0, 1)
	del := func(group, topic string) (int16, int16) {
		q := kmsg.NewPtrOffsetDeleteRequest()
		q.Group = group
		q.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}}}
		resp := r.s.deleteOffsets(q)
		if resp.ErrorCode != 0 {
			return resp.ErrorCode, 0
		}
		return 0, resp.Topics[0].Partitions[0].ErrorCode
	}
	if top, part := del("g", "a"); top != 0 || part != codeGroupSubscribedToTopic {
		t.Fatalf("%d %d", top, part)
	}
	if top, part := del("g", "b"); top != 0 || part != 0 {
		t.Fatalf("%d %d", top, part)
	}
	if top, _ := del("nope", "b"); top != codeGroupIDNotFound {
		t.Fatalf("%d", top)
	}
	if got, _ := r.offset("g", "b", 0, false); got != -1 {
		t.Fatalf("offset %d", got)
	}
	r.sameAfterReload()
	connect := func(q *kmsg.JoinGroupRequest) { q.ProtocolType = "connect" }
	r.stable("c", 1, connect)
	if top, _ := del("c", "b"); top != codeNonEmptyGroup {
		t.Fatalf("a group of another protocol with members: %d", top)
	}
}

func TestExpiry(t *testing.T) {
	week := 7 * 24 * time.Hour
	t.Run("simple group: since the commit", func(t *testing.T) {
		r := newRig(t)
		r.commit("g", "", -1, 7, "a", 0, 1)
		r.advance(week - time.Hour)
		r.commit("g", "", -1, 7, "a", 1, 1)
		r.advance(2 * time.Hour)
		if got, _ := r.offset("g", "a", 0, false); got != -1 {
			t.Error("an old offset stayed")
		}
		if got, _ := r.offset("g", "a", 1, false); got != 1 {
			t.Error("a young offset went")
		}
		r.sameAfterReload()
		r.advance(week)
		if len(r.s.groups) != 0 {
			t.Error("an empty group stayed")
		}
		r.sameAfterReload()
	})
	t.Run("members: only topics nobody subscribes to", func(t *testing.T) {
		r := newRig(t)
		r.cfg.maxSession = 1000 * time.Hour
		long := func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 1 << 30 }
		ids, gen := r.stable("g", 1, long)
		r.commit("g", ids[0], gen, 7, "a", 0, 1)
		r.commit("g", ids[0], gen, 7, "b", 0, 1)
		r.advance(week + time.Hour)
		if got, _ := r.offset("g", "a", 0, false); got != 1 {
			t.Error("a subscribed topic's offset went")
		}
		if got, _ := r.offset("g", "b", 0, false); got != -1 {
			t.Error("an offset of a topic nobody subscribes to stayed")
		}
	})
	t.Run("empty group: since it became empty", func(t *testing.T) {
		r := newRig(t)
		long := func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 1 << 30 }
		ids, gen := r.stable("g", 1, long)
		r.commit("g", ids[0], gen, 7, "a", 0, 1)
		r.advance(week - time.Hour)
		r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: ids[0]})
		r.boot() // the time is in the log
		r.advance(week - time.Hour)
		if got, _ := r.offset("g", "a", 0, false); got != 1 {
			t.Error("the offset went too early")
		}
		r.advance(2 * time.Hour)
		if len(r.s.groups) != 0 {
			t.Error("the group stayed")
		}
		r.sameAfterReload()
	})
	t.Run("members of KIP-848: only topics nobody subscribes to, since the commit", func(t *testing.T) {
		r := newRig(t)
		r.cfg.consumerSession = 1000 * time.Hour
		m := r.member("g", "m", "a")
		m.mustBeat()
		for _, topic := range []string{"a", "b"} {
			if code := r.commit("g", "m", m.epoch, 9, topic, 0, 1); code != codeNone {
				t.Fatal(code)
			}
		}
		r.advance(week - time.Hour)
		for _, topic := range []string{"a", "b"} {
			if got, _ := r.offset("g", topic, 0, false); got != 1 {
				t.Errorf("the offset of %s went too early", topic)
			}
		}
		r.advance(2 * time.Hour)
		if got, _ := r.offset("g", "a", 0, false); got != 1 {
			t.Error("a subscribed topic's offset went")
		}
		if got, _ := r.offset("g", "b", 0, false); got != -1 {
			t.Error("an offset of a topic nobody subscribes to stayed")
		}
		// Without members it counts from the commit too, not from the leave.
		if code := m.leave(epochLeave); code != codeNone {
			t.Fatal(code)
		}
		r.advance(time.Hour)
		if len(r.s.groups) != 0 {
			t.Error("the empty group stayed")
		}
		r.sameAfterReload()
	})
	t.Run("retention of the request's own", func(t *testing.T) {
		r := newRig(t)
		q := kmsg.NewPtrOffsetCommitRequest()
		q.Version, q.Group, q.Generation, q.RetentionTimeMillis = 2, "g", -1, 1000
		q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "a", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: 9}}}}
		r.s.commitOffsets(r.now, q, kmsg.NewPtrOffsetCommitResponse())
		r.sameAfterReload()
		r.advance(11 * time.Minute)
		if got, _ := r.offset("g", "a", 0, false); got != -1 {
			t.Error("the offset stayed")
		}
	})
	t.Run("pending offsets hold theirs", func(t *testing.T) {
		r := newRig(t)
		r.commit("g", "", -1, 7, "a", 0, 1)
		r.txnCommit("g", 7, "a", 0, 2)
		r.advance(week + time.Hour)
		if got, _ := r.offset("g", "a", 0, false); got != 1 {
			t.Error("an offset with an open transaction went")
		}
	})
}

func TestDeletedTopicsTakeTheirOffsets(t *testing.T) {
	r := newRig(t)
	r.commit("g", "", -1, 7, "a", 0, 1)
	r.commit("g", "", -1, 7, "b", 0, 1)
	r.txnCommit("h", 7, "a", 0, 2)
	r.s.topicsChanged(&topicChange{touched: map[string]bool{"a": true}, deleted: map[string]topicID{"a": idOf("a")}})
	r.settle()
	if got, _ := r.offset("g", "a", 0, false); got != -1 {
		t.Error("an offset of a deleted topic stayed")
	}
	if got, _ := r.offset("g", "b", 0, false); got != 1 {
		t.Error("another topic's offset went")
	}
	r.endTxn(7, true)
	if got, _ := r.offset("h", "a", 0, false); got != -1 {
		t.Error("a transaction brought an offset of a deleted topic back")
	}
	r.sameAfterReload()
}

func TestPartition(t *testing.T) {
	// String.hashCode, by hand: "polygenelubricants" is Integer.MIN_VALUE.
	for id, want := range map[string]int32{"": 0, "a": 97 % 50, "ab": (97*31 + 98) % 50, "polygenelubricants": 0, "\U0001F600": 1772899 % 50} {
		if got := Partition(id, 50); got != want {
			t.Errorf("%q: %d, want %d", id, got, want)
		}
	}
}

// TestOffsetsAreCounted: a partition that is read again does not count its
// offsets twice.
func TestOffsetsAreCounted(t *testing.T) {
	r := newRig(t)
	want := func(n int64) {
		t.Helper()
		if got := r.s.stats.offsets.Load(); got != n {
			t.Errorf("%d offsets are counted, want %d", got, n)
		}
	}
	for partition := range int32(3) {
		r.commit("g", "", -1, 9, "a", partition, 5)
	}
	want(3)
	r.commit("g", "", -1, 9, "a", 0, 6)
	want(3)
	r.s.lost(ErrUnavailable)
	want(0)
}

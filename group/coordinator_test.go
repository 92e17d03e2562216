package group

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// world is a coordinator on a cluster and a store.
type world struct {
	t       testing.TB
	fs      vfs.FS
	store   *logstore.Store
	cluster *cluster.Cluster
	mu      sync.Mutex
	logs    []*logstore.Log // mu
	c       *Coordinator
	running sync.WaitGroup
	static  map[string]string
}

const worldPartitions = 4

func openWorld(t testing.TB, fs vfs.FS, dir string, static map[string]string) *world {
	t.Helper()
	w := &world{t: t, fs: fs, static: static}
	start := func(_ string, f func()) { w.running.Go(f) }
	var err error
	w.store, err = logstore.Open(logstore.Options{
		Dirs: []string{dir}, FS: fs, Go: start, JournalMax: 16 << 20,
		OnCommit: func(_ []logstore.Advance, done []logstore.Done) {
			for _, d := range done {
				if !cluster.Done(d) {
					ShardDone(d)
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.cluster, err = cluster.Open(cluster.Options{Store: w.store, NodeID: 1, Go: start, Static: static}); err != nil {
		t.Fatal(err)
	}
	w.openLogs()
	if err := w.store.Ready(func(string, logstore.TopicID, int32) bool { return true }); err != nil {
		t.Fatal(err)
	}
	w.c = New(Options{
		Cluster: w.cluster, Go: start, Now: time.Now,
		Log: func(p int32) *logstore.Log {
			w.mu.Lock()
			defer w.mu.Unlock()
			if int(p) < len(w.logs) {
				return w.logs[p]
			}
			return nil
		},
		EnsureTopic: func() error { w.topic(OffsetsTopic, worldPartitions); w.openLogs(); return nil },
		Describable: func(Client, string) bool { return true },
	})
	w.cluster.Subscribe(w.c.TopicsChanged)
	return w
}

// openLogs opens the offsets topic's logs if there is a topic.
func (w *world) openLogs() {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.cluster.Image().Topic(OffsetsTopic)
	for p := int32(len(w.logs)); t != nil && p < t.Partitions; p++ {
		log, err := w.store.OpenLog(logstore.LogSpec{Topic: OffsetsTopic, ID: t.ID, Partition: p, Config: w.cluster.LogConfig(OffsetsTopic), Internal: true})
		if err != nil {
			w.t.Error(err)
			return
		}
		w.logs = append(w.logs, log)
	}
}

func (w *world) topic(name string, partitions int32) {
	err := w.cluster.Commit(w.t.Context(), func(img *cluster.Image) ([]cluster.Record, error) {
		if img.Topic(name) != nil {
			return nil, nil
		}
		return []cluster.Record{cluster.TopicRecord{Name: name, ID: cluster.NewTopicID(), Partitions: partitions}}, nil
	})
	if err != nil {
		w.t.Error(err)
	}
}

func (w *world) close() {
	w.c.Close()
	if err := errors.Join(w.cluster.Close(), w.store.Close()); err != nil {
		w.t.Log(err)
	}
	w.running.Wait()
}

// await waits for an answer.
func await[T any](ask func(done func(T))) T {
	ch := make(chan T, 1)
	ask(func(v T) { ch <- v })
	return <-ch
}

// retry asks until the coordinator serves.
func (w *world) commit(group, member string, gen int32, topic string, partition int32, offset int64) int16 {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group, q.MemberID, q.Generation = 8, group, member, gen
	q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: partition, Offset: offset}}}}
	for {
		resp := await(func(done func(*kmsg.OffsetCommitResponse)) { w.c.OffsetCommit(q, nil, done) })
		code := resp.Topics[0].Partitions[0].ErrorCode
		if code != codeCoordinatorLoading && code != codeCoordinatorNotAvailable {
			return code
		}
		runtime.Gosched()
	}
}

func (w *world) fetch(group, topic string, partition int32) (int64, int16) {
	q := kmsg.NewOffsetFetchRequestGroup()
	q.Group, q.MemberEpoch = group, -1
	q.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: []int32{partition}}}
	for {
		resp := await(func(done func(*kmsg.OffsetFetchResponseGroup)) { w.c.OffsetFetchGroup(testClient, 8, &q, true, done) })
		if resp.ErrorCode == codeCoordinatorLoading || resp.ErrorCode == codeCoordinatorNotAvailable {
			runtime.Gosched()
			continue
		}
		if resp.ErrorCode != 0 {
			return -1, resp.ErrorCode
		}
		return resp.Topics[0].Partitions[0].Offset, resp.Topics[0].Partitions[0].ErrorCode
	}
}

// TestNoAnsweredCommitIsLost: groups commit from many goroutines, the power
// goes, and what was answered is there.
func TestNoAnsweredCommitIsLost(t *testing.T) {
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(5, 6))
	var last [16]atomic.Int64
	for i := range last {
		last[i].Store(-1)
	}
	for life := range 4 {
		w := openWorld(t, fs, "/data", nil)
		w.topic("t", 4)
		for i := range last {
			group := fmt.Sprintf("group-%d", i)
			got, code := w.fetch(group, "t", 1)
			if code != 0 || got < last[i].Load() {
				t.Fatalf("life %d: %s has offset %d (code %d), %d was answered", life, group, got, code, last[i].Load())
			}
			last[i].Store(got)
		}
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for i := range last {
			wg.Go(func() {
				for n := last[i].Load() + 1; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if w.commit(fmt.Sprintf("group-%d", i), "", -1, "t", 1, n) != 0 {
						return
					}
					last[i].Store(n)
				}
			})
		}
		for last[0].Load() < int64(40*(life+1)) {
			runtime.Gosched()
		}
		// What is answered before the picture is taken must be in it.
		var want [16]int64
		for i := range last {
			want[i] = last[i].Load()
		}
		after := fs.Crash(rng, vfs.CrashOptions{})
		close(stop)
		wg.Wait()
		w.close()
		for i := range last {
			last[i].Store(want[i])
		}
		fs = after
	}
}

// TestLifeOfAGroup goes through the public surface: no topic yet, a group of
// two, commits, a clean restart, list, describe, delete.
func TestLifeOfAGroup(t *testing.T) {
	fs := vfs.NewMem()
	w := openWorld(t, fs, "/data", map[string]string{"group.initial.rebalance.delay.ms": "0"})
	w.topic("t", 4)
	if got := await(func(done func(*kmsg.ListGroupsResponse)) {
		w.c.ListGroups(testClient, kmsg.NewPtrListGroupsRequest(), done)
	}); got.ErrorCode != 0 || len(got.Groups) != 0 {
		t.Fatalf("%+v", got)
	}
	join := func(id string) *kmsg.JoinGroupResponse {
		q := kmsg.NewPtrJoinGroupRequest()
		q.Version, q.Group, q.MemberID, q.ProtocolType = 9, "g", id, "consumer"
		q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 30000, 30000
		protocols("range")(q)
		for {
			resp := await(func(done func(*kmsg.JoinGroupResponse)) { w.c.JoinGroup(testClient, q, done) })
			if resp.Version != 9 {
				t.Fatalf("version %d", resp.Version)
			}
			if resp.ErrorCode != codeCoordinatorNotAvailable && resp.ErrorCode != codeCoordinatorLoading {
				return resp
			}
			runtime.Gosched()
		}
	}
	id := join("").MemberID
	j := join(id)
	if j.ErrorCode != 0 || j.LeaderID != id {
		t.Fatalf("%+v", j)
	}
	sq := kmsg.NewPtrSyncGroupRequest()
	sq.Version, sq.Group, sq.MemberID, sq.Generation = 5, "g", id, j.Generation
	sq.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: id, MemberAssignment: []byte("all")}}
	if s := await(func(done func(*kmsg.SyncGroupResponse)) { w.c.SyncGroup(testClient, sq, done) }); s.ErrorCode != 0 || string(s.MemberAssignment) != "all" {
		t.Fatalf("%+v", s)
	}
	if code := w.commit("g", id, j.Generation, "t", 0, 9); code != 0 {
		t.Fatal(code)
	}
	for _, c := range []struct {
		version int16
		session int32
		group   string
		want    int16
	}{{9, 30000, "", codeInvalidGroupID}, {9, 5999, "g", codeInvalidSessionTimeout}, {9, 1800001, "g", codeInvalidSessionTimeout}} {
		q := kmsg.NewPtrJoinGroupRequest()
		q.Version, q.Group, q.SessionTimeoutMillis = c.version, c.group, c.session
		if got := await(func(done func(*kmsg.JoinGroupResponse)) { w.c.JoinGroup(testClient, q, done) }); got.ErrorCode != c.want {
			t.Errorf("%+v: %d", c, got.ErrorCode)
		}
	}
	before := w.c.Stats()
	if before.Members != 1 || before.Groups[GroupState{"classic", "Stable"}] != 1 || before.Commits != 1 || before.Shards != worldPartitions {
		t.Fatalf("%+v", before)
	}
	w.close()
	// Closed, it refuses and does not hang.
	if code := await(func(done func(int16)) { w.c.DeleteGroup(testClient, "g", done) }); code != codeCoordinatorNotAvailable {
		t.Fatalf("closed: %d", code)
	}

	w = openWorld(t, fs, "/data", nil)
	defer w.close()
	if got, _ := w.fetch("g", "t", 0); got != 9 {
		t.Fatalf("offset %d after a restart", got)
	}
	hq := kmsg.NewPtrHeartbeatRequest()
	hq.Group, hq.MemberID, hq.Generation = "g", id, j.Generation
	if h := await(func(done func(*kmsg.HeartbeatResponse)) { w.c.Heartbeat(testClient, hq, done) }); h.ErrorCode != 0 {
		t.Fatalf("heartbeat after a restart: %d", h.ErrorCode)
	}
	d := await(func(done func(*kmsg.DescribeGroupsResponseGroup)) { w.c.DescribeGroup(testClient, 5, "g", done) })
	if d.State != "Stable" || len(d.Members) != 1 || string(d.Members[0].MemberAssignment) != "all" {
		t.Fatalf("%+v", d)
	}
	infos := w.c.Groups()
	if len(infos) != 1 || infos[0].ID != "g" || infos[0].Members != 1 || len(infos[0].Offsets) != 1 || infos[0].Offsets[0].Offset != 9 {
		t.Fatalf("%+v", infos)
	}
	lq := kmsg.NewPtrLeaveGroupRequest()
	lq.Version, lq.Group, lq.MemberID = 1, "g", id
	if l := await(func(done func(*kmsg.LeaveGroupResponse)) { w.c.LeaveGroup(testClient, lq, done) }); l.ErrorCode != 0 {
		t.Fatalf("%+v", l)
	}
	if l := await(func(done func(*kmsg.LeaveGroupResponse)) { w.c.LeaveGroup(testClient, lq, done) }); l.ErrorCode != codeUnknownMemberID {
		t.Fatalf("v1 has the member's error at the top: %+v", l)
	}
	if code := await(func(done func(int16)) { w.c.DeleteGroup(testClient, "g", done) }); code != 0 {
		t.Fatal(code)
	}
	if got, _ := w.fetch("g", "t", 0); got != -1 {
		t.Fatalf("offset %d of a deleted group", got)
	}
}

// TestTopicDeletionReachesOffsets: the metadata's change is enough.
func TestTopicDeletionReachesOffsets(t *testing.T) {
	w := openWorld(t, vfs.NewMem(), "/data", nil)
	defer w.close()
	w.topic("t", 1)
	if code := w.commit("g", "", -1, "t", 0, 5); code != 0 {
		t.Fatal(code)
	}
	err := w.cluster.Commit(t.Context(), func(img *cluster.Image) ([]cluster.Record, error) {
		return []cluster.Record{cluster.TopicRemovedRecord{ID: img.Topic("t").ID}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := w.fetch("g", "t", 0); got != -1 {
		t.Fatalf("offset %d of a deleted topic", got)
	}
}

// TestGroupConfig: a group's own session timeout and heartbeat interval.
func TestGroupConfig(t *testing.T) {
	w := openWorld(t, vfs.NewMem(), "/data", nil)
	defer w.close()
	w.topic("t", 2)
	err := w.cluster.Commit(t.Context(), func(*cluster.Image) ([]cluster.Record, error) {
		return []cluster.Record{cluster.ConfigRecord{Resource: cluster.Resource{Type: cluster.ResourceGroup, Name: "g"},
			Key: "consumer.heartbeat.interval.ms", Value: "7000"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Version, q.MemberID, q.RebalanceTimeoutMillis, q.SubscribedTopicNames, q.Topics = 1, "m", 1000, []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for group, want := range map[string]int32{"g": 7000, "other": 5000} {
		q := *q
		q.Group = group
		for {
			resp := await(func(done func(*kmsg.ConsumerGroupHeartbeatResponse)) {
				w.c.ConsumerGroupHeartbeat(testClient, &q, done)
			})
			if resp.ErrorCode == codeCoordinatorLoading || resp.ErrorCode == codeCoordinatorNotAvailable {
				runtime.Gosched()
				continue
			}
			if resp.ErrorCode != 0 || resp.HeartbeatIntervalMillis != want {
				t.Fatalf("%s: %+v", group, resp)
			}
			break
		}
	}
	d := await(func(done func(*kmsg.ConsumerGroupDescribeResponseGroup)) {
		w.c.ConsumerGroupDescribe(testClient, "g", done)
	})
	if d.State != "Stable" || len(d.Members) != 1 || len(d.Members[0].Assignment.TopicPartitions) != 1 {
		t.Fatalf("%+v", d)
	}
	d = await(func(done func(*kmsg.ConsumerGroupDescribeResponseGroup)) {
		w.c.ConsumerGroupDescribe(testClient, "nope", done)
	})
	if d.ErrorCode != codeGroupIDNotFound || d.ErrorMessage == nil || *d.ErrorMessage != "There is no group nope." {
		t.Fatalf("%+v", d)
	}
}

// BenchmarkOffsetCommit commits from 64 clients, each waiting for its answer,
// to a real directory.
func BenchmarkOffsetCommit(b *testing.B) {
	w := openWorld(b, nil, b.TempDir(), nil)
	defer w.close()
	w.topic("t", 4)
	w.commit("warm", "", -1, "t", 0, 1)
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			group := fmt.Sprintf("group-%d", i)
			var mine []time.Duration
			for next.Add(1) <= int64(b.N) {
				began := time.Now()
				if code := w.commit(group, "", -1, "t", 0, next.Load()); code != 0 {
					b.Error(code)
					return
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// TestMarkers: a transaction's offsets are shown when its marker says commit, and
// forgotten when it says abort, in this life and in the next.
func TestMarkers(t *testing.T) {
	fs := vfs.NewMem()
	w := openWorld(t, fs, "/data", nil)
	w.topic("t", 1)
	if code := w.commit("g", "", -1, "t", 0, 1); code != 0 {
		t.Fatal(code)
	}
	partition := Partition("g", worldPartitions)
	want := func(offset int64) {
		t.Helper()
		if got, code := w.fetch("g", "t", 0); got != offset || code != 0 {
			t.Fatalf("offset %d (code %d), want %d", got, code, offset)
		}
	}
	for i, commit := range []bool{false, true, false} {
		before, _ := w.fetch("g", "t", 0)
		q := kmsg.NewPtrTxnOffsetCommitRequest()
		q.Version, q.Group, q.Generation, q.ProducerID, q.ProducerEpoch = 3, "g", -1, 7, 0
		q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 0, Offset: int64(10 * (i + 1))}}}}
		resp := await(func(done func(*kmsg.TxnOffsetCommitResponse)) { w.c.TxnOffsetCommit(q, logstore.Unguarded, done) })
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatal(code)
		}
		if _, code := w.fetch("g", "t", 0); code != codeUnstableOffsetCommit {
			t.Fatalf("code %d while the transaction is open", code)
		}
		if err := await(func(done func(error)) { w.c.CompleteTransaction(partition, 7, 0, 0, commit, false, done) }); err != nil {
			t.Fatal(err)
		}
		after := before
		if commit {
			after = int64(10 * (i + 1))
		}
		want(after)
		w.close()
		w = openWorld(t, fs, "/data", nil)
		want(after)
	}
	w.close()
}

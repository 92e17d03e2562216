package group

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
)

// rig is one shard's state without a shard: the test is the clock, the log and
// the disk.
type rig struct {
	t       testing.TB
	s       *state
	out     *Outbox
	timers  *Deadlines
	cfg     *settings
	img     *topicSet
	now     time.Time
	log     []entry
	ids     int
	txnErr  error // what the log says to the next transactional append
	resolve []func(now time.Time)
	denied  map[string]bool
}

// entry is a record or a marker of the rig's log.
type entry struct {
	rec    Record
	marker bool
	commit bool
}

type topicSet struct {
	topics  map[string]*cluster.Topic
	version int64
}

func (s *topicSet) Topic(name string) *cluster.Topic { return s.topics[name] }
func (s *topicSet) TopicByID(id topicID) *cluster.Topic {
	for _, t := range s.topics {
		if t.ID == id {
			return t
		}
	}
	return nil
}
func (s *topicSet) Topics() []*cluster.Topic {
	var ts []*cluster.Topic
	for _, name := range slices.Sorted(maps.Keys(s.topics)) {
		ts = append(ts, s.topics[name])
	}
	return ts
}

func idOf(name string) (id topicID) {
	copy(id[:], name)
	id[15] = 1
	return id
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, cfg: defaultSettings(), now: time.UnixMilli(1_700_000_000_000), denied: map[string]bool{}}
	r.cfg.initialDelay = 0
	r.img = &topicSet{topics: map[string]*cluster.Topic{}, version: 1}
	r.topic("a", 4)
	r.topic("b", 2)
	r.boot()
	return r
}

func (r *rig) topic(name string, partitions int32) {
	r.img.version++
	id := idOf(name)
	if old := r.img.topics[name]; old != nil {
		id = old.ID
	}
	r.img.topics[name] = &cluster.Topic{Name: name, ID: id, Partitions: partitions}
}

// boot makes a state of the log, as a start does.
func (r *rig) boot() {
	r.out, r.timers = &Outbox{}, &Deadlines{}
	r.s = newState(r.out, r.timers, &counters{})
	s := r.s
	s.cfg = func() *settings { return r.cfg }
	s.img = func() (catalog, int64) { return r.img, r.img.version }
	s.newID = func() string { r.ids++; return fmt.Sprintf("%08d", r.ids) }
	s.appendTxn = func(now time.Time, id int64, epoch int16, _ logstore.Guard, box *Outbox) error {
		if r.txnErr != nil {
			return r.txnErr
		}
		r.take()
		for i := range box.records {
			rec := box.record(i)
			r.log = append(r.log, entry{rec: Record{Key: bytes.Clone(rec.Key), Value: cloneValue(rec.Value), ProducerID: id, ProducerEpoch: epoch}})
		}
		return nil
	}
	s.appendMarker = func(now time.Time, id int64, epoch int16, coordinatorEpoch int32, commit, _ bool) error {
		if r.txnErr != nil {
			return r.txnErr
		}
		r.take()
		r.log = append(r.log, entry{rec: Record{ProducerID: id, ProducerEpoch: epoch}, marker: true, commit: commit})
		return nil
	}
	s.resolve = func(c Client, patterns []string, done func(time.Time, map[string]resolvedRegex)) {
		found := matchTopics(patterns, r.img, r.img.version, func(t string) bool { return !r.denied[t] }, r.now)
		r.resolve = append(r.resolve, func(now time.Time) { done(now, found) })
	}
	for i := range r.log {
		e := &r.log[i]
		if e.marker {
			s.endTransaction(e.rec.ProducerID, e.commit)
			continue
		}
		if err := s.replay(&e.rec); err != nil {
			r.t.Fatalf("replay: %v", err)
		}
	}
	s.loaded(r.now)
	r.settle()
}

func cloneValue(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// take moves the outbox's records into the log.
func (r *rig) take() {
	for i := range r.out.records {
		rec := r.out.record(i)
		r.log = append(r.log, entry{rec: Record{Key: bytes.Clone(rec.Key), Value: cloneValue(rec.Value), ProducerID: -1}})
	}
	r.out.reset()
}

// settle makes everything durable and answers.
func (r *rig) settle() {
	for !r.out.Empty() {
		r.take()
		answers := r.out.answers
		r.out.answers = nil
		for _, a := range answers {
			a(nil)
		}
	}
}

// advance moves the clock, firing what is due on the way.
func (r *rig) advance(d time.Duration) {
	end := r.now.Add(d)
	for {
		at, ok := r.timers.Next()
		if !ok || at.After(end) {
			break
		}
		if at.After(r.now) {
			r.now = at
		}
		for r.timers.RunOne(r.now) {
			r.settle()
		}
	}
	r.now = end
	r.settle()
}

func (r *rig) runResolves() {
	fs := r.resolve
	r.resolve = nil
	for _, f := range fs {
		f(r.now)
		r.settle()
	}
}

var testClient = Client{ID: "cl", Host: netip.MustParseAddr("127.0.0.1"), Principal: "User:x"}

// answer holds what done got.
type answer[T any] struct {
	v    T
	n    int
	rig  *rig
	what string
}

func (a *answer[T]) done(v T) { a.v, a.n = v, a.n+1 }

func (a *answer[T]) get() T {
	a.rig.t.Helper()
	a.rig.settle()
	if a.n != 1 {
		a.rig.t.Fatalf("%s: answered %d times, want once", a.what, a.n)
	}
	return a.v
}

func (a *answer[T]) waits() {
	a.rig.t.Helper()
	a.rig.settle()
	if a.n != 0 {
		a.rig.t.Fatalf("%s: answered %+v, should wait", a.what, a.v)
	}
}

type joinOpt func(*kmsg.JoinGroupRequest)

func instance(id string) joinOpt {
	return func(q *kmsg.JoinGroupRequest) { q.InstanceID = &id }
}
func protocols(names ...string) joinOpt {
	return func(q *kmsg.JoinGroupRequest) {
		q.Protocols = nil
		for _, n := range names {
			q.Protocols = append(q.Protocols, kmsg.JoinGroupRequestProtocol{Name: n, Metadata: subscribe("a")})
		}
	}
}
func topics(names ...string) joinOpt {
	return func(q *kmsg.JoinGroupRequest) {
		for i := range q.Protocols {
			q.Protocols[i].Metadata = subscribe(names...)
		}
	}
}
func version(v int16) joinOpt { return func(q *kmsg.JoinGroupRequest) { q.Version = v } }

func subscribe(topics ...string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics = 1, topics
	return m.AppendTo(nil)
}

func (r *rig) join(group, id string, opts ...joinOpt) *answer[*kmsg.JoinGroupResponse] {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Version, q.Group, q.MemberID, q.ProtocolType = 9, group, id, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 10_000, 60_000
	protocols("range")(q)
	for _, o := range opts {
		o(q)
	}
	a := &answer[*kmsg.JoinGroupResponse]{rig: r, what: "join of " + id}
	r.s.join(r.now, testClient, q, a.done)
	return a
}

// enter joins a new dynamic member: the id first, then the join itself.
func (r *rig) enter(group string, opts ...joinOpt) (string, *answer[*kmsg.JoinGroupResponse]) {
	r.t.Helper()
	first := r.join(group, "", opts...).get()
	if first.ErrorCode != codeMemberIDRequired {
		r.t.Fatalf("first join: code %d, want MEMBER_ID_REQUIRED", first.ErrorCode)
	}
	return first.MemberID, r.join(group, first.MemberID, opts...)
}

func (r *rig) sync(group, id string, generation int32, assign map[string]string) *answer[*kmsg.SyncGroupResponse] {
	q := kmsg.NewPtrSyncGroupRequest()
	q.Version, q.Group, q.MemberID, q.Generation = 5, group, id, generation
	for _, m := range slices.Sorted(maps.Keys(assign)) {
		q.GroupAssignment = append(q.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m, MemberAssignment: []byte(assign[m])})
	}
	a := &answer[*kmsg.SyncGroupResponse]{rig: r, what: "sync of " + id}
	r.s.sync(r.now, q, a.done)
	return a
}

func (r *rig) beat(group, id string, generation int32) int16 {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.MemberID, q.Generation = group, id, generation
	code := r.s.heartbeat(r.now, q)
	r.settle()
	return code
}

func (r *rig) leave(group string, members ...kmsg.LeaveGroupRequestMember) *kmsg.LeaveGroupResponse {
	a := &answer[*kmsg.LeaveGroupResponse]{rig: r, what: "leave"}
	r.s.leave(r.now, group, members, a.done)
	return a.get()
}

func (r *rig) commit(group, member string, epoch int32, version int16, topic string, partition int32, offset int64) int16 {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group, q.MemberID, q.Generation, q.RetentionTimeMillis = version, group, member, epoch, -1
	meta := "m"
	t := kmsg.OffsetCommitRequestTopic{Topic: topic, TopicID: idOf(topic)}
	t.Partitions = []kmsg.OffsetCommitRequestTopicPartition{{Partition: partition, Offset: offset, LeaderEpoch: 3, Timestamp: -1, Metadata: &meta}}
	q.Topics = []kmsg.OffsetCommitRequestTopic{t}
	resp := kmsg.NewPtrOffsetCommitResponse()
	r.s.commitOffsets(r.now, q, resp)
	r.settle()
	return resp.Topics[0].Partitions[0].ErrorCode
}

func (r *rig) txnCommit(group string, producer int64, topic string, partition int32, offset int64) int16 {
	q := kmsg.NewPtrTxnOffsetCommitRequest()
	q.Version, q.Group, q.ProducerID, q.ProducerEpoch, q.Generation = 3, group, producer, 0, -1
	q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: topic, TopicID: idOf(topic),
		Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: partition, Offset: offset, LeaderEpoch: -1}}}}
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	if err := r.s.commitTxnOffsets(r.now, q, logstore.Unguarded, resp); err != nil {
		r.t.Fatalf("txn commit: %v", err)
	}
	r.settle()
	return resp.Topics[0].Partitions[0].ErrorCode
}

func (r *rig) endTxn(producer int64, commit bool) {
	if err := r.s.appendMarker(r.now, producer, 0, 0, commit, false); err != nil {
		r.t.Fatal(err)
	}
	r.s.endTransaction(producer, commit)
	r.settle()
}

// offset fetches one offset.
func (r *rig) offset(group, topic string, partition int32, stable bool) (int64, int16) {
	q := kmsg.NewOffsetFetchRequestGroup()
	q.Group, q.MemberEpoch = group, -1
	q.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: []int32{partition}}}
	resp := r.s.fetchOffsets(8, &q, stable)
	r.settle()
	if resp.ErrorCode != 0 {
		return -1, resp.ErrorCode
	}
	p := resp.Topics[0].Partitions[0]
	return p.Offset, p.ErrorCode
}

// stable makes a classic group of n dynamic members, each assigned "as-<i>",
// and gives their ids, the leader first.
func (r *rig) stable(group string, n int, opts ...joinOpt) ([]string, int32) {
	r.t.Helper()
	r.cfg.initialDelay = time.Second
	var ids []string
	var joins []*answer[*kmsg.JoinGroupResponse]
	for range n {
		id, j := r.enter(group, opts...)
		ids, joins = append(ids, id), append(joins, j)
	}
	for joins[0].n == 0 {
		r.advance(time.Second)
	}
	r.cfg.initialDelay = 0
	gen := joins[0].get().Generation
	assign := map[string]string{}
	for i, id := range ids {
		assign[id] = fmt.Sprintf("as-%d", i)
	}
	for i := n - 1; i >= 0; i-- {
		var as map[string]string
		if joins[i].get().LeaderID == ids[i] {
			as = assign
		}
		a := r.sync(group, ids[i], gen, as)
		if as != nil {
			if code := a.get().ErrorCode; code != 0 {
				r.t.Fatalf("sync of the leader: %d", code)
			}
		}
	}
	return ids, gen
}

// dump is everything lasting about the state, to compare two of them.
func (s *state) dump() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[id]
		fmt.Fprintf(&b, "group %s\n", id)
		if c := g.classic; c != nil {
			fmt.Fprintf(&b, " classic\n")
			if c.state == classicStable {
				fmt.Fprintf(&b, " gen=%d type=%q\n", c.generation, c.protocolType)
			}
			if c.state == classicStable {
				fmt.Fprintf(&b, " leader=%s protocol=%s topics=%v\n", c.leader, c.protocolName(), slices.Sorted(maps.Keys(c.topics)))
				for _, m := range slices.SortedFunc(maps.Values(c.members), func(a, b *classicMember) int { return strings.Compare(a.id, b.id) }) {
					fmt.Fprintf(&b, "  %s %s %v %v %x %x\n", m.id, m.instanceID, m.session, m.rebalance, m.metadata(c.protocolName()), m.assignment)
				}
			}
		}
		if c := g.consumer; c != nil {
			fmt.Fprintf(&b, " consumer epoch=%d hash=%d target=%d at=%d\n", c.epoch, c.hash, c.targetEpoch, c.targetAtMs)
			for _, m := range c.sorted() {
				fmt.Fprintf(&b, "  %s %+v classic=%v cur=%d/%d/%d %s\n", m.id, strings.Join(m.sub.topics, ","), m.classic(), m.cur.epoch, m.cur.previous, m.cur.state, m.sub.instanceID+"|"+m.sub.regex+"|"+m.sub.assignor)
				fmt.Fprintf(&b, "   has %v gives %v target %v\n", show(m.cur.assigned), show(m.cur.revoking), c.targets[m.id])
			}
			for _, p := range c.sortedRegexes() {
				fmt.Fprintf(&b, "  regex %s %v\n", p, c.regexes[p])
			}
			fmt.Fprintf(&b, "  owners %v topics %v\n", show(c.owners), c.topics)
		}
		for _, at := range sortedPartitions(g.offsets) {
			o := g.offsets[at]
			fmt.Fprintf(&b, "  offset %v %d %d %q %d %d %x\n", at, o.offset, o.leaderEpoch, o.metadata, o.commitMs, o.expireMs, o.topicID)
		}
		for _, at := range sortedPartitions(g.open) {
			fmt.Fprintf(&b, "  open %v %d\n", at, g.open[at])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.pending)) {
		fmt.Fprintf(&b, "pending %d %d\n", id, len(s.pending[id]))
	}
	return b.String()
}

func show(o owned) string {
	var b strings.Builder
	for _, id := range o.topics() {
		if len(o[id]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%x:", id[:2])
		for _, p := range o.partitions(id) {
			fmt.Fprintf(&b, "%d@%d ", p, o[id][p])
		}
	}
	return b.String()
}

func sortedPartitions[V any](m map[topicPartition]V) []topicPartition {
	return slices.SortedFunc(maps.Keys(m), func(a, b topicPartition) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.partition - b.partition)
	})
}

// sameAfterReload loads the log into a second state and compares.
func (r *rig) sameAfterReload() {
	r.t.Helper()
	r.settle()
	before := r.s.dump()
	other := *r
	other.log = slices.Clone(r.log)
	other.boot()
	if after := other.s.dump(); after != before {
		r.t.Fatalf("the state changed by a reload\nbefore:\n%s\nafter:\n%s", before, after)
	}
}

// defaultSettings is Kafka's defaults (GroupCoordinatorConfig.java).
func defaultSettings() *settings {
	return &settings{
		minSession: 6 * time.Second, maxSession: 30 * time.Minute,
		initialDelay: 3 * time.Second, maxSize: 1<<31 - 1,
		offsetMetadataMax: 4096, offsetsRetention: 7 * 24 * time.Hour, retentionCheck: 10 * time.Minute,
		consumerMaxSize: 1<<31 - 1, consumerSession: 45 * time.Second, consumerHeartbeat: 5 * time.Second,
		assignmentInterval: time.Second, regexRefresh: 10 * time.Minute,
		assignors: []string{assignorUniform, assignorRange},
		upgrade:   true, downgrade: true,
		maxRecord: maxBatch,
	}
}

func (a assignment) size() (n int) {
	for _, p := range a {
		n += len(p)
	}
	return n
}

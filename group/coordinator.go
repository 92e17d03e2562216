package group

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// OffsetsTopic holds groups and offsets.
const OffsetsTopic = "__consumer_offsets"

// Options of a Coordinator.
type Options struct {
	Cluster *cluster.Cluster
	// Log gives a partition of __consumer_offsets, or nil when it is not open.
	Log func(partition int32) *logstore.Log
	// EnsureTopic creates __consumer_offsets when it does not exist. Waits; it
	// is called from a goroutine of its own.
	EnsureTopic func() error
	// Describable reports whether a principal may describe a topic (KIP-848
	// regular expressions are resolved against what the member may see). Any
	// goroutine.
	Describable func(c Client, topic string) bool
	Now         func() time.Time
	Go          func(name string, f func())
	Logger      *slog.Logger
}

// Coordinator serves groups. Every method returns at once and calls done
// exactly once, from any goroutine, when the answer may be given: what it
// tells is then durable. done must not wait. Requests for an unloaded shard
// are answered with COORDINATOR_LOAD_IN_PROGRESS.
//
// A request belongs to the coordinator until done is called; its strings must
// be its own (kmsg's ReadFrom, not UnsafeReadFrom), its byte slices may alias
// a buffer that lives until then.
//
// Authorisation is the caller's and has happened; topics that were refused are
// not in the request any more.
type Coordinator struct {
	o        Options
	counters counters
	cfg      atomic.Pointer[versionedSettings]
	shards   atomic.Pointer[[]*groupShard]

	mu      sync.Mutex // guards changes of shards
	closed  bool       // mu
	wanted  atomic.Bool
	workers sync.WaitGroup
}

// groupShard is a shard and its state.
type groupShard struct {
	*Shard
	state *state
}

// New starts a coordinator; the shards begin to read their logs.
func New(o Options) *Coordinator {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Coordinator{o: o}
	c.shards.Store(&[]*groupShard{})
	c.openShards(o.Cluster.Image())
	return c
}

// openShards starts the shards that the topic's partitions ask for, and ends
// all when the topic is gone.
func (c *Coordinator) openShards(img *cluster.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	have := *c.shards.Load()
	t := img.Topic(OffsetsTopic)
	if t == nil {
		if len(have) > 0 {
			c.shards.Store(&[]*groupShard{})
			c.spawn("group-close", func() { closeShards(have) })
		}
		return
	}
	next := append([]*groupShard(nil), have...)
	for p := int32(len(have)); p < t.Partitions; p++ {
		next = append(next, c.newShard(p))
	}
	c.shards.Store(&next)
}

func (c *Coordinator) newShard(partition int32) *groupShard {
	g := &groupShard{}
	s := newState(new(Outbox), new(Deadlines), &c.counters) // the shard's own follow below
	g.state = s
	s.cfg = c.settings
	s.img = func() (catalog, int64) {
		img := c.o.Cluster.Image()
		return img, img.Version
	}
	s.newID = newMemberID
	s.resolve = func(cl Client, patterns []string, done func(time.Time, map[string]resolvedRegex)) {
		c.resolve(g, cl, patterns, done)
	}
	s.appendTxn = func(now time.Time, id int64, epoch int16, guard logstore.Guard, records *Outbox) error {
		return g.AppendTransaction(now, id, epoch, guard, records)
	}
	s.appendMarker = func(now time.Time, id int64, epoch int16, coordinatorEpoch int32, commit, v2 bool) error {
		return g.AppendMarker(now, record.Marker{ProducerID: id, ProducerEpoch: epoch, Commit: commit, CoordinatorEpoch: coordinatorEpoch}, v2)
	}
	began := c.o.Now()
	g.Shard = NewShard(ShardOptions{
		Name:   fmt.Sprintf("group-%d", partition),
		Log:    func() *logstore.Log { return c.o.Log(partition) },
		Replay: s.replay,
		Marker: s.endTransaction,
		Loaded: func(now time.Time) {
			s.loaded(now)
			c.counters.loads.Add(1)
			c.counters.loadNanos.Add(int64(c.o.Now().Sub(began)))
		},
		Lost: func(err error) {
			began = c.o.Now()
			s.lost(err)
		},
		Now: c.o.Now, Go: c.o.Go, Logger: c.o.Logger,
	})
	s.out, s.deadlines = &g.Out, &g.Deadlines
	g.Start()
	return g
}

// newMemberID is a random UUID in the form Kafka's clients and tools know.
func newMemberID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// resolve finds topics on a goroutine of its own and posts what it found.
func (c *Coordinator) resolve(g *groupShard, cl Client, patterns []string, done func(time.Time, map[string]resolvedRegex)) {
	c.spawn("group-regex", func() {
		c.counters.regexRuns.Add(1)
		img := c.o.Cluster.Image()
		found := matchTopics(patterns, img, img.Version, func(topic string) bool { return c.o.Describable(cl, topic) }, c.o.Now())
		post := func(now time.Time) error {
			done(now, found)
			return nil
		}
		if err := g.Do(post, nil); err != nil {
			// A full mailbox or a reload: the group is, or will be, without the
			// mark that a resolution runs, or tries again with the next one.
			c.o.Logger.Debug("resolved patterns could not be handed over", "error", err)
		}
	})
}

func (c *Coordinator) spawn(name string, f func()) {
	c.workers.Add(1)
	c.o.Go(name, func() {
		defer c.workers.Done()
		f()
	})
}

// Partition is the __consumer_offsets partition of a group id: Java's string
// hash, made positive as Kafka's Utils.abs does it.
func Partition(groupID string, partitions int32) int32 {
	var h int32
	for _, r := range groupID {
		if r >= 1<<16 { // a surrogate pair
			h = 31*h + int32(0xd800+(r-1<<16)>>10)
			r = 0xdc00 + (r-1<<16)&0x3ff
		}
		h = 31*h + r
	}
	switch {
	case h == math.MinInt32:
		h = 0
	case h < 0:
		h = -h
	}
	if partitions <= 0 {
		return 0
	}
	return h % partitions
}

// recordable: the record schemas hold a group id with a 16-bit length.
func recordable(group string) bool { return len(group) <= math.MaxInt16 }

// validGroup: only offsets may be kept under the empty id.
func validGroup(group string) bool { return group != "" && recordable(group) }

// all is every shard.
func (c *Coordinator) all() []*groupShard { return *c.shards.Load() }

// run runs op on the group's shard; fail gets a code when that cannot be.
func (c *Coordinator) run(group string, op func(s *state, now time.Time) error, fail func(code int16)) {
	c.runHere(group, nil, op, fail)
}

// runHere is run for a short op, by a caller that calls logstore.Store.Lead when
// lead was called; nil: by any other (see Shard.DoHere).
func (c *Coordinator) runHere(group string, lead func(), op func(s *state, now time.Time) error, fail func(code int16)) {
	shards := c.all()
	if len(shards) == 0 {
		c.wantTopic()
		fail(codeCoordinatorNotAvailable)
		return
	}
	shards[Partition(group, int32(len(shards)))].do(lead, op, fail)
}

func (c *Coordinator) runAt(partition int32, op func(s *state, now time.Time) error, fail func(err error)) {
	shards := c.all()
	if partition < 0 || int(partition) >= len(shards) {
		fail(ErrUnavailable)
		return
	}
	g := shards[partition]
	if err := g.Do(func(now time.Time) error { return op(g.state, now) }, fail); err != nil {
		fail(err)
	}
}

func (g *groupShard) do(lead func(), op func(s *state, now time.Time) error, fail func(code int16)) {
	err := g.DoHere(func(now time.Time) error { return op(g.state, now) }, func(err error) { fail(codeOf(err)) }, lead)
	if err != nil {
		fail(codeOf(err))
	}
}

// wantTopic has the offsets topic created, once at a time.
func (c *Coordinator) wantTopic() {
	if c.o.EnsureTopic == nil || !c.wanted.CompareAndSwap(false, true) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.spawn("group-topic", func() {
		defer c.wanted.Store(false)
		if err := c.o.EnsureTopic(); err != nil {
			c.o.Logger.Warn("the offsets topic could not be created", "topic", OffsetsTopic, "error", err)
			return
		}
		c.openShards(c.o.Cluster.Image())
	})
}

// TopicsChanged tells that topics were created, grew or were deleted. It does
// not wait.
func (c *Coordinator) TopicsChanged(old, new *cluster.Image) {
	if old.Topic(OffsetsTopic) != new.Topic(OffsetsTopic) {
		c.openShards(new)
	}
	ch := compareTopics(old, new)
	if ch.empty() {
		return
	}
	for _, g := range c.all() {
		post := func(now time.Time) error {
			g.state.topicsChanged(ch)
			return nil
		}
		if err := g.Do(post, nil); err != nil {
			// A shard that loads reads the metadata afterwards; offsets of
			// deleted topics that are left expire.
			c.o.Logger.Debug("a partition was not told of changed topics", "error", err)
		}
	}
}

// Ready reports whether every shard has read its log.
func (c *Coordinator) Ready() bool {
	for _, g := range c.all() {
		if !g.Ready() {
			return false
		}
	}
	return true
}

// Done routes the store's finished appends of __consumer_offsets; it reports
// whether the token was the coordinator's. It does not wait.
func (c *Coordinator) Done(d logstore.Done) bool { return ShardDone(d) }

// Close stops every shard; no goroutine is left.
func (c *Coordinator) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	shards := c.all()
	c.shards.Store(&[]*groupShard{})
	c.mu.Unlock()
	closeShards(shards)
	c.workers.Wait()
}

func closeShards(shards []*groupShard) {
	for _, g := range shards {
		g.Close()
	}
}

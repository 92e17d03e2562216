package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore"
)

func openOn(t testing.TB, log *memLog, o Options, unclean bool) *Cluster {
	t.Helper()
	if o.NodeID == 0 {
		o.NodeID = 1
	}
	if o.Go == nil {
		o.Go = func(_ string, f func()) { go f() }
	}
	c, err := open(o, log, unclean)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		log.setHold(false)
		_ = c.Close() // a test that cares has closed it before
	})
	return c
}

func commit(t testing.TB, c *Cluster, records ...Record) {
	t.Helper()
	if err := c.Commit(context.Background(), func(*Image) ([]Record, error) { return records, nil }); err != nil {
		t.Fatal(err)
	}
}

func named(name string) TopicRecord {
	r := topicRecord(name, 1)
	r.ID = NewTopicID()
	return r
}

func TestFirstStart(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{NodeID: 3}, false)
	img := c.Image()
	if len(img.ClusterID) != 22 || img.NodeID != 3 || img.EpochBase != 0 {
		t.Errorf("cluster %q node %d epoch base %d", img.ClusterID, img.NodeID, img.EpochBase)
	}
	want := map[string]int16{"metadata.version": 30, "transaction.version": 2, "group.version": 1, "eligible.leader.replicas.version": 1}
	if !reflect.DeepEqual(img.Features, want) {
		t.Errorf("features %v, want %v", img.Features, want)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := openOn(t, log, Options{NodeID: 3}, false)
	if got := plain(again.Image()); !reflect.DeepEqual(got, plain(img)) {
		t.Errorf("after a restart %v, was %v", got, plain(img))
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{NodeID: 4}, {NodeID: 3, ClusterID: "other"}} {
		o.Go = func(string, func()) { t.Error("a goroutine was started") }
		if _, err := open(o, log, false); err == nil || !strings.Contains(err.Error(), "belongs to") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if c := openOn(t, newMemLog(t), Options{ClusterID: "mine"}, false); c.Image().ClusterID != "mine" {
		t.Errorf("cluster id %q", c.Image().ClusterID)
	}
}

func TestUncleanStartRaisesTheEpoch(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{}, false)
	commit(t, c, named("t"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for want := int32(1); want <= 3; want++ {
		c = openOn(t, log, Options{}, true)
		if got := c.Image().Epoch(c.Image().Topic("t"), 0); got != want || log.epoch != want {
			t.Errorf("epoch %d, the log's %d, want %d", got, log.epoch, want)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c = openOn(t, log, Options{}, false)
	if got := c.Image().EpochBase; got != 3 || log.epoch != 3 {
		t.Errorf("after a clean start the epoch base is %d", got)
	}
}

// TestCommitWaitsForTheDisk: nothing is seen before its sync, not even by the
// one whose check refused because of it.
func TestCommitWaitsForTheDisk(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{}, false)
	log.setHold(true)
	var order []string
	var mu sync.Mutex
	note := func(s string) { mu.Lock(); order = append(order, s); mu.Unlock() }
	c.Subscribe(func(old, new *Image) {
		if old.Version+1 != new.Version || c.Image() != new {
			t.Errorf("from version %d to %d", old.Version, new.Version)
		}
		note(fmt.Sprint("seen ", new.Version))
	})
	first, second, refused := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	appended := make(chan struct{})
	go func() {
		err := c.Commit(context.Background(), func(*Image) ([]Record, error) {
			close(appended)
			return []Record{named("a")}, nil
		})
		note("first")
		first <- err
	}()
	<-appended
	exists := errors.New("exists")
	checked := make(chan struct{})
	go func() {
		refused <- c.Commit(context.Background(), func(img *Image) ([]Record, error) {
			defer close(checked)
			if img.Topic("a") == nil {
				t.Error("the check does not see the change before it")
			}
			return nil, exists
		})
	}()
	<-checked
	go func() {
		second <- c.Commit(context.Background(), func(img *Image) ([]Record, error) { return []Record{named("b")}, nil })
	}()
	if c.Image().Topic("a") != nil {
		t.Error("a change is visible before it is durable")
	}
	select {
	case err := <-first:
		t.Errorf("Commit returned before the sync: %v", err)
	case err := <-refused:
		t.Errorf("a refusal was told before its reason was durable: %v", err)
	default:
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Commit(ctx, func(*Image) ([]Record, error) { return nil, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	log.setHold(false)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
	if err := <-refused; !errors.Is(err, exists) {
		t.Errorf("refused with %v", err)
	}
	if c.Image().Topic("a") == nil || c.Image().Topic("b") == nil {
		t.Error("a change is not in the image after Commit")
	}
	mu.Lock()
	defer mu.Unlock()
	if order[0] != "seen 2" || len(order) != 3 {
		t.Errorf("order %v", order)
	}
}

// TestCommitGivesUp: a context that ends while the disk works ends the wait and
// not the change.
func TestCommitGivesUp(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{}, false)
	log.setHold(true)
	ctx, cancel := context.WithCancel(context.Background())
	err := c.Commit(ctx, func(*Image) ([]Record, error) {
		cancel()
		return []Record{named("a")}, nil
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "not known") {
		t.Errorf("%v", err)
	}
	log.setHold(false)
	commit(t, c, named("b"))
	if c.Image().Topic("a") == nil {
		t.Error("the change that was appended is not in the image")
	}
}

func TestRefusedAppendChangesNothing(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{MaxPartitions: 3}, false)
	before := c.Image()
	log.mu.Lock()
	log.refuse = logstore.ErrBusy
	log.mu.Unlock()
	one := func(r ...Record) error {
		return c.Commit(context.Background(), func(*Image) ([]Record, error) { return r, nil })
	}
	if err := one(named("a")); !errors.Is(err, logstore.ErrBusy) {
		t.Errorf("%v", err)
	}
	log.mu.Lock()
	log.refuse = nil
	log.mu.Unlock()
	if c.Image() != before {
		t.Error("the image changed")
	}
	if err := one(named("a"), named("a")); err == nil {
		t.Error("two topics of one name were taken")
	}
	if err := one(topicRecord("big", 4)); !errors.Is(err, ErrTooManyPartitions) {
		t.Errorf("%v", err)
	}
	if err := one(named("a")); err != nil || c.Image().Topic("a") == nil {
		t.Errorf("after the refusals: %v", err)
	}
	if err := c.Commit(context.Background(), nil); err != nil {
		t.Error(err)
	}
}

func TestBrokenDiskFailsAll(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{}, false)
	log.setHold(true)
	log.mu.Lock()
	log.broken = errBroken
	log.mu.Unlock()
	results := make(chan error, 5)
	for i := range cap(results) {
		go func() {
			results <- c.Commit(context.Background(), func(*Image) ([]Record, error) {
				return []Record{named(fmt.Sprint("t", i))}, nil
			})
		}()
	}
	log.setHold(false)
	for range cap(results) {
		if err := <-results; !errors.Is(err, errBroken) {
			t.Errorf("%v", err)
		}
	}
	if n := len(c.Image().Topics()); n != 0 {
		t.Errorf("%d topics are visible", n)
	}
	if err := c.Close(); !errors.Is(err, errBroken) {
		t.Errorf("Close: %v", err)
	}
	if err := c.Commit(context.Background(), func(*Image) ([]Record, error) { return nil, nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestPanickingSubscriber: nobody waits for ever, and the cluster takes nothing.
func TestPanickingSubscriber(t *testing.T) {
	log := newMemLog(t)
	recovered := make(chan any, 1)
	c := openOn(t, log, Options{Go: func(_ string, f func()) {
		go func() {
			defer func() {
				if r := recover(); r != nil {
					recovered <- r
				}
			}()
			f()
		}()
	}}, false)
	c.Subscribe(func(_, new *Image) {
		if new.Topic("bad") != nil {
			panic("a subscriber's bug")
		}
	})
	for _, name := range []string{"bad", "after"} {
		err := c.Commit(context.Background(), func(*Image) ([]Record, error) { return []Record{named(name)}, nil })
		if err == nil || !strings.Contains(err.Error(), "has ended") {
			t.Errorf("%s: %v", name, err)
		}
	}
	<-recovered
}

func TestProducerIDs(t *testing.T) {
	log := newMemLog(t)
	seen := map[int64]bool{}
	var last int64 = -1
	for range 3 {
		c := openOn(t, log, Options{}, false)
		for _, n := range []int64{1, 10, 995, 1, 2500} {
			first, err := c.AllocateProducerIDs(context.Background(), n)
			if err != nil {
				t.Fatal(err)
			}
			if first <= last {
				t.Errorf("id %d after %d", first, last)
			}
			for id := first; id < first+n; id++ {
				if seen[id] {
					t.Fatalf("id %d twice", id)
				}
				seen[id] = true
			}
			last = first + n - 1
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c := openOn(t, log, Options{}, false)
	if _, err := c.AllocateProducerIDs(context.Background(), 0); err == nil {
		t.Error("no ids were allocated")
	}
	syncs := log.syncs
	for range 1000 {
		if _, err := c.AllocateProducerIDs(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if log.syncs != syncs+1 {
		t.Errorf("a thousand ids took %d syncs", log.syncs-syncs)
	}
}

// TestSnapshots writes far more than a snapshot's bound and looks at what is
// left of the log, and at what a start makes of it.
func TestSnapshots(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{SnapshotBytes: 4000}, false)
	for i := range 300 {
		commit(t, c, named(fmt.Sprintf("t-%03d", i)), set(Resource{ResourceTopic, fmt.Sprintf("t-%03d", i)}, "retention.ms", fmt.Sprint(i)))
		if i%3 == 0 {
			commit(t, c, TopicRemovedRecord{ID: c.Image().Topic(fmt.Sprintf("t-%03d", i)).ID})
		}
	}
	c.trims.Wait()
	if log.start == 0 {
		t.Error("the log was never trimmed")
	}
	// A snapshot that is not durable must not cost the log before it.
	log.setHold(true)
	start, last := log.start, (*pending)(nil)
	for i := range 200 {
		var err error
		if last, err = c.submit(func(*Image) ([]Record, error) { return []Record{named(fmt.Sprint("u-", i))}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	c.trims.Wait()
	if log.start != start {
		t.Error("the log was trimmed before its snapshot was durable")
	}
	log.setHold(false)
	<-last.ready
	want := plain(c.Image())
	c.trims.Wait()
	if log.start == start {
		t.Error("the log was not trimmed after its snapshot was durable")
	}
	kill := openOn(t, log.crash(t, rand.New(rand.NewPCG(1, 1))), Options{}, false)
	if got := plain(kill.Image()); !reflect.DeepEqual(got, want) {
		t.Error("after a crash the image differs")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(log.batches); n != 1 {
		t.Errorf("after Close the log holds %d batches, want the snapshot's one", n)
	}
	again := openOn(t, log, Options{}, false)
	if got := plain(again.Image()); !reflect.DeepEqual(got, want) {
		t.Error("after a restart the image differs")
	}
	end := log.end
	if err := again.Close(); err != nil || log.end != end {
		t.Errorf("a start without a change wrote a snapshot: %v", err)
	}
}

// TestSnapshotInParts has an image larger than a part, and loses the disk
// between the parts.
func TestSnapshotInParts(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{}, false)
	long := strings.Repeat("x", 100_000)
	for i := range 20 {
		commit(t, c, set(Resource{ResourceGroup, fmt.Sprint("g", i)}, "k", long))
	}
	want := plain(c.Image())
	log.setHold(true)
	c.mu.Lock()
	err := c.snapshot()
	c.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	c.qmu.Lock()
	for i, p := range c.queue {
		if last := i == len(c.queue)-1; (p.trim >= 0) != last {
			t.Errorf("part %d of %d allows a trim to %d", i, len(c.queue), p.trim)
		}
	}
	c.qmu.Unlock()
	log.setHold(false)
	commit(t, c, ProducerIDsRecord{Next: 0}) // something to write a snapshot for
	want["version"] = c.Image().Version
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	parts := len(log.batches)
	if parts < 4 {
		t.Fatalf("the snapshot has %d parts", parts)
	}
	again := openOn(t, log, Options{}, false)
	if got := plain(again.Image()); !reflect.DeepEqual(got, want) {
		t.Error("the image differs after a snapshot in parts")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	// A trimmed log whose snapshot lacks its last part, or its first, is
	// refused: to go on would be to start from nothing.
	cut := log.crash(t, rand.New(rand.NewPCG(1, 1)))
	cut.batches, cut.bases, cut.durable = cut.batches[:parts-1], cut.bases[:parts-1], parts-1
	cut.end = cut.bases[parts-2] + 1
	r := newReplay(1)
	if err := r.read(cut); err == nil {
		t.Error("a log with half a snapshot was taken")
	}
	cut = log.crash(t, rand.New(rand.NewPCG(1, 1)))
	cut.batches, cut.bases, cut.durable = cut.batches[1:], cut.bases[1:], parts-1
	cut.start = cut.bases[0]
	if err := newReplay(1).read(cut); !errors.Is(err, ErrBadRecord) {
		t.Errorf("a log without its snapshot's first part: %v", err)
	}
}

// TestManyCommits: a thousand topics, each a commit of its own, share syncs.
func TestManyCommits(t *testing.T) {
	log := newMemLog(t)
	c := openOn(t, log, Options{}, false)
	seen := 0
	c.Subscribe(func(old, new *Image) {
		if len(new.Topics()) != len(old.Topics())+1 {
			t.Errorf("%d topics after %d", len(new.Topics()), len(old.Topics()))
		}
		seen++
	})
	start := time.Now()
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			name := fmt.Sprintf("t-%04d", i)
			if err := c.Commit(context.Background(), func(*Image) ([]Record, error) { return []Record{named(name)}, nil }); err != nil {
				t.Error(err)
			}
			if c.Image().Topic(name) == nil {
				t.Errorf("%s is not there after its commit", name)
			}
		})
	}
	all.Wait()
	t.Logf("a thousand topics took %v", time.Since(start))
	if seen != 1000 {
		t.Errorf("%d changes were told", seen)
	}
	checkIndexes(t, c.Image())
}

// TestCrashes kills the log at every change of a random history and keeps a
// random number of the batches that were not durable. What a Commit returned
// for is there; each other change is there whole or not at all, and none
// without those before it.
func TestCrashes(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		log := newMemLog(t)
		c := openOn(t, log, Options{SnapshotBytes: int64(1 + r.IntN(3000))}, false)
		images := []map[string]any{plain(c.Image())}
		acked := int64(1)
		held := false
		for i := range 20 {
			if r.IntN(4) == 0 && !held {
				held = true
				log.setHold(true)
			}
			name := fmt.Sprint("t", i)
			if i > 0 && r.IntN(3) == 0 {
				name = "gone"
			}
			p, err := c.submit(func(img *Image) ([]Record, error) {
				if topic := img.Topic(name); topic != nil {
					return []Record{TopicRemovedRecord{ID: topic.ID}}, nil
				}
				return []Record{named(name), set(Resource{ResourceTopic, name}, "a", "1"), set(Resource{ResourceTopic, name}, "b", "2")}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			images = append(images, plain(p.img))
			if !held {
				<-p.ready
				acked = p.img.Version
			}
			crashed := log.crash(t, r)
			rep := newReplay(1)
			if err := rep.read(crashed); err != nil {
				t.Fatalf("seed %d, change %d: %v", seed, i, err)
			}
			if v := rep.image.Version; v < acked {
				t.Fatalf("seed %d, change %d: version %d is back, %d was acknowledged", seed, i, v, acked)
			}
			if want := images[rep.image.Version-1]; !reflect.DeepEqual(plain(rep.image), want) {
				t.Fatalf("seed %d, change %d: version %d is %v, was %v", seed, i, rep.image.Version, plain(rep.image), want)
			}
			checkIndexes(t, rep.image)
		}
		log.setHold(false)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTypedGetters(t *testing.T) {
	c := openOn(t, newMemLog(t), Options{Static: map[string]string{
		"num.partitions": " 6 ", "auto.create.topics.enable": "FALSE", "group.consumer.assignors": "range", "log.cleaner.min.cleanable.ratio": "0.1",
	}}, false)
	if c.BrokerInt("num.partitions") != 6 || c.BrokerBool("auto.create.topics.enable") || !c.BrokerBool("delete.topic.enable") ||
		!reflect.DeepEqual(c.BrokerList("group.consumer.assignors"), []string{"range"}) || c.BrokerFloat("log.cleaner.min.cleanable.ratio") != 0.1 {
		t.Error("a static value is not read")
	}
	if c.BrokerMillis("connections.max.idle.ms") != 10*time.Minute || c.BrokerMillis("log.cleaner.max.compaction.lag.ms") != 1<<63-1 {
		t.Errorf("%v, %v", c.BrokerMillis("connections.max.idle.ms"), c.BrokerMillis("log.cleaner.max.compaction.lag.ms"))
	}
	commit(t, c, set(Resource{ResourceBroker, ""}, "message.max.bytes", "77"), named("t"), set(Resource{ResourceTopic, "t"}, "retention.ms", "5"),
		set(Resource{ResourceGroup, "g"}, "consumer.session.timeout.ms", "50000"))
	if c.BrokerInt("message.max.bytes") != 77 || c.LogConfig("t").MaxMessageBytes != 77 || c.LogConfig("t").RetentionMs != 5 {
		t.Error("a dynamic value is not read")
	}
	if c.Topic("t", "retention.ms") != "5" || c.Group("g", "consumer.session.timeout.ms") != "50000" || c.TopicConfig("t")["max.message.bytes"] != "77" {
		t.Error("a resource's value is not read")
	}
	if c.Broker("no.such.key") != "" || c.Broker("log.retention.ms") != "" || c.BrokerInt("log.retention.ms") != 0 {
		t.Error("null is not empty")
	}
}

func TestCheckSet(t *testing.T) {
	c := openOn(t, newMemLog(t), Options{}, false)
	commit(t, c, named("t"))
	topic, group := Resource{ResourceTopic, "t"}, Resource{ResourceGroup, "g"}
	for _, r := range []struct {
		res  Resource
		set  map[string]string
		says string
	}{
		{topic, map[string]string{"min.compaction.lag.ms": "5", "max.compaction.lag.ms": "5"}, ""},
		{topic, map[string]string{"min.compaction.lag.ms": "6", "max.compaction.lag.ms": "5"}, "max.compaction.lag.ms, which is 5"},
		{topic, map[string]string{"retention.ms": "x"}, "retention.ms"},
		{group, map[string]string{"consumer.session.timeout.ms": "45000"}, ""},
		{group, map[string]string{"consumer.session.timeout.ms": "44999"}, "group.consumer.min.session.timeout.ms, which is 45000"},
		{group, map[string]string{"consumer.session.timeout.ms": "60001"}, "group.consumer.max.session.timeout.ms"},
		{group, map[string]string{"streams.num.standby.replicas": "3"}, "group.streams.max.standby.replicas"},
		{group, map[string]string{"share.auto.offset.reset": "earliest"}, ""},
		{Resource{ResourceClientMetrics, ""}, map[string]string{"interval.ms": "100"}, "needs a name"},
		{Resource{ResourceBroker, "1"}, map[string]string{"num.partitions": "2"}, "when the broker starts"},
		{Resource{ResourceBroker, ""}, map[string]string{"log.retention.ms": "5"}, ""},
	} {
		err := c.CheckSet(c.Image(), r.res, r.set)
		if (err == nil) != (r.says == "") || err != nil && !strings.Contains(err.Error(), r.says) {
			t.Errorf("%v %v: %v, want %q", r.res, r.set, err, r.says)
		}
	}
}

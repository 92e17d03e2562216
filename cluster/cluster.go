package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/chronik-stream/chronik/logstore"
)

// Options of a Cluster.
type Options struct {
	// Store holds the metadata log. Its Options.OnCommit must hand tokens to
	// [Done] from the start, since Open commits.
	Store *logstore.Store
	// NodeID and ClusterID; an empty ClusterID is made at first start and kept.
	NodeID    int32
	ClusterID string
	Rack      string
	// Static is the broker's static configuration (flags, -c, file), by Kafka
	// key, checked with [CheckStatic]. It is kept and must not be changed.
	Static map[string]string
	// MaxPartitions bounds the partitions of all topics. Default 200,000.
	MaxPartitions int
	// SnapshotBytes is how much log is written before a snapshot is, as long as
	// the last snapshot is smaller than half of it. Default 4 MiB.
	SnapshotBytes int64
	Logger        *slog.Logger
	// Go starts a goroutine; required. The broker passes the one function that
	// recovers.
	Go func(name string, f func())
}

// Cluster is the metadata log and its image. All methods are for any goroutine.
//
// Locks, in the order they are taken: mu, then qmu. Neither is taken by Done,
// which runs on the store's committer.
type Cluster struct {
	nodeID  int32
	nodeKey string // nodeID as a resource name
	rack    string
	static  map[string]string
	logger  *slog.Logger
	start   func(name string, f func())
	limits  struct {
		partitions    int
		snapshotBytes int64
	}
	log metadataLog

	image atomic.Pointer[Image]

	// mu is the commit lock: it makes check, Append and head one step.
	mu sync.Mutex
	// head is the newest image, perhaps not durable yet. mu.
	head *Image
	// last is the newest pending change, or nil. mu.
	last *pending
	// since is the bytes appended since the last snapshot and size that
	// snapshot's bytes. mu.
	since, size int64
	// closed refuses changes. mu.
	closed bool

	// qmu guards queue and failed.
	qmu   sync.Mutex
	queue []*pending
	// failed is why nothing can be committed any more.
	failed error

	// wake tells the publisher to look at the queue.
	wake chan struct{}
	// stop ends the publisher, which closes stopped.
	stop, stopped chan struct{}
	// stopOnce closes stopped.
	stopOnce func()
	// trims counts the trim that runs, if any.
	trims sync.WaitGroup

	subs subscribers
	ids  producerIDs
}

// metadataLog is what a Cluster needs of its *logstore.Log.
type metadataLog interface {
	Append(a *logstore.Append) (logstore.Appended, error)
	Read(r logstore.Read) (logstore.Slice, error)
	Offsets() logstore.Offsets
	DeleteRecords(before int64) (int64, error)
	SetEpoch(epoch int32)
}

var (
	// ErrClosed refuses a change after Close.
	ErrClosed = errors.New("cluster: the metadata log is closed")
	// ErrTooManyPartitions refuses a change that would pass Options.MaxPartitions.
	ErrTooManyPartitions = errors.New("cluster: the change would make more partitions than the broker allows")
	// ErrTooLarge refuses a change whose records do not fit one batch.
	ErrTooLarge = errors.New("cluster: the change is larger than one batch of the metadata log may be; make it in parts")
)

const (
	defaultMaxPartitions = 200_000
	defaultSnapshotBytes = 4 << 20
	// maxChange bounds one change's records in bytes.
	maxChange = 8 << 20
)

// metadataLogConfig keeps everything: only a snapshot lets the log start move.
func metadataLogConfig() logstore.LogConfig {
	c := logstore.DefaultLogConfig()
	c.Delete, c.RetentionMs, c.RetentionBytes = false, -1, -1
	c.SegmentBytes = 16 << 20
	c.MaxMessageBytes = maxChange + 1<<20
	return c
}

// metadataTopicID is the id that Kafka reserves for __cluster_metadata.
var metadataTopicID = logstore.TopicID{15: 1}

// Open recovers the metadata log (topic __cluster_metadata, partition 0, on
// the store) and builds the image. It counts an unclean start into every
// partition's leader epoch with one record. It must run between the store's
// Open and its Ready.
func Open(o Options) (*Cluster, error) {
	log, err := o.Store.OpenLog(logstore.LogSpec{
		Topic: MetadataTopic, ID: metadataTopicID, Config: metadataLogConfig(), Internal: true,
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: open the metadata log: %w", err)
	}
	return open(o, log, o.Store.Unclean())
}

// open is Open on any log.
func open(o Options, log metadataLog, unclean bool) (*Cluster, error) {
	c := &Cluster{
		nodeID: o.NodeID, nodeKey: nodeName(o.NodeID), rack: o.Rack, static: o.Static, logger: o.Logger, start: o.Go, log: log,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	c.limits.partitions, c.limits.snapshotBytes = o.MaxPartitions, o.SnapshotBytes
	if c.limits.partitions <= 0 {
		c.limits.partitions = defaultMaxPartitions
	}
	if c.limits.snapshotBytes <= 0 {
		c.limits.snapshotBytes = defaultSnapshotBytes
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	if c.start == nil {
		return nil, errors.New("cluster: Options.Go is nil; pass the function that starts goroutines")
	}
	c.stopOnce = sync.OnceFunc(func() { close(c.stopped) })
	c.ids.init()

	r := newReplay(o.NodeID)
	if err := r.read(log); err != nil {
		return nil, err
	}
	img := r.image
	img.stamp()
	c.since, c.size = r.since, r.size
	first, err := c.firstRecords(o, img, unclean)
	if err != nil {
		return nil, err
	}
	c.head = img
	c.image.Store(img)
	epoch := img.EpochBase
	if unclean && img.ClusterID != "" {
		epoch++
	}
	log.SetEpoch(epoch)
	c.start("cluster publisher", c.publish)
	if len(first) > 0 {
		err := c.Commit(context.Background(), func(*Image) ([]Record, error) { return first, nil })
		if err != nil {
			close(c.stop)
			return nil, fmt.Errorf("cluster: write the start to the metadata log: %w", err)
		}
	}
	return c, nil
}

// firstRecords is what this start has to write: a new cluster's identity and
// features, or the count of an unclean start.
func (c *Cluster) firstRecords(o Options, img *Image, unclean bool) ([]Record, error) {
	if img.ClusterID != "" {
		if o.ClusterID != "" && o.ClusterID != img.ClusterID {
			return nil, fmt.Errorf("cluster: the data directory belongs to cluster %s, and the broker was told to be of cluster %s; correct the cluster id or the data directory", img.ClusterID, o.ClusterID)
		}
		if o.NodeID != img.NodeID {
			return nil, fmt.Errorf("cluster: the data directory belongs to node %d, and the broker was told to be node %d (node.id); correct one of them", img.NodeID, o.NodeID)
		}
		if unclean {
			return []Record{EpochBumpRecord{Base: img.EpochBase + 1}}, nil
		}
		return nil, nil
	}
	id := o.ClusterID
	if id == "" {
		id = TopicIDString(NewTopicID())
	}
	records := []Record{ClusterRecord{ID: id, NodeID: o.NodeID}}
	for _, f := range Features {
		if f.Default > 0 {
			records = append(records, FeatureRecord{Name: f.Name, Level: f.Default})
		}
	}
	// A first start that died before this record was durable may have left
	// nothing else: there is no older epoch to pass.
	return records, nil
}

// Image is the current state. One atomic load; never nil.
func (c *Cluster) Image() *Image { return c.image.Load() }

// NodeID is this broker's node id.
func (c *Cluster) NodeID() int32 { return c.nodeID }

// Rack is this broker's rack, or "".
func (c *Cluster) Rack() string { return c.rack }

// Close refuses further changes, waits for those that are under way, writes a
// snapshot if anything changed since the last one, and ends the goroutines.
// Call it before the store's Close.
func (c *Cluster) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		<-c.stopped
		return nil
	}
	c.closed = true
	var err error
	if c.since > 0 {
		err = c.snapshot()
	}
	last := c.last
	c.mu.Unlock()
	if last != nil {
		<-last.ready
		if err == nil {
			err = last.err
		}
	}
	c.trims.Wait()
	close(c.stop)
	<-c.stopped
	if err != nil {
		return fmt.Errorf("cluster: write the snapshot at close: %w", err)
	}
	return nil
}

// LogState is the metadata log's leader epoch and offsets.
func (c *Cluster) LogState() (epoch int32, o logstore.Offsets) {
	return c.Image().EpochBase, c.log.Offsets()
}

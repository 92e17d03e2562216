package cluster

import (
	"context"
	"errors"
	"log/slog"

	"github.com/chronik-stream/chronik/logstore"
)

// This file fixes the package's surface before its insides exist; each piece
// moves to its own file with its implementation.

// Options of a Cluster.
type Options struct {
	Store *logstore.Store
	// NodeID and ClusterID; an empty ClusterID is made at first start and kept.
	NodeID    int32
	ClusterID string
	Rack      string
	// Static is the broker's static configuration (flags, -c, file), by Kafka key.
	Static map[string]string
	Logger *slog.Logger
	Go     func(name string, f func())
}

// Cluster is the metadata log and its image.
type Cluster struct{}

// Open recovers the metadata log (topic __cluster_metadata, partition 0, on
// the store) and builds the image. It counts an unclean start into every
// partition's leader epoch with one record.
func Open(o Options) (*Cluster, error) { return nil, errors.New("cluster: not built yet") }

// Image is the current state. Any goroutine, one atomic load.
func (c *Cluster) Image() *Image { return nil }

// Commit appends records as one atomic change and returns when it is durable
// and in the image. check, when not nil, runs under the commit lock with the
// newest image and may veto the change or return other records to write
// (compare-and-set). Waits: not on a loop.
func (c *Cluster) Commit(ctx context.Context, check func(*Image) ([]Record, error)) error {
	return nil
}

// Subscribe calls f after each change with the image before and after, in
// order, before Commit returns. f must be quick and must not Commit.
func (c *Cluster) Subscribe(f func(old, new *Image)) {}

// OnCommit routes the store's done tokens of the metadata log back to the
// cluster; broker calls it from Options.OnCommit. It reports whether the token
// was the cluster's.
func (c *Cluster) Done(d logstore.Done) bool { return false }

// AllocateProducerIDs hands out the first of n fresh producer ids; blocks of
// ids are reserved durably. Any goroutine; may wait once per block.
func (c *Cluster) AllocateProducerIDs(ctx context.Context, n int64) (first int64, err error) {
	return 0, nil
}

// Close writes a snapshot.
func (c *Cluster) Close() error { return nil }

// Record is one metadata record; the concrete types are in record_*.go:
// TopicRecord, TopicRemovedRecord, PartitionsRecord, ConfigRecord,
// FeatureRecord, ScramRecord, ACLRecord, ACLRemovedRecord, QuotaRecord,
// TokenRecord, ProducerIDsRecord, EpochBumpRecord, ClusterRecord.
type Record interface{ recordType() int16 }

package group

import (
	"net/netip"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
)

// This file fixes the package's surface before its insides exist; each piece
// moves to its own file with its implementation.

// Client is who sends a request.
type Client struct {
	ID        string
	Host      netip.Addr
	Principal string
	Listener  string
}

// Options of a Coordinator.
type Options struct {
	Cluster *cluster.Cluster
	// Log gives a partition of __consumer_offsets, or nil when it is not open.
	Log func(partition int32) *logstore.Log
	// EnsureTopic creates __consumer_offsets when it does not exist. Waits.
	EnsureTopic func() error
	// Describable reports whether a principal may describe a topic (KIP-848
	// regular expressions are resolved against what the member may see).
	Describable func(c Client, topic string) bool
	Now         func() time.Time
	Go          func(name string, f func())
}

// Coordinator serves groups. Every method returns at once and calls done
// exactly once, from any goroutine, when the answer may be given: what it
// tells is then durable. Requests for an unloaded shard are answered with
// COORDINATOR_LOAD_IN_PROGRESS.
//
// Authorisation is the caller's and has happened; topics that were refused are
// not in the request any more.
type Coordinator struct{}

// New starts a coordinator; Load begins to read the shards' logs.
func New(o Options) *Coordinator { return &Coordinator{} }

// Ready, Close, Stats …

// Partition is the __consumer_offsets partition of a group id.
func Partition(groupID string, partitions int32) int32 { return 0 }

func (c *Coordinator) JoinGroup(cl Client, r *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
}
func (c *Coordinator) SyncGroup(cl Client, r *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
}
func (c *Coordinator) Heartbeat(cl Client, r *kmsg.HeartbeatRequest, done func(*kmsg.HeartbeatResponse)) {
}
func (c *Coordinator) LeaveGroup(cl Client, r *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {
}

// OffsetCommit: topics unknown to the metadata are answered here.
func (c *Coordinator) OffsetCommit(cl Client, r *kmsg.OffsetCommitRequest, done func(*kmsg.OffsetCommitResponse)) {
}

// OffsetFetchGroup answers one group of an OffsetFetch of any version; a nil
// Topics means all. version decides about ids and error codes.
func (c *Coordinator) OffsetFetchGroup(cl Client, version int16, g *kmsg.OffsetFetchRequestGroup, requireStable bool, done func(*kmsg.OffsetFetchResponseGroup)) {
}
func (c *Coordinator) OffsetDelete(cl Client, r *kmsg.OffsetDeleteRequest, done func(*kmsg.OffsetDeleteResponse)) {
}

// TxnOffsetCommit stores offsets that become visible with the transaction's marker.
func (c *Coordinator) TxnOffsetCommit(cl Client, r *kmsg.TxnOffsetCommitRequest, done func(*kmsg.TxnOffsetCommitResponse)) {
}

// CompleteTransaction appends the marker to a partition of __consumer_offsets
// and applies or drops the producer's pending offsets. done gets nil when it
// is durable.
func (c *Coordinator) CompleteTransaction(partition int32, producerID int64, producerEpoch int16, coordinatorEpoch int32, commit bool, done func(error)) {
}

func (c *Coordinator) DescribeGroup(cl Client, version int16, groupID string, done func(*kmsg.DescribeGroupsResponseGroup)) {
}

// ListGroups lists what the shards hold; the caller filters by ACL.
func (c *Coordinator) ListGroups(cl Client, r *kmsg.ListGroupsRequest, done func(*kmsg.ListGroupsResponse)) {
}
func (c *Coordinator) DeleteGroup(cl Client, groupID string, done func(errorCode int16)) {}

func (c *Coordinator) ConsumerGroupHeartbeat(cl Client, r *kmsg.ConsumerGroupHeartbeatRequest, done func(*kmsg.ConsumerGroupHeartbeatResponse)) {
}
func (c *Coordinator) ConsumerGroupDescribe(cl Client, groupID string, done func(*kmsg.ConsumerGroupDescribeResponseGroup)) {
}

// TopicsChanged tells that topics were created, grew or were deleted.
func (c *Coordinator) TopicsChanged(old, new *cluster.Image) {}

// Done routes the store's finished appends of __consumer_offsets; it reports
// whether the token was the coordinator's. It does not wait.
func (c *Coordinator) Done(d logstore.Done) bool { return false }

// Close stops every shard; no goroutine is left.
func (c *Coordinator) Close() {}

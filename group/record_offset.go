package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/logstore"
)

// Record types of __consumer_offsets, the version number that opens each key.
const (
	keyOffsetLegacy            = 0
	keyOffset                  = 1
	keyClassicGroup            = 2
	keyConsumerGroup           = 3
	keyPartitionMetadata       = 4
	keyConsumerMember          = 5
	keyTargetMetadata          = 6
	keyTargetMember            = 7
	keyCurrentMember           = 8
	keyConsumerRegex           = 16
	noTimestamp          int64 = -1
)

// committed is a group's offset of one partition.
type committed struct {
	offset      int64
	leaderEpoch int32
	metadata    string
	commitMs    int64
	expireMs    int64 // -1 but for the retention times of OffsetCommit v2 to v4
	topicID     logstore.TopicID
	// order is the place of its record among the shard's; a transaction's
	// marker does not replace what was committed after the pending offset.
	order int64
}

// offsetKey writes OffsetCommitKey.
func offsetKey(b []byte, group, topic string, partition int32) []byte {
	b = append(b, 0, keyOffset)
	b = putString(b, group)
	b = putString(b, topic)
	return putInt32(b, partition)
}

// appendOffset writes OffsetCommitValue: version 1 when it carries an expiry of
// its own, else 4, as GroupCoordinatorRecordHelpers does.
func appendOffset(b []byte, c *committed) []byte {
	v := kmsg.OffsetCommitValue{
		Version: 4, Offset: c.offset, LeaderEpoch: c.leaderEpoch, Metadata: c.metadata,
		CommitTimestamp: c.commitMs, ExpireTimestamp: c.expireMs, TopicID: c.topicID,
	}
	if c.expireMs != noTimestamp {
		v.Version = 1
	}
	return v.AppendTo(b)
}

// readOffsetKey reads OffsetCommitKey after its version.
func readOffsetKey(w *wire) (group, topic string, partition int32) {
	group, topic = w.string(), w.string()
	return group, topic, w.int32()
}

// readOffset reads OffsetCommitValue of any version.
func readOffset(value []byte) (committed, error) {
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(value); err != nil {
		return committed{}, errShort
	}
	c := committed{
		offset: v.Offset, leaderEpoch: v.LeaderEpoch, metadata: v.Metadata,
		commitMs: v.CommitTimestamp, expireMs: noTimestamp, topicID: v.TopicID,
	}
	if v.Version < 3 {
		c.leaderEpoch = -1
	}
	if v.Version == 1 {
		c.expireMs = v.ExpireTimestamp
	}
	return c, nil
}

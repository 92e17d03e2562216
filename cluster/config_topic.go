package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	maxInt64 = "9223372036854775807"
	maxInt32 = "2147483647"
	noTier   = "tiered storage is not part of this broker"
)

// TopicConfigs is every topic key, by name (Kafka's LogConfig).
var TopicConfigs = []ConfigDef{
	{Name: "cleanup.policy", Type: TypeList, Default: "delete", Synonyms: []string{"log.cleanup.policy"}, Check: someOf(true, "compact", "delete"),
		Doc: "How old data leaves the topic: delete drops whole segments past retention.ms or retention.bytes, compact keeps the last record of each key, both do both. Empty keeps everything."},
	{Name: "compression.gzip.level", Type: TypeInt, Default: "-1", Synonyms: []string{"compression.gzip.level"}, Check: gzipLevel,
		Doc: "Level of gzip when compression.type is gzip: 1 (fast) to 9 (small), or -1 for gzip's own default."},
	{Name: "compression.lz4.level", Type: TypeInt, Default: "9", Synonyms: []string{"compression.lz4.level"}, Check: between(1, 17),
		Doc: "Level of lz4 when compression.type is lz4: 1 (fast) to 17 (small)."},
	{Name: "compression.type", Type: TypeString, Default: "producer", Synonyms: []string{"compression.type"}, Check: compressionType,
		Doc: "The codec that batches are stored with. producer keeps each batch as it came; uncompressed, gzip, snappy, lz4 and zstd make the broker compress it anew when it differs."},
	{Name: "compression.zstd.level", Type: TypeInt, Default: "3", Synonyms: []string{"compression.zstd.level"}, Check: between(-131072, 22),
		Doc: "Level of zstd when compression.type is zstd: -131072 (fast) to 22 (small)."},
	{Name: "delete.retention.ms", Type: TypeLong, Default: "86400000", Synonyms: []string{"log.cleaner.delete.retention.ms"}, Check: atLeast(0),
		Doc: "How long a deletion mark stays in a compacted topic, in milliseconds; a consumer that reads from the start within that time sees every deletion."},
	{Name: "file.delete.delay.ms", Type: TypeLong, Default: "60000", Synonyms: []string{"log.segment.delete.delay.ms"}, Check: atLeast(0),
		Doc: "How long a deleted segment's files stay on disk, in milliseconds."},
	{Name: "flush.messages", Type: TypeLong, Default: maxInt64, Synonyms: []string{"log.flush.interval.messages"}, Check: atLeast(1),
		Doc: "Records after which the partition is synced to disk. The default leaves it to the broker's durability mode, which is the stronger one; other values matter only when the broker allows weaker topics."},
	{Name: "flush.ms", Type: TypeLong, Default: maxInt64, Synonyms: []string{"log.flush.interval.ms", "log.flush.scheduler.interval.ms"}, Check: atLeast(0),
		Doc: "Milliseconds after which the partition is synced to disk. The default leaves it to the broker's durability mode; see flush.messages."},
	{Name: "follower.replication.throttled.replicas", Type: TypeList, Default: "", Check: throttledReplicas,
		Doc: "Replicas whose following is throttled, as partition:broker pairs, or * for all. Without effect on a single node."},
	{Name: "index.interval.bytes", Type: TypeInt, Default: "4096", Synonyms: []string{"log.index.interval.bytes"}, Check: atLeast(0),
		Doc: "Bytes of log between two entries of the offset index. Smaller finds offsets faster and makes larger indexes."},
	{Name: "leader.replication.throttled.replicas", Type: TypeList, Default: "", Check: throttledReplicas,
		Doc: "Replicas whose leading is throttled, as partition:broker pairs, or * for all. Without effect on a single node."},
	{Name: "local.retention.bytes", Type: TypeLong, Default: "-2", Synonyms: []string{"log.local.retention.bytes"}, Check: atLeast(-2),
		Doc: "Bytes of a partition kept on local disk when older data is tiered; -2 means retention.bytes. Without effect while remote.storage.enable is false."},
	{Name: "local.retention.ms", Type: TypeLong, Default: "-2", Synonyms: []string{"log.local.retention.ms"}, Check: atLeast(-2),
		Doc: "Milliseconds that data stays on local disk when older data is tiered; -2 means retention.ms. Without effect while remote.storage.enable is false."},
	{Name: "max.compaction.lag.ms", Type: TypeLong, Default: maxInt64, Synonyms: []string{"log.cleaner.max.compaction.lag.ms"}, Check: atLeast(1),
		Doc: "The longest a record may stay out of reach of compaction, in milliseconds."},
	{Name: "max.message.bytes", Type: TypeInt, Default: "1048588", Synonyms: []string{"message.max.bytes"}, Check: atLeast(0),
		Doc: "The largest record batch that is accepted, in bytes, after compression and with its header."},
	{Name: "message.timestamp.after.max.ms", Type: TypeLong, Default: "3600000", Synonyms: []string{"log.message.timestamp.after.max.ms"}, Check: atLeast(0),
		Doc: "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds, when message.timestamp.type is CreateTime; a batch with a later one is refused."},
	{Name: "message.timestamp.before.max.ms", Type: TypeLong, Default: maxInt64, Synonyms: []string{"log.message.timestamp.before.max.ms"}, Check: atLeast(0),
		Doc: "How far a record's timestamp may lie behind the broker's clock, in milliseconds, when message.timestamp.type is CreateTime; a batch with an earlier one is refused."},
	{Name: "message.timestamp.type", Type: TypeString, Default: "CreateTime", Synonyms: []string{"log.message.timestamp.type"}, Check: oneOf("CreateTime", "LogAppendTime"),
		Doc: "Whether records keep the timestamp of their producer (CreateTime) or get the broker's at append (LogAppendTime)."},
	{Name: "min.cleanable.dirty.ratio", Type: TypeDouble, Default: "0.5", Synonyms: []string{"log.cleaner.min.cleanable.ratio"}, Check: fraction(0, 1),
		Doc: "The share of a log that must be uncompacted before compaction starts, from 0 to 1. Lower saves space and costs more work."},
	{Name: "min.compaction.lag.ms", Type: TypeLong, Default: "0", Synonyms: []string{"log.cleaner.min.compaction.lag.ms"}, Check: atLeast(0),
		Doc: "How long a record is safe from compaction, in milliseconds."},
	{Name: "min.insync.replicas", Type: TypeInt, Default: "1", Synonyms: []string{"min.insync.replicas"}, Check: atLeast(1),
		Doc: "Replicas that must be in sync for a write with acks=all to be taken. Above the number of replicas, such writes are refused."},
	{Name: "preallocate", Type: TypeBool, Default: "false", Synonyms: []string{"log.preallocate"},
		Doc: "Whether a new segment's space is reserved on disk at once."},
	{Name: "remote.log.copy.disable", Type: TypeBool, Default: "false", Check: only("false", noTier),
		Doc: "Whether copying to tiered storage is off for the topic. Tiered storage is not part of this broker."},
	{Name: "remote.log.delete.on.disable", Type: TypeBool, Default: "false", Check: only("false", noTier),
		Doc: "Whether tiered data is deleted when tiering is switched off. Tiered storage is not part of this broker."},
	{Name: "remote.storage.enable", Type: TypeBool, Default: "false", Check: only("false", noTier),
		Doc: "Whether old segments move to tiered storage. Tiered storage is not part of this broker."},
	{Name: "retention.bytes", Type: TypeLong, Default: "-1", Synonyms: []string{"log.retention.bytes"}, Check: atLeast(-1),
		Doc: "Bytes up to which a partition grows before its oldest segments are deleted, under cleanup.policy delete. -1 sets no limit."},
	{Name: "retention.ms", Type: TypeLong, Default: "604800000", Synonyms: []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"}, Check: atLeast(-1),
		Doc: "Milliseconds after which a segment is deleted, counted from its latest record, under cleanup.policy delete. -1 sets no limit."},
	{Name: "segment.bytes", Type: TypeInt, Default: "1073741824", Synonyms: []string{"log.segment.bytes"}, Check: atLeast(1 << 20),
		Doc: "The size at which a segment is closed and the next begins, in bytes. Retention and compaction work on closed segments."},
	{Name: "segment.index.bytes", Type: TypeInt, Default: "10485760", Synonyms: []string{"log.index.size.max.bytes"}, Check: atLeast(4),
		Doc: "The largest offset index of a segment, in bytes; a full index closes the segment."},
	{Name: "segment.jitter.ms", Type: TypeLong, Default: "0", Synonyms: []string{"log.roll.jitter.ms", "log.roll.jitter.hours"}, Check: atLeast(0),
		Doc: "The most that is taken at random off segment.ms, in milliseconds, so that segments do not close all at once."},
	{Name: "segment.ms", Type: TypeLong, Default: "604800000", Synonyms: []string{"log.roll.ms", "log.roll.hours"}, Check: atLeast(1),
		Doc: "Milliseconds after which a segment is closed even when it is not full, so that retention and compaction can reach it."},
	{Name: "unclean.leader.election.enable", Type: TypeBool, Default: "false", Synonyms: []string{"unclean.leader.election.enable"},
		Doc: "Whether a replica that is behind may become leader when no other is left, which loses records. A single node has no other."},
}

func gzipLevel(v string) error {
	if n, err := strconv.Atoi(v); err != nil || n != -1 && (n < 1 || n > 9) {
		return fmt.Errorf("it must be -1 or between 1 and 9")
	}
	return nil
}

func compressionType(v string) error {
	return oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")(v)
}

// throttledReplicas takes *, or pairs of partition and broker.
func throttledReplicas(v string) error {
	for _, item := range SplitList(v) {
		if item == "*" {
			continue
		}
		partition, broker, found := strings.Cut(item, ":")
		if !found || !isNumber(partition) || !isNumber(broker) {
			return fmt.Errorf("it must be * or a list of partition:broker pairs, and %q is neither", item)
		}
	}
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

// checkTopicConfigs checks what a topic's values say together; get gives the
// value in force.
func checkTopicConfigs(get func(key string) string) error {
	if lo, hi := number(get("min.compaction.lag.ms")), number(get("max.compaction.lag.ms")); lo > hi {
		return fmt.Errorf("%w %d for configuration min.compaction.lag.ms: it must not be larger than max.compaction.lag.ms, which is %d", ErrConfigValue, lo, hi)
	}
	return nil
}

func number(v string) int64 {
	// Values were checked when they were set.
	n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	return n
}

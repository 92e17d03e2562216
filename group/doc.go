// Package group is the group coordinator: classic groups, KIP-848 consumer
// groups and committed offsets, kept in __consumer_offsets in Kafka's own
// record schemas (kafka-dump-log --offsets-decoder reads them).
//
// # How it works
//
// A group id belongs to one partition of the topic by Kafka's hash. Each
// partition is a [Shard]: a state with one owner at a time, a goroutine as a
// rule, built from the partition's log at start. The state is a plain state machine: an operation
// takes the time, changes maps, writes records and says whom to answer. The
// shard appends the records of many operations as one batch and gives the
// answers when it is durable; nobody learns what a crash could take back.
// group/txn builds the transaction coordinator on the same Shard.
//
// An OffsetCommit of few offsets that finds its shard idle runs on the event
// loop that read it, which commits it too (shard_direct.go): 16 clients with one
// commit in flight each take 19 µs of CPU a commit in place of 26.
//
// What lasts and what does not: committed and pending offsets, the last
// assignment of a classic group, and everything of a consumer group are in the
// log. A classic rebalance under way is not; after a restart its members join
// again, as with Kafka. Consumer groups change only through typed records
// (record_consumer.go) that load and live operation apply alike.
//
// # Where Chronik differs from Kafka
//
//   - The hash over a consumer group's subscribed topics is FNV-1a, not XXH3;
//     it is only compared with itself. A log moved to or from Kafka costs each
//     consumer group one more epoch.
//   - Regular expressions are Go's RE2.
//   - A member's superseded JoinGroup or SyncGroup (the client sent it twice)
//     is answered with REBALANCE_IN_PROGRESS, and the SyncGroup of one that
//     leaves meanwhile with UNKNOWN_MEMBER_ID; Kafka leaves both without answer.
//   - A member of KIP-848 that joins anew with another instance id gives its
//     first one back; in Kafka that id stays taken until the group is loaded again.
//   - uniform gives the larger shares to members that already have them, so
//     that a rebalance may move fewer partitions.
//
// # Bounds
//
// Operations waiting per shard (ShardOptions.Mailbox, 16384), appends in
// flight per shard (8), groups per shard (65536), members by group.max.size
// and group.consumer.max.size, ids handed out and not yet joined with per
// group (65536), ids of 16 KiB, offset metadata by offset.metadata.max.bytes,
// one group's record by 1 MiB. Offsets and empty groups expire by
// offsets.retention.minutes.
//
// # File map
//
//	coordinator.go  Options, Coordinator, routing, Partition    shard.go, shard_append.go, shard_load.go, shard_direct.go  the actor
//	outbox.go       what an operation writes and answers        deadline.go  timers      errors.go  codes
//	state.go        a shard's state, replay                     settings.go  configuration
//	wire.go, record_offset.go, record_classic.go, record_consumer.go  the records
//	classic_*.go    the classic protocol, one file a verb       protocol.go  the consumer's embedded protocol
//	offset_*.go     commit, fetch, delete, transactions, expiry offsets.go   the offsets themselves
//	consumer_*.go   KIP-848: heartbeat, one step of a member, target, reconciliation, patterns, leave, describe
//	assign*.go      the assignors                               migrate*.go  classic ↔ consumer
//	list.go, describe.go, delete.go, stats.go, topics.go        the rest
package group

// Package txn is the transaction coordinator, kept in __transaction_state in
// Kafka's own record schema (TransactionLogKey, TransactionLogValue).
//
// A transactional id lives in one partition of that topic, found by the hash
// that Kafka uses; each partition is a shard (see package group): one goroutine
// that owns a table of ids, on one log. An operation changes the table, writes
// its record and is answered when that is durable. The decision of a
// transaction is durable before anybody hears of it; the markers that carry it
// to the partitions follow, are sent again until they are written, and after a
// crash by the next start. A request that meets a transaction between decision
// and completion is parked for up to 50 ms before it hears
// CONCURRENT_TRANSACTIONS.
//
// Semantics: KIP-98, 360 (epoch bumps by the producer), 447, 664, 890
// (transaction.version 2: an epoch bump at each end, partitions added by the
// broker), after Kafka's TransactionCoordinator and TransactionMetadata.
//
// File map:
//
//	coordinator.go  the surface: requests to shards, the reserve of producer ids
//	shard.go        one partition: loading, sending and collecting markers
//	table.go        the ids of a partition and what is under way for each
//	transition.go   the state machine as functions of a meta
//	state.go        the states, the meta, its record
//	stats.go        counters
package txn

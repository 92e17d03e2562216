// Package cluster is what the cluster knows of itself: topics, configs,
// features, brokers, leaders, epochs, credentials, ACLs, quotas and tokens, as
// a log of metadata records with snapshots and an immutable image in memory.
//
// [Cluster.Image] is one atomic load and may be read without a lock for as
// long as one likes; a change is a list of records given to [Cluster.Commit],
// which returns when they are durable and in the image. Whoever must know of
// changes asks [Cluster.Subscribe]; the Version fields of the image say which
// of its parts changed.
//
// The package also holds the tables of Kafka's configuration keys (topic,
// broker, group, client metrics): name, type, default, validator, synonyms,
// documentation; and resolves a key through the places where it can be set.
//
// # What a crash leaves
//
// A change is one batch of the metadata log: after a crash all of its records
// are there or none, and none without the changes before it. What Commit
// returned for is there. A snapshot is a run of batches of the same log; one
// that a crash cut short is dropped. Records that a newer release wrote are
// refused, never passed over.
//
// # Locks
//
// Commit's lock (mu) covers check, Append and nothing that waits. The queue's
// lock (qmu) is taken under it for a few instructions. Done, on the store's
// committer, takes neither. Images are published and subscribers called by one
// goroutine, which holds no lock meanwhile.
//
// # File map
//
//	cluster.go              Options, Open, Close: a start and an end
//	commit.go               how a change is made, waits for the disk and is told
//	snapshot.go             the image as batches of the log; trimming
//	replay.go, batch.go     from the log to an image; records in a batch
//	image.go, sharded.go    the image and its maps
//	draft.go                the next image while records are applied
//	record.go               the record schema: frame, types, fields
//	record_*.go             the records, by what they are about
//	security.go             credentials, ACLs, quotas, tokens as values
//	topicname.go, features.go  rules of names; feature levels
//	producerids.go          blocks of producer ids
//	configdef.go            what a key is; listener prefixes
//	config_check.go, config_rules.go  is a value allowed, and why not
//	config_resolve.go       the value in force and the chain behind it
//	config_cluster.go       typed getters, a topic's LogConfig
//	config_topic.go, config_group.go, config_metrics.go   keys of those resources
//	config_broker.go, config_network.go, config_security.go,
//	config_coordinators.go, config_unused.go              broker keys
package cluster

// Package cluster is what the cluster knows of itself: topics, configs,
// features, brokers, leaders, epochs, credentials, ACLs, quotas and tokens, as
// a log of metadata records with snapshots and an immutable image in memory.
//
// [Cluster.Image] is one atomic load and may be read without a lock for as
// long as one likes; a change is a list of records given to [Cluster.Commit],
// which returns when they are durable and in the image.
//
// The package also holds the tables of Kafka's configuration keys (topic,
// broker, group, client metrics): name, type, default, validator, synonyms,
// documentation.
package cluster

package cluster

// Feature is a versioned capability of the cluster (KIP-584).
type Feature struct {
	Name string
	// Min and Max are the levels that this release supports.
	Min, Max int16
	// Default is a new cluster's level.
	Default int16
}

// Features is what this release supports, by name, with the numbers of Kafka
// 4.3. Clients act on transaction.version alone; the others are for tools and
// for gates within the broker. Features of group types that are not served
// (share.version, streams.version) are not here, so that nobody can finalize
// them.
var Features = []Feature{
	{"eligible.leader.replicas.version", 0, 1, 1},
	{"group.version", 0, 1, 1},
	{"kraft.version", 0, 1, 0},
	{"metadata.version", 7, 30, 30},
	{"transaction.version", 0, 2, 2},
}

package broker

import (
	"strconv"
	"strings"
	"time"
)

// settings are the broker keys that requests ask for, read again after each
// change of the metadata.
type settings struct {
	autoCreate         bool
	deleteTopics       bool
	numPartitions      int32
	replication        int16
	fetchMaxBytes      int32
	offsetsPartitions  int32
	maxDescribed       int32 // max.request.partition.size.limit
	maxTransactionTime time.Duration
}

func (b *Broker) readSettings() {
	c := b.cluster
	b.settings.Store(&settings{
		autoCreate:         c.BrokerBool("auto.create.topics.enable"),
		deleteTopics:       c.BrokerBool("delete.topic.enable"),
		numPartitions:      int32(c.BrokerInt("num.partitions")),
		replication:        int16(c.BrokerInt("default.replication.factor")),
		fetchMaxBytes:      int32(c.BrokerInt("fetch.max.bytes")),
		offsetsPartitions:  int32(c.BrokerInt("offsets.topic.num.partitions")),
		maxDescribed:       int32(c.BrokerInt("max.request.partition.size.limit")),
		maxTransactionTime: c.BrokerMillis("transaction.max.timeout.ms"),
	})
	all, perIP := b.limit(limitConnections), b.limit(limitConnectionsIP)
	if _, given := b.opt.Limits[limitConnections]; !given {
		all = c.BrokerInt("max.connections")
	}
	if _, given := b.opt.Limits[limitConnectionsIP]; !given {
		perIP = c.BrokerInt("max.connections.per.ip")
	}
	b.server.SetMaxConnections(int(all), int(perIP))
}

// idleTimeout is connections.max.idle.ms; it was checked before.
func idleTimeout(static map[string]string) time.Duration {
	ms, err := strconv.ParseInt(static["connections.max.idle.ms"], 10, 64)
	switch {
	case err != nil:
		return 0
	case ms < 0:
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}

// splitUsers splits super.users at its semicolons.
func splitUsers(s string) []string {
	var users []string
	for u := range strings.SplitSeq(s, ";") {
		if u = strings.TrimSpace(u); u != "" {
			users = append(users, u)
		}
	}
	return users
}

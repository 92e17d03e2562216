package broker

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/chronik-stream/chronik/cluster"
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
	ipOverrides        string // max.connections.per.ip.overrides
	ipLimits           map[netip.Addr]int
}

func (b *Broker) readSettings() {
	c := b.cluster
	now := &settings{
		autoCreate:         c.BrokerBool("auto.create.topics.enable"),
		deleteTopics:       c.BrokerBool("delete.topic.enable"),
		numPartitions:      int32(c.BrokerInt("num.partitions")),
		replication:        int16(c.BrokerInt("default.replication.factor")),
		fetchMaxBytes:      int32(c.BrokerInt("fetch.max.bytes")),
		offsetsPartitions:  int32(c.BrokerInt("offsets.topic.num.partitions")),
		maxDescribed:       int32(c.BrokerInt("max.request.partition.size.limit")),
		maxTransactionTime: c.BrokerMillis("transaction.max.timeout.ms"),
		ipOverrides:        c.Broker("max.connections.per.ip.overrides"),
	}
	if old := b.settings.Load(); old != nil && old.ipOverrides == now.ipOverrides {
		now.ipLimits = old.ipLimits // names are looked up when they are set
	} else {
		now.ipLimits = ipLimits(now.ipOverrides)
	}
	b.settings.Store(now)
	all, perIP := b.limit(limitConnections), b.limit(limitConnectionsIP)
	if _, given := b.opt.Limits[limitConnections]; !given {
		all = c.BrokerInt("max.connections")
	}
	if _, given := b.opt.Limits[limitConnectionsIP]; !given {
		perIP = c.BrokerInt("max.connections.per.ip")
	}
	b.server.SetMaxConnections(int(all), int(perIP), now.ipLimits)
	b.accepts.limit(c.BrokerInt("max.connection.creation.rate"))
	for _, l := range b.listeners {
		// Without a key of its own a listener has the broker's, which holds already.
		b.server.SetListenerConnections(l.name, int(c.BrokerInt(l.prefix()+"max.connections")))
		l.accepts.limit(c.BrokerInt(l.prefix() + "max.connection.creation.rate"))
	}
	b.workers.resize(b, int(b.workersNow()))
	b.tune()
}

// workersNow is num.io.threads, unless Options.Limits has a number.
func (b *Broker) workersNow() int64 {
	if n, given := b.opt.Limits[limitWorkers]; given {
		return n
	}
	return b.cluster.BrokerInt("num.io.threads")
}

// ipLimits are the exceptions of max.connections.per.ip.overrides. A host name
// holds for the addresses that it has now.
func ipLimits(overrides string) map[netip.Addr]int {
	limits := map[netip.Addr]int{}
	for _, item := range cluster.SplitList(overrides) {
		at := strings.LastIndex(item, ":")
		if at < 0 {
			continue // it was checked when it was set
		}
		n, err := strconv.Atoi(item[at+1:])
		if err != nil {
			continue
		}
		host := strings.Trim(item[:at], "[]")
		if ip, err := netip.ParseAddr(host); err == nil {
			limits[ip.Unmap()] = n
			continue
		}
		addresses, _ := net.LookupIP(host) // a name that is unknown limits nobody
		for _, a := range addresses {
			if ip, ok := netip.AddrFromSlice(a); ok {
				limits[ip.Unmap()] = n
			}
		}
	}
	return limits
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

package broker

import (
	"fmt"
	"slices"
	"strconv"
)

// Limit is one of the numbers that bound what clients can make the broker
// hold. Every queue, map and cache of the broker has a row here.
type Limit struct {
	// Name is also the label of the metric chronik_limit.
	Name string
	// Key is the Kafka key that sets it, or "" when only Options.Limits does.
	Key     string
	Default int64
	// What happens at the limit.
	Effect string
}

// The names of the limits.
const (
	limitInFlight        = "requests_in_flight_per_connection"
	limitFrame           = "request_bytes"
	limitConnections     = "connections"
	limitConnectionsIP   = "connections_per_ip"
	limitConnectionsUser = "connections_per_user"
	limitStrangers       = "connections_not_logged_in"
	limitInFlightBytes   = "requests_bytes_in_flight"
	limitFetchSessions   = "fetch_sessions"
	limitFetchPartitions = "fetch_session_partitions"
	limitFetchBytes      = "fetch_bytes"
	limitDecoded         = "decoded_request_bytes"
	limitDownConvert     = "down_conversion_bytes"
	limitWorkers         = "workers"
	limitBusy            = "parked_produces_per_loop"
	limitPartitions      = "partitions"
	limitCreate          = "partitions_per_create"
	limitQueueBytes      = "commit_queue_bytes"
	limitProducers       = "producers_per_partition"
	limitMetadata        = "metadata_cache_bytes"
	limitTraces          = "traces"
)

// limits is the table. The values in force are read from the configuration at
// start ([Broker.Limits]).
var limits = []Limit{
	{limitInFlight, "", 64, "the connection is not read until an answer has left"},
	{limitFrame, "socket.request.max.bytes", 100 << 20, "the connection is closed"},
	{limitConnections, "max.connections", 1<<31 - 1, "the connection is refused"},
	{limitConnectionsIP, "max.connections.per.ip", 1<<31 - 1, "the connection is refused"},
	{limitConnectionsUser, "", 1<<31 - 1, "who has logged in is refused (users by SASL or certificate)"},
	{limitStrangers, "", 1024, "of the connections that wait to log in the oldest is closed"},
	{limitInFlightBytes, "queued.max.request.bytes", 0, "connections are not read until requests are answered (0: 1/8 of the memory, at most 1 GiB)"},
	{limitFetchSessions, "max.incremental.fetch.session.cache.slots", 1000, "the session longest unused gives way when idle for 2 minutes, otherwise the fetch has no session"},
	{limitFetchPartitions, "", 1_000_000, "further fetches have no session, and one that grows beyond it ends"},
	{limitFetchBytes, "fetch.max.bytes", 57671680, "the response ends; the client asks again"},
	{limitDecoded, "", 16 << 20, "the connection is closed (Produce and Fetch are not decoded, and have no such limit)"},
	{limitDownConvert, "", 16 << 20, "the response to a client older than Kafka 0.11 ends; the client asks again"},
	{limitWorkers, "num.io.threads", 8, "requests wait for a worker, at most one per connection"},
	{limitBusy, "", 4096, "the partition is answered with NOT_ENOUGH_REPLICAS, which clients retry"},
	{limitPartitions, "", 200_000, "topics are refused with POLICY_VIOLATION; a Produce or Fetch that names more closes its connection"},
	{limitQueueBytes, "", 64 << 20, "produces wait for the next commit"},
	{limitProducers, "", 100_000, "a new producer id is answered with POLICY_VIOLATION"},
	{limitMetadata, "", 32 << 20, "the cache of large Metadata answers begins anew; a larger answer is not kept"},
	{limitTraces, "", 1024, "the oldest trace gives way; a reader is told how many it missed"},
	{limitCreate, "", 10_000, "the topic is refused with INVALID_PARTITIONS or POLICY_VIOLATION"},
}

// LimitValue is a limit and the number in force.
type LimitValue struct {
	Limit
	Value int64
}

// Limits is the table with the values in force.
func (b *Broker) Limits() []LimitValue {
	out := make([]LimitValue, len(limits))
	for i, l := range limits {
		out[i] = LimitValue{l, b.limit(l.Name)}
	}
	return out
}

// limit is the value in force: Options.Limits before the Kafka key's in
// Options.Static before the default.
func (b *Broker) limit(name string) int64 { return b.opt.limit(name) }

func (o *Options) limit(name string) int64 {
	if v, ok := o.Limits[name]; ok {
		return v
	}
	for i := range limits {
		if limits[i].Name != name {
			continue
		}
		if key := limits[i].Key; key != "" {
			if v, err := strconv.ParseInt(o.Static[key], 10, 64); err == nil {
				return v
			}
		}
		return limits[i].Default
	}
	return 0
}

// checkLimits refuses names that are not in the table and numbers below one.
func (o *Options) checkLimits() error {
	for name, v := range o.Limits {
		if !slices.ContainsFunc(limits, func(l Limit) bool { return l.Name == name }) {
			return fmt.Errorf("broker: there is no limit %q", name)
		}
		if v < 1 {
			return fmt.Errorf("broker: limit %s is %d; it must be at least 1", name, v)
		}
	}
	return nil
}

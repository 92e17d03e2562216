package broker

import (
	"sync/atomic"

	"github.com/chronik-stream/chronik/netloop"
)

// apiStats are one loop's counters of one API: written on the loop.
type apiStats struct {
	requests, errors, closed atomic.Int64
	bytesIn, bytesOut        atomic.Int64
	latency                  netloop.Durations
}

// loadStats are one loop's counters of records.
type loadStats struct {
	producedBytes, producedBatches, fetchedBytes atomic.Int64
	fetchParked, fetchWoken, fetchExpired        atomic.Int64
	busyParked                                   atomic.Int64
}

// APIStats are the counters of one API.
type APIStats struct {
	Key      int16
	Name     string
	Requests int64 // answered
	Errors   int64 // of them, with an error for the whole request or a partition of Produce and Fetch
	Closed   int64 // connections ended by a request
	BytesIn  int64 // frames
	BytesOut int64 // answers without file ranges
	Latency  netloop.Histogram
}

// Stats is a snapshot; its numbers were not all read at one instant.
type Stats struct {
	APIs []APIStats

	ProducedBytes, ProducedBatches int64 // appended
	FetchedBytes                   int64
	FetchParked                    int64 // fetches that waited
	FetchWoken                     int64 // looked again since a partition moved
	FetchExpired                   int64 // answered since max.wait passed
	BusyParked                     int64 // produces that waited for the commit queue

	FetchSessions          int64 // gauge
	FetchSessionPartitions int64 // gauge
	MetadataAnswers        int64 // gauge: kept by the cache of large answers
	MetadataBytes          int64 // gauge: of these
	Traces                 int64 // gauge: kept for readers
	FetchSessionEvictions  int64
	WorkerQueue            int64 // gauge
	WorkersRunning         int64 // gauge
	Topics, Partitions     int64 // gauges
	Panics                 int64
}

// Stats reads the counters. Any goroutine.
func (b *Broker) Stats() Stats {
	st := Stats{
		WorkerQueue: b.workers.depth.Load() + b.converters.depth.Load(), WorkersRunning: b.workers.running.Load() + b.converters.running.Load(),
		Panics: b.goroutines.panics.Load(),
	}
	st.Topics, st.Partitions = b.topics.size()
	st.FetchSessions, st.FetchSessionPartitions, st.FetchSessionEvictions = b.sessions.size()
	st.MetadataAnswers, st.MetadataBytes = b.metadata.size()
	st.Traces = b.tracer.size()
	for _, a := range b.apis.list {
		one := APIStats{Key: a.key, Name: a.name}
		for _, l := range b.loops {
			s := &l.stats[a.key]
			one.Requests += s.requests.Load()
			one.Errors += s.errors.Load()
			one.Closed += s.closed.Load()
			one.BytesIn += s.bytesIn.Load()
			one.BytesOut += s.bytesOut.Load()
			s.latency.AddTo(&one.Latency)
		}
		st.APIs = append(st.APIs, one)
	}
	for _, l := range b.loops {
		st.ProducedBytes += l.load.producedBytes.Load()
		st.ProducedBatches += l.load.producedBatches.Load()
		st.FetchedBytes += l.load.fetchedBytes.Load()
		st.FetchParked += l.load.fetchParked.Load()
		st.FetchWoken += l.load.fetchWoken.Load()
		st.FetchExpired += l.load.fetchExpired.Load()
		st.BusyParked += l.load.busyParked.Load()
	}
	return st
}

package broker

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in powers of two of a microsecond: bucket 0 is
// below 1 µs, bucket i below 2^i µs, the last everything longer.
type Histogram struct {
	Buckets [histogramBuckets]int64
	Count   int64
	Sum     time.Duration
}

const histogramBuckets = 27

// Bound is the upper bound of a bucket.
func (Histogram) Bound(bucket int) time.Duration { return time.Microsecond << bucket }

type histogram struct {
	buckets [histogramBuckets]atomic.Int64
	sum     atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	b := bits.Len64(uint64(max(d, 0) / time.Microsecond))
	h.buckets[min(b, histogramBuckets-1)].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) addTo(out *Histogram) {
	for i := range h.buckets {
		n := h.buckets[i].Load()
		out.Buckets[i] += n
		out.Count += n
	}
	out.Sum += time.Duration(h.sum.Load())
}

// apiStats are one loop's counters of one API: written on the loop.
type apiStats struct {
	requests, errors, closed atomic.Int64
	bytesIn, bytesOut        atomic.Int64
	latency                  histogram
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
	Latency  Histogram
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
	FetchSessionEvictions  int64
	WorkerQueue            int64 // gauge
	WorkersRunning         int64 // gauge
	Topics, Partitions     int64 // gauges
	Panics                 int64
}

// Stats reads the counters. Any goroutine.
func (b *Broker) Stats() Stats {
	st := Stats{
		WorkerQueue: b.workers.depth.Load(), WorkersRunning: b.workers.running.Load(),
		Panics: b.goroutines.panics.Load(),
	}
	st.Topics, st.Partitions = b.topics.size()
	st.FetchSessions, st.FetchSessionPartitions, st.FetchSessionEvictions = b.sessions.size()
	for _, a := range b.apis.list {
		one := APIStats{Key: a.key, Name: a.name}
		for _, l := range b.loops {
			s := &l.stats[a.key]
			one.Requests += s.requests.Load()
			one.Errors += s.errors.Load()
			one.Closed += s.closed.Load()
			one.BytesIn += s.bytesIn.Load()
			one.BytesOut += s.bytesOut.Load()
			s.latency.addTo(&one.Latency)
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

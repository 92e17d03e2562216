package txn

import "sync/atomic"

// counters count since the start; ids is how many there are.
type counters struct {
	ids, commits, aborts, fenced, timedOut, expired, parked, markers, markerRetries, lateMarkers atomic.Int64
}

// Stats is a snapshot of the coordinator's counters.
type Stats struct {
	IDs           int64 // transactional ids known
	Commits       int64
	Aborts        int64 // all of them; of these:
	Fenced        int64 // by an InitProducerId or a timeout
	TimedOut      int64
	Expired       int64 // ids forgotten
	Parked        int64 // requests that waited for a completion
	Markers       int64 // sent
	MarkerRetries int64
	LateMarkers   int64 // found by deadline, the shard's mailbox being full
}

// Stats reads the counters. Any goroutine.
func (c *Coordinator) Stats() Stats {
	n := &c.counters
	return Stats{n.ids.Load(), n.commits.Load(), n.aborts.Load(), n.fenced.Load(), n.timedOut.Load(), n.expired.Load(),
		n.parked.Load(), n.markers.Load(), n.markerRetries.Load(), n.lateMarkers.Load()}
}

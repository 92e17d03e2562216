package netloop

import (
	"sync/atomic"
)

// CloseReason says in the large why a connection ended.
type CloseReason int

const (
	ClosedByPeer     CloseReason = iota // the peer closed, in order or by a reset
	ClosedByHandler                     // Close, CloseAfter, Fail or a response's CloseAfter
	ClosedBadFrame                      // a frame's length is negative, zero or over the limit
	ClosedIdle                          // IdleTimeout
	ClosedDeadline                      // SetDeadline
	ClosedRefused                       // Opened returned an error
	ClosedHandshake                     // the TLS handshake failed or took too long
	ClosedSendFailed                    // a range could not be read or the socket failed
	ClosedPanic                         // a panic in the handler
	ClosedShutdown                      // Shutdown
	ClosedStalled                       // held memory for a frame that hardly came while others waited for it
	closeReasons
)

var closeReasonNames = [closeReasons]string{
	"peer", "handler", "bad_frame", "idle", "deadline", "refused", "handshake", "send_failed", "panic", "shutdown", "stalled",
}

func (r CloseReason) String() string { return closeReasonNames[r] }

// CloseReasons are all reasons, for whoever makes metrics of them.
func CloseReasons() []CloseReason {
	all := make([]CloseReason, closeReasons)
	for i := range all {
		all[i] = CloseReason(i)
	}
	return all
}

// Stats is a snapshot of a server's counters. Counters only grow; gauges are
// marked.
type Stats struct {
	Accepted        int64
	Refused         int64 // over MaxConnections or MaxConnectionsPerIP
	NotAdmitted     int64 // Options.Admit said no
	AcceptPauses    int64 // accept ran out of descriptors or memory and paused
	Open            int64 // gauge
	Closed          [closeReasons]int64
	Handshakes      int64 // gauge: TLS handshakes that run or wait
	BytesIn         int64
	BytesOut        int64
	SendfileBytes   int64 // of BytesOut, what left by sendfile
	CopiedBytes     int64 // of BytesOut, what was copied out of files first
	Frames          int64
	Responses       int64
	PausedReads     int64 // times a connection stopped reading
	MemoryWaits     int64 // times a frame had to wait for InFlightBytes
	ColdReads       int64 // ranges that waited for the disk on a worker
	Panics          int64
	LateAnswers     int64 // answers to a slot that was answered already
	Stalls          int64 // loop turns above 1 ms
	HandOvers       int64 // loops that went on elsewhere while a task waited
	InFlightBytes   int64 // gauge
	InFlightWaiters int64 // gauge: connections that wait for memory
	ReadAhead       int64 // gauge: bytes read that wait for room
	MailboxPeak     int64 // most tasks that ever waited on one loop
	TasksDropped    int64 // posted after Shutdown
	Turns           Histogram
	// Requests is the time from a frame's last byte in to its answer's last
	// byte out (handed to the kernel).
	Requests Histogram
}

// loopStats are one loop's counters: written by the loop (and by the
// goroutines of its TLS connections), read by anyone.
type loopStats struct {
	closed        [closeReasons]atomic.Int64
	bytesIn       atomic.Int64
	bytesOut      atomic.Int64
	sendfileBytes atomic.Int64
	copiedBytes   atomic.Int64
	frames        atomic.Int64
	responses     atomic.Int64
	pausedReads   atomic.Int64
	memoryWaits   atomic.Int64
	coldReads     atomic.Int64
	panics        atomic.Int64
	lateAnswers   atomic.Int64
	stalls        atomic.Int64
	handOvers     atomic.Int64
	turns         Durations
	requests      Durations
}

// Stats is a snapshot; its numbers were not all read at one instant. Any goroutine.
func (s *Server) Stats() Stats {
	st := Stats{
		Accepted:        s.accepted.Load(),
		Refused:         s.refused.Load(),
		NotAdmitted:     s.notAdmitted.Load(),
		AcceptPauses:    s.acceptPauses.Load(),
		Open:            s.open.Load(),
		Handshakes:      s.shakes.pending.Load(),
		InFlightBytes:   s.budget.used.Load(),
		InFlightWaiters: s.budget.waiting.Load(),
		ReadAhead:       s.stashed.Load(),
	}
	st.Closed[ClosedHandshake] = s.shakes.failed.Load()
	if s.acceptor != nil {
		st.Panics = s.acceptor.loop.stats.panics.Load()
	}
	for _, l := range s.loops {
		for i := range st.Closed {
			st.Closed[i] += l.stats.closed[i].Load()
		}
		st.BytesIn += l.stats.bytesIn.Load()
		st.BytesOut += l.stats.bytesOut.Load()
		st.SendfileBytes += l.stats.sendfileBytes.Load()
		st.CopiedBytes += l.stats.copiedBytes.Load()
		st.Frames += l.stats.frames.Load()
		st.Responses += l.stats.responses.Load()
		st.PausedReads += l.stats.pausedReads.Load()
		st.MemoryWaits += l.stats.memoryWaits.Load()
		st.ColdReads += l.stats.coldReads.Load()
		st.Panics += l.stats.panics.Load()
		st.LateAnswers += l.stats.lateAnswers.Load()
		st.Stalls += l.stats.stalls.Load()
		st.HandOvers += l.stats.handOvers.Load()
		st.MailboxPeak = max(st.MailboxPeak, l.box.peak.Load())
		st.TasksDropped += l.box.dropped.Load()
		l.stats.turns.AddTo(&st.Turns)
		l.stats.requests.AddTo(&st.Requests)
	}
	return st
}

package logstore

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts values by power of two: Buckets[i] holds the values v with
// 2^(i-1) <= v < 2^i; the last bucket holds everything above.
type Histogram struct {
	Buckets [40]uint64
	Count   uint64
	Sum     int64
}

// Stats is a snapshot of a store's counters since it was opened. Times are in
// nanoseconds.
type Stats struct {
	Appends, AppendBytes uint64
	Duplicates           uint64
	Groups, Syncs        uint64
	Led                  uint64 // commits on the goroutine that appended
	DirectSyncs          uint64
	JournalBytes         uint64
	GroupSize            Histogram // frames a group
	SyncTime             Histogram // ns of a journal sync
	Busy                 uint64    // appends refused with ErrBusy
	QueueBytes           int64
	QueueEntries         int64
	RingBytes, RingHeld  int64 // of all journals; held awaits a checkpoint
	Stalls               uint64
	StallTime            time.Duration
	// SyncRunning is how long the oldest write or sync that commits wait for has
	// been running; StalledSyncs is how many ran longer than StallUnhealthy.
	SyncRunning   time.Duration
	StalledSyncs  uint64
	OpenFiles     int
	RoomSyncs     uint64 // of segments, so that their descriptors could be closed
	Segments      int
	Logs          int
	LoadedLogs    uint64
	Recoveries    uint64 // logs recovered after an unclean stop
	Damaged       uint64 // damage found in acknowledged data
	Checkpoints   uint64
	CheckpointFor time.Duration // the last checkpoint's time
	OfflineDirs   uint64
	Rolls         uint64
}

type histogram struct {
	buckets [40]atomic.Uint64
	count   atomic.Uint64
	sum     atomic.Int64
}

func (h *histogram) observe(v int64) {
	h.buckets[min(bits.Len64(uint64(max(v, 0))), len(h.buckets)-1)].Add(1)
	h.count.Add(1)
	h.sum.Add(v)
}

func (h *histogram) snapshot() (s Histogram) {
	for i := range h.buckets {
		s.Buckets[i] = h.buckets[i].Load()
	}
	s.Count, s.Sum = h.count.Load(), h.sum.Load()
	return s
}

type counters struct {
	appends, appendBytes, duplicates, groups, syncs, led, direct, journalBytes   atomic.Uint64
	busy, loaded, recoveries, damaged, checkpoints, offline, rolls, stalledSyncs atomic.Uint64
	roomSyncs                                                                    atomic.Uint64
	checkpointNs                                                                 atomic.Int64
	groupSize, syncTime                                                          histogram
}

// Stats is a snapshot; it may be taken at any time.
func (s *Store) Stats() Stats {
	c := &s.stats
	st := Stats{
		Appends: c.appends.Load(), AppendBytes: c.appendBytes.Load(), Duplicates: c.duplicates.Load(),
		Groups: c.groups.Load(), Syncs: c.syncs.Load(), Led: c.led.Load(), DirectSyncs: c.direct.Load(), JournalBytes: c.journalBytes.Load(),
		GroupSize: c.groupSize.snapshot(), SyncTime: c.syncTime.snapshot(), Busy: c.busy.Load(),
		OpenFiles: s.files.count(), RoomSyncs: c.roomSyncs.Load(), LoadedLogs: c.loaded.Load(), Recoveries: c.recoveries.Load(),
		Damaged: c.damaged.Load(), Checkpoints: c.checkpoints.Load(), CheckpointFor: time.Duration(c.checkpointNs.Load()),
		OfflineDirs: c.offline.Load(), Rolls: c.rolls.Load(), StalledSyncs: c.stalledSyncs.Load(),
	}
	now := time.Now()
	for _, d := range s.dirs {
		st.QueueBytes += d.committer.bytes.Load()
		st.QueueEntries += d.committer.entries.Load()
		if d.journal == nil {
			continue
		}
		total, held := d.journal.usage()
		st.RingBytes += total
		st.RingHeld += held
		st.Stalls += d.journal.stalls.Load()
		st.StallTime += time.Duration(d.journal.stallNs.Load())
		st.SyncRunning = max(st.SyncRunning, d.syncRunning(now))
	}
	for _, l := range s.Logs() {
		st.Logs++
		if segs := l.segs.Load(); segs != nil {
			st.Segments += len(*segs)
		}
	}
	return st
}

package logstore

import "io"

// This file fixes the package's surface before its insides exist; each piece
// moves to its own file with its implementation.

// Store is the logs of one broker on one or more data directories.
type Store struct{}

// Open locks the directories, checks their format and reads the journals.
func Open(o Options) (*Store, error) { return nil, ErrNotReady }

// OpenLog opens an existing partition, or creates it when no directory has it.
// After a clean stop this reads no segment.
func (s *Store) OpenLog(spec LogSpec) (*Log, error) { return nil, ErrNotReady }

// CreateLog makes a new partition; the directory entry is durable on return.
func (s *Store) CreateLog(spec LogSpec) (*Log, error) { return nil, ErrNotReady }

// Delete takes a log out of service at once and removes its files in the
// background after its config's FileDeleteDelayMs.
func (s *Store) Delete(l *Log) error { return ErrNotReady }

// Ready ends recovery. known tells whether the metadata has a topic id; other
// directories are renamed away.
func (s *Store) Ready(known func(topic string, id TopicID, partition int32) bool) error {
	return ErrNotReady
}

// Unclean reports whether the last stop was not a clean one.
func (s *Store) Unclean() bool { return false }

// Close commits what is queued, trims, writes checkpoints and the clean-stop
// marker. Logs must not be used any more.
func (s *Store) Close() error { return nil }

// Usable reports whether at least one data directory is online.
func (s *Store) Usable() bool { return false }

// Checkpoint makes everything appended so far durable in its segments and
// releases the journal. Any goroutine; waits.
func (s *Store) Checkpoint() error { return nil }

// Dirs describes the data directories (DescribeLogDirs).
func (s *Store) Dirs() []DirInfo { return nil }

// DirInfo is one data directory.
type DirInfo struct {
	Path        string
	Online      bool
	Err         error
	Free, Total uint64
}

// Log is one partition's log. All methods are for any goroutine.
type Log struct {
	// Attachment is broker's own pointer, set once before the log is published.
	Attachment any
}

func (l *Log) Topic() string    { return "" }
func (l *Log) ID() TopicID      { return TopicID{} }
func (l *Log) Partition() int32 { return 0 }
func (l *Log) Dir() string      { return "" }

// Append validates, assigns offsets and enqueues; see the package comment.
func (l *Log) Append(a *Append) (Appended, error) { return Appended{}, ErrNotReady }

// Read finds a range. It does not wait and touches no cold page but through
// the index.
func (l *Log) Read(r Read) (Slice, error) { return Slice{}, ErrNotReady }

// Offsets is the watermarks, read together.
func (l *Log) Offsets() Offsets { return Offsets{} }

// SetConfig changes the configuration from the next append on.
func (l *Log) SetConfig(c LogConfig) {}

// SetEpoch raises the leader epoch stamped on appends.
func (l *Log) SetEpoch(epoch int32) {}

// Epoch is the leader epoch stamped on appends.
func (l *Log) Epoch() int32 { return 0 }

// OffsetForTime is the first record at or after ts (ms) that a reader may see;
// ok is false when there is none. limit is the first offset not to look at
// (high watermark or last stable offset). May read cold pages: not on a loop.
func (l *Log) OffsetForTime(ts, limit int64) (o TimeOffset, ok bool, err error) {
	return TimeOffset{}, false, ErrNotReady
}

// MaxTimestamp is the record with the largest timestamp (ListOffsets -3).
func (l *Log) MaxTimestamp() (o TimeOffset, ok bool, err error) {
	return TimeOffset{}, false, ErrNotReady
}

// TimeOffset is an offset found by time.
type TimeOffset struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

// EpochAt is the leader epoch of an offset, -1 when unknown.
func (l *Log) EpochAt(offset int64) int32 { return -1 }

// EndForEpoch answers OffsetForLeaderEpoch: the largest known epoch <= epoch
// and where it ends, or (-1, -1).
func (l *Log) EndForEpoch(epoch int32) (foundEpoch int32, end int64) { return -1, -1 }

// DeleteRecords raises the log start; -1 means the high watermark. It returns
// the new log start when that is durable. Waits: not on a loop.
func (l *Log) DeleteRecords(before int64) (int64, error) { return 0, ErrNotReady }

// Size is the bytes of all segments.
func (l *Log) Size() int64 { return 0 }

// Producers lists the producers remembered (DescribeProducers).
func (l *Log) Producers() []Producer { return nil }

// Producer is one entry of a partition's producer state.
type Producer struct {
	ID               int64
	Epoch            int16
	LastSequence     int32
	LastTimestamp    int64
	CoordinatorEpoch int32
	// TxnStart is the first offset of the open transaction, or -1.
	TxnStart int64
}

// Segment is one segment of a log, referenced by a Slice.
type Segment struct{}

// Fd is the segment's descriptor, or false on a disk without descriptors.
func (s *Segment) Fd() (int, bool) { return -1, false }

// ReadAt reads from the segment's .log file.
func (s *Segment) ReadAt(p []byte, off int64) (int, error) { return 0, io.EOF }

// Release gives a Slice's reference back.
func (s *Segment) Release() {}

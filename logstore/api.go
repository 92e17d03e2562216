package logstore

import (
	"errors"
	"log/slog"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TopicID is a topic's UUID. The zero value is no topic.
type TopicID [16]byte

// Durability is when an append counts as done.
type Durability uint8

const (
	// Commit answers after the journal's (or the segment's) fdatasync.
	Commit Durability = iota
	// Interval answers after the write; a sync follows within Options.SyncEvery.
	Interval
	// OS answers after the write and leaves syncing to the kernel and checkpoints.
	OS
)

// String is the mode's name, as the flag has it.
func (d Durability) String() string {
	switch d {
	case Commit:
		return "commit"
	case Interval:
		return "interval"
	case OS:
		return "os"
	}
	return "unknown"
}

// Options of a Store. The zero value of a field means its default.
type Options struct {
	// Dirs are the data directories; at least one.
	Dirs []string
	// ForgetDirs are ids of directories, in base64url, that are gone for good: the
	// partitions that lay there are made anew, empty.
	ForgetDirs []string
	// FS is the disk; default the real one.
	FS vfs.FS
	// JournalDir holds the journals instead of <dir>/journal.
	JournalDir string
	// JournalMax bounds one directory's journal. Default 1 GiB.
	JournalMax int64
	Durability Durability
	// AllowWeakerTopics lets a topic's flush.messages / flush.ms weaken Commit.
	AllowWeakerTopics bool
	// SyncEvery is Interval's period. Default 50 ms.
	SyncEvery time.Duration
	// CommitDelay is waited before each sync, for disks with capped IOPS.
	CommitDelay time.Duration
	// JournalWrite is "auto", "direct" (past the page cache) or "cached".
	JournalWrite string
	// SegmentWrite is "auto", "mmap" or "pwrite".
	SegmentWrite string
	// WindowBudget bounds the bytes of segment windows mapped for writing.
	WindowBudget int64
	// QueueBytes bounds what is appended and not yet committed; above it Append
	// returns ErrBusy. Internal appends have a reserve of a quarter on top.
	QueueBytes int64
	// MaxProducers bounds the producer ids remembered per partition.
	MaxProducers int
	// ProducerExpiration is Kafka's producer.id.expiration.ms.
	ProducerExpiration time.Duration
	// CheckpointEvery is the longest time between checkpoints. Default 30 s.
	CheckpointEvery time.Duration
	// DirectBytes is how many bytes a log must have in one group to be synced
	// in its segments rather than journaled. Default: what the disk's syncs,
	// measured at the start, make cheaper; negative: never, but for what the
	// journal cannot hold.
	DirectBytes int64
	// DiskReserve is the free space below which clients' appends are refused.
	// Default max(1 GiB, 2 %), at most 10 % of the disk; negative: none.
	DiskReserve int64
	// Ballast is the bytes set aside for internal topics, checkpoints and
	// deletions on a full disk. Default 64 MiB, at most a 32nd of the disk;
	// negative: none.
	Ballast int64
	// MaxOpenFiles bounds the descriptors of segments kept open.
	MaxOpenFiles int
	// StallUnhealthy is how long a write or sync that commits wait for may take
	// before the store is unhealthy ([Store.Stalled]). Default 5 s; negative: never.
	StallUnhealthy time.Duration
	// StallExit is how long it may take before OnStall is told. Default 20 s;
	// negative: never.
	StallExit time.Duration
	// Upkeep is how the store looks after its logs in the background.
	Upkeep UpkeepOptions
	// OnCommit is told of every group: the logs whose high watermark or last
	// stable offset moved, and the tokens that are done. The slices are valid
	// during the call only. See the package comment for what it may do.
	OnCommit func(advanced []Advance, done []Done)
	// OnOffline is told when a data directory was taken offline.
	OnOffline func(dir string, why error)
	// OnStall is told, once, that such a call has been running for longer than
	// StallExit. The store cannot go on and cannot be closed while it runs.
	OnStall func(dir string, why error)
	Logger  *slog.Logger
	// Go starts a goroutine; the broker passes the one function that recovers.
	Go func(name string, f func())
}

// Token is the caller's own mark of an append; a pointer costs no allocation.
type Token any

// Done is one finished append. Err is nil or why it never became durable.
type Done struct {
	Token Token
	Log   *Log
	Err   error
}

// Advance says that a log's readable end moved (or that its log start, epoch
// or life did: readers look again).
type Advance struct{ Log *Log }

// LogSpec names a partition's log and how it is kept.
type LogSpec struct {
	Topic     string
	ID        TopicID
	Partition int32
	Config    LogConfig
	// Epoch is the leader epoch to stamp on appends.
	Epoch int32
	// Internal logs are always Commit and may use the queue's reserve.
	Internal bool
}

// LogConfig is a topic's configuration as far as the log cares; the zero value
// is not valid: start from [DefaultLogConfig].
type LogConfig struct {
	SegmentBytes       int32
	SegmentMs          int64
	SegmentJitterMs    int64
	SegmentIndexBytes  int32
	IndexIntervalBytes int32
	RetentionMs        int64 // -1: no limit
	RetentionBytes     int64 // -1: no limit
	Compact, Delete    bool
	DeleteRetentionMs  int64
	MinCompactionLagMs int64
	MaxCompactionLagMs int64
	MinDirtyRatio      float64
	FileDeleteDelayMs  int64
	FlushMessages      int64
	FlushMs            int64
	MaxMessageBytes    int32
	LogAppendTime      bool
	BeforeMaxMs        int64 // message.timestamp.before.max.ms
	AfterMaxMs         int64
	// Codec is the topic's compression.type as a Kafka codec id, or -1 for
	// "producer". Recompression is the caller's: the log stores what it gets.
	Codec       int8
	Preallocate bool
}

// DefaultLogConfig is Kafka's defaults.
func DefaultLogConfig() LogConfig {
	return LogConfig{
		SegmentBytes: 1 << 30, SegmentMs: 604800000, SegmentIndexBytes: 10485760, IndexIntervalBytes: 4096,
		RetentionMs: 604800000, RetentionBytes: -1, Delete: true, DeleteRetentionMs: 86400000,
		MaxCompactionLagMs: 1<<63 - 1, MinDirtyRatio: 0.5, FileDeleteDelayMs: 60000,
		FlushMessages: 1<<63 - 1, FlushMs: 1<<63 - 1, MaxMessageBytes: 1048588,
		BeforeMaxMs: 1<<63 - 1, AfterMaxMs: 3600000, Codec: -1,
	}
}

// Origin says who appends; it decides what is checked.
type Origin uint8

const (
	// Client batches are checked as Kafka's LogValidator does.
	Client Origin = iota
	// Coordinator batches come from group, txn and cluster: control batches
	// are allowed, CreateTime is not bounded.
	Coordinator
)

// Append is what Log.Append takes.
type Append struct {
	// Batches holds exactly one or more whole v2 batches. Base offset, leader
	// epoch and, for LogAppendTime, the timestamp are patched in place. The
	// bytes must stay untouched until the token is done.
	Batches []byte
	Origin  Origin
	Token   Token
	// Now is the wall clock in milliseconds.
	Now int64
	// TxnV2 asks for KIP-890's stricter rule: a producer without state must
	// start at sequence 0.
	TxnV2 bool
	// Guard is what a transactional batch shows; see Log.Guard.
	Guard Guard
	// Written asks for the token when the batch is written, before it is
	// durable (acks=0, --acks1=written).
	Written bool
	// Led is the caller's word that it calls [Store.Lead] soon, before it waits
	// for anything: the committer's goroutine is not woken.
	Led bool
	// Inflate is the most bytes a compressed batch may be opened to, so that
	// its records are checked too. 0 leaves compressed batches closed, which
	// is what an event loop needs.
	Inflate int
}

// Appended is what Log.Append gives.
type Appended struct {
	BaseOffset     int64
	LastOffset     int64
	LogStartOffset int64
	// AppendTime is the LogAppendTime in ms, or -1 for CreateTime.
	AppendTime int64
	// Duplicate: the producer sent this batch before; BaseOffset is the
	// original's. The token is done when the original is durable.
	Duplicate bool
}

// RecordError names a record of a refused batch (Produce v8+).
type RecordError struct {
	Index   int32
	Message string
}

// InvalidRecords is a refused batch with its bad records; it unwraps to one of
// the errors below.
type InvalidRecords struct {
	Err     error
	Records []RecordError
}

func (e *InvalidRecords) Error() string { return e.Err.Error() }
func (e *InvalidRecords) Unwrap() error { return e.Err }

// What Append, Read and the queries answer. broker maps them to Kafka's codes.
var (
	ErrBusy               = errors.New("logstore: the commit queue is full; append again when it has drained")
	ErrCordoned           = errors.New("logstore: every data directory is cordoned; take one off Tuning.Cordoned")
	ErrOffline            = errors.New("logstore: the data directory is offline after an I/O error")
	ErrDiskFull           = errors.New("logstore: free space is below the reserve; appends of clients are refused")
	ErrNoFiles            = errors.New("logstore: the process has as many files open as it may; raise its limit (ulimit -n)")
	ErrClosed             = errors.New("logstore: the log is closed or deleted")
	ErrNotReady           = errors.New("logstore: recovery has not ended")
	ErrReadOnly           = errors.New("logstore: the log is read-only around damaged data")
	ErrCorrupt            = errors.New("logstore: the batch fails its CRC or its length is wrong")
	ErrInvalidRecord      = errors.New("logstore: the batch breaks a rule of the record format")
	ErrInvalidTimestamp   = errors.New("logstore: a timestamp lies outside the topic's allowed window")
	ErrTooLarge           = errors.New("logstore: the batch is larger than max.message.bytes")
	ErrSegmentTooSmall    = errors.New("logstore: the batches are larger than segment.bytes")
	ErrUnsupportedCodec   = errors.New("logstore: the batch's compression codec is not known")
	ErrOutOfOrderSequence = errors.New("logstore: the producer's sequence does not follow its last one")
	ErrProducerEpoch      = errors.New("logstore: the producer's epoch is older than the last one seen")
	ErrTxnState           = errors.New("logstore: the batch does not fit the producer's open transaction")
	ErrCoordinatorFenced  = errors.New("logstore: the marker comes from an older transaction coordinator")
	ErrTooManyProducers   = errors.New("logstore: the partition remembers its maximum of producer ids")
	ErrOutOfRange         = errors.New("logstore: the offset is outside the log")
	ErrDamaged            = errors.New("logstore: the range is damaged on disk")
)

// Read is what Log.Read takes.
type Read struct {
	Offset   int64
	MaxBytes int
	// MinOne returns the first batch even when it is larger than MaxBytes.
	MinOne bool
	// Committed stops at the last stable offset and lists aborted transactions.
	Committed bool
	// Uncommitted data above the high watermark is never returned.

	// Cursor, when not nil, remembers where the last read of this session
	// ended, so that the next one needs no index.
	Cursor *Cursor
}

// Cursor is a remembered position; the zero value is empty. One goroutine at a time.
type Cursor struct {
	offset  int64
	pos     int64
	base    int64
	version uint64
}

// Offsets is a log's watermarks at one moment.
type Offsets struct {
	LogStart      int64
	HighWatermark int64
	LastStable    int64
	LogEnd        int64
}

// AbortedTxn is an entry of a fetch response's aborted list.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
}

// Slice is a range of whole batches in one segment. File and Owner satisfy
// netloop's interfaces. Release it exactly once when Len > 0.
type Slice struct {
	Offsets
	Seg *Segment // nil when Len is 0
	Off int64
	Len int64
	// Mem is the same bytes when they are mapped or cached, else nil.
	Mem []byte
	Hot bool
	// Aborted is non-nil (perhaps empty) on a committed read.
	Aborted []AbortedTxn
	// NextOffset is where the next read goes on: after the last batch of the range,
	// or at the batch behind it when compaction left a gap between them.
	NextOffset int64
}

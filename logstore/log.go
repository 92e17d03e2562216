package logstore

import (
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// Log is one partition's log. All methods are for any goroutine.
//
// The package comment has the order of locks.
type Log struct {
	// Attachment is broker's own pointer, set once before the log is published.
	Attachment any

	store     *Store
	dir       *dir
	topic     string
	id        TopicID
	partition int32
	path      string
	internal  bool

	cfg   atomic.Pointer[LogConfig]
	epoch atomic.Int32 // stamped on appends
	marks watermarks
	// segs are in order of base offset; replaced under mu, nil until loaded.
	segs atomic.Pointer[[]*Segment]
	// version counts the changes that make a Cursor's position wrong.
	version  atomic.Uint64
	closed   atomic.Bool
	deleted  atomic.Bool
	failed   atomic.Bool  // a panic left the append state unknown
	readOnly atomic.Bool  // damaged data: no appends
	recovery atomic.Int64 // persisted recovery point
	direct   atomic.Bool  // was synced directly lately: no windows
	names    dirNames
	grown    atomic.Bool // the active segment's file may be longer than its log
	shrink   atomic.Bool // segments below the log start wait for their deletion
	epochs   epochCache
	damaged  atomic.Pointer[[]damagedRange]

	mu        sync.Mutex
	loaded    bool      // mu; segs, prod and active are there
	end       int64     // mu; log end offset
	active    *Segment  // mu
	prod      producers // mu
	lastEpoch int32     // mu; newest epoch in the cache
	listed    bool      // mu; in dir.dirty

	commit commitState // committer only
}

func newLog(s *Store, d *dir, spec LogSpec) *Log {
	l := &Log{
		store: s, dir: d, topic: strings.Clone(spec.Topic), id: spec.ID, partition: spec.Partition,
		path:     filepath.Join(d.logs, logDirName(spec.Topic, spec.Partition)),
		internal: spec.Internal, lastEpoch: -1,
	}
	cfg := spec.Config
	l.cfg.Store(&cfg)
	l.epoch.Store(spec.Epoch)
	return l
}

// Topic is the topic's name.
func (l *Log) Topic() string { return l.topic }

// ID is the topic's id.
func (l *Log) ID() TopicID { return l.id }

// Partition is the partition's number.
func (l *Log) Partition() int32 { return l.partition }

// Dir is the data directory that holds the log.
func (l *Log) Dir() string { return l.dir.path }

func (l *Log) key() logKey { return logKey{l.id, l.partition} }

// Offsets is the watermarks, read together.
func (l *Log) Offsets() Offsets { return l.marks.offsets() }

// SetConfig changes the configuration from the next append on.
func (l *Log) SetConfig(c LogConfig) { l.cfg.Store(&c) }

// Config is the configuration in force.
func (l *Log) Config() LogConfig { return *l.cfg.Load() }

// SetEpoch raises the leader epoch stamped on appends.
func (l *Log) SetEpoch(epoch int32) {
	for {
		old := l.epoch.Load()
		if epoch <= old {
			return
		}
		if l.epoch.CompareAndSwap(old, epoch) {
			l.dir.committer.notify(l)
			return
		}
	}
}

// Epoch is the leader epoch stamped on appends.
func (l *Log) Epoch() int32 { return l.epoch.Load() }

// EpochAt is the leader epoch of an offset, -1 when unknown.
func (l *Log) EpochAt(offset int64) int32 {
	if l.ensure() != nil {
		return -1
	}
	return l.epochs.at(offset)
}

// EndForEpoch answers OffsetForLeaderEpoch: the largest known epoch <= epoch
// and where it ends, or (-1, -1).
func (l *Log) EndForEpoch(epoch int32) (foundEpoch int32, end int64) {
	if l.ensure() != nil {
		return -1, -1
	}
	return l.epochs.endFor(epoch, l.epoch.Load(), l.marks.offsets().LogEnd)
}

// Producers lists the producers remembered (DescribeProducers).
func (l *Log) Producers() []Producer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.load() != nil {
		return nil
	}
	return l.prod.list()
}

// Size is the bytes of all segments.
func (l *Log) Size() int64 {
	segs := l.segs.Load()
	if segs == nil {
		if e, ok := l.entry(); ok {
			return e.size
		}
		if l.ensure() != nil {
			return 0
		}
		segs = l.segs.Load()
	}
	var n int64
	for _, s := range *segs {
		n += s.size.Load()
	}
	return n
}

// entry is the log's entry in the last checkpoint.
func (l *Log) entry() (e logEntry, ok bool) {
	l.dir.mu.Lock()
	raw, ok := l.dir.entries[l.key()]
	l.dir.mu.Unlock()
	if !ok {
		return e, false
	}
	e, err := decodeLogEntry(raw)
	return e, err == nil
}

// ensure is load for callers without the lock; once loaded it takes none.
func (l *Log) ensure() error {
	if l.segs.Load() != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.load()
}

// load brings in what a clean open left out: the list of segments, the append
// state and the producers. Under mu.
func (l *Log) load() error {
	if l.loaded {
		return nil
	}
	if l.closed.Load() {
		return ErrClosed
	}
	if l.dir.offline.Load() {
		return ErrOffline
	}
	e, ok := l.entry()
	if !ok {
		return fmt.Errorf("%w: %s has no checkpoint entry", ErrNotReady, l.path)
	}
	segs, err := l.findSegments()
	if err != nil {
		return l.dir.ioError(err)
	}
	i := slices.IndexFunc(segs, func(s *Segment) bool { return s.base == e.base })
	if i < 0 || i != len(segs)-1 || segs[i].size.Load() < e.pos {
		l.dir.store.logger.Error("a segment is missing or short since the last clean stop", "log", l.path, "segment", e.base)
		l.readOnly.Store(true)
		l.store.stats.damaged.Add(1)
		if i < 0 {
			return fmt.Errorf("%w: segment %s is missing", ErrDamaged, filepath.Join(l.path, segmentName(e.base, suffixLog)))
		}
	}
	a := segs[i]
	a.size.Store(min(e.pos, a.size.Load()))
	a.durable.Store(a.size.Load())
	a.next.Store(e.recovery)
	a.maxTs, a.maxTsAt, a.firstTs, a.created, a.sinceIndex = e.maxTs, e.maxTsAt, e.firstTs, e.created, e.sinceIndex
	if err := a.learnIndexes(); err != nil {
		return l.dir.ioError(err)
	}
	a.believeEntries(&e)
	epochs, err := readEpochs(l.store.fs, l.path)
	if err != nil {
		return l.readFault(err)
	}
	l.epochs.list = epochs
	l.epochs.truncateEnd(e.recovery) // what a checkpoint that failed had written
	l.lastEpoch = l.epochs.latest()
	l.prod = e.prod
	l.active = a
	l.end = e.recovery
	if err := l.readDamage(); err != nil {
		return l.readFault(err)
	}
	l.segs.Store(&segs)
	l.loaded = true
	l.store.stats.loaded.Add(1)
	l.sealRolled()
	return nil
}

// findSegments lists the directory. Sizes are those of the files; next is the
// base of the following segment, and of the last its own base.
func (l *Log) findSegments() ([]*Segment, error) {
	entries, err := l.store.fs.ReadDir(l.path)
	if err != nil {
		return nil, fmt.Errorf("read directory of a log: %w", err)
	}
	changed, err := recoverSwaps(l.store.fs, l.path, entries)
	if err == nil && changed {
		entries, err = l.store.fs.ReadDir(l.path)
	}
	if err != nil {
		return nil, fmt.Errorf("read directory of a log: %w", err)
	}
	var segs []*Segment
	sealed := map[int64]bool{}
	for _, e := range entries {
		if base, ok := parseSegmentName(e.Name(), suffixSeal); ok {
			sealed[base] = true
			continue
		}
		base, ok := parseSegmentName(e.Name(), suffixLog)
		if !ok {
			if strings.HasSuffix(e.Name(), suffixDeleted) {
				l.dir.bury(filepath.Join(l.path, e.Name()), 0, false)
			}
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("stat segment: %w", err)
		}
		s := newSegment(l, base)
		s.size.Store(info.Size())
		s.durable.Store(info.Size())
		s.created = info.ModTime().UnixMilli()
		segs = append(segs, s)
	}
	sort.Slice(segs, func(i, j int) bool { return segs[i].base < segs[j].base })
	for i, s := range segs {
		if i+1 < len(segs) {
			s.next.Store(segs[i+1].base)
			s.rolled.Store(true)
			if sealed[s.base] {
				s.sealed.Store(true)
			}
		}
	}
	return segs, nil
}

// sealRolled lists the closed segments that a crash left without a seal, or
// that Kafka wrote. Under mu.
func (l *Log) sealRolled() {
	for _, s := range *l.segs.Load() {
		if s.rolled.Load() && !s.sealed.Load() {
			l.dir.toSeal(s, nil)
		}
	}
}

// shut refuses appends from now on and waits for one that runs.
func (l *Log) shut() {
	l.closed.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
}

// admit says whether the log may be used at all.
func (l *Log) admit() error {
	switch {
	case l.closed.Load():
		return ErrClosed
	case l.failed.Load() || l.dir.offline.Load():
		return ErrOffline
	}
	return nil
}

// markDirty lists the log for the next checkpoint. Under mu.
func (l *Log) markDirty() {
	if !l.listed {
		l.listed = true
		l.dir.touch(l)
	}
}

// raiseStart moves the log start up, and has the keeper delete what lies below
// it once a checkpoint has made it durable (rule 5).
func (l *Log) raiseStart(to int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.load() != nil || !l.marks.raiseStart(to) {
		return false
	}
	l.epochs.truncateStart(to)
	l.shrink.Store(true)
	l.markDirty()
	l.dir.committer.notify(l)
	return true
}

// dropBelowStart deletes the segments that lie wholly below the log start and
// the recovery point of the last checkpoint. The keeper calls it after one.
func (l *Log) dropBelowStart(durableStart int64) error {
	l.mu.Lock()
	if l.segs.Load() == nil {
		l.mu.Unlock()
		return nil
	}
	segs := *l.segs.Load()
	limit := min(durableStart, l.recovery.Load())
	n := 0
	for n < len(segs)-1 && segs[n].rolled.Load() && segs[n].next.Load() <= limit {
		n++
	}
	kept := slices.Clone(segs[n:])
	if n > 0 {
		l.segs.Store(&kept)
		l.version.Add(1)
	}
	l.mu.Unlock()
	delay := l.cfg.Load().FileDeleteDelayMs
	for _, s := range segs[:n] {
		if err := l.bury(s, delay); err != nil {
			return err
		}
	}
	return nil
}

// bury renames a segment's files to .deleted and lists them for unlinking.
func (l *Log) bury(s *Segment, delayMs int64) error {
	if err := s.delete(); err != nil {
		return err
	}
	for _, suffix := range []string{suffixLog, suffixIndex, suffixTime, suffixTxn, suffixSeal, suffixSnapshot} {
		l.dir.bury(s.path()+suffix+suffixDeleted, delayMs, false)
	}
	return nil
}

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

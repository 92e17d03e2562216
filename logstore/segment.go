package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// Segment is one segment of a log: a .log file with its indexes.
//
// Its descriptor is opened on demand and closed by the store's cache when the
// segment has no pins. A pin is held by every Slice until Release, by an
// append, a sync or a scan while it runs. A deleted segment's file stays open
// while pinned, so a Slice is valid whatever happens to the log.
type Segment struct {
	log  *Log
	base int64
	// size is the bytes of whole batches; the file may be longer. It moves
	// under log.mu, or in recovery before the log is published.
	size atomic.Int64
	// next is the offset after the last batch. As size.
	next atomic.Int64
	// durable is how many bytes of the file a sync is known to have covered.
	durable atomic.Int64

	// writtenBack is up to where the kernel was asked to write. Keeper.
	writtenBack int64

	// smu keeps syncs of the file one after the other, so that none can succeed
	// behind one that failed.
	smu     sync.Mutex
	syncErr error // smu; the first failure, answered ever after

	fmu  sync.Mutex
	file vfs.File // fmu; nil when closed
	pins int      // fmu
	gone bool     // fmu; deleted: close at the last unpin, never reopen by name
	used atomic.Bool

	// rolled: no longer active, and never again once the log is published. It is
	// set under log.mu when all that a roll writes to the segment is there.
	rolled atomic.Bool

	trimmed bool // mapper.work; the file has its final size
	// reserved: blocks lie behind the file's size. Set before the segment is
	// published.
	reserved bool

	imu     sync.RWMutex
	offsets entryFile[offsetEntry] // imu
	times   entryFile[timeEntry]   // imu
	txns    entryFile[txnEntry]    // imu
	// timeless: rebuilt, and no record has a timestamp. imu.
	timeless bool
	// replaced: compaction put another file under the segment's name, so its
	// indexes cannot be loaded any more. imu.
	replaced bool

	// The rest is the append state of an active segment: log.mu.
	maxTs      int64 // largest timestamp so far, -1: none
	maxTsAt    int64 // last offset of the batch that has it
	firstTs    int64 // largest timestamp of the first batch; rolls go by it
	created    int64 // ms; rolls go by it when firstTs is -1
	sinceIndex int64 // bytes since the last index entry
	win        windows
	sealed     atomic.Bool
}

// newSegment makes the object; it touches no file.
func newSegment(l *Log, base int64) *Segment {
	s := &Segment{log: l, base: base, maxTs: -1, maxTsAt: -1, firstTs: -1}
	s.next.Store(base)
	s.offsets.flushed, s.times.flushed, s.txns.flushed = -1, -1, -1
	return s
}

// newEmptySegment is newSegment for one that has no index files yet.
func newEmptySegment(l *Log, base int64) *Segment {
	s := newSegment(l, base)
	s.offsets.flushed, s.times.flushed, s.txns.flushed = 0, 0, 0
	return s
}

// path is the segment's file name without a suffix.
func (s *Segment) path() string { return filepath.Join(s.log.path, segmentName(s.base, "")) }

// Base is the segment's base offset.
func (s *Segment) Base() int64 { return s.base }

// Fd is the segment's descriptor, or false on a disk without descriptors. Valid
// until Release.
func (s *Segment) Fd() (int, bool) { return s.file.Fd() }

// ReadAt reads from the segment's .log file. Valid until Release. A disk that
// cannot give the bytes takes its data directory offline.
func (s *Segment) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.file.ReadAt(p, off)
	if diskFailed(err) {
		err = s.log.readFault(err)
	}
	return n, err
}

// Release gives a Slice's reference back. Any goroutine, exactly once.
func (s *Segment) Release() { s.unpin() }

// pin opens the file if need be and holds it open. On nil error s.file may be
// used until unpin.
func (s *Segment) pin() error { return s.pinWith(false) }

func (s *Segment) pinWith(create bool) error {
	s.fmu.Lock()
	opened := false
	if s.file == nil {
		if s.gone {
			s.fmu.Unlock()
			return ErrClosed
		}
		disk, name := s.log.store.fs, s.path()+suffixLog
		var f vfs.File
		var err error
		if create {
			f, err = disk.Create(name)
		} else {
			f, err = disk.Open(name)
		}
		if err != nil {
			s.fmu.Unlock()
			return fmt.Errorf("open segment: %w", noFiles(err))
		}
		s.file, opened = f, true
	}
	s.pins++
	s.fmu.Unlock()
	s.used.Store(true)
	if opened {
		s.log.store.files.opened(s)
	}
	return nil
}

func (s *Segment) unpin() {
	s.fmu.Lock()
	s.pins--
	var f vfs.File
	if s.pins == 0 && s.gone {
		f, s.file = s.file, nil
	}
	s.fmu.Unlock()
	if f != nil {
		s.log.store.files.closed(s)
		if err := f.Close(); err != nil {
			s.log.store.logger.Warn("closing a deleted segment failed", "file", f.Name(), "err", err)
		}
	}
}

// sync makes the bytes below upTo durable. dirty descriptors are never closed
// before it: Linux reports a failed write-back once per open file.
func (s *Segment) sync(upTo int64) error {
	if s.durable.Load() >= upTo {
		return nil
	}
	s.smu.Lock()
	defer s.smu.Unlock()
	if s.durable.Load() >= upTo { // by the one that held the lock
		return nil
	}
	if s.syncErr != nil {
		return s.syncErr
	}
	if err := s.pin(); err != nil {
		return err
	}
	err := s.file.Datasync()
	s.unpin()
	if err != nil {
		// The kernel has marked the pages clean and told this descriptor once: the
		// next sync would succeed and be a lie (rule 11).
		s.syncErr = fmt.Errorf("sync segment %s: %w", s.path(), err)
		return s.syncErr
	}
	raise(&s.durable, upTo)
	return nil
}

// raise moves an atomic up to v.
func raise(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if old >= v || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// noteBatch brings the append state and the indexes up to date for a batch at
// pos. Kafka's rule: an entry comes before a batch when more than interval
// bytes followed the last entry. Under log.mu.
func (s *Segment) noteBatch(b record.Batch, pos int64, interval int64) {
	s.noteSize(b, pos, int64(len(b)), interval)
}

// noteSize is noteBatch for a batch of which only the header is there.
func (s *Segment) noteSize(b record.Batch, pos, size, interval int64) {
	last := b.LastOffset()
	ts := b.MaxTimestamp()
	if s.firstTs < 0 {
		s.firstTs = ts
	}
	if ts > s.maxTs {
		s.maxTs, s.maxTsAt = ts, last
	}
	if s.sinceIndex > interval {
		s.imu.Lock()
		s.offsets.add(offsetEntry{int32(last - s.base), int32(pos)})
		s.addTime()
		s.imu.Unlock()
		s.sinceIndex = 0
	}
	s.sinceIndex += size
}

// addTime appends the largest timestamp to the time index when it is new.
// Under log.mu and imu.
func (s *Segment) addTime() {
	if s.maxTs < 0 {
		return
	}
	if e, ok := s.times.last(); ok && e.ts >= s.maxTs {
		return
	}
	s.times.add(timeEntry{s.maxTs, int32(s.maxTsAt - s.base)})
}

// indexesFull reports whether either index has reached segment.index.bytes.
// Under log.mu.
func (s *Segment) indexesFull(limit int32) bool {
	s.imu.RLock()
	defer s.imu.RUnlock()
	return s.offsets.count() >= int(limit)/offsetFormat.size || s.times.count() >= int(limit)/timeFormat.size-1
}

// flushIndexes writes what the index files lack and makes it durable. One
// goroutine at a time for a segment: the directory's keeper, recovery, Close.
func (s *Segment) flushIndexes() error {
	if err := flushEntries(s, &s.offsets, offsetFormat, false); err != nil {
		return err
	}
	if err := flushEntries(s, &s.times, timeFormat, false); err != nil {
		return err
	}
	return flushEntries(s, &s.txns, txnFormat, false)
}

// endIndexes is flushIndexes that also cuts off what the files hold beyond:
// stale entries after a crash. What a checkpoint vouched for is not written
// again, since a power cut in between could lose it, and aborted transactions
// cannot be rebuilt from one segment.
func (s *Segment) endIndexes() error {
	if err := flushEntries(s, &s.offsets, offsetFormat, true); err != nil {
		return err
	}
	if err := flushEntries(s, &s.times, timeFormat, true); err != nil {
		return err
	}
	return flushEntries(s, &s.txns, txnFormat, true)
}

// flushEntries writes what one index file lacks; with end it is cut there even
// when nothing is missing.
func flushEntries[E any](s *Segment, t *entryFile[E], f *entryFormat[E], end bool) error {
	s.imu.Lock()
	if t.flushed < 0 {
		s.imu.Unlock()
		return nil // never looked at, so nothing was added
	}
	raw, at, upTo := t.pending(f)
	s.imu.Unlock()
	if len(raw) == 0 && !end {
		return nil
	}
	if upTo == 0 && f.suffix == suffixTxn {
		return removeIfThere(s.log.store.fs, s.path()+f.suffix)
	}
	if len(raw) == 0 {
		// Nothing to cut off, or no file, is most often the case; ten thousand logs
		// that recover would wait for as many syncs.
		info, err := s.log.store.fs.Stat(s.path() + f.suffix)
		if (err == nil && info.Size() == at) || (upTo == 0 && isMissing(err)) {
			return nil
		}
	}
	made, err := writeEntries(s.log.store.fs, s.path()+f.suffix, raw, at)
	if made {
		s.log.names.add()
	}
	if err != nil {
		return err
	}
	s.imu.Lock()
	t.flushed = upTo
	s.imu.Unlock()
	return nil
}

// learnIndexes asks for the sizes of the index files. Under log.mu, before the
// first append to a segment that was opened.
func (s *Segment) learnIndexes() error {
	s.imu.Lock()
	defer s.imu.Unlock()
	disk := s.log.store.fs
	return errors.Join(
		s.offsets.learn(disk, s.path(), offsetFormat),
		s.times.learn(disk, s.path(), timeFormat),
		s.txns.learn(disk, s.path(), txnFormat))
}

// believeEntries forgets the entries of the index files beyond those that the
// checkpoint vouches for: a recovery cut the files there, and a power cut after
// the clean stop may have undone that. Under log.mu.
func (s *Segment) believeEntries(e *logEntry) {
	s.imu.Lock()
	defer s.imu.Unlock()
	s.offsets.believe(int(e.offsets))
	s.times.believe(int(e.times))
	s.txns.believe(int(e.txnIndex))
}

// trimIndexes gives index memory back that the files hold too.
func (s *Segment) trimIndexes() {
	s.imu.Lock()
	s.offsets.trim()
	s.times.trim()
	s.txns.trim()
	s.imu.Unlock()
}

// delete takes the segment's files out of the log's directory by renaming them
// to .deleted; the keeper unlinks them later. Open descriptors stay valid.
func (s *Segment) delete() error {
	disk := s.log.store.fs
	for _, suffix := range []string{suffixLog, suffixIndex, suffixTime, suffixTxn, suffixSeal, suffixSnapshot} {
		name := s.path() + suffix
		if err := disk.Rename(name, name+suffixDeleted); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete segment: %w", err)
		}
	}
	s.retire()
	return nil
}

// retire forgets the descriptor: closed now, or at the last unpin.
func (s *Segment) retire() {
	s.fmu.Lock()
	s.gone = true
	var f vfs.File
	if s.pins == 0 && s.file != nil {
		f, s.file = s.file, nil
	}
	s.fmu.Unlock()
	if f == nil {
		return
	}
	s.log.store.files.closed(s)
	if err := f.Close(); err != nil {
		s.log.store.logger.Warn("closing a segment failed", "file", f.Name(), "err", err)
	}
}

package logstore

import (
	"errors"
	"fmt"

	"github.com/chronik-stream/chronik/codec/record"
)

// loadOffsets brings the offset index into the heap, rebuilding it when the
// file cannot be believed. Under imu for writing, which a rebuild gives up and
// takes again.
func (s *Segment) loadOffsets() error {
	err := s.offsets.load(s.log.store.fs, s.path(), offsetFormat)
	return s.orRebuild(err)
}

// errReplaced: compaction has just put another segment in this one's place;
// who meets it looks the segment up again.
var errReplaced = errors.New("the segment was replaced")

func (s *Segment) loadTimes() error {
	err := s.times.load(s.log.store.fs, s.path(), timeFormat)
	if err == nil && len(s.times.mem) == 0 && s.rolled.Load() && s.size.Load() > 0 && !s.timeless {
		err = errBadIndex // a roll leaves an entry: the file is gone
	}
	return s.orRebuild(err)
}

func (s *Segment) loadTxns() error {
	err := s.txns.load(s.log.store.fs, s.path(), txnFormat)
	return s.orRebuild(err)
}

func (s *Segment) orRebuild(err error) error {
	if s.replaced {
		return errReplaced
	}
	if !errors.Is(err, errBadIndex) {
		return err
	}
	s.log.store.logger.Warn("an index is rebuilt from its segment", "log", s.log.path, "segment", s.base)
	s.imu.Unlock()
	err = s.rebuildIndexes(s.log.cfg.Load().IndexIntervalBytes)
	s.imu.Lock()
	return err
}

// rebuildIndexes makes .index and .timeindex from the segment's batches. The
// transaction index is kept when it can be read: aborts cannot be told from
// one segment alone.
func (s *Segment) rebuildIndexes(interval int32) error {
	shadow := newEmptySegment(s.log, s.base)
	err := s.eachHeader(0, s.size.Load(), func(b record.Batch, pos int64) bool {
		shadow.noteSize(b, pos, int64(b.Size()), int64(interval))
		return true
	})
	if err != nil {
		return err
	}
	s.imu.Lock()
	defer s.imu.Unlock()
	if s.rolled.Load() {
		shadow.addTime()
	}
	s.offsets, s.times = shadow.offsets, shadow.times
	s.timeless = len(s.times.mem) == 0
	if err := s.txns.load(s.log.store.fs, s.path(), txnFormat); err != nil {
		if !errors.Is(err, errBadIndex) {
			return err
		}
		s.log.store.stats.damaged.Add(1)
		s.log.store.logger.Error("the index of aborted transactions is damaged", "log", s.log.path, "segment", s.base)
		s.txns = entryFile[txnEntry]{}
	}
	s.maxTs, s.maxTsAt, s.sinceIndex = shadow.maxTs, shadow.maxTsAt, shadow.sinceIndex
	return nil
}

// eachHeader walks the batch headers of a segment from a batch boundary until
// f returns false or end is reached. b holds the header only.
func (s *Segment) eachHeader(from, end int64, f func(b record.Batch, pos int64) bool) error {
	if err := s.pin(); err != nil {
		return err
	}
	defer s.unpin()
	pooled := getScratch()
	defer putScratch(pooled)
	buf := pooled[:]
	at, have := int64(0), 0 // buf holds file bytes [at, at+have)
	chunk := int64(firstHeaderRead)
	for pos := from; pos < end; {
		if pos < at || pos+record.HeaderSize > at+int64(have) {
			n, err := s.file.ReadAt(buf[:min(chunk, end-pos)], pos)
			if n < record.HeaderSize {
				return s.shortRead(pos, err)
			}
			at, have = pos, n
		}
		b := record.Batch(buf[pos-at : pos-at+record.HeaderSize])
		size := int64(b.Size())
		if b.Magic() != record.Magic || size < record.HeaderSize || pos+size > end {
			return fmt.Errorf("%w: segment %s has no batch at byte %d", ErrDamaged, s.path(), pos)
		}
		if !f(b, pos) {
			return nil
		}
		pos += size
		if size < int64(len(buf))/2 {
			chunk = int64(len(buf)) // small batches: the next headers are near
		}
	}
	return nil
}

// firstHeaderRead is how much [Segment.eachHeader] reads while batches are
// large: to read on past a header is then to copy records for nothing. It is what
// index.interval.bytes is unless somebody changes it, so that a scan from an index
// entry mostly finds its batch in one read.
const firstHeaderRead = 4 << 10

// boundAt is the place of the last index entry at or below offset: where a
// scan for it starts. The batch there may begin below offset.
func (s *Segment) boundAt(offset int64) (pos int64, err error) {
	rel := offset - s.base
	s.imu.RLock()
	if s.offsets.flushed >= 0 && (s.offsets.first == 0 || (len(s.offsets.mem) > 0 && int64(s.offsets.mem[0].rel) <= rel)) {
		pos = floor(&s.offsets, rel)
		s.imu.RUnlock()
		return pos, nil
	}
	s.imu.RUnlock()
	s.imu.Lock()
	defer s.imu.Unlock()
	if err := s.loadOffsets(); err != nil {
		return 0, err
	}
	return floor(&s.offsets, rel), nil
}

// floor is the position of the last loaded entry whose batch may hold rel. An
// entry has its batch's last offset, so the batch that holds rel starts at the
// first entry with a last offset >= rel, or after the last one below it.
func floor(t *entryFile[offsetEntry], rel int64) int64 {
	n := t.search(func(e offsetEntry) bool { return int64(e.rel) <= rel })
	if n == 0 {
		return 0
	}
	return int64(t.mem[n-1].pos)
}

// positionBelow is the last indexed batch boundary at or below pos, at least
// from: where the walk to the end of a range starts.
func (s *Segment) positionBelow(pos, from int64) int64 {
	s.imu.RLock()
	defer s.imu.RUnlock()
	n := s.offsets.search(func(e offsetEntry) bool { return int64(e.pos) <= pos })
	if n == 0 {
		return from
	}
	return max(from, int64(s.offsets.mem[n-1].pos))
}

package logstore

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// mustRoll is Kafka's LogSegment.shouldRoll: the segment would outgrow
// segment.bytes, it is older than segment.ms by record timestamps, an index is
// full, or an offset would not fit 31 bits after the base. Under mu.
func (l *Log) mustRoll(s *Segment, cfg *LogConfig, n int64, sum *appendSummary, now int64) bool {
	size := s.size.Load()
	if size == 0 {
		return l.end+sum.offsets-1-s.base > math.MaxInt32
	}
	since := now - s.created
	if s.firstTs >= 0 && sum.maxTs >= 0 {
		since = sum.maxTs - s.firstTs
	}
	return size+n > int64(cfg.SegmentBytes) ||
		since > cfg.rollMs()-s.jitter(cfg) ||
		s.indexesFull(cfg.SegmentIndexBytes) ||
		l.end+sum.offsets-1-s.base > math.MaxInt32
}

// rollMs is the longest a segment stays active: on a compacted topic not past
// max.compaction.lag.ms, since compaction never touches the active one (Kafka:
// LogConfig.maxSegmentMs).
func (c *LogConfig) rollMs() int64 {
	if c.Compact && c.MaxCompactionLagMs > 0 {
		return min(c.SegmentMs, c.MaxCompactionLagMs)
	}
	return c.SegmentMs
}

// jitter is the segment's share of segment.jitter.ms, fixed by its base so
// that it needs no memory.
func (s *Segment) jitter(cfg *LogConfig) int64 {
	most := min(cfg.SegmentJitterMs, cfg.rollMs())
	if most <= 0 {
		return 0
	}
	h := (uint64(s.base)<<8 ^ uint64(s.log.partition)) * 0x9e3779b97f4a7c15
	return int64((h ^ h>>29) % uint64(most))
}

// roll makes a new active segment at the log end and leaves the old one to the
// keeper: no sync happens here. The new name is durable with the next direct
// sync or checkpoint; until then a journal frame can create the file anew.
// Under mu.
func (l *Log) roll(now int64) (*Segment, error) {
	old := l.active
	s := newEmptySegment(l, l.end)
	s.created = now
	if err := s.pinWith(true); err != nil {
		return nil, l.dir.ioError(err)
	}
	err := s.preallocate(l.cfg.Load())
	s.unpin()
	if err != nil {
		// The next start would take it for the active one.
		s.retire()
		return nil, l.dir.ioError(errors.Join(err, removeIfThere(l.store.fs, s.path()+suffixLog)))
	}
	old.imu.Lock()
	old.addTime()
	old.imu.Unlock()
	old.rolled.Store(true)
	s.win.appends = old.win.appends // a hot log stays hot
	l.dir.mapper.release(old)
	segs := append(slices.Clone(*l.segs.Load()), s)
	l.names.add()
	between()
	l.segs.Store(&segs)
	between()
	l.active = s
	l.store.stats.rolls.Add(1)
	l.markDirty()
	l.dir.toSeal(old, encodeSnapshot(&l.prod))
	return s, nil
}

// preallocate reserves a new segment's blocks where the topic has
// preallocate=true. Kafka sets the file's length; here its size stays what is
// written, and the blocks are really there. The caller holds a pin.
func (s *Segment) preallocate(cfg *LogConfig) error {
	if !cfg.Preallocate {
		return nil
	}
	s.reserved = true
	s.log.grown.Store(true)
	if err := s.file.Allocate(0, int64(cfg.SegmentBytes), true); err != nil {
		return fmt.Errorf("preallocate segment %s: %w", s.path(), err)
	}
	return nil
}

// Roll closes the active segment unless it is empty (retention and tests).
func (l *Log) Roll(now int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admit(); err != nil {
		return err
	}
	if err := l.load(); err != nil {
		return err
	}
	if l.active.size.Load() == 0 {
		return nil
	}
	if _, err := l.roll(now); err != nil {
		return fmt.Errorf("roll: %w", err)
	}
	return nil
}

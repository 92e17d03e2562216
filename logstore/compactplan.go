package logstore

import (
	"fmt"
	"math"
	"slices"

	"github.com/chronik-stream/chronik/codec/record"
)

// dirtyLog is how dirty a log is: what the cleaner chooses by.
type dirtyLog struct {
	log     *Log
	cleaned int64 // what inspect was told
	// first is where the dirty part begins, upper where the run must stop: a
	// segment's base.
	first, upper int64
	clean, dirty int64 // bytes below first, bytes from there to upper
	// must says that max.compaction.lag.ms has passed for its oldest dirty
	// record.
	must bool
}

func (d *dirtyLog) ratio() float64 {
	if d.clean+d.dirty == 0 {
		return 0
	}
	return float64(d.dirty) / float64(d.clean+d.dirty)
}

// due reports whether the log should be compacted now.
func (d *dirtyLog) due() bool {
	return d.dirty > 0 && (d.must || d.ratio() > d.log.cfg.Load().MinDirtyRatio)
}

// inspect finds what could be compacted of a log that was cleaned below
// cleaned (Kafka: LogCleanerManager.cleanableOffsets). Never touched are the
// active segment, what lies at or above the last stable offset or the persisted
// recovery point (rule 5), any segment with a record younger than
// min.compaction.lag.ms, and the segments that the watermarks point into: their
// positions must stay true.
func (l *Log) inspect(cleaned, now int64) (d dirtyLog, err error) {
	if err := l.ensure(); err != nil {
		return d, err
	}
	cfg := l.cfg.Load()
	segs := *l.segs.Load()
	o := l.marks.offsets()
	d = dirtyLog{log: l, cleaned: cleaned, first: cleaned}
	if cleaned < o.LogStart || cleaned > o.LogEnd {
		d.first = o.LogStart
	}
	limit := min(o.LastStable, l.recovery.Load(), l.marks.lowestBase())
	d.upper = segs[0].base
	for _, s := range segs[:len(segs)-1] {
		end := s.next.Load()
		if end > limit {
			break
		}
		if end > d.first {
			if cfg.MinCompactionLagMs > 0 {
				newest, err := l.newest(s)
				if err != nil {
					return d, err
				}
				if newest > now-cfg.MinCompactionLagMs {
					break
				}
			}
			if !d.must && cfg.MaxCompactionLagMs < math.MaxInt64 {
				oldest, err := s.firstTimestamp()
				if err != nil {
					return d, err
				}
				d.must = oldest > 0 && oldest < now-max(cfg.MaxCompactionLagMs, 0)
			}
		}
		d.upper = end
	}
	d.first = min(d.first, max(d.upper, o.LogStart))
	for _, s := range segs {
		switch {
		case s.base >= d.upper:
		case s.next.Load() <= d.first:
			d.clean += s.size.Load()
		default:
			d.dirty += s.size.Load()
		}
	}
	return d, nil
}

// lowestBase is the first segment that a watermark points into.
func (w *watermarks) lowestBase() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	lowest := int64(math.MaxInt64)
	for _, p := range []place{w.hw, w.lso} {
		if p.base >= 0 {
			lowest = min(lowest, p.base)
		}
	}
	for _, t := range w.txns {
		if t.first.base >= 0 {
			lowest = min(lowest, t.first.base)
		}
	}
	return lowest
}

// newest is the largest record timestamp of a segment; of one without any, the
// time it was made, as Kafka does (LogSegment.largestTimestamp).
func (l *Log) newest(s *Segment) (int64, error) {
	l.mu.Lock()
	ts := s.maxTs
	l.mu.Unlock()
	if ts >= 0 {
		return ts, nil
	}
	ts, err := s.lastTime()
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ts < 0 {
		return s.created, nil
	}
	if s.rolled.Load() && s.maxTs < 0 {
		s.maxTs = ts
	}
	return ts, nil
}

// lastTime is the last entry's timestamp of the time index, which a roll
// completes with the segment's largest; -1 when there is none.
func (s *Segment) lastTime() (int64, error) {
	s.imu.Lock()
	defer s.imu.Unlock()
	if e, ok := s.times.last(); ok {
		return e.ts, nil
	}
	disk := s.log.store.fs
	if err := s.times.learn(disk, s.path(), timeFormat); err != nil {
		return 0, err
	}
	if s.times.flushed == 0 {
		return -1, nil
	}
	f, err := disk.OpenRead(s.path() + suffixTime)
	if err != nil {
		return 0, fmt.Errorf("open time index: %w", err)
	}
	raw := make([]byte, timeFormat.size)
	n, err := f.ReadAt(raw, int64(s.times.flushed-1)*int64(timeFormat.size))
	if cerr := f.Close(); cerr != nil {
		return 0, cerr
	}
	if n < len(raw) {
		return 0, fmt.Errorf("read time index: %w", err)
	}
	return timeFormat.get(raw).ts, nil
}

// firstTimestamp is the largest timestamp of the first batch, -1 when the
// segment is empty.
func (s *Segment) firstTimestamp() (int64, error) {
	if s.size.Load() < record.HeaderSize {
		return -1, nil
	}
	if err := s.pin(); err != nil {
		return 0, err
	}
	defer s.unpin()
	head := make([]byte, record.HeaderSize)
	if n, err := s.file.ReadAt(head, 0); n < len(head) {
		return 0, fmt.Errorf("read %s: %w", s.path()+suffixLog, err)
	}
	return record.Batch(head).MaxTimestamp(), nil
}

// segmentsBelow is the segments with a base below upper, oldest first.
func (l *Log) segmentsBelow(upper int64) []*Segment {
	segs := *l.segs.Load()
	i := slices.IndexFunc(segs, func(s *Segment) bool { return s.base >= upper })
	if i < 0 {
		i = len(segs)
	}
	return segs[:i]
}

// groupSegments puts neighbours together that fit one segment, so that
// compaction does not leave ever smaller ones (Kafka: groupSegmentsBySize).
func groupSegments(segs []*Segment, cfg *LogConfig) [][]*Segment {
	var groups [][]*Segment
	for len(segs) > 0 {
		bytes := segs[0].size.Load()
		entries := segs[0].indexEntries()
		n := 1
		for ; n < len(segs); n++ {
			s := segs[n]
			e := s.indexEntries()
			if bytes+s.size.Load() > int64(cfg.SegmentBytes) ||
				(entries+e)*timeFormat.size > int(cfg.SegmentIndexBytes) ||
				s.next.Load()-1-segs[0].base > math.MaxInt32 {
				break
			}
			bytes += s.size.Load()
			entries += e
		}
		groups = append(groups, segs[:n:n])
		segs = segs[n:]
	}
	return groups
}

// indexEntries is how many entries the larger of the indexes has, as far as
// known.
func (s *Segment) indexEntries() int {
	s.imu.RLock()
	defer s.imu.RUnlock()
	return max(s.offsets.count(), s.times.count(), 0)
}

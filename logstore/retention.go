package logstore

import "fmt"

// Retention raises a log's start; the files follow. What lies below the start
// is deleted after the next checkpoint has made the start durable (rule 5), so
// a power cut never finds a log whose beginning is gone and whose start still
// points there.

// expire applies the time and the size rule of cleanup.policy=delete, Kafka's
// UnifiedLog.deleteOldSegments: whole segments from the oldest on, by the
// largest timestamp of their records, and as many as leave at least
// retention.bytes. The active segment is closed first when it is to go too.
// Nothing at or above the high watermark goes. It reports whether the start
// moved. Waits for the disk.
func (l *Log) expire(now int64) (bool, error) {
	cfg := l.cfg.Load()
	if !cfg.Delete || (cfg.RetentionMs < 0 && cfg.RetentionBytes < 0) || l.admit() != nil {
		return false, nil
	}
	if err := l.ensure(); err != nil {
		return false, err
	}
	segs := *l.segs.Load()
	o := l.marks.offsets()
	over := int64(-1)
	if cfg.RetentionBytes >= 0 {
		over = l.Size() - cfg.RetentionBytes
	}
	start, n := o.LogStart, 0
	for i, s := range segs {
		end := s.next.Load()
		size := s.size.Load()
		if end > o.HighWatermark || (size == 0 && i == len(segs)-1) {
			break
		}
		bySize := over-size >= 0 && cfg.RetentionBytes >= 0
		if !bySize {
			old, err := l.outdated(s, cfg, now)
			if err != nil {
				return false, err
			}
			if !old {
				break
			}
		}
		over -= size
		start, n = end, n+1
	}
	if n == 0 || start <= o.LogStart {
		return false, nil
	}
	if n == len(segs) {
		// An append may have come since; then the new segment holds it and the
		// old one, complete now, is still as old as it was.
		if err := l.rollAt(start, now); err != nil {
			return false, err
		}
	}
	moved := l.raiseStart(start)
	if moved {
		l.store.upkeep.expired.Add(uint64(n))
	}
	return moved, nil
}

// outdated is the time rule for one segment.
func (l *Log) outdated(s *Segment, cfg *LogConfig, now int64) (bool, error) {
	if cfg.RetentionMs < 0 {
		return false, nil
	}
	newest, err := l.newest(s)
	if err != nil {
		return false, fmt.Errorf("retention of %s: %w", l.path, err)
	}
	return now-newest > cfg.RetentionMs, nil
}

// rollAt closes the active segment when the log still ends at end.
func (l *Log) rollAt(end, now int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admit(); err != nil {
		return err
	}
	if l.end != end || l.active.size.Load() == 0 {
		return nil
	}
	_, err := l.roll(now)
	return err
}

// untouchedUntil is when the time rule can first delete something of a log
// that nothing is appended to, so that an idle log costs the scheduler one
// comparison: the age of its oldest segment decides.
func (l *Log) untouchedUntil() int64 {
	cfg := l.cfg.Load()
	segs := *l.segs.Load()
	newest, err := l.newest(segs[0])
	if err != nil || cfg.RetentionMs < 0 {
		return 0
	}
	if newest > 1<<62-cfg.RetentionMs {
		return 1 << 62
	}
	return newest + cfg.RetentionMs
}

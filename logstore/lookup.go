package logstore

import (
	"errors"

	"github.com/chronik-stream/chronik/codec/record"
)

// TimeOffset is an offset found by time.
type TimeOffset struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

// maxLookupInflate bounds what a compressed batch is opened to when its
// records are searched by time.
const maxLookupInflate = 256 << 20

// OffsetForTime is the first record at or after ts (ms) that a reader may see;
// ok is false when there is none. limit is the first offset not to look at
// (high watermark or last stable offset). May read cold pages: not on a loop.
func (l *Log) OffsetForTime(ts, limit int64) (o TimeOffset, ok bool, err error) {
	err = l.lookUp(func() error {
		o, ok, err = l.offsetForTime(ts, limit)
		return err
	})
	return o, ok, err
}

// lookUp runs a search of the segments, and again when it failed while retention
// or compaction took some of them away.
func (l *Log) lookUp(search func() error) error {
	for {
		if err := l.admit(); err != nil {
			return err
		}
		version := l.version.Load()
		err := search()
		if !errors.Is(err, errReplaced) && (err == nil || l.version.Load() == version) {
			return l.readFault(err)
		}
	}
}

func (l *Log) offsetForTime(ts, limit int64) (o TimeOffset, ok bool, err error) {
	if err := l.ensure(); err != nil {
		return o, false, err
	}
	start := l.marks.offsets().LogStart
	for _, s := range *l.segs.Load() {
		if s.base >= limit {
			break
		}
		if s.next.Load() <= start || s.size.Load() == 0 {
			continue
		}
		newest, _, err := s.newest()
		if err != nil {
			return o, false, err
		}
		if newest < ts {
			continue
		}
		o, ok, err = s.findTime(ts, start, limit)
		if err != nil || ok {
			return o, ok, err
		}
	}
	return o, false, nil
}

// newest is the segment's largest timestamp and the offset that has it.
func (s *Segment) newest() (ts, offset int64, err error) {
	if !s.rolled.Load() {
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		if !s.rolled.Load() {
			return s.maxTs, s.maxTsAt, nil
		}
	}
	s.imu.Lock()
	defer s.imu.Unlock()
	if err := s.loadTimes(); err != nil {
		return -1, -1, err
	}
	e, ok := s.times.last()
	if !ok {
		return -1, -1, nil
	}
	return e.ts, s.base + int64(e.rel), nil
}

// findTime searches the segment for the first record in [start, limit) at or
// after ts.
func (s *Segment) findTime(ts, start, limit int64) (o TimeOffset, ok bool, err error) {
	s.imu.Lock()
	err = s.loadTimes()
	from := s.base
	if err == nil {
		// Everything at or below the last entry with a smaller time is older.
		if n := s.times.search(func(e timeEntry) bool { return e.ts < ts }); n > 0 {
			from = s.base + int64(s.times.mem[n-1].rel)
		}
	}
	s.imu.Unlock()
	if err != nil {
		return o, false, err
	}
	pos, err := s.boundAt(max(from, start))
	if err != nil {
		return o, false, err
	}
	var batches []int64
	err = s.eachHeader(pos, s.size.Load(), func(b record.Batch, at int64) bool {
		if b.BaseOffset() >= limit {
			return false
		}
		if b.LastOffset() >= start && b.MaxTimestamp() >= ts {
			batches = append(batches, at)
			// A batch may hold the time only in records below start.
			return b.BaseOffset() < start
		}
		return true
	})
	if err != nil {
		return o, false, err
	}
	for _, at := range batches {
		o, ok, err = s.findInBatch(at, ts, start, limit)
		if err != nil || ok {
			return o, ok, err
		}
	}
	return o, false, nil
}

// readBatch reads the whole batch at pos.
func (s *Segment) readBatch(pos int64) (record.Batch, error) {
	if err := s.pin(); err != nil {
		return nil, err
	}
	defer s.unpin()
	var head [record.HeaderSize]byte
	if n, err := s.file.ReadAt(head[:], pos); n < len(head) {
		return nil, s.shortRead(pos, err)
	}
	size := int64(record.Batch(head[:]).Size())
	if size < record.HeaderSize || pos+size > s.size.Load() {
		return nil, ErrDamaged
	}
	b := make(record.Batch, size)
	if n, err := s.file.ReadAt(b, pos); n < len(b) {
		return nil, s.shortRead(pos, err)
	}
	if !b.CheckCRC() {
		return nil, ErrDamaged
	}
	return b, nil
}

func (s *Segment) findInBatch(pos, ts, start, limit int64) (o TimeOffset, ok bool, err error) {
	b, err := s.readBatch(pos)
	if err != nil {
		return o, false, err
	}
	payload, err := b.Payload(nil, maxLookupInflate)
	if err != nil {
		return o, false, errors.Join(ErrDamaged, err)
	}
	it := record.NewIter(payload, b.Count())
	var rec record.Record
	for it.Next(&rec) {
		offset, at := b.BaseOffset()+int64(rec.OffsetDelta), b.Timestamp(rec.TimestampDelta)
		if offset >= limit {
			return o, false, nil
		}
		if offset >= start && at >= ts {
			return TimeOffset{offset, at, b.LeaderEpoch()}, true, nil
		}
	}
	if err := it.Err(); err != nil {
		return o, false, errors.Join(ErrDamaged, err)
	}
	return o, false, nil
}

// MaxTimestamp is the record with the largest timestamp (ListOffsets -3), at
// the earliest offset that has it. May read cold pages: not on a loop.
func (l *Log) MaxTimestamp() (o TimeOffset, ok bool, err error) {
	err = l.lookUp(func() error {
		o, ok, err = l.maxTimestamp()
		return err
	})
	return o, ok, err
}

func (l *Log) maxTimestamp() (o TimeOffset, ok bool, err error) {
	if err := l.ensure(); err != nil {
		return o, false, err
	}
	limit := l.marks.offsets().HighWatermark
	best := int64(-1)
	for _, s := range *l.segs.Load() {
		ts, _, err := s.newest()
		if err != nil {
			return o, false, err
		}
		best = max(best, ts)
	}
	for best >= 0 {
		if o, ok, err = l.offsetForTime(best, limit); err != nil || ok {
			return o, ok, err
		}
		// The newest record is not durable yet: look for the largest below it.
		if best, err = l.largestBelow(best, limit); err != nil {
			return o, false, err
		}
	}
	return o, false, nil
}

// largestBelow is the largest batch timestamp below ts in batches under limit.
func (l *Log) largestBelow(ts, limit int64) (best int64, err error) {
	best = -1
	for _, s := range *l.segs.Load() {
		if s.rolled.Load() {
			newest, _, err := s.newest()
			if err != nil {
				return -1, err
			}
			if newest < ts && s.next.Load() <= limit {
				best = max(best, newest)
				continue
			}
		}
		err := s.eachHeader(0, s.size.Load(), func(b record.Batch, _ int64) bool {
			if b.BaseOffset() >= limit {
				return false
			}
			if t := b.MaxTimestamp(); t < ts {
				best = max(best, t)
			}
			return true
		})
		if err != nil {
			return -1, err
		}
	}
	return best, nil
}

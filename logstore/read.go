package logstore

import (
	"errors"
	"slices"
	"sync"

	"github.com/chronik-stream/chronik/codec/record"
)

// hotBytes: a range that ends this near the log end was just written and is
// in the page cache.
const hotBytes = 8 << 20

// noAborted is the empty, non-nil list of a committed read.
var noAborted = []AbortedTxn{}

// scratch buffers hold batch headers while a range is looked for.
var scratch = sync.Pool{New: func() any { return new([16 << 10]byte) }}

func getScratch() *[16 << 10]byte  { return scratch.Get().(*[16 << 10]byte) }
func putScratch(b *[16 << 10]byte) { scratch.Put(b) }

// Read finds a range. It does not wait for a writer; it reads an index from
// the disk when it is not in memory, and batch headers around both ends of the
// range.
//
// The range begins with the batch that holds Offset (which may start below it)
// and ends on a batch boundary at or below the limit, within one segment. It
// is empty, with nil Seg, when Offset is at or above the limit.
func (l *Log) Read(r Read) (Slice, error) {
	if err := l.admit(); err != nil {
		return Slice{}, err
	}
	limit, o := l.marks.limit(r.Committed)
	s := Slice{Offsets: o, NextOffset: r.Offset}
	if r.Committed {
		s.Aborted = noAborted
	}
	if r.Offset < o.LogStart || r.Offset > o.LogEnd {
		return s, ErrOutOfRange
	}
	if r.Offset >= limit.offset {
		return s, nil
	}
	if err := l.ensure(); err != nil {
		return s, l.readFault(err)
	}
	limit, from, err := l.around(r.Offset, limit)
	if err != nil {
		return s, err
	}
	for {
		if err := l.admit(); err != nil {
			return s, err
		}
		version := l.version.Load()
		seg, next := l.segmentFor(r.Offset)
		if seg == nil { // the log start passed it meanwhile
			s.Offsets = l.marks.offsets()
			return s, ErrOutOfRange
		}
		found, err := l.readSegment(&s, seg, &r, limit, from, version)
		if err != nil && (seg.removed() || errors.Is(err, errReplaced) || isMissing(err) && !slices.Contains(*l.segs.Load(), seg)) {
			continue // retention or compaction took it away meanwhile
		}
		if err != nil || found {
			return s, l.readFault(err)
		}
		if next == nil || next.base >= limit.offset {
			return s, nil
		}
		// The segment holds nothing at or above Offset (compaction emptied its
		// end): go on in the next one.
		r.Offset = next.base
	}
}

// segmentFor is the segment that holds offset, and the one after it.
func (l *Log) segmentFor(offset int64) (s, next *Segment) {
	segs := *l.segs.Load()
	lo, hi := 0, len(segs)
	for lo < hi {
		if mid := (lo + hi) / 2; segs[mid].base > offset {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 {
		return nil, nil
	}
	if lo < len(segs) {
		next = segs[lo]
	}
	return segs[lo-1], next
}

// readSegment fills s with a range of seg. found is false when the segment has
// no batch for the offset.
func (l *Log) readSegment(s *Slice, seg *Segment, r *Read, limit, from place, version uint64) (found bool, err error) {
	if err := seg.pin(); err != nil {
		return false, err
	}
	defer func() {
		if !found {
			seg.unpin()
		}
	}()
	// Everything below end is a whole batch below the limit, when the limit's
	// position is known; otherwise the walk stops at the limit. The two of an
	// active segment do not move as one: a reader may see the size with an append
	// and the offset without it, so that neither can tell where the limit lies.
	end, endOffset := seg.size.Load(), seg.next.Load()
	known := seg.base < limit.base // no append reaches it any more
	if limit.base == seg.base {
		end, endOffset, known = min(end, limit.pos), limit.offset, true
	}
	start, ok, err := l.locate(seg, r, end, from, version)
	if err != nil || !ok {
		return false, err
	}
	stop, next := end, endOffset
	if !known || end-start > int64(r.MaxBytes) {
		stop, next, err = l.bound(seg, start, end, limit.offset, r)
		if err != nil {
			return false, err
		}
	}
	if stop == start { // nothing fits
		seg.unpin()
		return true, nil
	}
	s.Seg, s.Off, s.Len, s.NextOffset = seg, start, stop-start, next
	s.Hot = !seg.rolled.Load() && seg.size.Load()-start <= hotBytes
	if r.Committed {
		if s.Aborted, err = l.abortedIn(seg, r.Offset, next); err != nil {
			return false, err
		}
	}
	if c := r.Cursor; c != nil {
		*c = Cursor{offset: next, pos: stop, base: seg.base, version: version}
	}
	return true, nil
}

// locate finds the batch that holds r.Offset, or the next one.
func (l *Log) locate(seg *Segment, r *Read, end int64, from place, version uint64) (pos int64, ok bool, err error) {
	if c := r.Cursor; c != nil && c.offset == r.Offset && c.base == seg.base && c.version == version && c.pos <= end && c.pos > 0 {
		return c.pos, c.pos < end, nil
	}
	if r.Offset == seg.base {
		return 0, end > 0, nil
	}
	start, err := seg.boundAt(r.Offset)
	if err != nil {
		return 0, false, err
	}
	if from.base == seg.base {
		start = max(start, from.pos)
	}
	err = seg.eachHeader(start, end, func(b record.Batch, at int64) bool {
		if b.LastOffset() >= r.Offset {
			pos, ok = at, true
			return false
		}
		return true
	})
	return pos, ok, err
}

// bound finds where a range from start ends: at most MaxBytes, at or below the
// limit, at least one batch with MinOne.
func (l *Log) bound(seg *Segment, start, end, limit int64, r *Read) (stop, next int64, err error) {
	most := start + int64(r.MaxBytes)
	stop, next = start, r.Offset
	walk := seg.positionBelow(min(most, end), start)
	if walk >= end {
		walk = start
	}
	if limit < seg.next.Load() { // the index may point above the limit
		if bound, err := seg.boundAt(limit - 1); err == nil {
			walk = min(walk, max(start, bound))
		}
	}
	err = seg.eachHeader(walk, end, func(b record.Batch, at int64) bool {
		after := at + int64(b.Size())
		if b.BaseOffset() >= limit || after > most && !(r.MinOne && at == start) {
			if at > stop { // the walk began here: the batches before it were not looked at
				stop, next = at, min(b.BaseOffset(), limit)
			}
			return false
		}
		stop, next = after, b.NextOffset()
		return after < most
	})
	return stop, next, err
}

// abortedIn lists the aborted transactions that overlap [from, to): Kafka's
// collectAbortedTxns. A marker may lie in a later segment; the search ends at
// an entry whose last stable offset covers the range.
func (l *Log) abortedIn(first *Segment, from, to int64) ([]AbortedTxn, error) {
	out := noAborted
	for _, s := range *l.segs.Load() {
		if s.base < first.base {
			continue
		}
		more, done, err := s.aborted(out, from, to)
		if err != nil {
			return nil, err
		}
		out = more
		if done {
			break
		}
	}
	return out, nil
}

func (s *Segment) aborted(out []AbortedTxn, from, to int64) (_ []AbortedTxn, done bool, err error) {
	s.imu.RLock()
	if s.txns.flushed < 0 || s.txns.first > 0 {
		s.imu.RUnlock()
		s.imu.Lock()
		err := s.loadTxns()
		s.imu.Unlock()
		if err != nil {
			return out, false, err
		}
		s.imu.RLock()
	}
	defer s.imu.RUnlock()
	for _, e := range s.txns.mem[s.txns.search(func(e txnEntry) bool { return e.last < from }):] {
		if e.first < to {
			out = append(out, AbortedTxn{ProducerID: e.producer, FirstOffset: e.first})
		}
		if e.stable >= to {
			return out, true, nil
		}
	}
	return out, false, nil
}

package logstore

import (
	"errors"
	"fmt"
	"io"

	"github.com/chronik-stream/chronik/codec/record"
)

// compaction is one run over one log.
type compaction struct {
	log   *Log
	plan  dirtyLog
	now   int64
	keys  *keyMap
	pacer *pacer
	stats compactionStats
}

// compactionStats is what one run did.
type compactionStats struct {
	Read, Wrote   int64 // bytes
	Kept, Dropped int64 // records
	Groups        int
}

// run compacts the log and gives the offset below which it is clean now, which
// is less than the plan's upper end when the key map filled up.
func (c *compaction) run() (cleaned int64, err error) {
	if err := c.readKeys(); err != nil {
		return 0, err
	}
	end := c.keys.latest + 1
	if end <= c.plan.first {
		return c.plan.first, nil
	}
	segs := c.log.segmentsBelow(end)
	b := &batchCleaner{
		keys: c.keys, txns: newCleanedTxns(), producers: c.log.lastBatches(),
		now: c.now, retention: c.log.cfg.Load().DeleteRetentionMs, upper: c.plan.upper,
	}
	for _, group := range groupSegments(segs, c.log.cfg.Load()) {
		if err := c.cleanGroup(b, group); err != nil {
			return 0, err
		}
		c.stats.Groups++
	}
	c.stats.Kept, c.stats.Dropped = b.kept, b.dropped
	return end, nil
}

// pace counts what is read, holds it to the rate, and ends the run when the store is closing or the log went.
func (c *compaction) pace(n int) error {
	c.stats.Read += int64(n)
	if err := c.log.admit(); err != nil {
		return errStopped
	}
	return c.pacer.take(n)
}

// readKeys fills the key map from the dirty part. Records of aborted
// transactions are nobody's last.
func (c *compaction) readKeys() error {
	txns := newCleanedTxns()
	aborted, err := c.log.abortedBetween(c.plan.first, c.plan.upper)
	if err != nil {
		return err
	}
	txns.add(aborted)
	var payload []byte
	for _, s := range c.log.segmentsBelow(c.plan.upper) {
		if s.next.Load() <= c.plan.first {
			continue
		}
		full := false
		err := c.eachBatch(s, func(b record.Batch) error {
			if full {
				return io.EOF
			}
			aborted := false
			if b.Control() {
				txns.marker(b)
			} else {
				aborted = txns.data(b)
			}
			if b.LastOffset() < c.plan.first {
				return nil
			}
			if !aborted && !b.Control() && b.Count() > 0 {
				var err error
				if payload, err = inflated(b, payload); err != nil {
					return err
				}
				if full, err = c.mapBatch(b, payload); err != nil || full {
					return err
				}
			}
			c.keys.covers(b.LastOffset())
			return nil
		})
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if full {
			return nil
		}
		c.keys.covers(s.next.Load() - 1)
	}
	return nil
}

var errMapFull = errors.New("logstore: the key map is full")

// mapBatch enters a batch's keys; full says that the map took only a part, and
// then it speaks for exactly that part.
func (c *compaction) mapBatch(b record.Batch, inflated []byte) (full bool, err error) {
	if b.Codec() == 0 {
		inflated = b.Records()
	}
	err = eachRecord(b, inflated, func(r *record.Record) error {
		offset := b.BaseOffset() + int64(r.OffsetDelta)
		if r.Key == nil || offset < c.plan.first {
			return nil
		}
		if !c.keys.put(r.Key, offset) {
			return errMapFull
		}
		c.keys.covers(offset)
		return nil
	})
	if errors.Is(err, errMapFull) {
		return true, nil
	}
	return false, err
}

// eachBatch walks a segment.
func (c *compaction) eachBatch(s *Segment, f func(record.Batch) error) error {
	if err := s.pin(); err != nil {
		return errStopped // deleted meanwhile
	}
	defer s.unpin()
	scan := s.scan(c.pace)
	for {
		b, _, err := scan.batch()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(b); err != nil {
			return err
		}
	}
}

// cleanGroup rewrites neighbouring segments as one and swaps it in.
func (c *compaction) cleanGroup(b *batchCleaner, group []*Segment) (err error) {
	for _, s := range group {
		aborted, err := c.log.abortedBetween(s.base, s.next.Load())
		if err != nil {
			return err
		}
		b.txns.add(aborted)
	}
	w, err := c.log.newCleaned(group[0].base)
	if err != nil {
		return err
	}
	defer func() { err = w.abandon(err) }()
	var last []byte // header of the group's last batch
	for _, s := range group {
		err := c.eachBatch(s, func(in record.Batch) error {
			out, err := b.clean(in)
			if err != nil {
				return err
			}
			last = append(last[:0], in[:record.HeaderSize]...)
			if len(out) == 0 {
				return nil
			}
			c.stats.Wrote += int64(len(out))
			return w.add(out)
		})
		if err != nil {
			return err
		}
	}
	if w.pos == 0 && len(last) > 0 {
		// A segment without a batch would not know where it ends.
		if err := w.add(b.empty(last, true)); err != nil {
			return err
		}
	}
	if err := w.finish(group, b.txns.takeKept()); err != nil {
		return err
	}
	return c.log.swapIn(w, group)
}

// lastBatches is what compaction must keep for the producer state.
func (l *Log) lastBatches() map[int64]lastBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[int64]lastBatch, len(l.prod.m))
	for id, e := range l.prod.m {
		last := lastBatch{offset: -1, epoch: e.epoch}
		if e.n > 0 {
			last.offset = e.batches[e.n-1].lastOffset
		}
		out[id] = last
	}
	return out
}

// abortedBetween lists the aborted transactions with data in [from, to), oldest
// marker first. The marker of one may lie in any later segment.
func (l *Log) abortedBetween(from, to int64) ([]txnEntry, error) {
	var out []txnEntry
	for _, s := range *l.segs.Load() {
		if s.next.Load() <= from {
			continue
		}
		entries, err := s.abortedTxns()
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.last >= from && e.first < to {
				out = append(out, e)
			}
			if e.stable >= to {
				return out, nil
			}
		}
	}
	return out, nil
}

// abortedTxns is a copy of the segment's transaction index.
func (s *Segment) abortedTxns() ([]txnEntry, error) {
	s.imu.Lock()
	defer s.imu.Unlock()
	if err := s.loadTxns(); err != nil {
		return nil, fmt.Errorf("transaction index of %s: %w", s.path(), err)
	}
	return append([]txnEntry(nil), s.txns.mem...), nil
}

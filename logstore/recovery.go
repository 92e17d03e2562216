package logstore

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// Recovery of one log after an unclean stop.
//
// It begins at the recovery point R of the last checkpoint: everything below
// is durable in the segments, and the checkpoint has the producer state at R.
// From there, in this order:
//
//  1. the journal's frames for the log, in order. A frame must start exactly
//     at the recovered end. When it starts later, a direct sync wrote what
//     lies between: those bytes must be in the segments with right CRCs. If
//     not, acknowledged bytes were lost: a group is written only after all
//     before it, and every direct sync, returned. The range is marked damaged
//     and nothing behind it is dropped;
//  2. the scan of what the segments hold beyond: appends that the journal
//     never had or lost with a torn group;
//  3. the cut: the last segment is truncated, later files go, all of it synced
//     before anything is served.
//
// Every byte above R is written again, even when it reads back right: after a
// failed fsync the page cache may be clean and the disk wrong (rule 8).
type recovery struct {
	l       *Log
	cfg     *LogConfig
	found   []*Segment // files there were
	segs    []*Segment // of the recovered log
	cur     *Segment
	trusted int64 // below it offsets may have holes: Kafka's recovery point
	proof   int64 // known durable by a frame
	// newest is the highest leader epoch that a batch may have. The CRC does
	// not cover the epoch, so nothing else tells a flipped one.
	newest  int32
	touched map[*Segment]bool
	damage  []damagedRange
	seals   []sealing // handed over at the end: a seal trims what cut rewrites
	buf     []byte
}

// scanBuffer is what a scan reads at once; a larger batch gets a larger one.
const scanBuffer = 256 << 10

// recover opens a log after an unclean stop.
func (l *Log) recover() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &recovery{l: l, cfg: l.cfg.Load(), touched: map[*Segment]bool{}}
	if err := r.run(); err != nil {
		return err
	}
	l.store.stats.recoveries.Add(1)
	return nil
}

func (r *recovery) run() error {
	l := r.l
	var err error
	if r.found, err = l.findSegments(); err != nil {
		return err
	}
	e, err := r.start()
	if err != nil {
		return err
	}
	if err := r.replay(e.generation); err != nil {
		return err
	}
	if l.end < r.proof {
		reached, err := r.advanceTo(r.proof)
		if err != nil {
			return err
		}
		if !reached {
			if err := r.salvage(r.proof, nil); err != nil {
				return err
			}
		}
	}
	if err := r.scanOn(); err != nil {
		return err
	}
	if err := r.cut(); err != nil {
		return err
	}
	return r.publish()
}

// start sets the log up at its recovery point.
func (r *recovery) start() (e logEntry, err error) {
	l := r.l
	e, ok := l.entry()
	if !ok {
		if e, err = r.foreign(); err != nil {
			return e, err
		}
	}
	epochs, err := readEpochs(l.store.fs, l.path)
	if err != nil {
		l.store.logger.Warn("the leader epochs cannot be read and are rebuilt", "log", l.path, "err", err)
		epochs = nil
	}
	r.newest = math.MaxInt32
	if now := l.epoch.Load(); now > 0 && now >= e.epoch && r.trusted == 0 {
		r.newest = now
	}
	l.epochs.list = epochs
	l.epochs.truncateEnd(e.recovery)
	l.lastEpoch = l.epochs.latest()
	l.prod, l.end = e.prod, e.recovery
	l.recovery.Store(e.recovery)
	l.marks.reset(e.start, place{e.recovery, e.base, e.pos}, e.txns)
	for _, s := range r.found {
		if s.base < e.base {
			r.segs = append(r.segs, s)
		}
	}
	i := slices.IndexFunc(r.found, func(s *Segment) bool { return s.base == e.base })
	if i < 0 {
		if e.pos > 0 {
			r.l.store.logger.Error("a segment below the recovery point is missing", "log", l.path, "segment", e.base)
			l.store.stats.damaged.Add(1)
			r.damage = append(r.damage, damagedRange{from: place{e.base, e.base, 0}, to: place{e.recovery, e.base, e.pos}})
		}
		return e, r.enter(e.base, e.pos)
	}
	s := r.found[i]
	if have := s.size.Load(); have < e.pos {
		l.store.logger.Error("a segment is shorter than its recovery point", "log", l.path, "segment", s.base, "bytes", have, "want", e.pos)
		l.store.stats.damaged.Add(1)
		r.damage = append(r.damage, damagedRange{from: place{s.base, s.base, 0}, to: place{e.recovery, s.base, e.pos}})
	}
	s.size.Store(e.pos)
	s.durable.Store(e.pos)
	s.next.Store(e.recovery)
	s.rolled.Store(false)
	s.maxTs, s.maxTsAt, s.firstTs, s.created, s.sinceIndex = e.maxTs, e.maxTsAt, e.firstTs, e.created, e.sinceIndex
	r.cur = s
	r.segs = append(r.segs, s)
	r.touched[s] = true
	return e, r.cutIndexes(s, &e)
}

// foreign makes the entry of a log that no checkpoint of ours knows: one
// created since, or one that Kafka wrote. Recovery then begins at the last
// segment below Kafka's recovery point that has a producer snapshot, or at the
// first.
func (r *recovery) foreign() (e logEntry, err error) {
	l := r.l
	e = logEntry{key: l.key(), topic: l.topic, maxTs: -1, maxTsAt: -1, firstTs: -1, epoch: -1}
	e.created = l.store.nowMs()
	if len(r.found) == 0 {
		return e, nil
	}
	l.dir.mu.Lock()
	r.trusted = l.dir.points[l.key()]
	l.dir.mu.Unlock()
	first := r.found[0]
	e.start = first.base
	if r.trusted > 0 {
		starts, err := readOffsets(l.store.fs, filepath.Join(l.dir.logs, fileLogStarts))
		if err != nil {
			return e, err
		}
		for _, line := range starts {
			if line.topic == l.topic && line.partition == l.partition {
				e.start = max(e.start, line.offset)
			}
		}
	}
	for _, s := range slices.Backward(r.found) {
		if s.base > r.trusted || s == first {
			continue
		}
		raw, err := readFile(l.store.fs, s.path()+suffixSnapshot, maxCheckpoint)
		if err != nil {
			continue
		}
		if e.prod, err = decodeSnapshot(raw); err == nil {
			first = s
			break
		}
	}
	e.base, e.recovery = first.base, first.base
	for id, p := range e.prod.m {
		if p.txnFirst >= 0 {
			e.txns = append(e.txns, openTxn{id, place{p.txnFirst, -1, 0}, -1})
		}
	}
	slices.SortFunc(e.txns, func(a, b openTxn) int { return int(a.first.offset - b.first.offset) })
	return e, nil
}

// cutIndexes keeps the index entries that the checkpoint vouches for. An index
// that cannot be believed is rebuilt from the segment.
func (r *recovery) cutIndexes(s *Segment, e *logEntry) error {
	disk, path := r.l.store.fs, s.path()
	s.imu.Lock()
	err := errors.Join(
		loadFirst(&s.offsets, int(e.offsets), disk, path, offsetFormat),
		loadFirst(&s.times, int(e.times), disk, path, timeFormat),
		loadFirst(&s.txns, int(e.txnIndex), disk, path, txnFormat))
	s.imu.Unlock()
	if err == nil {
		return nil
	}
	if !errors.Is(err, errBadIndex) {
		return err
	}
	r.l.store.logger.Warn("an index is rebuilt from its segment", "log", r.l.path, "segment", s.base)
	if err := s.rebuildIndexes(r.cfg.IndexIntervalBytes); err != nil {
		return err
	}
	if n := s.txns.count(); n < int(e.txnIndex) {
		r.l.store.stats.damaged.Add(1)
		r.l.store.logger.Error("the index of aborted transactions lost entries", "log", r.l.path, "segment", s.base, "entries", n, "want", e.txnIndex)
	} else if n > int(e.txnIndex) {
		s.imu.Lock()
		s.txns.cut(int(e.txnIndex))
		s.imu.Unlock()
	}
	return nil
}

// loadFirst loads the n entries that the checkpoint vouches for. What the file
// has behind them an earlier recovery was about to write when it was cut off:
// it may be anything, and is not looked at.
func loadFirst[E any](t *entryFile[E], n int, disk vfs.FS, path string, f *entryFormat[E]) error {
	if n == 0 {
		*t = entryFile[E]{}
		return nil
	}
	if err := t.learn(disk, path, f); err != nil {
		return err
	}
	if t.flushed < n {
		return errBadIndex
	}
	t.first, t.flushed = n, n
	return t.load(disk, path, f)
}

// replay puts the journal's frames back.
func (r *recovery) replay(since uint32) error {
	l := r.l
	l.dir.mu.Lock()
	img := l.dir.image
	l.dir.mu.Unlock()
	if img == nil {
		return nil
	}
	for _, ref := range img.frames[l.key()] {
		f, g, err := img.frameAt(ref)
		if err != nil {
			return err
		}
		if g.generation < since {
			continue
		}
		switch f.typ {
		case frameDurable:
			r.proof = max(r.proof, f.offset)
			continue
		case frameLogStart:
			l.marks.raiseStart(f.offset)
			l.shrink.Store(true)
			continue
		}
		if f.offset < l.end {
			continue // below the recovery point
		}
		if f.offset > l.end {
			reached, err := r.advanceTo(f.offset)
			if err != nil {
				return err
			}
			if !reached {
				if err := r.salvage(f.offset, &f); err != nil {
					return err
				}
			}
		}
		if err := r.place(&f, g); err != nil {
			return err
		}
	}
	return nil
}

// place writes a frame's batches at the recovered end.
func (r *recovery) place(f *frame, g *groupRef) error {
	if f.segBase != r.cur.base {
		if f.segBase != f.offset {
			return fmt.Errorf("journal %s group %d: a frame for offset %d starts in segment %d, which is not open", g.file.name, g.seq, f.offset, f.segBase)
		}
		if err := r.enter(f.segBase, 0); err != nil {
			return err
		}
	}
	if f.pos != r.cur.size.Load() {
		return fmt.Errorf("journal %s group %d: a frame for offset %d lies at byte %d of segment %d, which ends at %d", g.file.name, g.seq, f.offset, f.pos, f.segBase, r.cur.size.Load())
	}
	for rest := f.bytes; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err == nil {
			_, err = record.Validate(b, &record.Rules{})
		}
		if err != nil {
			return fmt.Errorf("journal %s group %d: the frame for offset %d holds a bad batch: %w", g.file.name, g.seq, f.offset, err)
		}
		rest = after
	}
	return r.accept(f.bytes)
}

// accept writes whole batches at the end of the current segment and applies them.
func (r *recovery) accept(batches []byte) error {
	l, s := r.l, r.cur
	pos := s.size.Load()
	if err := l.write(s, batches, pos); err != nil {
		return err
	}
	r.touched[s] = true
	s.durable.Store(min(s.durable.Load(), pos))
	l.apply(s, batches, pos, r.cfg)
	for rest := batches; len(rest) > 0; {
		b := record.Batch(rest[:record.Batch(rest).Size()])
		l.end = b.NextOffset()
		rest = rest[len(b):]
	}
	s.size.Store(pos + int64(len(batches)))
	s.next.Store(l.end)
	return nil
}

// enter makes the segment at base the current one, created when it is missing.
func (r *recovery) enter(base, pos int64) error {
	l := r.l
	if old := r.cur; old != nil {
		old.imu.Lock()
		old.addTime()
		old.imu.Unlock()
		old.rolled.Store(true)
		r.seals = append(r.seals, sealing{old, encodeSnapshot(&l.prod)})
	}
	s := newEmptySegment(l, base)
	s.created = l.store.nowMs()
	exists := slices.ContainsFunc(r.found, func(f *Segment) bool { return f.base == base })
	if err := s.pinWith(!exists); err != nil {
		return l.dir.ioError(err)
	}
	s.unpin()
	s.size.Store(pos)
	s.next.Store(max(base, l.end))
	l.names.add()
	r.cur = s
	r.segs = append(r.segs, s)
	r.touched[s] = true
	return nil
}

// advanceTo takes what the segments hold from the recovered end up to exactly
// offset, or changes nothing.
func (r *recovery) advanceTo(offset int64) (reached bool, err error) {
	end, err := r.scan(offset, false)
	if err != nil || end != offset {
		return false, err
	}
	_, err = r.scan(offset, true)
	return err == nil, err
}

// scanOn takes what else the segments hold in order.
func (r *recovery) scanOn() error {
	_, err := r.scan(math.MaxInt64, true)
	return err
}

// scan reads whole, valid, consecutive batches from the recovered end up to
// limit, across segments, and returns the offset after the last. With take
// they become part of the log.
func (r *recovery) scan(limit int64, take bool) (end int64, err error) {
	l := r.l
	end = l.end
	epoch := l.lastEpoch
	s, pos := r.cur, r.cur.size.Load()
	for end < limit {
		n, err := r.scanSegment(s, pos, limit, &end, &epoch, take)
		if err != nil {
			return end, err
		}
		i := slices.IndexFunc(r.found, func(f *Segment) bool { return f.base == end && f.base > s.base })
		if i < 0 || (n == 0 && pos > 0 && end != r.found[i].base) || end >= limit {
			return end, nil
		}
		if take {
			if err := r.enter(end, 0); err != nil {
				return end, err
			}
			s = r.cur
		} else {
			s = r.found[i]
		}
		pos = 0
	}
	return end, nil
}

// scanSegment is scan within one segment, from pos.
func (r *recovery) scanSegment(s *Segment, pos, limit int64, end *int64, epoch *int32, take bool) (taken int64, err error) {
	if err := s.pin(); err != nil {
		return 0, err
	}
	defer s.unpin()
	size, err := s.file.Size()
	if err != nil {
		return 0, fmt.Errorf("size of segment: %w", err)
	}
	for pos < size {
		if r.buf == nil {
			r.buf = make([]byte, scanBuffer)
		}
		want := int(min(int64(len(r.buf)), size-pos))
		if n, err := s.file.ReadAt(r.buf[:want], pos); n < want {
			return taken, fmt.Errorf("read segment %s: %w", s.path(), err)
		}
		used := 0
		for used < want && *end < limit {
			b, _, err := record.Next(r.buf[used:want])
			if errors.Is(err, record.ErrShort) {
				break
			}
			if err != nil || !r.follows(b, *end, *epoch) || (limit < math.MaxInt64 && b.NextOffset() > limit) {
				want, size = used, pos+int64(used)
				break
			}
			*end, *epoch = b.NextOffset(), b.LeaderEpoch()
			used += len(b)
		}
		if take && used > 0 {
			if err := r.accept(r.buf[:used]); err != nil {
				return taken, err
			}
		}
		taken += int64(used)
		pos += int64(used)
		if *end >= limit {
			return taken, nil
		}
		if used > 0 {
			continue
		}
		if need := record.Batch(r.buf).Size(); want == len(r.buf) && want >= record.HeaderSize && need > want && int64(need) <= size-pos {
			r.buf = make([]byte, need)
			continue
		}
		return taken, nil // the rest is no whole batch
	}
	return taken, nil
}

// follows reports whether a batch is valid and may come at offset end: what a
// stale tail holds goes back in offset or epoch (rule 3).
func (r *recovery) follows(b record.Batch, end int64, epoch int32) bool {
	if b.BaseOffset() != end && (end >= r.trusted || b.BaseOffset() < end) {
		return false
	}
	if b.LeaderEpoch() < epoch || b.LeaderEpoch() > r.newest {
		return false
	}
	_, err := record.Validate(b, &record.Rules{})
	return err == nil
}

// cut ends the log at the recovered end and makes all of it durable.
func (r *recovery) cut() error {
	l := r.l
	for _, f := range r.found {
		if f.base <= r.cur.base {
			continue
		}
		l.store.logger.Warn("a segment beyond the recovered end is removed", "log", l.path, "segment", f.base)
		for _, suffix := range []string{suffixLog, suffixIndex, suffixTime, suffixTxn, suffixSeal, suffixSnapshot} {
			if err := removeIfThere(l.store.fs, f.path()+suffix); err != nil {
				return l.dir.ioError(err)
			}
		}
		l.names.add()
	}
	for s := range r.touched {
		if err := r.settle(s); err != nil {
			return l.dir.ioError(err)
		}
	}
	if err := l.syncNames(); err != nil {
		return l.dir.ioError(err)
	}
	return nil
}

func (r *recovery) settle(s *Segment) error {
	if err := s.pin(); err != nil {
		return err
	}
	defer s.unpin()
	size := s.size.Load()
	have, err := s.file.Size()
	if err == nil && have != size {
		err = s.file.Truncate(size)
	}
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("settle segment %s: %w", s.path(), err)
	}
	s.durable.Store(size)
	if err := removeIfThere(r.l.store.fs, s.path()+suffixSeal); err != nil {
		return err
	}
	s.sealed.Store(false)
	return s.endIndexes()
}

// publish hands the recovered log over.
func (r *recovery) publish() error {
	l := r.l
	end := place{l.end, r.cur.base, r.cur.size.Load()}
	segs := r.segs
	l.segs.Store(&segs)
	l.active, l.loaded = r.cur, true
	l.marks.publish(end)
	l.marks.advance(end)
	l.marks.raiseStart(segs[0].base)
	l.commit.journaled = l.end
	if len(r.damage) > 0 {
		if err := l.addDamage(r.damage); err != nil {
			return err
		}
	} else if err := l.readDamage(); err != nil {
		return err
	}
	l.epochs.truncateStart(l.marks.offsets().LogStart)
	l.markDirty()
	for _, x := range r.seals {
		l.dir.toSeal(x.seg, x.snapshot)
	}
	return nil
}

package logstore

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/chronik-stream/chronik/codec/record"
)

// metadataTopic is the log that may be appended to before Ready: the one that
// says which other logs there are.
const metadataTopic = "__cluster_metadata"

// Append validates, assigns offsets and enqueues; see the package comment.
//
// The bytes are checked and, for LogAppendTime, rewritten before the log's
// lock is taken. Under it: producer state, a roll when one is due, offsets,
// one write into the active segment, indexes, one push to the committer. No
// sync and no wait. Nothing is allocated in steady state.
func (l *Log) Append(a *Append) (res Appended, err error) {
	if err := l.admit(); err != nil {
		return res, err
	}
	if !l.store.ready.Load() && l.topic != metadataTopic {
		return res, ErrNotReady
	}
	if l.readOnly.Load() {
		return res, ErrReadOnly
	}
	if a.Origin == Client && !l.internal && l.dir.full.Load() {
		return res, ErrDiskFull
	}
	cfg := l.cfg.Load()
	sum, err := l.validate(a, cfg)
	if err != nil {
		return res, err
	}
	c := l.dir.committer
	if !c.reserve(len(a.Batches), l.internal) {
		return res, ErrBusy
	}
	res, err = l.appendLocked(a, cfg, &sum)
	if l.internal && errors.Is(err, ErrDiskFull) {
		l.dir.dropBallast() // or the keeper just has
		res, err = l.appendLocked(a, cfg, &sum)
	}
	if err != nil {
		c.unreserve(len(a.Batches))
		return res, err
	}
	st := &l.store.stats
	if res.Duplicate {
		st.duplicates.Add(1)
		return res, nil
	}
	st.appends.Add(1)
	st.appendBytes.Add(uint64(len(a.Batches)))
	return res, nil
}

func (l *Log) appendLocked(a *Append, cfg *LogConfig, sum *appendSummary) (res Appended, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			l.failed.Store(true)
			l.store.logger.Error("an append panicked; the partition is offline", "log", l.path, "panic", r, "stack", string(debug.Stack()))
			err = ErrOffline
		}
	}()
	if err := l.admit(); err != nil {
		return res, err
	}
	if err := l.load(); err != nil {
		return res, err
	}
	res = Appended{BaseOffset: l.end, LastOffset: l.end + sum.offsets - 1, AppendTime: sum.appended}
	dup, isDup, err := l.checkProducers(a)
	if err != nil {
		return res, err
	}
	if isDup {
		return l.answerDuplicate(a, cfg, dup), nil
	}
	seg := l.active
	if l.mustRoll(seg, cfg, int64(len(a.Batches)), sum, a.Now) {
		if seg, err = l.roll(a.Now); err != nil {
			return res, err
		}
	}
	epoch := l.epoch.Load()
	next := l.end
	for rest := a.Batches; len(rest) > 0; {
		b := record.Batch(rest[:record.Batch(rest).Size()])
		b.SetBaseOffset(next)
		b.SetLeaderEpoch(epoch)
		next += int64(b.LastOffsetDelta()) + 1
		rest = rest[len(b):]
	}
	pos := seg.size.Load()
	if err := l.write(seg, a.Batches, pos); err != nil {
		return res, err
	}
	l.markDirty()
	l.apply(seg, a.Batches, pos, cfg)
	end := place{next, seg.base, pos + int64(len(a.Batches))}
	seg.size.Store(end.pos)
	between()
	seg.next.Store(next)
	between()
	first := l.end
	l.end = next
	l.marks.publish(end)
	l.dir.grew(int64(len(a.Batches)))
	res.LogStartOffset = l.marks.offsets().LogStart
	l.dir.committer.push(entry{
		log: l, seg: seg, pos: pos, first: first, end: end, bytes: a.Batches,
		token: a.Token, mode: l.mode(cfg), early: a.Written,
		cost: len(a.Batches),
	}, a.Led)
	return res, nil
}

// write puts bytes into the active segment's file: through its window, or by
// pwrite. Under mu.
func (l *Log) write(seg *Segment, p []byte, pos int64) error {
	if done, err := l.dir.mapper.put(seg, p, pos); err != nil {
		return l.dir.ioError(fmt.Errorf("append to segment %s: %w", seg.path(), err))
	} else if done {
		return nil
	}
	if err := seg.pin(); err != nil {
		return l.dir.ioError(err)
	}
	n, err := seg.file.WriteAt(p, pos)
	seg.unpin()
	if err != nil {
		return l.dir.ioError(fmt.Errorf("append to segment %s: %w", seg.path(), err))
	}
	if n != len(p) {
		return l.dir.ioError(fmt.Errorf("append to segment %s: %d of %d bytes were written", seg.path(), n, len(p)))
	}
	return nil
}

// apply brings state up to date with batches that lie at pos. Append and
// recovery share it. Under mu.
func (l *Log) apply(seg *Segment, batches []byte, pos int64, cfg *LogConfig) {
	for rest := batches; len(rest) > 0; {
		b := record.Batch(rest[:record.Batch(rest).Size()])
		if epoch := b.LeaderEpoch(); epoch > l.lastEpoch {
			l.epochs.assign(epoch, b.BaseOffset())
			l.lastEpoch = epoch
		}
		seg.noteBatch(b, pos, int64(cfg.IndexIntervalBytes))
		if b.ProducerID() >= 0 {
			l.applyProducer(seg, b, pos)
		}
		pos += int64(len(b))
		rest = rest[len(b):]
	}
}

func (l *Log) applyProducer(seg *Segment, b record.Batch, pos int64) {
	id := b.ProducerID()
	if !b.Control() {
		if l.prod.apply(b) {
			l.marks.begin(id, place{b.BaseOffset(), seg.base, pos})
		}
		return
	}
	m, ok, err := record.ParseMarker(b)
	if err != nil || !ok {
		return // checked before the append; Kafka's quorum has others
	}
	first := l.prod.applyMarker(&m, b.MaxTimestamp())
	if first < 0 {
		return
	}
	stable := l.marks.complete(id, b.LastOffset())
	if !m.Commit {
		seg.imu.Lock()
		seg.txns.add(txnEntry{id, first, b.LastOffset(), stable})
		seg.imu.Unlock()
	}
}

// checkProducers holds every batch with a producer id against the state,
// changing nothing. Under mu.
func (l *Log) checkProducers(a *Append) (dup sentBatch, isDup bool, err error) {
	for rest := a.Batches; len(rest) > 0; {
		b := record.Batch(rest[:record.Batch(rest).Size()])
		rest = rest[len(b):]
		if b.ProducerID() < 0 {
			continue
		}
		switch {
		case b.Control():
			m, ok, perr := record.ParseMarker(b)
			if perr != nil {
				return dup, false, fmt.Errorf("%w: %w", ErrInvalidRecord, perr)
			}
			if !ok {
				continue
			}
			err = l.prod.checkMarker(&m, a.TxnV2)
		case a.Origin == Client:
			dup, isDup, err = l.prod.check(b, a.TxnV2, a.Guard)
		default:
			err = l.prod.checkCoordinator(b, a.Guard)
		}
		if err == nil && !isDup {
			err = l.prod.room(b.ProducerID(), l.store.opt.MaxProducers)
		}
		if err != nil || isDup {
			return dup, isDup, err
		}
	}
	return dup, false, nil
}

// answerDuplicate answers with the original's offsets. The token follows the
// original through the committer, so it is done when that is durable.
func (l *Log) answerDuplicate(a *Append, cfg *LogConfig, dup sentBatch) Appended {
	l.dir.committer.push(entry{log: l, kind: entryToken, token: a.Token, mode: l.mode(cfg), early: a.Written, cost: len(a.Batches)}, a.Led)
	res := Appended{
		BaseOffset: dup.lastOffset - int64(dup.delta), LastOffset: dup.lastOffset,
		LogStartOffset: l.marks.offsets().LogStart, AppendTime: -1, Duplicate: true,
	}
	if cfg.LogAppendTime {
		res.AppendTime = dup.timestamp
	}
	return res
}

// mode is the durability of the log's appends now (rule 13).
func (l *Log) mode(cfg *LogConfig) Durability {
	o := &l.store.opt
	switch {
	case l.internal || o.Durability == Commit && !o.AllowWeakerTopics || cfg.FlushMessages == 1:
		return Commit
	case cfg.FlushMessages == 1<<63-1 && cfg.FlushMs == 1<<63-1:
		return o.Durability
	}
	return Interval
}

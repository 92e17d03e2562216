package logstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// A checkpoint moves the recovery points up so that the journal can be used
// again (rule 6). Its order is its correctness:
//
//  1. note the last durable group S;
//  2. capture every dirty log: a frame at or below S was pushed before, under
//     the lock that the capture takes, so the captured end covers it;
//  3. sync what was captured: segments, indexes, names;
//  4. write the one checkpoint file;
//  5. only then release the journal's files up to S.
//
// A failure in between releases nothing and lists the logs again.
const checkpointWorkers = 32

// capture is a log's state at one moment.
type capture struct {
	log   *Log
	entry []byte // nil: keep the old one
	end   int64
	start int64
	segs  []*Segment
	sizes []int64
	// closed is how many of segs are rolled: they are trimmed, since nothing
	// but the file's size tells later where they end.
	closed int
}

// checkpoint runs one. With force it writes the file even when nothing
// changed. Before Ready there is none: it would give the frames up of logs
// that are not open yet.
func (d *dir) checkpoint(force bool) error {
	if !d.store.ready.Load() {
		return ErrNotReady
	}
	return d.saveAll(force)
}

func (d *dir) saveAll(force bool) error {
	d.ckptMu.Lock()
	defer d.ckptMu.Unlock()
	began := time.Now()
	mark := checkpointMark{d.journal.generation, d.journal.durable.Load()}
	d.mu.Lock()
	logs := d.dirty
	d.dirty = nil
	d.mu.Unlock()
	d.appended.Store(0)
	if len(logs) == 0 && !force {
		return d.released(mark)
	}
	caps := make([]*capture, 0, len(logs))
	for _, l := range logs {
		if c := l.capture(mark.generation); c != nil {
			caps = append(caps, c)
		}
	}
	if err := d.persist(caps, mark); err != nil {
		d.relist(logs)
		if errors.Is(d.ioError(err), ErrOffline) {
			return errors.Join(ErrOffline, err)
		}
		return err
	}
	for _, c := range caps {
		if c.entry == nil {
			continue
		}
		raise(&c.log.recovery, c.end)
		if !c.log.shrink.Swap(false) {
			continue
		}
		if err := c.log.dropBelowStart(c.start); err != nil {
			return d.ioError(err)
		}
		if c.log.Offsets().LogStart > c.start {
			c.log.shrink.Store(true) // it moved on meanwhile; the next one's work
		}
	}
	d.store.files.shrink(d.store.logger)
	d.store.stats.checkpoints.Add(1)
	d.store.stats.checkpointNs.Store(int64(time.Since(began)))
	return d.released(mark)
}

func (d *dir) released(mark checkpointMark) error {
	if err := d.journal.release(mark.seq); err != nil {
		d.fail(err)
		return ErrOffline
	}
	return nil
}

// relist makes the logs of a failed checkpoint dirty again.
func (d *dir) relist(logs []*Log) {
	for _, l := range logs {
		l.mu.Lock()
		l.markDirty()
		l.mu.Unlock()
	}
}

// capture notes a log's ends and encodes its entry.
func (l *Log) capture(generation uint32) *capture {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listed = false
	if l.deleted.Load() || !l.loaded {
		return nil
	}
	c := &capture{log: l, end: l.end, start: l.marks.offsets().LogStart}
	var total int64
	for _, s := range *l.segs.Load() {
		size := s.size.Load()
		total += size
		if s.durable.Load() < size || s == l.active || !s.sealed.Load() {
			c.segs = append(c.segs, s)
			c.sizes = append(c.sizes, size)
			if s.rolled.Load() {
				c.closed++
			}
		}
	}
	if l.failed.Load() {
		// Its files are synced, its state is not believed: the old entry stays. Only
		// the log start moves in it, whose frames the journal may now forget.
		if e, ok := l.entry(); ok {
			e.start, c.end = c.start, e.recovery
			c.entry = e.encode(nil)
		}
		return c
	}
	a := l.active
	a.imu.RLock()
	e := logEntry{
		key: l.key(), topic: l.topic, generation: generation, start: c.start, recovery: l.end,
		base: a.base, pos: a.size.Load(), epoch: l.lastEpoch, size: total,
		maxTs: a.maxTs, maxTsAt: a.maxTsAt, firstTs: a.firstTs, created: a.created, sinceIndex: a.sinceIndex,
		offsets: int32(a.offsets.count()), times: int32(a.times.count()), txnIndex: int32(a.txns.count()),
		txns: l.marks.open(), prod: l.prod,
	}
	a.imu.RUnlock()
	c.entry = e.encode(nil)
	return c
}

// open lists the transactions without a marker.
func (w *watermarks) open() (out []openTxn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.txns {
		if t.marker < 0 {
			out = append(out, t)
		}
	}
	return out
}

// persist makes the captured state durable and writes the checkpoint file.
func (d *dir) persist(caps []*capture, mark checkpointMark) error {
	if err := d.syncCaptured(caps); err != nil {
		return err
	}
	d.mu.Lock()
	for _, c := range caps {
		if c.entry != nil && !c.log.deleted.Load() {
			d.entries[c.log.key()] = c.entry
		}
	}
	raw := encodeCheckpoint(d.id, mark, d.entries)
	d.mu.Unlock()
	return atomicWrite(d.store.fs, filepath.Join(d.path, fileCheckpoint), raw)
}

// syncCaptured syncs the logs, several at a time.
func (d *dir) syncCaptured(caps []*capture) error {
	return inParallel(d.store.opt.Go, "checkpoint sync", checkpointWorkers, len(caps), func(i int) error { return caps[i].sync() })
}

// inParallel calls f for 0 to n-1 on the caller's goroutine and up to workers-1
// more, and returns when all have returned; a panic is an error of its own.
func inParallel(start func(name string, f func()), name string, workers, n int, f func(i int) error) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
		next int
	)
	fail := func(err error) {
		mu.Lock()
		errs = append(errs, err)
		mu.Unlock()
	}
	work := func() {
		defer wg.Done()
		defer func() {
			if r := recover(); r != nil {
				fail(fmt.Errorf("a %s panicked: %v", name, r))
			}
		}()
		for {
			mu.Lock()
			i := next
			next++
			mu.Unlock()
			if i >= n {
				return
			}
			if err := f(i); err != nil {
				fail(err)
			}
		}
	}
	workers = min(workers, n)
	wg.Add(workers)
	for i := 1; i < workers; i++ {
		start(name, work)
	}
	if workers > 0 {
		work()
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *capture) sync() error {
	l := c.log
	if l.deleted.Load() {
		return nil
	}
	for i, s := range c.segs {
		var err error
		if i < c.closed {
			_, err = s.trim(true)
		}
		if err == nil {
			err = s.sync(c.sizes[i])
		}
		if err == nil {
			err = s.flushIndexes()
		}
		if err != nil && !s.removed() {
			return err
		}
	}
	if err := l.syncNames(); err != nil {
		return err
	}
	return l.epochs.flush(l.store.fs, l.path)
}

// snapshotAll leaves at a clean stop what Kafka would: the text checkpoints,
// and a producer snapshot at each log's end.
func (d *dir) snapshotAll() error {
	d.mu.Lock()
	entries := make([]logEntry, 0, len(d.entries))
	for _, raw := range d.entries {
		e, err := decodeLogEntry(raw)
		if err != nil {
			d.mu.Unlock()
			return err
		}
		entries = append(entries, e)
	}
	d.mu.Unlock()
	var recovery, starts, ends []partitionOffset
	for i := range entries {
		e := &entries[i]
		recovery = append(recovery, partitionOffset{e.topic, e.key.partition, e.recovery})
		ends = append(ends, partitionOffset{e.topic, e.key.partition, e.recovery})
		if e.start > 0 {
			starts = append(starts, partitionOffset{e.topic, e.key.partition, e.start})
		}
		name := filepath.Join(d.logs, logDirName(e.topic, e.key.partition), segmentName(e.recovery, suffixSnapshot))
		if len(e.prod.m) == 0 {
			continue
		}
		if _, err := d.store.fs.Stat(name); err == nil {
			continue
		}
		if err := atomicWrite(d.store.fs, name, encodeSnapshot(&e.prod)); err != nil {
			return err
		}
	}
	for name, lines := range map[string][]partitionOffset{fileRecoveryPoints: recovery, fileLogStarts: starts, fileHighWatermarks: ends} {
		if err := atomicWrite(d.store.fs, filepath.Join(d.logs, name), encodeOffsets(lines)); err != nil {
			return err
		}
	}
	return nil
}

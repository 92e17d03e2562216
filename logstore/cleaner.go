package logstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"
)

// cleaner compacts the logs of a store: always the dirtiest one that is due,
// on a few workers. It remembers how far each log is clean in Kafka's
// cleaner-offset-checkpoint, one file a data directory.
type cleaner struct {
	store *Store

	mu    sync.Mutex
	clean map[logKey]int64  // mu; first dirty offset
	busy  map[*Log]bool     // mu; being compacted
	bad   map[*Log]error    // mu; cannot be compacted: left alone until a restart
	saved map[*dir][]byte   // mu; what the files hold
	known map[*dir]cleanSet // mu; read from the files, by name
}

type cleanSet map[string]int64

func newCleaner(s *Store) *cleaner {
	return &cleaner{
		store: s, clean: map[logKey]int64{}, busy: map[*Log]bool{}, bad: map[*Log]error{},
		saved: map[*dir][]byte{}, known: map[*dir]cleanSet{},
	}
}

// load reads the checkpoints. A file that cannot be read means that everything
// is dirty, which costs time and nothing else.
func (c *cleaner) load() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.store.dirs {
		set := cleanSet{}
		lines, err := readOffsets(c.store.fs, filepath.Join(d.logs, fileCleanerPoints))
		if err != nil {
			c.store.logger.Warn("the cleaner's checkpoint cannot be read; logs are compacted from their start", "dir", d.path, "err", err)
		}
		for _, l := range lines {
			set[logDirName(l.topic, l.partition)] = l.offset
		}
		c.known[d] = set
	}
}

// cleaned is how far a log is clean. c.mu.
func (c *cleaner) cleaned(l *Log) int64 {
	if o, ok := c.clean[l.key()]; ok {
		return o
	}
	if o, ok := c.known[l.dir][filepath.Base(l.path)]; ok {
		return o
	}
	return -1
}

// choose looks for the dirtiest log that is due; nil when there is none.
func (c *cleaner) choose(now int64) (*dirtyLog, error) {
	var best *dirtyLog
	var errs []error
	for _, l := range c.store.Logs() {
		if !l.cfg.Load().Compact || l.admit() != nil || l.readOnly.Load() {
			continue
		}
		c.mu.Lock()
		skip, from := c.busy[l] || c.bad[l] != nil, c.cleaned(l)
		c.mu.Unlock()
		if skip || l.untouchedSince(from) {
			continue
		}
		d, err := l.inspect(from, now)
		if err = l.readFault(err); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.path, err))
			continue
		}
		if d.due() && (best == nil || d.ratio() > best.ratio()) {
			best = &d
		}
	}
	if best == nil {
		return nil, errors.Join(errs...)
	}
	return best, nil
}

// claim marks a chosen log busy. It is false when another worker was faster, and
// is at it or has even ended: then what is dirty is not what it was.
func (c *cleaner) claim(d *dirtyLog) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[d.log] || c.cleaned(d.log) != d.cleaned {
		return false
	}
	c.busy[d.log] = true
	return true
}

// untouchedSince reports that a log which nobody loaded since a clean stop has
// no segment that was not compacted, so that it need not be loaded.
func (l *Log) untouchedSince(cleaned int64) bool {
	if l.segs.Load() != nil {
		return false
	}
	e, ok := l.entry()
	return ok && e.base <= max(cleaned, e.start)
}

// one compacts the dirtiest log and reports whether there was one.
func (c *cleaner) one(now int64, stop <-chan struct{}) (did bool, err error) {
	d, err := c.choose(now)
	if d == nil || !c.claim(d) {
		return false, err
	}
	defer func() {
		c.mu.Lock()
		delete(c.busy, d.log)
		c.mu.Unlock()
	}()
	return true, c.compact(d, now, stop)
}

func (c *cleaner) compact(d *dirtyLog, now int64, stop <-chan struct{}) error {
	opt := c.store.tuning.Load()
	began := time.Now()
	run := &compaction{
		log: d.log, plan: *d, now: now,
		keys:  newKeyMap(opt.CleanerMapBytes, rand.Uint64()),
		pacer: &pacer{rate: opt.CleanerRate, stop: stop},
	}
	cleaned, err := run.run()
	u := &c.store.upkeep
	u.compactRead.Add(uint64(run.stats.Read))
	u.compactWrote.Add(uint64(run.stats.Wrote))
	switch {
	case err == nil:
	case errors.Is(err, errStopped) || d.log.deleted.Load():
		return nil
	case diskFailed(err):
		return fmt.Errorf("compaction of %s: %w: %w", d.log.path, d.log.readFault(err), err)
	case isFull(err):
		return fmt.Errorf("compaction of %s ended early: %w", d.log.path, err)
	default:
		// Damage, or a batch beyond bounds: another run would end the same way.
		c.mu.Lock()
		c.bad[d.log] = err
		c.mu.Unlock()
		u.uncleanable.Add(1)
		return fmt.Errorf("%s cannot be compacted and is left alone until the next start: %w", d.log.path, err)
	}
	u.compactions.Add(1)
	u.compactDropped.Add(uint64(run.stats.Dropped))
	c.store.logger.Info("log compacted", "log", d.log.path, "from", d.first, "to", cleaned,
		"read", run.stats.Read, "wrote", run.stats.Wrote, "dropped", run.stats.Dropped, "took", time.Since(began))
	c.mu.Lock()
	c.clean[d.log.key()] = cleaned
	c.mu.Unlock()
	return c.save(d.log.dir)
}

// save writes a directory's checkpoint when it changed.
func (c *cleaner) save(d *dir) error {
	if d.offline.Load() {
		return nil
	}
	var lines []partitionOffset
	live := map[logKey]bool{}
	logs := c.store.Logs()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range logs {
		live[l.key()] = true
		if o := c.cleaned(l); l.dir == d && o >= 0 {
			lines = append(lines, partitionOffset{l.topic, l.partition, o})
		}
	}
	for key := range c.clean {
		if !live[key] {
			delete(c.clean, key)
		}
	}
	for l := range c.bad {
		if !live[l.key()] {
			delete(c.bad, l)
		}
	}
	sortOffsets(lines)
	raw := encodeOffsets(lines)
	if string(raw) == string(c.saved[d]) {
		return nil
	}
	if err := atomicWrite(c.store.fs, filepath.Join(d.logs, fileCleanerPoints), raw); err != nil {
		return fmt.Errorf("write the cleaner's checkpoint: %w", err)
	}
	c.saved[d] = raw
	return nil
}

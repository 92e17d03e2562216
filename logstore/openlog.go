package logstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// OpenLog opens an existing partition, or creates it when no directory has it.
// After a clean stop this reads no segment, nor after another when nothing came
// behind the last checkpoint; otherwise the journal's frames for the log are
// replayed and its tail is checked. Different logs may be
// opened at the same time. A log whose directory failed, or that no directory has
// while one of them could not be opened, refuses every use with ErrOffline.
func (s *Store) OpenLog(spec LogSpec) (*Log, error) {
	return s.withName(spec, func(name string) (*Log, error) {
		d, err := s.find(name, spec, false)
		if err != nil {
			return s.openOffline(d, spec, err)
		}
		if d == nil {
			// It may lie in a directory that cannot be read: a new one would hide
			// its records (Kafka: LogManager.getOrCreateLog).
			if i := slices.IndexFunc(s.dirs, func(d *dir) bool { return d.offline.Load() }); i >= 0 {
				if s.dirs[i].journal == nil && spec.Topic != metadataTopic {
					return newLog(s, s.dirs[i], spec), nil
				}
				return nil, fmt.Errorf("open log %s: no directory that is online has it and %s is offline: %w", name, s.dirs[i].path, ErrOffline)
			}
			return s.create(spec)
		}
		l := newLog(s, d, spec)
		if err := l.open(); err != nil {
			return s.openOffline(d, spec, fmt.Errorf("open log %s: %w", l.path, err))
		}
		return l, nil
	})
}

// openOffline gives a log that refuses every use, when err is its disk's and the
// store can go on without that directory: others must not be kept from starting.
// Otherwise it gives err back. d may be nil.
func (s *Store) openOffline(d *dir, spec LogSpec, err error) (*Log, error) {
	if d != nil && diskFailed(err) {
		d.fail(err)
	}
	if d == nil || !d.offline.Load() || spec.Topic == metadataTopic || !s.Usable() {
		return nil, err
	}
	return newLog(s, d, spec), nil
}

// CreateLog makes a new partition; the directory entry is durable on return.
func (s *Store) CreateLog(spec LogSpec) (*Log, error) {
	return s.withName(spec, func(name string) (*Log, error) {
		d, err := s.find(name, spec, true)
		if err != nil {
			return nil, err
		}
		if d != nil {
			return nil, fmt.Errorf("create log %s: a directory of that name and topic id is already there", filepath.Join(d.logs, name))
		}
		return s.create(spec)
	})
}

// withName keeps two calls off one directory name and enters the new log.
func (s *Store) withName(spec LogSpec, f func(name string) (*Log, error)) (*Log, error) {
	if spec.Topic == "" || spec.Topic == "." || spec.Topic == ".." || strings.ContainsAny(spec.Topic, "/\x00") || len(spec.Topic) > 249 || spec.Partition < 0 {
		return nil, fmt.Errorf("logstore: %q, partition %d cannot name a directory", spec.Topic, spec.Partition)
	}
	if s.closed.Load() {
		return nil, ErrClosed
	}
	name, key := logDirName(spec.Topic, spec.Partition), logKey{spec.ID, spec.Partition}
	s.mu.Lock()
	if s.logs[key] != nil || s.busy[name] {
		s.mu.Unlock()
		return nil, fmt.Errorf("logstore: log %s is already open", name)
	}
	s.busy[name] = true
	s.mu.Unlock()
	l, err := f(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, name)
	if err == nil {
		s.logs[key] = l
	}
	return l, err
}

// find looks for the partition in all directories. A directory of the name
// with another topic id is renamed away first (rule 10). One without an id is
// the partition only when no other directory has it or may have it, and nobody
// asks for a new one; otherwise it goes out of the way too, or waits until all
// directories are online. An error may come with the directory that it is of.
func (s *Store) find(name string, spec LogSpec, fresh bool) (*dir, error) {
	var found *dir
	var nameless []*dir
	online := true
	for _, d := range s.dirs {
		path := filepath.Join(d.logs, name)
		d.mu.Lock()
		_, inCheckpoint := d.entries[logKey{spec.ID, spec.Partition}]
		listed := d.names[name]
		recovering := d.names != nil
		d.mu.Unlock()
		if d.offline.Load() {
			if inCheckpoint || listed {
				return d, ErrOffline // it is there: a new one elsewhere would lose it
			}
			online = false
			continue
		}
		if found != nil || recovering && !listed {
			continue
		}
		if inCheckpoint && d.clean && listed {
			found = d
			continue
		}
		if _, err := s.fs.Stat(path); isMissing(err) {
			continue
		} else if err != nil {
			return d, fmt.Errorf("look for a partition: %w", err)
		}
		id, have, err := readPartitionMetadata(s.fs, path)
		switch {
		case err != nil:
			return d, err
		case !have:
			nameless = append(nameless, d)
		case id == spec.ID:
			found = d
		default:
			if err := d.setAside(name, "a directory holds another topic's partition; renamed away"); err != nil {
				return nil, err
			}
		}
	}
	if found == nil && !fresh && len(nameless) > 0 {
		if !online {
			return nil, nil
		}
		found, nameless = nameless[0], nameless[1:]
		if err := found.adopt(filepath.Join(found.logs, name), spec.ID); err != nil {
			return nil, err
		}
	}
	for _, d := range nameless {
		if err := d.setAside(name, "a directory without a topic id stands where a partition of another directory, or a new one, would; renamed away"); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// setAside renames a partition's directory to a stray.
func (d *dir) setAside(name, why string) error {
	path := filepath.Join(d.logs, name)
	stray, err := strayName(path, suffixStrayDir)
	if err != nil {
		return err
	}
	d.store.logger.Warn(why, "from", path, "to", stray)
	if err := errors.Join(d.store.fs.Rename(path, stray), d.store.fs.SyncDir(d.logs)); err != nil {
		return fmt.Errorf("rename a stray partition: %w", err)
	}
	d.mu.Lock()
	delete(d.names, name)
	d.mu.Unlock()
	return nil
}

// adopt gives a directory without partition.metadata (a create that a crash
// cut short, or a very old Kafka) its topic id.
func (d *dir) adopt(path string, id TopicID) error {
	return errors.Join(writePartitionMetadata(d.store.fs, path, id), d.store.fs.SyncDir(path))
}

// create makes a partition in the directory with the fewest, of those that are
// not cordoned.
func (s *Store) create(spec LogSpec) (*Log, error) {
	best, err := s.choose()
	if err != nil {
		return nil, err
	}
	l := newLog(s, best, spec)
	if err := l.make(); err != nil {
		best.logsIn.Add(-1)
		if !best.offline.Load() { // a full disk; what stays of it, find sets aside
			err = errors.Join(err, s.fs.RemoveAll(l.path))
		}
		return nil, fmt.Errorf("create log %s: %w", l.path, err)
	}
	return l, nil
}

// choose finds the directory for a new partition and counts it there, so that
// creates at the same time do not all take the same.
func (s *Store) choose() (best *dir, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cordoned := s.tuning.Load().Cordoned
	all := true
	for _, d := range s.dirs {
		if slices.Contains(cordoned, d.path) {
			continue
		}
		all = false
		if !d.offline.Load() && (best == nil || d.logsIn.Load() < best.logsIn.Load()) {
			best = d
		}
	}
	switch {
	case all:
		return nil, ErrCordoned
	case best == nil:
		return nil, ErrOffline
	}
	best.logsIn.Add(1)
	return best, nil
}

// make creates the directory, its metadata and an empty first segment.
func (l *Log) make() error {
	disk := l.store.fs
	if err := disk.MkdirAll(l.path, 0o755); err != nil {
		return l.dir.ioError(fmt.Errorf("make directory: %w", err))
	}
	if err := writePartitionMetadata(disk, l.path, l.id); err != nil {
		return l.dir.ioError(err)
	}
	seg := newEmptySegment(l, 0)
	seg.created = l.store.nowMs()
	if err := seg.pinWith(true); err != nil {
		return l.dir.ioError(err)
	}
	err := seg.preallocate(l.cfg.Load())
	seg.unpin()
	if err != nil {
		seg.retire()
		return l.dir.ioError(errors.Join(err, removeIfThere(disk, seg.path()+suffixLog)))
	}
	for _, dir := range []string{l.path, l.dir.logs} {
		if err := disk.SyncDir(dir); err != nil {
			l.dir.fail(err)
			return ErrOffline
		}
	}
	segs := []*Segment{seg}
	l.segs.Store(&segs)
	l.active, l.loaded = seg, true
	l.marks.reset(0, place{0, 0, 0}, nil)
	l.mu.Lock()
	l.markDirty()
	l.mu.Unlock()
	return nil
}

// open takes an existing directory over.
func (l *Log) open() error {
	d := l.dir
	d.logsIn.Add(1)
	e, ok := l.entry()
	if !ok || !d.clean {
		l.names.add() // a killed process may have left names that only the cache has
	}
	if ok && !d.clean {
		var err error
		if ok, err = l.untouched(&e); err != nil {
			return err
		}
	}
	if !ok {
		return l.recover()
	}
	l.recovery.Store(e.recovery)
	l.commit.journaled = e.recovery
	l.marks.reset(e.start, place{e.recovery, e.base, e.pos}, e.txns)
	return nil
}

// Delete takes a log out of service at once and removes its files in the
// background after its config's FileDeleteDelayMs. The rename that hides the
// directory is durable on return.
func (s *Store) Delete(l *Log) error {
	l.closed.Store(true)
	l.deleted.Store(true)
	l.mu.Lock()
	segs := l.segs.Load()
	if l.active != nil {
		l.dir.mapper.release(l.active)
	}
	l.mu.Unlock()
	s.mu.Lock()
	delete(s.logs, l.key())
	s.mu.Unlock()
	d := l.dir
	d.mu.Lock()
	delete(d.entries, l.key())
	d.mu.Unlock()
	d.logsIn.Add(-1)
	d.committer.notify(l)
	if d.offline.Load() {
		return ErrOffline
	}
	gone, err := strayName(l.path, suffixDeleteDir)
	if err != nil {
		return err
	}
	d.ckptMu.Lock() // a checkpoint may be writing into the directory
	err = s.fs.Rename(l.path, gone)
	d.ckptMu.Unlock()
	if err != nil {
		return d.ioError(fmt.Errorf("delete log: %w", err))
	}
	if err := s.fs.SyncDir(d.logs); err != nil {
		d.fail(err)
		return ErrOffline
	}
	if segs != nil {
		for _, seg := range *segs {
			seg.retire()
		}
	}
	d.bury(gone, l.cfg.Load().FileDeleteDelayMs, true)
	return nil
}

package logstore

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// Store is the logs of one broker on one or more data directories.
type Store struct {
	opt      Options
	fs       vfs.FS
	logger   *slog.Logger
	dirs     []*dir
	files    *fileCache
	stats    counters
	upkeep   upkeep
	watchdog watchdog
	tuning   atomic.Pointer[Tuning] // never nil
	ready    atomic.Bool
	closed   atomic.Bool

	mu   sync.Mutex
	logs map[logKey]*Log // mu
	busy map[string]bool // mu; directory names being opened or created
}

// withDefaults fills in the options that were left zero.
func (o Options) withDefaults() (Options, error) {
	if len(o.Dirs) == 0 {
		return o, errors.New("logstore: Options.Dirs is empty; name at least one data directory")
	}
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Go == nil {
		return o, errors.New("logstore: Options.Go is nil; pass the function that starts goroutines")
	}
	setDefault(&o.JournalMax, 1<<30)
	setDefault(&o.SyncEvery, 50*time.Millisecond)
	setDefault(&o.QueueBytes, 64<<20)
	setDefault(&o.MaxProducers, 100_000)
	setDefault(&o.ProducerExpiration, 24*time.Hour)
	setDefault(&o.MaxOpenFiles, 4096)
	setDefault(&o.WindowBudget, 256<<20)
	setDefault(&o.JournalWrite, "auto")
	setDefault(&o.SegmentWrite, "auto")
	setDefault(&o.CheckpointEvery, 30*time.Second)
	setDefault(&o.StallUnhealthy, 5*time.Second)
	setDefault(&o.StallExit, 20*time.Second)
	o.Upkeep = o.Upkeep.withDefaults()
	switch o.JournalWrite {
	case "auto", "direct", "cached":
	default:
		return o, fmt.Errorf("logstore: JournalWrite is %q; it must be auto, direct or cached", o.JournalWrite)
	}
	switch o.SegmentWrite {
	case "auto", "mmap", "pwrite":
	default:
		return o, fmt.Errorf("logstore: SegmentWrite is %q; it must be auto, mmap or pwrite", o.SegmentWrite)
	}
	return o, nil
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Open locks the directories, checks their format and reads the journals. A
// directory whose disk fails is offline from the start when another one works;
// one that is in use, or that this release does not understand, is refused.
func Open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		opt: o, fs: o.FS, logger: o.Logger, files: newFileCache(o.MaxOpenFiles),
		logs: map[logKey]*Log{}, busy: map[string]bool{},
	}
	s.tuning.Store(&Tuning{CleanerThreads: o.Upkeep.CleanerThreads, CleanerMapBytes: o.Upkeep.CleanerMapBytes, CleanerRate: o.Upkeep.CleanerRate,
		CleanerBackoff: o.Upkeep.CleanerBackoff, ProducerExpiration: o.ProducerExpiration})
	missing, err := s.missing()
	if err != nil {
		return nil, err
	}
	var failed []error
	closed := func(path string, why error) {
		failed = append(failed, why)
		s.dirs = append(s.dirs, &dir{store: s, path: path, logs: filepath.Join(path, "logs")})
	}
	for _, path := range o.Dirs {
		path = filepath.Clean(path)
		if id, ok := missing.at(path); ok && !s.hasFormat(path) {
			closed(path, errMissing(id, path, true))
			continue
		}
		d, err := openDir(s, path)
		if err != nil {
			if !isDiskError(err) {
				return nil, errors.Join(err, s.abandon())
			}
			closed(path, err)
			continue
		}
		s.dirs = append(s.dirs, d)
	}
	for id, path := range missing {
		if !slices.ContainsFunc(s.dirs, func(d *dir) bool { return d.path == path && d.journal == nil }) {
			closed(path, errMissing(id, path, false))
		}
	}
	if len(failed) == len(s.dirs) {
		return nil, errors.Join(failed...)
	}
	for _, d := range s.dirs {
		d.committer = newCommitter(d)
		d.keeper = newKeeper(d)
		d.mapper = newMapper(d)
		if d.journal == nil {
			d.fail(failed[0])
			failed = failed[1:]
		} else {
			d.journal.poke = d.keeper.poke
			d.measure()
		}
		o.Go("committer", d.committer.run)
		o.Go("keeper", d.keeper.run)
		o.Go("mapper", d.mapper.run)
		d.keeper.poke() // the ring has one small file
	}
	s.noteSiblings(missing)
	s.startWatchdog()
	return s, nil
}

// abandon gives back what a failed Open took.
func (s *Store) abandon() error {
	var errs []error
	for _, d := range s.dirs {
		errs = append(errs, d.letGo())
	}
	return errors.Join(errs...)
}

// letGo closes the journal and gives the lock up. A directory that did not open
// has neither, or the lock only.
func (d *dir) letGo() (err error) {
	if d.journal != nil {
		err = d.journal.close()
	}
	if d.unlock != nil {
		err = errors.Join(err, d.unlock.Unlock())
	}
	return err
}

// isDiskError tells what the disk said from what is wrong with a directory: a
// lock that another holds, a format of a newer release, a missing journal.
func isDiskError(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && !errors.Is(err, vfs.ErrLocked)
}

// Unclean reports whether the last stop was not a clean one.
func (s *Store) Unclean() bool {
	return slices.ContainsFunc(s.dirs, func(d *dir) bool { return !d.clean })
}

// Usable reports whether at least one data directory is online.
func (s *Store) Usable() bool {
	return slices.ContainsFunc(s.dirs, func(d *dir) bool { return !d.offline.Load() })
}

// Dirs describes the data directories (DescribeLogDirs).
func (s *Store) Dirs() []DirInfo {
	out := make([]DirInfo, len(s.dirs))
	for i, d := range s.dirs {
		out[i] = d.info()
	}
	return out
}

// DirInfo is one data directory.
type DirInfo struct {
	Path        string
	Online      bool
	Err         error
	Free, Total uint64
}

// Logs lists the open logs.
func (s *Store) Logs() []*Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Log, 0, len(s.logs))
	for _, l := range s.logs {
		out = append(out, l)
	}
	return out
}

// SetIdentity writes meta.properties into each data directory that lacks it,
// without which Kafka does not take a directory over. Waits.
func (s *Store) SetIdentity(clusterID string, nodeID int32) {
	for _, d := range s.dirs {
		if d.offline.Load() {
			continue
		}
		if err := d.setIdentity(clusterID, nodeID); err != nil && !errors.Is(d.ioError(err), ErrOffline) {
			s.logger.Warn("a data directory has no "+fileMetaProperties+"; Kafka would not take it over, and the next start writes it", "dir", d.path, "err", err)
		}
	}
}

func (d *dir) setIdentity(clusterID string, nodeID int32) error {
	name := filepath.Join(d.logs, fileMetaProperties)
	if _, err := d.store.fs.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", clusterID, nodeID, TopicID(d.id))
	return atomicWrite(d.store.fs, name, []byte(text))
}

// Ready ends recovery. known tells whether the metadata has a topic id; other
// directories are renamed away. Then a checkpoint makes what recovery found
// the new truth, the journals of earlier lives are released, and appends are
// let in.
func (s *Store) Ready(known func(topic string, id TopicID, partition int32) bool) error {
	for _, d := range s.dirs {
		if d.offline.Load() {
			continue
		}
		if err := d.renameStrays(known); err != nil {
			if errors.Is(err, errNotOpened) {
				return err
			}
			d.fail(err)
			continue
		}
		if err := d.saveAll(true); err != nil {
			d.fail(err)
			continue
		}
		if err := d.journal.releaseOld(); err != nil {
			d.fail(err)
			continue
		}
		d.mu.Lock()
		d.image, d.names = nil, nil
		d.mu.Unlock()
	}
	if !s.Usable() {
		return ErrOffline
	}
	s.ready.Store(true)
	s.upkeep.start(s)
	return nil
}

// errNotOpened: Ready would release frames that nobody replayed.
var errNotOpened = errors.New("logstore: a partition of the metadata has records in the journal and was not opened before Ready")

// renameStrays renames the partitions away that the metadata does not know,
// and forgets their checkpoint entries.
func (d *dir) renameStrays(known func(topic string, id TopicID, partition int32) bool) error {
	moved := false
	open := map[string]bool{}
	for _, l := range d.store.Logs() {
		open[l.path] = true
	}
	for name := range d.names {
		path := filepath.Join(d.logs, name)
		topic, partition, ok := parseLogDirName(name)
		if !ok || open[path] {
			continue
		}
		id, have, err := readPartitionMetadata(d.store.fs, path)
		if err != nil {
			return err
		}
		if have && known(topic, id, partition) {
			if d.image != nil && len(d.image.frames[logKey{id, partition}]) > 0 {
				return fmt.Errorf("%w: %s", errNotOpened, path)
			}
			continue
		}
		stray, err := strayName(path, suffixStrayDir)
		if err != nil {
			return err
		}
		d.store.logger.Warn("a partition's directory is not in the metadata; renamed away", "from", path, "to", stray)
		if err := d.store.fs.Rename(path, stray); err != nil {
			return fmt.Errorf("rename a stray partition: %w", err)
		}
		moved = true
	}
	if moved {
		if err := d.store.fs.SyncDir(d.logs); err != nil {
			return fmt.Errorf("sync %s: %w", d.logs, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, raw := range d.entries {
		e, err := decodeLogEntry(raw)
		if err != nil {
			return err
		}
		if !known(e.topic, key.id, key.partition) && !d.store.isOpen(key) {
			delete(d.entries, key)
		}
	}
	return nil
}

func (s *Store) isOpen(key logKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs[key] != nil
}

// strayName is a name that no live partition has: <dir>.<random>-stray, as
// Kafka builds it.
func strayName(path, suffix string) (string, error) {
	var r [9]byte
	if _, err := rand.Read(r[:]); err != nil {
		return "", err
	}
	return path + "." + base64.RawURLEncoding.EncodeToString(r[:]) + suffix, nil
}

// Checkpoint makes everything appended so far durable in its segments and
// releases the journal. Any goroutine; waits.
func (s *Store) Checkpoint() error {
	var errs []error
	for _, d := range s.dirs {
		if d.offline.Load() {
			errs = append(errs, fmt.Errorf("%s: %w", d.path, ErrOffline))
			continue
		}
		errs = append(errs, d.checkpoint(false))
	}
	return errors.Join(errs...)
}

// Close commits what is queued, trims, writes checkpoints and the clean-stop
// marker. Logs must not be used any more.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.upkeep.stop()
	defer s.watchdog.stop() // last: closing syncs too
	for _, l := range s.Logs() {
		l.shut()
	}
	var errs []error
	for _, d := range s.dirs {
		errs = append(errs, d.close())
	}
	for _, l := range s.Logs() {
		if segs := l.segs.Load(); segs != nil {
			for _, seg := range *segs {
				seg.retire()
			}
		}
	}
	return errors.Join(errs...)
}

// close stops a directory cleanly. Without Ready nothing is marked clean: the
// next start recovers again.
func (d *dir) close() error {
	d.committer.stop()
	d.keeper.stop()
	d.dropWindows()
	d.mapper.stop()
	var errs []error
	if !d.offline.Load() && d.store.ready.Load() {
		errs = append(errs, d.closeCleanly())
	}
	errs = append(errs, d.letGo())
	return errors.Join(errs...)
}

// dropWindows gives the windows of all logs to the mapper to unmap.
func (d *dir) dropWindows() {
	for _, l := range d.store.Logs() {
		if l.dir != d {
			continue
		}
		l.mu.Lock()
		if l.active != nil {
			d.mapper.release(l.active)
		}
		l.mu.Unlock()
	}
}

// trimAll ends the files of active segments where their logs end, so that a
// stopped directory is what Kafka would have left.
func (d *dir) trimAll() error {
	for _, l := range d.store.Logs() {
		if l.dir != d || !l.grown.Swap(false) {
			continue
		}
		cut, err := l.active.trim(false)
		if err != nil {
			return err
		}
		if cut {
			l.mu.Lock()
			l.markDirty()
			l.mu.Unlock()
		}
	}
	return nil
}

func (d *dir) closeCleanly() error {
	err := d.markClean()
	if errors.Is(err, syscall.ENOSPC) && d.dropBallast() {
		err = d.markClean()
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %s is not marked as stopped cleanly; nothing is lost, and the next start recovers: %w", ErrDiskFull, d.path, err)
	}
	return err
}

// markClean leaves a directory that needs no recovery.
func (d *dir) markClean() error {
	d.sealAll()
	if err := d.trimAll(); err != nil {
		d.fail(err)
		return err
	}
	if err := d.checkpoint(true); err != nil {
		return err
	}
	if err := d.snapshotAll(); err != nil {
		return err
	}
	marker := filepath.Join(d.logs, fileCleanShutdown)
	return atomicWrite(d.store.fs, marker, []byte(`{"version":0,"brokerEpoch":-1}`))
}

// nowMs is the wall clock.
func (s *Store) nowMs() int64 { return time.Now().UnixMilli() }

package logstore

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The layout of a data directory:
//
//	<data>/format      our format number and the directory's id
//	<data>/.lock       held while a broker runs
//	<data>/checkpoint  where recovery of each log starts
//	<data>/journal/    the ring
//	<data>/ballast     blocks set aside for a full disk
//	<data>/logs/       what Kafka would have as its log.dir
const (
	fileFormat    = "format"
	fileLock      = ".lock"
	formatVersion = 1
)

// dir is one data directory: its lock, journal, committer and keeper. A failed
// directory takes only its own logs along.
type dir struct {
	store   *Store
	path    string
	logs    string
	journal *journal
	id      [16]byte
	unlock  vfs.Unlocker
	clean   bool         // the last stop was clean
	logsIn  atomic.Int32 // logs that live here

	committer *committer
	keeper    *keeper
	mapper    *mapper

	appended atomic.Int64 // bytes since the last checkpoint
	// writtenBack is appended at the last look of writeBack. Keeper.
	writtenBack int64
	forgot      int64 // when expired producers were last forgotten, Unix milliseconds. Keeper.
	offline     atomic.Bool
	full        atomic.Bool // free space is below the reserve
	ballast     atomic.Bool // the ballast is there
	ballastMu   sync.Mutex  // held while it is given up
	starved     atomic.Bool // something met a full disk: the keeper gives the ballast up

	ckptMu sync.Mutex // one checkpoint at a time

	mu      sync.Mutex
	why     error             // mu; why it is offline
	dirty   []*Log            // mu; appended to since the last checkpoint
	entries map[logKey][]byte // mu; the checkpoint's entries
	image   *journalImage     // mu; until Ready
	names   map[string]bool   // mu; directories of partitions at Open, until Ready
	seals   []sealing         // mu; rolled, to be sealed
	graves  []grave           // mu; .deleted files to unlink
	points  map[logKey]int64  // mu; Kafka's recovery points, for logs without an entry
}

// grave is a file or directory that waits for its deletion.
type grave struct {
	name string
	due  int64 // ms
	tree bool
}

// openDir locks a directory, checks its format and reads its journal.
func openDir(s *Store, path string) (d *dir, err error) {
	d = &dir{store: s, path: path, logs: filepath.Join(path, "logs"), names: map[string]bool{}, points: map[logKey]int64{}}
	if err := makeDir(s.fs, d.logs); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if d.unlock, err = s.fs.Lock(filepath.Join(path, fileLock)); err != nil {
		return nil, fmt.Errorf("data directory %s is in use by another process: %w", path, err)
	}
	if err := d.read(); err != nil {
		return nil, errors.Join(err, d.letGo())
	}
	return d, nil
}

func (d *dir) read() error {
	disk := d.store.fs
	known, err := d.readFormat()
	if err != nil {
		return err
	}
	marker := filepath.Join(d.logs, fileCleanShutdown)
	if _, err := disk.Stat(marker); err == nil {
		d.clean = true
		if err := disk.Remove(marker); err != nil {
			return fmt.Errorf("remove the clean-stop marker: %w", err)
		}
		if err := disk.SyncDir(d.logs); err != nil {
			return fmt.Errorf("sync %s: %w", d.logs, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the clean-stop marker: %w", err)
	}
	jpath := d.journalPath()
	if err := makeDir(disk, jpath); err != nil {
		return fmt.Errorf("make journal directory: %w", err)
	}
	mark, entries, found, err := readCheckpoint(disk, filepath.Join(d.path, fileCheckpoint), d.id)
	if err != nil {
		return err
	}
	d.entries = entries
	img := &journalImage{frames: map[logKey][]frameRef{}}
	if known {
		if img, err = readJournal(disk, jpath, d.id, mark, d.clean, d.store.opt.Go); err != nil {
			return err
		}
		if !d.clean && len(img.files) == 0 {
			return img.abandon(fmt.Errorf("data directory %s was not stopped cleanly and its journal %s is missing; put the journal back (see --journal-dir), acknowledged records may be in it", d.path, jpath))
		}
	} else if err := d.startFresh(jpath); err != nil {
		return err
	}
	for _, what := range img.damage {
		d.store.stats.damaged.Add(1)
		d.store.logger.Error("the journal is damaged in acknowledged data", "dir", d.path, "what", what)
	}
	generation := max(img.generation, mark.generation) + 1
	if _, err := disk.Stat(filepath.Join(d.path, fileBallast)); err == nil {
		d.ballast.Store(true)
	}
	ring := func() (*journal, error) {
		return newJournal(disk, jpath, d.id, generation, d.store.opt.JournalMax, d.store.opt.JournalWrite, img.number+1, img.files, d.store.logger)
	}
	d.journal, err = ring()
	if errors.Is(err, syscall.ENOSPC) && d.dropBallast() {
		d.journal, err = ring() // a full disk must let a broker start, or nobody could delete
	}
	if err != nil {
		return img.abandon(err)
	}
	cost := &d.journal.cost
	d.store.logger.Debug("the disk's syncs were measured", "dir", jpath, "grown", cost.grown, "small", cost.small, "large", cost.large, "past_cache", cost.pastCache, "direct_from", cost.direct())
	d.image = img
	if !known {
		d.clean = true // nothing was ever here but perhaps Kafka's own logs
		// A process that was killed may have made these and synced none.
		if err := errors.Join(syncAbove(disk, d.path), syncAbove(disk, jpath)); err != nil {
			return err
		}
		if err := d.writeFormat(); err != nil {
			return err
		}
	}
	return d.list(found)
}

// journalPath is where the ring lies.
func (d *dir) journalPath() string {
	if d.store.opt.JournalDir != "" {
		return filepath.Join(d.store.opt.JournalDir, base64.RawURLEncoding.EncodeToString(d.id[:]))
	}
	return filepath.Join(d.path, "journal")
}

// readFormat reads <data>/format; known is false in a new directory.
func (d *dir) readFormat() (known bool, err error) {
	b, err := readFile(d.store.fs, filepath.Join(d.path, fileFormat), 1<<12)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := rand.Read(d.id[:])
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("read the format file: %w", err)
	}
	version := 0
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch k {
		case "format":
			if version, err = strconv.Atoi(v); err != nil {
				return false, fmt.Errorf("the format file of %s says format=%q, which is no number", d.path, v)
			}
		case "directory.id":
			id, err := parseTopicID(v)
			if err != nil {
				return false, fmt.Errorf("the format file of %s: %w", d.path, err)
			}
			d.id = id
		}
	}
	switch {
	case version > formatVersion:
		return false, fmt.Errorf("data directory %s has format %d; this release reads up to %d: start the newer release again", d.path, version, formatVersion)
	case version < 1 || d.id == [16]byte{}:
		return false, fmt.Errorf("the format file of %s lacks its format or directory.id line", d.path)
	}
	return true, nil
}

func (d *dir) writeFormat() error {
	text := fmt.Sprintf("format=%d\ndirectory.id=%s\n", formatVersion, TopicID(d.id))
	if err := atomicWrite(d.store.fs, filepath.Join(d.path, fileFormat), []byte(text)); err != nil {
		return fmt.Errorf("write the format file: %w", err)
	}
	return nil
}

// startFresh clears what a first start left that never wrote its format file:
// nothing can have been appended.
func (d *dir) startFresh(jpath string) error {
	entries, err := d.store.fs.ReadDir(jpath)
	if err != nil {
		return fmt.Errorf("read the journal's directory: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), journalSuffix) {
			if err := d.store.fs.Remove(filepath.Join(jpath, e.Name())); err != nil {
				return fmt.Errorf("clear the journal's directory: %w", err)
			}
		}
	}
	return nil
}

// list notes the partitions that are here, clears leftovers of deletions, and
// reads Kafka's recovery points when there is no checkpoint of ours.
func (d *dir) list(found bool) error {
	if !d.clean {
		// A process that was killed may have left names that only the cache has.
		if err := d.store.fs.SyncDir(d.logs); err != nil {
			return fmt.Errorf("sync %s: %w", d.logs, err)
		}
	}
	entries, err := d.store.fs.ReadDir(d.logs)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.logs, err)
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.IsDir():
		case strings.HasSuffix(name, suffixDeleteDir):
			d.graves = append(d.graves, grave{filepath.Join(d.logs, name), 0, true})
		case strings.HasSuffix(name, suffixStrayDir):
		default:
			d.names[name] = true
		}
	}
	if found {
		return nil
	}
	lines, err := readOffsets(d.store.fs, filepath.Join(d.logs, fileRecoveryPoints))
	if err != nil {
		d.store.logger.Warn("recovery points cannot be read; logs are scanned from their start", "err", err)
		return nil
	}
	for _, l := range lines {
		id, ok, err := readPartitionMetadata(d.store.fs, filepath.Join(d.logs, logDirName(l.topic, l.partition)))
		if err == nil && ok {
			d.points[logKey{id, l.partition}] = l.offset
		}
	}
	return nil
}

// fail takes the directory offline for good (rule 11): after a failed sync the
// page cache may hold what the disk does not, and a second try would lie.
func (d *dir) fail(err error) {
	if err == nil || d.offline.Swap(true) {
		return
	}
	d.mu.Lock()
	d.why = err
	d.mu.Unlock()
	d.store.logger.Error("data directory taken offline", "dir", d.path, "err", err)
	d.store.stats.offline.Add(1)
	if d.journal != nil {
		d.journal.fail(ErrOffline)
	}
	if d.committer != nil {
		d.committer.call()
	}
	if d.keeper != nil {
		d.keeper.poke()
	}
	if d.store.opt.OnOffline != nil {
		d.store.opt.OnOffline(d.path, err)
	}
}

// ioError sorts an error of an append's write: a full disk, and a process that
// may not open more files, refuse this append only; everything else takes the
// directory offline.
func (d *dir) ioError(err error) error {
	if tooManyFiles(err) {
		if d.keeper != nil {
			d.keeper.poke()
		}
		return noFiles(err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		d.full.Store(true)
		d.starved.Store(true)
		if d.keeper != nil {
			d.keeper.poke()
		}
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	d.fail(err)
	return ErrOffline
}

func tooManyFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// noFiles is err, and ErrNoFiles when that is what it tells.
func noFiles(err error) error {
	if !tooManyFiles(err) || errors.Is(err, ErrNoFiles) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoFiles, err)
}

// reserve is the free space below which clients' appends are refused.
func (d *dir) reserve(u vfs.Usage) uint64 {
	switch r := d.store.opt.DiskReserve; {
	case r < 0:
		return 0
	case r > 0:
		return uint64(r)
	}
	return min(max(1<<30, u.Total/50), u.Total/10)
}

// measure looks at the free space (rule 12).
func (d *dir) measure() {
	u, err := d.store.fs.Usage(d.path)
	if err == nil && d.keepBallast(u) {
		u, err = d.store.fs.Usage(d.path)
	}
	if err != nil {
		d.fail(fmt.Errorf("ask for free space: %w", err))
		return
	}
	need := d.reserve(u)
	if !d.ballast.Load() {
		need += d.ballastSize(u)
	}
	full := u.Free < need
	if d.full.Swap(full) != full {
		d.store.logger.Warn("free space crossed the reserve", "dir", d.path, "free", u.Free, "reserve", need, "refusing", full)
	}
}

// touch lists a log for the next checkpoint. Under log.mu.
func (d *dir) touch(l *Log) {
	d.mu.Lock()
	d.dirty = append(d.dirty, l)
	d.mu.Unlock()
}

// info is the public view.
func (d *dir) info() DirInfo {
	d.mu.Lock()
	why := d.why
	d.mu.Unlock()
	i := DirInfo{Path: d.path, Online: !d.offline.Load(), Err: why}
	if u, err := d.store.fs.Usage(d.path); err == nil {
		i.Free, i.Total = u.Free, u.Total
	}
	return i
}

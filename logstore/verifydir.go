package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// VerifyDir checks a data directory: every segment against its seal or its
// batches' CRCs. It takes the lock of a directory that no broker has, changes
// nothing, reads at most rate bytes a second (0: no bound) and reports damage as
// it is found. Bytes behind a log's last proof of durability are counted, not
// judged: the next start decides about them.
//
// Of a directory that a broker has it checks the sealed segments, which do not
// change any more, and counts the bytes of the others as unproven. A segment may
// be deleted or replaced meanwhile, so damage there is what two passes found.
func VerifyDir(disk vfs.FS, dir string, rate int64, stop <-chan struct{}, found func(Damage)) (sum Verified, err error) {
	if _, err := disk.Stat(filepath.Join(dir, fileFormat)); err != nil {
		return sum, fmt.Errorf("%s is no data directory: %w", dir, err)
	}
	v := &dirCheck{disk: disk, dir: dir, logs: filepath.Join(dir, "logs"), pace: (&pacer{rate: rate, stop: stop}).take, found: found, sum: &sum}
	lock, err := disk.Lock(filepath.Join(dir, fileLock))
	switch {
	case errors.Is(err, vfs.ErrLocked):
		v.live = true
	case err != nil:
		return sum, fmt.Errorf("lock data directory %s: %w", dir, err)
	default:
		defer func() { err = errors.Join(err, lock.Unlock()) }()
	}
	return sum, v.run()
}

// dirCheck is one VerifyDir.
type dirCheck struct {
	disk  vfs.FS
	dir   string
	logs  string
	pace  func(int) error
	found func(Damage)
	sum   *Verified
	ends  map[logKey]logEntry // from the checkpoint
	clean bool
	live  bool // a broker has the directory
}

func (v *dirCheck) run() error {
	_, err := v.disk.Stat(filepath.Join(v.logs, fileCleanShutdown))
	v.clean = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the clean-stop marker: %w", err)
	}
	if v.live {
		v.ends = nil // it moves while we read
	} else if err := v.readEnds(); err != nil {
		return err
	}
	entries, err := v.disk.ReadDir(v.logs)
	if err != nil {
		return fmt.Errorf("read %s: %w", v.logs, err)
	}
	for _, e := range entries {
		topic, partition, ok := parseLogDirName(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		err := v.log(topic, partition)
		if diskFailed(err) {
			v.report(Damage{Topic: topic, Partition: partition, File: filepath.Join(v.logs, e.Name()), Err: err})
			continue
		}
		if err != nil && !(v.live && isMissing(err)) {
			return err
		}
	}
	return nil
}

func (v *dirCheck) readEnds() error {
	v.ends = map[logKey]logEntry{}
	name := filepath.Join(v.dir, fileCheckpoint)
	raw, err := readFile(v.disk, name, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(raw) < checkpointHead {
		v.report(Damage{File: name, Err: errBadCheckpoint})
		return nil
	}
	_, entries, err := decodeCheckpoint(raw, [16]byte(raw[8:24]))
	if err != nil {
		v.report(Damage{File: name, Err: err})
		return nil
	}
	for key, b := range entries {
		e, err := decodeLogEntry(b)
		if err != nil {
			v.report(Damage{File: name, Err: err})
			return nil
		}
		v.ends[key] = e
	}
	return nil
}

func (v *dirCheck) report(d Damage) {
	v.sum.Damaged++
	v.found(d)
}

// log checks one partition's directory.
func (v *dirCheck) log(topic string, partition int32) error {
	v.sum.Logs++
	path := filepath.Join(v.logs, logDirName(topic, partition))
	id, have, err := readPartitionMetadata(v.disk, path)
	if err != nil {
		v.report(Damage{Topic: topic, Partition: partition, File: filepath.Join(path, fileMetadata), Err: err})
	}
	entry, known := v.ends[logKey{id, partition}]
	known = known && have
	entries, err := v.disk.ReadDir(path)
	if err != nil {
		return fmt.Errorf("read directory of a log: %w", err)
	}
	var bases []int64
	sealed := map[int64]bool{}
	for _, e := range entries {
		if base, ok := parseSegmentName(e.Name(), suffixSeal); ok {
			sealed[base] = true
		}
		if base, ok := parseSegmentName(e.Name(), suffixLog); ok {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	for i, base := range bases {
		next := base
		if i+1 < len(bases) {
			next = bases[i+1]
		}
		proven := int64(-1) // to the end of the file
		switch {
		case known && base == entry.base:
			proven, next = entry.pos, entry.recovery
		case known && base > entry.base, !known && !v.clean && i == len(bases)-1:
			proven = 0
		}
		name := filepath.Join(path, segmentName(base, ""))
		if v.live {
			err = v.liveSegment(topic, partition, id, name, base, next, sealed[base])
		} else {
			err = v.segment(topic, partition, id, name, base, next, proven, v.found)
		}
		if err != nil {
			return err
		}
	}
	if known && !slices.Contains(bases, entry.base) && entry.pos > 0 {
		v.report(Damage{
			Topic: topic, Partition: partition, ID: id, File: filepath.Join(path, segmentName(entry.base, suffixLog)),
			From: entry.base, To: entry.recovery, Err: fmt.Errorf("the segment is missing: %w", fs.ErrNotExist),
		})
	}
	return nil
}

// liveSegment checks a segment of a running broker, twice when it looks damaged.
func (v *dirCheck) liveSegment(topic string, partition int32, id TopicID, path string, base, next int64, sealed bool) error {
	if !sealed {
		info, err := v.disk.Stat(path + suffixLog)
		if err == nil {
			v.sum.Unproven += info.Size()
		} else if !isMissing(err) {
			return fmt.Errorf("look at a segment: %w", err)
		}
		return nil
	}
	var seen []Damage
	before := *v.sum
	for range 2 {
		*v.sum, seen = before, seen[:0]
		err := v.segment(topic, partition, id, path, base, next, -1, func(d Damage) { seen = append(seen, d) })
		if isMissing(err) || (len(seen) > 0 && errors.Is(seen[0].Err, fs.ErrNotExist)) {
			*v.sum = before
			return nil // deleted or replaced; what came instead is of another pass
		}
		if err != nil || len(seen) == 0 {
			return err
		}
		if _, err := v.disk.Stat(path + suffixSeal); isMissing(err) {
			*v.sum = before
			return nil
		}
	}
	for _, d := range seen {
		v.found(d)
	}
	return nil
}

func (v *dirCheck) segment(topic string, partition int32, id TopicID, path string, base, next, proven int64, found func(Damage)) error {
	f, err := v.disk.OpenRead(path + suffixLog)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	if proven > size {
		v.report(Damage{Topic: topic, Partition: partition, ID: id, File: path + suffixLog, From: base, To: next, Position: size,
			Err: fmt.Errorf("the file has %d bytes of the %d that the checkpoint vouches for", size, proven)})
		proven = size
	}
	if proven >= 0 {
		v.sum.Unproven += size - proven
		size = proven
	}
	c := &segmentCheck{
		disk: v.disk, path: path, log: f, base: base, size: size, next: next, pace: v.pace, sum: v.sum,
		found: func(d Damage) {
			d.Topic, d.Partition, d.ID = topic, partition, id
			found(d)
		},
	}
	return c.run()
}

package logstore

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// Names and suffixes in a partition's directory; all but seal and damaged are
// Kafka's (LogFileUtils.java, UnifiedLog.java).
const (
	suffixLog       = ".log"
	suffixIndex     = ".index"
	suffixTime      = ".timeindex"
	suffixTxn       = ".txnindex"
	suffixSnapshot  = ".snapshot"
	suffixSeal      = ".seal"
	suffixDeleted   = ".deleted"
	suffixDeleteDir = "-delete"
	suffixStrayDir  = "-stray"

	fileMetadata = "partition.metadata"
	fileEpochs   = "leader-epoch-checkpoint"
	fileDamaged  = "damaged-ranges"
)

// segmentName is a segment's file name: 20 digits of base offset and a suffix.
func segmentName(base int64, suffix string) string {
	return fmt.Sprintf("%020d%s", base, suffix)
}

// parseSegmentName is the inverse of segmentName for one suffix.
func parseSegmentName(name, suffix string) (base int64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) != 20 {
		return 0, false
	}
	base, err := strconv.ParseInt(digits, 10, 64)
	return base, err == nil && base >= 0
}

// logDirName is a partition's directory below <data>/logs.
func logDirName(topic string, partition int32) string {
	return topic + "-" + strconv.Itoa(int(partition))
}

// parseLogDirName splits a directory name of a live partition.
func parseLogDirName(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || n < 0 {
		return "", 0, false
	}
	return name[:i], int32(n), true
}

// String is the id as Kafka prints it: base64url without padding.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func parseTopicID(s string) (id TopicID, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("topic id %q is not 16 bytes of base64url", s)
	}
	copy(id[:], b)
	return id, nil
}

// atomicWrite replaces a file so that a crash leaves the old content or the
// new one: temporary file, write, fsync, rename, fsync of the directory. It is
// the only way this package replaces a file.
func atomicWrite(disk vfs.FS, name string, content []byte) error {
	tmp := name + ".tmp"
	f, err := disk.Create(tmp)
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := disk.Rename(tmp, name); err != nil {
		return fmt.Errorf("rename %s: %w", tmp, err)
	}
	if err := disk.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory of %s: %w", name, err)
	}
	return nil
}

// makeDir makes a directory with its parents, all of them durable.
func makeDir(disk vfs.FS, path string) error {
	var fresh []string // parents of what has to be made
	for p := path; ; p = filepath.Dir(p) {
		if _, err := disk.Stat(p); err == nil {
			break
		} else if !isMissing(err) {
			return fmt.Errorf("look for %s: %w", p, err)
		}
		if p == filepath.Dir(p) {
			break
		}
		fresh = append(fresh, filepath.Dir(p))
	}
	if err := disk.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	for _, p := range fresh {
		if err := disk.SyncDir(p); err != nil {
			return fmt.Errorf("sync %s: %w", p, err)
		}
	}
	return nil
}

// syncAbove makes the names of a directory and of all above it durable. What
// may not be opened was not made here.
func syncAbove(disk vfs.FS, path string) error {
	for parent := filepath.Dir(path); parent != path; path, parent = parent, filepath.Dir(parent) {
		if err := disk.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("sync %s: %w", parent, err)
		}
	}
	return nil
}

// readFile reads a whole file of at most limit bytes. A missing file gives
// fs.ErrNotExist.
func readFile(disk vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := disk.OpenRead(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d it may have", name, size, limit)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !(errors.Is(err, io.EOF) && n == len(b)) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b[:n], nil
}

// isMissing reports whether an error says that a file is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// removeIfThere removes a file that need not exist.
func removeIfThere(disk vfs.FS, name string) error {
	if err := disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writePartitionMetadata writes Kafka's partition.metadata into a new
// directory. It is not replaced ever again, so it needs no atomicWrite: until
// the caller has synced the directory an empty file says the same as none.
func writePartitionMetadata(disk vfs.FS, dir string, id TopicID) error {
	f, err := disk.Create(filepath.Join(dir, fileMetadata))
	if err != nil {
		return fmt.Errorf("create %s: %w", fileMetadata, err)
	}
	_, err = f.WriteAt([]byte("version: 0\ntopic_id: "+id.String()), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", fileMetadata, err)
	}
	return nil
}

// readPartitionMetadata reads the topic id of a partition's directory; ok is
// false when the file is missing or was never finished.
func readPartitionMetadata(disk vfs.FS, dir string) (id TopicID, ok bool, err error) {
	b, err := readFile(disk, filepath.Join(dir, fileMetadata), 1<<12)
	if errors.Is(err, fs.ErrNotExist) {
		return id, false, nil
	}
	if err != nil {
		return id, false, err
	}
	if len(strings.Trim(string(b), "\x00\n ")) < len("version: 0\ntopic_id: ")+base64.RawURLEncoding.EncodedLen(len(id)) {
		return id, false, nil // a create that a crash cut short
	}
	for line := range strings.Lines(string(b)) {
		if v, found := strings.CutPrefix(strings.TrimSpace(line), "topic_id:"); found {
			id, err = parseTopicID(strings.TrimSpace(v))
			return id, err == nil, err
		}
	}
	return id, false, fmt.Errorf("%s: no topic_id line", filepath.Join(dir, fileMetadata))
}

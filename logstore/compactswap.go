package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// How a compacted segment takes the place of those it was made from, so that a
// power cut at any moment leaves either all of them or it.
//
//  1. <base>.{log,index,timeindex,txnindex}.cleaned are written and synced, and
//     <base>.replaces.cleaned, which lists the segments to be replaced; the
//     directory is synced.
//  2. All but the .log are renamed to .swap; the directory is synced.
//  3. <base>.log.cleaned is renamed to .log.swap; the directory is synced. This
//     rename is the decision: before it recovery throws the new files away,
//     after it recovery ends what follows.
//  4. The replaced segments' files are renamed to .deleted, the .swap files to
//     their final names, in any order; the directory is synced.
//  5. <base>.replaces.swap is removed.
//
// Kafka decides by the presence of a .swap file and takes the offsets in it
// for what it replaces; a segment whose last records were all superseded then
// leaves old ones behind, so we write the list down.
//
// While 4 runs nobody may open a file of the replaced segments by name, or one
// segment's index would be read for another's log: their descriptors are
// pinned before, their index locks held, and they are marked replaced.
const (
	suffixCleaned  = ".cleaned"
	suffixSwap     = ".swap"
	suffixReplaces = ".replaces"
)

// swapFiles are the parts of a segment in the order in which 2 and 4 take
// them.
var swapFiles = []string{suffixIndex, suffixTime, suffixTxn, suffixLog}

// cleanedSegment is a segment being written.
type cleanedSegment struct {
	log  *Log
	seg  *Segment // as it will be; its path is the final one
	file vfs.File
	buf  []byte // what was added and not yet written
	at   int64  // where buf belongs in the file
	back int64  // the kernel was told to begin writing what lies before it
	pos  int64  // of the next batch: at and what is in buf
	done bool   // the decision was made: nothing to throw away
}

// newCleaned begins a cleaned segment. The caller calls abandon at the end in
// every case.
func (l *Log) newCleaned(base int64) (*cleanedSegment, error) {
	seg := newEmptySegment(l, base)
	f, err := l.store.fs.Create(seg.path() + suffixLog + suffixCleaned)
	if err != nil {
		return nil, fmt.Errorf("create cleaned segment: %w", err)
	}
	return &cleanedSegment{log: l, seg: seg, file: f, buf: make([]byte, 0, scanBuffer)}, nil
}

// add appends a batch; its bytes are copied.
func (w *cleanedSegment) add(b []byte) error {
	w.seg.noteBatch(b, w.pos, int64(w.log.cfg.Load().IndexIntervalBytes))
	w.pos += int64(len(b))
	if len(w.buf)+len(b) > cap(w.buf) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(b) > cap(w.buf) {
		return w.write(b)
	}
	w.buf = append(w.buf, b...)
	return nil
}

func (w *cleanedSegment) flush() error {
	p := w.buf
	w.buf = w.buf[:0]
	return w.write(p)
}

// write puts bytes behind those that were written before.
func (w *cleanedSegment) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := w.file.WriteAt(p, w.at); err != nil {
		return fmt.Errorf("write cleaned segment: %w", err)
	}
	w.at += int64(len(p))
	if w.at-w.back < writeBackLeast {
		return nil
	}
	// Begun now, a little at a time, it is not all in front of the journal's
	// syncs when finish syncs it.
	from := w.back
	w.back = w.at
	if err := w.file.SyncRange(from, w.at-from); err != nil {
		return fmt.Errorf("write back cleaned segment: %w", err)
	}
	return nil
}

// finish writes what is left, the indexes and the list of what is replaced,
// and makes it all durable: step 1.
func (w *cleanedSegment) finish(group []*Segment, aborted []txnEntry) error {
	if err := w.flush(); err != nil {
		return err
	}
	if w.at != w.pos {
		return fmt.Errorf("the cleaned segment %s has %d bytes instead of %d", w.seg.path(), w.at, w.pos)
	}
	s := w.seg
	last := group[len(group)-1]
	s.size.Store(w.pos)
	s.durable.Store(w.pos)
	s.next.Store(last.next.Load())
	s.created = last.created
	s.rolled.Store(true)
	s.addTime()
	for _, e := range aborted {
		s.txns.add(e)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync cleaned segment: %w", err)
	}
	path := s.path()
	disk := w.log.store.fs
	if err := writeCleanedIndex(disk, path, &s.offsets, offsetFormat); err != nil {
		return err
	}
	if err := writeCleanedIndex(disk, path, &s.times, timeFormat); err != nil {
		return err
	}
	if err := writeCleanedIndex(disk, path, &s.txns, txnFormat); err != nil {
		return err
	}
	name := path + suffixReplaces + suffixCleaned
	if err := writeNew(disk, name, encodeReplaces(group)); err != nil {
		return err
	}
	if err := disk.SyncDir(w.log.path); err != nil {
		return fmt.Errorf("sync directory of a log: %w", err)
	}
	return nil
}

func writeCleanedIndex[E any](disk vfs.FS, path string, t *entryFile[E], f *entryFormat[E]) error {
	raw, _, upTo := t.pending(f)
	if err := writeNew(disk, path+f.suffix+suffixCleaned, raw); err != nil {
		return err
	}
	t.flushed = upTo
	return nil
}

// writeNew writes and syncs a file whose name the caller makes durable.
func writeNew(disk vfs.FS, name string, content []byte) error {
	f, err := disk.Create(name)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// abandon closes the file and, unless the swap was decided, throws the new
// files away. It gives err back.
func (w *cleanedSegment) abandon(err error) error {
	err = errors.Join(err, w.file.Close())
	if w.done || w.log.closed.Load() {
		return err
	}
	return errors.Join(err, dropSwap(w.log.store.fs, w.seg.path()))
}

// dropSwap removes an undecided set. The list goes first, durably: one without
// a .log.cleaned beside it would be taken for a decision.
func dropSwap(disk vfs.FS, path string) error {
	err := errors.Join(
		removeIfThere(disk, path+suffixReplaces+suffixSwap),
		removeIfThere(disk, path+suffixReplaces+suffixCleaned))
	if err == nil {
		err = disk.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("drop a cleaned segment: %w", err)
	}
	for _, part := range swapFiles {
		for _, suffix := range []string{suffixSwap, suffixCleaned} {
			err = errors.Join(err, removeIfThere(disk, path+part+suffix))
		}
	}
	return err
}

func encodeReplaces(group []*Segment) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "0\n%d\n", len(group))
	for _, s := range group {
		fmt.Fprintf(&b, "%d\n", s.base)
	}
	return b.Bytes()
}

func decodeReplaces(text string) ([]int64, error) {
	rows := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(rows) < 3 || rows[0] != "0" || rows[1] != strconv.Itoa(len(rows)-2) {
		return nil, errors.New("the list of replaced segments does not start with version 0 and its count")
	}
	var out []int64
	for _, row := range rows[2:] {
		base, err := strconv.ParseInt(row, 10, 64)
		if err != nil || base < 0 {
			return nil, fmt.Errorf("the list of replaced segments has the line %q, which is no offset", row)
		}
		out = append(out, base)
	}
	return out, nil
}

// swapIn puts a finished segment in the place of a group: steps 2 to 5.
func (l *Log) swapIn(w *cleanedSegment, group []*Segment) error {
	disk, path := l.store.fs, w.seg.path()
	for i, s := range group {
		if err := s.pin(); err != nil {
			unpinAll(group[:i])
			return errStopped
		}
	}
	defer unpinAll(group)
	// Delete and checkpoints work in the directory under ckptMu.
	l.dir.ckptMu.Lock()
	defer l.dir.ckptMu.Unlock()
	if err := l.admit(); err != nil {
		return errStopped
	}
	if !l.holds(group) {
		return errStopped // the log start passed it meanwhile
	}
	if err := decideSwap(disk, l.path, path); err != nil {
		return err
	}
	w.done = true
	if err := l.replace(w.seg, group); err != nil {
		// Half the names are new: only recovery can tell which segments there are.
		l.dir.fail(err)
		return err
	}
	for _, s := range group {
		s.retire()
		for _, suffix := range []string{suffixLog, suffixIndex, suffixTime, suffixTxn, suffixSeal, suffixSnapshot} {
			l.dir.bury(s.path()+suffix+suffixDeleted, l.cfg.Load().FileDeleteDelayMs, false)
		}
	}
	l.dir.toSeal(w.seg, nil)
	return nil
}

func unpinAll(group []*Segment) {
	for _, s := range group {
		s.unpin()
	}
}

// holds reports whether the group is still in the list, in one piece.
func (l *Log) holds(group []*Segment) bool {
	segs := *l.segs.Load()
	i := slices.Index(segs, group[0])
	return i >= 0 && i+len(group) < len(segs) && slices.Equal(segs[i:i+len(group)], group)
}

// decideSwap is steps 2 and 3.
func decideSwap(disk vfs.FS, dir, path string) error {
	for _, part := range []string{suffixReplaces, suffixIndex, suffixTime, suffixTxn} {
		if err := disk.Rename(path+part+suffixCleaned, path+part+suffixSwap); err != nil {
			return fmt.Errorf("swap in a cleaned segment: %w", err)
		}
	}
	if err := disk.SyncDir(dir); err != nil {
		return fmt.Errorf("swap in a cleaned segment: %w", err)
	}
	if err := disk.Rename(path+suffixLog+suffixCleaned, path+suffixLog+suffixSwap); err != nil {
		return fmt.Errorf("swap in a cleaned segment: %w", err)
	}
	if err := disk.SyncDir(dir); err != nil {
		return fmt.Errorf("swap in a cleaned segment: %w", err)
	}
	return nil
}

// replace is steps 4 and 5 with what the process sees.
func (l *Log) replace(fresh *Segment, group []*Segment) error {
	disk := l.store.fs
	bases := make([]int64, len(group))
	for i, s := range group {
		bases[i] = s.base
		s.imu.Lock()
	}
	err := finishSwap(disk, l.path, fresh.base, bases)
	for _, s := range group {
		s.replaced = true
		s.imu.Unlock()
	}
	if err != nil {
		return err
	}
	// Lock order forbids log.mu above; a reader that meets a replaced segment
	// in between looks again.
	l.mu.Lock()
	segs := *l.segs.Load()
	i := slices.Index(segs, group[0])
	next := slices.Concat(segs[:i], []*Segment{fresh}, segs[i+len(group):])
	l.segs.Store(&next)
	l.version.Add(1)
	l.mu.Unlock()
	fresh.trimIndexes()
	return endSwap(disk, l.path, fresh.path())
}

// finishSwap is step 4 without the sync; recovery runs it again from any state
// that a power cut left of it.
func finishSwap(disk vfs.FS, dir string, base int64, bases []int64) error {
	for _, b := range bases {
		if b == base {
			continue
		}
		for _, suffix := range []string{suffixLog, suffixIndex, suffixTime, suffixTxn, suffixSeal, suffixSnapshot} {
			if err := moveIfThere(disk, filepath.Join(dir, segmentName(b, suffix)), suffixDeleted); err != nil {
				return err
			}
		}
	}
	path := filepath.Join(dir, segmentName(base, ""))
	// The old seal speaks of the old bytes.
	if err := moveIfThere(disk, path+suffixSeal, suffixDeleted); err != nil {
		return err
	}
	for _, part := range swapFiles {
		_, err := disk.Stat(path + part + suffixSwap)
		if errors.Is(err, fs.ErrNotExist) {
			continue // this part has its final name
		}
		if err == nil {
			if err = moveIfThere(disk, path+part, suffixDeleted); err == nil {
				err = disk.Rename(path+part+suffixSwap, path+part)
			}
		}
		if err != nil {
			return fmt.Errorf("swap in a cleaned segment: %w", err)
		}
	}
	return nil
}

// endSwap makes step 4 durable and does step 5.
func endSwap(disk vfs.FS, dir, path string) error {
	if err := disk.SyncDir(dir); err != nil {
		return fmt.Errorf("swap in a cleaned segment: %w", err)
	}
	if err := removeIfThere(disk, path+suffixReplaces+suffixSwap); err != nil {
		return fmt.Errorf("swap in a cleaned segment: %w", err)
	}
	return nil
}

// moveIfThere appends a suffix to a file's name.
func moveIfThere(disk vfs.FS, name, suffix string) error {
	if err := disk.Rename(name, name+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rename %s: %w", name, err)
	}
	return nil
}

// recoverSwaps ends or undoes the swaps that a stop interrupted in a log's
// directory, before anybody lists its segments. changed says that names did.
func recoverSwaps(disk vfs.FS, dir string, entries []fs.DirEntry) (changed bool, err error) {
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, suffixCleaned) && !strings.HasSuffix(name, suffixSwap) {
			continue
		}
		changed = true
		base, ok := parseSegmentName(name, suffixReplaces+suffixSwap)
		if !ok {
			continue
		}
		path := filepath.Join(dir, segmentName(base, ""))
		if _, err := disk.Stat(path + suffixLog + suffixCleaned); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return changed, fmt.Errorf("recover a swap: %w", err)
			}
			continue // undecided: below
		}
		text, err := readFile(disk, path+suffixReplaces+suffixSwap, 1<<20)
		if err != nil {
			return changed, fmt.Errorf("recover a swap: %w", err)
		}
		bases, err := decodeReplaces(string(text))
		if err != nil {
			return changed, fmt.Errorf("%s: %w", path+suffixReplaces+suffixSwap, err)
		}
		if err := finishSwap(disk, dir, base, bases); err != nil {
			return changed, err
		}
		if err := endSwap(disk, dir, path); err != nil {
			return changed, err
		}
	}
	if !changed {
		return false, nil
	}
	// What still has such a name was never decided.
	if entries, err = disk.ReadDir(dir); err != nil {
		return true, fmt.Errorf("recover a swap: %w", err)
	}
	for _, e := range entries {
		digits, rest, _ := strings.Cut(e.Name(), ".")
		if !strings.HasSuffix(rest, suffixCleaned[1:]) && !strings.HasSuffix(rest, suffixSwap[1:]) {
			continue
		}
		if err := dropSwap(disk, filepath.Join(dir, digits)); err != nil {
			return true, err
		}
	}
	return true, disk.SyncDir(dir)
}

// isFull reports a full disk, which ends a compaction and nothing else.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

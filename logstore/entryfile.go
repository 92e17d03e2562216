package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// A segment has three index files of fixed-size entries: .index, .timeindex
// and .txnindex. The obvious way maps each of them, at two map areas a segment
// and a page fault on first touch. Here an entry file is a slice in the heap
// over a file: appends go to the slice only, a checkpoint or a roll writes
// what is new, a lookup loads what is not there, and what the file has can be
// dropped again at any time. So an append touches no index file, an idle
// partition holds nothing, and no lookup can meet SIGBUS.

// offsetEntry is an entry of .index: the last offset (relative to the
// segment's base) of the batch that starts at pos. 8 bytes.
type offsetEntry struct{ rel, pos int32 }

// timeEntry is an entry of .timeindex: the largest timestamp so far, and the
// relative offset that has it. 12 bytes.
type timeEntry struct {
	ts  int64
	rel int32
}

// txnEntry is an entry of .txnindex: an aborted transaction, filed in the
// segment that holds its marker. 34 bytes with the version.
type txnEntry struct {
	producer    int64
	first, last int64
	stable      int64 // last stable offset when the marker was written
}

// entryFormat is how an entry lies in its file.
type entryFormat[E any] struct {
	suffix string
	size   int
	put    func([]byte, E)
	get    func([]byte) E
	// follows reports whether b may come after a in one file.
	follows func(a, b E) bool
}

var offsetFormat = &entryFormat[offsetEntry]{
	suffix: suffixIndex, size: 8,
	put: func(b []byte, e offsetEntry) {
		binary.BigEndian.PutUint32(b, uint32(e.rel))
		binary.BigEndian.PutUint32(b[4:], uint32(e.pos))
	},
	get: func(b []byte) offsetEntry {
		return offsetEntry{int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:]))}
	},
	follows: func(a, b offsetEntry) bool { return b.rel > a.rel && b.pos > a.pos },
}

var timeFormat = &entryFormat[timeEntry]{
	suffix: suffixTime, size: 12,
	put: func(b []byte, e timeEntry) {
		binary.BigEndian.PutUint64(b, uint64(e.ts))
		binary.BigEndian.PutUint32(b[8:], uint32(e.rel))
	},
	get: func(b []byte) timeEntry {
		return timeEntry{int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:]))}
	},
	follows: func(a, b timeEntry) bool { return b.ts >= a.ts && b.rel >= a.rel },
}

var txnFormat = &entryFormat[txnEntry]{
	suffix: suffixTxn, size: 34,
	put: func(b []byte, e txnEntry) {
		binary.BigEndian.PutUint16(b, 0)
		binary.BigEndian.PutUint64(b[2:], uint64(e.producer))
		binary.BigEndian.PutUint64(b[10:], uint64(e.first))
		binary.BigEndian.PutUint64(b[18:], uint64(e.last))
		binary.BigEndian.PutUint64(b[26:], uint64(e.stable))
	},
	get: func(b []byte) txnEntry {
		return txnEntry{
			producer: int64(binary.BigEndian.Uint64(b[2:])),
			first:    int64(binary.BigEndian.Uint64(b[10:])),
			last:     int64(binary.BigEndian.Uint64(b[18:])),
			stable:   int64(binary.BigEndian.Uint64(b[26:])),
		}
	},
	follows: func(a, b txnEntry) bool { return b.last > a.last },
}

// errBadIndex says that an index file cannot be believed and must be rebuilt
// from its segment.
var errBadIndex = errors.New("the index file breaks its own order")

// entryFile is one index of one segment. Its segment's imu guards it.
type entryFile[E any] struct {
	first   int // number of the entry that mem[0] is
	mem     []E
	flushed int // entries that the file holds; -1: its size was not asked yet
}

// count is the number of entries; learn must have run.
func (t *entryFile[E]) count() int { return max(t.first+len(t.mem), t.flushed) }

func (t *entryFile[E]) add(e E) { t.mem = append(t.mem, e) }

// last is the newest entry in the heap.
func (t *entryFile[E]) last() (e E, ok bool) {
	if len(t.mem) == 0 {
		return e, false
	}
	return t.mem[len(t.mem)-1], true
}

// learn asks the file for its length once.
func (t *entryFile[E]) learn(disk vfs.FS, path string, f *entryFormat[E]) error {
	if t.flushed >= 0 {
		return nil
	}
	info, err := disk.Stat(path + f.suffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.flushed = 0
	case err != nil:
		return fmt.Errorf("stat %s%s: %w", path, f.suffix, err)
	default:
		t.flushed = int(info.Size()) / f.size
	}
	t.first = t.flushed
	return nil
}

// believe takes the first n entries of the file only; learn must have run and
// nothing been loaded.
func (t *entryFile[E]) believe(n int) {
	t.flushed = min(t.flushed, n)
	t.first = t.flushed
}

// load brings every entry into the heap. errBadIndex: rebuild.
func (t *entryFile[E]) load(disk vfs.FS, path string, f *entryFormat[E]) error {
	if err := t.learn(disk, path, f); err != nil {
		return err
	}
	if t.first == 0 {
		return nil
	}
	file, err := disk.OpenRead(path + f.suffix)
	if err != nil {
		return fmt.Errorf("open %s%s: %w", path, f.suffix, err)
	}
	defer file.Close()
	raw := make([]byte, t.first*f.size)
	if n, err := file.ReadAt(raw, 0); n < len(raw) {
		if err == nil || errors.Is(err, io.EOF) {
			return errBadIndex // somebody cut it
		}
		return fmt.Errorf("read %s%s: %w", path, f.suffix, err)
	}
	all := make([]E, 0, t.first+len(t.mem))
	for off := 0; off < len(raw); off += f.size {
		e := f.get(raw[off:])
		if n := len(all); n > 0 && !f.follows(all[n-1], e) {
			return errBadIndex
		}
		all = append(all, e)
	}
	if len(all) > 0 && len(t.mem) > 0 && !f.follows(all[len(all)-1], t.mem[0]) {
		return errBadIndex
	}
	t.mem = append(all, t.mem...)
	t.first = 0
	return nil
}

// trim drops from the heap what the file holds.
func (t *entryFile[E]) trim() {
	if t.flushed <= t.first {
		return
	}
	rest := t.mem[t.flushed-t.first:]
	if len(rest) == 0 {
		t.mem = nil
	} else {
		t.mem = append([]E(nil), rest...)
	}
	t.first = t.flushed
}

// cut keeps the first n entries; all must be loaded.
func (t *entryFile[E]) cut(n int) {
	t.mem = t.mem[:n]
	t.flushed = min(t.flushed, n)
}

// pending encodes what the file lacks, to be written at the returned offset.
func (t *entryFile[E]) pending(f *entryFormat[E]) (raw []byte, at int64, upTo int) {
	from := max(t.flushed, t.first)
	fresh := t.mem[from-t.first:]
	at = int64(from) * int64(f.size)
	if len(fresh) == 0 {
		return nil, at, t.count()
	}
	raw = make([]byte, len(fresh)*f.size)
	for i, e := range fresh {
		f.put(raw[i*f.size:], e)
	}
	return raw, at, t.count()
}

// search is the number of entries in mem for which before holds.
func (t *entryFile[E]) search(before func(E) bool) int {
	return sort.Search(len(t.mem), func(i int) bool { return !before(t.mem[i]) })
}

// writeEntries puts raw at its place in an index file, ends the file there and
// makes it durable. When it made the file, the caller must make its name
// durable: without it the entries are lost with the power.
func writeEntries(disk vfs.FS, name string, raw []byte, at int64) (made bool, err error) {
	f, err := disk.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		f, err = disk.Create(name)
	}
	if err != nil {
		return made, fmt.Errorf("open %s: %w", name, err)
	}
	err = f.Truncate(at)
	if err == nil && len(raw) > 0 {
		_, err = f.WriteAt(raw, at)
	}
	if err == nil {
		err = f.Datasync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return made, fmt.Errorf("write %s: %w", name, err)
	}
	return made, nil
}

package logstore

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The journal of a data directory is a ring of files. Blocks of a file are
// written with zeros once, when it is made, and overwritten ever after: an
// overwrite changes no metadata of the file system, which halves the time of a
// sync. The first file is small, so that a start is
// quick; the directory's keeper makes larger ones until the ring has its size.
//
// A file is in use from its first group until a checkpoint covers its last
// group; then it is free and will be used again. When no file is free and the
// ring may not grow, the committer waits: a file in use is never overwritten.
//
// A group that is synced at once is written past the page cache (O_DIRECT) where
// that is no slower, which the first file's filling tells (diskcost.go): the kernel
// then neither copies it nor looks for dirty pages at the sync, 10 µs of a lone
// append's 70, and 16 to 30 % of the CPU of one of 4 to 64 KiB. A group that waits
// for no sync goes through the cache, where a write takes 3 µs and not 30. A block
// is written one way or the other and never twice before it is released, and the
// kernel keeps the two apart by pages. What it costs: a start after a kill reads
// the ring from the disk, as one after a power cut does.
const (
	firstJournalFile = 1 << 20
	largestJournal   = 64 << 20
	journalSuffix    = ".journal"
)

// ringFile is one file of the ring.
type ringFile struct {
	file   vfs.File
	name   string
	blocks int // with the header
	// number is from the header; last is the last group written into it, 0:
	// none. The journal's mu.
	number uint64
	last   uint64
}

// journal writes groups. Its committer calls write and sync; the keeper calls
// release and grow.
type journal struct {
	fs         vfs.FS
	path       string
	dir        [16]byte
	generation uint32
	max        int64
	logger     *slog.Logger
	way        string   // Options.JournalWrite
	cost       diskCost // written once, by newJournal

	// Committer only.
	build groupBuilder
	cur   *ringFile
	at    int // next block of cur; written under mu

	seq     atomic.Uint64 // last group written
	durable atomic.Uint64 // last group synced

	mu      sync.Mutex
	cond    sync.Cond   // mu; a file became free, or closed
	ready   []*ringFile // mu; free, header written
	used    []*ringFile // mu; before cur, oldest first
	old     []*ringFile // mu; files of earlier generations, until Ready
	total   int64       // mu; bytes of all files
	next    uint64      // mu; number of the next file
	need    int         // mu; blocks the committer waits for
	wanting bool        // mu; the keeper should make a file
	closed  bool        // mu
	failed  error       // mu
	poke    func()      // wakes the keeper

	stalls   atomic.Uint64
	stallNs  atomic.Int64
	busyFrom atomic.Int64 // stallClock when the running write or sync began, 0: none
}

var errJournalClosed = errors.New("the journal is closed")

// newJournal makes the ring for a new generation beside the files of earlier
// ones, which stay until releaseOld.
func newJournal(disk vfs.FS, path string, dir [16]byte, generation uint32, most int64, way string, next uint64, old []*ringFile, logger *slog.Logger) (*journal, error) {
	j := &journal{fs: disk, path: path, dir: dir, generation: generation, max: most, way: way, logger: logger, next: next, old: old, poke: func() {}}
	j.cond.L = &j.mu
	for _, f := range old {
		j.total += int64(f.blocks) * journalBlock
	}
	f, err := j.makeFile(firstJournalFile)
	if err != nil {
		return nil, err
	}
	j.total += firstJournalFile
	// The files of earlier generations will do when there are any: to make one
	// more with each start would fill the disk.
	j.cur, j.at = f, 1
	j.wanting = !slices.ContainsFunc(old, func(f *ringFile) bool { return f.blocks*journalBlock > firstJournalFile })
	return j, nil
}

// makeFile creates a zero-filled file with its header, durable.
func (j *journal) makeFile(size int64) (*ringFile, error) {
	j.mu.Lock()
	number := j.next
	j.next++
	j.mu.Unlock()
	name := filepath.Join(j.path, fmt.Sprintf("%016x%s", number, journalSuffix))
	f, err := j.fs.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create journal file: %w", err)
	}
	h := journalHeader{j.dir, j.generation, number}
	if _, err = f.WriteAt(h.encode(), 0); err == nil {
		if j.cur == nil {
			// The start waits for this one; its filling tells what the disk is like.
			j.cost, err = measureCost(f, size, j.way)
		} else {
			err = j.fillZeros(f, size)
		}
	}
	if err == nil {
		err = j.fs.SyncDir(j.path)
	}
	if err != nil {
		// What it took of a full disk would be gone until the next start, and again
		// with each try.
		return nil, errors.Join(fmt.Errorf("fill journal file %s: %w", name, err), f.Close(), j.fs.Remove(name))
	}
	return &ringFile{file: f, name: name, blocks: int(size / journalBlock), number: number}, nil
}

// What is written of a new file between two syncs: a commit's sync waits in the
// disk's queue behind it, 4 to 10 ms for 4 MiB. When the committer waits for the
// file itself, larger steps have it sooner.
const (
	fillStep    = 1 << 20
	fillHurried = 4 << 20
)

// fillZeros writes a file behind its header.
func (j *journal) fillZeros(f vfs.File, size int64) error {
	zero := make([]byte, 256<<10)
	synced := int64(0)
	for off := int64(journalBlock); off < size; {
		n, err := f.WriteAt(zero[:min(int64(len(zero)), size-off)], off)
		off += int64(n)
		if err == nil && off-synced >= j.stepOfFilling() {
			synced, err = off, f.Datasync()
		}
		if err != nil {
			return err
		}
	}
	return f.Sync()
}

func (j *journal) stepOfFilling() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.need > 0 {
		return fillHurried
	}
	return fillStep
}

// reuse gives a free file a new number and makes that durable.
func (j *journal) reuse(f *ringFile) error {
	j.mu.Lock()
	f.number = j.next
	j.next++
	j.mu.Unlock()
	h := journalHeader{j.dir, j.generation, f.number}
	if _, err := f.file.WriteAt(h.encode(), 0); err != nil {
		return fmt.Errorf("reuse journal file: %w", err)
	}
	if err := f.file.Datasync(); err != nil {
		return fmt.Errorf("sync reused journal file: %w", err)
	}
	f.last = 0
	return nil
}

// maxPayload is the largest group the ring will ever hold.
func (j *journal) maxPayload() int {
	size := min(largestJournal, max(j.max/16, firstJournalFile))
	return int(size/journalBlock-1) * blockPayload
}

// place makes sure the current file has room for a group and returns where it
// goes. It waits when the ring is full.
func (j *journal) place(blocks int) error {
	if j.at+blocks <= j.cur.blocks {
		return nil
	}
	if err := j.sync(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.used = append(j.used, j.cur)
	var began time.Time
	for {
		if j.failed != nil {
			return j.failed
		}
		if j.closed {
			return errJournalClosed
		}
		for i, f := range j.ready {
			if f.blocks-1 >= blocks {
				j.ready = append(j.ready[:i], j.ready[i+1:]...)
				j.cur, j.at = f, 1
				j.need, j.wanting = 0, len(j.ready) == 0
				if j.wanting || j.halfFull() {
					j.poke()
				}
				if !began.IsZero() {
					j.stallNs.Add(int64(time.Since(began)))
				}
				return nil
			}
		}
		if began.IsZero() {
			began = time.Now()
			j.stalls.Add(1)
		}
		j.need, j.wanting = blocks, true
		j.poke()
		j.cond.Wait()
	}
}

// halfFull: half of what the ring may hold awaits a checkpoint. Under mu.
func (j *journal) halfFull() bool {
	var n int64
	for _, f := range j.used {
		n += int64(f.blocks) * journalBlock
	}
	return n*2 >= j.max || (len(j.ready) == 0 && j.total >= j.max)
}

// pressed reports whether a checkpoint is needed for room.
func (j *journal) pressed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.halfFull() || (j.need > 0 && j.total+j.step() > j.max)
}

// step is the size of the next file to make. Under mu.
func (j *journal) step() int64 {
	size := min(4*j.total, largestJournal, max(j.max/16, firstJournalFile))
	return max(size, int64(j.need+1)*journalBlock)
}

// grow makes one file when the committer has none to go on with and the ring
// may grow. The keeper calls it.
func (j *journal) grow() error {
	j.mu.Lock()
	size := j.step()
	if !j.wanting || j.closed || (j.total+size > j.max && len(j.used)+len(j.ready) > 0) {
		j.mu.Unlock()
		return nil
	}
	j.total += size
	j.mu.Unlock()
	f, err := j.makeFile(size)
	if err != nil {
		j.mu.Lock()
		j.total -= size
		j.mu.Unlock()
		return err
	}
	j.offer(f)
	return nil
}

func (j *journal) offer(f *ringFile) {
	j.mu.Lock()
	j.ready = append(j.ready, f)
	j.wanting = j.need > 0 && f.blocks-1 < j.need
	j.cond.Broadcast()
	j.mu.Unlock()
}

// release frees the files whose groups are all at or below seq.
func (j *journal) release(seq uint64) error {
	for {
		j.mu.Lock()
		var f *ringFile
		if len(j.used) > 0 && j.used[0].last <= seq {
			f = j.used[0]
			j.used = append(j.used[:0], j.used[1:]...)
		}
		j.mu.Unlock()
		if f == nil {
			return nil
		}
		if err := j.reuse(f); err != nil {
			return err
		}
		j.offer(f)
	}
}

// releaseOld ends recovery: the files of earlier generations are free. The
// small first files of earlier starts go, so that restarts do not fill the
// ring with them, and so does what is more than the ring may hold by now.
func (j *journal) releaseOld() error {
	j.mu.Lock()
	old := j.old
	j.old = nil
	j.mu.Unlock()
	for _, f := range old {
		j.mu.Lock()
		much := j.total > j.max
		j.mu.Unlock()
		if much || f.blocks*journalBlock <= firstJournalFile {
			if err := errors.Join(f.file.Close(), j.fs.Remove(f.name)); err != nil {
				return fmt.Errorf("remove an old journal file: %w", err)
			}
			j.mu.Lock()
			j.total -= int64(f.blocks) * journalBlock
			j.mu.Unlock()
			continue
		}
		if err := j.reuse(f); err != nil {
			return err
		}
		j.offer(f)
	}
	return nil
}

// begin starts the next group; its frames must add up to info.length.
func (j *journal) begin(info *groupInfo) error {
	if err := j.place(info.blocks); err != nil {
		return err
	}
	j.build.begin(j.generation, j.seq.Load()+1, uint32(j.at), info)
	return nil
}

// write writes the group that was built, with one call; synced says that a sync
// follows.
func (j *journal) write(info *groupInfo, synced bool) error {
	f := j.cur.file
	write := f.WriteAt
	if synced && j.cost.pastCache {
		write = f.WriteDirect
	}
	j.busyFrom.Store(stallClock(time.Now()))
	_, err := write(j.build.finish(), int64(j.at)*journalBlock)
	j.busyFrom.Store(0)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	seq := j.seq.Add(1)
	j.mu.Lock()
	j.at += info.blocks
	j.cur.last = seq
	j.mu.Unlock()
	return nil
}

// sync makes every group written so far durable. Groups written into a file
// before the current one were synced before the switch.
func (j *journal) sync() error {
	seq := j.seq.Load()
	if j.durable.Load() == seq {
		return nil
	}
	j.busyFrom.Store(stallClock(time.Now()))
	err := j.cur.file.Datasync()
	j.busyFrom.Store(0)
	if err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	j.durable.Store(seq)
	return nil
}

// fail ends waiting for room.
func (j *journal) fail(err error) {
	j.mu.Lock()
	j.failed = err
	j.cond.Broadcast()
	j.mu.Unlock()
}

// close closes the files; the committer and the keeper have ended.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	var errs []error
	for _, f := range append(append(append([]*ringFile{j.cur}, j.used...), j.ready...), j.old...) {
		errs = append(errs, f.file.Close())
	}
	return errors.Join(errs...)
}

// usage is the bytes of the ring and of what awaits a checkpoint.
func (j *journal) usage() (total, held int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	held = int64(j.at) * journalBlock
	for _, f := range j.used {
		held += int64(f.blocks) * journalBlock
	}
	return j.total, held
}

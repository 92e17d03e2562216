package logstore

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Which files of the ring a start need not read through.
//
// After a kill most of the ring is free: what its files hold lies at or below the
// checkpoint, and join would drop it. A file is written from block 1 on, group
// after group, so its first block says where its life began, and all its groups
// come before those of any file whose life began later. It is passed over when
//
//   - its first group is of an earlier generation than the checkpoint, or another
//     file's first group comes later and at the latest right behind the
//     checkpoint; or nothing was ever written to it;
//   - and no block that is looked at, the first 63 and every 64th, says otherwise.
//     So a file whose first write was torn or lost is still read.
const probeEvery = 64

// scanWorkers read the files that are left; what they do is half waiting, half
// checksums.
const scanWorkers = 4

// groupID orders groups; the zero value comes before all.
type groupID struct {
	generation uint32
	seq        uint64
}

func (a groupID) before(b groupID) bool {
	return a.generation < b.generation || (a.generation == b.generation && a.seq < b.seq)
}

// ringLife is what a look at a file says.
type ringLife struct {
	first  groupID // of block 1, when that is valid
	newest groupID // of the blocks that were looked at
	blank  bool    // they are zeros
}

func (r *blockReader) life() (l ringLife, err error) {
	far := make([]byte, journalBlock)
	l.blank = true
	for n := 1; n < r.file.blocks; {
		b := far
		if n < probeEvery {
			if b, err = r.block(n); err != nil {
				return l, err
			}
		} else if k, err := r.file.file.ReadAt(far, int64(n)*journalBlock); k < journalBlock {
			return l, fmt.Errorf("read journal %s: %w", r.file.name, err)
		}
		generation, seq, valid := validBlock(b, uint32(n))
		id := groupID{generation, seq}
		if valid && n == 1 {
			l.first = id
		}
		if valid && l.newest.before(id) {
			l.newest = id
		}
		l.blank = l.blank && !valid && !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
		if n++; n > probeEvery {
			n += probeEvery - 1
		}
	}
	return l, nil
}

// passOver leaves the files out that need not be read.
func passOver(files []*blockReader, after checkpointMark) ([]*blockReader, error) {
	mark := groupID(after)
	behind := groupID{mark.generation, mark.seq + 1}
	lives := make([]ringLife, len(files))
	for i, r := range files {
		var err error
		if lives[i], err = r.life(); err != nil {
			return nil, err
		}
	}
	var rest []*blockReader
	for i, l := range lives {
		ended := l.first.generation < mark.generation || slices.ContainsFunc(lives, func(o ringLife) bool {
			return o.first.generation == mark.generation && l.first.before(o.first) && !behind.before(o.first)
		})
		if l.blank || (l.first.generation > 0 && ended && !mark.before(l.newest)) {
			continue
		}
		rest = append(rest, files[i])
	}
	return rest, nil
}

// scanFiles lists the groups of several files at a time; spawn is Options.Go.
func (img *journalImage) scanFiles(files []*blockReader, spawn func(string, func())) ([]groupRef, error) {
	var (
		next   atomic.Int64
		mu     sync.Mutex
		groups []groupRef
		failed error
		wg     sync.WaitGroup
	)
	work := func() {
		defer wg.Done()
		defer func() {
			if p := recover(); p != nil {
				mu.Lock()
				failed = fmt.Errorf("reading the journal panicked: %v", p)
				mu.Unlock()
			}
		}()
		for {
			i := int(next.Add(1)) - 1
			if i >= len(files) {
				return
			}
			files[i].file.file.Prefetch(0, int64(files[i].file.blocks)*journalBlock)
			run, err := scanFile(files[i])
			mu.Lock()
			if err != nil {
				failed = err
			}
			groups = append(groups, run...)
			mu.Unlock()
		}
	}
	n := min(scanWorkers, len(files))
	wg.Add(n)
	for i := range n {
		if i < n-1 {
			spawn("journal scan", work)
		} else {
			work()
		}
	}
	wg.Wait()
	for i := range groups {
		img.generation = max(img.generation, groups[i].generation)
	}
	return groups, failed
}

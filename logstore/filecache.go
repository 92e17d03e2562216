package logstore

import (
	"log/slog"
	"sync"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// fileCache bounds the descriptors of segments by a clock: each use sets a
// mark, the hand takes marks away and closes what has none. A segment that is
// pinned or has unsynced bytes is passed over; when everything is, the bound
// is exceeded and the keepers are asked to sync.
//
// Appends can make segments dirty faster than a checkpoint cleans them, and a
// descriptor that the kernel refuses takes a directory offline. So there is a
// second bound, above which whoever opens a segment syncs others first and waits
// for them: slow, and slow for those alone who have more hot partitions than the
// process may have files.
type fileCache struct {
	max, most int
	room      sync.Mutex // one makes room at a time; taken under log.mu, before mu and smu

	mu    sync.Mutex
	open  []*Segment       // mu
	index map[*Segment]int // mu; place in open
	hand  int              // mu
}

func newFileCache(bound int) *fileCache {
	return &fileCache{max: bound, most: bound + max(bound/8, roomAtOnce), index: map[*Segment]int{}}
}

// roomAtOnce is how many segments are synced at a time to be closed.
const roomAtOnce = 32

// opened enters a segment and closes others when there are too many.
func (c *fileCache) opened(s *Segment) {
	c.mu.Lock()
	if _, ok := c.index[s]; !ok {
		c.index[s] = len(c.open)
		c.open = append(c.open, s)
	}
	victims := c.sweep(s)
	crowded, full := len(c.open) > c.max, len(c.open) > c.most
	c.mu.Unlock()
	closeAll(victims, s.log.store.logger)
	if crowded {
		s.log.dir.keeper.poke()
	}
	if full {
		c.makeRoom(s)
	}
}

// makeRoom syncs segments that are dirty, and closes them, until the second bound
// holds for s or everything is in use. A sync never waits for room itself: what it
// has to sync is open already.
func (c *fileCache) makeRoom(s *Segment) {
	c.room.Lock()
	defer c.room.Unlock()
	for range 4 { // appends may make them dirty again meanwhile
		dirty := c.dirty(s)
		if len(dirty) == 0 {
			return
		}
		s.log.store.stats.roomSyncs.Add(uint64(len(dirty)))
		_ = inParallel(s.log.store.opt.Go, "sync for room", roomAtOnce, len(dirty), func(i int) error {
			v := dirty[i]
			if err := v.sync(v.size.Load()); err != nil && !v.removed() {
				_ = v.log.dir.ioError(err) // its own directory's, which says so
			}
			return nil
		})
		c.shrink(s.log.store.logger)
	}
}

// dirty chooses segments to sync, by the clock; none when the second bound holds.
func (c *fileCache) dirty(keep *Segment) (chosen []*Segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) <= c.most {
		return nil
	}
	for steps := len(c.open); steps > 0 && len(chosen) < roomAtOnce; steps-- {
		if c.hand >= len(c.open) {
			c.hand = 0
		}
		if v := c.open[c.hand]; v != keep && v.couldClose() {
			v.used.Store(false) // for the sweep that follows
			chosen = append(chosen, v)
		}
		c.hand++
	}
	return chosen
}

// couldClose reports whether a sync is all that keeps the segment open.
func (s *Segment) couldClose() bool {
	s.fmu.Lock()
	defer s.fmu.Unlock()
	return s.file != nil && s.pins == 0 && !s.log.dir.offline.Load()
}

// shrink closes what a checkpoint has made clean.
func (c *fileCache) shrink(logger *slog.Logger) {
	c.mu.Lock()
	victims := c.sweep(nil)
	c.mu.Unlock()
	closeAll(victims, logger)
}

// crowded reports whether more files are open than there should be.
func (c *fileCache) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open) > c.max
}

// sweep moves the hand until few enough files are open, twice around at most.
// Under mu; the caller closes what it returns.
func (c *fileCache) sweep(keep *Segment) (victims []vfs.File) {
	for steps := 2 * len(c.open); len(c.open) > c.max && steps > 0; steps-- {
		if c.hand >= len(c.open) {
			c.hand = 0
		}
		v := c.open[c.hand]
		if v == keep || v.used.Swap(false) {
			c.hand++
			continue
		}
		f, out := v.evict()
		if !out {
			c.hand++
			continue
		}
		if f != nil {
			victims = append(victims, f)
		}
		c.remove(v)
	}
	return victims
}

func closeAll(files []vfs.File, logger *slog.Logger) {
	for _, f := range files {
		if err := f.Close(); err != nil {
			logger.Warn("closing a segment failed", "file", f.Name(), "err", err)
		}
	}
}

// closed takes a segment out that was closed elsewhere.
func (c *fileCache) closed(s *Segment) {
	c.mu.Lock()
	c.remove(s)
	c.mu.Unlock()
}

func (c *fileCache) remove(s *Segment) {
	i, ok := c.index[s]
	if !ok {
		return
	}
	last := len(c.open) - 1
	c.open[i] = c.open[last]
	c.index[c.open[i]] = i
	c.open[last] = nil
	c.open = c.open[:last]
	delete(c.index, s)
}

func (c *fileCache) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// evict takes the file of a segment that is clean and not pinned. out is false
// when the segment must stay open.
func (s *Segment) evict() (f vfs.File, out bool) {
	s.fmu.Lock()
	defer s.fmu.Unlock()
	if s.file == nil {
		return nil, true
	}
	if s.pins > 0 || s.durable.Load() < s.size.Load() {
		return nil, false
	}
	f = s.file
	s.file = nil
	return f, true
}

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
type fileCache struct {
	max int

	mu    sync.Mutex
	open  []*Segment       // mu
	index map[*Segment]int // mu; place in open
	hand  int              // mu
}

func newFileCache(most int) *fileCache {
	return &fileCache{max: most, index: map[*Segment]int{}}
}

// opened enters a segment and closes others when there are too many.
func (c *fileCache) opened(s *Segment) {
	c.mu.Lock()
	if _, ok := c.index[s]; !ok {
		c.index[s] = len(c.open)
		c.open = append(c.open, s)
	}
	victims := c.sweep(s)
	crowded := len(c.open) > c.max
	c.mu.Unlock()
	closeAll(victims, s.log.store.logger)
	if crowded {
		s.log.dir.keeper.poke()
	}
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

package logstore

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/chronik-stream/chronik/logstore/vfs"
	"github.com/chronik-stream/chronik/mmap"
)

// Hot logs append through windows: pieces of the active segment that are
// fallocated, mapped and populated ahead by a background goroutine, so that an
// append is a copy and no system call (mmap/doc.go has the figures). A window
// pays as long as its segment is not synced meanwhile: a log that takes the
// direct path is written by pwrite (rule 4). Everything that does not lie
// wholly in a window is written by pwrite too; the kernel keeps both views of
// the file the same.
//
// Windows are a bounded pool. A file with a window is longer than its log;
// trim cuts it when the segment is closed or the store stops. Only the append
// path (under Log.mu) stores into a window; it is unmapped by the mapper's
// goroutine once Log.mu no longer leads to it.
const (
	windowSize   = 256 << 10
	windowAppend = 32 << 10 // larger appends are no use to a window
	hotAppends   = 32
	mapperQueue  = 256
)

// window is a mapped piece [off, end) of a segment's file.
type window struct {
	m        vfs.Mapping
	b        []byte
	off, end int64
}

// windows are a segment's; Log.mu guards it.
type windows struct {
	cur, next *window
	asked     bool // the mapper was asked and has not answered
	appends   int  // small appends to the log
	used      bool // since the last sweep
}

// mapper makes and unmaps windows, one goroutine a data directory.
type mapper struct {
	d      *dir
	on     bool // the disk keeps its promises
	hot    int  // appends to a log before it gets a window
	size   int64
	asks   chan *Segment
	wake   chan struct{} // something was dropped
	quit   chan struct{}
	ended  chan struct{}
	mapped atomic.Int64 // bytes

	// work is held while a window is made and handed over, and while a file is
	// cut: a file is never cut below a map. Before Log.mu.
	work sync.Mutex

	mu     sync.Mutex
	drops  []*window  // mu; to unmap
	owners []*Segment // mu; segments that have windows, oldest first
}

func newMapper(d *dir) *mapper {
	m := &mapper{d: d, hot: hotAppends, size: windowSize, asks: make(chan *Segment, mapperQueue), wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
	if d.store.opt.SegmentWrite == "pwrite" {
		return m
	}
	u, err := d.store.fs.Usage(d.path)
	m.on = err == nil && u.Reserves
	if !m.on && d.store.opt.SegmentWrite == "mmap" {
		d.store.logger.Warn("the file system does not reserve what is allocated; segments are written by pwrite", "dir", d.path, "type", u.Type, "err", err)
	}
	return m
}

// put copies an append into the segment's window. done is false when it must
// be written by pwrite. Under log.mu.
func (m *mapper) put(s *Segment, p []byte, pos int64) (done bool, err error) {
	w := &s.win
	if !m.on || len(p) > windowAppend {
		return false, nil
	}
	if s.log.direct.Load() {
		if w.cur != nil {
			m.release(s)
		}
		return false, nil
	}
	if w.cur != nil && pos >= w.cur.end {
		m.drop(w.cur)
		w.cur, w.next = w.next, nil
	}
	end := pos + int64(len(p))
	if c := w.cur; c != nil && pos >= c.off && end <= c.end {
		at := int(pos - c.off)
		if err := mmap.Copy(c.b[at:at+len(p)], p); err != nil {
			return false, err
		}
		c.m.Touched(at, len(p))
		w.used, done = true, true
	}
	w.appends++
	if !w.asked && w.next == nil && w.appends >= m.hot && (w.cur == nil || w.cur.end-end < m.size/2) {
		select {
		case m.asks <- s:
			w.asked = true
		default: // it is busy; a later append asks again
		}
	}
	return done, nil
}

func (m *mapper) drop(w *window) {
	if w == nil {
		return
	}
	m.mu.Lock()
	m.drops = append(m.drops, w)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// release takes a segment's windows away. Under log.mu.
func (m *mapper) release(s *Segment) {
	m.drop(s.win.cur)
	m.drop(s.win.next)
	s.win = windows{asked: s.win.asked}
}

func (m *mapper) run() {
	defer close(m.ended)
	defer func() {
		if r := recover(); r != nil {
			m.d.fail(fmt.Errorf("the mapper panicked: %v\n%s", r, debug.Stack()))
		}
	}()
	for {
		select {
		case <-m.quit:
			m.sweepDrops()
			return
		case <-m.wake:
			m.sweepDrops()
		case s := <-m.asks:
			if err := m.prepare(s); err != nil && !errors.Is(err, ErrClosed) {
				_ = m.d.ioError(err) // the append that finds no window writes to the file
			}
		}
	}
}

func (m *mapper) stop() {
	close(m.quit)
	<-m.ended
}

func (m *mapper) sweepDrops() {
	m.work.Lock()
	defer m.work.Unlock()
	m.unmap()
}

// unmap gives dropped windows back. Under work.
func (m *mapper) unmap() {
	m.mu.Lock()
	drops := m.drops
	m.drops = nil
	m.mu.Unlock()
	for _, w := range drops {
		m.mapped.Add(w.off - w.end)
		if err := w.m.Unmap(); err != nil {
			m.d.store.logger.Warn("a window cannot be unmapped", "err", err)
		}
	}
}

// prepare makes the next window of a segment.
func (m *mapper) prepare(s *Segment) error {
	m.work.Lock()
	defer m.work.Unlock()
	m.unmap()
	l := s.log
	l.mu.Lock()
	off, live := s.nextWindow(), l.active == s && !l.closed.Load() && !l.direct.Load()
	size := m.size
	if s.win.cur == nil {
		size = max(size/4, int64(mmap.PageSize)) // it has to prove itself
	}
	n := min(size, pageUp(int64(l.cfg.Load().SegmentBytes)-off))
	if !live || n <= 0 || m.d.full.Load() {
		s.win.asked = false
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	for m.mapped.Load()+n > m.d.store.opt.WindowBudget {
		if !m.reclaim(s) {
			break
		}
		m.unmap()
	}
	var w *window
	var err error
	if m.mapped.Load()+n <= m.d.store.opt.WindowBudget {
		l.grown.Store(true) // by an allocation that fails half-way too
		w, err = s.mapWindow(off, n)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.win.asked = false
	if w == nil {
		s.win.appends = 0 // ask again after as many appends
		return err
	}
	m.mapped.Add(w.end - w.off)
	switch {
	case l.active != s || l.closed.Load():
		m.drop(w)
	case s.win.cur == nil:
		s.win.cur, s.win.used = w, true
		m.mu.Lock()
		m.owners = append(m.owners, s)
		m.mu.Unlock()
	default:
		s.win.next = w
	}
	return nil
}

// nextWindow is where a segment's next window begins. Under log.mu.
func (s *Segment) nextWindow() int64 {
	if c := s.win.cur; c != nil && c.end > s.size.Load() {
		return c.end
	}
	return s.size.Load() &^ int64(mmap.PageSize-1)
}

// pageUp rounds up to whole pages.
func pageUp(n int64) int64 { return (n + int64(mmap.PageSize) - 1) &^ int64(mmap.PageSize-1) }

// mapWindow allocates, maps and populates a window at off. Under work.
func (s *Segment) mapWindow(off, n int64) (*window, error) {
	if s.trimmed {
		return nil, nil
	}
	if err := s.pin(); err != nil {
		return nil, err
	}
	defer s.unpin()
	if err := s.file.Allocate(off, n, false); err != nil {
		return nil, fmt.Errorf("allocate segment: %w", err)
	}
	m, err := s.file.Map(off, int(n), true)
	if err != nil {
		return nil, fmt.Errorf("map segment: %w", err)
	}
	if err := m.Populate(0, int(n)); err != nil {
		return nil, errors.Join(fmt.Errorf("populate segment: %w", err), m.Unmap())
	}
	return &window{m: m, b: m.Bytes(), off: off, end: off + n}, nil
}

// reclaim takes the windows of the segment that has gone longest without
// using them; false when there is none but keep's.
func (m *mapper) reclaim(keep *Segment) bool {
	for range 2 {
		m.mu.Lock()
		owners := append([]*Segment(nil), m.owners...)
		m.mu.Unlock()
		for _, s := range owners {
			if s != keep && m.sweep(s) {
				return true
			}
		}
	}
	return false
}

// sweep takes a segment's windows when they were not used since the last call,
// and reports whether it did.
func (m *mapper) sweep(s *Segment) bool {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.win.used && s.win.cur != nil {
		s.win.used = false
		return false
	}
	had := s.win.cur != nil
	m.release(s)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, o := range m.owners {
		if o == s {
			m.owners = append(m.owners[:i], m.owners[i+1:]...)
			break
		}
	}
	return had
}

// tidy takes the windows of what has gone cold.
func (m *mapper) tidy() {
	m.mu.Lock()
	owners := append([]*Segment(nil), m.owners...)
	m.mu.Unlock()
	for _, s := range owners {
		m.sweep(s)
	}
}

// trim ends the file where its log ends; after it a closed segment never grows
// again. It reports whether the file was cut.
func (s *Segment) trim(closed bool) (bool, error) {
	m := s.log.dir.mapper
	m.work.Lock()
	defer m.work.Unlock()
	m.unmap()
	s.trimmed = s.trimmed || closed
	if err := s.pin(); err != nil {
		return false, err
	}
	defer s.unpin()
	// A direct sync may run: it vouches for what it found when it began, and
	// would be noted behind the cut.
	s.smu.Lock()
	defer s.smu.Unlock()
	size := s.size.Load()
	have, err := s.file.Size()
	if err != nil {
		return false, fmt.Errorf("size of segment: %w", err)
	}
	if have <= size && !s.reserved {
		return false, nil
	}
	if err := s.file.Truncate(size); err != nil {
		return false, fmt.Errorf("trim segment: %w", err)
	}
	s.durable.Store(0)
	return true, nil
}

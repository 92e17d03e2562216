package logstore

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// crashReaders are consumers of the crash model: they read while the logs are
// appended to, rolled, checkpointed, compacted and deleted, up to the very cut. Held
// against the model:
//
//   - a range ends at or below the high watermark of its own answer (a committed
//     reader's at or below the last stable offset), and the next read, at its end, is
//     not beyond the log's end;
//   - batches follow each other, and an offset never has two values;
//   - what a reader was given is there after the next start: none is served what a
//     power cut can take back. [crashWorld.check] looks for it.
type crashReaders struct {
	w    *crashWorld
	disk *vfs.Mem // of this life
	wg   sync.WaitGroup

	mu    sync.Mutex
	cond  *sync.Cond
	beats int            // mu; moves when there may be something to see
	stop  bool           // mu
	logs  []*crashFollow // mu
}

// crashFollow is a log that is followed.
type crashFollow struct {
	m    *crashLog
	l    *Log
	seen *crashSeen
}

// crashSeen is what readers were given of one incarnation of a topic, in all lives.
type crashSeen struct {
	mu     sync.Mutex
	values map[int64]string // mu; by offset
	end    int64            // mu; the largest NextOffset
}

func newCrashSeen() *crashSeen { return &crashSeen{values: map[int64]string{}} }

const (
	crashReaderCount = 2
	// crashPatience is how often a reader that finds nothing looks again before it
	// sleeps: long enough to be awake in the appends of a burst.
	crashPatience = 40
)

// startReaders follows all logs from now on. A fault that strikes one read is not
// for them.
func (w *crashWorld) startReaders() {
	r := &crashReaders{w: w, disk: w.disk}
	r.cond = sync.NewCond(&r.mu)
	w.readers.Store(r)
	for _, m := range w.logs {
		r.follow(m)
	}
	if w.kind == "EIO on read" {
		return
	}
	for i := range crashReaderCount {
		rng := rand.New(rand.NewPCG(w.seed, uint64(100+10*w.life+i)))
		r.wg.Go(func() { r.run(rng) })
	}
}

// follow adds a log that was made just now. A nil crashReaders has no readers.
func (r *crashReaders) follow(m *crashLog) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = slices.DeleteFunc(r.logs, func(f *crashFollow) bool { return f.m == m })
	r.logs = append(r.logs, &crashFollow{m, m.l, m.seen})
}

// beat wakes the readers. Any goroutine.
func (r *crashReaders) beat() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.beats++
	r.mu.Unlock()
	r.cond.Broadcast()
}

// end stops the readers and waits for them.
func (r *crashReaders) end() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.stop = true
	r.mu.Unlock()
	r.cond.Broadcast()
	r.wg.Wait()
}

// crashPosition is where one reader stands in one log.
type crashPosition struct {
	next      int64 // -1: at the start
	committed bool
	cursor    Cursor
}

func (r *crashReaders) run(rng *rand.Rand) {
	at := map[*crashSeen]*crashPosition{}
	idle, beats := 0, 0
	for {
		r.mu.Lock()
		for idle >= crashPatience && r.beats == beats && !r.stop {
			r.cond.Wait()
		}
		if r.beats != beats {
			idle, beats = 0, r.beats
		}
		f, stop := r.logs[rng.IntN(len(r.logs))], r.stop
		r.mu.Unlock()
		if stop {
			return
		}
		p := at[f.seen]
		if p == nil {
			p = &crashPosition{next: -1, committed: rng.IntN(3) == 0}
			at[f.seen] = p
		}
		idle++
		if r.read(f, p, rng) {
			idle = 0
		} else if p.next > 0 && rng.IntN(40) == 0 {
			p.next = rng.Int64N(p.next + 1) // look at old records again
		}
		runtime.Gosched()
	}
}

// read takes one range and reports whether there was one.
func (r *crashReaders) read(f *crashFollow, p *crashPosition, rng *rand.Rand) bool {
	t, w := r.w.t, r.w
	name := f.m.name
	if p.next < 0 {
		p.next = f.l.Offsets().LogStart
	}
	s, err := f.l.Read(Read{Offset: p.next, MaxBytes: []int{1, 300, 1 << 20}[rng.IntN(3)], MinOne: true, Committed: p.committed, Cursor: &p.cursor})
	switch {
	case errors.Is(err, ErrOutOfRange) && p.next < s.LogStart:
		p.next = s.LogStart
		return true
	case errors.Is(err, ErrOutOfRange):
		t.Errorf("%s: a reader was sent to offset %d, and the log is %+v", name, p.next, s.Offsets)
		p.next = -1
		return false
	case errors.Is(err, ErrClosed) && f.l.deleted.Load():
		return false
	case err != nil:
		r.excused("a reader's read", err)
		return false
	case s.Len == 0:
		return false
	}
	raw := make([]byte, s.Len)
	n, err := s.Seg.ReadAt(raw, s.Off)
	s.Seg.Release()
	if n < len(raw) {
		r.excused("a reader's read of a segment", err)
		return false
	}
	limit := s.HighWatermark
	if p.committed {
		limit = s.LastStable
	}
	if s.NextOffset > limit || s.NextOffset <= p.next {
		t.Errorf("%s: a read at %d ends at %d, its limit is %d (committed: %v)", name, p.next, s.NextOffset, limit, p.committed)
	}
	r.saw(f, p, &s, raw)
	p.next = s.NextOffset
	w.cover.hit("read beside appends", true)
	return true
}

// excused is crashWorld.ok for a reader: the power may be gone before it is told.
func (r *crashReaders) excused(what string, err error) {
	if !r.disk.Cut() {
		r.w.ok(what, err)
	}
}

// saw notes what a reader was given.
func (r *crashReaders) saw(f *crashFollow, p *crashPosition, s *Slice, raw []byte) {
	t, name := r.w.t, f.m.name
	f.seen.mu.Lock()
	defer f.seen.mu.Unlock()
	f.seen.end = max(f.seen.end, s.NextOffset)
	next := int64(-1)
	for rest := raw; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err != nil || !b.CheckCRC() {
			t.Errorf("%s: a read at %d gives a damaged batch: %v", name, p.next, err)
			return
		}
		rest = after
		if next >= 0 && (b.BaseOffset() < next || !f.m.compacted && b.BaseOffset() != next) || next < 0 && b.BaseOffset() > p.next && !f.m.compacted {
			t.Errorf("%s: a read at %d gives a batch at %d after %d", name, p.next, b.BaseOffset(), next)
		}
		next = b.NextOffset()
		for _, rec := range recordsOf(t, []record.Batch{b}) {
			if was, ok := f.seen.values[rec.offset]; ok && was != rec.value {
				t.Errorf("%s: offset %d was %.20q and is %.20q", name, rec.offset, was, rec.value)
			}
			f.seen.values[rec.offset] = rec.value
		}
	}
	if next != s.NextOffset && !f.m.compacted {
		t.Errorf("%s: a read at %d ends at %d and says %d", name, p.next, next, s.NextOffset)
	}
}

// held holds what readers were given against what is there now.
func (s *crashSeen) held(w *crashWorld, m *crashLog, there map[int64]string, o Offsets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end > o.LogEnd {
		w.t.Errorf("%s: a reader was given records up to %d, the log ends at %d", m.name, s.end, o.LogEnd)
	}
	for at, v := range s.values {
		if at < o.LogStart || there[at] == v || m.compacted && there[at] == "" && !w.isLast(m, v) {
			continue
		}
		w.t.Errorf("%s (incarnation %d): a reader was given %.20q at %d, there is %.20q; %+v", m.name, m.incarnation, v, at, there[at], o)
	}
}

package logstore

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The committer of a data directory makes appends durable in groups.
//
// Invariants:
//
//  1. A log's entries come in offset order: they are pushed under Log.mu.
//  2. A frame for a log starts where the log's last frame or direct sync
//     ended (commitState.journaled), or recovery could not place it.
//  3. The high watermark of a log in Commit mode moves only after the sync of
//     every group and segment that holds what lies below it.
//  4. A token is handed out once, in the order of its log's entries.
//
// The obvious way, a timer that collects appends, adds the timer to every lone
// append. Here a cycle takes what arrived during the last cycle's sync, so a
// lone append waits for one sync and a thousand wait for one sync. To wait up to
// half a sync for those that were answered just now, so that clients with one
// request in flight meet in one group, was tried: four of them gained nothing
// that could be seen.
//
// One cycle: take the queue; sort its logs into journaled and direct; write
// one group; hand out what waits for the write only; sync the journal and, in
// parallel, the direct logs' segments; raise high watermarks; hand out tokens.
// leader.go says on whose goroutine. A cycle takes leaf locks only (see Log), so
// no append can hold it up. The committer's goroutine sleeps on a bell of the
// disk's, which on the real one is a futex: between its syncs it needs nothing of
// Go's scheduler, whose way of waking it (another thread looks for work and takes
// it from the loop's) was a fifth of the CPU of a lone client's request.
const (
	maxGroupBytes   = 4 << 20
	maxGroupEntries = 8192
	maxDirectSyncs  = 32
	maxQueueEntries = 1 << 17
)

type entryKind uint8

const (
	// entryAppend carries batches.
	entryAppend entryKind = iota
	// entryToken carries a token that waits for the log to be durable below
	// end: a duplicate.
	entryToken
	// entryStart makes a log start durable.
	entryStart
	// entryNotify has readers look at a log again.
	entryNotify
)

// entry is one thing for the committer.
type entry struct {
	log   *Log
	seg   *Segment
	pos   int64
	first int64
	end   place // log end after it
	bytes []byte
	token Token
	kind  entryKind
	mode  Durability
	early bool // Append.Written
	cost  int  // queue bytes it holds
}

// commitState is the committer's view of a log.
type commitState struct {
	journaled int64 // below it everything is in the journal or synced
	// Of the running cycle:
	cycle  uint64
	first  int64
	bytes  int64
	big    int // largest entry
	to     place
	mode   Durability // of its first append
	strong bool       // has an append in Commit mode
	logged bool       // goes through the journal
	direct bool       // its segments are synced
	adv    bool       // already in the advance list
}

type committer struct {
	d *dir

	mu         sync.Mutex
	queue      []entry // mu
	strong     int     // mu; entries of queue that wait for a sync
	closed     bool    // mu
	leadership         // mu
	bell       vfs.Bell
	ended      chan struct{}
	syncNs     int64 // mu; how long syncs take, smoothed, as of the last cycle

	// The goroutine's own.
	seen   uint64 // takes at its last look
	looked time.Time

	bytes   atomic.Int64 // reserved by appends not yet done
	entries atomic.Int64
	// directFrom is when the running direct syncs began (stallClock), 0: none.
	directFrom atomic.Int64

	// The leader's own from here on; see leader.go.
	sawSync  int64
	spare    []entry
	n        uint64  // cycle number
	logs     []*Log  // of this cycle
	rest     []entry // taken and not yet committed
	mustSync bool    // the group must be durable before the cycle ends
	proofs   []proof
	adv      []Advance
	done     []Done
	due      time.Time // when Interval's sync is due; zero: nothing to sync

	jobs    chan *Log
	workers int
	wg      sync.WaitGroup
	errMu   sync.Mutex
	err     error // errMu; first error of a direct sync
}

// proof is a direct sync to be noted in the next group.
type proof struct {
	log *Log
	end place
}

func newCommitter(d *dir) *committer {
	return &committer{d: d, bell: d.store.fs.NewBell(), ended: make(chan struct{}), jobs: make(chan *Log, maxDirectSyncs)}
}

// syncDue syncs what Interval mode has left unsynced for long enough.
func (c *committer) syncDue() error {
	if c.due.IsZero() || time.Now().Before(c.due) {
		return nil
	}
	c.due = time.Time{}
	return c.syncJournal()
}

func (c *committer) take() []entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.queue
	c.queue, c.strong = c.spare, 0
	c.spare = nil
	return batch
}

// groupOf is how many entries of the queue make one group.
func (c *committer) groupOf(batch []entry) int {
	bytes := 0
	for i := range batch {
		bytes += len(batch[i].bytes)
		if i > 0 && (bytes > maxGroupBytes || i >= maxGroupEntries) {
			return i
		}
	}
	return len(batch)
}

// cycle commits one group.
func (c *committer) cycle(batch []entry) error {
	if c.d.offline.Load() {
		return ErrOffline
	}
	c.n++
	c.logs, c.adv, c.done = c.logs[:0], c.adv[:0], c.done[:0]
	c.route(batch)
	wrote, err := c.writeGroup(batch)
	if err != nil {
		return err
	}
	c.finish(batch, true)
	if err := c.makeDurable(wrote); err != nil {
		return err
	}
	// Before OnCommit tells: whoever met a full queue appends again from there,
	// and nobody would tell him a second time.
	c.release(batch)
	c.finish(batch, false)
	for _, l := range c.logs {
		l.commit.adv = false
	}
	return nil
}

// route sums the group up by log and decides which way each log goes.
func (c *committer) route(batch []entry) {
	c.mustSync = false
	for i := range batch {
		e := &batch[i]
		st := &e.log.commit
		c.mustSync = c.mustSync || e.kind == entryStart
		if st.cycle != c.n {
			*st = commitState{journaled: st.journaled, cycle: c.n, first: -1}
			c.logs = append(c.logs, e.log)
		}
		if e.kind != entryAppend {
			continue
		}
		if st.first < 0 {
			st.first, st.mode = e.first, e.mode
		}
		st.bytes += int64(len(e.bytes))
		st.big = max(st.big, len(e.bytes))
		st.to = e.end
		st.strong = st.strong || e.mode == Commit
	}
	directs, least := 0, c.directMin()
	for _, l := range c.logs {
		st := &l.commit
		if st.first < 0 {
			continue
		}
		switch {
		case !st.strong && st.mode == OS:
			// OS mode: nothing but the write that Append did.
		case st.first != st.journaled || st.big+groupHeader+frameHeader+8 > c.d.journal.maxPayload() ||
			(st.strong && st.bytes >= least && directs < maxDirectSyncs):
			st.direct = true
			directs++
		default:
			st.logged = true
			c.mustSync = c.mustSync || st.strong
		}
	}
}

// writeGroup lays the journaled entries out as one group and writes it.
func (c *committer) writeGroup(batch []entry) (wrote bool, err error) {
	info := groupInfo{length: groupHeader, durable: c.d.journal.durable.Load(), time: c.d.store.nowMs()}
	for i := range batch {
		if e := &batch[i]; c.inJournal(e) {
			info.length += frameSpan(len(e.bytes))
			info.frames++
		}
	}
	if info.frames == 0 {
		return false, nil
	}
	info.length += len(c.proofs) * frameSpan(0)
	info.frames += len(c.proofs)
	info.blocks = blocksFor(info.length)
	if err := c.d.journal.begin(&info); err != nil {
		return false, err
	}
	for _, p := range c.proofs {
		c.d.journal.build.frame(&frame{typ: frameDurable, id: p.log.id, partition: p.log.partition, segBase: p.end.base, pos: p.end.pos, offset: p.end.offset})
	}
	c.proofs = c.proofs[:0]
	for i := range batch {
		e := &batch[i]
		if !c.inJournal(e) {
			continue
		}
		f := frame{typ: frameAppend, id: e.log.id, partition: e.log.partition, pos: e.pos, offset: e.first, bytes: e.bytes}
		if e.kind == entryStart {
			f.typ = frameLogStart
		} else {
			f.segBase = e.seg.base
			e.log.commit.journaled = e.end.offset
		}
		c.d.journal.build.frame(&f)
	}
	if err := c.d.journal.write(&info, c.mustSync); err != nil {
		return false, err
	}
	st := &c.d.store.stats
	st.groups.Add(1)
	st.groupSize.observe(int64(info.frames))
	st.journalBytes.Add(uint64(info.blocks) * journalBlock)
	return true, nil
}

func (c *committer) inJournal(e *entry) bool {
	return e.kind == entryStart || (e.kind == entryAppend && e.log.commit.logged)
}

// makeDurable syncs what the group needs: the journal unless it holds only
// Interval appends, and the segments of direct logs.
func (c *committer) makeDurable(wrote bool) error {
	directs := 0
	for _, l := range c.logs {
		if l.commit.direct {
			directs++
		}
	}
	if directs > 0 {
		c.directFrom.Store(stallClock(time.Now()))
		defer c.directFrom.Store(0)
	}
	alone := directs == 1 && !(wrote && c.mustSync)
	for _, l := range c.logs {
		if !l.commit.direct {
			continue
		}
		if alone {
			if err := syncDirect(l); err != nil {
				return err
			}
			continue
		}
		if c.workers < maxDirectSyncs && c.workers < directs {
			c.workers++
			c.d.store.opt.Go("direct sync", c.work)
		}
		c.wg.Add(1)
		c.jobs <- l
	}
	if wrote {
		if c.mustSync {
			if err := c.syncJournal(); err != nil {
				c.wg.Wait()
				return err
			}
		} else if c.due.IsZero() {
			c.due = time.Now().Add(c.d.store.opt.SyncEvery)
		}
	}
	c.wg.Wait()
	c.errMu.Lock()
	err := c.err
	c.errMu.Unlock()
	if err != nil {
		return err
	}
	for _, l := range c.logs {
		if st := &l.commit; st.direct {
			l.direct.Store(true)
			st.journaled = st.to.offset
			c.proofs = append(c.proofs, proof{l, st.to})
			c.d.store.stats.direct.Add(1)
		}
	}
	return nil
}

func (c *committer) syncJournal() error {
	began := time.Now()
	if err := c.d.journal.sync(); err != nil {
		return err
	}
	c.due = time.Time{}
	took := int64(time.Since(began))
	c.sawSync += (took - c.sawSync) / 8
	c.d.store.stats.syncs.Add(1)
	c.d.store.stats.syncTime.observe(took)
	return nil
}

// finish hands out what is done: with early, what waits for the write only;
// after the sync the rest.
func (c *committer) finish(batch []entry, early bool) {
	c.adv, c.done = c.adv[:0], c.done[:0]
	for _, l := range c.logs {
		st := &l.commit
		if st.first < 0 || (early && st.strong) {
			continue
		}
		if l.marks.advance(st.to) {
			c.adv = append(c.adv, Advance{l})
			st.adv = true
		}
	}
	for i := range batch {
		e := &batch[i]
		now := e.early || (e.kind == entryAppend && e.mode != Commit && !e.log.commit.strong)
		if now != early {
			continue
		}
		if e.kind == entryNotify && !e.log.commit.adv {
			c.adv = append(c.adv, Advance{e.log})
			e.log.commit.adv = true
		}
		if e.token != nil {
			c.done = append(c.done, Done{Token: e.token, Log: e.log})
			e.token = nil
		}
	}
	c.tell()
}

func (c *committer) tell() {
	if len(c.adv) == 0 && len(c.done) == 0 {
		return
	}
	keep := c.done[:0]
	for _, d := range c.done {
		if w, ok := d.Token.(*waiter); ok {
			w.end(d.Err)
			continue
		}
		keep = append(keep, d)
	}
	if f := c.d.store.opt.OnCommit; f != nil && (len(c.adv) > 0 || len(keep) > 0) {
		f(c.adv, keep)
	}
	clear(c.adv)
	clear(c.done)
}

// refuse hands out tokens that never became durable.
func (c *committer) refuse(batch []entry, why error) {
	c.adv, c.done = c.adv[:0], c.done[:0]
	for i := range batch {
		e := &batch[i]
		if e.token != nil {
			c.done = append(c.done, Done{Token: e.token, Log: e.log, Err: why})
		}
		c.adv = append(c.adv, Advance{e.log})
	}
	c.release(batch)
	c.tell()
}

// failAll refuses what is queued.
func (c *committer) failAll(why error) {
	c.mu.Lock()
	batch := c.queue
	c.queue = nil
	c.mu.Unlock()
	if len(batch) > 0 {
		c.refuse(batch, why)
	}
}

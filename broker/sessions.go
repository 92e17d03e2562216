package broker

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/codec"
)

// Fetch sessions (KIP-227): the client tells only what changed of the
// partitions that it reads, and the broker answers only for those that have
// something to tell.
//
// A request has its session for itself from enter to leave, parked or not. A
// second request for the same session meanwhile (a client that reconnected
// before the broker saw its old connection go) is refused with
// INVALID_FETCH_SESSION_EPOCH, upon which clients begin a new session.

// fetchSession is one session.
type fetchSession struct {
	id     int32
	useIDs bool // Fetch v13+
	inUse  atomic.Bool

	// Below: whoever has inUse.
	epoch      int32 // expected next
	parts      map[partKey]*fetchPart
	head, tail *fetchPart

	// Below: fetchSessions.mu.
	size       int64 // partitions counted for the session
	used       time.Time
	gone       bool
	next, prev *fetchSession // most recently used first
}

// partKey names a partition the way the session's client does.
type partKey struct {
	name  string
	id    [16]byte
	index int32
}

func keyOf(in *codec.FetchPartition) partKey {
	return partKey{string(in.Topic.Name), in.Topic.ID, in.Partition}
}

const (
	sessionless   = 0
	epochFinal    = -1
	epochInitial  = 0
	minEvictAfter = 2 * time.Minute
)

// fetchSessions is the cache of sessions of all connections.
type fetchSessions struct {
	slots         int
	maxPartitions int64

	mu         sync.Mutex
	byID       map[int32]*fetchSession // mu
	head, tail *fetchSession           // mu
	partitions int64                   // mu
	evictions  int64                   // mu
}

func (c *fetchSessions) init(slots int, partitions int64) {
	c.slots, c.maxPartitions = slots, partitions
	c.byID = map[int32]*fetchSession{}
}

func (c *fetchSessions) size() (sessions, partitions, evictions int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(len(c.byID)), c.partitions, c.evictions
}

// enter finds the request's partitions: its own list, or the session's after
// what the request changes of it.
func (f *fetch) enter(it *codec.FetchIter) errCode {
	c := &f.loop.b.sessions
	req := &f.req
	if req.SessionEpoch == epochFinal || req.SessionEpoch == epochInitial {
		if req.SessionID != sessionless {
			c.remove(req.SessionID)
		}
		f.create = req.SessionEpoch == epochInitial && f.rq.version >= 7
		f.takeOwn(it)
		return errNone
	}
	s, code := c.take(req.SessionID, req.SessionEpoch, f.rq.version >= 13, f.loop.nl.Now())
	if code != errNone {
		return code
	}
	s.update(it)
	if len(s.parts) == 0 {
		// Nothing is left to ask for: the session ends (FetchSession.scala).
		c.remove(s.id)
		s.inUse.Store(false)
		return errNone
	}
	if !c.resize(s) {
		s.inUse.Store(false)
		return errFetchSessionNotFound // the client begins a new one, or goes on without
	}
	f.session = s
	for fp := s.head; fp != nil; fp = fp.next {
		f.parts = append(f.parts, fp)
	}
	return errNone
}

// takeOwn keeps the request's partitions in the fetch itself. Of one that is
// named twice the last counts, in the place of the first (FetchRequest.fetchData).
func (f *fetch) takeOwn(it *codec.FetchIter) {
	var at map[partKey]int // place in own; nil when nothing is named twice
	if f.req.Partitions > 1 && f.loop.seen.fetchRepeats(*it) {
		at = map[partKey]int{} // own grows: a parked fetch keeps what it is
	} else if cap(f.own) < f.req.Partitions {
		f.own = make([]fetchPart, 0, f.req.Partitions)
	}
	for in, ok := it.Next(); ok; in, ok = it.Next() {
		if at != nil {
			key := keyOf(&in)
			if i, twice := at[key]; twice {
				f.own[i].set(&in)
				continue
			}
			at[key] = len(f.own)
		}
		f.own = append(f.own, fetchPart{ref: in.Topic})
		f.own[len(f.own)-1].set(&in)
	}
	f.parts = slices.Grow(f.parts, len(f.own))
	for i := range f.own {
		f.parts = append(f.parts, &f.own[i])
	}
}

// update takes over what the request changes.
func (s *fetchSession) update(it *codec.FetchIter) {
	for in, ok := it.Next(); ok; in, ok = it.Next() {
		fp := s.parts[keyOf(&in)]
		if fp == nil {
			fp = s.add(in.Topic, in.Partition)
		}
		fp.set(&in)
	}
	for in, ok := it.NextForgotten(); ok; in, ok = it.NextForgotten() {
		key := partKey{string(in.Topic.Name), in.Topic.ID, in.Partition}
		if fp := s.parts[key]; fp != nil {
			delete(s.parts, key)
			s.unlink(fp)
		}
	}
}

// add puts a partition at the end of the session.
func (s *fetchSession) add(ref codec.TopicRef, index int32) *fetchPart {
	fp := &fetchPart{ref: codec.TopicRef{Name: slices.Clone(ref.Name), ID: ref.ID}, index: index, sentHW: -1, sentStart: -1}
	s.parts[partKey{string(fp.ref.Name), fp.ref.ID, index}] = fp
	s.append(fp)
	return fp
}

func (s *fetchSession) append(fp *fetchPart) {
	fp.prev, fp.next = s.tail, nil
	if s.tail != nil {
		s.tail.next = fp
	} else {
		s.head = fp
	}
	s.tail = fp
}

func (s *fetchSession) unlink(fp *fetchPart) {
	if fp.prev != nil {
		fp.prev.next = fp.next
	} else {
		s.head = fp.next
	}
	if fp.next != nil {
		fp.next.prev = fp.prev
	} else {
		s.tail = fp.prev
	}
	fp.prev, fp.next = nil, nil
}

// tell reports whether an incremental answer must hold the partition.
func (fp *fetchPart) tell() bool {
	return fp.slice.Len > 0 || fp.code != errNone || fp.divergingEpoch >= 0 ||
		fp.offsets.HighWatermark != fp.sentHW || fp.offsets.LogStart != fp.sentStart
}

// settle brings the session up to date for the answer that is being built, or
// makes the one that was asked for, and gives the id for the answer.
func (f *fetch) settle() int32 {
	c := &f.loop.b.sessions
	if f.create {
		return c.create(f)
	}
	s := f.session
	if s == nil {
		return sessionless
	}
	for _, fp := range f.parts {
		if fp.slice.Len > 0 {
			// Others come first next time.
			s.unlink(fp)
			s.append(fp)
		}
	}
	return s.id
}

// leave gives the session back.
func (f *fetch) leave() {
	if s := f.session; s != nil {
		s.inUse.Store(false)
		f.session = nil
	}
}

// told notes what an answer says of a partition.
func (fp *fetchPart) told() {
	fp.sentHW, fp.sentStart = fp.offsets.HighWatermark, fp.offsets.LogStart
	if fp.code != errNone {
		fp.sentHW = -1 // so that the end of the error is told
	}
}

// take finds a session for a request and advances its epoch.
func (c *fetchSessions) take(id, epoch int32, useIDs bool, now time.Time) (*fetchSession, errCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byID[id]
	if s == nil {
		return nil, errFetchSessionNotFound
	}
	if !s.inUse.CompareAndSwap(false, true) {
		return nil, errFetchSessionEpoch
	}
	code := errNone
	switch {
	case s.epoch != epoch:
		code = errFetchSessionEpoch
	case s.useIDs != useIDs:
		code = errFetchSessionTopicID
	}
	if code != errNone {
		s.inUse.Store(false)
		return nil, code
	}
	if s.epoch++; s.epoch <= 0 || epoch == math.MaxInt32 {
		s.epoch = 1
	}
	s.used = now
	c.unlink(s)
	c.push(s)
	return s, errNone
}

// resize counts the partitions that a request has left in its session. One that
// grew beyond what there is room for ends, and it reports false.
func (c *fetchSessions) resize(s *fetchSession) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	more := int64(len(s.parts)) - s.size
	switch {
	case s.gone: // another connection ended it; the request goes on with what it has
		return true
	case more > 0 && c.partitions+more > c.maxPartitions:
		c.drop(s)
		return false
	}
	c.partitions += more
	s.size += more
	return true
}

// create makes the session that a full fetch asked for; 0 when there is no
// room, and the client then goes on without.
func (c *fetchSessions) create(f *fetch) int32 {
	n := int64(len(f.parts))
	now := f.loop.nl.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byID) >= c.slots || c.partitions+n > c.maxPartitions {
		old := c.tail
		if old == nil || now.Sub(old.used) < minEvictAfter || old.inUse.Load() {
			return sessionless
		}
		c.drop(old)
		c.evictions++
		if c.partitions+n > c.maxPartitions {
			return sessionless
		}
	}
	s := &fetchSession{epoch: 1, useIDs: f.rq.version >= 13, used: now, parts: make(map[partKey]*fetchPart, n)}
	for s.id == sessionless || c.byID[s.id] != nil {
		s.id = rand.Int32N(math.MaxInt32-1) + 1
	}
	for _, fp := range f.parts {
		kept := s.parts[partKey{string(fp.ref.Name), fp.ref.ID, fp.index}]
		if kept == nil {
			kept = s.add(fp.ref, fp.index)
		}
		kept.offset, kept.epoch, kept.lastEpoch, kept.maxBytes = fp.offset, fp.epoch, fp.lastEpoch, fp.maxBytes
		kept.part, kept.cursor, kept.offsets, kept.code = fp.part, fp.cursor, fp.offsets, fp.code
		kept.told()
	}
	s.size = int64(len(s.parts))
	c.partitions += s.size
	c.byID[s.id] = s
	c.push(s)
	return s.id
}

// remove ends a session; the request that has it goes on with what it has.
func (c *fetchSessions) remove(id int32) {
	c.mu.Lock()
	if s := c.byID[id]; s != nil {
		c.drop(s)
	}
	c.mu.Unlock()
}

// drop is remove with mu held.
func (c *fetchSessions) drop(s *fetchSession) {
	delete(c.byID, s.id)
	c.unlink(s)
	c.partitions -= s.size
	s.gone = true
}

func (c *fetchSessions) push(s *fetchSession) {
	s.prev, s.next = nil, c.head
	if c.head != nil {
		c.head.prev = s
	} else {
		c.tail = s
	}
	c.head = s
}

func (c *fetchSessions) unlink(s *fetchSession) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		c.head = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		c.tail = s.prev
	}
	s.prev, s.next = nil, nil
}

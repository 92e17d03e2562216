package txn

import (
	"fmt"
	"sync"
	"time"

	"github.com/chronik-stream/chronik/group"
	"github.com/chronik-stream/chronik/logstore"
)

// shard is one partition of __transaction_state: a table on a group.Shard.
type shard struct {
	*group.Shard
	c         *Coordinator
	partition int32
	table     *table

	mu       sync.Mutex
	finished []finishedMarker // mu; bounded by the markers in flight
}

// finishedMarker is a marker that was written, or not.
type finishedMarker struct {
	e   *entry
	of  *meta
	p   part
	err error
}

// drainAfter is when markers that finished are looked at although nobody told
// the shard: its mailbox was full at that moment.
const drainAfter = 100 * time.Millisecond

func (c *Coordinator) newShard(partition int32) *shard {
	s := &shard{c: c, partition: partition}
	s.Shard = group.NewShard(group.ShardOptions{
		Name:   fmt.Sprintf("%s-%d", StateTopic, partition),
		Log:    func() *logstore.Log { return c.o.Log(partition) },
		Replay: func(r *group.Record) error { return s.table.replay(r.Key, r.Value) },
		Marker: func(int64, bool) {},
		Loaded: func(now time.Time) { s.table.loaded(now) },
		Lost:   func(error) { s.table.forget() },
		Now:    c.o.Now, Go: c.o.Go, Logger: c.o.Logger,
	})
	s.table = newTable(&s.Out, &s.Deadlines, &c.counters)
	s.table.freshID = c.ids.take
	s.table.sendMarkers = s.sendMarkers
	s.table.expirationMs = c.o.Cluster.BrokerInt("transactional.id.expiration.ms")
	s.table.serverVersion = func() int16 { return c.o.Cluster.Image().Features["transaction.version"] }
	s.table.flexible = c.o.Cluster.Image().Features["transaction.version"] >= 1
	s.Start()
	return s
}

// sendMarkers starts the markers of e that are not under way.
func (s *shard) sendMarkers(e *entry) {
	if e.unmarked == nil {
		return
	}
	now := s.c.o.Now()
	s.drain(now)
	if e.unmarked == nil {
		return
	}
	of := e.m
	if len(e.unmarked) == 0 {
		s.table.complete(e, now)
		return
	}
	epoch := int32(0)
	if log := s.c.o.Log(s.partition); log != nil {
		epoch = log.Epoch()
	}
	m := Marker{of.producerID, of.epoch, epoch, of.state == PrepareCommit, of.clientVersion >= 2}
	if e.inFlight == nil {
		e.inFlight = make(map[part]struct{}, len(e.unmarked))
	}
	var send []part
	for p := range e.unmarked {
		if _, sent := e.inFlight[p]; !sent {
			e.inFlight[p] = struct{}{}
			send = append(send, p)
		}
	}
	s.table.ds.Set(&e.retry, now.Add(drainAfter))
	for _, p := range send {
		s.c.counters.markers.Add(1)
		s.c.o.WriteMarker(p.Topic, p.Partition, m, func(err error) { s.finish(finishedMarker{e, of, p, err}) })
	}
}

// finish notes a marker's end from any goroutine and wakes the shard.
func (s *shard) finish(f finishedMarker) {
	s.mu.Lock()
	s.finished = append(s.finished, f)
	first := len(s.finished) == 1
	s.mu.Unlock()
	if !first {
		return
	}
	// When the shard does not take it, the retry deadline or the next operation
	// will see it; when it is loading, the load starts the markers anew.
	err := s.Do(func(now time.Time) error {
		s.drain(now)
		return nil
	}, nil)
	if err != nil {
		s.c.counters.lateMarkers.Add(1)
	}
}

// drain takes the markers that have ended. The shard's goroutine only.
func (s *shard) drain(now time.Time) {
	s.mu.Lock()
	finished := s.finished
	s.finished = nil
	s.mu.Unlock()
	for _, f := range finished {
		if s.table.entries[f.of.id] == f.e {
			s.table.marked(f.e, f.of, f.p, f.err, now)
		}
	}
}

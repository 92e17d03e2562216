package group

import (
	"container/heap"
	"time"
)

// Deadlines is a shard's timers: one heap, one clock. It belongs to the
// shard's goroutine (or to a test that passes the time by hand).
//
// The common move is to push a deadline further out: every heartbeat does it.
// So a later time only notes the wish; the entry keeps its place in the heap
// and moves when its old time comes.
type Deadlines struct {
	heap deadlineHeap
}

// Deadline is one timer. The zero value with Fire set is ready and not armed.
// It belongs to one Deadlines at a time.
type Deadline struct {
	// Fire runs on the shard's goroutine once the time has come.
	Fire func(now time.Time)
	due  time.Time // when to fire
	key  time.Time // its place in the heap, never after due
	at   int       // index in the heap plus one; 0 when not armed
}

// Armed reports whether the deadline will fire.
func (d *Deadline) Armed() bool { return d.at != 0 }

// Set arms d for the given time, in place of whatever it was set to.
func (ds *Deadlines) Set(d *Deadline, due time.Time) {
	d.due = due
	switch {
	case d.at == 0:
		d.key = due
		heap.Push(&ds.heap, d)
	case due.Before(d.key):
		d.key = due
		heap.Fix(&ds.heap, d.at-1)
	}
}

// Stop disarms d.
func (ds *Deadlines) Stop(d *Deadline) {
	if d.at != 0 {
		heap.Remove(&ds.heap, d.at-1)
	}
}

// Next is a time at which Run should be called, never after the first
// deadline; ok is false when none is armed.
func (ds *Deadlines) Next() (at time.Time, ok bool) {
	if len(ds.heap) == 0 {
		return at, false
	}
	return ds.heap[0].key, true
}

// RunOne fires one deadline that is due and reports whether there was one.
func (ds *Deadlines) RunOne(now time.Time) bool {
	for len(ds.heap) > 0 {
		d := ds.heap[0]
		if d.key.After(now) {
			return false
		}
		if d.due.After(now) {
			d.key = d.due
			heap.Fix(&ds.heap, 0)
			continue
		}
		heap.Pop(&ds.heap)
		d.Fire(now)
		return true
	}
	return false
}

// Clear disarms everything.
func (ds *Deadlines) Clear() {
	for _, d := range ds.heap {
		d.at = 0
	}
	clear(ds.heap)
	ds.heap = ds.heap[:0]
}

// Len is how many deadlines are armed.
func (ds *Deadlines) Len() int { return len(ds.heap) }

type deadlineHeap []*Deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].key.Before(h[j].key) }
func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i+1, j+1
}

func (h *deadlineHeap) Push(x any) {
	d := x.(*Deadline)
	d.at = len(*h) + 1
	*h = append(*h, d)
}

func (h *deadlineHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	d.at = 0
	return d
}

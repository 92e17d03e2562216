package cluster

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// memLog is a metadata log in memory with a committer of its own: appended
// batches become durable, in order, some at a time. crash gives the log as a
// power cut could leave it.
type memLog struct {
	mu      sync.Mutex
	batches [][]byte // all appended
	bases   []int64
	durable int // how many of them are on disk
	start   int64
	end     int64
	epoch   int32
	tokens  []logstore.Token // of those not durable

	// hold keeps the committer from working; kick lets it go on once.
	hold    bool
	refuse  error // what Append answers
	broken  error // what every commit answers
	syncs   int
	commits chan struct{}
	quit    chan struct{}
	done    sync.WaitGroup
}

func newMemLog(t testing.TB) *memLog {
	l := &memLog{commits: make(chan struct{}, 1), quit: make(chan struct{})}
	l.run()
	t.Cleanup(func() { close(l.quit); l.done.Wait() })
	return l
}

func (l *memLog) run() {
	l.done.Add(1)
	go func() {
		defer l.done.Done()
		for {
			select {
			case <-l.quit:
				return
			case <-l.commits:
			}
			l.mu.Lock()
			held := l.hold
			l.mu.Unlock()
			if !held {
				l.commit()
			}
		}
	}()
}

// commit makes everything appended durable with one "sync".
func (l *memLog) commit() {
	l.mu.Lock()
	tokens, err := l.tokens, l.broken
	l.tokens = nil
	if err == nil {
		l.durable = len(l.batches)
		if len(tokens) > 0 {
			l.syncs++
		}
	}
	l.mu.Unlock()
	for _, token := range tokens {
		if !Done(logstore.Done{Token: token, Err: err}) {
			panic("the token is not the cluster's")
		}
	}
}

func (l *memLog) kick() {
	select {
	case l.commits <- struct{}{}:
	default:
	}
}

func (l *memLog) setHold(hold bool) {
	l.mu.Lock()
	l.hold = hold
	l.mu.Unlock()
	l.kick()
}

func (l *memLog) Append(a *logstore.Append) (logstore.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return logstore.Appended{}, l.refuse
	}
	b, err := record.Check(a.Batches)
	if err != nil {
		return logstore.Appended{}, err
	}
	b.SetBaseOffset(l.end)
	b.SetLeaderEpoch(l.epoch)
	l.batches = append(l.batches, append([]byte(nil), b...))
	l.bases = append(l.bases, l.end)
	base := l.end
	l.end = b.NextOffset()
	l.tokens = append(l.tokens, a.Token)
	l.kick()
	return logstore.Appended{BaseOffset: base, LastOffset: l.end - 1}, nil
}

func (l *memLog) Read(r logstore.Read) (logstore.Slice, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Offset < l.start || r.Offset > l.end {
		return logstore.Slice{}, logstore.ErrOutOfRange
	}
	var s logstore.Slice
	for i := range l.durable {
		if l.bases[i] < r.Offset {
			continue
		}
		if len(s.Mem) > 0 && len(s.Mem)+len(l.batches[i]) > r.MaxBytes {
			break
		}
		s.Mem = append(s.Mem, l.batches[i]...)
	}
	s.Len = int64(len(s.Mem))
	return s, nil
}

func (l *memLog) Offsets() logstore.Offsets {
	l.mu.Lock()
	defer l.mu.Unlock()
	return logstore.Offsets{LogStart: l.start, HighWatermark: l.end, LastStable: l.end, LogEnd: l.end}
}

func (l *memLog) DeleteRecords(before int64) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before > l.end {
		return 0, logstore.ErrOutOfRange
	}
	l.start = max(l.start, before)
	for len(l.bases) > 0 && l.bases[0] < l.start {
		l.bases, l.batches, l.durable = l.bases[1:], l.batches[1:], l.durable-1
	}
	return l.start, nil
}

func (l *memLog) SetEpoch(epoch int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch < l.epoch {
		panic("the leader epoch falls")
	}
	l.epoch = epoch
}

// crash is the log after a power cut: what was durable and any number of the
// batches after it.
func (l *memLog) crash(t testing.TB, r *rand.Rand) *memLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	keep := l.durable
	if more := len(l.batches) - l.durable; more > 0 {
		keep += r.IntN(more + 1)
	}
	n := newMemLog(t)
	n.start, n.epoch, n.durable = l.start, l.epoch, keep
	n.end = l.start
	for i := range keep {
		n.batches, n.bases = append(n.batches, l.batches[i]), append(n.bases, l.bases[i])
		n.end = record.Batch(l.batches[i]).NextOffset()
	}
	return n
}

var errBroken = errors.New("the disk is gone")

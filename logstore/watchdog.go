package logstore

import (
	"errors"
	"fmt"
	"time"
)

// The stall watchdog. A disk that hangs fails no call, so nothing takes its
// directory offline, and every producer waits. The watchdog looks at the writes
// and syncs that commits wait for: one that takes longer than
// Options.StallUnhealthy makes the store unhealthy until it ends; one that takes
// longer than Options.StallExit is told to OnStall, once, and whoever owns the
// process ends it. A call that is stuck cannot be called off: the process is the
// smallest thing that can be given up.
//
// It has a goroutine of its own: the committer is the one that hangs, and the
// keeper hangs with it in its checkpoints.
type watchdog struct {
	quit, ended chan struct{}
}

// watchTick is how late a stall may be seen, with limits of two seconds and more.
const watchTick = 500 * time.Millisecond

// watchEvery is how often to look: often enough for the shorter limit.
func (o *Options) watchEvery() time.Duration {
	every := watchTick
	for _, limit := range []time.Duration{o.StallUnhealthy, o.StallExit} {
		if limit > 0 {
			every = min(every, max(limit/4, time.Millisecond))
		}
	}
	return every
}

// ErrStalled is wrapped by what [Store.Stalled] says and OnStall is told.
var ErrStalled = errors.New("logstore: the disk does not answer")

func (s *Store) startWatchdog() {
	s.watchdog = watchdog{make(chan struct{}), make(chan struct{})}
	s.opt.Go("stall watchdog", s.watch)
}

func (w *watchdog) stop() {
	close(w.quit)
	<-w.ended
}

func (s *Store) watch() {
	defer close(s.watchdog.ended)
	tick := time.NewTicker(s.opt.watchEvery())
	defer tick.Stop()
	warned := make([]bool, len(s.dirs))
	told := false
	for {
		select {
		case <-s.watchdog.quit:
			return
		case now := <-tick.C:
			for i, d := range s.dirs {
				running := d.syncRunning(now)
				stalled := s.opt.StallUnhealthy > 0 && running > s.opt.StallUnhealthy
				if stalled && !warned[i] {
					s.stats.stalledSyncs.Add(1)
					s.logger.Error("a write or sync does not end; the broker is unhealthy", "dir", d.path, "running", running, "exit", s.opt.StallExit)
				} else if !stalled && warned[i] {
					s.logger.Warn("the write or sync that did not end has ended", "dir", d.path)
				}
				warned[i] = stalled
				if s.opt.StallExit > 0 && running > s.opt.StallExit && !told && s.opt.OnStall != nil {
					told = true
					s.opt.OnStall(d.path, d.stalled(running))
				}
			}
		}
	}
}

// started is where stallClock begins.
var started = time.Now()

// stallClock is now in ns of the monotonic clock, never 0: if somebody sets the wall
// clock forward, that must not look like a disk that hangs and end the broker.
func stallClock(now time.Time) int64 { return int64(now.Sub(started)) | 1 }

// syncRunning is how long the oldest write or sync that commits wait for has
// been running: the journal's, or the segments' of the direct path.
func (d *dir) syncRunning(now time.Time) time.Duration {
	if d.journal == nil {
		return 0
	}
	var running time.Duration
	for _, from := range []int64{d.journal.busyFrom.Load(), d.committer.directFrom.Load()} {
		if from != 0 {
			running = max(running, time.Duration(stallClock(now)-from))
		}
	}
	return running
}

func (d *dir) stalled(running time.Duration) error {
	return fmt.Errorf("%w: a write or sync in data directory %s has been running for %s", ErrStalled, d.path, running.Round(time.Millisecond))
}

// Stalled says which data directory's write or sync has been running for longer than
// Options.StallUnhealthy, nil when none has. Any goroutine.
func (s *Store) Stalled() error {
	now := time.Now()
	for _, d := range s.dirs {
		if running := d.syncRunning(now); s.opt.StallUnhealthy > 0 && running > s.opt.StallUnhealthy {
			return d.stalled(running)
		}
	}
	return nil
}

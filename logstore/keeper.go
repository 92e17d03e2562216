package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"
)

// keeper does a directory's slow work on one goroutine: checkpoints, new
// journal files, seals, unlinks, a look at the free space. Nobody waits for it
// but a committer whose ring is full.
type keeper struct {
	d     *dir
	wake  chan struct{}
	quit  chan struct{}
	ended chan struct{}
}

const (
	keeperTick      = time.Second
	checkpointBytes = 256 << 20 // rule 6
	measureEvery    = 5 * time.Second
	tidyEvery       = 30 * time.Second
	forgetEvery     = 10 * time.Minute       // Kafka's producer.id.expiration.check.interval.ms
	unlinkShare     = 100 * time.Millisecond // of a tick
)

func newKeeper(d *dir) *keeper {
	return &keeper{d: d, wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
}

func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) stop() {
	close(k.quit)
	<-k.ended
}

func (k *keeper) run() {
	defer close(k.ended)
	defer func() {
		if r := recover(); r != nil {
			k.d.fail(fmt.Errorf("the keeper panicked: %v\n%s", r, debug.Stack()))
		}
	}()
	debug.SetPanicOnFault(true)
	tick := time.NewTicker(keeperTick)
	defer tick.Stop()
	now := time.Now()
	saved, measured, tidied := now, now, now
	for {
		ticked := false
		select {
		case <-k.quit:
			return
		case <-k.wake:
			now = time.Now()
		case now = <-tick.C:
			ticked = true
		}
		if k.d.offline.Load() {
			continue
		}
		if k.d.starved.Swap(false) {
			k.d.dropBallast()
		}
		if err := k.d.journal.grow(); err != nil {
			k.d.grewBadly(err)
		}
		k.d.writeBack()
		k.d.sealAll()
		if now.Sub(saved) >= k.d.store.opt.CheckpointEvery || k.d.appended.Load() >= checkpointBytes || k.d.journal.pressed() || k.d.crowded(now.Sub(saved)) {
			saved = now
			if k.d.store.ready.Load() {
				if err := k.d.checkpoint(false); err != nil {
					k.d.store.logger.Error("a checkpoint failed; the journal is kept", "dir", k.d.path, "err", err)
					if errors.Is(err, ErrDiskFull) {
						saved = now.Add(-k.d.store.opt.CheckpointEvery) // again at the next tick: deletions wait for it
					}
				}
			}
		}
		if now.Sub(measured) >= measureEvery {
			measured = now
			k.d.measure()
		}
		if now.Sub(tidied) >= tidyEvery {
			tidied = now
			k.d.tidy(now.UnixMilli())
			k.d.mapper.tidy()
		}
		if ticked {
			k.d.unlink(now.UnixMilli())
		}
	}
}

// crowded: so many files are dirty that the bound on descriptors is passed; a
// checkpoint makes them clean. Not more often than once a second.
func (d *dir) crowded(since time.Duration) bool {
	return since >= time.Second && d.store.files.crowded()
}

// grewBadly: without a new file the committer waits for a checkpoint, which is
// slow but right on a full disk; anything else is an I/O error.
func (d *dir) grewBadly(err error) {
	if !errors.Is(d.ioError(err), ErrOffline) {
		d.store.logger.Warn("the journal cannot grow", "dir", d.path, "err", err)
	}
}

// bury lists a file or tree for removal.
func (d *dir) bury(name string, delayMs int64, tree bool) {
	d.mu.Lock()
	d.graves = append(d.graves, grave{name, d.store.nowMs() + delayMs, tree})
	d.mu.Unlock()
}

// unlink removes what is due for a share of each tick: an unlink of a large file
// holds ext4's journal, and ten thousand small ones are soon done.
func (d *dir) unlink(now int64) {
	d.mu.Lock()
	var due []grave
	kept := d.graves[:0]
	for _, g := range d.graves {
		if g.due <= now {
			due = append(due, g)
		} else {
			kept = append(kept, g)
		}
	}
	d.graves = kept
	d.mu.Unlock()
	began := time.Now()
	for i, g := range due {
		if i > 0 && time.Since(began) >= unlinkShare {
			d.mu.Lock()
			d.graves = append(d.graves, due[i:]...)
			d.mu.Unlock()
			return
		}
		remove := d.store.fs.Remove
		if g.tree {
			remove = d.store.fs.RemoveAll
		}
		if err := remove(g.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.store.logger.Warn("a deleted file cannot be removed", "file", g.name, "err", err)
		}
	}
}

// tidy gives index memory back and, every so often, forgets expired producers.
// A producer of old data, as in a copy that keeps its timestamps, expires with
// each batch: looked at more often than by Kafka, a batch sent twice would be
// written twice sooner. Keeper, or a test.
func (d *dir) tidy(now int64) {
	if d.forgot == 0 {
		d.forgot = now
	}
	forget := now-d.forgot >= forgetEvery.Milliseconds()
	if forget {
		d.forgot = now
	}
	for _, l := range d.store.Logs() {
		if l.dir != d || l.segs.Load() == nil {
			continue
		}
		l.mu.Lock()
		if forget && l.prod.expire(now-d.store.tuning.Load().ProducerExpiration.Milliseconds()) > 0 {
			l.markDirty()
		}
		l.direct.Store(false)
		l.mu.Unlock()
		for _, s := range *l.segs.Load() {
			if !s.used.Swap(false) {
				s.trimIndexes()
			}
		}
	}
}

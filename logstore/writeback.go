package logstore

import "fmt"

// Write-back of segments while they grow.
//
// Left alone, the pages of the segments stay dirty until a checkpoint syncs
// them, 256 MiB at once, and the journal's syncs wait behind them in the disk's
// queue: produces of 10,000 records/s that otherwise took 0.5 ms took up to
// 120 ms while one ran. So the keeper has the kernel begin to write what was
// appended, a few MiB at a time, and a checkpoint finds little left to do. It
// promises nothing: only a sync does.
//
// Not in the mode that leaves the disk to the kernel, and not for what is synced
// directly.
const (
	// writeBackStep is how much is appended to a directory between two looks.
	writeBackStep = 4 << 20
	// writeBackLeast is the shortest piece of a segment; shorter ones wait for
	// more. writeBackUnit is what it ends on: the page that the next append goes
	// to is left alone, since a mapped one would fault.
	writeBackLeast = 256 << 10
	writeBackUnit  = 64 << 10
)

// grew notes n bytes appended by any path; every few MiB it wakes the keeper.
func (d *dir) grew(n int64) {
	after := d.appended.Add(n)
	if after/writeBackStep != (after-n)/writeBackStep && d.keeper != nil {
		d.keeper.poke()
	}
}

// writeBack has the kernel begin with what the dirty logs have gained. Keeper.
func (d *dir) writeBack() {
	if d.store.opt.Durability == OS {
		return
	}
	appended := d.appended.Load()
	if appended < d.writtenBack { // a checkpoint began to count anew
		d.writtenBack = 0
	}
	if appended-d.writtenBack < writeBackStep {
		return
	}
	d.writtenBack = appended
	d.mu.Lock()
	logs := append([]*Log(nil), d.dirty...)
	d.mu.Unlock()
	for _, l := range logs {
		segs := l.segs.Load()
		if segs == nil || l.direct.Load() || l.deleted.Load() {
			continue
		}
		for i := len(*segs) - 1; i >= 0; i-- {
			s := (*segs)[i]
			if s.durable.Load() >= s.size.Load() {
				break // and so are those before it
			}
			if err := s.writeBack(); err != nil && !s.removed() {
				d.fail(fmt.Errorf("write back %s: %w", s.path(), err))
				return
			}
		}
	}
}

// writeBack is dir.writeBack of one segment. Keeper.
func (s *Segment) writeBack() error {
	from, to := max(s.writtenBack, s.durable.Load()), s.size.Load()/writeBackUnit*writeBackUnit
	if to-from < writeBackLeast {
		return nil
	}
	if err := s.pin(); err != nil {
		return err
	}
	defer s.unpin()
	s.writtenBack = to
	return s.file.SyncRange(from, to-from)
}

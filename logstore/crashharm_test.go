package logstore

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// harm arranges what goes wrong in this life of the crash model.
func (w *crashWorld) harm(o *Options) {
	files := []string{"*.journal", "*.log", "*.index", "checkpoint.tmp", "*"}[w.rng.IntN(5)]
	skip := w.rng.IntN(60)
	if files == "checkpoint.tmp" || files == "*.index" {
		skip %= 4 // a life has few of them
	}
	w.kind = ""
	switch k := w.rng.IntN(10); k {
	case 0:
		w.plan = "nothing"
	case 1, 2:
		at := 1 + w.rng.IntN(700)
		if w.rng.IntN(4) == 0 {
			at = 1 + w.rng.IntN(100) // in recovery
		}
		w.plan = fmt.Sprintf("power cut at %d", at)
		w.disk.CrashAt(at)
		w.harmed = true
	case 3, 4:
		op := []vfs.Op{vfs.OpWrite, vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir, vfs.OpRename, vfs.OpCreate, vfs.OpRead}[w.rng.IntN(7)]
		f := vfs.Fault{Op: op, Path: files, Skip: skip, Err: syscall.EIO}
		w.kind = fmt.Sprintf("EIO on %v", op)
		if op == vfs.OpWrite && w.rng.IntN(3) == 0 {
			f.Short = 1 + w.rng.IntN(600)
			w.kind = "EIO on a part of a write"
		}
		switch op {
		case vfs.OpRead:
			f.Path = "*.log" // an unreadable checkpoint is an error of Open
		case vfs.OpRename, vfs.OpSyncDir, vfs.OpCreate:
			f.Path, f.Skip = "*", skip/3
		}
		w.plan = fmt.Sprintf("EIO on %v of %s after %d", op, f.Path, f.Skip)
		w.struck = w.disk.Inject(f)
		w.harmed = true
	case 5:
		w.plan = fmt.Sprintf("a sync of %s after %d fails and leaves the pages clean", files, skip)
		w.kind = "failed sync that then reports clean"
		w.struck = w.disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: files, Skip: skip, Err: syscall.EIO, Clean: true})
		w.harmed = true
	case 6:
		w.plan = "full disk"
		w.harmed = true
	case 7:
		w.plan, w.kind, w.wide = "slow checkpoints", "slow checkpoint", true
		slow := time.Duration(3+w.rng.IntN(40)) * time.Millisecond
		w.struck = w.disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "checkpoint.tmp", Times: -1, Hook: func() { wait(slow) }})
	case 8:
		op := []vfs.Op{vfs.OpWrite, vfs.OpSync, vfs.OpRename, vfs.OpCreate}[w.rng.IntN(4)]
		w.plan, w.kind = fmt.Sprintf("slow %v of %s after %d", op, files, skip), "slow call"
		w.struck = w.disk.Inject(vfs.Fault{Op: op, Path: files, Skip: skip, Times: 3, Hook: func() { wait(5 * time.Millisecond) }})
	case 9:
		w.stall = newCrashStall(w, o)
	}
}

// crashStall is a call of a commit that hangs: until the watchdog has seen it,
// or until the watchdog has told and the process is gone.
type crashStall struct {
	op    vfs.Op
	file  string // "": the committing journal
	exits bool
	told  chan struct{} // closed by OnStall
}

// stallLimit is the watchdog's shorter limit, where calls hang.
const stallLimit = 2 * time.Millisecond

func newCrashStall(w *crashWorld, o *Options) *crashStall {
	s := &crashStall{op: []vfs.Op{vfs.OpSync, vfs.OpWrite}[w.rng.IntN(2)], exits: w.rng.IntN(2) == 0, told: make(chan struct{})}
	if w.rng.IntN(3) == 0 {
		s.op, s.file, o.DirectBytes = vfs.OpSync, "*.log", 200
	}
	o.StallUnhealthy, o.StallExit = stallLimit, -1
	what := "is unhealthy"
	if s.exits {
		w.harmed = true
		what = "ends the process"
		disk := w.disk
		o.StallExit = 4 * stallLimit
		o.OnStall = func(string, error) {
			disk.CutPower() // what this process still does counts for nothing
			close(s.told)
		}
	}
	w.plan, w.kind = fmt.Sprintf("a hanging %v of %q %s", s.op, s.file, what), "stall that "+what
	return s
}

// arm lets the next calls hang, now that the store is ready.
func (s *crashStall) arm(w *crashWorld) {
	file := s.file
	if file == "" {
		file = w.s.dirs[w.rng.IntN(len(w.s.dirs))].journal.cur.name
	}
	store := w.s
	var seen atomic.Bool
	hits := w.disk.Inject(vfs.Fault{Op: s.op, Path: file, Skip: w.rng.IntN(10), Hook: func() {
		// A checkpoint's sync of the same file is no commit's: the watchdog does not
		// look at it, and it ends by itself.
		end := time.After(200 * time.Millisecond)
		tick := time.NewTicker(stallLimit / 4)
		defer tick.Stop()
		for {
			select {
			case <-s.told:
				seen.Store(true)
				return
			case <-end:
				return
			case <-tick.C:
				if !s.exits && store.Stalled() != nil && store.Stats().StalledSyncs > 0 {
					seen.Store(true)
					return
				}
			}
		}
	}})
	w.struck = func() int {
		if hits() == 0 || !seen.Load() {
			return 0
		}
		return 1
	}
}

// most is how much padding a record has.
func (w *crashWorld) most() int {
	if w.wide {
		return 60_000
	}
	return 80
}

// offline is how many directories are.
func (w *crashWorld) offline() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.off)
}

package logstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The ballast is a file of reserved blocks beside the logs (rule 12). On a full
// disk it is given up: what it held lets internal topics be appended to,
// checkpoints be written and logs be deleted, which is how the disk gets room
// again. Clients stay refused until there is room for the ballast too, so it is
// never theirs. The keeper makes it, when nothing is short.
const (
	fileBallast  = "ballast"
	ballastBytes = 64 << 20
)

// ballastSize is how large the ballast is to be here; 0: none.
func (d *dir) ballastSize(u vfs.Usage) uint64 {
	switch b := d.store.opt.Ballast; {
	case b < 0 || u.Type == "tmpfs": // that is memory, and does not outlive a full machine
		return 0
	case b > 0:
		return uint64(b)
	}
	return min(ballastBytes, u.Total/32)
}

// keepBallast makes the ballast when it is missing and there is room; true when
// it did. Clients are let in again only then: without it a disk that they fill
// once more has no room for the checkpoint that deletions wait for.
func (d *dir) keepBallast(u vfs.Usage) bool {
	size := d.ballastSize(u)
	if size == 0 || d.ballast.Load() || u.Free < d.reserve(u)+size {
		return false
	}
	d.ballastMu.Lock()
	defer d.ballastMu.Unlock()
	if d.ballast.Load() {
		return false // another made it meanwhile
	}
	d.starved.Store(false) // what met a full disk did so before there was room
	name := filepath.Join(d.path, fileBallast)
	f, err := d.store.fs.Create(name)
	if err == nil {
		err = errors.Join(f.Allocate(0, int64(size), false), f.Close())
	}
	switch {
	case err == nil:
		d.ballast.Store(true)
		return true
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		if err := removeIfThere(d.store.fs, name); err != nil {
			d.fail(fmt.Errorf("remove a part of the ballast: %w", err))
		}
	default:
		d.fail(fmt.Errorf("make the ballast %s: %w", name, err))
	}
	return false
}

// dropBallast gives the ballast up; false when there was none. It waits for the
// file system to free the blocks, whoever began with it: not for an event loop.
func (d *dir) dropBallast() bool {
	d.ballastMu.Lock()
	defer d.ballastMu.Unlock()
	if !d.ballast.Swap(false) {
		return false
	}
	err := removeIfThere(d.store.fs, filepath.Join(d.path, fileBallast))
	if err == nil {
		err = d.store.fs.SyncDir(d.path)
	}
	if err != nil {
		d.fail(fmt.Errorf("give the ballast up: %w", err))
		return false
	}
	d.store.logger.Warn("the disk is full; the ballast was given up for internal topics, checkpoints and deletions", "dir", d.path)
	return true
}

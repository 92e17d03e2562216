package logstore

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestStallWatchdog: a call that hangs makes the store unhealthy, then is told;
// one that ends in time is neither. The journal's sync, its write, and the sync
// of the direct path.
func TestStallWatchdog(t *testing.T) {
	for _, at := range []struct {
		op     vfs.Op
		file   string
		direct int64
	}{{vfs.OpSync, "", -1}, {vfs.OpWrite, "", -1}, {vfs.OpSync, "*.log", 1}} {
		synctest.Test(t, func(t *testing.T) {
			var told []error
			r := newStage(t, func(o *Options) {
				o.StallUnhealthy, o.StallExit = 5*time.Second, 20*time.Second
				o.CheckpointEvery = 1000 * time.Hour // it would wait behind the sync by a lock that the bubble cannot see
				o.DirectBytes = at.direct
				o.OnStall = func(dir string, why error) {
					if dir != "/data" {
						t.Errorf("directory %q stalled", dir)
					}
					told = append(told, why)
				}
			})
			l := r.log(stageSpec("t", nil))
			r.ready()
			if at.file == "" { // the committing journal: the keeper fills others
				at.file = r.store.dirs[0].journal.cur.name
			}
			for _, c := range []struct {
				hang      time.Duration
				unhealthy bool
				told      int
			}{{4 * time.Second, false, 0}, {12 * time.Second, true, 0}, {30 * time.Second, true, 1}, {30 * time.Second, true, 1}} {
				before := r.store.Stats().StalledSyncs
				remove := r.disk.Inject(vfs.Fault{Op: at.op, Path: at.file, Hook: func() { wait(c.hang) }})
				done := make(chan error, 1)
				_, err := l.Append(&Append{Batches: testBatch{ts: 1, records: []string{"k", "v"}}.bytes(t), Token: done, Now: 1})
				r.must(err)
				wait(c.hang - time.Second)
				if err := r.store.Stalled(); errors.Is(err, ErrStalled) != c.unhealthy {
					t.Errorf("%v of %s, after %v: %v", at.op, at.file, c.hang-time.Second, err)
				}
				r.must(<-done)
				if remove() != 1 {
					t.Errorf("%v of %s did not hang", at.op, at.file)
				}
				wait(time.Second)
				if err := r.store.Stalled(); err != nil {
					t.Errorf("after %v of %s has ended: %v", at.op, at.file, err)
				}
				if n := r.store.Stats().StalledSyncs - before; n != 0 != c.unhealthy {
					t.Errorf("%v of %s for %v counts as %d stalls", at.op, at.file, c.hang, n)
				}
				if len(told) != c.told {
					t.Errorf("after %v of %s for %v OnStall was told %v", at.op, at.file, c.hang, told)
				}
			}
			if len(told) > 0 && (!errors.Is(told[0], ErrStalled) || !strings.Contains(told[0].Error(), "/data")) {
				t.Errorf("OnStall was told %v", told[0])
			}
			r.close()
		})
	}
}

package logstore

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestUnlinksArePaced: a thousand files wait for their deletion on a disk that
// takes 1 ms for each. The keeper gives them a tenth of each second, so that what
// only it can do never waits longer, and nobody who appends waits for any.
func TestUnlinksArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		r := mustRig(t, rigOptions(disk)).ready()
		l, d := r.open(specOf("t", 0)), r.s.dirs[0]
		const files = 1000
		for i := range files {
			name := filepath.Join(d.logs, fmt.Sprintf("%d%s", i, suffixDeleted))
			spew(t, disk, name, make([]byte, 100))
			d.bury(name, 0, false)
		}
		var gone atomic.Int32
		disk.Inject(vfs.Fault{Op: vfs.OpRemove, Path: "*" + suffixDeleted, Times: -1, Hook: func() { wait(time.Millisecond); gone.Add(1) }})
		began, slowest, answered := time.Now(), time.Duration(0), 0
		for ; gone.Load() < files && time.Since(began) < time.Minute; answered++ {
			sent := time.Now()
			r.put(l, "x", 1)
			slowest = max(slowest, time.Since(sent))
			wait(7 * time.Millisecond)
		}
		if took := time.Since(began); took < 9*time.Second || took > 15*time.Second {
			t.Errorf("%d files of 1 ms were unlinked in %v; a tenth of each second is theirs", files, took)
		}
		if slowest > time.Millisecond || answered < 1000 {
			t.Errorf("of %d appends beside it the slowest took %v", answered, slowest)
		}
		r.close()
	})
}

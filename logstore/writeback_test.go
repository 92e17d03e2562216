package logstore

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestWriteBack: a log that grows is written back piece by piece, before any
// checkpoint, and not where the disk is the kernel's business or the log is
// synced directly.
func TestWriteBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   Durability
		direct int64
		want   bool
	}{
		{"commit", Commit, 1 << 30, true},
		{"interval", Interval, 1 << 30, true},
		{"os", OS, 1 << 30, false},
		{"direct", Commit, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := vfs.NewMem()
			o := rigOptions(disk)
			o.Durability, o.DirectBytes, o.JournalMax = c.mode, c.direct, 64<<20
			r := mustRig(t, o).ready()
			l := r.open(specOf("t", 0))
			var asked atomic.Int64
			took := disk.Inject(vfs.Fault{Op: vfs.OpSyncRange, Path: "*.log", Times: -1, Hook: func() { asked.Add(1) }})
			// More than two steps, so that the last look comes after the first pieces.
			big := strings.Repeat("x", 512<<10)
			for range 2*writeBackStep/len(big) + 4 {
				r.put(l, big, 1)
			}
			if c.want {
				eventually(t, "the kernel is asked to write", func() bool { return asked.Load() >= 2 })
			}
			r.close()
			if n := took(); (n > 0) != c.want {
				t.Errorf("%d ranges were written back", n)
			}
		})
	}
}

// TestWriteBackFails: a disk that fails there fails as anywhere.
func TestWriteBackFails(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	o.DirectBytes, o.JournalMax = 1<<30, 64<<20
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	disk.Inject(vfs.Fault{Op: vfs.OpSyncRange, Path: "*.log", Err: syscall.EIO})
	big := strings.Repeat("x", 512<<10)
	for range 2 * writeBackStep / len(big) {
		if _, err := r.append(l, Append{Batches: makeBatch(big, 1, nobody, testNow)}); err != nil {
			break
		}
	}
	eventually(t, "the directory is offline", func() bool { return r.s.dirs[0].offline.Load() })
}

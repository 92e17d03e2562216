package logstore

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestNamelessDirectory: a create that a full disk or a crash cut short leaves
// a directory without a topic id. It may not stand for the partition when
// another data directory has that, or may have it once it is back.
func TestNamelessDirectory(t *testing.T) {
	for _, at := range []struct{ half, real string }{{"/one", "/two"}, {"/two", "/one"}} {
		disk := vfs.NewMem()
		o := rigOptions(disk)
		o.Dirs = []string{"/one", "/two"}
		r := mustRig(t, o).ready()
		l, err := r.s.CreateLog(specOf("t", 0))
		if err == nil && l.Dir() != at.real {
			l, err = r.s.CreateLog(specOf("u", 0)) // the other directory
		}
		if err != nil || l.Dir() != at.real {
			t.Fatalf("made in %s: %v", l.Dir(), err)
		}
		spec := specOf(l.Topic(), 0)
		r.put(l, "x", 1)
		r.close()
		half := filepath.Join(at.half, "logs", logDirName(spec.Topic, 0))
		if err := errors.Join(disk.MkdirAll(half, 0o755), disk.SyncDir(filepath.Dir(half))); err != nil {
			t.Fatal(err)
		}

		remove := disk.Inject(vfs.Fault{Op: vfs.OpRead, Path: at.real + "/format", Err: syscall.EIO, Times: -1})
		r = mustRig(t, o)
		l = r.open(spec)
		if _, err := r.append(l, Append{Batches: makeBatch("y", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
			t.Errorf("%s has half of it and %s is offline; an append: %v", at.half, at.real, err)
		}
		r.abandon()
		remove()

		disk = disk.Kill()
		o.FS = disk
		r = mustRig(t, o)
		l = r.open(spec)
		r.ready()
		if have := r.readAll(l, 0, false); len(have) != 1 || l.Dir() != at.real {
			t.Errorf("in %s: %v", l.Dir(), have)
		}
		if _, err := disk.Stat(half); !isMissing(err) {
			t.Errorf("the half of it is still there: %v", err)
		}
		r.close()
	}
}

// TestCreateAfterAFullDisk: a create that failed is not in the way of the next,
// and leaves nothing.
func TestCreateAfterAFullDisk(t *testing.T) {
	for _, f := range []vfs.Fault{
		{Op: vfs.OpCreate, Path: fileMetadata, Err: syscall.ENOSPC},
		{Op: vfs.OpWrite, Path: fileMetadata, Err: syscall.ENOSPC},
		{Op: vfs.OpWrite, Path: fileMetadata, Err: syscall.ENOSPC, Short: 30},
		{Op: vfs.OpCreate, Path: "*.log", Err: syscall.ENOSPC},
	} {
		disk := vfs.NewMem()
		r := mustRig(t, rigOptions(disk)).ready()
		struck := disk.Inject(f)
		spec := specOf("t", 0)
		if _, err := r.s.CreateLog(spec); !errors.Is(err, ErrDiskFull) {
			t.Errorf("%v of %s: %v", f.Op, f.Path, err)
		}
		if struck() != 1 {
			t.Errorf("%v of %s did not strike", f.Op, f.Path)
		}
		spec.ID[15]++ // the next try is another topic
		l, err := r.s.CreateLog(spec)
		if err != nil {
			t.Fatalf("after %v of %s: %v", f.Op, f.Path, err)
		}
		r.s.dirs[0].measure()
		r.put(l, "x", 1)
		names, err := disk.ReadDir("/data/logs")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if strings.HasPrefix(n.Name(), "t-0.") {
				t.Errorf("%v of %s left %s", f.Op, f.Path, n.Name())
			}
		}
		r.close()
	}
}

package logstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// twoDirs is a stopped store with a record in a partition of each of two
// directories; the metadata's log lies in the first.
func twoDirs(t *testing.T) (o Options, disk *vfs.Mem, specs [2]LogSpec) {
	t.Helper()
	disk = vfs.NewMem()
	o = rigOptions(disk)
	o.Dirs = []string{"/one", "/two"}
	r := mustRig(t, o)
	meta := r.open(specOf(metadataTopic, 0))
	r.ready()
	r.put(meta, "m", 1)
	for i, dir := range []string{"/two", "/one"} { // the fewest first
		l, err := r.s.CreateLog(specOf(fmt.Sprint("t", i), 0))
		if err != nil || l.Dir() != dir || meta.Dir() != "/one" {
			t.Fatalf("made in %s, the metadata in %s: %v", l.Dir(), meta.Dir(), err)
		}
		r.put(l, "x", 1)
		specs[i] = specOf(l.Topic(), 0)
	}
	r.close()
	return o, disk, specs
}

// unmount leaves an empty directory in the place of one, as a disk does that was
// not mounted.
func unmount(t *testing.T, disk *vfs.Mem, path string) {
	t.Helper()
	if err := errors.Join(disk.Rename(path, "/elsewhere"), disk.MkdirAll(path, 0o755), disk.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
}

// mount puts it back. Nothing may have been written into its place.
func mount(t *testing.T, disk *vfs.Mem, path string) {
	t.Helper()
	if entries, err := disk.ReadDir(path); err != nil || len(entries) != 0 {
		t.Errorf("%s, which was not mounted, has %v: %v", path, entries, err)
	}
	if err := errors.Join(disk.RemoveAll(path), disk.Rename("/elsewhere", path), disk.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
}

// TestUnmountedDirectory: the second disk is not mounted, or not named. Its partition
// is offline, not new; the first goes on; all is there once it is back.
func TestUnmountedDirectory(t *testing.T) {
	for _, named := range []bool{true, false} {
		for _, clean := range []bool{true, false} {
			o, disk, specs := twoDirs(t)
			unmount(t, disk, "/two")
			all := o.Dirs
			if !named {
				o.Dirs = o.Dirs[:1]
			}
			for range 2 { // the second start knows no less
				r := mustRig(t, o)
				r.open(specOf(metadataTopic, 0))
				lost, there := r.open(specs[0]), r.open(specs[1])
				r.ready()
				if _, err := r.append(lost, Append{Batches: makeBatch("y", 1, nobody, testNow)}); !errors.Is(err, ErrOffline) {
					t.Errorf("named %v: an append to the directory that is away: %v", named, err)
				}
				if _, err := lost.Read(Read{MaxBytes: 1}); !errors.Is(err, ErrOffline) {
					t.Errorf("named %v: a read of the directory that is away: %v", named, err)
				}
				r.put(there, "y", 1)
				dirs := r.s.Dirs()
				if len(dirs) != 2 || !dirs[0].Online || dirs[1].Online || dirs[1].Path != "/two" || !containsAll(fmt.Sprint(dirs[1].Err), "/two", "--forget-data-dir=") {
					t.Errorf("named %v: the directories are %+v", named, dirs)
				}
				if clean {
					r.close()
				} else {
					disk.CutPower()
					r.abandon()
					disk = disk.Kill()
					o.FS = disk
				}
			}
			mount(t, disk, "/two")
			o.Dirs = all
			r := mustRig(t, o)
			r.open(specOf(metadataTopic, 0))
			lost, there := r.open(specs[0]), r.open(specs[1])
			r.ready()
			if have := r.readAll(lost, 0, false); len(have) != 1 || lost.Dir() != "/two" {
				t.Errorf("back again: %s has %v", lost.Dir(), have)
			}
			if have := r.readAll(there, 0, false); len(have) != 3 {
				t.Errorf("the other has %v", have)
			}
			r.close()
		}
	}
}

// TestUnmountedMetadata: without the directory of the metadata there is no start, and
// no new cluster beside the old logs.
func TestUnmountedMetadata(t *testing.T) {
	o, disk, _ := twoDirs(t)
	unmount(t, disk, "/one")
	r := mustRig(t, o)
	if _, err := r.s.OpenLog(specOf(metadataTopic, 0)); !errors.Is(err, ErrOffline) {
		t.Errorf("the metadata's log: %v", err)
	}
	r.close()
	mount(t, disk, "/one")
}

// TestForgetDirectory: a directory that is gone for good is given up by its id, and
// then for ever; another id gives nothing up.
func TestForgetDirectory(t *testing.T) {
	o, disk, specs := twoDirs(t)
	unmount(t, disk, "/two")
	o.ForgetDirs = []string{TopicID{1}.String()}
	r := mustRig(t, o)
	var id TopicID
	for missing := range func() siblings { m, _ := r.s.missing(); return m }() {
		id = missing
	}
	if !r.s.dirs[1].offline.Load() || !containsAll(fmt.Sprint(r.s.Dirs()[1].Err), id.String()) {
		t.Errorf("it was given up by another's id: %v", r.s.Dirs())
	}
	r.close()
	for _, o.ForgetDirs = range [][]string{{id.String()}, nil} {
		r = mustRig(t, o)
		r.open(specOf(metadataTopic, 0))
		l := r.open(specs[0])
		r.ready()
		if n := len(r.readAll(l, 0, false)); n != 0 || !r.s.Dirs()[1].Online {
			t.Errorf("given up: %d records, %+v", n, r.s.Dirs())
		}
		r.close()
	}
}

// TestDirectoriesThatBelong: a new directory, one that moved, and one alone.
func TestDirectoriesThatBelong(t *testing.T) {
	o, disk, specs := twoDirs(t)
	if err := disk.Rename("/two", "/moved"); err != nil {
		t.Fatal(err)
	}
	o.Dirs = []string{"/one", "/moved", "/new"}
	r := mustRig(t, o)
	r.open(specOf(metadataTopic, 0))
	l := r.open(specs[0])
	r.ready()
	if have := r.readAll(l, 0, false); len(have) != 1 || l.Dir() != "/moved" {
		t.Errorf("%s has %v", l.Dir(), have)
	}
	for _, d := range r.s.Dirs() {
		list := slurp(t, disk, filepath.Join(d.Path, fileSiblings))
		if !d.Online || !containsAll(string(list), "/one", "/moved", "/new") {
			t.Errorf("%+v knows %q", d, list)
		}
	}
	r.close()
	alone := rigOptions(vfs.NewMem())
	r = mustRig(t, alone).ready()
	if _, err := alone.FS.Stat("/data/" + fileSiblings); !isMissing(err) {
		t.Errorf("a directory alone has a list: %v", err)
	}
	r.close()
}

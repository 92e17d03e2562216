package logstore

import (
	"errors"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestMoreHotLogsThanFiles: more logs are appended to than files may be open, and
// no checkpoint helps. Whoever opens one more waits for others to be synced.
func TestMoreHotLogsThanFiles(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	o.MaxOpenFiles = 8
	r := mustRig(t, o).ready()
	most := r.s.files.most
	d := r.s.dirs[0]
	d.ckptMu.Lock()
	var logs []*Log
	for round := range 2 {
		for i := range int32(5 * int32(most)) {
			if round == 0 {
				logs = append(logs, r.open(specOf("t", i)))
			}
			r.put(logs[i], "x", 1)
			if have := r.s.Stats().OpenFiles; have > most {
				t.Fatalf("round %d, log %d: %d files are open, the bound is %d", round, i, have, most)
			}
		}
	}
	d.ckptMu.Unlock()
	if r.s.Stats().RoomSyncs == 0 {
		t.Error("no segment was synced for room")
	}
	for i, l := range logs {
		l.active.fmu.Lock()
		if l.active.file == nil && l.active.durable.Load() < l.active.size.Load() {
			t.Errorf("the file of log %d was closed and is not synced", i)
		}
		l.active.fmu.Unlock()
		if have := r.readAll(l, 0, false); len(have) != 2 {
			t.Errorf("log %d has %v", i, have)
		}
	}
	// A sync for room that fails is a failed sync: nothing may be believed after it.
	disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*.log", Err: syscall.EIO})
	d.ckptMu.Lock()
	for i := 0; i < len(logs) && r.s.Usable(); i++ {
		if _, err := r.append(logs[i], Append{Batches: makeBatch("y", 1, nobody, testNow)}); err != nil && !errors.Is(err, ErrOffline) {
			t.Errorf("an append beside a failed sync: %v", err)
		}
	}
	d.ckptMu.Unlock()
	if off := r.offline(); len(off) != 1 || !errors.Is(off[0], syscall.EIO) {
		t.Errorf("offline by %v", off)
	}
	r.abandon()
}

// TestNoDescriptor: a process without a descriptor to spare refuses what needs
// one, and nothing else; its directory stays.
func TestNoDescriptor(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	r := mustRig(t, o).ready()
	spec := specOf("t", 0)
	spec.Config.SegmentBytes = int32(2 * len(makeBatch("a", 1, nobody, testNow)))
	l, other := r.open(spec), r.open(specOf("other", 0))
	for range 2 {
		r.put(l, "a", 1)
	}
	remove := disk.Inject(vfs.Fault{Op: vfs.OpOpen | vfs.OpCreate, Path: "*.log", Times: -1, Err: syscall.EMFILE})
	if _, err := r.append(l, Append{Batches: makeBatch("b", 1, nobody, testNow)}); !errors.Is(err, ErrNoFiles) {
		t.Errorf("an append that needs a file: %v", err)
	}
	r.put(other, "b", 1)
	if n := remove(); n == 0 {
		t.Error("the fault did not strike")
	}
	r.put(l, "b", 1)
	if have := r.readAll(l, 0, false); len(have) != 3 {
		t.Errorf("read %v", have)
	}
	r.close()
}

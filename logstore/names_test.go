package logstore

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestAnswerWaitsForAnothersNameSync: the keeper, which seals what was rolled, is
// about to sync the log's directory when an append goes into the new segment by the
// direct path. Its answer waits for that sync: the segment's name is not durable
// before (crash model, TestCrashPowerCut, seed 7989: the power went in between).
func TestAnswerWaitsForAnothersNameSync(t *testing.T) {
	disk := vfs.NewMem()
	o := rigOptions(disk)
	o.DirectBytes = 1
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	r.put(l, "before", 1)
	stuck, gate := make(chan struct{}), make(chan struct{})
	var synced atomic.Bool
	disk.Inject(vfs.Fault{Op: vfs.OpSyncDir, Path: l.path, Hook: func() { close(stuck); <-gate; synced.Store(true) }})
	if err := l.Roll(testNow); err != nil {
		t.Fatal(err)
	}
	<-stuck
	answered := make(chan bool, 1)
	tok := nextToken()
	if _, err := l.Append(&Append{Batches: makeBatch("after", 1, nobody, testNow), Token: tok, Now: testNow}); err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := r.wait(tok); err != nil {
			t.Error(err)
		}
		answered <- synced.Load()
	}()
	select {
	case <-answered:
		t.Fatal("the append is answered, and the name of its segment is not durable")
	case <-time.After(50 * time.Millisecond): // as soon as that it would be answered
	}
	close(gate)
	if !<-answered {
		t.Error("the append was answered before the directory was synced")
	}
	r.close()
}

// TestFailedNameSyncIsRemembered: who waited for another's sync of the directory
// does not try again when that fails; the second try would succeed and be a lie.
func TestFailedNameSyncIsRemembered(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	l := r.open(specOf("t", 0))
	l.names.add()
	remove := disk.Inject(vfs.Fault{Op: vfs.OpSyncDir, Path: l.path, Err: syscall.EIO})
	first, second := l.syncNames(), l.syncNames()
	if first == nil || second != first {
		t.Errorf("the syncs answer %v and %v", first, second)
	}
	if n := remove(); n != 1 {
		t.Errorf("the directory was synced %d times", n)
	}
	r.abandon()
}

// TestNameSyncWithoutDescriptor: what could not be opened was not synced, and may
// be tried again.
func TestNameSyncWithoutDescriptor(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	l := r.open(specOf("t", 0))
	l.names.add()
	disk.Inject(vfs.Fault{Op: vfs.OpSyncDir, Path: l.path, Err: syscall.EMFILE})
	if err := l.syncNames(); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("the first sync answers %v", err)
	}
	if err := l.syncNames(); err != nil {
		t.Errorf("the second sync answers %v", err)
	}
	r.close()
}

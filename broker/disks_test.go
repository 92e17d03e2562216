package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestDiskHangs: while a sync hangs the broker is not ready, and it says when
// the process should end; the disk comes back, and so does the broker.
func TestDiskHangs(t *testing.T) {
	disk := vfs.NewMem()
	b := run(t, func(o *Options) {
		o.FS, o.DataDirs = disk, []string{"/data"}
		o.StallUnhealthy, o.StallExit = 10*time.Millisecond, 20*time.Millisecond
	})
	makeTopic(t, b, "t", 1, nil)
	c := client(t, b, kgo.DefaultProduceTopic("t"))
	if err := c.ProduceSync(within(t), kgo.StringRecord("before")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := b.Ready(); err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*.journal", Times: -1, Hook: func() { <-gate }})
	done := make(chan error, 1)
	c.Produce(within(t), kgo.StringRecord("during"), func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-b.Failed():
		if !errors.Is(err, logstore.ErrStalled) {
			t.Errorf("the broker failed by %v", err)
		}
	case <-within(t).Done():
		t.Error("a disk that hangs was never told")
	}
	if err := b.Ready(); !errors.Is(err, logstore.ErrStalled) {
		t.Errorf("ready while a sync hangs: %v", err)
	}
	close(gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := b.Ready(); err != nil {
		t.Errorf("the disk is back: %v", err)
	}
}

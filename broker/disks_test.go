package broker

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
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
		o.StallUnhealthy, o.StallExit = 500*time.Millisecond, time.Second // above what a loaded machine does by itself
	})
	makeTopic(t, b, "t", 1, nil)
	c := client(t, b, kgo.DefaultProduceTopic("t"))
	if err := c.ProduceSync(within(t), kgo.StringRecord("before")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker is ready", func() bool { return b.Ready() == nil })
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
	eventually(t, "the disk is back, and so is the broker", func() bool { return b.Ready() == nil })
}

// TestDirCannotBeOpened: a start with one data directory of two serves its
// partitions; those of the other answer KAFKA_STORAGE_ERROR until it is back.
func TestDirCannotBeOpened(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	start := func() *Broker {
		t.Helper()
		b, err := Start(Options{DataDirs: dirs, Listeners: "PLAINTEXT://127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	send := func(b *Broker) (good, bad int) {
		t.Helper()
		c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(0), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.AllISRAcks()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for p := range int32(4) {
			switch err := c.ProduceSync(within(t), &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr(); {
			case err == nil:
				good++
			case errors.Is(err, kerr.KafkaStorageError):
				bad++
			default:
				t.Errorf("partition %d: %v", p, err)
			}
		}
		return good, bad
	}
	b := start()
	makeTopic(t, b, "t", 4, nil)
	if good, _ := send(b); good != 4 {
		t.Fatalf("%d of 4 partitions took a record", good)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	format := filepath.Join(dirs[1], "format")
	if err := errors.Join(os.Rename(format, format+".away"), os.Mkdir(format, 0o755)); err != nil {
		t.Fatal(err)
	}
	b = start()
	if good, bad := send(b); good != 2 || bad != 2 {
		t.Errorf("with one directory: %d partitions took a record, %d have no disk", good, bad)
	}
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Remove(format), os.Rename(format+".away", format)); err != nil {
		t.Fatal(err)
	}
	b = start()
	if good, _ := send(b); good != 4 {
		t.Errorf("with both again: %d of 4 partitions took a record", good)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

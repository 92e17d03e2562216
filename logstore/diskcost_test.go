package logstore

import (
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestDiskCost: a disk with dear syncs journals more, one with little bandwidth
// less, and no measurement leads out of the bounds.
func TestDiskCost(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		name                string
		grown, small, large time.Duration
		want                int64
	}{
		{"a slow cloud disk: 2 ms a sync, 126 MB/s", 2000 * us, 1000 * us, 3048 * us, 252 << 10 * 2000 / 2048},
		{"twice the bandwidth", 2000 * us, 1000 * us, 2024 * us, 252 << 10 * 2000 / 1024},
		{"less latency", 1500 * us, 1000 * us, 3048 * us, 252 << 10 * 1500 / 2048},
		{"syncs for nothing", 1 * us, 1 * us, 1000 * us, leastDirect},
		{"bytes for nothing", 1000 * us, 500 * us, 501 * us, mostDirect},
		{"a disturbed measurement", 1000 * us, 500 * us, 400 * us, mostDirect},
	} {
		d := diskCost{c.grown, c.small, c.large}
		if got := d.direct(); got < c.want-16 || got > c.want+16 {
			t.Errorf("%s: direct from %d bytes, want %d", c.name, got, c.want)
		}
	}
}

// TestMeasureCost: the measurement leaves the file that the journal needs.
func TestMeasureCost(t *testing.T) {
	disk := vfs.NewMem()
	f, err := disk.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	const size = firstJournalFile
	c, err := measureCost(f, size)
	if err != nil || c.grown <= 0 || c.small <= 0 || c.large <= 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if n, err := f.Size(); n != size || err != nil {
		t.Errorf("%d bytes, %v, want %d", n, err, size)
	}
	p := make([]byte, size-journalBlock)
	if _, err := f.ReadAt(p, journalBlock); err != nil {
		t.Error(err)
	}
	for i, b := range p {
		if b != 0 {
			t.Fatalf("byte %d is %d", i+journalBlock, b)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

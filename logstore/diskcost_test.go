package logstore

import (
	"slices"
	"testing"
	"testing/synctest"
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
		d := diskCost{grown: c.grown, small: c.small, large: c.large}
		if got := d.direct(); got < c.want-16 || got > c.want+16 {
			t.Errorf("%s: direct from %d bytes, want %d", c.name, got, c.want)
		}
	}
}

// slowWay is a file on which one way of writing takes longer.
type slowWay struct {
	vfs.File
	cached, direct time.Duration
	writes         []string
}

func (f *slowWay) WriteAt(p []byte, off int64) (int, error) {
	<-time.After(f.cached)
	f.writes = append(f.writes, "cached")
	return f.File.WriteAt(p, off)
}

func (f *slowWay) WriteDirect(p []byte, off int64) (int, error) {
	<-time.After(f.direct)
	f.writes = append(f.writes, "direct")
	return f.File.WriteDirect(p, off)
}

// TestJournalWrite: the journal takes the quicker way of writing, or the one that
// it was told; what waits for no sync goes through the cache.
func TestJournalWrite(t *testing.T) {
	for _, c := range []struct {
		name, way      string
		cached, direct time.Duration
		want           string
	}{
		{"the disk takes both alike", "auto", 400, 400, "direct"},
		{"a fifth slower", "auto", 1000, 1200, "direct"},
		{"a third slower", "auto", 900, 1200, "cached"},
		{"as told", "direct", 100, 1000, "direct"},
		{"as told", "cached", 1000, 100, "cached"},
	} {
		synctest.Test(t, func(t *testing.T) {
			file, err := vfs.NewMem().Create("/f")
			if err != nil {
				t.Fatal(err)
			}
			f := &slowWay{File: file, cached: c.cached * time.Microsecond, direct: c.direct * time.Microsecond}
			cost, err := measureCost(f, firstJournalFile, c.way)
			if err != nil {
				t.Fatal(err)
			}
			j := &journal{cost: cost, cur: &ringFile{file: f, blocks: firstJournalFile / journalBlock}, at: 1}
			for _, w := range []struct {
				synced bool
				want   string
			}{{true, c.want}, {false, "cached"}} {
				info := groupInfo{length: groupHeader, blocks: 1}
				if err := j.begin(&info); err != nil {
					t.Fatal(err)
				}
				f.writes = nil
				if err := j.write(&info, w.synced); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(f.writes, []string{w.want}) {
					t.Errorf("%s (%s), synced %v: written %v, want %s", c.name, c.way, w.synced, f.writes, w.want)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
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
	c, err := measureCost(f, size, "auto")
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

package logstore

import (
	"fmt"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// What a disk's syncs cost, measured on the first journal file at each start:
// rule 4 weighs with it whether a log's bytes of one group are written to the
// journal as well, which costs bytes ÷ bandwidth, or its segment is synced by
// itself, which costs one more sync of a file that has grown. It also tells whether
// the journal is better written past the page cache: a quarter in its disfavour is
// taken for chance, since it costs less CPU.
const (
	costSamples = 3
	costPiece   = 256 << 10
	// costLimit bounds the measurement on a slow disk: a start must be quick.
	costLimit = 5 * time.Millisecond
	// The answer is kept within what makes sense on any disk: other work, or a
	// disk that lies, may disturb the few samples.
	leastDirect = 128 << 10
	mostDirect  = 4 << 20
)

// diskCost is the least time of each kind; whatever disturbs a sample only adds.
type diskCost struct {
	grown time.Duration // a block appended to a file, and its sync
	small time.Duration // a block overwritten, and its sync
	large time.Duration // costPiece overwritten, and its sync
	// pastCache says that the overwrites above, and those of the journal, go
	// past the page cache.
	pastCache bool
}

// measureCost appends blocks to f, which grows, and fills it up to size; then it
// overwrites. f is left size bytes long with zeros behind its first block. way is
// Options.JournalWrite.
func measureCost(f vfs.File, size int64, way string) (c diskCost, err error) {
	piece := vfs.Aligned(costPiece)
	block := piece[:journalBlock]
	began := time.Now()
	end := int64(journalBlock)
	if c.grown, err = leastTime(f, f.WriteAt, block, began, func() int64 { end += journalBlock; return end - journalBlock }); err != nil {
		return c, err
	}
	for end < size {
		n, err := f.WriteAt(piece[:min(costPiece, size-end)], end)
		if err != nil {
			return c, fmt.Errorf("fill: %w", err)
		}
		end += int64(n)
	}
	if err := f.Sync(); err != nil {
		return c, fmt.Errorf("fill: %w", err)
	}
	began = time.Now()
	second := func() int64 { return journalBlock }
	write := f.WriteAt
	if way != "direct" {
		if c.small, err = leastTime(f, write, block, began, second); err != nil {
			return c, err
		}
	}
	if way != "cached" {
		past, err := leastTime(f, f.WriteDirect, block, began, second)
		if err != nil {
			return c, err
		}
		if way == "direct" || past <= c.small+c.small/4 {
			write, c.small, c.pastCache = f.WriteDirect, past, true
		}
	}
	c.large, err = leastTime(f, write, piece, began, second)
	return c, err
}

// leastTime writes p where at says and syncs, some times.
func leastTime(f vfs.File, write func([]byte, int64) (int, error), p []byte, began time.Time, at func() int64) (least time.Duration, err error) {
	for i := range costSamples {
		if i > 0 && time.Since(began) > costLimit {
			break
		}
		from := time.Now()
		if _, err = write(p, at()); err == nil {
			err = f.Datasync()
		}
		if err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		if took := time.Since(from); i == 0 || took < least {
			least = took
		}
	}
	return least, nil
}

// direct is from how many bytes of one log in one group its segment is better
// synced than its bytes journaled.
func (c *diskCost) direct() int64 {
	slope := c.large - c.small // for costPiece less a block
	if slope <= 0 {
		return mostDirect // more bytes cost nothing that could be seen
	}
	bytes := float64(c.grown) / float64(slope) * (costPiece - journalBlock)
	return min(max(int64(bytes), leastDirect), mostDirect)
}

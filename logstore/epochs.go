package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// epochStart is one line of leader-epoch-checkpoint: the first offset written
// in an epoch.
type epochStart struct {
	epoch int32
	start int64
}

// epochCache is a partition's leader epochs in rising order, Kafka's
// LeaderEpochFileCache. An entry comes with the first batch of its epoch, so
// an epoch in which nothing was written has none.
type epochCache struct {
	mu    sync.Mutex
	list  []epochStart // mu
	dirty bool         // mu; the file lags behind list
}

// assign notes that offset is the first of epoch, unless the epoch is known.
// Entries that contradict it (an equal or later start) go.
func (c *epochCache) assign(epoch int32, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.list); n > 0 && c.list[n-1].epoch >= epoch {
		return
	}
	for n := len(c.list); n > 0 && c.list[n-1].start >= offset; n = len(c.list) {
		c.list = c.list[:n-1]
	}
	c.list = append(c.list, epochStart{epoch, offset})
	c.dirty = true
}

// latest is the newest epoch written, -1 when there is none.
func (c *epochCache) latest() int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return -1
	}
	return c.list[len(c.list)-1].epoch
}

// at is the epoch of an offset, -1 when unknown.
func (c *epochCache) at(offset int64) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := sort.Search(len(c.list), func(i int) bool { return c.list[i].start > offset })
	if i == 0 {
		return -1
	}
	return c.list[i-1].epoch
}

// endFor answers OffsetForLeaderEpoch (KIP-101, KIP-320) the way Kafka's
// LeaderEpochFileCache.endOffsetFor does. current is the leader's own epoch.
func (c *epochCache) endFor(epoch, current int32, logEnd int64) (found int32, end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch < 0 {
		return -1, -1
	}
	n := len(c.list)
	if epoch == current || (n > 0 && c.list[n-1].epoch == epoch) {
		return epoch, logEnd
	}
	i := sort.Search(n, func(i int) bool { return c.list[i].epoch > epoch })
	switch {
	case i == n && epoch > current: // nobody has led in it
		return -1, -1
	case i == n && n == 0: // the leader's own epoch is the first and starts at the end
		return epoch, logEnd
	case i == n:
		return c.list[n-1].epoch, logEnd
	case i == 0: // older than everything known: it ends where the first starts
		return epoch, c.list[0].start
	}
	return c.list[i-1].epoch, c.list[i].start
}

// truncateStart forgets what ends at or below offset; the epoch that covers
// offset then starts there.
func (c *epochCache) truncateStart(offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := sort.Search(len(c.list), func(i int) bool { return c.list[i].start > offset })
	if i == 0 || (i == 1 && c.list[0].start == offset) {
		return
	}
	c.list = append(c.list[:0], c.list[i-1:]...)
	c.list[0].start = offset
	c.dirty = true
}

// truncateEnd forgets epochs that start at or above offset.
func (c *epochCache) truncateEnd(offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.list); n > 0 && c.list[n-1].start >= offset; n = len(c.list) {
		c.list = c.list[:n-1]
		c.dirty = true
	}
}

// flush writes the file when it lags.
func (c *epochCache) flush(disk vfs.FS, dir string) error {
	c.mu.Lock()
	if !c.dirty {
		c.mu.Unlock()
		return nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "0\n%d\n", len(c.list))
	for _, e := range c.list {
		fmt.Fprintf(&b, "%d %d\n", e.epoch, e.start)
	}
	c.dirty = false
	c.mu.Unlock()
	if err := atomicWrite(disk, filepath.Join(dir, fileEpochs), b.Bytes()); err != nil {
		c.mu.Lock()
		c.dirty = true
		c.mu.Unlock()
		return err
	}
	return nil
}

// readEpochs reads leader-epoch-checkpoint; a missing file is empty.
func readEpochs(disk vfs.FS, dir string) ([]epochStart, error) {
	b, err := readFile(disk, filepath.Join(dir, fileEpochs), maxOffsetFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := decodeEpochs(string(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return list, nil
}

func decodeEpochs(text string) ([]epochStart, error) {
	rows := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(rows) < 2 || strings.TrimSpace(rows[0]) != "0" {
		return nil, errors.New(fileEpochs + " does not start with version 0 and a count")
	}
	if n, err := strconv.Atoi(strings.TrimSpace(rows[1])); err != nil || n != len(rows)-2 {
		return nil, fmt.Errorf("%s announces %q lines and has %d", fileEpochs, rows[1], len(rows)-2)
	}
	var out []epochStart
	for _, row := range rows[2:] {
		f := strings.Fields(row)
		if len(f) != 2 {
			return nil, fmt.Errorf("%s: the line %q is not epoch and offset", fileEpochs, row)
		}
		e, err1 := strconv.ParseInt(f[0], 10, 32)
		o, err2 := strconv.ParseInt(f[1], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%s: the line %q is not epoch and offset", fileEpochs, row)
		}
		if n := len(out); n > 0 && (out[n-1].epoch >= int32(e) || out[n-1].start > o) {
			return nil, fmt.Errorf("%s: the line %q goes back", fileEpochs, row)
		}
		out = append(out, epochStart{int32(e), o})
	}
	return out, nil
}

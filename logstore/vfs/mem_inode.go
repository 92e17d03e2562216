package vfs

import (
	"bytes"
	"fmt"
	"runtime"
	"syscall"

	"github.com/chronik-stream/chronik/mmap"
)

const (
	sectorSize = 512  // what a disk writes whole
	blockSize  = 4096 // what space is counted in
	// mapReserve is the address space of a file with maps, and so its largest
	// size: a mapped file must never move.
	mapReserve = 1 << 30
)

// sector is a sector's content on the platter; nil stands for zeros.
type sector = *[sectorSize]byte

// inode is a file's content. Mem.mu guards all but the bytes of a map.
type inode struct {
	// data is what the process sees; its length is the file's size. It lies in
	// region while maps live, else on the heap.
	data   []byte
	region []byte
	// shadow is data without the stores that no Touched has told of; it exists
	// while region does.
	shadow []byte
	// before holds the platter's content of each dirty sector.
	before map[int64]sector
	// lost holds the platter's content of each sector that a failed sync left
	// clean: no later sync repairs it, only another write does.
	lost     map[int64]sector
	diskSize int64
	blocks   []bool // allocated blocks
	links    int
	opens    int
	maps     int
	cleanup  runtime.Cleanup // of region and shadow
}

// view is the content as far as the disk knows it.
func (i *inode) view() []byte {
	if i.region != nil {
		return i.shadow
	}
	return i.data
}

// dirty marks the sectors of [off, end) before they change.
func (i *inode) dirty(off, end int64) {
	if i.before == nil {
		i.before = map[int64]sector{}
	}
	view := i.view()
	for s := off / sectorSize; s*sectorSize < end; s++ {
		if _, yes := i.before[s]; yes {
			continue
		}
		if old, yes := i.lost[s]; yes {
			i.before[s] = old
			delete(i.lost, s)
			continue
		}
		i.before[s] = sectorOf(view, s)
	}
}

// sectorOf copies a sector out of content, padded with zeros.
func sectorOf(content []byte, s int64) sector {
	if s*sectorSize >= int64(len(content)) {
		return nil
	}
	var c [sectorSize]byte
	copy(c[:], content[s*sectorSize:])
	return &c
}

// grow makes the file at least size bytes long; the new bytes are zeros.
func (i *inode) grow(size int64) error {
	was := int64(len(i.data))
	if size <= was {
		return nil
	}
	if i.region != nil {
		if size > mapReserve {
			return syscall.EFBIG
		}
		i.data, i.shadow = i.region[:size], i.shadow[:size]
		clear(i.data[was:])
		clear(i.shadow[was:])
		return nil
	}
	if size > int64(cap(i.data)) {
		bigger := make([]byte, size, max(size, 2*int64(cap(i.data))))
		copy(bigger, i.data)
		i.data = bigger
		return nil
	}
	i.data = i.data[:size]
	clear(i.data[was:])
	return nil
}

// write stores p at off, as much as there is space for.
func (i *inode) write(m *Mem, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	end, full := i.reserve(m, off, off+int64(len(p)))
	if end > off {
		i.dirty(off, end)
		if err := i.grow(end); err != nil {
			return 0, err
		}
		p = p[:end-off]
		copy(i.data[off:], p)
		if i.region != nil {
			copy(i.shadow[off:], p)
		}
	}
	return int(max(0, end-off)), full
}

// reserve takes blocks for [off, end) and says how far it came.
func (i *inode) reserve(m *Mem, off, end int64) (int64, error) {
	for b := off / blockSize; b*blockSize < end; b++ {
		if b < int64(len(i.blocks)) && i.blocks[b] {
			continue
		}
		if m.used+blockSize > m.capacity {
			return max(off, b*blockSize), syscall.ENOSPC
		}
		if b >= int64(len(i.blocks)) {
			i.blocks = append(i.blocks, make([]bool, b+1-int64(len(i.blocks)))...)
		}
		i.blocks[b] = true
		m.used += blockSize
	}
	return end, nil
}

// release gives the blocks that lie wholly in [off, end) back.
func (i *inode) release(m *Mem, off, end int64) {
	for b := (off + blockSize - 1) / blockSize; b < int64(len(i.blocks)) && (b+1)*blockSize <= end; b++ {
		if i.blocks[b] {
			i.blocks[b] = false
			m.used -= blockSize
		}
	}
}

// free gives all blocks back once no name and no handle is left.
func (i *inode) free(m *Mem) {
	if i.links <= 0 && i.opens == 0 && i.maps == 0 {
		i.release(m, 0, int64(len(i.blocks))*blockSize)
	}
}

func (i *inode) truncate(m *Mem, size int64) error {
	if size > int64(len(i.data)) {
		return i.grow(size)
	}
	// The same size gives back what is allocated behind it, as on ext4 and XFS.
	for mp := range m.maps {
		if mp.node.inode == i && mp.end() > (size+blockSize-1)/blockSize*blockSize {
			return fmt.Errorf("cutting the file to %d bytes would leave a live map of [%d, %d) without pages: %w",
				size, mp.off, mp.end(), syscall.EINVAL)
		}
	}
	i.dirty(size, int64(len(i.data)))
	i.data = i.data[:size]
	if i.region != nil {
		i.shadow = i.shadow[:size]
	}
	i.release(m, size, int64(len(i.blocks))*blockSize)
	return nil
}

func (i *inode) punch(m *Mem, off, end int64) {
	end = min(end, int64(len(i.data)))
	if off >= end {
		return
	}
	i.dirty(off, end)
	clear(i.data[off:end])
	if i.region != nil {
		clear(i.shadow[off:end])
	}
	i.release(m, off, end)
}

// touched takes a store through a map over into what the disk knows.
func (i *inode) touched(off, end int64) {
	end = min(end, int64(len(i.shadow)))
	if off >= end {
		return
	}
	i.dirty(off, end)
	copy(i.shadow[off:end], i.data[off:end])
}

// flight is what a sync found when it was called: it vouches for that and for
// nothing written while it ran.
type flight struct {
	sectors map[int64]sector
	size    int64
}

func (i *inode) takeOff() flight {
	f := flight{make(map[int64]sector, len(i.before)), int64(len(i.data))}
	for s := range i.before {
		f.sectors[s] = sectorOf(i.view(), s)
	}
	return f
}

// land ends a sync that succeeded.
func (i *inode) land(f flight) {
	for s, synced := range f.sectors {
		if _, dirty := i.before[s]; !dirty {
			continue
		}
		if same(sectorOf(i.view(), s), synced) {
			delete(i.before, s)
		} else {
			i.before[s] = synced
		}
	}
	i.diskSize = f.size
}

func same(a, b sector) bool {
	var zero [sectorSize]byte
	if a == nil {
		a = &zero
	}
	if b == nil {
		b = &zero
	}
	return bytes.Equal(a[:], b[:])
}

// loseClean ends a sync that failed: the sectors count as clean and the
// platter has none of them.
func (i *inode) loseClean() {
	if i.lost == nil {
		i.lost = map[int64]sector{}
	}
	for s, old := range i.before {
		i.lost[s] = old
	}
	clear(i.before)
}

// pin moves the content where maps can point to it.
func (i *inode) pin() error {
	if i.region != nil {
		return nil
	}
	region, err := mmap.Anonymous(mapReserve)
	if err != nil {
		return err
	}
	shadow, err := mmap.Anonymous(mapReserve)
	if err != nil {
		return fmt.Errorf("%w (unmap: %v)", err, mmap.Unmap(region))
	}
	n := copy(region, i.data)
	copy(shadow, i.data)
	i.region, i.data, i.shadow = region, region[:n], shadow[:n]
	// A store that was lost with its power never unmaps.
	i.cleanup = runtime.AddCleanup(i, unmapBoth, [2][]byte{region, shadow[:mapReserve]})
	return nil
}

func unmapBoth(b [2][]byte) {
	for _, r := range b {
		_ = mmap.Unmap(r) // a cleanup has nobody to tell, and a whole region cannot fail
	}
}

// unpin ends what pin began, with the last map. Stores that no Touched told of
// vanish here, so that a test sees them missing.
func (i *inode) unpin() error {
	if i.maps > 0 || i.region == nil {
		return nil
	}
	i.cleanup.Stop() // the addresses may be somebody else's by then
	region, shadow := i.region, i.shadow[:mapReserve]
	i.data = append(make([]byte, 0, len(i.data)), i.shadow...)
	i.region, i.shadow = nil, nil
	if err := mmap.Unmap(region); err != nil {
		return err
	}
	return mmap.Unmap(shadow)
}

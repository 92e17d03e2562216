package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Keep is what of unsynced state a power cut leaves.
type Keep uint8

const (
	// KeepSome is any subset, drawn anew for each file: half of it, nearly all,
	// nearly nothing, the first part, the last part.
	KeepSome Keep = iota
	// KeepNone loses all that was not synced.
	KeepNone
	// KeepAll loses nothing.
	KeepAll
)

// CrashOptions say how hard a power cut is. The zero value is the random one.
type CrashOptions struct {
	Content Keep
	Names   Keep
}

// Crash gives the disk as it is after the power went now. m goes on as it was;
// its store must not be asked to shut down cleanly and then be compared, so
// cut m with [Mem.CutPower] or [Mem.CrashAt] first. rng may be nil when nothing
// is random.
func (m *Mem) Crash(rng *rand.Rand, o CrashOptions) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.copier()
	c.content = func(i *inode) *inode { return i.afterPowerCut(rng, o.Content) }
	root := c.tree(m.root)
	gone := map[edge]bool{}
	for _, op := range m.pending {
		keep := o.Names == KeepAll || o.Names == KeepSome && rng.IntN(2) == 0
		if !keep || op.touches(gone) {
			op.addTo(gone)
			continue
		}
		c.rename(op).persist()
	}
	return c.finish(root)
}

// CutPower makes every further operation on m fail with [ErrPowerCut].
func (m *Mem) CutPower() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = true
}

// Kill gives the disk as the next process finds it when this one is killed: the
// page cache survives, with all that is dirty, or clean and wrong after a
// failed sync; locks, handles and maps do not.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.copier()
	c.content = (*inode).afterKill
	root := c.tree(m.root)
	for _, op := range m.pending {
		o := c.rename(op)
		o.fromSynced, o.toSynced = op.fromSynced, op.toSynced
		c.to.pending = append(c.to.pending, o)
	}
	return c.finish(root)
}

// copier copies a tree of nodes, each once.
type copier struct {
	to      *Mem
	nodes   map[*node]*node
	content func(*inode) *inode
}

func (m *Mem) copier() *copier {
	to := NewMem()
	to.capacity, to.reserves = m.capacity, m.reserves
	return &copier{to: to, nodes: map[*node]*node{}}
}

// tree copies a node with what is durable below it.
func (c *copier) tree(n *node) *node {
	if n == nil {
		return nil
	}
	if done := c.nodes[n]; done != nil {
		return done
	}
	fresh := &node{modTime: n.modTime}
	c.nodes[n] = fresh
	if n.inode != nil {
		fresh.inode = c.content(n.inode)
		return fresh
	}
	fresh.children, fresh.durable = map[string]*node{}, map[string]*node{}
	// In order, so that a seed gives the same disk again.
	for _, name := range sortedNames(n.durable) {
		fresh.durable[name] = c.tree(n.durable[name])
	}
	return fresh
}

// rename gives a change in terms of the copies.
func (c *copier) rename(o *nameOp) *nameOp {
	return &nameOp{
		node: c.tree(o.node),
		from: edge{c.tree(o.from.dir), o.from.name},
		to:   edge{c.tree(o.to.dir), o.to.name},
	}
}

// finish makes the process's view, the durable names with every pending change
// applied, and counts links and space.
func (c *copier) finish(root *node) *Mem {
	c.to.root = root
	for _, n := range c.nodes {
		if n.inode == nil {
			maps.Copy(n.children, n.durable)
		}
	}
	for _, op := range c.to.pending {
		op.show()
	}
	c.count(root)
	return c.to
}

func (c *copier) count(n *node) {
	for _, child := range n.children {
		c.count(child)
	}
	if n.inode == nil {
		return
	}
	n.inode.links++
	for _, taken := range n.inode.blocks {
		if taken {
			c.to.used += blockSize
		}
	}
}

// afterPowerCut is the content on the platter.
func (i *inode) afterPowerCut(rng *rand.Rand, keep Keep) *inode {
	chance, from, to := 0.0, int64(0), int64(1)<<62
	size := int64(len(i.data))
	switch keep {
	case KeepAll:
		chance = 1
	case KeepNone:
		size = i.diskSize
	case KeepSome:
		sectors := size/sectorSize + 1
		switch rng.IntN(6) {
		case 0:
			chance = 0.9
		case 1:
			chance = 0.1
		case 2:
			chance, to = 1, rng.Int64N(sectors)
		case 3:
			chance, from = 1, rng.Int64N(sectors)
		default:
			chance = 0.5
		}
		switch {
		case rng.IntN(3) == 0:
			size = i.diskSize
		case size > i.diskSize && rng.IntN(2) == 0:
			size = i.diskSize + rng.Int64N(size-i.diskSize+1)
		}
	}
	view := i.view()
	fresh := &inode{data: make([]byte, size), diskSize: size}
	copy(fresh.data, view)
	old := func(s int64, c sector) {
		if s*sectorSize >= size {
			return
		}
		if c == nil {
			c = new([sectorSize]byte)
		}
		copy(fresh.data[s*sectorSize:], c[:])
	}
	for _, s := range sortedSectors(i.before) {
		if s >= from && s < to && (chance == 1 || chance > 0 && rng.Float64() < chance) {
			continue
		}
		old(s, i.before[s])
	}
	for s, c := range i.lost {
		old(s, c)
	}
	fresh.blocks = make([]bool, max(int64(len(i.blocks)), (size+blockSize-1)/blockSize))
	copy(fresh.blocks, i.blocks)
	return fresh
}

// afterKill is the page cache and what it hides.
func (i *inode) afterKill() *inode {
	return &inode{
		data:     append([]byte(nil), i.data...),
		before:   maps.Clone(i.before),
		lost:     maps.Clone(i.lost),
		diskSize: i.diskSize,
		blocks:   append([]bool(nil), i.blocks...),
	}
}

func sortedSectors(m map[int64]sector) []int64 {
	s := slices.Collect(maps.Keys(m))
	slices.Sort(s)
	return s
}

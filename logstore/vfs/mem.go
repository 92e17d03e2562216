package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrPowerCut is what every call on a [Mem] answers after its power was cut.
var ErrPowerCut = errors.New("vfs: the power of the in-memory disk was cut")

// Mem is a disk in memory that knows what a power cut may lose. It keeps apart
// what a process sees (the page cache) and what the platter holds:
//
//   - Content. A write dirties 512-byte sectors; only Datasync, Sync and
//     Mapping.Flush clean them. A power cut keeps any subset of dirty sectors
//     and any size between the synced one and the last one.
//   - Names. Create, Remove, Rename and MkdirAll wait for SyncDir of their
//     directory; a power cut keeps any subset that respects the order of calls
//     on one name. A rename happens wholly or not at all. Syncing a file does
//     not sync its name: ext4 does so, POSIX does not promise it.
//   - Maps. Map returns the disk's own memory. A store into it is visible at
//     once, but the platter learns of it by Touched only, so a store whose
//     Touched was forgotten never survives a power cut.
//   - A failed sync can leave pages clean in the cache and old on the platter,
//     as Linux does; see [Fault].
//   - Space. Blocks of 4 KiB are counted against a capacity.
//
// It is stricter than Linux where that finds mistakes: mapping a hole for
// writing, mapping beyond the end, and cutting a file below a live map fail.
// Memory that was unmapped is really gone. Any goroutine.
type Mem struct {
	mu       sync.Mutex
	root     *node
	pending  []*nameOp // namespace changes not yet durable, in order of the calls
	locks    map[string]bool
	capacity int64
	used     int64
	reserves bool
	ops      int
	cutAt    int // the first operation that fails; 0: none
	cut      bool
	faults   []*Fault
	open     map[*memFile]struct{}
	maps     map[*memMapping]struct{}
}

// NewMem is an empty disk of 1 TiB with a root directory.
func NewMem() *Mem {
	return &Mem{
		root:     newDir(),
		locks:    map[string]bool{},
		capacity: 1 << 40,
		reserves: true,
		open:     map[*memFile]struct{}{},
		maps:     map[*memMapping]struct{}{},
	}
}

// node is a file or a directory. Mem.mu guards it.
type node struct {
	inode    *inode           // nil for a directory
	children map[string]*node // what the process sees
	durable  map[string]*node // what a power cut leaves
	modTime  time.Time
}

func newDir() *node {
	return &node{children: map[string]*node{}, durable: map[string]*node{}, modTime: time.Now()}
}

// SetCapacity sets the disk's size in bytes; writes that need a block more
// fail with ENOSPC. It may lie below what is used.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// SetReserves sets what Usage says of fallocate.
func (m *Mem) SetReserves(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reserves = yes
}

// OpenFiles lists the names of files that are open, with repetitions, and how
// many maps live: a test of who closes what.
func (m *Mem) OpenFiles() (names []string, maps int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.open {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return names, len(m.maps)
}

// split cleans a name and gives its elements; the root has none. A relative
// name and the absolute one of the same elements are one name.
func split(name string) []string {
	clean := filepath.Clean("/" + name)
	if clean == "/" {
		return nil
	}
	return strings.Split(clean[1:], "/")
}

// find walks to a name; nil when it does not exist.
func (m *Mem) find(name string) *node {
	n := m.root
	for _, e := range split(name) {
		if n == nil || n.inode != nil {
			return nil
		}
		n = n.children[e]
	}
	return n
}

// parent is the directory that holds name, and name's last element.
func (m *Mem) parent(name string) (*node, string, error) {
	e := split(name)
	if len(e) == 0 {
		return nil, "", syscall.EBUSY
	}
	dir := m.find(strings.Join(e[:len(e)-1], "/"))
	switch {
	case dir == nil:
		return nil, "", syscall.ENOENT
	case dir.inode != nil:
		return nil, "", syscall.ENOTDIR
	}
	return dir, e[len(e)-1], nil
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// do runs one operation under the lock after the power, the counter and the
// faults had their say.
func (m *Mem) do(op Op, name string, f func() error) error {
	hit, err := m.begin(op, name)
	defer m.mu.Unlock()
	if err == nil && hit != nil {
		err = hit.Err
	}
	if err == nil {
		err = f()
	}
	return pathError(op.String(), name, err)
}

func (m *Mem) Open(name string) (File, error)     { return m.openFile(name, true) }
func (m *Mem) OpenRead(name string) (File, error) { return m.openFile(name, false) }

func (m *Mem) openFile(name string, writable bool) (File, error) {
	var f *memFile
	err := m.do(OpOpen, name, func() error {
		n := m.find(name)
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.inode == nil:
			return syscall.EISDIR
		}
		f = m.handle(n, name, writable)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (m *Mem) handle(n *node, name string, writable bool) *memFile {
	f := &memFile{disk: m, node: n, name: name, writable: writable}
	n.inode.opens++
	m.open[f] = struct{}{}
	return f
}

func (m *Mem) Create(name string) (File, error) {
	var f *memFile
	err := m.do(OpCreate, name, func() error {
		n, err := m.createLocked(name)
		if err != nil {
			return err
		}
		if err := n.inode.truncate(m, 0); err != nil {
			return err
		}
		f = m.handle(n, name, true)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// createLocked gives the file of a name, a new one when there is none.
func (m *Mem) createLocked(name string) (*node, error) {
	dir, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	n := dir.children[base]
	switch {
	case n == nil:
		n = &node{inode: &inode{links: 1}, modTime: time.Now()}
		m.change(&nameOp{node: n, to: edge{dir, base}})
	case n.inode == nil:
		return nil, syscall.EISDIR
	}
	return n, nil
}

func (m *Mem) MkdirAll(name string, perm os.FileMode) error {
	return m.do(OpMkdir, name, func() error {
		dir := m.root
		for _, e := range split(name) {
			if dir.inode != nil {
				return syscall.ENOTDIR
			}
			n := dir.children[e]
			if n == nil {
				n = newDir()
				m.change(&nameOp{node: n, to: edge{dir, e}})
			}
			dir = n
		}
		if dir.inode != nil {
			return syscall.ENOTDIR
		}
		return nil
	})
}

func (m *Mem) Remove(name string) error {
	return m.do(OpRemove, name, func() error {
		dir, base, err := m.parent(name)
		if err != nil {
			return err
		}
		n := dir.children[base]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.inode == nil && len(n.children) > 0:
			return syscall.ENOTEMPTY
		}
		m.unlink(dir, base, n)
		return nil
	})
}

func (m *Mem) RemoveAll(name string) error {
	return m.do(OpRemove, name, func() error {
		dir, base, err := m.parent(name)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		if n := dir.children[base]; n != nil {
			m.unlinkAll(dir, base, n)
		}
		return nil
	})
}

func (m *Mem) unlinkAll(dir *node, base string, n *node) {
	for _, e := range sortedNames(n.children) {
		m.unlinkAll(n, e, n.children[e])
	}
	m.unlink(dir, base, n)
}

func (m *Mem) unlink(dir *node, base string, n *node) {
	m.change(&nameOp{node: n, from: edge{dir, base}})
	m.drop(n)
}

// drop takes one link off a file and gives its blocks back when nobody holds it.
func (m *Mem) drop(n *node) {
	if n.inode != nil {
		n.inode.links--
		n.inode.free(m)
	}
}

func (m *Mem) Rename(oldname, newname string) error {
	return m.do(OpRename, newname, func() error {
		from, a, err := m.parent(oldname)
		if err != nil {
			return err
		}
		to, b, err := m.parent(newname)
		if err != nil {
			return err
		}
		n, over := from.children[a], to.children[b]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n == over:
			return nil
		case over == nil:
		case n.inode == nil && over.inode != nil:
			return syscall.ENOTDIR
		case n.inode != nil && over.inode == nil:
			return syscall.EISDIR
		case len(over.children) > 0:
			return syscall.ENOTEMPTY
		}
		m.change(&nameOp{node: n, from: edge{from, a}, to: edge{to, b}})
		if over != nil {
			m.drop(over)
		}
		return nil
	})
}

func (m *Mem) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = m.do(OpReadDir, name, func() error {
		n := m.find(name)
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.inode != nil:
			return syscall.ENOTDIR
		}
		for _, e := range sortedNames(n.children) {
			entries = append(entries, fs.FileInfoToDirEntry(infoOf(e, n.children[e])))
		}
		return nil
	})
	return entries, err
}

func sortedNames(children map[string]*node) []string {
	names := make([]string, 0, len(children))
	for e := range children {
		names = append(names, e)
	}
	slices.Sort(names)
	return names
}

func (m *Mem) Stat(name string) (info fs.FileInfo, err error) {
	err = m.do(OpStat, name, func() error {
		n := m.find(name)
		if n == nil {
			return syscall.ENOENT
		}
		info = infoOf(filepath.Base(name), n)
		return nil
	})
	return info, err
}

func (m *Mem) SyncDir(name string) error {
	return m.do(OpSyncDir, name, func() error {
		n := m.find(name)
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.inode != nil:
			return syscall.ENOTDIR
		}
		m.syncNames(n)
		return nil
	})
}

func (m *Mem) Lock(name string) (Unlocker, error) {
	key := filepath.Clean("/" + name)
	err := m.do(OpLock, name, func() error {
		if m.locks[key] {
			return ErrLocked
		}
		if _, err := m.createLocked(name); err != nil {
			return err
		}
		m.locks[key] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return memLock{m, key}, nil
}

type memLock struct {
	m   *Mem
	key string
}

func (l memLock) Unlock() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if !l.m.locks[l.key] {
		return pathError("unlock", l.key, fs.ErrClosed)
	}
	delete(l.m.locks, l.key)
	return nil
}

func (m *Mem) Usage(name string) (u Usage, err error) {
	err = m.do(OpStat, name, func() error {
		if m.find(name) == nil {
			return syscall.ENOENT
		}
		u = Usage{Free: uint64(max(0, m.capacity-m.used)), Total: uint64(m.capacity), Type: "mem", Reserves: m.reserves}
		return nil
	})
	return u, err
}

// NewBell gives one of channels, so that a test's false clock (synctest) sees
// who waits.
func (m *Mem) NewBell() Bell { return make(memBell, 1) }

type memBell chan struct{}

func (b memBell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

func (b memBell) Wait(d time.Duration) {
	if d < 0 {
		<-b
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-b:
	case <-t.C:
	}
}

// memInfo is a file's description at one moment.
type memInfo struct {
	name string
	size int64
	mode fs.FileMode
	time time.Time
}

func infoOf(name string, n *node) memInfo {
	if n.inode == nil {
		return memInfo{name, 0, fs.ModeDir | 0o755, n.modTime}
	}
	return memInfo{name, int64(len(n.inode.data)), 0o644, n.modTime}
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return i.time }
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }

package vfs

import (
	"path/filepath"
	"strings"
)

// Op is a kind of disk operation; several can be or-ed in a [Fault].
type Op uint32

const (
	OpOpen Op = 1 << iota
	OpCreate
	OpRemove // RemoveAll is one operation
	OpRename
	OpMkdir
	OpReadDir
	OpStat // Stat, Size, Usage
	OpSyncDir
	OpLock
	OpRead
	OpWrite // WriteAt
	OpSync  // Datasync, Sync, Flush
	OpSyncRange
	OpTruncate
	OpAllocate
	OpPunch
	OpMap
	OpPopulate
	OpTouch
	OpResident

	// OpChanges are the operations that change what a power cut may leave; the
	// counter of [Mem.CrashAt] counts these.
	OpChanges = OpCreate | OpRemove | OpRename | OpMkdir | OpSyncDir | OpLock | OpWrite | OpSync |
		OpTruncate | OpAllocate | OpPunch | OpTouch
)

var opNames = [...]string{"open", "create", "remove", "rename", "mkdir", "readdir", "stat", "syncdir", "lock", "read",
	"write", "sync", "sync_file_range", "truncate", "fallocate", "punch hole", "mmap", "populate", "touch", "resident"}

// String names the kinds, joined by "|".
func (o Op) String() string {
	var names []string
	for i, n := range opNames {
		if o&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, "|")
}

// Fault is something that goes wrong on a [Mem]. The fields up to Times choose
// the operations, the others say what happens to them.
type Fault struct {
	// Op is the kinds it applies to.
	Op Op
	// Path is a glob (filepath.Match) for the file's last element, or for the
	// whole name when it holds a slash; "" is every file. For Rename it is the
	// new name.
	Path string
	// Skip lets so many matching operations pass first.
	Skip int
	// Times is how often it strikes; 0 means once, -1 for ever.
	Times int

	// Hook is called first, without any lock held, so it may block, and may use
	// the disk. Operations of others go on meanwhile.
	Hook func()
	// Err is what the operation answers, having done nothing; nil lets it go on.
	Err error
	// Short, when positive, makes a write store that many bytes before Err.
	Short int
	// Clean makes a failing sync leave the pages clean: the next sync succeeds,
	// the process reads what it wrote, and the platter has none of it.
	Clean bool

	hits int
}

// partial says that the operation does something before it fails.
func (f *Fault) partial(op Op) bool { return op == OpWrite && f.Short > 0 || op == OpSync && f.Clean }

// Inject adds a fault; the first that matches an operation strikes. The
// returned function takes it away and tells how often it struck.
func (m *Mem) Inject(f Fault) (remove func() int) {
	p := &f
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, p)
	return func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i, x := range m.faults {
			if x == p {
				m.faults = append(m.faults[:i:i], m.faults[i+1:]...)
				break
			}
		}
		return p.hits
	}
}

// CrashAt cuts the power before the n-th change from now, counted from 1: it
// and every later operation fail with [ErrPowerCut] and change nothing. A
// write that the cut tears is the state one change later, since [Mem.Crash]
// keeps any subset of it. 0 takes the order back.
func (m *Mem) CrashAt(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutAt = 0
	if n > 0 {
		m.cutAt = m.ops + n
	}
}

// Ops counts the changes so far: writes, syncs, names, sizes, told stores.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// Cut reports whether the power is off.
func (m *Mem) Cut() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cut
}

// begin returns with m.mu held, also with an error. The fault that strikes, if
// any, has had its hook called.
func (m *Mem) begin(op Op, name string) (*Fault, error) {
	m.mu.Lock()
	if m.cut {
		return nil, ErrPowerCut
	}
	if op&OpChanges != 0 {
		m.ops++
		if m.cutAt > 0 && m.ops >= m.cutAt {
			m.cut = true
			return nil, ErrPowerCut
		}
	}
	f := m.strike(op, name)
	if f == nil || f.Hook == nil {
		return f, nil
	}
	m.mu.Unlock()
	f.Hook()
	m.mu.Lock()
	if m.cut {
		return nil, ErrPowerCut
	}
	return f, nil
}

func (m *Mem) strike(op Op, name string) *Fault {
	for _, f := range m.faults {
		if f.Op&op == 0 || !f.matches(name) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times >= 0 && f.hits >= max(1, f.Times) {
			continue
		}
		f.hits++
		return f
	}
	return nil
}

func (f *Fault) matches(name string) bool {
	if f.Path == "" {
		return true
	}
	if !strings.Contains(f.Path, "/") {
		name = filepath.Base(name)
	}
	ok, err := filepath.Match(f.Path, name)
	return ok && err == nil
}

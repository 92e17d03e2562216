package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

var (
	none = vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone}
	all  = vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll}
)

// outcomes crashes a disk many times and counts what a look at it gives.
func outcomes(m *vfs.Mem, look func(*vfs.Mem) string) map[string]int {
	seen := map[string]int{}
	for seed := range uint64(300) {
		seen[look(m.Crash(rand.New(rand.NewPCG(seed, 1)), vfs.CrashOptions{}))]++
	}
	return seen
}

func content(t *testing.T, name string) func(*vfs.Mem) string {
	return func(m *vfs.Mem) string {
		if _, err := m.Stat(name); err != nil {
			return "<none>"
		}
		return get(t, m, name)
	}
}

func onlyThese(t *testing.T, seen map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if seen[w] == 0 {
			t.Errorf("never saw %.40q", w)
		}
		delete(seen, w)
	}
	for s, n := range seen {
		t.Errorf("saw %.40q %d times", s, n)
	}
}

func newDisk(t *testing.T) *vfs.Mem {
	m := vfs.NewMem()
	check(t, m.MkdirAll("/d", 0o755))
	check(t, m.SyncDir("/"))
	return m
}

func create(t *testing.T, m *vfs.Mem, name string) vfs.File {
	t.Helper()
	f, err := m.Create(name)
	check(t, err)
	check(t, m.SyncDir("/d"))
	return f
}

func TestCrashContent(t *testing.T) {
	m := newDisk(t)
	f := create(t, m, "/d/f")
	write(t, f, strings.Repeat("a", 1024), 0)
	check(t, f.Datasync())
	write(t, f, strings.Repeat("b", 1024), 0)
	a, b := strings.Repeat("a", 512), strings.Repeat("b", 512)
	onlyThese(t, outcomes(m, content(t, "/d/f")), a+a, a+b, b+a, b+b)
	if got := content(t, "/d/f")(m.Crash(nil, none)); got != a+a {
		t.Error("keeping nothing kept something")
	}
	if got := content(t, "/d/f")(m.Crash(nil, all)); got != b+b {
		t.Error("keeping all lost something")
	}
	check(t, f.Datasync())
	onlyThese(t, outcomes(m, content(t, "/d/f")), b+b)
}

func TestCrashSize(t *testing.T) {
	m := newDisk(t)
	f := create(t, m, "/d/f")
	write(t, f, "ab", 0)
	check(t, f.Datasync())
	write(t, f, "cd", 2)
	onlyThese(t, outcomes(m, content(t, "/d/f")), "ab", "abc", "abcd", "ab\x00", "ab\x00\x00")
	check(t, f.Sync())
	check(t, f.Truncate(1))
	onlyThese(t, outcomes(m, content(t, "/d/f")), "abcd", "a", "a\x00\x00\x00")
	write(t, f, "X", 3)
	for s := range outcomes(m, content(t, "/d/f")) {
		if s != "a" && s != "abcd" && s != "a\x00\x00X" {
			t.Errorf("cut and grown again: saw %q", s)
		}
	}
}

func TestCrashNames(t *testing.T) {
	m := newDisk(t)
	put(t, m, "/d/old", "old")
	check(t, m.SyncDir("/d"))
	for _, n := range []string{"/d/old"} {
		f, err := m.Open(n)
		check(t, err)
		check(t, f.Sync())
		check(t, f.Close())
	}
	f, err := m.Create("/d/tmp")
	check(t, err)
	write(t, f, "new", 0)
	check(t, f.Sync())
	check(t, f.Close())
	list := func(c *vfs.Mem) string {
		entries, err := c.ReadDir("/d")
		check(t, err)
		var s []string
		for _, e := range entries {
			s = append(s, e.Name()+"="+get(t, c, "/d/"+e.Name()))
		}
		return strings.Join(s, " ")
	}
	// Syncing the file does not sync its name.
	onlyThese(t, outcomes(m, list), "old=old", "old=old tmp=new")
	check(t, m.Rename("/d/tmp", "/d/old"))
	// The rename builds on the create, and is whole or not at all.
	onlyThese(t, outcomes(m, list), "old=old", "old=old tmp=new", "old=new")
	check(t, m.SyncDir("/d"))
	onlyThese(t, outcomes(m, list), "old=new")
	check(t, m.Remove("/d/old"))
	onlyThese(t, outcomes(m, list), "old=new", "")
}

func TestCrashRenameBetweenDirectories(t *testing.T) {
	m := newDisk(t)
	check(t, m.MkdirAll("/e", 0o755))
	check(t, m.SyncDir("/"))
	put(t, m, "/d/f", "")
	check(t, m.SyncDir("/d"))
	check(t, m.Rename("/d/f", "/e/f"))
	where := func(c *vfs.Mem) string {
		_, inD := c.Stat("/d/f")
		_, inE := c.Stat("/e/f")
		return fmt.Sprint(inD == nil, inE == nil)
	}
	check(t, m.SyncDir("/e"))
	onlyThese(t, outcomes(m, where), "true false", "false true")
	check(t, m.SyncDir("/d"))
	onlyThese(t, outcomes(m, where), "false true")
}

func TestCrashDirectoryWithoutItsParent(t *testing.T) {
	m := newDisk(t)
	check(t, m.MkdirAll("/d/sub", 0o755))
	put(t, m, "/d/sub/f", "")
	check(t, m.SyncDir("/d/sub"))
	onlyThese(t, outcomes(m, content(t, "/d/sub/f")), "<none>", "")
	check(t, m.SyncDir("/d"))
	onlyThese(t, outcomes(m, content(t, "/d/sub/f")), "")
}

func TestCrashMap(t *testing.T) {
	m := newDisk(t)
	f := create(t, m, "/d/f")
	check(t, f.Allocate(0, 4096, false))
	check(t, f.Datasync())
	mp, err := f.Map(0, 4096, true)
	check(t, err)
	copy(mp.Bytes(), "told")
	mp.Touched(0, 4)
	copy(mp.Bytes()[1024:], "untold")
	first := func(c *vfs.Mem) string {
		s := get(t, c, "/d/f")
		return strings.Trim(s[:4], "\x00") + "," + strings.Trim(s[1024:1030], "\x00")
	}
	onlyThese(t, outcomes(m, first), "told,", ",")
	check(t, f.Datasync())
	onlyThese(t, outcomes(m, first), "told,")
	copy(mp.Bytes(), "TOLD")
	mp.Touched(0, 4)
	check(t, mp.Flush())
	onlyThese(t, outcomes(m, first), "TOLD,")
	if err := f.Truncate(0); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("cutting below a live map: %v", err)
	}
	check(t, mp.Unmap())
	if got := get(t, m, "/d/f"); !zeros([]byte(got[1024:])) {
		t.Error("a store that nobody told of survived the unmap")
	}
	check(t, f.Truncate(8192))
	if _, err := f.Map(0, 8192, true); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("mapping a hole for writing: %v", err)
	}
	if _, err := f.Map(0, 16384, false); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("mapping beyond the end: %v", err)
	}
}

// A sync vouches for what was written before it began, not for what comes
// while it runs.
func TestSyncVouchesForThePast(t *testing.T) {
	m := newDisk(t)
	f := create(t, m, "/d/f")
	write(t, f, "1", 0)
	remove := m.Inject(vfs.Fault{Op: vfs.OpSync, Hook: func() {
		write(t, f, "2", 0)
		write(t, f, "z", 512)
	}})
	check(t, f.Datasync())
	if got := content(t, "/d/f")(m.Crash(nil, none)); got != "1" {
		t.Errorf("on the platter is %.10q", got)
	}
	if remove() != 1 {
		t.Error("the hook did not run once")
	}
	check(t, f.Datasync())
	if got := content(t, "/d/f")(m.Crash(nil, none)); got[0] != '2' || got[512] != 'z' {
		t.Errorf("after the second sync the platter has %.10q", got)
	}
}

// A sync that fails and leaves the pages clean: nothing is on the platter, the
// process reads what it wrote, the next sync succeeds without writing, a kill
// carries that state over, and only writing again repairs it.
func TestFailedSyncReportsClean(t *testing.T) {
	m := newDisk(t)
	f := create(t, m, "/d/f")
	write(t, f, "old", 0)
	check(t, f.Datasync())
	write(t, f, "new", 0)
	m.Inject(vfs.Fault{Op: vfs.OpSync, Path: "f", Err: syscall.EIO, Clean: true})
	if err := f.Datasync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the sync answers %v", err)
	}
	check(t, f.Datasync())
	if got := get(t, m, "/d/f"); got != "new" {
		t.Errorf("the process reads %q", got)
	}
	onlyThese(t, outcomes(m, content(t, "/d/f")), "old")
	k := m.Kill()
	if got := get(t, k, "/d/f"); got != "new" {
		t.Errorf("the next process reads %q", got)
	}
	onlyThese(t, outcomes(k, content(t, "/d/f")), "old")
	g, err := k.Open("/d/f")
	check(t, err)
	write(t, g, "new", 0)
	onlyThese(t, outcomes(k, content(t, "/d/f")), "old", "new")
	check(t, g.Datasync())
	onlyThese(t, outcomes(k, content(t, "/d/f")), "new")
}

func TestKillKeepsTheCache(t *testing.T) {
	m := newDisk(t)
	l, err := m.Lock("/d/lock")
	check(t, err)
	put(t, m, "/d/a", "unsynced")
	check(t, m.Rename("/d/a", "/d/b"))
	k := m.Kill()
	if got := get(t, k, "/d/b"); got != "unsynced" {
		t.Errorf("b holds %q", got)
	}
	kl, err := k.Lock("/d/lock") // nobody holds it there
	check(t, err)
	check(t, kl.Unlock())
	check(t, l.Unlock())
	if seen := outcomes(k, content(t, "/d/b")); seen["<none>"] == 0 || seen["unsynced"] == 0 {
		t.Errorf("after a kill a power cut gives %v", seen)
	}
}

// The workload is cut at every change; what was synced before the cut is there.
func TestCutAtEveryChange(t *testing.T) {
	run := func(m *vfs.Mem) (synced int) {
		if m.MkdirAll("/d", 0o755) != nil || m.SyncDir("/") != nil {
			return 0
		}
		f, err := m.Create("/d/f")
		if err != nil || m.SyncDir("/d") != nil {
			return 0
		}
		for i := range 5 {
			if _, err := f.WriteAt([]byte{byte('a' + i)}, int64(i)); err != nil {
				return synced
			}
			if f.Datasync() != nil {
				return synced
			}
			synced++
		}
		return synced
	}
	whole := vfs.NewMem()
	if run(whole) != 5 {
		t.Fatal("the workload does not run through")
	}
	for cut := 1; cut <= whole.Ops(); cut++ {
		m := vfs.NewMem()
		m.CrashAt(cut)
		synced := run(m)
		if err := m.SyncDir("/"); !errors.Is(err, vfs.ErrPowerCut) {
			t.Fatalf("cut %d: the disk goes on: %v", cut, err)
		}
		if _, err := m.Stat("/"); !errors.Is(err, vfs.ErrPowerCut) {
			t.Fatalf("cut %d: the disk can be read: %v", cut, err)
		}
		for seed := range uint64(20) {
			c := m.Crash(rand.New(rand.NewPCG(seed, 2)), vfs.CrashOptions{})
			got := content(t, "/d/f")(c)
			if synced > 0 && !strings.HasPrefix(got, "abcde"[:synced]) {
				t.Fatalf("cut %d: %d bytes were synced, the disk has %q", cut, synced, got)
			}
		}
	}
}

func TestCrashIsRepeatable(t *testing.T) {
	m := newDisk(t)
	for i := range 20 {
		put(t, m, fmt.Sprintf("/d/%02d", i), strings.Repeat("x", 3000))
	}
	dump := func(c *vfs.Mem) string {
		entries, err := c.ReadDir("/d")
		check(t, err)
		var b bytes.Buffer
		for _, e := range entries {
			fmt.Fprintln(&b, e.Name(), get(t, c, "/d/"+e.Name()))
		}
		return b.String()
	}
	for seed := range uint64(10) {
		a := dump(m.Crash(rand.New(rand.NewPCG(seed, 3)), vfs.CrashOptions{}))
		b := dump(m.Crash(rand.New(rand.NewPCG(seed, 3)), vfs.CrashOptions{}))
		if a != b {
			t.Fatalf("seed %d gives two disks", seed)
		}
	}
}

func TestFaults(t *testing.T) {
	m := newDisk(t)
	f := create(t, m, "/d/00.log")
	g := create(t, m, "/d/00.index")
	remove := m.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "*.log", Skip: 1, Times: 2, Err: syscall.EIO, Short: 3})
	write(t, f, "first", 0)
	for range 2 {
		if n, err := f.WriteAt([]byte("second"), 5); n != 3 || !errors.Is(err, syscall.EIO) {
			t.Errorf("wrote %d, %v; want 3 and EIO", n, err)
		}
		write(t, g, "other files go on", 0)
	}
	if got := get(t, m, "/d/00.log"); got != "firstsec" {
		t.Errorf("after the short writes: %q", got)
	}
	write(t, f, "third", 5)
	if remove() != 2 {
		t.Error("the fault did not strike twice")
	}
	m.Inject(vfs.Fault{Op: vfs.OpRename | vfs.OpCreate, Path: "/d/x*", Times: -1, Err: syscall.EROFS})
	for range 3 {
		if _, err := m.Create("/d/xy"); !errors.Is(err, syscall.EROFS) {
			t.Errorf("create: %v", err)
		}
		if err := m.Rename("/d/00.log", "/d/x"); !errors.Is(err, syscall.EROFS) {
			t.Errorf("rename: %v", err)
		}
	}
	if _, err := m.Stat("/d/00.log"); err != nil {
		t.Error("a failed rename changed something")
	}
	m.Inject(vfs.Fault{Op: vfs.OpResident, Err: syscall.EAGAIN, Times: -1})
	if f.Resident(0, 1) {
		t.Error("the page is said to be cached")
	}
}

func TestDiskFull(t *testing.T) {
	m := newDisk(t)
	m.SetCapacity(3 * 4096)
	f := create(t, m, "/d/f")
	g := create(t, m, "/d/g")
	check(t, f.Allocate(0, 2*4096, true))
	n, err := g.WriteAt(make([]byte, 6000), 0)
	if n != 4096 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d, %v; want one block and ENOSPC", n, err)
	}
	write(t, f, strings.Repeat("x", 2*4096), 0) // reserved
	if err := f.Allocate(8192, 1, true); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("fallocate on a full disk: %v", err)
	}
	if u, err := m.Usage("/d"); err != nil || u.Free != 0 || u.Total != 3*4096 {
		t.Errorf("usage %+v, %v", u, err)
	}
	check(t, f.Truncate(4096))
	write(t, g, "now it fits", 4096)
	check(t, m.Remove("/d/g"))
	write(t, g, "held open", 0)
	if err := f.Allocate(4096, 4096, true); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a removed file that is open takes no space: %v", err)
	}
	check(t, g.Close())
	check(t, f.Allocate(4096, 2*4096, true))
	if u, err := m.Crash(nil, all).Usage("/d"); err != nil || u.Free != 0 {
		t.Errorf("after a crash: %+v, %v", u, err)
	}
}

package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// journalGroup is the blocks of a group with one frame of n bytes, its first
// block being the file's block at.
func journalGroup(generation uint32, seq uint64, at, n int) []byte {
	info := groupInfo{length: groupHeader + frameSpan(n), frames: 1, durable: seq - 1}
	info.blocks = blocksFor(info.length)
	var b groupBuilder
	b.begin(generation, seq, uint32(at), &info)
	b.frame(&frame{typ: frameAppend, offset: int64(seq), bytes: make([]byte, n)})
	return b.finish()
}

// TestTornGroupInReusedFile: a file of the ring is used again, and the power
// goes while its first group is written: only the group's second block arrives.
// The file then begins with a group of its older life, of this generation or of
// the one before; what the other files hold is not lost.
func TestTornGroupInReusedFile(t *testing.T) {
	for _, old := range []struct {
		generation uint32
		seq        uint64
	}{{7, 1}, {6, 90}} {
		disk := vfs.NewMem()
		if err := disk.MkdirAll("/j", 0o755); err != nil {
			t.Fatal(err)
		}
		dir := [16]byte{1}
		file := func(number uint64, groups ...[]byte) {
			h := journalHeader{dir, 7, number}
			spew(t, disk, fmt.Sprintf("/j/%016x%s", number, journalSuffix), slices.Concat(append([][]byte{h.encode()}, groups...)...))
		}
		file(2, journalGroup(7, 4, 1, 10), journalGroup(7, 5, 2, 10), journalGroup(7, 6, 3, 10))
		torn := journalGroup(7, 7, 1, 2*journalBlock)
		file(3, journalGroup(old.generation, old.seq, 1, 10), torn[journalBlock:])
		img, err := readJournal(disk, "/j", dir, checkpointMark{7, 3}, false, goPlain)
		if err != nil {
			t.Fatal(err)
		}
		var seqs []uint64
		for _, g := range img.groups {
			seqs = append(seqs, g.seq)
		}
		if !slices.Equal(seqs, []uint64{4, 5, 6}) || len(img.damage) > 0 {
			t.Errorf("behind a file that begins with group %d of generation %d: groups %v, damage %q", old.seq, old.generation, seqs, img.damage)
		}
		if err := img.abandon(nil); err != nil {
			t.Error(err)
		}
	}
}

// TestJournalFileOnAFullDisk: a file that cannot be filled leaves nothing.
func TestJournalFileOnAFullDisk(t *testing.T) {
	disk := vfs.NewMem()
	if err := disk.MkdirAll("/j", 0o755); err != nil {
		t.Fatal(err)
	}
	j, err := newJournal(disk, "/j", [16]byte{1}, 1, 64<<20, "auto", 1, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	u, err := disk.Usage("/j")
	if err != nil {
		t.Fatal(err)
	}
	used := u.Total - u.Free
	disk.SetCapacity(int64(used) + 2<<20)
	for range 3 {
		if err := j.grow(); err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
			t.Fatalf("a file on a full disk: %v", err)
		}
	}
	if u, err = disk.Usage("/j"); err != nil || u.Total-u.Free != used {
		t.Errorf("%d bytes are used after it, %d before: %v", u.Total-u.Free, used, err)
	}
	if entries, err := disk.ReadDir("/j"); err != nil || len(entries) != 1 {
		t.Errorf("files: %v, %v", entries, err)
	}
	if err := j.close(); err != nil {
		t.Error(err)
	}
}

// TestSyncAcrossRingFiles: a sync vouches for every group, also for those that no
// sync waited for in a file that was left meanwhile.
func TestSyncAcrossRingFiles(t *testing.T) {
	disk := vfs.NewMem()
	if err := disk.MkdirAll("/j", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := disk.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	j, err := newJournal(disk, "/j", [16]byte{1}, 1, 64<<20, "auto", 1, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.grow(); err != nil {
		t.Fatal(err)
	}
	groups := 0
	for first := j.cur; j.cur == first; groups++ {
		info := groupInfo{length: groupHeader, durable: j.durable.Load(), blocks: 1}
		if err := j.begin(&info); err != nil {
			t.Fatal(err)
		}
		if err := j.write(&info, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.sync(); err != nil {
		t.Fatal(err)
	}
	disk.CutPower()
	img, err := readJournal(disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone}), "/j", [16]byte{1}, checkpointMark{}, false, goPlain)
	if err != nil {
		t.Fatal(err)
	}
	if len(img.groups) != groups || len(img.damage) > 0 {
		t.Errorf("%d groups of %d, damage %q", len(img.groups), groups, img.damage)
	}
	if err := errors.Join(img.abandon(nil), j.close()); err != nil {
		t.Error(err)
	}
}

// TestRestartsKeepTheRing: however often a broker starts, its ring does not grow
// by that, and it shrinks to a smaller --journal-max.
func TestRestartsKeepTheRing(t *testing.T) {
	o := rigOptions(vfs.NewMem())
	o.JournalMax = 64 << 20 // its files are of 4 MiB, not small ones that each start removes
	ring := func() (total int64) {
		t.Helper()
		disk := o.FS.(*vfs.Mem)
		files, err := disk.ReadDir("/data/journal")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			total += info.Size()
		}
		return total
	}
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	for range 40 {
		r.put(l, strings.Repeat("x", 100<<10), 1)
	}
	r.close()
	had := ring()
	if had < 4<<20 {
		t.Fatalf("4 MB went through a ring of %d bytes", had)
	}
	for i := range 20 {
		r = mustRig(t, o)
		l = r.open(specOf("t", 0))
		r.ready()
		r.put(l, "x", 1)
		eventually(t, "the keeper looks at the ring", func() bool {
			r.s.dirs[0].keeper.poke()
			j := r.s.dirs[0].journal
			j.mu.Lock()
			defer j.mu.Unlock()
			return !j.wanting
		})
		if i%2 == 0 {
			r.close()
		} else {
			r.s.dirs[0].keeper.stop()
			o.FS = o.FS.(*vfs.Mem).Kill()
		}
	}
	if have := ring(); have > had+firstJournalFile {
		t.Errorf("20 starts made the ring of %d bytes one of %d", had, have)
	}
	o.JournalMax = 2 << 20
	r = mustRig(t, o)
	r.open(specOf("t", 0))
	r.ready()
	if total, _ := r.s.dirs[0].journal.usage(); total > 2<<20 || ring() != total {
		t.Errorf("with --journal-max 2 MiB the ring has %d bytes, its files %d", total, ring())
	}
	r.close()
}

// TestGroupReads: any piece of a group's payload is read back as it was written.
func TestGroupReads(t *testing.T) {
	disk := vfs.NewMem()
	payload := make([]byte, 200*blockPayload+77)
	for i := range payload {
		payload[i] = byte(i*7 + i>>8)
	}
	info := groupInfo{blocks: blocksFor(len(payload)), frames: 1, length: len(payload)}
	var b groupBuilder
	b.begin(1, 1, 1, &info)
	b.put(payload[groupHeader:])
	spew(t, disk, "/j", append(make([]byte, journalBlock), b.finish()...))
	f, err := disk.Open("/j")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := groupRef{file: &ringFile{file: f, name: "/j"}, block: 1, info: info}
	for _, off := range []int{groupHeader, blockPayload - 1, blockPayload, blockPayload + 1, 3*blockPayload + 5, 63 * blockPayload, 136 * blockPayload} {
		for _, n := range []int{0, 1, blockPayload - 1, blockPayload, blockPayload + 1, 2 * blockPayload, 63 * blockPayload, 64*blockPayload + 1, 130 * blockPayload, len(payload)} {
			n = min(n, len(payload)-off)
			p := make([]byte, n)
			if err := g.read(p, off); err != nil {
				t.Fatalf("%d bytes at %d: %v", n, off, err)
			}
			if !bytes.Equal(p, payload[off:off+n]) {
				t.Errorf("%d bytes at %d are not what was written", n, off)
			}
		}
	}
}

// syncSteps keeps how many bytes were written at most between two syncs.
type syncSteps struct {
	vfs.File
	since, most int64
}

func (f *syncSteps) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.since += int64(n)
	f.most = max(f.most, f.since)
	return n, err
}

func (f *syncSteps) Datasync() error { f.since = 0; return f.File.Datasync() }

// TestFillingLeavesTheDiskToCommits: a file of the ring is filled in small steps,
// which a commit's sync may have to wait for, unless a commit waits for the file.
func TestFillingLeavesTheDiskToCommits(t *testing.T) {
	disk := vfs.NewMem()
	for _, c := range []struct {
		need int
		most int64
	}{{0, 1 << 20}, {1, 4 << 20}} {
		file, err := disk.Create("/f")
		if err != nil {
			t.Fatal(err)
		}
		const length = 9<<20 + 3*journalBlock
		f := &syncSteps{File: file}
		j := &journal{need: c.need}
		if err := j.fillZeros(f, length); err != nil {
			t.Fatal(err)
		}
		if size, err := f.Size(); err != nil || size != length {
			t.Errorf("the file has %d bytes of %d: %v", size, length, err)
		}
		if f.most < c.most || f.most >= c.most+256<<10 {
			t.Errorf("with a need of %d blocks %d bytes were written between two syncs, want about %d", c.need, f.most, c.most)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

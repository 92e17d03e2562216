package logstore

import (
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
		img, err := readJournal(disk, "/j", dir, checkpointMark{7, 3}, false)
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
	j, err := newJournal(disk, "/j", [16]byte{1}, 1, 64<<20, 1, nil, slog.New(slog.DiscardHandler))
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

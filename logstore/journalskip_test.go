package logstore

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestRingFilesPassedOver: which files of a ring are read behind a checkpoint at
// group 40 of generation 7, and that what is left out changes nothing.
func TestRingFilesPassedOver(t *testing.T) {
	type content = [][]byte
	// run is n groups of one block each.
	run := func(generation uint32, seq uint64, n int) (all []byte) {
		for i := range n {
			all = append(all, journalGroup(generation, seq+uint64(i), 1+i, 10)...)
		}
		return all
	}
	blank := func(blocks int) []byte { return make([]byte, blocks*journalBlock) }
	// lost is a file whose first blocks are still those of an older life.
	lost := func(old []byte, n int, now []byte) []byte {
		return slices.Concat(old[:n*journalBlock], now[n*journalBlock:])
	}
	for _, c := range []struct {
		what  string
		files content
		read  []int
		mark  checkpointMark
		// groups of the image.
		groups int
	}{
		{"an earlier generation", content{run(6, 900, 80), run(7, 35, 20)}, []int{1}, checkpointMark{7, 40}, 14},
		{"no checkpoint", content{run(1, 1, 30), run(1, 31, 5)}, []int{0, 1}, checkpointMark{}, 35},
		{"released files and the one that the checkpoint ends in", content{run(7, 1, 10), run(7, 11, 20), run(7, 31, 15)}, []int{2}, checkpointMark{7, 40}, 5},
		{"a file that ends with the checkpoint", content{run(7, 21, 20), run(7, 41, 3)}, []int{1}, checkpointMark{7, 40}, 3},
		{"the newest file ends before the checkpoint", content{run(7, 1, 10), run(7, 11, 5)}, []int{1}, checkpointMark{7, 40}, 0},
		{"behind the checkpoint", content{run(7, 31, 10), run(7, 41, 10), run(7, 51, 10)}, []int{1, 2}, checkpointMark{7, 40}, 20},
		{"never written", content{blank(200), run(7, 41, 10)}, []int{1}, checkpointMark{7, 40}, 10},
		{"no header of a group and still not blank", content{append(blank(150), slices.Repeat([]byte{1}, journalBlock)...), run(7, 41, 10)}, []int{1}, checkpointMark{7, 40}, 10},
		{"a group behind the checkpoint in a block that is not looked at", content{
			slices.Concat(run(7, 36, 4), journalGroup(7, 40, 5, 64*blockPayload), journalGroup(7, 41, 70, 10), blank(30)), run(7, 42, 5),
		}, []int{0, 1}, checkpointMark{7, 40}, 6},
		{"the first block of a new life was lost", content{lost(run(6, 1, 300), 1, run(7, 41, 300))}, []int{0}, checkpointMark{7, 40}, 299},
		{"70 blocks of a new life were lost", content{lost(run(6, 1, 300), 70, run(7, 41, 300))}, []int{0}, checkpointMark{7, 40}, 230},
		{"the first blocks are damaged", content{append(blank(80), run(7, 41, 300)[80*journalBlock:]...)}, []int{0}, checkpointMark{7, 40}, 220},
	} {
		t.Run(c.what, func(t *testing.T) {
			disk := vfs.NewMem()
			if err := disk.MkdirAll("/j", 0o755); err != nil {
				t.Fatal(err)
			}
			dir := [16]byte{1}
			var readers []*blockReader
			for i, content := range c.files {
				h := journalHeader{dir, 7, uint64(i + 1)}
				name := fmt.Sprintf("/j/%016x%s", i+1, journalSuffix)
				content = content[:len(content)/journalBlock*journalBlock]
				spew(t, disk, name, append(h.encode(), content...))
				f, err := disk.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				readers = append(readers, &blockReader{file: &ringFile{file: f, name: name, blocks: 1 + len(content)/journalBlock}})
			}
			rest, err := passOver(readers, c.mark)
			if err != nil {
				t.Fatal(err)
			}
			var read []int
			for _, r := range rest {
				read = append(read, slices.Index(readers, r))
			}
			if !slices.Equal(read, c.read) {
				t.Errorf("files %v are read, want %v", read, c.read)
			}
			// Against an image of all files.
			full := &journalImage{frames: map[logKey][]frameRef{}}
			groups, err := full.scanFiles(readers, goPlain)
			if err != nil {
				t.Fatal(err)
			}
			full.joinAll(groups, c.mark)
			img, err := readJournal(disk, "/j", dir, c.mark, false, goPlain)
			if err != nil {
				t.Fatal(err)
			}
			ids := func(img *journalImage) (all []groupID) {
				for _, g := range img.groups {
					all = append(all, groupID{g.generation, g.seq})
				}
				return all
			}
			if !slices.Equal(ids(img), ids(full)) || !slices.Equal(img.damage, full.damage) || len(ids(img)) != c.groups {
				t.Errorf("%d groups, damage %q; all files have %d, %q; want %d groups", len(img.groups), img.damage, len(full.groups), full.damage, c.groups)
			}
			if err := img.abandon(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

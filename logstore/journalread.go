package logstore

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// Reading the journal after an unclean stop.
//
// Groups of one generation are numbered without holes. Each file is read from
// its first block while its groups go up; then the groups of all files are put
// in order of generation and number. (Not the files by their first groups: one
// whose first group was torn may begin with a group of its older life.) What
// comes after the last group of a file is zeros, an older life of the file, or
// a bad block. A bad group N is
// damage only if some valid group says that N was durable (rule 2); its frames
// in valid blocks are still used. Otherwise it is torn: it was never promised,
// and the generation ends before it.

// groupRef says where a group lies.
type groupRef struct {
	file       *ringFile
	block      int
	info       groupInfo
	generation uint32
	seq        uint64
	bad        []int // numbers (in the group) of blocks that are damaged
}

// frameRef says where a frame lies: payload byte off of a group.
type frameRef struct {
	group int32 // index in journalImage.groups
	off   uint32
}

// logKey names a log in the journal and the checkpoint.
type logKey struct {
	id        TopicID
	partition int32
}

// journalImage is what the journal held when the store was opened. Frames are
// kept as references: 8 bytes each.
type journalImage struct {
	files      []*ringFile
	groups     []groupRef
	frames     map[logKey][]frameRef
	generation uint32 // highest seen
	number     uint64 // highest file number seen
	damage     []string
}

// readJournal reads the ring in path. after is the checkpoint: groups of its
// generation up to its seq are not needed any more.
// After a clean stop only the files are listed. spawn is Options.Go.
func readJournal(disk vfs.FS, path string, dir [16]byte, after checkpointMark, clean bool, spawn func(string, func())) (*journalImage, error) {
	img := &journalImage{frames: map[logKey][]frameRef{}}
	entries, err := disk.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return img, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal's directory: %w", err)
	}
	var files []*blockReader
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), journalSuffix) {
			continue
		}
		f, err := disk.Open(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, img.abandon(fmt.Errorf("open journal file: %w", err))
		}
		size, err := f.Size()
		if err != nil {
			return nil, img.abandon(errors.Join(fmt.Errorf("size of journal file: %w", err), f.Close()))
		}
		rf := &ringFile{file: f, name: f.Name(), blocks: int(size / journalBlock)}
		if n, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), journalSuffix), 16, 64); err == nil {
			img.number = max(img.number, n) // a name in use is never made again
		}
		img.files = append(img.files, rf)
		if rf.blocks < 2 {
			continue
		}
		r := &blockReader{file: rf}
		if err := img.readHeader(r, dir); err != nil {
			return nil, img.abandon(err)
		}
		if !clean {
			files = append(files, r)
		}
	}
	if files, err = passOver(files, after); err != nil {
		return nil, img.abandon(err)
	}
	groups, err := img.scanFiles(files, spawn)
	if err != nil {
		return nil, img.abandon(err)
	}
	img.joinAll(groups, after)
	if err := img.index(); err != nil {
		return nil, img.abandon(err)
	}
	return img, nil
}

func (img *journalImage) abandon(err error) error {
	errs := []error{err}
	for _, f := range img.files {
		errs = append(errs, f.file.Close())
	}
	return errors.Join(errs...)
}

// blockReader reads a file block by block through one buffer.
type blockReader struct {
	file *ringFile
	buf  []byte
	from int // number of the first block in buf
	have int
}

func (r *blockReader) block(n int) ([]byte, error) {
	if n < r.from || n >= r.from+r.have {
		if r.buf == nil {
			r.buf = make([]byte, 64*journalBlock)
		}
		want := min(64, r.file.blocks-n)
		if want <= 0 {
			return nil, io.ErrUnexpectedEOF
		}
		if k, err := r.file.file.ReadAt(r.buf[:want*journalBlock], int64(n)*journalBlock); k < want*journalBlock {
			return nil, fmt.Errorf("read journal %s: %w", r.file.name, err)
		}
		r.from, r.have = n, want
	}
	at := (n - r.from) * journalBlock
	return r.buf[at : at+journalBlock], nil
}

// readHeader reads block 0 of a file. A header that a power cut tore says
// nothing: the file was free.
func (img *journalImage) readHeader(r *blockReader, dir [16]byte) error {
	head, err := r.block(0)
	if err != nil {
		return err
	}
	h, version, ok := decodeJournalHeader(head)
	switch {
	case !ok:
	case version > journalVersion:
		return fmt.Errorf("journal %s has format %d; this release reads up to %d: start the newer release again", r.file.name, version, journalVersion)
	case h.dir != dir:
		return fmt.Errorf("journal %s belongs to another data directory; give each data directory its own journal", r.file.name)
	default:
		r.file.number = h.number
		img.number = max(img.number, h.number)
		img.generation = max(img.generation, h.generation)
	}
	return nil
}

// scanFile lists the groups of a file in the order in which they were written,
// with holes where blocks are bad; join judges the holes.
func scanFile(r *blockReader) ([]groupRef, error) {
	f := r.file
	var run []groupRef
	for b := 1; b < f.blocks; {
		blk, err := r.block(b)
		if err != nil {
			return nil, err
		}
		gen, seq, valid := validBlock(blk, uint32(b))
		if !valid {
			b++
			continue
		}
		if n := len(run); n > 0 && (gen < run[n-1].generation || (gen == run[n-1].generation && seq < run[n-1].seq)) {
			break // an older life of the file
		}
		g, next, err := readGroup(r, b, gen, seq, blk)
		if err != nil {
			return nil, err
		}
		run = append(run, g)
		b = next
	}
	return run, nil
}

// readGroup takes the group whose first valid block is b. A group whose header
// block is bad has info.blocks 0.
func readGroup(r *blockReader, b int, gen uint32, seq uint64, blk []byte) (g groupRef, next int, err error) {
	g = groupRef{file: r.file, block: b, generation: gen, seq: seq}
	info, ok := getGroupHeader(blk[blockStamp:])
	if !ok { // its first block is bad: pass over the rest
		for b++; b < r.file.blocks; b++ {
			blk, err := r.block(b)
			if err != nil {
				return g, 0, err
			}
			if gen2, seq2, valid := validBlock(blk, uint32(b)); valid && (gen2 != gen || seq2 != seq) {
				break
			}
		}
		return g, b, nil
	}
	g.info = info
	for i := 1; i < info.blocks; i++ {
		if b+i >= r.file.blocks {
			g.bad = append(g.bad, i)
			break
		}
		blk, err := r.block(b + i)
		if err != nil {
			return g, 0, err
		}
		if gen2, seq2, valid := validBlock(blk, uint32(b+i)); !valid || gen2 != gen || seq2 != seq {
			g.bad = append(g.bad, i)
		}
	}
	return g, b + info.blocks, nil
}

func (g *groupRef) whole() bool { return g.info.blocks > 0 && len(g.bad) == 0 }

// joinAll puts the groups of all files in order and joins them.
func (img *journalImage) joinAll(groups []groupRef, after checkpointMark) {
	slices.SortStableFunc(groups, func(a, b groupRef) int {
		return cmp.Or(cmp.Compare(a.generation, b.generation), cmp.Compare(a.seq, b.seq))
	})
	img.join(groups, after)
}

// join takes the groups, which come in order, ends each generation at its first
// torn one and notes what is damaged.
func (img *journalImage) join(groups []groupRef, after checkpointMark) {
	durable := map[uint32]uint64{}
	if after.generation > 0 {
		durable[after.generation] = after.seq
	}
	for i := range groups {
		if g := &groups[i]; g.info.blocks > 0 {
			durable[g.generation] = max(durable[g.generation], g.info.durable)
		}
	}
	var gen uint32
	var expect uint64
	ended := false
	for _, g := range groups {
		if g.generation < after.generation || (g.generation == after.generation && g.seq <= after.seq) {
			continue
		}
		if g.generation != gen {
			gen, ended = g.generation, false
			expect = 1
			if gen == after.generation {
				expect = after.seq + 1
			}
		}
		if ended || g.seq < expect {
			continue
		}
		if missing := min(g.seq-1, durable[gen]); missing >= expect {
			img.damage = append(img.damage, fmt.Sprintf("journal groups %d to %d of generation %d are missing before %s block %d", expect, missing, gen, g.file.name, g.block))
			expect = missing + 1
		}
		if g.seq > expect { // torn: the groups before it were never promised
			ended = true
			continue
		}
		if !g.whole() {
			if g.seq > durable[gen] {
				ended = true
				continue
			}
			img.damage = append(img.damage, fmt.Sprintf("journal group %d of generation %d is damaged in %s block %d", g.seq, gen, g.file.name, g.block))
		}
		img.groups = append(img.groups, g)
		expect = g.seq + 1
	}
}

// index lists the frames of each log.
func (img *journalImage) index() error {
	for i := range img.groups {
		g := &img.groups[i]
		if g.info.blocks == 0 {
			continue
		}
		var head [frameHeader]byte
		for off, n := groupHeader, 0; n < g.info.frames && off+frameHeader <= g.info.length; n++ {
			if g.damaged(off, frameHeader) {
				break // the frames behind cannot be found
			}
			if err := g.read(head[:], off); err != nil {
				return err
			}
			f, length := getFrameHeader(head[:])
			span := frameSpan(length)
			if length < 0 || off+span > g.info.length {
				return fmt.Errorf("journal %s group %d: a frame of %d bytes does not fit its group", g.file.name, g.seq, length)
			}
			if !g.damaged(off, span) {
				key := logKey{f.id, f.partition}
				img.frames[key] = append(img.frames[key], frameRef{int32(i), uint32(off)})
			}
			off += span
		}
	}
	return nil
}

// damaged reports whether payload bytes [off, off+n) touch a bad block.
func (g *groupRef) damaged(off, n int) bool {
	for _, b := range g.bad {
		if off < (b+1)*blockPayload && off+n > b*blockPayload {
			return true
		}
	}
	return false
}

// read reads payload bytes of a group, leaving the stamps out; what spans blocks
// is read many blocks at once, since a call for each is what a replay would spend
// its time on.
func (g *groupRef) read(p []byte, off int) error {
	const most = 64
	var raw []byte
	for len(p) > 0 {
		b, in := off/blockPayload, off%blockPayload
		first := int64(g.block+b) * journalBlock
		if n := min(len(p), blockPayload-in); n == len(p) {
			return g.readAt(p, first+blockStamp+int64(in))
		}
		blocks := min(blocksFor(in+len(p)), most)
		if raw == nil {
			raw = make([]byte, blocks*journalBlock)
		}
		raw = raw[:blocks*journalBlock]
		// The last block up to what is wanted of it: a file may end there.
		end := min(blocks*journalBlock, (blocks-1)*journalBlock+blockStamp+in+len(p)-(blocks-1)*blockPayload)
		if err := g.readAt(raw[:end], first); err != nil {
			return err
		}
		for i := 0; i < end; i += journalBlock {
			n := copy(p, raw[i+blockStamp+in:min(i+journalBlock, end)])
			p, off, in = p[n:], off+n, 0
		}
	}
	return nil
}

func (g *groupRef) readAt(p []byte, at int64) error {
	if k, err := g.file.file.ReadAt(p, at); k < len(p) {
		return fmt.Errorf("read journal %s: %w", g.file.name, err)
	}
	return nil
}

// frameAt reads a frame with its bytes.
func (img *journalImage) frameAt(r frameRef) (f frame, g *groupRef, err error) {
	g = &img.groups[r.group]
	var head [frameHeader]byte
	if err := g.read(head[:], int(r.off)); err != nil {
		return f, g, err
	}
	f, n := getFrameHeader(head[:])
	f.bytes = make([]byte, n)
	return f, g, g.read(f.bytes, int(r.off)+frameHeader)
}

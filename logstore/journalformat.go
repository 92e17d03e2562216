package logstore

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The journal's bytes. A file is 4 KiB blocks. Block 0 is the file header; the
// others begin with a stamp of 16 bytes:
//
//	generation u32 | group u64 | crc u32
//
// The CRC-32C covers the first 12 bytes, the block's number in its file and
// the 4,080 payload bytes. Numbers are big-endian.
//
// The payload bytes of a group's blocks, put together, are a group header and
// frames. A group begins on a fresh block and is written with one call, and no
// block is ever written again before it is released: a durable block cannot be
// torn by a later write. Since the header says how many blocks the group has
// and each block proves itself, a group is complete exactly when all its
// blocks are valid: the header is the commit frame.
//
//	group header: magic u32 | blocks u32 | frames u32 | length u32 |
//	              durable group u64 | time ms u64
//	frame:        type u8, 3 zero | length u32 | topic id 16 | partition i32 |
//	              segment base i64 | position u32 | offset i64 | bytes | pad to 8
const (
	journalBlock   = 4096
	blockStamp     = 16
	blockPayload   = journalBlock - blockStamp
	groupHeader    = 32
	frameHeader    = 48
	journalMagic   = 0x43684a31 // "ChJ1": a file header
	groupMagic     = 0x43684772 // "ChGr": a group header
	journalVersion = 1
)

// frameType says what a frame means.
type frameType uint8

const (
	// frameAppend holds batches as they lie in the segment.
	frameAppend frameType = 1
	// frameDurable says that a direct sync made everything below offset durable.
	frameDurable frameType = 2
	// frameLogStart raises the log start to offset.
	frameLogStart frameType = 3
)

// frame is one entry of a group.
type frame struct {
	typ       frameType
	id        TopicID
	partition int32
	segBase   int64
	pos       int64
	offset    int64 // first offset for an append
	bytes     []byte
}

// frameSpan is the payload bytes of a frame with n bytes.
func frameSpan(n int) int { return (frameHeader + n + 7) &^ 7 }

// blocksFor is how many blocks a group of so many payload bytes takes.
func blocksFor(payload int) int { return (payload + blockPayload - 1) / blockPayload }

func putFrameHeader(b []byte, f *frame) {
	clear(b[:frameHeader])
	b[0] = byte(f.typ)
	binary.BigEndian.PutUint32(b[4:], uint32(len(f.bytes)))
	copy(b[8:24], f.id[:])
	binary.BigEndian.PutUint32(b[24:], uint32(f.partition))
	binary.BigEndian.PutUint64(b[28:], uint64(f.segBase))
	binary.BigEndian.PutUint32(b[36:], uint32(f.pos))
	binary.BigEndian.PutUint64(b[40:], uint64(f.offset))
}

// getFrameHeader is the inverse; n is the length of the bytes that follow.
func getFrameHeader(b []byte) (f frame, n int) {
	f.typ = frameType(b[0])
	n = int(binary.BigEndian.Uint32(b[4:]))
	copy(f.id[:], b[8:24])
	f.partition = int32(binary.BigEndian.Uint32(b[24:]))
	f.segBase = int64(binary.BigEndian.Uint64(b[28:]))
	f.pos = int64(binary.BigEndian.Uint32(b[36:]))
	f.offset = int64(binary.BigEndian.Uint64(b[40:]))
	return f, n
}

// groupInfo is a group's header.
type groupInfo struct {
	blocks, frames, length int
	durable                uint64
	time                   int64
}

func putGroupHeader(b []byte, g *groupInfo) {
	binary.BigEndian.PutUint32(b, groupMagic)
	binary.BigEndian.PutUint32(b[4:], uint32(g.blocks))
	binary.BigEndian.PutUint32(b[8:], uint32(g.frames))
	binary.BigEndian.PutUint32(b[12:], uint32(g.length))
	binary.BigEndian.PutUint64(b[16:], g.durable)
	binary.BigEndian.PutUint64(b[24:], uint64(g.time))
}

func getGroupHeader(b []byte) (g groupInfo, ok bool) {
	if len(b) < groupHeader || binary.BigEndian.Uint32(b) != groupMagic {
		return g, false
	}
	g.blocks = int(binary.BigEndian.Uint32(b[4:]))
	g.frames = int(binary.BigEndian.Uint32(b[8:]))
	g.length = int(binary.BigEndian.Uint32(b[12:]))
	g.durable = binary.BigEndian.Uint64(b[16:])
	g.time = int64(binary.BigEndian.Uint64(b[24:]))
	return g, g.blocks > 0 && g.length >= groupHeader && blocksFor(g.length) == g.blocks
}

// journalHeader is block 0 of a file. number orders the files' lives: a file
// gets a new one each time it is taken into use.
type journalHeader struct {
	dir        [16]byte
	generation uint32
	number     uint64
}

func (h *journalHeader) encode() []byte {
	b := make([]byte, journalBlock)
	binary.BigEndian.PutUint32(b, journalMagic)
	binary.BigEndian.PutUint32(b[4:], journalVersion)
	copy(b[8:24], h.dir[:])
	binary.BigEndian.PutUint32(b[24:], h.generation)
	binary.BigEndian.PutUint64(b[28:], h.number)
	binary.BigEndian.PutUint32(b[36:], crc32.Checksum(b[:36], castagnoli))
	return b
}

func decodeJournalHeader(b []byte) (h journalHeader, version uint32, ok bool) {
	if len(b) < 40 || binary.BigEndian.Uint32(b) != journalMagic ||
		binary.BigEndian.Uint32(b[36:]) != crc32.Checksum(b[:36], castagnoli) {
		return h, 0, false
	}
	copy(h.dir[:], b[8:24])
	h.generation = binary.BigEndian.Uint32(b[24:])
	h.number = binary.BigEndian.Uint64(b[28:])
	return h, binary.BigEndian.Uint32(b[4:]), true
}

// groupBuilder lays one group out in a buffer of whole blocks. Nothing is
// allocated once the buffer has grown. Committer only.
type groupBuilder struct {
	buf        []byte
	at         int // where the next payload byte goes
	generation uint32
	seq        uint64
	block      uint32 // number in the file of the first block
}

// begin starts a group whose first block has the given number in its file.
func (g *groupBuilder) begin(generation uint32, seq uint64, block uint32, info *groupInfo) {
	n := info.blocks * journalBlock
	if cap(g.buf) < n {
		g.buf = vfs.Aligned(max(n, 2*cap(g.buf)))
	}
	g.buf = g.buf[:n]
	g.generation, g.seq, g.block = generation, seq, block
	g.at = 0
	var head [groupHeader]byte
	putGroupHeader(head[:], info)
	g.put(head[:])
}

// frame adds a frame; its bytes are copied.
func (g *groupBuilder) frame(f *frame) {
	var head [frameHeader]byte
	putFrameHeader(head[:], f)
	g.put(head[:])
	g.put(f.bytes)
	var pad [8]byte
	g.put(pad[:frameSpan(len(f.bytes))-frameHeader-len(f.bytes)])
}

// put adds payload, leaving each block's stamp free.
func (g *groupBuilder) put(p []byte) {
	for len(p) > 0 {
		if g.at%journalBlock == 0 {
			g.at += blockStamp
		}
		n := copy(g.buf[g.at:g.at&^(journalBlock-1)+journalBlock], p)
		g.at += n
		p = p[n:]
	}
}

// finish pads the last block, stamps all and returns the bytes of the write.
func (g *groupBuilder) finish() []byte {
	clear(g.buf[g.at:])
	for i := 0; i < len(g.buf); i += journalBlock {
		b := g.buf[i : i+journalBlock]
		crc := stampBlock(b[:blockStamp], g.generation, g.seq, g.block+uint32(i/journalBlock))
		binary.BigEndian.PutUint32(b[12:], crc32.Update(crc, castagnoli, b[blockStamp:]))
	}
	return g.buf
}

// stampBlock writes a stamp but its CRC and starts the CRC.
func stampBlock(stamp []byte, generation uint32, seq uint64, block uint32) uint32 {
	binary.BigEndian.PutUint32(stamp, generation)
	binary.BigEndian.PutUint64(stamp[4:], seq)
	binary.BigEndian.PutUint32(stamp[12:], block)
	return crc32.Update(0, castagnoli, stamp[:blockStamp])
}

// validBlock checks a block of 4 KiB against its stamp and number.
func validBlock(b []byte, number uint32) (generation uint32, seq uint64, ok bool) {
	generation = binary.BigEndian.Uint32(b)
	seq = binary.BigEndian.Uint64(b[4:])
	if generation == 0 {
		return 0, 0, false // never written
	}
	var stamp [blockStamp]byte
	crc := stampBlock(stamp[:], generation, seq, number)
	crc = crc32.Update(crc, castagnoli, b[blockStamp:journalBlock])
	return generation, seq, crc == binary.BigEndian.Uint32(b[12:])
}

package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"slices"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// <data>/checkpoint is written by every checkpoint, with atomicWrite:
//
//	magic u32 | version u32 | dir id 16 | generation u32 | seq u64 | entries u32
//	entry: length u32, then what logEntry.encode writes
//	crc u32 over everything before it
//
// It says where recovery of each log starts and what the producer state is
// there, so that recovery reads nothing below.
const (
	fileCheckpoint    = "checkpoint"
	checkpointMagic   = 0x43684370 // "ChCp"
	checkpointVersion = 1
	checkpointHead    = 40
	maxCheckpoint     = 1 << 30
)

// checkpointMark is how far the journal is not needed any more.
type checkpointMark struct {
	generation uint32
	seq        uint64
}

// logEntry is a log's state at its recovery point.
type logEntry struct {
	key        logKey
	topic      string
	generation uint32 // frames of earlier generations do not apply
	start      int64  // log start offset
	recovery   int64  // recovery point: everything below is durable in the segments
	base       int64  // segment that is active there
	pos        int64  // bytes of it
	epoch      int32  // newest leader epoch written, -1
	size       int64  // bytes of all segments
	// The active segment's append state.
	maxTs, maxTsAt, firstTs, created, sinceIndex int64
	offsets, times, txnIndex                     int32 // entries in the index files
	// txns are the undecided transactions.
	txns []openTxn
	prod producers
}

func (e *logEntry) encode(b []byte) []byte {
	le := binary.BigEndian
	b = append(b, e.key.id[:]...)
	b = le.AppendUint32(b, uint32(e.key.partition))
	b = le.AppendUint16(b, uint16(len(e.topic)))
	b = append(b, e.topic...)
	b = le.AppendUint32(b, e.generation)
	for _, v := range []int64{e.start, e.recovery, e.base, e.pos, e.size, e.maxTs, e.maxTsAt, e.firstTs, e.created, e.sinceIndex} {
		b = le.AppendUint64(b, uint64(v))
	}
	for _, v := range []int32{e.epoch, e.offsets, e.times, e.txnIndex, int32(len(e.txns))} {
		b = le.AppendUint32(b, uint32(v))
	}
	for _, t := range e.txns {
		for _, v := range []int64{t.producer, t.first.offset, t.first.base, t.first.pos, t.marker} {
			b = le.AppendUint64(b, uint64(v))
		}
	}
	b = le.AppendUint32(b, uint32(len(e.prod.m)))
	for id, p := range e.prod.m {
		b = le.AppendUint64(b, uint64(id))
		b = le.AppendUint16(b, uint16(p.epoch))
		b = append(b, p.n)
		b = le.AppendUint64(b, uint64(p.timestamp))
		b = le.AppendUint32(b, uint32(p.coordinatorEpoch))
		b = le.AppendUint64(b, uint64(p.txnFirst))
		for _, s := range p.batches[:p.n] {
			b = le.AppendUint32(b, uint32(s.lastSeq))
			b = le.AppendUint32(b, uint32(s.delta))
			b = le.AppendUint64(b, uint64(s.lastOffset))
			b = le.AppendUint64(b, uint64(s.timestamp))
		}
	}
	return b
}

// byteReader reads big-endian fields; after the end it gives zeros and is bad.
type byteReader struct {
	b   []byte
	bad bool
}

func (r *byteReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, min(max(n, 0), 64))
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *byteReader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *byteReader) i32() int32  { return int32(binary.BigEndian.Uint32(r.take(4))) }
func (r *byteReader) i64() int64  { return int64(binary.BigEndian.Uint64(r.take(8))) }

// count reads a count of things that take at least size bytes each.
func (r *byteReader) count(size int) int {
	n := int(r.i32())
	if n < 0 || n*size > len(r.b) {
		r.bad = true
		return 0
	}
	return n
}

var errBadCheckpoint = errors.New("logstore: the checkpoint is damaged")

func decodeLogEntry(b []byte) (e logEntry, err error) {
	r := &byteReader{b: b}
	copy(e.key.id[:], r.take(16))
	e.key.partition = r.i32()
	e.topic = string(r.take(int(r.u16())))
	e.generation = uint32(r.i32())
	for _, p := range []*int64{&e.start, &e.recovery, &e.base, &e.pos, &e.size, &e.maxTs, &e.maxTsAt, &e.firstTs, &e.created, &e.sinceIndex} {
		*p = r.i64()
	}
	for _, p := range []*int32{&e.epoch, &e.offsets, &e.times, &e.txnIndex} {
		*p = r.i32()
	}
	for n := r.count(40); n > 0; n-- {
		var t openTxn
		for _, p := range []*int64{&t.producer, &t.first.offset, &t.first.base, &t.first.pos, &t.marker} {
			*p = r.i64()
		}
		e.txns = append(e.txns, t)
	}
	for n := r.count(31); n > 0 && !r.bad; n-- {
		p := e.prod.entry(r.i64())
		p.epoch = int16(r.u16())
		kept := int(r.take(1)[0])
		p.timestamp, p.coordinatorEpoch, p.txnFirst = r.i64(), r.i32(), r.i64()
		if kept > keptBatches {
			r.bad = true
			break
		}
		for range kept {
			p.push(sentBatch{r.i32(), r.i32(), r.i64(), r.i64()})
		}
	}
	if r.bad || len(r.b) != 0 || e.pos < 0 || e.pos > math.MaxInt32 || e.recovery < e.base || e.base < 0 {
		return e, fmt.Errorf("%w: an entry is malformed", errBadCheckpoint)
	}
	return e, nil
}

// encodeCheckpoint builds the file from encoded entries.
func encodeCheckpoint(dir [16]byte, mark checkpointMark, entries map[logKey][]byte) []byte {
	be := binary.BigEndian
	size := checkpointHead + 4
	keys := make([]logKey, 0, len(entries))
	for k, e := range entries {
		size += 4 + len(e)
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b logKey) int {
		if c := slices.Compare(a.id[:], b.id[:]); c != 0 {
			return c
		}
		return int(a.partition) - int(b.partition)
	})
	b := make([]byte, 0, size)
	b = be.AppendUint32(b, checkpointMagic)
	b = be.AppendUint32(b, checkpointVersion)
	b = append(b, dir[:]...)
	b = be.AppendUint32(b, mark.generation)
	b = be.AppendUint64(b, mark.seq)
	b = be.AppendUint32(b, uint32(len(keys)))
	for _, k := range keys {
		b = be.AppendUint32(b, uint32(len(entries[k])))
		b = append(b, entries[k]...)
	}
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readCheckpoint reads <data>/checkpoint; ok is false when there is none.
func readCheckpoint(disk vfs.FS, name string, dir [16]byte) (mark checkpointMark, entries map[logKey][]byte, ok bool, err error) {
	b, err := readFile(disk, name, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return mark, map[logKey][]byte{}, false, nil
	}
	if err != nil {
		return mark, nil, false, err
	}
	mark, entries, err = decodeCheckpoint(b, dir)
	if err != nil {
		return mark, nil, false, fmt.Errorf("%s: %w", name, err)
	}
	return mark, entries, true, nil
}

func decodeCheckpoint(b []byte, dir [16]byte) (mark checkpointMark, entries map[logKey][]byte, err error) {
	be := binary.BigEndian
	if len(b) < checkpointHead+4 || be.Uint32(b) != checkpointMagic {
		return mark, nil, fmt.Errorf("%w: it does not start with its magic", errBadCheckpoint)
	}
	if v := be.Uint32(b[4:]); v > checkpointVersion {
		return mark, nil, fmt.Errorf("the checkpoint has format %d; this release reads up to %d: start the newer release again", v, checkpointVersion)
	}
	body, sum := b[:len(b)-4], be.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return mark, nil, fmt.Errorf("%w: its CRC is wrong", errBadCheckpoint)
	}
	if [16]byte(b[8:24]) != dir {
		return mark, nil, errors.New("the checkpoint belongs to another data directory")
	}
	mark = checkpointMark{be.Uint32(b[24:]), be.Uint64(b[28:])}
	r := &byteReader{b: body[checkpointHead:]}
	entries = map[logKey][]byte{}
	for n := int(be.Uint32(b[36:])); n > 0 && !r.bad; n-- {
		e := slices.Clone(r.take(int(r.i32())))
		if r.bad || len(e) < 20 {
			break
		}
		key := logKey{TopicID(e[:16]), int32(be.Uint32(e[16:]))}
		entries[key] = e
	}
	if r.bad || len(r.b) != 0 || len(entries) != int(be.Uint32(b[36:])) {
		return mark, nil, fmt.Errorf("%w: its entries do not fill it", errBadCheckpoint)
	}
	return mark, entries, nil
}

package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// A .snapshot file is the producer state at the offset in its name, in Kafka's
// format (ProducerStateManager.java): version i16 = 1, CRC-32C u32 of what
// follows, count i32, 46 bytes a producer. Only the last batch of a producer
// is in it; our checkpoint keeps all five.
const (
	snapshotHead  = 10
	snapshotEntry = 46
)

var errBadSnapshot = errors.New("logstore: the producer snapshot is damaged")

func encodeSnapshot(p *producers) []byte {
	ids := make([]int64, 0, len(p.m))
	for id := range p.m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	b := make([]byte, snapshotHead, snapshotHead+len(ids)*snapshotEntry)
	binary.BigEndian.PutUint16(b, 1)
	binary.BigEndian.PutUint32(b[6:], uint32(len(ids)))
	for _, id := range ids {
		e := p.m[id]
		last := sentBatch{lastSeq: -1, lastOffset: -1, timestamp: e.timestamp}
		if e.n > 0 {
			last = e.batches[e.n-1]
		}
		b = binary.BigEndian.AppendUint64(b, uint64(id))
		b = binary.BigEndian.AppendUint16(b, uint16(e.epoch))
		b = binary.BigEndian.AppendUint32(b, uint32(last.lastSeq))
		b = binary.BigEndian.AppendUint64(b, uint64(last.lastOffset))
		b = binary.BigEndian.AppendUint32(b, uint32(last.delta))
		b = binary.BigEndian.AppendUint64(b, uint64(e.timestamp))
		b = binary.BigEndian.AppendUint32(b, uint32(e.coordinatorEpoch))
		b = binary.BigEndian.AppendUint64(b, uint64(e.txnFirst))
	}
	binary.BigEndian.PutUint32(b[2:], crc32.Checksum(b[6:], castagnoli))
	return b
}

func decodeSnapshot(b []byte) (producers, error) {
	var p producers
	if len(b) < snapshotHead {
		return p, fmt.Errorf("%w: %d bytes are less than its header", errBadSnapshot, len(b))
	}
	if v := binary.BigEndian.Uint16(b); v != 1 {
		return p, fmt.Errorf("%w: version %d is not 1", errBadSnapshot, v)
	}
	if crc32.Checksum(b[6:], castagnoli) != binary.BigEndian.Uint32(b[2:]) {
		return p, fmt.Errorf("%w: its CRC is wrong", errBadSnapshot)
	}
	n := int(int32(binary.BigEndian.Uint32(b[6:])))
	if n < 0 || len(b)-snapshotHead != n*snapshotEntry {
		return p, fmt.Errorf("%w: %d entries do not fill %d bytes", errBadSnapshot, n, len(b))
	}
	for r := b[snapshotHead:]; len(r) > 0; r = r[snapshotEntry:] {
		e := p.entry(int64(binary.BigEndian.Uint64(r)))
		e.epoch = int16(binary.BigEndian.Uint16(r[8:]))
		last := sentBatch{
			lastSeq:    int32(binary.BigEndian.Uint32(r[10:])),
			lastOffset: int64(binary.BigEndian.Uint64(r[14:])),
			delta:      int32(binary.BigEndian.Uint32(r[22:])),
			timestamp:  int64(binary.BigEndian.Uint64(r[26:])),
		}
		e.timestamp = last.timestamp
		e.coordinatorEpoch = int32(binary.BigEndian.Uint32(r[34:]))
		e.txnFirst = int64(binary.BigEndian.Uint64(r[38:]))
		if last.lastSeq >= 0 {
			e.push(last)
		}
	}
	return p, nil
}

package record

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/chronik-stream/chronik/codec/compress"
)

// Where the fields of a v2 batch header lie (Kafka: DefaultRecordBatch.java).
// The CRC covers everything from the attributes on: base offset and leader
// epoch can be patched without touching it.
const (
	offBaseOffset      = 0
	offLength          = 8
	offLeaderEpoch     = 12
	offMagic           = 16
	offCRC             = 17
	offAttributes      = 21
	offLastOffsetDelta = 23
	offBaseTimestamp   = 27
	offMaxTimestamp    = 35
	offProducerID      = 43
	offProducerEpoch   = 51
	offBaseSequence    = 53
	offCount           = 57
)

const (
	// HeaderSize is the length of a v2 batch header: the least size of a batch.
	HeaderSize = 61
	// LogOverhead is the part of a batch that its length field does not count:
	// base offset and the length itself. v0 and v1 messages have the same.
	LogOverhead = 12
	// Magic is the only format on disk; 0 and 1 exist on the wire of old clients.
	Magic = 2
)

// Attribute bits of a batch.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
)

// NoTimestamp is the timestamp of a record without one; NoProducer, NoEpoch and
// NoSequence are the producer fields of a batch without a producer.
const (
	NoTimestamp = -1
	NoProducer  = -1
	NoEpoch     = -1
	NoSequence  = -1
)

// castagnoli is the CRC-32C table; hash/crc32 has its own assembly for it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is a view of one v2 record batch, header included. Its accessors read
// the bytes in place and ask for at least HeaderSize of them; get one from
// [Next] or [Check], or slice it yourself after looking at its length.
type Batch []byte

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[offBaseOffset:])) }

// Size is the length of the whole batch as its header states it.
func (b Batch) Size() int {
	return LogOverhead + int(int32(binary.BigEndian.Uint32(b[offLength:])))
}

// LeaderEpoch is the partition leader epoch, -1 when never set.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[offLeaderEpoch:])) }

// Magic is the format's number.
func (b Batch) Magic() int8 { return int8(b[offMagic]) }

// CRC is the checksum as the header states it; see [Batch.CheckCRC].
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[offCRC:]) }

// Attributes is the raw attribute bits.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[offAttributes:])) }

// Codec is the compression codec, perhaps one that does not exist.
func (b Batch) Codec() compress.Codec { return compress.Codec(b[offAttributes+1] & attrCodec) }

// LogAppendTime says that every record's timestamp is MaxTimestamp.
func (b Batch) LogAppendTime() bool { return b[offAttributes+1]&attrLogAppendTime != 0 }

// Transactional says that the batch belongs to a transaction.
func (b Batch) Transactional() bool { return b[offAttributes+1]&attrTransactional != 0 }

// Control says that the batch holds control records, which no client sees.
func (b Batch) Control() bool { return b[offAttributes+1]&attrControl != 0 }

// DeleteHorizon is the time (ms) until which compaction keeps the batch's
// tombstones or markers; ok is false when it is not set.
func (b Batch) DeleteHorizon() (ms int64, ok bool) {
	return b.BaseTimestamp(), b[offAttributes+1]&attrDeleteHorizon != 0
}

// LastOffsetDelta is the last record's offset relative to BaseOffset. After a
// compaction it may be larger than Count-1.
func (b Batch) LastOffsetDelta() int32 {
	return int32(binary.BigEndian.Uint32(b[offLastOffsetDelta:]))
}

// LastOffset is the offset of the last record.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the offset behind the last record.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// BaseTimestamp is what the records' timestamp deltas are relative to (or the
// delete horizon).
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[offBaseTimestamp:])) }

// MaxTimestamp is the largest timestamp of a record.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[offMaxTimestamp:])) }

// ProducerID is NoProducer when the batch is not idempotent.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[offProducerID:])) }

// ProducerEpoch is NoEpoch when the batch is not idempotent.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[offProducerEpoch:])) }

// BaseSequence is the sequence of the first record, or NoSequence.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[offBaseSequence:])) }

// LastSequence is the sequence of the last record; sequences wrap from the
// largest int32 to 0.
func (b Batch) LastSequence() int32 {
	if s := b.BaseSequence(); s != NoSequence {
		return AddSequence(s, b.LastOffsetDelta())
	}
	return NoSequence
}

// AddSequence is the sequence n records behind s (Kafka:
// DefaultRecordBatch.incrementSequence).
func AddSequence(s, n int32) int32 {
	return int32((int64(s) + int64(n)) & 0x7fffffff)
}

// Count is the number of records.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[offCount:])) }

// Records is the records' bytes behind the header, compressed when Codec says
// so. It aliases b.
func (b Batch) Records() []byte { return b[HeaderSize:] }

// Timestamp is the timestamp of a record whose delta is given.
func (b Batch) Timestamp(delta int64) int64 {
	if b.LogAppendTime() {
		return b.MaxTimestamp()
	}
	return b.BaseTimestamp() + delta
}

// SetBaseOffset patches the base offset in place; the CRC does not cover it.
func (b Batch) SetBaseOffset(o int64) { binary.BigEndian.PutUint64(b[offBaseOffset:], uint64(o)) }

// SetLeaderEpoch patches the leader epoch in place; the CRC does not cover it.
func (b Batch) SetLeaderEpoch(e int32) { binary.BigEndian.PutUint32(b[offLeaderEpoch:], uint32(e)) }

// SetLogAppendTime makes ms every record's timestamp and renews the CRC.
func (b Batch) SetLogAppendTime(ms int64) {
	b[offAttributes+1] |= attrLogAppendTime
	binary.BigEndian.PutUint64(b[offMaxTimestamp:], uint64(ms))
	b.SetCRC()
}

// SetMaxTimestamp corrects the largest timestamp of a batch with create times
// and renews the CRC.
func (b Batch) SetMaxTimestamp(ms int64) {
	b[offAttributes+1] &^= attrLogAppendTime
	binary.BigEndian.PutUint64(b[offMaxTimestamp:], uint64(ms))
	b.SetCRC()
}

// ComputeCRC is the CRC-32C of the bytes it covers.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[offAttributes:], castagnoli) }

// CheckCRC reports whether the checksum is right.
func (b Batch) CheckCRC() bool { return b.ComputeCRC() == b.CRC() }

// SetCRC writes the right checksum.
func (b Batch) SetCRC() { binary.BigEndian.PutUint32(b[offCRC:], b.ComputeCRC()) }

// Next cuts the first batch off data. It checks the length and magic, no CRC.
// The batch and rest alias data. At the end of data it gives a nil batch.
func Next(data []byte) (b Batch, rest []byte, err error) {
	if len(data) == 0 {
		return nil, nil, nil
	}
	if len(data) < HeaderSize {
		return nil, data, ErrShort
	}
	if Batch(data).Magic() != Magic {
		return nil, data, ErrMagic
	}
	size := Batch(data).Size()
	if size < HeaderSize {
		return nil, data, ErrLength
	}
	if size > len(data) {
		return nil, data, ErrShort
	}
	return Batch(data[:size:size]), data[size:], nil
}

// Check is [Next] for bytes that must be exactly one batch, and checks the CRC
// too.
func Check(data []byte) (Batch, error) {
	b, rest, err := Next(data)
	switch {
	case err != nil:
		return nil, err
	case b == nil:
		return nil, ErrShort
	case len(rest) > 0:
		return nil, ErrTrailing
	case !b.CheckCRC():
		return nil, ErrCRC
	}
	return b, nil
}

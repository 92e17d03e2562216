package record

import (
	"encoding/binary"
	"math"

	"github.com/chronik-stream/chronik/codec/compress"
)

// BuilderOptions is the header of a batch to be built. Start from
// [DefaultBuilderOptions]: zero is a valid producer id.
type BuilderOptions struct {
	Codec compress.Codec
	// Level is the codec's level; compress.DefaultLevel for its default.
	Level         int
	BaseOffset    int64
	LeaderEpoch   int32
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	// LogAppendTime, when not NoTimestamp, becomes every record's timestamp.
	LogAppendTime int64
	// DeleteHorizon, when not NoTimestamp, is written as the base timestamp
	// with its attribute bit (compaction).
	DeleteHorizon int64
}

// DefaultBuilderOptions is an uncompressed batch without a producer.
func DefaultBuilderOptions() BuilderOptions {
	return BuilderOptions{
		Level:         compress.DefaultLevel,
		LeaderEpoch:   -1,
		ProducerID:    NoProducer,
		ProducerEpoch: NoEpoch,
		BaseSequence:  NoSequence,
		LogAppendTime: NoTimestamp,
		DeleteHorizon: NoTimestamp,
	}
}

// Builder makes one batch. Records go straight behind the header in one
// buffer; only compression needs a second one. One goroutine.
type Builder struct {
	o         BuilderOptions
	dst       []byte
	start     int // where the batch begins in dst
	count     int32
	lastDelta int32
	baseTime  int64
	maxTime   int64
}

// NewBuilder begins a batch behind dst.
func NewBuilder(dst []byte, o BuilderOptions) Builder {
	b := Builder{o: o, dst: dst, start: len(dst), lastDelta: -1, maxTime: NoTimestamp}
	b.dst = append(b.dst, make([]byte, HeaderSize)...)
	if o.DeleteHorizon != NoTimestamp {
		b.baseTime = o.DeleteHorizon
	}
	return b
}

// Count is the number of records so far.
func (b *Builder) Count() int { return int(b.count) }

// Size is the size of the batch so far, uncompressed.
func (b *Builder) Size() int { return len(b.dst) - b.start }

// Append adds a record at the next offset. Nil key and value are null;
// everything is copied.
func (b *Builder) Append(timestamp int64, key, value []byte, headers ...Header) {
	b.AppendAt(b.lastDelta+1, timestamp, key, value, headers...)
}

// AppendAt adds a record with an offset delta of its own, larger than the last
// one's (compaction leaves gaps).
func (b *Builder) AppendAt(delta int32, timestamp int64, key, value []byte, headers ...Header) {
	timeDelta := b.begin(delta, timestamp)
	n := recordSize(timeDelta, delta, key, value, len(headers))
	for i := range headers {
		n += varintLen(int64(len(headers[i].Key))) + len(headers[i].Key) + bytesSize(headers[i].Value)
	}
	b.dst = appendRecord(b.dst, n, timeDelta, delta, key, value, len(headers))
	for i := range headers {
		b.dst = appendBytes(b.dst, headers[i].Key, false)
		b.dst = appendBytes(b.dst, headers[i].Value, headers[i].Value == nil)
	}
}

// Copy adds a record of another batch, headers included, at its delta from
// this batch's base offset, with the timestamp given.
func (b *Builder) Copy(delta int32, timestamp int64, r *Record) {
	timeDelta := b.begin(delta, timestamp)
	n := recordSize(timeDelta, delta, r.Key, r.Value, r.HeaderCount) + len(r.headers)
	b.dst = appendRecord(b.dst, n, timeDelta, delta, r.Key, r.Value, r.HeaderCount)
	b.dst = append(b.dst, r.headers...)
}

// begin counts a record in and gives its timestamp delta.
func (b *Builder) begin(delta int32, timestamp int64) int64 {
	if b.count == 0 && b.o.DeleteHorizon == NoTimestamp {
		b.baseTime = timestamp
	}
	b.count++
	b.lastDelta = delta
	b.maxTime = max(b.maxTime, timestamp)
	return timestamp - b.baseTime
}

// SetLastOffsetDelta widens the batch beyond its last record: compaction keeps
// the last offset of a batch whose last records are gone.
func (b *Builder) SetLastOffsetDelta(delta int32) { b.lastDelta = max(b.lastDelta, delta) }

// Finish compresses, writes the header and gives dst with the batch behind it.
// The builder must not be used afterwards. A batch without records is allowed:
// compaction keeps the header of an emptied one for its producer fields.
func (b *Builder) Finish() ([]byte, error) {
	if b.o.Codec != compress.None {
		records := b.dst[b.start+HeaderSize:]
		out := make([]byte, 0, b.start+HeaderSize+len(records)/2+64)
		out = append(out, b.dst[:b.start+HeaderSize]...)
		out, err := compress.Append(out, records, b.o.Codec, b.o.Level)
		if err != nil {
			return b.dst[:b.start], err
		}
		b.dst = out
	}
	h := Batch(b.dst[b.start:])
	if err := h.setLength(); err != nil {
		return b.dst[:b.start], err
	}
	attributes := byte(b.o.Codec)
	maxTime := b.maxTime
	if b.o.LogAppendTime != NoTimestamp {
		attributes |= attrLogAppendTime
		maxTime = b.o.LogAppendTime
	}
	if b.o.Transactional {
		attributes |= attrTransactional
	}
	if b.o.Control {
		attributes |= attrControl
	}
	if b.o.DeleteHorizon != NoTimestamp {
		attributes |= attrDeleteHorizon
	}
	h.SetBaseOffset(b.o.BaseOffset)
	h.SetLeaderEpoch(b.o.LeaderEpoch)
	h[offMagic] = Magic
	h[offAttributes], h[offAttributes+1] = 0, attributes
	binary.BigEndian.PutUint32(h[offLastOffsetDelta:], uint32(max(b.lastDelta, 0)))
	binary.BigEndian.PutUint64(h[offBaseTimestamp:], uint64(b.baseTime))
	binary.BigEndian.PutUint64(h[offMaxTimestamp:], uint64(maxTime))
	binary.BigEndian.PutUint64(h[offProducerID:], uint64(b.o.ProducerID))
	binary.BigEndian.PutUint16(h[offProducerEpoch:], uint16(b.o.ProducerEpoch))
	binary.BigEndian.PutUint32(h[offBaseSequence:], uint32(b.o.BaseSequence))
	binary.BigEndian.PutUint32(h[offCount:], uint32(b.count))
	h.SetCRC()
	return b.dst, nil
}

// setLength states the batch's own length in its header.
func (b Batch) setLength() error {
	if len(b)-LogOverhead > math.MaxInt32 {
		return ErrTooLarge
	}
	binary.BigEndian.PutUint32(b[offLength:], uint32(len(b)-LogOverhead))
	return nil
}

// recordSize is the length of a record's body without its headers' bytes.
func recordSize(timeDelta int64, delta int32, key, value []byte, headers int) int {
	return 1 + varintLen(timeDelta) + varintLen(int64(delta)) +
		bytesSize(key) + bytesSize(value) + varintLen(int64(headers))
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}

// appendRecord writes a record's body of n bytes up to its headers.
func appendRecord(dst []byte, n int, timeDelta int64, delta int32, key, value []byte, headers int) []byte {
	dst = binary.AppendVarint(dst, int64(n))
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, timeDelta)
	dst = binary.AppendVarint(dst, int64(delta))
	dst = appendBytes(dst, key, key == nil)
	dst = appendBytes(dst, value, value == nil)
	return binary.AppendVarint(dst, int64(headers))
}

func appendBytes(dst, b []byte, null bool) []byte {
	if null {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

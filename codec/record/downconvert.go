package record

import (
	"encoding/binary"
	"hash/crc32"
	"sync"

	"github.com/chronik-stream/chronik/codec/compress"
)

// DownConvert appends the records of whole v2 batches as a message set of
// format 0 or 1, as Kafka 3.9 does for old consumers (RecordsUtil.java).
// Headers, producer fields and control batches are dropped; records of
// uncompressed batches before first are left out; a compressed batch becomes
// one compressed message. Zstd has no old form: ErrZstd. Inflate bounds the
// decompressed records of one batch. On an error dst is given as it was. Not
// on an event loop.
func DownConvert(dst, batches []byte, magic int8, first int64, inflate int) ([]byte, error) {
	start := len(dst)
	for {
		b, rest, err := Next(batches)
		if err != nil {
			return dst[:start], err
		}
		if b == nil {
			return dst, nil
		}
		batches = rest
		if b.Control() {
			continue
		}
		if dst, err = downConvert(dst, b, magic, first, inflate); err != nil {
			return dst[:start], err
		}
	}
}

// A downScratch is what a conversion of one compressed batch needs on the way:
// its records, the messages made of them, and those compressed. An answer to an
// old client has hundreds of batches, and what they left behind kept the
// collector at work on every core.
type downScratch struct{ payload, set, value []byte }

var downScratches sync.Pool

// maxDownScratch is the largest buffer that is kept.
const maxDownScratch = 1 << 20

func keptScratch(b []byte) []byte {
	if cap(b) > maxDownScratch {
		return nil
	}
	return b[:0]
}

func downConvert(dst []byte, b Batch, magic int8, first int64, inflate int) ([]byte, error) {
	if b.Codec() == compress.None {
		return downConvertWith(&downScratch{}, dst, b, magic, first, inflate)
	}
	s, _ := downScratches.Get().(*downScratch)
	if s == nil {
		s = &downScratch{}
	}
	dst, err := downConvertWith(s, dst, b, magic, first, inflate)
	s.payload, s.set, s.value = keptScratch(s.payload), keptScratch(s.set), keptScratch(s.value)
	downScratches.Put(s)
	return dst, err
}

func downConvertWith(s *downScratch, dst []byte, b Batch, magic int8, first int64, inflate int) ([]byte, error) {
	codec := b.Codec()
	if codec == compress.Zstd {
		return dst, ErrZstd
	}
	payload, err := b.Payload(s.payload, inflate)
	if err != nil {
		return dst, err
	}
	if codec != compress.None {
		s.payload = payload
	}
	attributes := byte(0)
	if magic == 1 && b.LogAppendTime() {
		attributes = attrLogAppendTime
	}
	set := dst // where messages go: straight into dst, or into a set of their own
	if codec != compress.None {
		set = s.set
	}
	var (
		it     = NewIter(payload, b.Count())
		r      Record
		base   int64 // offset of the first record
		last   int64
		latest int64 = NoTimestamp
		count  int
	)
	for it.Next(&r) {
		offset := b.BaseOffset() + int64(r.OffsetDelta)
		if codec == compress.None && offset < first {
			continue
		}
		if count == 0 {
			base = offset
		}
		count++
		last = offset
		at := b.Timestamp(r.TimestampDelta)
		latest = max(latest, at)
		if codec != compress.None && magic == 1 {
			offset -= base
		}
		set = appendMessage(set, magic, attributes, offset, at, r.Key, r.Value)
	}
	if err := it.Err(); err != nil {
		return dst, err
	}
	if codec == compress.None {
		return set, nil
	}
	s.set = set
	if count == 0 {
		return dst, nil
	}
	compressWith := compress.Append
	if magic == 0 {
		compressWith = compress.AppendV0
	}
	value, err := compressWith(s.value, set, codec, compress.DefaultLevel)
	if err != nil {
		return dst, err
	}
	s.value = value
	return appendMessage(dst, magic, attributes|byte(codec), last, latest, nil, value), nil
}

// appendMessage writes one message of format 0 or 1.
func appendMessage(dst []byte, magic int8, attributes byte, offset, timestamp int64, key, value []byte) []byte {
	at := len(dst)
	size := messageV0Size
	if magic == 1 {
		size = messageV1Size
	}
	size += len(key) + len(value)
	dst = binary.BigEndian.AppendUint64(dst, uint64(offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	dst = append(dst, 0, 0, 0, 0, byte(magic), attributes)
	if magic == 1 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(timestamp))
	}
	dst = appendField(dst, key)
	dst = appendField(dst, value)
	m := dst[at:]
	binary.BigEndian.PutUint32(m[offMessageCRC:], crc32.ChecksumIEEE(m[offMessageMagic:]))
	return dst
}

func appendField(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
	return append(dst, b...)
}

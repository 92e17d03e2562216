package broker

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What is in this file reads and writes message sets of formats 0 and 1, and
// batches of format 2, without a line of package record or compress, so that a
// fault there cannot hide itself: the formats are written down again after
// Kafka's LegacyRecord.java, the fields of format 2 are kmsg's.

// oldRecord is what a record comes to in any format; time -1 is none.
type oldRecord struct {
	offset, time int64
	key, value   []byte
	headers      []kmsg.Header
}

// same tells how two lists differ, null and empty held apart; headers are not looked at.
func same(got, want []oldRecord) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d records, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if g.offset != w.offset || g.time != w.time || !bytes.Equal(g.key, w.key) || !bytes.Equal(g.value, w.value) ||
			(g.key == nil) != (w.key == nil) || (g.value == nil) != (w.value == nil) {
			return fmt.Errorf("record %d is %+v, want %+v", i, g, w)
		}
	}
	return nil
}

// oracleMessage writes one message.
func oracleMessage(magic, attributes int8, r oldRecord) []byte {
	body := []byte{byte(magic), byte(attributes)}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(r.time))
	}
	for _, field := range [][]byte{r.key, r.value} {
		if field == nil {
			body = binary.BigEndian.AppendUint32(body, 1<<32-1)
			continue
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(field))), field...)
	}
	m := binary.BigEndian.AppendUint64(nil, uint64(r.offset))
	m = binary.BigEndian.AppendUint32(m, uint32(4+len(body)))
	m = binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(body))
	return append(m, body...)
}

// oracleSet writes records as a set; with a codec as one wrapper, the inner
// offsets from 0 or, when absolute, as they are.
func oracleSet(magic, codec int8, absolute bool, records []oldRecord) ([]byte, error) {
	var inner []byte
	for i, r := range records {
		if codec != 0 && !absolute {
			r.offset = int64(i)
		}
		inner = append(inner, oracleMessage(magic, 0, r)...)
	}
	if codec == 0 {
		return inner, nil
	}
	packed, err := oraclePack(codec, magic, inner)
	if err != nil {
		return nil, err
	}
	last := records[len(records)-1]
	if absolute && magic == 1 {
		last.offset = 0 // as librdkafka's wrappers of format 1 were
	}
	return oracleMessage(magic, codec, oldRecord{offset: last.offset, time: last.time, value: packed}), nil
}

// oracleMessages reads a set, wrappers opened.
func oracleMessages(set []byte, magic int8) ([]oldRecord, error) {
	return oracleInner(set, magic, false)
}

func oracleInner(set []byte, magic int8, inside bool) (out []oldRecord, err error) {
	for len(set) > 0 {
		if len(set) < 12 {
			return nil, fmt.Errorf("%d bytes left over", len(set))
		}
		r := oldRecord{offset: int64(binary.BigEndian.Uint64(set)), time: -1}
		size := int(binary.BigEndian.Uint32(set[8:]))
		if size > len(set)-12 {
			return nil, fmt.Errorf("a message of %d bytes is cut at %d", size, len(set)-12)
		}
		m := set[12 : 12+size]
		set = set[12+size:]
		if crc := binary.BigEndian.Uint32(m); crc != crc32.ChecksumIEEE(m[4:]) {
			return nil, fmt.Errorf("the checksum of message %d is wrong", r.offset)
		}
		attributes, body := m[5], m[6:]
		if int8(m[4]) != magic {
			return nil, fmt.Errorf("message %d is of format %d", r.offset, m[4])
		}
		if magic == 1 {
			r.time, body = int64(binary.BigEndian.Uint64(body)), body[8:]
		}
		for _, field := range []*[]byte{&r.key, &r.value} {
			n := int32(binary.BigEndian.Uint32(body))
			if body = body[4:]; n >= 0 {
				*field, body = body[:n:n], body[n:]
			}
		}
		if len(body) != 0 {
			return nil, fmt.Errorf("message %d has %d bytes too many", r.offset, len(body))
		}
		codec := int8(attributes & 7)
		if codec == 0 {
			out = append(out, r)
			continue
		}
		if inside || r.key != nil {
			return nil, fmt.Errorf("wrapper %d lies in another or has a key", r.offset)
		}
		plain, err := oracleUnpack(codec, magic, r.value)
		if err != nil {
			return nil, err
		}
		inner, err := oracleInner(plain, magic, true)
		if err != nil || len(inner) == 0 {
			return nil, fmt.Errorf("wrapper %d: %d messages, %w", r.offset, len(inner), err)
		}
		// The wrapper has its last message's offset; format 1 counts inside from 0.
		shift := r.offset - inner[len(inner)-1].offset
		if magic == 0 && shift != 0 || magic == 1 && inner[0].offset != 0 {
			return nil, fmt.Errorf("wrapper %d holds %d–%d", r.offset, inner[0].offset, inner[len(inner)-1].offset)
		}
		for i := range inner {
			inner[i].offset += shift
			if attributes&8 != 0 {
				inner[i].time = r.time
			}
		}
		out = append(out, inner...)
	}
	return out, nil
}

// oracleBatch writes one batch of format 2 for a Produce.
func oracleBatch(codec int8, records []oldRecord) ([]byte, error) {
	b := kmsg.RecordBatch{Magic: 2, Attributes: int16(codec), PartitionLeaderEpoch: -1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(len(records)), LastOffsetDelta: int32(len(records) - 1), FirstTimestamp: records[0].time, MaxTimestamp: -1}
	for i, r := range records {
		b.MaxTimestamp = max(b.MaxTimestamp, r.time)
		rec := kmsg.Record{TimestampDelta64: r.time - b.FirstTimestamp, OffsetDelta: int32(i), Key: r.key, Value: r.value, Headers: r.headers}
		rec.Length = int32(len(rec.AppendTo(nil)) - 1) // a length of 0 takes one byte
		b.Records = rec.AppendTo(b.Records)
	}
	packed, err := oraclePack(codec, 2, b.Records)
	if err != nil {
		return nil, err
	}
	b.Records = packed
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw, nil
}

// oracleBatches reads batches of format 2, and the codec of the last.
func oracleBatches(raw []byte) (out []oldRecord, codec int8, err error) {
	for len(raw) > 0 {
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw); err != nil {
			return nil, 0, err
		}
		size := int(b.Length) + 12
		if b.Magic != 2 || uint32(b.CRC) != crc32.Checksum(raw[21:size], crc32.MakeTable(crc32.Castagnoli)) {
			return nil, 0, fmt.Errorf("the batch at %d is of format %d, or its checksum is wrong", b.FirstOffset, b.Magic)
		}
		raw = raw[size:]
		codec = int8(b.Attributes & 7)
		plain, err := oracleUnpack(codec, 2, b.Records)
		if err != nil {
			return nil, 0, err
		}
		for range b.NumRecords {
			var r kmsg.Record
			if err := r.ReadFrom(plain); err != nil {
				return nil, 0, err
			}
			plain = plain[len(r.AppendTo(nil)):]
			o := oldRecord{offset: b.FirstOffset + int64(r.OffsetDelta), time: b.FirstTimestamp + r.TimestampDelta64, key: r.Key, value: r.Value, headers: r.Headers}
			if b.Attributes&8 != 0 {
				o.time = b.MaxTimestamp
			}
			out = append(out, o)
		}
		if len(plain) != 0 {
			return nil, 0, fmt.Errorf("%d bytes behind the last record", len(plain))
		}
	}
	return out, codec, nil
}

// oraclePack compresses as producers of the format do: lz4 in format 0 with the
// frame's header checksum over the magic number too (KAFKA-3160).
func oraclePack(codec, magic int8, plain []byte) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case 0:
		return plain, nil
	case 1:
		w = gzip.NewWriter(&out)
	case 2: // in blocks, as snappy-java writes
		out.WriteString("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
		for len(plain) > 0 {
			block := snappy.Encode(nil, plain[:min(len(plain), 100)])
			plain = plain[min(len(plain), 100):]
			out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(block))))
			out.Write(block)
		}
		return out.Bytes(), nil
	case 3:
		w = lz4.NewWriter(&out)
	case 4:
		z, err := zstd.NewWriter(&out)
		if err != nil {
			return nil, err
		}
		w = z
	default:
		return nil, fmt.Errorf("codec %d", codec)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	packed := out.Bytes()
	if codec == 3 && magic == 0 {
		packed[6] = frameSum(packed[:6])
	}
	return packed, nil
}

func oracleUnpack(codec, magic int8, packed []byte) ([]byte, error) {
	var r io.Reader = bytes.NewReader(packed)
	switch codec {
	case 0:
		return packed, nil
	case 1:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	case 2:
		if !bytes.HasPrefix(packed, []byte("\x82SNAPPY\x00")) {
			return snappy.Decode(nil, packed)
		}
		var plain []byte
		for packed = packed[16:]; len(packed) > 0; {
			n := binary.BigEndian.Uint32(packed)
			block, err := snappy.Decode(nil, packed[4:4+n])
			if err != nil {
				return nil, err
			}
			plain, packed = append(plain, block...), packed[4+n:]
		}
		return plain, nil
	case 3:
		if magic == 0 {
			if packed[6] != frameSum(packed[:6]) {
				return nil, fmt.Errorf("the header checksum of lz4 in format 0 is %#x, which Kafka's clients of that time refuse", packed[6])
			}
			packed = bytes.Clone(packed)
			packed[6] = frameSum(packed[4:6])
		}
		r = lz4.NewReader(bytes.NewReader(packed))
	case 4:
		z, err := zstd.NewReader(r)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return io.ReadAll(z)
	default:
		return nil, fmt.Errorf("codec %d", codec)
	}
	return io.ReadAll(r)
}

// frameSum is the header checksum of an lz4 frame over b: the second byte of
// xxHash32, of fewer than 16 bytes.
func frameSum(b []byte) byte {
	h := 374761393 + uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*3266489917, 17) * 668265263
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*374761393, 11) * 2654435761
	}
	h = (h ^ h>>15) * 2246822519
	h = (h ^ h>>13) * 3266489917
	return byte((h ^ h>>16) >> 8)
}

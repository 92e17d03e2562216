package record

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/chronik-stream/chronik/codec/compress"
)

// Before format 2 a partition's data was a message set: messages one behind the
// other, and no batch header. A compressed set is one message, the wrapper,
// whose value is a message set (Kafka: LegacyRecord.java,
// AbstractLegacyRecordBatch.java):
//
//	offset i64, size i32 (of what follows), crc u32 (IEEE, of what follows),
//	magic i8, attributes i8, timestamp i64 (v1 only), key and value with i32 lengths
//
// The wrapper's offset is its last inner message's. Inner offsets are absolute
// in v0 and count from 0 in v1, so that a broker could patch the wrapper alone
// (KIP-31). The attributes are the codec's low bits and, in v1, bit 3 for
// LogAppendTime, which on a wrapper replaces the inner timestamps.
//
// Such data comes from and goes to clients of before 2017 only; on disk there
// is nothing but format 2.

const (
	offMessageCRC        = 12
	offMessageMagic      = 16
	offMessageAttributes = 17
	offMessageTimestamp  = 18
	// messageV0Size and messageV1Size are messages without key and value,
	// offset and size field not counted.
	messageV0Size = 4 + 1 + 1 + 4 + 4
	messageV1Size = messageV0Size + 8
)

// Message is one message of a message set, its offset absolute as far as the
// set tells. Key and value alias the set, or the visitor's scratch memory when
// they were compressed.
type Message struct {
	Magic  int8
	Offset int64
	// Timestamp is NoTimestamp in v0.
	Timestamp     int64
	LogAppendTime bool
	// Key and Value are nil for null.
	Key, Value []byte
}

// MagicOf is the format of the first batch or message in data; ok is false when
// data is too short to tell.
func MagicOf(data []byte) (magic int8, ok bool) {
	if len(data) <= offMessageMagic {
		return 0, false
	}
	return int8(data[offMessageMagic]), true
}

// VisitMessages calls f for every message of a v0 or v1 message set, those
// inside wrappers included; the Message is valid during the call. Each
// message's checksum is verified. It gives the codec of the wrappers (the last
// one's), None when there is none. Like Kafka it passes over a cut-off message
// at the set's end. Decompressed messages may come to limit bytes in
// all. Not on an event loop.
func VisitMessages(set []byte, limit int, f func(m *Message) error) (compress.Codec, error) {
	codec := compress.None
	first, ok := MagicOf(set)
	if !ok {
		return codec, nil
	}
	for len(set) > 0 {
		raw, rest, err := cutMessage(set)
		if err != nil {
			return codec, err
		}
		if raw == nil {
			break
		}
		set = rest
		if int8(raw[offMessageMagic]) != first {
			return codec, ErrMixedMagic
		}
		var m Message
		inner, err := m.parse(raw)
		if err != nil {
			return codec, err
		}
		if inner == compress.None {
			if err := f(&m); err != nil {
				return codec, err
			}
			continue
		}
		codec = inner
		inflated, err := visitWrapper(&m, inner, limit, f)
		if err != nil {
			return codec, err
		}
		limit -= inflated
	}
	return codec, nil
}

// cutMessage cuts the first message off a set and checks its length; a message
// that is cut off itself is nil.
func cutMessage(set []byte) (raw, rest []byte, err error) {
	if len(set) < LogOverhead {
		return nil, nil, nil
	}
	size := int(int32(binary.BigEndian.Uint32(set[offLength:])))
	if size < messageV0Size {
		return nil, nil, ErrLength
	}
	if size > len(set)-LogOverhead {
		return nil, nil, nil
	}
	size += LogOverhead
	return set[:size:size], set[size:], nil
}

// parse reads one whole message, its checksum verified, and gives its codec.
func (m *Message) parse(raw []byte) (compress.Codec, error) {
	if crc32.ChecksumIEEE(raw[offMessageMagic:]) != binary.BigEndian.Uint32(raw[offMessageCRC:]) {
		return 0, ErrCRC
	}
	m.Magic = int8(raw[offMessageMagic])
	m.Offset = int64(binary.BigEndian.Uint64(raw))
	m.Timestamp = NoTimestamp
	attributes := raw[offMessageAttributes]
	body := raw[offMessageTimestamp:]
	switch m.Magic {
	case 0:
	case 1:
		if len(raw)-LogOverhead < messageV1Size {
			return 0, ErrLength
		}
		m.Timestamp = int64(binary.BigEndian.Uint64(body))
		m.LogAppendTime = attributes&attrLogAppendTime != 0
		body = body[8:]
	default:
		return 0, ErrMagic
	}
	var ok bool
	if m.Key, body, ok = cutField(body); !ok {
		return 0, ErrRecord
	}
	if m.Value, body, ok = cutField(body); !ok || len(body) > 0 {
		return 0, ErrRecord
	}
	codec := compress.Codec(attributes & attrCodec)
	switch {
	case codec == compress.Zstd:
		return 0, ErrZstd
	case !codec.Valid():
		return 0, ErrCodec
	}
	return codec, nil
}

// cutField cuts a key or value with its four-byte length off b; nil is null.
func cutField(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	b = b[4:]
	if n < 0 {
		return nil, b, true
	}
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// visitWrapper visits the messages inside a compressed one and gives the bytes
// they come to.
func visitWrapper(wrapper *Message, codec compress.Codec, limit int, f func(m *Message) error) (int, error) {
	if wrapper.Value == nil {
		return 0, ErrWrapper
	}
	decompress := compress.Decompress
	if wrapper.Magic == 0 {
		decompress = compress.DecompressV0
	}
	set, err := decompress(nil, wrapper.Value, codec, limit)
	if err != nil {
		return 0, decompressError(err)
	}
	inflated := len(set)
	base, err := innerBase(wrapper, set)
	if err != nil {
		return 0, err
	}
	for len(set) > 0 {
		raw, rest, err := cutMessage(set)
		if err != nil {
			return 0, err
		}
		set = rest
		var m Message
		inner, err := m.parse(raw)
		switch {
		case err != nil:
			return 0, err
		case m.Magic != wrapper.Magic:
			return 0, ErrMixedMagic
		case inner != compress.None:
			return 0, ErrNested
		}
		m.Offset += base
		if wrapper.LogAppendTime {
			m.LogAppendTime, m.Timestamp = true, wrapper.Timestamp
		}
		if err := f(&m); err != nil {
			return 0, err
		}
	}
	return inflated, nil
}

// innerBase checks that a wrapper holds whole messages, one or more, and gives
// what to add to their offsets: nothing in v0. In v1 the wrapper's offset is the
// last inner one's, but for some old librdkafka, which sends 0.
func innerBase(wrapper *Message, set []byte) (int64, error) {
	last := int64(math.MinInt64)
	for len(set) > 0 {
		raw, rest, err := cutMessage(set)
		if err != nil {
			return 0, err
		}
		if raw == nil {
			return 0, ErrRecord
		}
		last = int64(binary.BigEndian.Uint64(raw))
		set = rest
	}
	switch {
	case last == math.MinInt64:
		return 0, ErrWrapper
	case wrapper.Magic == 0, wrapper.Offset == 0:
		return 0, nil
	case wrapper.Offset < last:
		return 0, ErrWrapper
	}
	return wrapper.Offset - last, nil
}

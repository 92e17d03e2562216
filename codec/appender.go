package codec

import "encoding/binary"

// The append functions write Kafka's primitive types behind dst. With flexible
// set, lengths are unsigned varints plus one.

func appendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }
func appendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }
func appendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

func appendUvarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// uvarintLen is how many bytes appendUvarint takes.
func uvarintLen(v uint32) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// appendCount writes an array's or byte string's length; -1 is null.
func appendCount(dst []byte, flexible bool, n int64) []byte {
	if flexible {
		return appendUvarint(dst, uint32(n+1))
	}
	return appendInt32(dst, int32(n))
}

func appendString[S []byte | string](dst []byte, flexible bool, s S) []byte {
	if flexible {
		dst = appendUvarint(dst, uint32(len(s)+1))
	} else {
		dst = appendInt16(dst, int16(len(s)))
	}
	return append(dst, s...)
}

// appendNullableString writes null for the empty string.
func appendNullableString(dst []byte, flexible bool, s string) []byte {
	switch {
	case s != "":
		return appendString(dst, flexible, s)
	case flexible:
		return append(dst, 0)
	default:
		return append(dst, 0xff, 0xff)
	}
}

// appendEmptyTags ends a structure without tags.
func appendEmptyTags(dst []byte, flexible bool) []byte {
	if flexible {
		return append(dst, 0)
	}
	return dst
}

// appendTopicRef writes a topic's id or name, whichever the version carries.
func appendTopicRef(dst []byte, flexible, byID bool, t *TopicRef) []byte {
	if byID {
		return append(dst, t.ID[:]...)
	}
	return appendString(dst, flexible, t.Name)
}

// appendEndpoints writes the node endpoints (KIP-951) as tag 0 with its key,
// size and array.
func appendEndpoints(dst []byte, endpoints []Endpoint) []byte {
	size := uvarintLen(uint32(len(endpoints) + 1))
	for i := range endpoints {
		e := &endpoints[i]
		size += 4 + uvarintLen(uint32(len(e.Host)+1)) + len(e.Host) + 4 + 1 + 1
		if e.Rack != "" {
			size += uvarintLen(uint32(len(e.Rack)+1)) - 1 + len(e.Rack)
		}
	}
	dst = append(dst, 0)
	dst = appendUvarint(dst, uint32(size))
	dst = appendUvarint(dst, uint32(len(endpoints)+1))
	for i := range endpoints {
		e := &endpoints[i]
		dst = appendInt32(dst, e.NodeID)
		dst = appendString(dst, true, e.Host)
		dst = appendInt32(dst, e.Port)
		dst = appendNullableString(dst, true, e.Rack)
		dst = append(dst, 0)
	}
	return dst
}

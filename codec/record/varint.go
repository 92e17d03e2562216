package record

import "encoding/binary"

// Records use zigzag varints. encoding/binary has them, but accepts 64 bits
// where Kafka has 32: lengths are checked by the caller's bounds, deltas here.

// varint reads a zigzag varint of at most 32 bits; n is 0 when there is none.
func varint(b []byte) (v int32, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		u := b[0]
		return int32(u>>1) ^ -int32(u&1), 1
	}
	w, n := binary.Varint(b)
	if n <= 0 || n > 5 || int64(int32(w)) != w {
		return 0, 0
	}
	return int32(w), n
}

// varlong reads a zigzag varint of at most 64 bits; n is 0 when there is none.
func varlong(b []byte) (v int64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		u := b[0]
		return int64(u>>1) ^ -int64(u&1), 1
	}
	w, n := binary.Varint(b)
	if n <= 0 {
		return 0, 0
	}
	return w, n
}

// varintLen is how many bytes a zigzag varint takes.
func varintLen(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}

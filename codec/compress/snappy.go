package compress

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/klauspost/compress/snappy"
)

// Kafka's snappy is the framing of snappy-java (SnappyOutputStream): a header
// of magic, version 1 and compatible version 1, then blocks of at most 32 KiB,
// each behind its length. Some clients (old Go and C ones) send one bare
// snappy block instead; Kafka's consumers do not read that, but brokers have
// to take it.

var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeader = 16
	xerialBlock  = 32 << 10
)

func appendSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlock)]
		src = src[len(block):]
		at := len(dst)
		dst = slices.Grow(dst, 4+snappy.MaxEncodedLen(len(block)))
		// Encode writes in place, since the room is there.
		out := snappy.Encode(dst[at+4:cap(dst)], block)
		binary.BigEndian.PutUint32(dst[at:at+4], uint32(len(out)))
		dst = dst[:at+4+len(out)]
	}
	return dst
}

func decompressSnappy(dst, src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) || len(src) < xerialHeader {
		return appendSnappyBlock(dst, src, limit)
	}
	start := len(dst)
	src = src[xerialHeader:]
	for len(src) > 0 {
		if bytes.HasPrefix(src, xerialMagic) && len(src) >= xerialHeader {
			src = src[xerialHeader:] // a second stream behind the first
			continue
		}
		if len(src) < 4 {
			return dst, fmt.Errorf("%w (snappy): a block's length is cut off", ErrCorrupt)
		}
		n := int(binary.BigEndian.Uint32(src))
		src = src[4:]
		if n > len(src) {
			return dst, fmt.Errorf("%w (snappy): a block is cut off", ErrCorrupt)
		}
		var err error
		if dst, err = appendSnappyBlock(dst, src[:n], limit-(len(dst)-start)); err != nil {
			return dst, err
		}
		src = src[n:]
	}
	return dst, nil
}

func appendSnappyBlock(dst, block []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return dst, corrupt(Snappy, err)
	}
	if n > limit {
		return dst, ErrTooLarge
	}
	// A block cannot state more than it can hold: a copy of at most 64 bytes
	// takes two bytes or more.
	if n/32 > len(block) {
		return dst, fmt.Errorf("%w (snappy): a block states an impossible length", ErrCorrupt)
	}
	at := len(dst)
	dst = slices.Grow(dst, n)
	if _, err := snappy.Decode(dst[at:at+n], block); err != nil {
		return dst, corrupt(Snappy, err)
	}
	return dst[:at+n], nil
}

package codec

import "encoding/binary"

// reader walks a frame. A read beyond the end marks it bad and gives zero
// values, so that a walk checks once, at its end or before a loop. Slices it
// gives alias the frame.
//
// Both wire dialects have the same shapes: with flexible set, lengths are
// unsigned varints plus one and structures end in a tag section.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.bad = true
	r.b = nil
}

func (r *reader) int8() int8 {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := int8(r.b[0])
	r.b = r.b[1:]
	return v
}

func (r *reader) int16() int16 {
	if len(r.b) < 2 {
		r.fail()
		return 0
	}
	v := int16(binary.BigEndian.Uint16(r.b))
	r.b = r.b[2:]
	return v
}

func (r *reader) int32() int32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

func (r *reader) int64() int64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := int64(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

func (r *reader) uuid() (id [16]byte) {
	if len(r.b) < 16 {
		r.fail()
		return id
	}
	copy(id[:], r.b)
	r.b = r.b[16:]
	return id
}

// uvarint reads at most five bytes; more than 32 bits is malformed.
func (r *reader) uvarint() uint32 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint32(v)
	}
	return r.longUvarint()
}

func (r *reader) longUvarint() uint32 {
	var v uint32
	for i := 0; i < 5 && i < len(r.b); i++ {
		c := r.b[i]
		if c < 0x80 {
			if i == 4 && c > 0x0f {
				break
			}
			r.b = r.b[i+1:]
			return v | uint32(c)<<(7*i)
		}
		v |= uint32(c&0x7f) << (7 * i)
	}
	r.fail()
	return 0
}

func (r *reader) span(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// length reads the length of a string (two bytes in the old dialect), of bytes
// or of an array (four bytes). Null and every negative number are -1.
func (r *reader) length(flexible bool, width int) int {
	var n int
	switch {
	case flexible:
		n = int(r.uvarint()) - 1
	case width == 2:
		n = int(r.int16())
	default:
		n = int(r.int32())
	}
	return max(n, -1)
}

// string reads a string that must not be null.
func (r *reader) string(flexible bool) []byte {
	return r.span(r.length(flexible, 2))
}

// nullableString gives nil for null.
func (r *reader) nullableString(flexible bool) []byte {
	n := r.length(flexible, 2)
	if n < 0 {
		return nil
	}
	return r.span(n)
}

// bytes reads bytes that should not be null: kmsg takes -1 for empty, and no
// other negative length.
func (r *reader) bytes(flexible bool) []byte {
	if flexible {
		return r.nullableBytes(true)
	}
	n := r.int32()
	if n == -1 {
		return nil
	}
	return r.span(int(n))
}

// nullableBytes gives nil for null.
func (r *reader) nullableBytes(flexible bool) []byte {
	n := r.length(flexible, 4)
	if n < 0 {
		return nil
	}
	return r.span(n)
}

// array reads an array's count and fails when that many elements of at least
// minSize bytes cannot follow. Null counts as empty.
func (r *reader) array(flexible bool, minSize int) int {
	n := r.length(flexible, 4)
	if n <= 0 {
		return 0
	}
	if n > len(r.b)/minSize {
		r.fail()
		return 0
	}
	return n
}

// tagCount reads the number of tags of a section; each takes two bytes or more.
func (r *reader) tagCount() int {
	n := int(r.uvarint())
	if n > len(r.b)/2 {
		r.fail()
		return 0
	}
	return n
}

// tag reads one tag's key and value.
func (r *reader) tag() (key uint32, value []byte) {
	key = r.uvarint()
	return key, r.span(int(r.uvarint()))
}

// skipTags passes over a tag section; in the old dialect there is none.
func (r *reader) skipTags(flexible bool) {
	if !flexible {
		return
	}
	for n := r.tagCount(); n > 0 && !r.bad; n-- {
		r.tag()
	}
}

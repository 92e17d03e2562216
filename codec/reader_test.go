package codec

import (
	"encoding/binary"
	"math"
	"testing"
)

// TestUvarint holds the reader's varints against encoding/binary's: the same
// value and length up to 32 bits, refused above.
func TestUvarint(t *testing.T) {
	values := []uint64{0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 1<<21 - 1, 1 << 21, 1<<28 - 1, 1 << 28, math.MaxUint32, math.MaxUint32 + 1, 1 << 34, math.MaxUint64}
	for _, v := range values {
		b := append(binary.AppendUvarint(nil, v), 0xaa)
		r := reader{b: b}
		got := r.uvarint()
		if v > math.MaxUint32 {
			if !r.bad {
				t.Errorf("%d is read as %d", v, got)
			}
			continue
		}
		if uint64(got) != v || r.bad || len(r.b) != 1 {
			t.Errorf("%d is read as %d, %d bytes left", v, got, len(r.b))
		}
		if w := appendUvarint(nil, uint32(v)); string(w) != string(b[:len(b)-1]) || uvarintLen(uint32(v)) != len(w) {
			t.Errorf("%d is written as %x", v, w)
		}
		for n := range len(b) - 1 {
			r := reader{b: b[:n]}
			if r.uvarint(); !r.bad {
				t.Errorf("%d cut at %d is read", v, n)
			}
		}
	}
}

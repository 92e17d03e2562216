package group

import (
	"encoding/binary"
	"errors"

	"github.com/chronik-stream/chronik/logstore"
)

// errShort says that a record of the log ends before its schema does.
var errShort = errors.New("group: a record of __consumer_offsets ends before its schema does")

// The primitives of Kafka's record schemas that kmsg does not export.

func putString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func putCompactString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s))+1)
	return append(b, s...)
}

// putCompactNullable writes "" as null: no nullable field of ours tells them apart.
func putCompactNullable(b []byte, s string) []byte {
	if s == "" {
		return append(b, 0)
	}
	return putCompactString(b, s)
}

func putCompactBytes(b, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v))+1)
	return append(b, v...)
}

func putCompactLen(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)+1) }

func putInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

func putInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// putTag writes one tagged field.
func putTag(b []byte, tag uint64, body []byte) []byte {
	b = binary.AppendUvarint(b, tag)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

// wire reads a record; after a short read every further one gives zeros and
// bad stays true. Strings are copied, bytes alias the input.
type wire struct {
	b   []byte
	bad bool
}

func (w *wire) take(n int) []byte {
	if n < 0 || n > len(w.b) {
		w.bad, w.b = true, nil
		return nil
	}
	v := w.b[:n:n]
	w.b = w.b[n:]
	return v
}

func (w *wire) int8() int8 {
	if v := w.take(1); v != nil {
		return int8(v[0])
	}
	return 0
}

func (w *wire) int16() int16 {
	if v := w.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (w *wire) int32() int32 {
	if v := w.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (w *wire) int64() int64 {
	if v := w.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

func (w *wire) uuid() (id logstore.TopicID) {
	copy(id[:], w.take(16))
	return id
}

func (w *wire) uvarint() uint64 {
	v, n := binary.Uvarint(w.b)
	if n <= 0 {
		w.bad, w.b = true, nil
		return 0
	}
	w.b = w.b[n:]
	return v
}

func (w *wire) string() string {
	n := w.int16()
	return string(w.take(int(n)))
}

// compactString reads a null as "".
func (w *wire) compactString() string { return string(w.compactBytes()) }

func (w *wire) compactBytes() []byte {
	n := w.uvarint()
	if n == 0 {
		return nil
	}
	if n-1 > uint64(len(w.b)) {
		w.bad, w.b = true, nil
		return nil
	}
	return w.take(int(n - 1))
}

// compactLen reads an array's length; each element takes at least min bytes,
// so that a damaged length cannot ask for more than the record holds.
func (w *wire) compactLen(min int) int {
	n := w.uvarint()
	if n == 0 {
		return 0
	}
	if n-1 > uint64(len(w.b)/min) {
		w.bad, w.b = true, nil
		return 0
	}
	return int(n - 1)
}

// tags calls f for each tagged field; f may be nil to pass over them.
func (w *wire) tags(f func(tag uint64, body *wire)) {
	for n := w.uvarint(); n > 0 && !w.bad; n-- {
		tag := w.uvarint()
		size := w.uvarint()
		if size > uint64(len(w.b)) {
			w.bad, w.b = true, nil
			return
		}
		body := wire{b: w.take(int(size))}
		if f != nil {
			f(tag, &body)
			w.bad = w.bad || body.bad
		}
	}
}

package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Record is one metadata record; the concrete types are in record_*.go. A
// record is a value: once given to Commit, what it points to must not be
// changed.
//
// On disk a record is the value of a Kafka record: one byte for the frame
// (recordFrame), the type and the version as unsigned varints, then the fields
// of that version in order. Integers are varints, zigzag where they can be
// negative; strings and byte strings carry their length; lists their count. A
// field is added by a new version, never by changing an old one. What this
// release does not know it refuses: skipping a record would lose a change that
// the one who wrote it was promised.
type Record interface {
	recordType() int16
	// encode appends the newest version's fields.
	encode(w *writer)
	// apply changes the draft or says why the record does not fit.
	apply(d *draft) error
}

// recordFrame opens every record.
const recordFrame = 1

// The record types. Numbers are never used again for something else.
const (
	typeCluster        = 1
	typeEpochBump      = 2
	typeFeature        = 3
	typeSnapshot       = 4
	typeTopic          = 10
	typeTopicRemoved   = 11
	typePartitions     = 12
	typePartitionEpoch = 13
	typeConfig         = 20
	typeScram          = 30
	typeScramRemoved   = 31
	typeACL            = 32
	typeACLRemoved     = 33
	typeQuota          = 34
	typeToken          = 35
	typeTokenRemoved   = 36
	typeProducerIDs    = 40
)

// recordKinds holds, by type, the newest version known and the decoder, which
// gets the version it decodes.
var recordKinds = [...]struct {
	newest uint64
	decode func(r *reader, version uint64) Record
}{
	typeCluster:        {0, decodeCluster},
	typeEpochBump:      {0, decodeEpochBump},
	typeFeature:        {0, decodeFeature},
	typeSnapshot:       {0, decodeSnapshot},
	typeTopic:          {0, decodeTopic},
	typeTopicRemoved:   {0, decodeTopicRemoved},
	typePartitions:     {0, decodePartitions},
	typePartitionEpoch: {0, decodePartitionEpoch},
	typeConfig:         {0, decodeConfig},
	typeScram:          {0, decodeScram},
	typeScramRemoved:   {0, decodeScramRemoved},
	typeACL:            {0, decodeACL},
	typeACLRemoved:     {0, decodeACLRemoved},
	typeQuota:          {0, decodeQuota},
	typeToken:          {0, decodeToken},
	typeTokenRemoved:   {0, decodeTokenRemoved},
	typeProducerIDs:    {0, decodeProducerIDs},
}

var (
	// ErrNewerRecord refuses metadata that a newer release wrote.
	ErrNewerRecord = errors.New("cluster: the metadata was written by a newer release; start that release, or restore the data directory from before its first start")
	// ErrBadRecord is a record that is not whole.
	ErrBadRecord = errors.New("cluster: a metadata record is malformed")
)

// appendRecord appends a record as it stands on disk.
func appendRecord(dst []byte, r Record) []byte {
	w := writer{b: append(dst, recordFrame)}
	w.uint(uint64(r.recordType()))
	w.uint(recordKinds[r.recordType()].newest)
	r.encode(&w)
	return w.b
}

// decodeRecord decodes one record; nothing of it aliases b.
func decodeRecord(b []byte) (Record, error) {
	r := reader{b: b}
	if frame := r.byte(); r.err == nil && frame != recordFrame {
		return nil, fmt.Errorf("%w (record frame %d, known is %d)", ErrNewerRecord, frame, recordFrame)
	}
	kind, version := r.uint(), r.uint()
	if r.err != nil {
		return nil, r.err
	}
	if kind >= uint64(len(recordKinds)) || recordKinds[kind].decode == nil {
		return nil, fmt.Errorf("%w (record type %d is not known)", ErrNewerRecord, kind)
	}
	if newest := recordKinds[kind].newest; version > newest {
		return nil, fmt.Errorf("%w (record type %d has version %d, known is up to %d)", ErrNewerRecord, kind, version, newest)
	}
	rec := recordKinds[kind].decode(&r, version)
	if r.err != nil {
		return nil, fmt.Errorf("%w (type %d)", r.err, kind)
	}
	if len(r.b) > 0 {
		return nil, fmt.Errorf("%w: type %d has %d bytes too many", ErrBadRecord, kind, len(r.b))
	}
	return rec, nil
}

// writer appends fields.
type writer struct{ b []byte }

func (w *writer) byte(v byte)   { w.b = append(w.b, v) }
func (w *writer) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)   { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) fixed(v uint64) {
	w.b = binary.BigEndian.AppendUint64(w.b, v)
}
func (w *writer) id(v [16]byte) { w.b = append(w.b, v[:]...) }
func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}
func (w *writer) string(v string) {
	w.uint(uint64(len(v)))
	w.b = append(w.b, v...)
}
func (w *writer) bytes(v []byte) {
	w.uint(uint64(len(v)))
	w.b = append(w.b, v...)
}

// reader takes fields off b. The first error sticks, and everything read after
// it is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrBadRecord, what)
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail("it ends early")
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) bool() bool {
	v := r.byte()
	if v > 1 {
		r.fail("a boolean is neither 0 nor 1")
	}
	return v == 1
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("a varint is cut or too long")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("a varint is cut or too long")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// small reads an integer that must fit between 0 and max.
func (r *reader) small(max int64) int64 {
	v := r.int()
	if v < 0 || v > max {
		r.fail("a number is out of its range")
		return 0
	}
	return v
}

func (r *reader) fixed() uint64 {
	if v := r.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (r *reader) id() (v [16]byte) {
	copy(v[:], r.take(16))
	return v
}

// length reads a length or count of things that take at least one byte each.
func (r *reader) length() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail("a length runs past the end")
		return 0
	}
	return int(n)
}

func (r *reader) string() string { return string(r.take(r.length())) }

func (r *reader) bytes() []byte {
	if v := r.take(r.length()); len(v) > 0 {
		return append([]byte(nil), v...)
	}
	return nil
}

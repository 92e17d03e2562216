package record

import (
	"encoding/binary"

	"github.com/chronik-stream/chronik/codec/compress"
)

// Control record types (Kafka: ControlRecordType.java). Only the first two
// mean anything to a broker's clients; the others belong to Kafka's metadata
// quorum and are passed over.
const (
	ControlAbort  = 0
	ControlCommit = 1
)

// Marker is the end of a transaction in one partition.
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16
	Commit           bool
	CoordinatorEpoch int32
}

// AppendMarker appends the control batch that ends a transaction: one record
// whose key is version 0 and the type, and whose value is version 0 and the
// coordinator's epoch. The log stamps offset and leader epoch.
func AppendMarker(dst []byte, m Marker, timestamp int64) ([]byte, error) {
	o := DefaultBuilderOptions()
	o.ProducerID, o.ProducerEpoch = m.ProducerID, m.ProducerEpoch
	o.Transactional, o.Control = true, true
	var key [4]byte
	if m.Commit {
		key[3] = ControlCommit
	}
	var value [6]byte
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	b := NewBuilder(dst, o)
	b.Append(timestamp, key[:], value[:])
	return b.Finish()
}

// ControlType reads a control record's type from its key; ok is false when the
// key is no control key.
func ControlType(key []byte) (typ int16, ok bool) {
	if len(key) < 4 || int16(binary.BigEndian.Uint16(key)) < 0 {
		return 0, false
	}
	return int16(binary.BigEndian.Uint16(key[2:])), true
}

// ParseMarker reads a control batch. ok is false for a control batch that is
// of Kafka's quorum (leader change, snapshot header and footer): it means
// nothing here and is passed over.
func ParseMarker(b Batch) (m Marker, ok bool, err error) {
	if !b.Control() || b.Count() < 1 || b.Codec() != compress.None {
		return m, false, ErrMarker
	}
	it := NewIter(b.Records(), b.Count())
	var r Record
	if !it.Next(&r) {
		return m, false, it.Err()
	}
	typ, ok := ControlType(r.Key)
	if !ok {
		return m, false, ErrMarker
	}
	if typ != ControlAbort && typ != ControlCommit {
		return m, false, nil
	}
	if len(r.Value) < 6 || int16(binary.BigEndian.Uint16(r.Value)) < 0 {
		return m, false, ErrMarker
	}
	m = Marker{
		ProducerID:       b.ProducerID(),
		ProducerEpoch:    b.ProducerEpoch(),
		Commit:           typ == ControlCommit,
		CoordinatorEpoch: int32(binary.BigEndian.Uint32(r.Value[2:])),
	}
	return m, true, nil
}

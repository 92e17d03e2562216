package group

// Outbox collects what an operation wants written and whom it wants answered.
// A shard empties it into its log; a test reads it. It belongs to the shard's
// goroutine.
type Outbox struct {
	buf     []byte
	records []span
	answers []func(err error)
}

// span is one record in the buffer: the key, then the value; value -1 is a
// tombstone.
type span struct{ start, key, value int }

// Record is one record of a coordinator's log.
type Record struct {
	// Key and Value alias the reader's buffer; a nil Value is a tombstone.
	Key, Value []byte
	// Offset and Timestamp (ms) are set for records that were read.
	Offset, Timestamp int64
	// ProducerID is -1 outside of transactions.
	ProducerID    int64
	ProducerEpoch int16
}

// Write takes a record; key and value are copied. A nil value is a tombstone.
func (o *Outbox) Write(key, value []byte) {
	s := span{start: len(o.buf), key: len(key), value: len(value)}
	o.buf = append(o.buf, key...)
	o.buf = append(o.buf, value...)
	if value == nil {
		s.value = -1
	}
	o.records = append(o.records, s)
}

// Answer runs f once everything written so far, by this operation or before
// it, is durable; err is nil, or why that will not happen. It runs on the
// shard's goroutine and must not wait.
func (o *Outbox) Answer(f func(err error)) { o.answers = append(o.answers, f) }

// Bytes is the size of what was written and not yet taken.
func (o *Outbox) Bytes() int { return len(o.buf) }

// Empty reports whether nothing was written or asked for.
func (o *Outbox) Empty() bool { return len(o.records) == 0 && len(o.answers) == 0 }

// record gives the i-th record, aliasing the buffer.
func (o *Outbox) record(i int) Record {
	s := o.records[i]
	r := Record{Key: o.buf[s.start : s.start+s.key : s.start+s.key], ProducerID: -1}
	if s.value >= 0 {
		r.Value = o.buf[s.start+s.key : s.start+s.key+s.value : s.start+s.key+s.value]
	}
	return r
}

// keepBytes is the largest buffer an empty outbox holds on to.
const keepBytes = 256 << 10

// reset forgets the records; the answers are the caller's to move.
func (o *Outbox) reset() {
	if cap(o.buf) > keepBytes {
		o.buf, o.records = nil, nil
	}
	o.buf, o.records = o.buf[:0], o.records[:0]
}

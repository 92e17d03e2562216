package record

// Record is one record of a batch. Its slices alias the payload it was read
// from.
type Record struct {
	Attributes     int8
	TimestampDelta int64
	OffsetDelta    int32
	// Key and Value are nil for null.
	Key, Value []byte
	// HeaderCount is the number of headers; walk them with Headers.
	HeaderCount int
	headers     []byte
}

// Header is a record header. Value is nil for null.
type Header struct {
	Key   []byte
	Value []byte
}

// Headers walks the record's headers, which were checked with the record.
func (r *Record) Headers() HeaderIter {
	return HeaderIter{b: r.headers, left: r.HeaderCount}
}

// HeaderIter walks headers without allocating.
type HeaderIter struct {
	b    []byte
	left int
}

// Next gives the next header; its slices alias the record's.
func (it *HeaderIter) Next() (h Header, ok bool) {
	if it.left <= 0 {
		return h, false
	}
	it.left--
	h.Key, it.b, ok = cutBytes(it.b)
	if !ok {
		return Header{}, false
	}
	h.Value, it.b, ok = cutBytes(it.b)
	return h, ok
}

// cutBytes cuts bytes with a varint length off b; nil is null.
func cutBytes(b []byte) (v, rest []byte, ok bool) {
	n, w := varint(b)
	if w == 0 {
		return nil, nil, false
	}
	b = b[w:]
	if n < 0 {
		return nil, b, true
	}
	if int(n) > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// Iter walks the records of a payload without allocating. After Next has
// given false, Err tells the end from damage.
type Iter struct {
	b    []byte
	left int32
	err  error
}

// NewIter walks count records in an uncompressed payload: Batch.Records of a
// batch with codec none, or what [Batch.Payload] gave.
func NewIter(payload []byte, count int32) Iter { return Iter{b: payload, left: count} }

// Err is nil after a whole walk, ErrRecord or ErrRecordCount otherwise.
func (it *Iter) Err() error { return it.err }

// Next reads the next record into r.
func (it *Iter) Next(r *Record) bool {
	if it.err != nil {
		return false
	}
	if it.left <= 0 {
		if len(it.b) > 0 {
			it.err = ErrRecordCount
		}
		return false
	}
	if len(it.b) == 0 {
		it.err = ErrRecordCount
		return false
	}
	n, w := varint(it.b)
	if w == 0 || n < 0 || int(n) > len(it.b)-w {
		it.err = ErrRecord
		return false
	}
	body := it.b[w : w+int(n)]
	if !r.parse(body) {
		it.err = ErrRecord
		return false
	}
	it.b = it.b[w+int(n):]
	it.left--
	return true
}

// parse reads a record's body, headers checked; it must use all of it.
func (r *Record) parse(b []byte) (ok bool) {
	if len(b) < 1 {
		return false
	}
	r.Attributes = int8(b[0])
	b = b[1:]
	var n int
	if r.TimestampDelta, n = varlong(b); n == 0 {
		return false
	}
	b = b[n:]
	if r.OffsetDelta, n = varint(b); n == 0 {
		return false
	}
	if r.Key, b, ok = cutBytes(b[n:]); !ok {
		return false
	}
	if r.Value, b, ok = cutBytes(b); !ok {
		return false
	}
	count, n := varint(b)
	if n == 0 || count < 0 || int(count) > len(b)/2 {
		return false
	}
	b = b[n:]
	r.HeaderCount, r.headers = int(count), b
	for range count {
		var key []byte
		if key, b, ok = cutBytes(b); !ok || key == nil {
			return false
		}
		if _, b, ok = cutBytes(b); !ok {
			return false
		}
	}
	return len(b) == 0
}

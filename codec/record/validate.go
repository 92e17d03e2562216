package record

import (
	"fmt"

	"github.com/chronik-stream/chronik/codec/compress"
)

// Rules is what a batch has to keep to. The zero value is for batches of our
// own (coordinators, up-converted messages): structure, checksum, codec, counts.
type Rules struct {
	// Client adds what Kafka asks of a client's batch (LogValidator.java): base
	// offset 0, offsets that match the count, no control batch, a sequence
	// with a producer id, no LogAppendTime.
	Client bool
	// NeedKeys refuses records without a key (compacted topics).
	NeedKeys bool
	// Times bounds the records' timestamps to Earliest..Latest, NoTimestamp
	// excepted. (Topics with CreateTime only.)
	Times            bool
	Earliest, Latest int64
	// Inflate is the most bytes that a compressed batch's records may come to.
	// With 0 compressed batches are not opened: then NeedKeys is not checked
	// on them, and Times on the header's MaxTimestamp only.
	Inflate int
	// Scratch is reused for decompressing; may be nil.
	Scratch []byte
}

// maxRecordErrors bounds the records named in one InvalidRecords.
const maxRecordErrors = 256

// RecordError is a refused record.
type RecordError struct {
	Index int32
	Err   error
}

// InvalidRecords is a batch refused for some of its records; it unwraps to the
// first record's error.
type InvalidRecords struct {
	// Records are the first 256 refused records.
	Records []RecordError
}

func (e *InvalidRecords) Error() string {
	return fmt.Sprintf("record %d of the batch: %v", e.Records[0].Index, e.Records[0].Err)
}

func (e *InvalidRecords) Unwrap() error { return e.Records[0].Err }

// Summary is what Validate found out.
type Summary struct {
	// MaxTimestamp is the largest timestamp of a record. When the records were
	// walked it may differ from the header's, which Kafka then corrects
	// (Batch.SetMaxTimestamp).
	MaxTimestamp int64
	// Walked says that every record was looked at.
	Walked bool
}

// Validate holds one batch, exactly as long as b, against the rules. It does
// not change b. Errors are those of errors.go, or *InvalidRecords.
//
// On an event loop leave Inflate 0, or hand compressed batches to a worker.
func Validate(b Batch, rules *Rules) (Summary, error) {
	if len(b) < HeaderSize {
		return Summary{}, ErrShort
	}
	if b.Magic() != Magic {
		return Summary{}, ErrMagic
	}
	switch size := b.Size(); {
	case size < HeaderSize:
		return Summary{}, ErrLength
	case size > len(b):
		return Summary{}, ErrShort
	case size < len(b):
		return Summary{}, ErrTrailing
	}
	if !b.CheckCRC() {
		return Summary{}, ErrCRC
	}
	if err := b.validateHeader(rules); err != nil {
		return Summary{}, err
	}
	if b.Codec() != compress.None && rules.Inflate <= 0 {
		if rules.Times && outside(b.MaxTimestamp(), rules) {
			return Summary{}, ErrTimestamp
		}
		return Summary{MaxTimestamp: b.MaxTimestamp()}, nil
	}
	return b.validateRecords(rules)
}

func (b Batch) validateHeader(rules *Rules) error {
	count, delta := b.Count(), b.LastOffsetDelta()
	switch {
	case !b.Codec().Valid():
		return ErrCodec
	case count <= 0:
		return ErrCount
	case delta < count-1:
		return ErrOffsetRange
	}
	if !rules.Client {
		return nil
	}
	switch {
	case b.BaseOffset() != 0:
		return ErrBaseOffset
	case delta != count-1:
		return ErrOffsetRange
	case b.Control():
		return ErrControl
	case b.ProducerID() > NoProducer && b.BaseSequence() < 0:
		return ErrSequence
	case b.LogAppendTime():
		return ErrTimestampType
	}
	return nil
}

func (b Batch) validateRecords(rules *Rules) (Summary, error) {
	payload, err := b.Payload(rules.Scratch, rules.Inflate)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{MaxTimestamp: NoTimestamp, Walked: true}
	it := NewIter(payload, b.Count())
	var (
		r       Record
		refused []RecordError
		last    int32 = -1
	)
	for index := int32(0); it.Next(&r); index++ {
		if rules.Client && r.OffsetDelta != index || r.OffsetDelta <= last || r.OffsetDelta > b.LastOffsetDelta() {
			return Summary{}, ErrOffsetDelta
		}
		last = r.OffsetDelta
		at := b.Timestamp(r.TimestampDelta)
		s.MaxTimestamp = max(s.MaxTimestamp, at)
		if bad := rules.refuse(&r, at); bad != nil && len(refused) < maxRecordErrors {
			refused = append(refused, RecordError{Index: index, Err: bad})
		}
	}
	if err := it.Err(); err != nil {
		return Summary{}, err
	}
	if refused != nil {
		return Summary{}, &InvalidRecords{Records: refused}
	}
	return s, nil
}

// refuse says what is wrong with one record.
func (rules *Rules) refuse(r *Record, at int64) error {
	if rules.NeedKeys && r.Key == nil {
		return ErrKeyMissing
	}
	if rules.Times && outside(at, rules) {
		return ErrTimestamp
	}
	return nil
}

func outside(at int64, rules *Rules) bool {
	return at != NoTimestamp && (at < rules.Earliest || at > rules.Latest)
}

package record

import "errors"

// What is wrong with a batch, a record or a message set. Kafka's codes: the
// first group is CORRUPT_MESSAGE, the second INVALID_RECORD (INVALID_TIMESTAMP
// for ErrTimestamp and ErrTimestampType), ErrCodec and ErrZstd are
// UNSUPPORTED_COMPRESSION_TYPE, ErrTooLarge is MESSAGE_TOO_LARGE.
var (
	ErrShort  = errors.New("record: the data ends inside a batch")
	ErrLength = errors.New("record: the batch's length field is smaller than its header")
	ErrCRC    = errors.New("record: the batch's checksum does not match its bytes")

	ErrMagic         = errors.New("record: the batch's format is not version 2")
	ErrTrailing      = errors.New("record: there is more than one batch")
	ErrEmpty         = errors.New("record: there is no batch")
	ErrBaseOffset    = errors.New("record: the base offset of a client's batch is not 0")
	ErrCount         = errors.New("record: the batch's record count is not positive")
	ErrOffsetRange   = errors.New("record: the batch's last offset delta does not match its record count")
	ErrControl       = errors.New("record: clients may not write control batches")
	ErrSequence      = errors.New("record: the batch has a producer id and a negative sequence")
	ErrRecord        = errors.New("record: a record's lengths do not fit its bytes")
	ErrRecordCount   = errors.New("record: the batch holds more or fewer records than its header says")
	ErrOffsetDelta   = errors.New("record: the records' offset deltas are not 0, 1, 2 and so on")
	ErrKeyMissing    = errors.New("record: the topic is compacted and a record has no key")
	ErrDecompress    = errors.New("record: the batch's records cannot be decompressed")
	ErrMarker        = errors.New("record: the batch is not an end-of-transaction marker")
	ErrTimestamp     = errors.New("record: a timestamp lies outside the allowed window")
	ErrTimestampType = errors.New("record: clients may not set the timestamp type to LogAppendTime")

	ErrMixedMagic = errors.New("record: a message set mixes formats")
	ErrNested     = errors.New("record: a compressed message is inside a compressed one")
	ErrWrapper    = errors.New("record: a compressed message holds no messages or its offset is before theirs")

	ErrZstd     = errors.New("record: zstd does not exist before format 2")
	ErrCodec    = errors.New("record: the batch's compression codec is not known")
	ErrTooLarge = errors.New("record: the decompressed records are larger than the limit")
)

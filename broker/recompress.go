package broker

import (
	"errors"
	"fmt"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// maxUnpacked bounds what a batch may decompress to: a few hundred bytes can
// otherwise ask for gigabytes.
const maxUnpacked = 64 << 20

// recompress brings a client's batch to the codec of its topic
// (compression.type). The batch is checked first, since a new CRC would make a
// damaged one look sound. The records themselves are checked by the log. Takes
// long: not on a loop.
func recompress(in []byte, want int8, level int) ([]byte, error) {
	b, err := record.Check(in)
	if err != nil {
		return nil, refuse(errCorruptMessage, fmt.Sprintf("The record batch cannot be read: %v.", err))
	}
	out, err := record.Recompress(make([]byte, 0, len(in)), b, compress.Codec(want), level, maxUnpacked)
	switch {
	case errors.Is(err, record.ErrCodec):
		return nil, refuse(errUnsupportedCompression, fmt.Sprintf("There is no compression codec %d.", b.Codec()))
	case errors.Is(err, record.ErrTooLarge):
		return nil, refuse(errMessageTooLarge, fmt.Sprintf("The record batch decompresses to more than %d bytes.", maxUnpacked))
	case errors.Is(err, record.ErrDecompress):
		return nil, refuse(errCorruptMessage, fmt.Sprintf("The record batch cannot be decompressed: %v.", err))
	case err != nil:
		return nil, fmt.Errorf("broker: recompress a batch: %w", err)
	}
	return out, nil
}

// checkKeys looks into a compressed batch for records without a key, which a
// compacted topic does not take. Takes long: not on a loop.
func checkKeys(in []byte) error {
	_, err := record.Validate(in, &record.Rules{Client: true, NeedKeys: true, Inflate: maxUnpacked})
	var bad *record.InvalidRecords
	switch {
	case errors.As(err, &bad):
		out := &logstore.InvalidRecords{Err: fmt.Errorf("%w: %w", logstore.ErrInvalidRecord, err)}
		for _, r := range bad.Records {
			out.Records = append(out.Records, logstore.RecordError{Index: r.Index, Message: r.Err.Error()})
		}
		return out
	case errors.Is(err, record.ErrDecompress):
		return refuse(errCorruptMessage, fmt.Sprintf("The record batch cannot be decompressed: %v.", err))
	case errors.Is(err, record.ErrTooLarge):
		return refuse(errMessageTooLarge, fmt.Sprintf("The record batch decompresses to more than %d bytes.", maxUnpacked))
	}
	return nil // anything else is the log's to refuse
}

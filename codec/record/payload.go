package record

import (
	"errors"
	"fmt"

	"github.com/chronik-stream/chronik/codec/compress"
)

// Payload is the batch's records uncompressed: Records itself for codec none,
// otherwise decompressed behind scratch[:0]. More than limit bytes are
// ErrTooLarge. Not on an event loop when the batch is compressed.
func (b Batch) Payload(scratch []byte, limit int) ([]byte, error) {
	codec := b.Codec()
	if codec == compress.None {
		return b.Records(), nil
	}
	if !codec.Valid() {
		return nil, ErrCodec
	}
	out, err := compress.Decompress(scratch[:0], b.Records(), codec, limit)
	return out, decompressError(err)
}

// decompressError turns an error of compress into one of this package's.
func decompressError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, compress.ErrTooLarge):
		return ErrTooLarge
	default:
		return fmt.Errorf("%w: %w", ErrDecompress, err)
	}
}

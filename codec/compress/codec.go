package compress

import (
	"errors"
	"fmt"
)

// Codec is Kafka's compression codec id, as in a batch's attributes.
type Codec int8

const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// DefaultLevel asks for a codec's default level, whatever number Kafka gives
// it (gzip -1, lz4 9, zstd 3; snappy has none).
const DefaultLevel = -1 << 31

var (
	// ErrCodec is an id or a name that Kafka does not have.
	ErrCodec = errors.New("compress: the compression codec is not known")
	// ErrTooLarge ends a decompression whose output would pass its limit.
	ErrTooLarge = errors.New("compress: the decompressed data is larger than the limit")
	// ErrCorrupt is compressed data that cannot be read.
	ErrCorrupt = errors.New("compress: the compressed data is damaged")
	// ErrLevel is a level outside a codec's range.
	ErrLevel = errors.New("compress: the compression level is outside the codec's range")
)

var names = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

// Valid reports whether the codec exists.
func (c Codec) Valid() bool { return c >= None && c <= Zstd }

// String is Kafka's name of the codec (compression.type).
func (c Codec) String() string {
	if !c.Valid() {
		return fmt.Sprintf("codec %d", int8(c))
	}
	return names[c]
}

// Parse finds a codec by Kafka's name; "uncompressed" is none, as in the topic
// key compression.type. ("producer" is not a codec.)
func Parse(name string) (Codec, error) {
	for c, n := range names {
		if n == name {
			return Codec(c), nil
		}
	}
	if name == "uncompressed" {
		return None, nil
	}
	return None, fmt.Errorf("%w: %q", ErrCodec, name)
}

// CheckLevel reports whether a codec has a level (Kafka: GzipCompression,
// Lz4Compression, ZstdCompression).
func CheckLevel(c Codec, level int) error {
	if level == DefaultLevel {
		return nil
	}
	var lowest, highest int
	switch c {
	case Gzip:
		if level == -1 {
			return nil
		}
		lowest, highest = 1, 9
	case LZ4:
		lowest, highest = 1, 17
	case Zstd:
		lowest, highest = -131072, 22
	default:
		return nil
	}
	if level < lowest || level > highest {
		return fmt.Errorf("%w: %s has %d to %d, not %d", ErrLevel, c, lowest, highest, level)
	}
	return nil
}

// Append compresses src behind dst and returns the longer slice. Codec None
// copies. dst and src must not overlap. Any goroutine; not an event loop for
// more than a few KiB.
func Append(dst, src []byte, c Codec, level int) ([]byte, error) {
	if err := CheckLevel(c, level); err != nil {
		return dst, err
	}
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return appendGzip(dst, src, level)
	case Snappy:
		return appendSnappy(dst, src), nil
	case LZ4:
		return appendLZ4(dst, src, level)
	case Zstd:
		return appendZstd(dst, src, level)
	}
	return dst, fmt.Errorf("%w: %d", ErrCodec, int8(c))
}

// Decompress appends src decompressed to dst and returns the longer slice, also
// beside an error. More than limit bytes are ErrTooLarge; no more than about
// limit bytes are ever allocated. dst and src must not overlap. Any goroutine;
// not an event loop.
func Decompress(dst, src []byte, c Codec, limit int) ([]byte, error) {
	limit = max(limit, 0)
	switch c {
	case None:
		if len(src) > limit {
			return dst, ErrTooLarge
		}
		return append(dst, src...), nil
	case Gzip:
		return decompressGzip(dst, src, limit)
	case Snappy:
		return decompressSnappy(dst, src, limit)
	case LZ4:
		return decompressLZ4(dst, src, limit)
	case Zstd:
		return decompressZstd(dst, src, limit)
	}
	return dst, fmt.Errorf("%w: %d", ErrCodec, int8(c))
}

// corrupt wraps a library's error; both can be asked for.
func corrupt(c Codec, err error) error {
	return fmt.Errorf("%w (%s): %w", ErrCorrupt, c, err)
}

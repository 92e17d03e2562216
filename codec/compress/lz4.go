package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// Kafka's lz4 is the standard frame: independent blocks of 64 KiB, no content
// checksum (Lz4BlockOutputStream.java). Inside v0 messages the frame's header
// checksum was computed over the magic number too, a bug that became a format:
// such a frame must be written so for v0, and read with any checksum.

var (
	lz4Writers sync.Pool
	lz4Readers sync.Pool
)

// lz4Level maps Kafka's levels 1 to 17 on the library's 1 to 9. Kafka's default
// level, 9, is its fast compressor.
func lz4Level(level int) lz4.CompressionLevel {
	if level == DefaultLevel || level == 9 {
		return lz4.Fast
	}
	return lz4.CompressionLevel(1 << (8 + min(level, 9)))
}

func appendLZ4(dst, src []byte, level int) ([]byte, error) {
	out := appendWriter{b: dst}
	w, ok := lz4Writers.Get().(*lz4.Writer)
	if ok {
		w.Reset(&out)
	} else {
		w = lz4.NewWriter(&out)
	}
	defer lz4Writers.Put(w)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false),
		lz4.ConcurrencyOption(1), lz4.CompressionLevelOption(lz4Level(level)))
	if err != nil {
		return dst, err
	}
	if _, err := w.Write(src); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	w.Reset(io.Discard)
	return out.b, nil
}

func decompressLZ4(dst, src []byte, limit int) ([]byte, error) {
	return readLZ4(dst, bytes.NewReader(src), limit)
}

func readLZ4(dst []byte, in io.Reader, limit int) ([]byte, error) {
	r, ok := lz4Readers.Get().(*lz4.Reader)
	if ok {
		r.Reset(in)
	} else {
		r = lz4.NewReader(in)
	}
	defer lz4Readers.Put(r)
	dst, err := readLimited(dst, r, limit)
	r.Reset(nil)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = corrupt(LZ4, err)
	}
	return dst, err
}

// AppendV0 is Append for a v0 message: lz4 frames get the header checksum that
// clients of that time expect.
func AppendV0(dst, src []byte, c Codec, level int) ([]byte, error) {
	start := len(dst)
	dst, err := Append(dst, src, c, level)
	if err != nil || c != LZ4 {
		return dst, err
	}
	frame := dst[start:]
	n, err := lz4Descriptor(frame)
	if err != nil {
		return dst, err
	}
	frame[n] = byte(xxh32(frame[:n]) >> 8)
	return dst, nil
}

// DecompressV0 is Decompress for a v0 message: an lz4 frame's header checksum
// may be anything.
func DecompressV0(dst, src []byte, c Codec, limit int) ([]byte, error) {
	if c != LZ4 {
		return Decompress(dst, src, c, limit)
	}
	n, err := lz4Descriptor(src)
	if err != nil {
		return dst, err
	}
	head := make([]byte, n+1)
	copy(head, src)
	head[n] = byte(xxh32(head[4:n]) >> 8)
	return readLZ4(dst, io.MultiReader(bytes.NewReader(head), bytes.NewReader(src[n+1:])), max(limit, 0))
}

const lz4Magic = 0x184d2204

// lz4Descriptor gives the place of a frame's header checksum.
func lz4Descriptor(frame []byte) (int, error) {
	const contentSize, dictionary = 0x08, 0x01
	if len(frame) < 7 || binary.LittleEndian.Uint32(frame) != lz4Magic {
		return 0, fmt.Errorf("%w (lz4): there is no frame header", ErrCorrupt)
	}
	n := 6
	if frame[4]&contentSize != 0 {
		n += 8
	}
	if frame[4]&dictionary != 0 {
		return 0, fmt.Errorf("%w (lz4): the frame needs a dictionary", ErrCorrupt)
	}
	if len(frame) <= n {
		return 0, fmt.Errorf("%w (lz4): the frame header is cut off", ErrCorrupt)
	}
	return n, nil
}

// xxh32 is XXH32 with seed 0 of fewer than 16 bytes, all that a frame header
// can have: none of the modules at hand exports it.
func xxh32(b []byte) uint32 {
	const prime1, prime2, prime3, prime4, prime5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	h := uint32(prime5) + uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		h += binary.LittleEndian.Uint32(b) * prime3
		h = bits.RotateLeft32(h, 17) * prime4
	}
	for _, c := range b {
		h += uint32(c) * prime5
		h = bits.RotateLeft32(h, 11) * prime1
	}
	h ^= h >> 15
	h *= prime2
	h ^= h >> 13
	h *= prime3
	return h ^ h>>16
}

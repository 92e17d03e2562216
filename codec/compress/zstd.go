package compress

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdEncoders is by the library's level (1 to 4); a client's level is mapped.
var zstdEncoders [zstd.SpeedBestCompression + 1]sync.Pool

var zstdDecoders sync.Pool

func appendZstd(dst, src []byte, level int) ([]byte, error) {
	speed := zstd.SpeedDefault
	if level != DefaultLevel {
		speed = zstd.EncoderLevelFromZstd(level)
	}
	e, ok := zstdEncoders[speed].Get().(*zstd.Encoder)
	if !ok {
		var err error
		e, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
		if err != nil {
			return dst, err
		}
	}
	dst = e.EncodeAll(src, dst)
	zstdEncoders[speed].Put(e)
	return dst, nil
}

// zstdDecoder is a decoder with the memory bound that it is set to.
type zstdDecoder struct {
	*zstd.Decoder
	most int
}

func newZstdDecoder(most int) (*zstdDecoder, error) {
	bound := zstd.WithDecoderMaxMemory(uint64(most))
	if d, ok := zstdDecoders.Get().(*zstdDecoder); ok {
		if d.most == most {
			return d, nil
		}
		d.most = most
		return d, d.ResetWithOptions(nil, bound)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), bound)
	return &zstdDecoder{d, most}, err
}

// One block, of three bytes or more, can hold zstdMaxBlock; the smallest window
// is 1 KiB.
const (
	zstdMaxBlock      = 128 << 10
	zstdMinWindowBits = 10
	zstdMaxWindowBits = 29 // the library's, whatever its memory bound
)

// decompressZstd decodes in memory: the library's streaming decoder allocates
// the window that a frame states, and a frame of level 22 states 128 MiB for a
// few KiB of data. In memory the window costs nothing, but the library refuses
// one above its memory bound; such a frame is given a smaller one, which
// changes nothing when its data is within the limit. The bound is the power of
// two at or above limit, since windows are: what lies between is refused here.
func decompressZstd(dst, src []byte, limit int) ([]byte, error) {
	// The library counts what stands in dst already.
	exponent := max(bits.Len(uint(len(dst)+limit)), zstdMinWindowBits)
	var h zstd.Header
	if err := h.Decode(src); err == nil && !h.Skippable {
		if h.HasFCS && h.FrameContentSize > uint64(limit) {
			return dst, ErrTooLarge
		}
		if h.HasFCS && h.FrameContentSize/zstdMaxBlock > uint64(len(src))/3 {
			return dst, fmt.Errorf("%w (zstd): the frame states an impossible length", ErrCorrupt)
		}
		if window := min(exponent, zstdMaxWindowBits); !h.SingleSegment && h.WindowSize > 1<<window {
			// The window descriptor stands behind the magic number and the frame
			// header descriptor, its exponent in the upper five bits.
			src = bytes.Clone(src)
			src[5] = byte((window - zstdMinWindowBits) << 3)
		}
	}
	d, err := newZstdDecoder(1 << exponent)
	if err != nil {
		return dst, err
	}
	defer zstdDecoders.Put(d)
	out, err := d.DecodeAll(src, dst)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), err == nil && len(out)-len(dst) > limit:
		return dst, ErrTooLarge
	case err != nil:
		return dst, corrupt(Zstd, err)
	}
	return out, nil
}

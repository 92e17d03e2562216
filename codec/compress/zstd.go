package compress

import (
	"errors"
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

// decompressZstd decodes into room that is as large as the frame states, or
// grows by doubling towards the limit when it states nothing (Java's clients
// stream). The library bounds its output by the room, not by its window: a
// frame of level 22 states a window of 128 MiB for a few KiB of data.
func decompressZstd(dst, src []byte, limit int) ([]byte, error) {
	d, ok := zstdDecoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return dst, err
		}
	}
	defer zstdDecoders.Put(d)

	start := len(dst)
	room := min(limit, max(cap(dst)-start, 4*len(src), 4096))
	var h zstd.Header
	if err := h.Decode(src); err == nil && h.HasFCS && !h.Skippable {
		if h.FrameContentSize > uint64(limit) {
			return dst, ErrTooLarge
		}
		// A statement costs nothing: believe no more than a good ratio at first.
		room = max(room, min(int(h.FrameContentSize), 128*len(src)))
	}
	for {
		if cap(dst)-start < room {
			grown := make([]byte, start, start+room)
			copy(grown, dst)
			dst = grown
		}
		out, err := d.DecodeAll(src, dst[:start:start+room])
		switch {
		case err == nil:
			return out, nil
		case !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return dst[:start], corrupt(Zstd, err)
		case room == limit:
			return dst[:start], ErrTooLarge
		}
		room = min(limit, 2*room)
	}
}

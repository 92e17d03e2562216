package compress

import (
	"bytes"
	"errors"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// The pools below are sync.Pools: a compressor's state is hundreds of KiB, and
// the garbage collector empties the pools of a quiet process.

// gzipWriters is by level, 0 for the default.
var gzipWriters [10]sync.Pool

var gzipReaders sync.Pool

func appendGzip(dst, src []byte, level int) ([]byte, error) {
	slot := level
	if level == DefaultLevel || level == gzip.DefaultCompression {
		level, slot = gzip.DefaultCompression, 0
	}
	out := appendWriter{b: dst}
	w, ok := gzipWriters[slot].Get().(*gzip.Writer)
	if ok {
		w.Reset(&out)
	} else {
		var err error
		if w, err = gzip.NewWriterLevel(&out, level); err != nil {
			return dst, err
		}
	}
	if _, err := w.Write(src); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	w.Reset(nil)
	gzipWriters[slot].Put(w)
	return out.b, nil
}

func decompressGzip(dst, src []byte, limit int) ([]byte, error) {
	in := bytes.NewReader(src)
	r, ok := gzipReaders.Get().(*gzip.Reader)
	if !ok {
		r = new(gzip.Reader)
	}
	defer gzipReaders.Put(r)
	if err := r.Reset(in); err != nil {
		return dst, corrupt(Gzip, err)
	}
	dst, err := readLimited(dst, r, limit)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = corrupt(Gzip, err)
	}
	return dst, err
}

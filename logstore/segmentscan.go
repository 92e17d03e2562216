package logstore

import (
	"errors"
	"fmt"
	"io"

	"github.com/chronik-stream/chronik/codec/record"
)

// badBatch is a place in a segment where no valid batch lies.
type badBatch struct {
	file   string
	pos    int64
	offset int64 // where it should begin as far as known: at or after this
	why    error
}

func (e *badBatch) Error() string {
	return fmt.Sprintf("%s: no valid batch at byte %d (offset %d or after): %v", e.file, e.pos, e.offset, e.why)
}

func (e *badBatch) Unwrap() error { return e.why }

// batchScan walks the batches of bytes [pos, end) of a .log file, checking
// each one's CRC and that offsets rise. It reads scanBuffer bytes at once; a
// larger batch gets a buffer of its size while it lasts. One goroutine.
type batchScan struct {
	r    io.ReaderAt
	name string
	pos  int64 // of the next batch
	end  int64
	next int64 // the least offset the next batch may have
	// pace, when set, is called before each read from the disk.
	pace func(n int) error
	// closely: one bad sector fails all of a large read, so what it asked for first is
	// read again alone. Only for who looks for damage: nobody else tries twice.
	closely bool

	buf  []byte
	from int64 // what buf holds begins here
	held int
}

// batch gives the next batch, valid until the next call, and io.EOF at the
// end. A *badBatch says where the scan cannot go on.
func (s *batchScan) batch() (b record.Batch, pos int64, err error) {
	if s.pos >= s.end {
		return nil, s.pos, io.EOF
	}
	head, err := s.bytes(record.HeaderSize)
	if err != nil {
		return nil, s.pos, err
	}
	size := record.Batch(head).Size()
	if record.Batch(head).Magic() != record.Magic {
		return nil, s.pos, s.bad(record.ErrMagic)
	}
	if size < record.HeaderSize {
		return nil, s.pos, s.bad(record.ErrLength)
	}
	raw, err := s.bytes(size)
	if err != nil {
		return nil, s.pos, err
	}
	b = record.Batch(raw)
	switch {
	case !b.CheckCRC():
		return nil, s.pos, s.bad(record.ErrCRC)
	case b.BaseOffset() < s.next || b.LastOffsetDelta() < 0:
		return nil, s.pos, s.bad(fmt.Errorf("its offsets %d to %d do not follow", b.BaseOffset(), b.LastOffset()))
	}
	pos = s.pos
	s.pos += int64(size)
	s.next = b.NextOffset()
	return b, pos, nil
}

func (s *batchScan) bad(why error) error {
	return &badBatch{file: s.name, pos: s.pos, offset: s.next, why: why}
}

// bytes gives n bytes at pos.
func (s *batchScan) bytes(n int) ([]byte, error) {
	if s.pos+int64(n) > s.end {
		return nil, s.bad(record.ErrShort)
	}
	if s.pos < s.from || s.pos+int64(n) > s.from+int64(s.held) {
		if n > len(s.buf) || len(s.buf) > scanBuffer && n <= scanBuffer {
			s.buf = make([]byte, max(n, scanBuffer))
		}
		want := int(min(int64(len(s.buf)), s.end-s.pos))
		s.from, s.held = s.pos, 0
		if s.pace != nil {
			if err := s.pace(want); err != nil {
				return nil, err
			}
		}
		got, err := s.r.ReadAt(s.buf[:want], s.pos)
		if s.closely && got < want && want > n && diskFailed(err) {
			want = n
			got, err = s.r.ReadAt(s.buf[:want], s.pos)
		}
		if got < want {
			if err == nil || errors.Is(err, io.EOF) {
				return nil, s.bad(record.ErrShort)
			}
			return nil, fmt.Errorf("read %s: %w", s.name, err)
		}
		s.held = want
	}
	at := s.pos - s.from
	return s.buf[at : at+int64(n)], nil
}

// scan walks a segment's batches; the segment must be pinned.
func (s *Segment) scan(pace func(int) error) *batchScan {
	return &batchScan{r: s.file, name: s.path() + suffixLog, end: s.size.Load(), next: s.base, pace: pace}
}

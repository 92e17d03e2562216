package logstore

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/chronik-stream/chronik/codec/record"
)

// salvage is for a gap below a proof of durability: acknowledged bytes between
// the recovered end and offset are bad. What is still whole in between is
// kept, what is not becomes a damaged range, and the recovered end moves to
// offset, where the frame f lies, if any (rule 2).
func (r *recovery) salvage(offset int64, f *frame) error {
	l := r.l
	l.store.stats.damaged.Add(1)
	if _, err := r.scan(offset, true); err != nil {
		return err
	}
	for l.end < offset {
		pos, base, err := r.nextWhole(offset, f)
		if err != nil {
			return err
		}
		if pos >= 0 {
			r.lose(place{base, r.cur.base, pos})
			r.cur.size.Store(pos)
			if _, err := r.scan(offset, true); err != nil {
				return err
			}
			continue
		}
		i := slices.IndexFunc(r.found, func(s *Segment) bool {
			return s.base > max(l.end-1, r.cur.base) && s.base < offset && (f == nil || s.base <= f.segBase)
		})
		if i >= 0 {
			base := r.found[i].base
			if base > l.end {
				r.lose(place{base, base, 0})
			}
			if err := r.enter(base, 0); err != nil {
				return err
			}
			if _, err := r.scan(offset, true); err != nil {
				return err
			}
			continue
		}
		to := place{offset, r.cur.base, r.cur.size.Load()}
		if f != nil {
			to.base, to.pos = f.segBase, f.pos
		}
		r.lose(to)
		if f != nil && f.segBase == r.cur.base {
			r.cur.size.Store(f.pos)
		}
	}
	return nil
}

// lose marks everything from the recovered end to a place as damaged.
func (r *recovery) lose(to place) {
	l := r.l
	l.store.logger.Error("acknowledged records are damaged; the partition is read-only", "log", l.path, "from", l.end, "to", to.offset)
	r.damage = append(r.damage, damagedRange{place{l.end, r.cur.base, r.cur.size.Load()}, to})
	l.end = to.offset
	r.cur.next.Store(to.offset)
}

// nextWhole looks in the current segment for a valid batch that begins above
// the recovered end, at or below offset; pos is -1 when there is none.
// A batch is looked for at every byte: a base offset and magic that fit, then
// a length that fits, then a right CRC.
func (r *recovery) nextWhole(offset int64, f *frame) (pos, base int64, err error) {
	l, s := r.l, r.cur
	if err := s.pin(); err != nil {
		return -1, 0, err
	}
	defer s.unpin()
	end, err := s.file.Size()
	if err != nil {
		return -1, 0, fmt.Errorf("size of segment: %w", err)
	}
	if f != nil && f.segBase == s.base {
		end = min(end, f.pos)
	}
	buf := make([]byte, scanBuffer)
	for from := s.size.Load() + 1; from+record.HeaderSize <= end; {
		want := int(min(int64(len(buf)), end-from))
		if n, err := s.file.ReadAt(buf[:want], from); n < want {
			return -1, 0, fmt.Errorf("read segment %s: %w", s.path(), err)
		}
		for i := 0; i+record.HeaderSize <= want; i++ {
			b := int64(binary.BigEndian.Uint64(buf[i:]))
			if b <= l.end || b > offset || buf[i+16] != record.Magic {
				continue
			}
			if whole, err := r.wholeAt(from+int64(i), end, offset); err != nil || whole {
				return from + int64(i), b, err
			}
		}
		from += int64(want - record.HeaderSize + 1)
	}
	return -1, 0, nil
}

// wholeAt reports whether a valid batch lies at pos.
func (r *recovery) wholeAt(pos, end, offset int64) (bool, error) {
	var head [record.HeaderSize]byte
	if n, err := r.cur.file.ReadAt(head[:], pos); n < len(head) {
		return false, fmt.Errorf("read segment %s: %w", r.cur.path(), err)
	}
	size := int64(record.Batch(head[:]).Size())
	if first := record.Batch(head[:]); size < record.HeaderSize || pos+size > end || (first.BaseOffset() < offset && first.NextOffset() > offset) {
		return false, nil
	}
	b := make(record.Batch, size)
	if n, err := r.cur.file.ReadAt(b, pos); n < len(b) {
		return false, fmt.Errorf("read segment %s: %w", r.cur.path(), err)
	}
	return r.follows(b, b.BaseOffset(), r.l.lastEpoch), nil
}

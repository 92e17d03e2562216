package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/zeebo/xxh3"
)

// A .seal file is written when a segment is closed for good; it lets a scrub
// tell bit rot from a bug, and tiering check an upload:
//
//	magic u32 | version u32 | base i64 | next i64 | size i64 | batches i64 |
//	max timestamp i64 | XXH3-128 of .log, .index, .timeindex, .txnindex |
//	crc u32 over everything before it
//
// An index file that is missing counts as empty.
const (
	sealMagic   = 0x4368536c // "ChSl"
	sealVersion = 1
	sealSize    = 48 + 4*16 + 4
)

// sealing is a rolled segment that waits for its seal.
type sealing struct {
	seg      *Segment
	snapshot []byte // producer state where it ends, nil: not known
}

// Seal is the content of a .seal file.
type Seal struct {
	Base, Next   int64 // offsets: first, and after the last
	Size         int64 // bytes of .log
	Batches      int64
	MaxTimestamp int64
	// Sums are XXH3-128 of .log, .index, .timeindex and .txnindex.
	Sums [4][16]byte
}

// sealed files in the order of Seal.Sums.
var sealedSuffixes = [4]string{suffixLog, suffixIndex, suffixTime, suffixTxn}

func (s *Seal) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 0, sealSize)
	b = be.AppendUint32(b, sealMagic)
	b = be.AppendUint32(b, sealVersion)
	for _, v := range []int64{s.Base, s.Next, s.Size, s.Batches, s.MaxTimestamp} {
		b = be.AppendUint64(b, uint64(v))
	}
	for _, sum := range s.Sums {
		b = append(b, sum[:]...)
	}
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// decodeSeal reads a .seal file.
func decodeSeal(b []byte) (s Seal, err error) {
	be := binary.BigEndian
	if len(b) != sealSize || be.Uint32(b) != sealMagic || be.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli) {
		return s, errors.New("logstore: the seal is damaged")
	}
	if v := be.Uint32(b[4:]); v != sealVersion {
		return s, fmt.Errorf("logstore: the seal has version %d; this release reads %d", v, sealVersion)
	}
	r := &byteReader{b: b[8:]}
	for _, p := range []*int64{&s.Base, &s.Next, &s.Size, &s.Batches, &s.MaxTimestamp} {
		*p = r.i64()
	}
	for i := range s.Sums {
		copy(s.Sums[i][:], r.take(16))
	}
	return s, nil
}

// toSeal lists a rolled segment. Under log.mu.
func (d *dir) toSeal(s *Segment, snapshot []byte) {
	d.mu.Lock()
	d.seals = append(d.seals, sealing{s, snapshot})
	d.mu.Unlock()
	if d.keeper != nil {
		d.keeper.poke()
	}
}

// sealAll seals what was rolled. Keeper and Close.
func (d *dir) sealAll() {
	d.ckptMu.Lock()
	defer d.ckptMu.Unlock()
	d.mu.Lock()
	list := d.seals
	d.seals = nil
	d.mu.Unlock()
	for i, x := range list {
		if x.seg.log.deleted.Load() || x.seg.removed() {
			continue
		}
		if err := x.seg.seal(x.snapshot); err != nil {
			if !errors.Is(d.ioError(err), ErrOffline) {
				d.mu.Lock()
				d.seals = append(list[i:], d.seals...)
				d.mu.Unlock()
			}
			return
		}
	}
}

// removed reports whether the segment left its log.
func (s *Segment) removed() bool {
	s.fmu.Lock()
	defer s.fmu.Unlock()
	return s.gone
}

// seal makes a closed segment final: trimmed, durable with its indexes, the
// producer snapshot of its end beside it, its sums written.
func (s *Segment) seal(snapshot []byte) error {
	disk := s.log.store.fs
	size := s.size.Load()
	if err := s.pin(); err != nil {
		if errors.Is(err, ErrClosed) {
			return nil
		}
		return err
	}
	defer s.unpin()
	if _, err := s.trim(true); err != nil {
		return err
	}
	if err := s.sync(size); err != nil {
		return err
	}
	if err := s.flushIndexes(); err != nil {
		return err
	}
	if err := s.log.syncNames(); err != nil {
		return err
	}
	if snapshot != nil {
		name := s.log.path + "/" + segmentName(s.next.Load(), suffixSnapshot)
		if err := atomicWrite(disk, name, snapshot); err != nil {
			return err
		}
	}
	maxTs, err := s.largestTime()
	if err != nil {
		return err
	}
	seal := Seal{Base: s.base, Next: s.next.Load(), Size: size, MaxTimestamp: maxTs}
	if err := s.sum(&seal); err != nil {
		return err
	}
	if err := atomicWrite(disk, s.path()+suffixSeal, seal.encode()); err != nil {
		return err
	}
	s.sealed.Store(true)
	s.trimIndexes()
	return nil
}

// largestTime is the largest timestamp of a closed segment: the last entry of
// its time index.
func (s *Segment) largestTime() (int64, error) {
	s.imu.Lock()
	defer s.imu.Unlock()
	if err := s.loadTimes(); err != nil {
		return -1, err
	}
	e, ok := s.times.last()
	if !ok {
		return -1, nil
	}
	return e.ts, nil
}

// sum computes the sums and counts the batches.
func (s *Segment) sum(seal *Seal) error {
	buf := make([]byte, 256<<10)
	for i, suffix := range sealedSuffixes {
		h := xxh3.New()
		var counter batchCounter
		f, err := s.log.store.fs.OpenRead(s.path() + suffix)
		if err == nil {
			for off := int64(0); ; {
				n, rerr := f.ReadAt(buf, off)
				off += int64(n)
				if suffix == suffixLog {
					counter.add(buf[:n])
				}
				if _, err := h.Write(buf[:n]); err != nil {
					return errors.Join(err, f.Close())
				}
				if errors.Is(rerr, io.EOF) || n == 0 {
					break
				}
				if rerr != nil {
					return errors.Join(fmt.Errorf("read segment: %w", rerr), f.Close())
				}
			}
			if err := f.Close(); err != nil {
				return err
			}
		} else if !isMissing(err) {
			return fmt.Errorf("read segment: %w", err)
		}
		if suffix == suffixLog {
			seal.Batches = counter.n
		}
		seal.Sums[i] = h.Sum128().Bytes()
	}
	return nil
}

// batchCounter counts batches in a stream of a segment's bytes.
type batchCounter struct {
	n    int64
	skip int    // bytes of the current batch still to come
	head []byte // the first bytes of the next one
}

func (c *batchCounter) add(p []byte) {
	for len(p) > 0 {
		if c.skip > 0 {
			k := min(c.skip, len(p))
			c.skip -= k
			p = p[k:]
			continue
		}
		k := min(12-len(c.head), len(p))
		c.head = append(c.head, p[:k]...)
		p = p[k:]
		if len(c.head) == 12 {
			c.skip = max(int(int32(binary.BigEndian.Uint32(c.head[8:]))), 0)
			c.head = c.head[:0]
			c.n++
		}
	}
}

package logstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/zeebo/xxh3"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// Damage is a place on disk that does not hold what was written there.
type Damage struct {
	Topic     string
	Partition int32
	ID        TopicID
	// File is the damaged file.
	File string
	// From and To are the offsets that cannot be read, From first and To after
	// the last. They are equal when records are whole and only an index or a
	// seal is wrong.
	From, To int64
	// Position is the byte in File where the damage begins, as far as known.
	Position int64
	Err      error
}

func (d *Damage) String() string {
	if d.From == d.To {
		return fmt.Sprintf("%s-%d: %s: %v (no record is lost)", d.Topic, d.Partition, d.File, d.Err)
	}
	return fmt.Sprintf("%s-%d offsets %d to %d: %s at byte %d: %v", d.Topic, d.Partition, d.From, d.To-1, d.File, d.Position, d.Err)
}

// Verified is what a verification looked at.
type Verified struct {
	Logs, Segments, Sealed int
	Batches                int64
	Bytes                  int64
	Damaged                int
	// Unproven is bytes behind a log's last proof of durability after an
	// unclean stop: the next start decides about them.
	Unproven int64
}

var (
	errSealSum   = errors.New("the file differs from the sum in the segment's seal, though every batch in it is whole: it was changed or replaced")
	errIndexSum  = errors.New("the index differs from the sum in the segment's seal; delete it and start the broker to have it rebuilt")
	errSealSize  = errors.New("the file is shorter than the segment's seal says")
	errBadSeal   = errors.New("the seal cannot be read")
	errIndexSort = errors.New("the index points to where no batch with its offset starts; delete it and start the broker to have it rebuilt")
)

// segmentCheck verifies one segment. The open store and a stopped directory
// share it.
type segmentCheck struct {
	disk  vfs.FS
	path  string // without suffix
	log   io.ReaderAt
	base  int64
	size  int64 // bytes that must be whole
	next  int64 // offset after the last batch
	pace  func(int) error
	found func(Damage) // Topic, Partition and ID are the caller's to fill in
	sum   *Verified
}

// run compares a sealed segment with its seal and, when there is none or it
// does not match, every batch with its CRC. Damage is reported through found, and
// so is what the disk does not give: the check goes on behind it. Other errors of
// reading are returned.
func (c *segmentCheck) run() error {
	c.sum.Segments++
	raw, err := readFile(c.disk, c.path+suffixSeal, 1<<16)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.scan(nil)
	case diskFailed(err):
		c.report(Damage{File: c.path + suffixSeal, From: c.base, To: c.base, Err: fmt.Errorf("%w: %w", errBadSeal, err)})
		return c.scan(nil)
	case err != nil:
		return fmt.Errorf("read %s: %w", c.path+suffixSeal, err)
	}
	seal, err := decodeSeal(raw)
	if err != nil {
		c.report(Damage{File: c.path + suffixSeal, From: c.base, To: c.base, Err: fmt.Errorf("%w: %w", errBadSeal, err)})
		return c.scan(nil)
	}
	c.sum.Sealed++
	if seal.Size > c.size {
		c.report(Damage{File: c.path + suffixLog, From: c.base, To: c.base, Position: c.size, Err: errSealSize})
		return c.scan(nil)
	}
	for i, suffix := range sealedSuffixes {
		same, err := c.matches(suffix, seal.Sums[i])
		switch {
		case diskFailed(err) && suffix == suffixLog:
			if err := c.scan(err); err != nil {
				return err
			}
		case diskFailed(err):
			c.report(Damage{File: c.path + suffix, From: c.base, To: c.base, Err: err})
		case err != nil:
			return err
		case same && suffix == suffixLog:
			c.sum.Batches += seal.Batches
		case same:
		case suffix == suffixLog:
			if err := c.scan(errSealSum); err != nil {
				return err
			}
		default:
			c.report(Damage{File: c.path + suffix, From: c.base, To: c.base, Err: errIndexSum})
		}
	}
	return nil
}

func (c *segmentCheck) report(d Damage) {
	c.sum.Damaged++
	c.found(d)
}

// matches hashes a file of the segment; a missing index counts as empty.
func (c *segmentCheck) matches(suffix string, want [16]byte) (bool, error) {
	h := xxh3.New()
	r := c.log
	if suffix != suffixLog {
		f, err := c.disk.OpenRead(c.path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			return h.Sum128().Bytes() == want, nil
		}
		if err != nil {
			return false, fmt.Errorf("open %s: %w", c.path+suffix, err)
		}
		defer f.Close()
		r = f
	}
	buf := make([]byte, scanBuffer)
	for off := int64(0); ; {
		want := len(buf)
		if suffix == suffixLog {
			want = int(min(int64(want), c.size-off))
		}
		if want > 0 {
			if err := c.pace(want); err != nil {
				return false, err
			}
		}
		n, err := r.ReadAt(buf[:want], off)
		off += int64(n)
		c.sum.Bytes += int64(n)
		if _, werr := h.Write(buf[:n]); werr != nil {
			return false, werr
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("read %s: %w", c.path+suffix, err)
		}
		if err != nil || n == 0 {
			break
		}
	}
	return h.Sum128().Bytes() == want, nil
}

// scan checks every batch, and that the offset index points to batches. Behind
// a bad place it goes on at the next index entry. whole is reported when all
// batches are right.
func (c *segmentCheck) scan(whole error) error {
	index, err := c.index()
	if err != nil {
		return err
	}
	s := &batchScan{r: c.log, name: c.path + suffixLog, end: c.size, next: c.base, pace: c.pace, closely: true}
	bad := false
	misplaced := false
	for {
		at := s.pos
		b, pos, err := s.batch()
		if errors.Is(err, io.EOF) {
			break
		}
		var hole *badBatch
		if diskFailed(err) {
			hole = &badBatch{file: s.name, pos: s.pos, offset: s.next, why: err}
		}
		if hole != nil || errors.As(err, &hole) {
			bad = true
			to, on := c.resume(s, index)
			c.report(Damage{File: s.name, From: hole.offset, To: to, Position: hole.pos, Err: hole.why})
			if !on {
				break
			}
			continue
		}
		if err != nil {
			return err
		}
		c.sum.Batches++
		c.sum.Bytes += s.pos - at
		for len(index) > 0 && int64(index[0].pos) <= pos {
			if int64(index[0].pos) != pos || c.base+int64(index[0].rel) != b.LastOffset() {
				misplaced = true
			}
			index = index[1:]
		}
	}
	if misplaced && !bad {
		c.report(Damage{File: c.path + suffixIndex, From: c.base, To: c.base, Err: errIndexSort})
	}
	if !bad && whole != nil {
		c.report(Damage{File: s.name, From: c.base, To: c.base, Err: whole})
	}
	return nil
}

// resume moves a scan behind a bad place: to the next index entry where a
// valid batch begins. to is the first offset that can be read again.
func (c *segmentCheck) resume(s *batchScan, index []offsetEntry) (to int64, ok bool) {
	from, next := s.pos, s.next
	for _, e := range index {
		if int64(e.pos) <= from {
			continue
		}
		s.pos, s.next = int64(e.pos), next
		b, _, err := s.batch()
		if err != nil || b.LastOffset() != c.base+int64(e.rel) {
			continue
		}
		s.pos, s.next = int64(e.pos), b.BaseOffset()
		return b.BaseOffset(), true
	}
	return max(c.next, next), false
}

// index reads the offset index; one that breaks its own order is left out, the
// sums or the scan will say so.
func (c *segmentCheck) index() ([]offsetEntry, error) {
	raw, err := readFile(c.disk, c.path+suffixIndex, 1<<30)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if diskFailed(err) {
		c.report(Damage{File: c.path + suffixIndex, From: c.base, To: c.base, Err: err})
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.path+suffixIndex, err)
	}
	var out []offsetEntry
	for ; len(raw) >= offsetFormat.size; raw = raw[offsetFormat.size:] {
		e := offsetFormat.get(raw)
		if n := len(out); n > 0 && !offsetFormat.follows(out[n-1], e) {
			break
		}
		out = append(out, e)
	}
	return out, nil
}

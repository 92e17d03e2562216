package cluster

import (
	"fmt"

	"github.com/chronik-stream/chronik/logstore"
)

// replay turns the metadata log into an image.
type replay struct {
	image *Image
	// since is the bytes read after the last whole snapshot, size that
	// snapshot's.
	since, size int64

	nodeID int32
	// building is a snapshot of which all parts up to part were read.
	building *draft
	version  int64
	part     int64
	partial  int64 // bytes of building
	whole    bool  // a snapshot was read to its end
}

func newReplay(nodeID int32) *replay {
	return &replay{nodeID: nodeID, image: &Image{NodeID: nodeID}}
}

// replayRead is how much is read at once; a larger batch is read whole.
const replayRead = 1 << 20

// read replays the whole log.
func (r *replay) read(log metadataLog) error {
	offsets := log.Offsets()
	offset := offsets.LogStart
	for offset < offsets.LogEnd {
		s, err := log.Read(logstore.Read{Offset: offset, MaxBytes: replayRead, MinOne: true})
		if err != nil {
			return fmt.Errorf("cluster: read the metadata log at offset %d: %w", offset, err)
		}
		data, err := sliceBytes(s)
		if err != nil {
			return fmt.Errorf("cluster: read the metadata log at offset %d: %w", offset, err)
		}
		next, err := r.batches(data, offset, offsets.LogStart)
		if err != nil {
			return err
		}
		if next <= offset {
			return fmt.Errorf("cluster: the metadata log ends at offset %d and %d was promised", offset, offsets.LogEnd)
		}
		offset = next
	}
	if offsets.LogStart > 0 && !r.whole {
		return fmt.Errorf("cluster: %w: the log begins at offset %d and holds no whole snapshot", ErrBadRecord, offsets.LogStart)
	}
	return nil
}

// sliceBytes copies a range and gives it back to the store.
func sliceBytes(s logstore.Slice) ([]byte, error) {
	if s.Len == 0 {
		return nil, nil
	}
	data := make([]byte, s.Len)
	if s.Mem != nil {
		copy(data, s.Mem)
		if s.Seg != nil {
			s.Seg.Release()
		}
		return data, nil
	}
	_, err := s.Seg.ReadAt(data, s.Off)
	s.Seg.Release()
	return data, err
}

// batches applies the batches of data and gives the offset after them.
func (r *replay) batches(data []byte, offset, start int64) (int64, error) {
	for len(data) > 0 {
		records, size, next, err := decodeBatch(data)
		if err != nil {
			return offset, fmt.Errorf("cluster: the metadata log at offset %d: %w", offset, err)
		}
		if err := r.batch(records, int64(size), start > 0); err != nil {
			return offset, fmt.Errorf("cluster: the metadata log at offset %d: %w", offset, err)
		}
		data, offset = data[size:], next
	}
	return offset, nil
}

// batch applies one batch. trimmed says that the log's first changes were
// deleted, so that nothing fits before a snapshot.
func (r *replay) batch(records []Record, size int64, trimmed bool) error {
	if len(records) == 0 {
		return nil
	}
	open, isPart := records[0].(snapshotRecord)
	if !isPart {
		if trimmed && !r.whole {
			return fmt.Errorf("%w: the log was trimmed and does not begin with a snapshot", ErrBadRecord)
		}
		r.building = nil
		d := newDraft(r.image)
		if err := d.apply(records); err != nil {
			return err
		}
		r.image = d.finish()
		r.since += size
		return nil
	}
	if open.Part == 0 {
		r.building = newDraft(&Image{NodeID: r.nodeID, Version: open.Version - 1})
		r.version, r.part, r.partial = open.Version, 0, 0
	} else if r.building == nil || open.Part != r.part || open.Version != r.version {
		return fmt.Errorf("%w: part %d of a snapshot stands where part %d was expected", ErrBadRecord, open.Part, r.part)
	}
	if err := r.building.apply(records[1:]); err != nil {
		return err
	}
	r.part++
	r.partial += size
	if open.Last {
		r.image, r.building = r.building.finish(), nil
		r.since, r.size, r.whole = 0, r.partial, true
	}
	return nil
}

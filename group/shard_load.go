package group

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// fail gives up the state: it is ahead of its log. A load follows.
func (s *Shard) fail(now time.Time, err error) {
	if !s.Ready() {
		return
	}
	s.o.Logger.Error("a coordinator partition lost its log and will be read again", "shard", s.o.Name, "error", err)
	s.state.Store(int32(shardFailed))
	s.backOff(now)
	s.abandon(err)
}

func (s *Shard) backOff(now time.Time) {
	s.backoff = min(max(2*s.backoff, minReload), maxReload)
	s.retryAt = now.Add(s.backoff)
}

// abandon answers everybody with an error and forgets the state. Appends in
// flight stay until the log has settled them: their buffers are in use.
func (s *Shard) abandon(err error) {
	// Whatever the log's reason, for a client it means: look for the
	// coordinator again.
	why := fmt.Errorf("%w (%v)", ErrUnavailable, err)
	ops := s.ops
	if s.running {
		ops = ops[1:] // the first answers for itself
	}
	s.ops = nil
	s.take()
	for _, f := range s.flying {
		s.answer(f, why)
	}
	for _, f := range s.ready {
		s.answer(f, why)
	}
	s.ready = nil
	s.dropAnswers(why)
	s.o.Lost(why)
	s.Deadlines.Clear()
	for _, list := range [][]task{ops, s.ops} {
		for _, t := range list {
			if t.refused != nil {
				t.refused(why)
			}
		}
	}
	s.ops, s.spare = nil, nil
}

// dropAnswers forgets what was written and answers with an error.
func (s *Shard) dropAnswers(err error) {
	answers := s.Out.answers
	s.Out.answers = nil
	s.Out.reset()
	for _, a := range answers {
		a(err)
	}
}

// reload reads the log from its start once it is open and settled.
func (s *Shard) reload(now time.Time) {
	if now.Before(s.retryAt) || len(s.flying) > 0 {
		return
	}
	err := s.load(now)
	if err == nil {
		s.backoff = 0
		s.retryAt = time.Time{}
		s.state.Store(int32(shardReady))
		return
	}
	s.o.Lost(err)
	s.Deadlines.Clear()
	s.backOff(now)
	if !errors.Is(err, errNotOpen) {
		s.o.Logger.Warn("a coordinator partition cannot be read yet", "shard", s.o.Name, "error", err)
	}
}

var (
	errNotOpen   = errors.New("group: the partition's log is not open")
	errUnsettled = errors.New("group: the partition's log has appends that are not durable")
)

func (s *Shard) load(now time.Time) error {
	log := s.o.Log()
	if log == nil {
		return errNotOpen
	}
	s.log = log
	at := log.Offsets().LogStart
	var cursor logstore.Cursor
	var buf, scratch []byte
	for {
		marks := log.Offsets()
		if at >= marks.HighWatermark {
			if marks.HighWatermark < marks.LogEnd {
				return errUnsettled
			}
			break
		}
		sl, err := log.Read(logstore.Read{Offset: at, MaxBytes: 1 << 20, MinOne: true, Cursor: &cursor})
		if err != nil {
			return fmt.Errorf("group: reading the partition's log at offset %d: %w", at, err)
		}
		if sl.Len == 0 {
			return errUnsettled
		}
		data := sl.Mem
		if data == nil {
			if int64(cap(buf)) < sl.Len {
				buf = make([]byte, sl.Len)
			}
			data = buf[:sl.Len]
			if _, err = io.ReadFull(io.NewSectionReader(sl.Seg, sl.Off, sl.Len), data); err != nil {
				sl.Seg.Release()
				return fmt.Errorf("group: reading the partition's log at offset %d: %w", at, err)
			}
		}
		scratch, err = s.replay(data, at, scratch)
		sl.Seg.Release()
		if err != nil {
			return err
		}
		if sl.NextOffset <= at {
			return fmt.Errorf("group: reading the partition's log at offset %d made no way", at)
		}
		at = sl.NextOffset
	}
	s.o.Loaded(now)
	return nil
}

// replay hands the records of whole batches, from the given offset on, to the
// hooks.
func (s *Shard) replay(data []byte, from int64, scratch []byte) ([]byte, error) {
	for len(data) > 0 {
		b, rest, err := record.Next(data)
		if err != nil {
			return scratch, fmt.Errorf("group: a batch of the partition's log: %w", err)
		}
		data = rest
		if b.Control() {
			m, ok, err := record.ParseMarker(b)
			if err != nil {
				return scratch, fmt.Errorf("group: the control batch at offset %d: %w", b.BaseOffset(), err)
			}
			if ok && b.BaseOffset() >= from {
				s.o.Marker(m.ProducerID, m.Commit)
			}
			continue
		}
		payload, err := b.Payload(scratch[:0], maxPayload)
		if err != nil {
			return scratch, fmt.Errorf("group: the batch at offset %d: %w", b.BaseOffset(), err)
		}
		if cap(payload) > cap(scratch) && b.Codec() != 0 {
			scratch = payload
		}
		r := Record{ProducerID: -1, ProducerEpoch: -1}
		if b.Transactional() {
			r.ProducerID, r.ProducerEpoch = b.ProducerID(), b.ProducerEpoch()
		}
		it := record.NewIter(payload, b.Count())
		var raw record.Record
		for it.Next(&raw) {
			r.Offset = b.BaseOffset() + int64(raw.OffsetDelta)
			if r.Offset < from {
				continue
			}
			r.Timestamp = b.Timestamp(raw.TimestampDelta)
			r.Key, r.Value = raw.Key, raw.Value
			if err := s.o.Replay(&r); err != nil {
				s.o.Logger.Warn("a record of a coordinator partition was passed over", "shard", s.o.Name, "error", err)
			}
		}
		if err := it.Err(); err != nil {
			return scratch, fmt.Errorf("group: the batch at offset %d: %w", b.BaseOffset(), err)
		}
	}
	return scratch, nil
}

// maxPayload bounds what a compressed batch of the log may unpack to.
const maxPayload = 64 << 20

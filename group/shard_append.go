package group

import (
	"errors"
	"time"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// flush turns the outbox into batches and appends them. It reports false when
// the log is busy or lost and nothing more may run.
func (s *Shard) flush(now time.Time) bool {
	if len(s.Out.records) == 0 {
		s.attach()
		return true
	}
	f := s.flight()
	b := record.NewBuilder(f.batch[:0], record.DefaultBuilderOptions())
	for i := range s.Out.records {
		r := s.Out.record(i)
		if b.Count() > 0 && b.Size()+len(r.Key)+len(r.Value) > batchGoal*2 {
			if !s.finish(f, &b) {
				s.fail(now, errBatch)
				return false
			}
			f = s.flight()
			b = record.NewBuilder(f.batch[:0], record.DefaultBuilderOptions())
		}
		b.Append(now.UnixMilli(), r.Key, r.Value)
	}
	if !s.finish(f, &b) {
		s.fail(now, errBatch)
		return false
	}
	f.answers, s.Out.answers = s.Out.answers, f.answers[:0]
	f.direct = s.direct
	s.Out.reset()
	return s.push(now)
}

var errBatch = errors.New("group: a record batch of the coordinator could not be built")

func (s *Shard) finish(f *flight, b *record.Builder) bool {
	batch, err := b.Finish()
	f.batch = batch
	s.ready = append(s.ready, f)
	return err == nil
}

// attach lets answers without records wait for the last append.
func (s *Shard) attach() {
	if len(s.Out.answers) == 0 {
		return
	}
	if last := s.last(); last != nil {
		last.answers = append(last.answers, s.Out.answers...)
		last.direct = last.direct && s.direct
		clear(s.Out.answers)
		s.Out.answers = s.Out.answers[:0]
		return
	}
	answers := s.Out.answers
	s.Out.answers = nil
	for i, f := range answers {
		answers[i] = nil
		f(nil)
	}
	if len(s.Out.answers) == 0 {
		s.Out.answers = answers[:0]
	}
}

// last is the newest append that is not durable yet.
func (s *Shard) last() *flight {
	if n := len(s.ready); n > 0 {
		return s.ready[n-1]
	}
	if n := len(s.flying); n > 0 {
		return s.flying[n-1]
	}
	return nil
}

// push appends what is built. False: the log is busy or lost.
func (s *Shard) push(now time.Time) bool {
	for len(s.ready) > 0 {
		if len(s.flying) >= maxFlying {
			s.retryAt = now.Add(busyRetry)
			return false
		}
		f := s.ready[0]
		s.flying = append(s.flying, f) // before: Done may come first
		_, err := s.log.Append(&logstore.Append{
			Batches: f.batch, Origin: logstore.Coordinator, Token: f, Now: now.UnixMilli(), Led: s.direct,
		})
		if err != nil {
			s.flying = s.flying[:len(s.flying)-1]
			if errors.Is(err, logstore.ErrBusy) {
				s.retryAt = now.Add(busyRetry)
				return false
			}
			s.fail(now, err)
			return false
		}
		s.ready = append(s.ready[:0], s.ready[1:]...)
	}
	return true
}

// AppendTransaction writes records of a producer's transaction at once, after
// everything that was written before. An error means that nothing happened;
// logstore.ErrBusy is for the operation to give back, the log's refusals
// (ErrProducerEpoch, ErrTxnState …) are for the client. Answers asked for
// afterwards wait for it. guard is what the log asks for (logstore.Log.Guard).
// The shard's goroutine only.
func (s *Shard) AppendTransaction(now time.Time, producerID int64, epoch int16, guard logstore.Guard, records *Outbox) error {
	o := record.DefaultBuilderOptions()
	o.ProducerID, o.ProducerEpoch, o.Transactional = producerID, epoch, true
	f := s.flight()
	b := record.NewBuilder(f.batch[:0], o)
	for i := range records.records {
		r := records.record(i)
		b.Append(now.UnixMilli(), r.Key, r.Value)
	}
	batch, err := b.Finish()
	if f.batch = batch; err != nil {
		return err
	}
	return s.appendNow(now, f, logstore.Append{Guard: guard})
}

// AppendMarker ends a producer's transaction in this log, like AppendTransaction.
func (s *Shard) AppendMarker(now time.Time, m record.Marker, txnV2 bool) error {
	f := s.flight()
	batch, err := record.AppendMarker(f.batch[:0], m, now.UnixMilli())
	if f.batch = batch; err != nil {
		return err
	}
	return s.appendNow(now, f, logstore.Append{TxnV2: txnV2})
}

// appendNow appends one batch by itself, as a says, and tells what the log says.
func (s *Shard) appendNow(now time.Time, f *flight, a logstore.Append) error {
	if !s.flush(now) {
		s.recycle(f)
		if shardState(s.state.Load()) != shardReady {
			return ErrUnavailable
		}
		return logstore.ErrBusy
	}
	if len(s.flying) >= maxFlying {
		s.recycle(f)
		return logstore.ErrBusy
	}
	s.flying = append(s.flying, f)
	a.Batches, a.Origin, a.Token, a.Now = f.batch, logstore.Coordinator, f, now.UnixMilli()
	_, err := s.log.Append(&a)
	if err == nil {
		return nil
	}
	s.flying = s.flying[:len(s.flying)-1]
	s.recycle(f)
	for _, lost := range []error{logstore.ErrOffline, logstore.ErrClosed, logstore.ErrReadOnly} {
		if errors.Is(err, lost) {
			s.fail(now, err)
		}
	}
	return err
}

// settle takes the finished appends and gives their answers.
func (s *Shard) settle(now time.Time) {
	s.mu.Lock()
	done := s.settled
	s.settled = nil
	s.mu.Unlock()
	for _, d := range done {
		d.f.settled, d.f.err = true, d.err
	}
	for len(s.flying) > 0 && s.flying[0].settled {
		f := s.flying[0]
		if f.err != nil {
			s.fail(now, f.err) // answers it too
		}
		s.answer(f, nil)
		s.flying = append(s.flying[:0], s.flying[1:]...)
		s.recycle(f)
	}
}

func (s *Shard) answer(f *flight, err error) {
	for i, a := range f.answers {
		f.answers[i] = nil
		if a != nil { // or it panicked before
			a(err)
		}
	}
	f.answers = f.answers[:0]
}

// flight gives an append to fill; its batch's memory is used again.
func (s *Shard) flight() *flight {
	if n := len(s.free); n > 0 {
		f := s.free[n-1]
		s.free = s.free[:n-1]
		return f
	}
	return &flight{shard: s}
}

// recycle keeps an append that nobody holds any more.
func (s *Shard) recycle(f *flight) {
	if len(s.free) >= 4 {
		return
	}
	if cap(f.batch) > keepBytes {
		f.batch = nil
	}
	f.settled, f.direct, f.err = false, false, nil
	s.free = append(s.free, f)
}

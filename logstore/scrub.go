package logstore

import "errors"

// Verify checks every segment of a running store against its seal or its
// batches' CRCs, reading at most rate bytes a second (0: no bound), and reports
// damage as it is found. stop ends it early. It runs on the caller's goroutine
// beside everything else.
func (s *Store) Verify(rate int64, stop <-chan struct{}, found func(Damage)) (Verified, error) {
	var sum Verified
	p := &pacer{rate: rate, stop: stop}
	for _, l := range s.Logs() {
		if l.admit() != nil {
			continue
		}
		err := l.verify(p.take, &sum, found)
		switch {
		case errors.Is(err, ErrClosed) || errors.Is(err, ErrOffline):
			continue
		case diskFailed(err) || errors.Is(err, ErrDamaged):
			o := l.marks.offsets()
			sum.Damaged++
			found(Damage{Topic: l.topic, Partition: l.partition, ID: l.id, File: l.path, From: o.LogStart, To: o.LogEnd, Err: err})
		case err != nil:
			return sum, err
		}
		sum.Logs++
	}
	return sum, nil
}

// verify checks the log's segments up to the high watermark's bytes.
func (l *Log) verify(pace func(int) error, sum *Verified, found func(Damage)) error {
	if err := l.ensure(); err != nil {
		return err
	}
	for _, seg := range *l.segs.Load() {
		err := l.verifySegment(seg, pace, sum, found)
		switch {
		case errors.Is(err, ErrClosed): // deleted or replaced meanwhile
			continue
		case err != nil && seg.removed():
			continue
		case err != nil:
			return err
		}
	}
	return nil
}

func (l *Log) verifySegment(seg *Segment, pace func(int) error, sum *Verified, found func(Damage)) error {
	if err := seg.pin(); err != nil {
		return err
	}
	defer seg.unpin()
	var damage []Damage
	before := *sum
	c := &segmentCheck{
		disk: l.store.fs, path: seg.path(), log: seg.file, base: seg.base,
		size: seg.size.Load(), next: seg.next.Load(), sum: sum,
		pace: func(n int) error {
			if err := l.admit(); err != nil {
				return ErrClosed
			}
			return pace(n)
		},
		found: func(d Damage) { damage = append(damage, d) },
	}
	if err := c.run(); err != nil {
		return err
	}
	if seg.removed() {
		// Its files were another segment's halfway through.
		*sum = before
		return nil
	}
	for _, d := range damage {
		d.Topic, d.Partition, d.ID = l.topic, l.partition, l.id
		found(d)
	}
	return nil
}

// scrubAll is one pass of the scrub over all logs.
func (u *upkeep) scrubAll() {
	_, err := u.store.Verify(u.store.opt.Upkeep.ScrubRate, u.quit, func(d Damage) {
		u.scrubDamage.Add(1)
		u.store.logger.Error("the scrub found damage", "topic", d.Topic, "partition", d.Partition,
			"from", d.From, "to", d.To, "file", d.File, "position", d.Position, "err", d.Err)
		if f := u.store.opt.Upkeep.OnDamage; f != nil {
			f(d)
		}
	})
	switch {
	case errors.Is(err, errStopped):
		return
	case err != nil:
		u.store.logger.Error("the scrub could not read", "err", err)
	}
	u.scrubPasses.Add(1)
}

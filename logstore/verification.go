package logstore

// A transactional batch that opens its producer's transaction in a partition
// must be known to the transaction coordinator, or nobody would ever end what
// it opens. The caller asks the coordinator, and between its answer and the
// append the transaction may end and another begin, which the partition is not
// part of. So the caller takes a guard before it asks and shows it at the
// append; whatever writes for the producer meanwhile, a marker above all, takes
// the guard away (Kafka's VerificationGuard, KIP-890).

// Guard is what an append of a transactional batch shows when its producer has
// no open transaction in the log. The zero value never suffices: it is for a
// caller that saw the transaction open, and is refused when it ended meanwhile.
type Guard uint64

// Unguarded suffices always: for a broker that verifies nothing
// (transaction.partition.verification.enable=false).
const Unguarded Guard = 1<<64 - 1

// verification is a producer about which a coordinator is asked, or was and
// said no. Log.mu guards it. It is not kept over a restart: no append that
// holds a guard lives that long.
type verification struct {
	guard     Guard
	timestamp int64 // when it was made, wall clock in ms
	epoch     int16
	// lowest is the lowest sequence that was seen: a batch behind one that has
	// to come again must not overtake it.
	lowest int32
}

// Guard gives what an append of the producer must show. open is true when the
// producer has an open transaction here, at this epoch: then nobody need be
// asked, and the guard is the zero value. sequence is the batch's first. A
// zombie hears ErrProducerEpoch already here.
func (l *Log) Guard(producerID int64, epoch int16, sequence int32, now int64) (g Guard, open bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return 0, false, err
	}
	if e := l.prod.m[producerID]; e != nil && epoch < e.epoch {
		return 0, false, ErrProducerEpoch
	}
	if l.prod.inTransaction(producerID, epoch) {
		return 0, true, nil
	}
	v := l.prod.verifying[producerID]
	switch {
	case v == nil:
		if l.prod.verifying == nil {
			l.prod.verifying = map[int64]*verification{}
		}
		l.prod.dropVerifications(l.store.opt.MaxProducers)
		l.prod.guards++
		v = &verification{guard: l.prod.guards, timestamp: now, epoch: epoch, lowest: sequence}
		l.prod.verifying[producerID] = v
	case epoch > v.epoch:
		v.epoch, v.lowest = epoch, sequence
	case epoch == v.epoch:
		v.lowest = min(v.lowest, sequence)
	}
	return v.guard, false, nil
}

// dropVerifications makes room: at the bound the oldest sixteenth goes, as in
// room, so that the search is not made for each; their appends will be refused.
func (p *producers) dropVerifications(most int) {
	if len(p.verifying) < most {
		return
	}
	list := make([]idle, 0, len(p.verifying))
	for id, v := range p.verifying {
		list = append(list, idle{id, v.timestamp})
	}
	for _, x := range oldest(list) {
		delete(p.verifying, x.id)
	}
}

func (p *producers) inTransaction(id int64, epoch int16) bool {
	e := p.m[id]
	return e != nil && e.txnFirst >= 0 && e.epoch == epoch
}

// verified says whether a transactional data batch may go in: its transaction
// is open, or the guard that its caller took before asking is still the one.
func (p *producers) verified(id int64, epoch int16, g Guard) bool {
	if g == Unguarded || p.inTransaction(id, epoch) {
		return true
	}
	v := p.verifying[id]
	return v != nil && v.guard == g
}

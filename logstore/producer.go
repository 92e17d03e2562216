package logstore

import (
	"cmp"
	"math"
	"slices"

	"github.com/chronik-stream/chronik/codec/record"
)

// keptBatches is how many of a producer's last batches a retry may repeat
// (Kafka's ProducerStateEntry.NUM_BATCHES_TO_RETAIN; clients keep at most five
// requests in flight).
const keptBatches = 5

// sentBatch is one batch that a producer sent.
type sentBatch struct {
	lastSeq    int32
	delta      int32 // last offset minus first
	lastOffset int64
	timestamp  int64
}

func (b sentBatch) firstSeq() int32 {
	return (b.lastSeq - b.delta) & math.MaxInt32 // sequences wrap to 0
}

// producerEntry is what a partition remembers of a producer.
type producerEntry struct {
	epoch            int16
	n                uint8 // batches in use, oldest first
	batches          [keptBatches]sentBatch
	timestamp        int64
	coordinatorEpoch int32
	txnFirst         int64 // first offset of the open transaction, -1: none
}

func (e *producerEntry) lastSeq() int32 {
	if e.n == 0 {
		return -1
	}
	return e.batches[e.n-1].lastSeq
}

func (e *producerEntry) push(b sentBatch) {
	if int(e.n) == len(e.batches) {
		copy(e.batches[:], e.batches[1:])
		e.n--
	}
	e.batches[e.n] = b
	e.n++
}

func (e *producerEntry) setEpoch(epoch int16) {
	if e.epoch != epoch {
		e.epoch, e.n = epoch, 0
	}
}

// duplicate finds a batch with the same epoch and sequences.
func (e *producerEntry) duplicate(b record.Batch) (sentBatch, bool) {
	if e.epoch != b.ProducerEpoch() {
		return sentBatch{}, false
	}
	first, last := b.BaseSequence(), b.LastSequence()
	for _, s := range e.batches[:e.n] {
		if s.firstSeq() == first && s.lastSeq == last {
			return s, true
		}
	}
	return sentBatch{}, false
}

// producers is a partition's producer state: Kafka's ProducerStateManager. The
// log's lock guards it. Nothing is allocated until the first producer comes.
type producers struct {
	m         map[int64]*producerEntry
	verifying map[int64]*verification
	guards    Guard // how many were made
}

func (p *producers) get(id int64) *producerEntry { return p.m[id] }

// check holds a client's batch against the producer's state without changing
// it. dup is the original when the batch came before.
func (p *producers) check(b record.Batch, txnV2 bool, g Guard) (dup sentBatch, isDup bool, err error) {
	e := p.m[b.ProducerID()]
	seq, epoch := b.BaseSequence(), b.ProducerEpoch()
	if e != nil {
		if dup, isDup = e.duplicate(b); isDup {
			return dup, true, nil
		}
	}
	if b.Transactional() && !p.verified(b.ProducerID(), epoch, g) {
		return dup, false, ErrTxnState
	}
	if e != nil && epoch < e.epoch {
		return dup, false, ErrProducerEpoch
	}
	if v := p.verifying[b.ProducerID()]; v != nil && seq > v.lowest {
		return dup, false, ErrOutOfOrderSequence
	}
	if e == nil {
		if txnV2 && seq != 0 {
			return dup, false, ErrOutOfOrderSequence
		}
		return dup, false, nil
	}
	if epoch != e.epoch {
		if seq != 0 {
			return dup, false, ErrOutOfOrderSequence
		}
	} else if last := e.lastSeq(); seq != record.AddSequence(last, 1) {
		return dup, false, ErrOutOfOrderSequence
	}
	return dup, false, e.checkTxn(b)
}

// checkTxn refuses a batch outside the producer's open transaction.
func (e *producerEntry) checkTxn(b record.Batch) error {
	if e.txnFirst >= 0 && !b.Transactional() {
		return ErrTxnState
	}
	return nil
}

// checkCoordinator holds a data batch of a coordinator (no sequence) against
// the state.
func (p *producers) checkCoordinator(b record.Batch, g Guard) error {
	if b.Transactional() && !p.verified(b.ProducerID(), b.ProducerEpoch(), g) {
		return ErrTxnState
	}
	e := p.m[b.ProducerID()]
	if e == nil {
		return nil
	}
	if b.ProducerEpoch() < e.epoch {
		return ErrProducerEpoch
	}
	return e.checkTxn(b)
}

// checkMarker holds a commit or abort marker against the state. A TV2 marker
// carries the bumped epoch: an equal one is only a retry, with no transaction
// open (KIP-890, KIP-1228).
func (p *producers) checkMarker(m *record.Marker, txnV2 bool) error {
	e := p.m[m.ProducerID]
	if e == nil {
		return nil
	}
	epoch := m.ProducerEpoch
	if epoch < e.epoch || (txnV2 && epoch == e.epoch && e.txnFirst >= 0) {
		return ErrProducerEpoch
	}
	if m.CoordinatorEpoch < e.coordinatorEpoch {
		return ErrCoordinatorFenced
	}
	return nil
}

// room makes sure a new producer id can be remembered: at the bound the
// longest idle ones without an open transaction go.
func (p *producers) room(id int64, most int) error {
	if len(p.m) < most || p.m[id] != nil {
		return nil
	}
	var list []idle
	for id, e := range p.m {
		if e.txnFirst < 0 {
			list = append(list, idle{id, e.timestamp})
		}
	}
	if len(list) == 0 {
		return ErrTooManyProducers
	}
	for _, x := range oldest(list) {
		delete(p.m, x.id)
	}
	return nil
}

// idle is a producer id and when it was last heard of.
type idle struct{ id, ts int64 }

// oldest is the sixteenth of a list to give up, so that the search is not made for
// each; it sorts the list, which is not empty.
func oldest(list []idle) []idle {
	slices.SortFunc(list, func(a, b idle) int {
		return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(a.id, b.id))
	})
	return list[:max(1, len(list)/16)]
}

func (p *producers) entry(id int64) *producerEntry {
	e := p.m[id]
	if e == nil {
		if p.m == nil {
			p.m = map[int64]*producerEntry{}
		}
		e = &producerEntry{epoch: -1, coordinatorEpoch: -1, txnFirst: -1, timestamp: -1}
		p.m[id] = e
	}
	return e
}

// apply notes a data batch with its offsets patched in. began reports that it
// opened a transaction.
func (p *producers) apply(b record.Batch) (began bool) {
	e := p.entry(b.ProducerID())
	e.setEpoch(b.ProducerEpoch())
	if seq := b.BaseSequence(); seq >= 0 {
		e.push(sentBatch{b.LastSequence(), b.LastOffsetDelta(), b.LastOffset(), b.MaxTimestamp()})
	}
	e.timestamp = max(e.timestamp, b.MaxTimestamp())
	if !b.Transactional() {
		return false
	}
	delete(p.verifying, b.ProducerID())
	if e.txnFirst < 0 {
		e.txnFirst = b.BaseOffset()
		return true
	}
	return false
}

// applyMarker notes a marker. first is the first offset of the transaction it
// ended, -1 when none was open.
func (p *producers) applyMarker(m *record.Marker, timestamp int64) (first int64) {
	delete(p.verifying, m.ProducerID)
	e := p.entry(m.ProducerID)
	e.setEpoch(m.ProducerEpoch)
	first = e.txnFirst
	e.txnFirst = -1
	e.coordinatorEpoch = max(e.coordinatorEpoch, m.CoordinatorEpoch)
	e.timestamp = max(e.timestamp, timestamp)
	return first
}

// expire forgets producers without an open transaction that were idle since
// before (ms), and verifications that nobody appended after. It reports how
// many of the former.
func (p *producers) expire(before int64) (n int) {
	for id, e := range p.m {
		if e.txnFirst < 0 && e.timestamp < before {
			delete(p.m, id)
			n++
		}
	}
	for id, v := range p.verifying {
		if v.timestamp < before {
			delete(p.verifying, id)
		}
	}
	return n
}

// list is the public view, in order of id.
func (p *producers) list() []Producer {
	out := make([]Producer, 0, len(p.m))
	for id, e := range p.m {
		out = append(out, Producer{
			ID: id, Epoch: e.epoch, LastSequence: e.lastSeq(), LastTimestamp: e.timestamp,
			CoordinatorEpoch: e.coordinatorEpoch, TxnStart: e.txnFirst,
		})
	}
	slices.SortFunc(out, func(a, b Producer) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

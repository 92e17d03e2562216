package txn

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The transitions of a transactional id, after Kafka's TransactionMetadata and
// TransactionCoordinator. Each is a function of the current meta and the
// request; it gives the next meta or the error code of Kafka's answer. None of
// them changes the meta it was given: the coordinator makes the next one
// current when its record is appended, and drops it when the append fails.
//
// Whoever comes while a transaction is being completed gets
// CONCURRENT_TRANSACTIONS. An InitProducerId that meets an ongoing transaction,
// and a timeout, abort it with a bumped epoch, so that the old producer can do
// no more.

// Kafka's error codes that transitions answer with.
const (
	errNone                  int16 = 0
	errCoordinatorLoading    int16 = 14
	errCoordinatorNotAvail   int16 = 15
	errInvalidRequest        int16 = 42
	errInvalidProducerEpoch  int16 = 47
	errInvalidTxnState       int16 = 48
	errInvalidProducerIDMap  int16 = 49
	errInvalidTxnTimeout     int16 = 50
	errConcurrentTxns        int16 = 51
	errProducerFenced        int16 = 90
	errTransactionalIDNotFnd int16 = 105
)

// initExpect is the producer id and epoch that an InitProducerId (KIP-360)
// carries; id is noProducer when it carries none.
type initExpect struct {
	id    int64
	epoch int16
}

// initTransition decides an InitProducerId. fence means that the open
// transaction must be aborted first (abortFenced), and next is nil.
// freshID is a new producer id to be used if the epoch is exhausted.
func (m *meta) initTransition(expect initExpect, timeoutMs int32, freshID func() int64, now int64) (next *meta, fence bool, code int16) {
	if expect.id != noProducer && m.epoch != noEpoch && expect.id != m.producerID &&
		!(expect.id == m.prevProducerID && expect.epoch >= lastEpoch) {
		return nil, false, errProducerFenced
	}
	switch m.state {
	case PrepareCommit, PrepareAbort:
		return nil, false, errConcurrentTxns
	case Ongoing:
		return nil, true, errNone
	case Empty, CompleteCommit, CompleteAbort:
	default:
		return nil, false, errConcurrentTxns
	}
	next = m.clone()
	next.state, next.parts, next.startMs, next.updateMs, next.timeoutMs = Empty, nil, -1, now, timeoutMs
	next.nextProducerID = noProducer
	switch {
	case m.exhausted() && (expect.id == noProducer || expect.epoch == m.epoch):
		next.prevProducerID, next.producerID, next.epoch = m.producerID, freshID(), 0
		next.lastEpoch = noEpoch
		if expect.id != noProducer {
			next.lastEpoch = m.epoch
		}
	case expect.id == noProducer:
		next.epoch, next.lastEpoch = m.epoch+1, noEpoch
	case m.epoch == noEpoch || expect.epoch == m.epoch:
		next.epoch, next.lastEpoch = m.epoch+1, m.epoch
	case expect.epoch == m.lastEpoch:
		// The answer to the bump was lost: the same epoch again.
	default:
		return nil, false, errProducerFenced
	}
	return next, false, errNone
}

// abortFenced aborts the open transaction for somebody else than its producer,
// which is a zombie from now on. server is the cluster's transaction.version.
//
// Version 2 bumps as every end does: the producer that asked for it by KIP-360,
// with its id and epoch, is then known by the epoch before and goes on. Version 1
// keeps the bump to itself: nobody goes on with what comes before it.
func (m *meta) abortFenced(server int16, freshID func() int64, now int64) *meta {
	if server >= 2 {
		return m.prepare(end{version: 2}, freshID, now, false)
	}
	next := m.prepare(end{}, freshID, now, false)
	next.lastEpoch = noEpoch
	if m.epoch < math.MaxInt16 { // else a record that somebody else wrote; no client has that epoch
		next.epoch = m.epoch + 1
	}
	return next
}

// checkOwner is what AddPartitionsToTxn, AddOffsetsToTxn and verification ask.
func (m *meta) checkOwner(producerID int64, epoch int16) int16 {
	switch {
	case m.rotatesTo(producerID, epoch):
		return errConcurrentTxns
	case m.producerID != producerID:
		return errInvalidProducerIDMap
	case m.epoch != epoch, epoch > lastEpoch: // a client that was never given that epoch
		return errProducerFenced
	case m.state == PrepareCommit, m.state == PrepareAbort:
		return errConcurrentTxns
	}
	return errNone
}

// rotatesTo says that a client goes on with the producer id that EndTxn told
// it, before the completion has made that id the current one. It must come
// again: any other answer would end a producer that did nothing wrong.
func (m *meta) rotatesTo(producerID int64, epoch int16) bool {
	return m.nextProducerID != noProducer && m.nextProducerID == producerID && epoch == 0 &&
		(m.state == PrepareCommit || m.state == PrepareAbort)
}

// addTransition adds partitions; next is nil when they are all there.
func (m *meta) addTransition(producerID int64, epoch int16, parts []part, clientVersion int16, now int64) (next *meta, code int16) {
	if code := m.checkOwner(producerID, epoch); code != errNone {
		return nil, code
	}
	if m.state == Ongoing && m.has(parts) {
		return nil, errNone
	}
	next = m.clone()
	next.parts = make(map[part]struct{}, len(m.parts)+len(parts))
	if m.state == Ongoing {
		maps.Copy(next.parts, m.parts)
	} else {
		next.startMs = now
	}
	for _, p := range parts {
		next.parts[p] = struct{}{}
	}
	next.state, next.updateMs, next.clientVersion = Ongoing, now, clientVersion
	return next, errNone
}

func (m *meta) has(parts []part) bool {
	for _, p := range parts {
		if _, ok := m.parts[p]; !ok {
			return false
		}
	}
	return true
}

// end is an EndTxn of a client.
type end struct {
	producerID int64
	epoch      int16
	commit     bool
	// version is the client's transaction version: 2 for EndTxn v5 and later.
	version int16
}

// endTransition decides an EndTxn. next is nil when there is nothing to write:
// with errNone it is a retry of what already happened.
func (m *meta) endTransition(e end, freshID func() int64, now int64) (next *meta, code int16) {
	if m.rotatesTo(e.producerID, e.epoch) {
		return nil, errConcurrentTxns
	}
	if e.version >= 2 {
		return m.endV2(e, freshID, now)
	}
	same := e.commit == (m.state == PrepareCommit || m.state == CompleteCommit)
	switch {
	case m.producerID != e.producerID:
		return nil, errInvalidProducerIDMap
	case m.epoch != e.epoch, e.epoch > lastEpoch:
		return nil, errProducerFenced
	case m.state == Ongoing:
		return m.prepare(e, freshID, now, false), errNone
	case m.state == Empty, !same:
		return nil, errInvalidTxnState
	case m.state == PrepareCommit, m.state == PrepareAbort:
		return nil, errConcurrentTxns
	}
	return nil, errNone // a retry
}

// endV2 decides an EndTxn of transaction version 2, where each end bumps the
// epoch: the same epoch once more is the next transaction's, a retry carries
// the one before (or, when the producer id rotated, the id before).
//
// The next transaction may end before the markers of this one are written: all its
// produces were told CONCURRENT_TRANSACTIONS, and its client gives it up for a
// rebalance (franz-go does). It is told the same and comes again; PRODUCER_FENCED,
// the end of a producer that did nothing wrong, is for epochs that are not its own.
func (m *meta) endV2(e end, freshID func() int64, now int64) (next *meta, code int16) {
	retryOverflow := m.prevProducerID == e.producerID && e.epoch == lastEpoch && m.epoch == 0
	retryBump := m.epoch == e.epoch+1
	retry := retryBump || retryOverflow
	if m.producerID != e.producerID && !retryOverflow {
		return nil, errInvalidProducerIDMap
	}
	valid := m.epoch == e.epoch && e.epoch <= lastEpoch
	switch m.state {
	case PrepareCommit, PrepareAbort:
		valid = valid || retryBump
	case CompleteCommit, CompleteAbort:
		valid = valid || retry
	}
	if !valid {
		return nil, errProducerFenced
	}
	same := e.commit == (m.state == PrepareCommit || m.state == CompleteCommit)
	switch m.state {
	case Ongoing:
		return m.prepare(e, freshID, now, false), errNone
	case PrepareCommit, PrepareAbort:
		if same || !retry {
			return nil, errConcurrentTxns
		}
	case CompleteCommit, CompleteAbort:
		switch {
		case same && retry:
			return nil, errNone
		case !e.commit && !retry:
			// A transaction that has nothing in it may be aborted.
			return m.prepare(e, freshID, now, true), errNone
		}
	case Empty:
		if !e.commit {
			return m.prepare(e, freshID, now, true), errNone
		}
	}
	return nil, errInvalidTxnState
}

// prepare is the step to PrepareCommit or PrepareAbort. Once it is durable the
// outcome stands, whatever crashes. empty: nothing was open.
func (m *meta) prepare(e end, freshID func() int64, now int64, empty bool) *meta {
	next := m.clone()
	next.state = PrepareAbort
	if e.commit {
		next.state = PrepareCommit
	}
	next.updateMs = now
	if empty {
		next.parts, next.startMs = nil, now
	}
	next.nextProducerID, next.clientVersion = noProducer, e.version
	if e.version >= 2 {
		if m.exhausted() {
			next.nextProducerID = freshID()
		}
		next.lastEpoch = m.epoch
		if m.epoch < math.MaxInt16 { // as in abortFenced
			next.epoch = m.epoch + 1
		}
	}
	return next
}

// answer is the producer id and epoch that the client goes on with after an
// EndTxn v5 (KIP-890).
func (m *meta) answer() (int64, int16) {
	if m.nextProducerID != noProducer {
		return m.nextProducerID, 0
	}
	return m.producerID, m.epoch
}

// completeTransition ends a prepared transaction when all its markers are
// written.
func (m *meta) completeTransition(now int64) *meta {
	next := m.clone()
	next.state = CompleteAbort
	if m.state == PrepareCommit {
		next.state = CompleteCommit
	}
	next.parts, next.updateMs, next.startMs = nil, now, m.startMs
	if m.nextProducerID != noProducer {
		next.prevProducerID, next.producerID, next.nextProducerID = m.producerID, m.nextProducerID, noProducer
		next.epoch, next.lastEpoch = 0, lastEpoch
	}
	return next
}

// timedOut says that an open transaction has outlived its timeout.
func (m *meta) timedOut(now int64) bool {
	return m.state == Ongoing && m.startMs >= 0 && now-m.startMs > int64(m.timeoutMs)
}

// expired says that nobody has used the id for so long that it is forgotten.
func (m *meta) expired(now, expirationMs int64) bool {
	switch m.state {
	case Empty, CompleteCommit, CompleteAbort:
		return now-m.updateMs > expirationMs
	}
	return false
}

// topicsOf groups partitions by topic, both sorted, so that the same set gives
// the same bytes.
func topicsOf(parts map[part]struct{}) []kmsg.TxnMetadataValueTopic {
	sorted := slices.SortedFunc(maps.Keys(parts), func(a, b part) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	var topics []kmsg.TxnMetadataValueTopic
	for _, p := range sorted {
		if n := len(topics); n == 0 || topics[n-1].Topic != p.Topic {
			t := kmsg.NewTxnMetadataValueTopic()
			t.Topic = p.Topic
			topics = append(topics, t)
		}
		t := &topics[len(topics)-1]
		t.Partitions = append(t.Partitions, p.Partition)
	}
	return topics
}

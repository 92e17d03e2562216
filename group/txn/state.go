package txn

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// State is a transaction's state, with the numbers of Kafka's
// TransactionLogValue.
type State int8

const (
	Empty             State = 0
	Ongoing           State = 1
	PrepareCommit     State = 2
	PrepareAbort      State = 3
	CompleteCommit    State = 4
	CompleteAbort     State = 5
	Dead              State = 6
	PrepareEpochFence State = 7
)

// String is the name that ListTransactions and DescribeTransactions show.
func (s State) String() string {
	switch s {
	case Empty:
		return "Empty"
	case Ongoing:
		return "Ongoing"
	case PrepareCommit:
		return "PrepareCommit"
	case PrepareAbort:
		return "PrepareAbort"
	case CompleteCommit:
		return "CompleteCommit"
	case CompleteAbort:
		return "CompleteAbort"
	case Dead:
		return "Dead"
	case PrepareEpochFence:
		return "PrepareEpochFence"
	}
	return "Unknown"
}

const (
	noProducer int64 = -1
	noEpoch    int16 = -1
	// lastEpoch is the highest epoch a client ever sees. The one above it is
	// kept for fencing, so that a bump is always possible.
	lastEpoch int16 = math.MaxInt16 - 1
)

// part is one partition that takes part in a transaction.
type part struct {
	Topic     string
	Partition int32
}

// meta is what the log knows of one transactional id: the state machine's
// state, a plain value. Transitions build the next meta; it becomes current
// when its record was appended, and is shown to anybody when that is durable.
type meta struct {
	id         string
	producerID int64
	// prevProducerID is the id before an overflow rotated it; a retry of the
	// EndTxn that rotated still carries it. nextProducerID is the id that the
	// completion will rotate to.
	prevProducerID, nextProducerID int64
	epoch                          int16
	// lastEpoch is the epoch before the last bump, which a retry of the bump
	// still carries; noEpoch when a fence made the bump.
	lastEpoch     int16
	timeoutMs     int32
	state         State
	parts         map[part]struct{} // never written to once the meta is current
	startMs       int64             // -1 before the first partition
	updateMs      int64
	clientVersion int16 // transaction.version that the client spoke at the last change
}

// newMeta is a transactional id that nobody has used yet.
func newMeta(id string, producerID int64, now int64) *meta {
	return &meta{id: id, producerID: producerID, prevProducerID: noProducer, nextProducerID: noProducer,
		epoch: noEpoch, lastEpoch: noEpoch, state: Empty, startMs: -1, updateMs: now}
}

// exhausted says that the epoch cannot be bumped for a client any more.
func (m *meta) exhausted() bool { return m.epoch >= lastEpoch }

// clone begins a transition. As in Kafka, the id before is the current one
// unless the transition rotates it.
func (m *meta) clone() *meta {
	c := *m
	c.prevProducerID = m.producerID
	return &c
}

// encode gives the record of __transaction_state. flexible selects value
// version 1, which carries what transaction.version 2 needs.
func (m *meta) encode(flexible bool) (key, value []byte) {
	k := kmsg.NewTxnMetadataKey()
	k.TransactionalID = m.id
	v := kmsg.NewTxnMetadataValue()
	if flexible {
		v.Version = 1
	}
	v.ProducerID, v.ProducerEpoch, v.TimeoutMillis = m.producerID, m.epoch, m.timeoutMs
	v.State = kmsg.TransactionState(m.state)
	v.LastUpdateTimestamp, v.StartTimestamp = m.updateMs, m.startMs
	v.PreviousProducerID, v.NextProducerID, v.ClientTransactionVersion = m.prevProducerID, m.nextProducerID, m.clientVersion
	if m.state != Empty && m.state != CompleteCommit && m.state != CompleteAbort {
		v.Topics = topicsOf(m.parts)
	}
	return k.AppendTo(nil), v.AppendTo(nil)
}

// decodeKey gives the transactional id of a record's key; ok is false for a
// key of a kind that is not known.
func decodeKey(key []byte) (id string, ok bool) {
	k := kmsg.NewTxnMetadataKey()
	if err := k.ReadFrom(key); err != nil || k.Version != 0 {
		return "", false
	}
	return k.TransactionalID, true
}

// decode reads a record's value.
func decode(id string, value []byte) (*meta, error) {
	v := kmsg.NewTxnMetadataValue()
	if err := v.ReadFrom(value); err != nil {
		return nil, err
	}
	m := &meta{id: id, producerID: v.ProducerID, prevProducerID: v.PreviousProducerID, nextProducerID: v.NextProducerID,
		epoch: v.ProducerEpoch, lastEpoch: noEpoch, timeoutMs: v.TimeoutMillis, state: State(v.State),
		startMs: v.StartTimestamp, updateMs: v.LastUpdateTimestamp, clientVersion: v.ClientTransactionVersion}
	if m.clientVersion >= 2 && m.epoch > 0 && m.state >= PrepareCommit && m.state <= CompleteAbort {
		m.lastEpoch = m.epoch - 1
	}
	if len(v.Topics) > 0 {
		m.parts = make(map[part]struct{})
		for _, t := range v.Topics {
			for _, p := range t.Partitions {
				m.parts[part{t.Topic, p}] = struct{}{}
			}
		}
	}
	return m, nil
}

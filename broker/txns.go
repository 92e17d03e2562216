package broker

import (
	"errors"
	"time"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/group"
	"github.com/chronik-stream/chronik/group/txn"
	"github.com/chronik-stream/chronik/logstore"
)

// startTransactions makes the transaction coordinator. What was decided before
// a crash it finishes without being asked.
func (b *Broker) startTransactions() {
	c := txn.New(txn.Options{
		Cluster:     b.cluster,
		Log:         func(p int32) *logstore.Log { return b.logOf(cluster.TransactionsTopic, p) },
		WriteMarker: b.writeMarker,
		Now:         time.Now,
		Go:          b.goroutines.Go,
		Logger:      b.logger,
	})
	b.txns.Store(c)
	c.Open()
}

// logOf gives an open log, or nil.
func (b *Broker) logOf(topic string, partition int32) *logstore.Log {
	t := b.topics.get(topic)
	if t == nil {
		return nil
	}
	p := t.partition(partition)
	if p == nil {
		return nil
	}
	return p.log
}

// markerAppend is a transaction marker on its way; the token of its append.
type markerAppend struct {
	batch []byte
	done  func(error)
}

// writeMarker is sendMarker for the coordinator, which sends again what failed:
// done gets nil also when nobody needs the marker any more.
func (b *Broker) writeMarker(topic string, partition int32, m txn.Marker, done func(error)) {
	b.sendMarker(topic, partition, m, func(err error) { done(markerOutcome(err)) })
}

// sendMarker appends the end of a transaction to a partition. done gets nil
// when it is durable. Any goroutine; does not wait.
func (b *Broker) sendMarker(topic string, partition int32, m txn.Marker, done func(error)) {
	if topic == cluster.OffsetsTopic {
		groups := b.groups.Load()
		if groups == nil {
			done(errShuttingDown)
			return
		}
		groups.CompleteTransaction(partition, m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Commit, m.V2, done)
		return
	}
	log := b.logOf(topic, partition)
	if log == nil {
		done(logstore.ErrClosed)
		return
	}
	batch, err := record.AppendMarker(nil, record.Marker{ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch,
		Commit: m.Commit, CoordinatorEpoch: m.CoordinatorEpoch}, time.Now().UnixMilli())
	if err != nil {
		done(err)
		return
	}
	token := &markerAppend{batch, done}
	_, err = log.Append(&logstore.Append{Batches: batch, Origin: logstore.Coordinator, Token: token, Now: time.Now().UnixMilli(), TxnV2: m.V2})
	if err != nil {
		done(err)
	}
}

// markerOutcome tells errors after which the marker is to be sent again from
// those that say that it is not needed: the partition is deleted, or a newer
// epoch has ended the transaction there.
func markerOutcome(err error) error {
	for _, final := range []error{logstore.ErrProducerEpoch, logstore.ErrCoordinatorFenced, logstore.ErrClosed} {
		if errors.Is(err, final) {
			return nil
		}
	}
	return err
}

// offsetsPartition is the partition of a group's offsets, as a partition that
// takes part in a transaction.
func (b *Broker) offsetsPartition(groupID string) (txn.Partition, bool) {
	t := b.topics.get(cluster.OffsetsTopic)
	if t == nil {
		return txn.Partition{}, false
	}
	return txn.Partition{Topic: cluster.OffsetsTopic, Partition: group.Partition(groupID, int32(len(*t.parts.Load())))}, true
}

package broker

import (
	"encoding/binary"

	"github.com/chronik-stream/chronik/group/txn"
)

// A transactional batch may be appended only when its producer's transaction
// has the partition: otherwise a late batch of a zombie would open a
// transaction that nobody ends (KIP-890). When the log already holds the
// producer's open transaction that is so; else the coordinator is asked once
// per request, for all of its partitions: to add them (Produce v12 and later,
// transaction.version 2) or whether they were added (before).
//
// The request's connection waits meanwhile, so that batches keep their order.

// enlisted is the coordinator's answer for the partitions of a request.
type enlisted struct {
	// producerID and epoch are whom it is about. A batch of another producer in
	// the same request is refused, as in Kafka: nobody has asked about it.
	producerID int64
	epoch      int16

	code    errCode
	missing map[txn.Partition]bool
}

// txnV2 is whether the client lets the broker add partitions.
func (p *produce) txnV2() bool { return p.rq.version >= 12 }

// enlist makes sure that the batch's transaction has the partition. It gives
// walkTxn when the coordinator was asked and the walk goes on with its answer.
func (p *produce) enlist(target *partition, records []byte) (walked, errCode) {
	if p.req.TransactionalID == nil {
		return walkDone, errTransactionalAuthorization // as Kafka: nobody may write without an id
	}
	producerID, epoch := batchProducer(records)
	if target.log.InTransaction(producerID, epoch) {
		return walkDone, errNone
	}
	b := p.rq.s.b
	if !p.txnV2() && !b.cluster.BrokerBool("transaction.partition.verification.enable") {
		return walkDone, errNone
	}
	if p.txn != nil {
		if p.txn.producerID != producerID || p.txn.epoch != epoch {
			return walkDone, errInvalidProducerIDMapping
		}
		if p.txn.code == errNone && p.txn.missing[txn.Partition{Topic: target.topic.name, Partition: target.index}] {
			return walkDone, verifyFailure(p.rq.version >= 11)
		}
		return walkDone, p.produceCode(p.txn.code)
	}
	rq := p.rq
	rq.resume = p.goOn
	rq.working, rq.s.busy = true, true
	done := func(code int16, missing map[txn.Partition]bool) {
		p.txn = &enlisted{producerID, epoch, code, missing}
		rq.loop.nl.Post(&rq.workTask)
	}
	id, parts := string(p.req.TransactionalID), p.transactional()
	if p.txnV2() {
		b.txns.Load().AddPartitions(id, producerID, epoch, parts, 2, func(code int16) { done(code, nil) })
	} else {
		b.txns.Load().Verify(id, producerID, epoch, parts, done)
	}
	return walkTxn, errNone
}

// transactional is the request's partitions whose batch is transactional and
// that are there.
func (p *produce) transactional() []txn.Partition {
	var parts []txn.Partition
	it := p.all
	for in, ok := it.Next(); ok; in, ok = it.Next() {
		if len(in.Records) < batchHeaderBytes || !batchTransactional(in.Records) {
			continue
		}
		if target, code := p.find(&in.Topic, in.Partition); code == errNone {
			parts = append(parts, txn.Partition{Topic: target.topic.name, Partition: target.index})
		}
	}
	return parts
}

// produceCode is a coordinator's answer as a producer of this version knows it
// on Produce (ReplicaManager.maybeSendPartitionsToTransactionCoordinator).
func (p *produce) produceCode(code errCode) errCode {
	switch code {
	case errNone:
		return errNone
	case errProducerFenced:
		return errInvalidProducerEpoch
	case errConcurrentTransactions, errCoordinatorLoadInProgress, errCoordinatorNotAvailable:
		if p.txnV2() && code == errConcurrentTransactions {
			return code
		}
		// Every client tries again after this one.
		return errNotEnoughReplicas
	}
	return code
}

func batchProducer(b []byte) (id int64, epoch int16) {
	return int64(binary.BigEndian.Uint64(b[43:])), int16(binary.BigEndian.Uint16(b[51:]))
}

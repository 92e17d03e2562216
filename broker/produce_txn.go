package broker

import (
	"encoding/binary"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/group/txn"
	"github.com/chronik-stream/chronik/logstore"
)

// A transactional batch may be appended only when its producer's transaction
// has the partition: otherwise a late batch of a zombie would open a
// transaction that nobody ends (KIP-890). When the log already holds the
// producer's open transaction that is so; else the coordinator is asked once
// per request, for all of its partitions: to add them (Produce v12 and later,
// transaction.version 2) or whether they were added (before).
//
// The request's connection waits meanwhile, so that batches keep their order.
// Others do not wait: one of them may end the transaction between the answer
// and the append. Each partition's log gives a guard before the coordinator is
// asked, and refuses the batch when the guard is used up by then.

// enlisted is the coordinator's answer for the partitions of a request.
type enlisted struct {
	// producerID and epoch are whom it is about. A batch of another producer in
	// the same request is refused, as in Kafka: nobody has asked about it.
	producerID int64
	epoch      int16

	code    errCode
	missing map[txn.Partition]bool
	// guards is what the appends must show, taken before the question.
	guards map[txn.Partition]logstore.Guard
}

// txnV2 is whether the client lets the broker add partitions.
func (p *produce) txnV2() bool { return p.rq.version >= 12 }

// enlist makes sure that the batch's transaction has the partition, and gives
// what the append must show. It gives walkTxn when the coordinator was asked
// and the walk goes on with its answer.
func (p *produce) enlist(target *partition, records []byte) (walked, logstore.Guard, errCode) {
	if p.req.TransactionalID == nil {
		return walkDone, 0, errTransactionalAuthorization // as Kafka: nobody may write without an id
	}
	producerID, epoch := batchProducer(records)
	name := txn.Partition{Topic: target.topic.name, Partition: target.index}
	if p.txn != nil && p.txn.producerID == producerID && p.txn.epoch == epoch {
		switch {
		case p.txn.code != errNone:
			return walkDone, 0, p.produceCode(p.txn.code)
		case p.txn.missing[name]:
			return walkDone, 0, verifyFailure(p.rq.version >= 11)
		}
		if guard, asked := p.txn.guards[name]; asked && !p.txnV2() {
			return walkDone, guard, errNone
		}
		// Under version 2 the coordinator waits until the markers of the
		// transaction before are written, and they use up a guard that is older.
		// One that is taken now is no weaker: when this transaction has ended
		// meanwhile its marker has a higher epoch than the batch. A partition that
		// nobody was asked about has a zombie's batch.
		guard, _, err := p.guard(target, records)
		if err == nil && !p.txnV2() {
			err = logstore.ErrTxnState
		}
		return walkDone, guard, codeOf(err)
	}
	guard, open, err := p.guard(target, records)
	switch {
	case err != nil:
		return walkDone, 0, codeOf(err)
	case open:
		return walkDone, guard, errNone
	}
	b := p.rq.s.b
	if !p.txnV2() && !b.cluster.BrokerBool("transaction.partition.verification.enable") {
		return walkDone, logstore.Unguarded, errNone
	}
	if p.txn != nil {
		return walkDone, 0, errInvalidProducerIDMapping
	}
	rq := p.rq
	rq.resume = p.goOn
	rq.working, rq.s.busy = true, true
	id := string(p.req.TransactionalID)
	parts, guards := p.transactional(producerID, epoch)
	done := func(code int16, missing map[txn.Partition]bool) {
		p.txn = &enlisted{producerID, epoch, code, missing, guards}
		rq.loop.nl.Post(&rq.workTask)
	}
	if p.txnV2() {
		b.txns.Load().AddPartitions(id, producerID, epoch, parts, 2, func(code int16) { done(code, nil) })
	} else {
		b.txns.Load().Verify(id, producerID, epoch, parts, done)
	}
	return walkTxn, 0, errNone
}

// hasTransactional is whether any batch of the request is transactional; only
// then its transactional id counts, as in KafkaApis.
func (p *produce) hasTransactional() bool {
	it := p.all
	for in, ok := it.Next(); ok; in, ok = it.Next() {
		if len(in.Records) >= batchHeaderBytes && batchTransactional(in.Records) {
			return true
		}
	}
	return false
}

// guard asks the log whether the batch's transaction is open there.
func (p *produce) guard(target *partition, records []byte) (g logstore.Guard, open bool, err error) {
	producerID, epoch := batchProducer(records)
	return target.log.Guard(producerID, epoch, record.Batch(records).BaseSequence(), p.rq.received.UnixMilli())
}

// transactional is the request's partitions that are there and whose batch is
// of the producer's transaction, each with its guard.
func (p *produce) transactional(producerID int64, epoch int16) ([]txn.Partition, map[txn.Partition]logstore.Guard) {
	var parts []txn.Partition
	guards := map[txn.Partition]logstore.Guard{}
	it := p.all
	for in, ok := it.Next(); ok; in, ok = it.Next() {
		if len(in.Records) < batchHeaderBytes || !batchTransactional(in.Records) {
			continue
		}
		if id, e := batchProducer(in.Records); id != producerID || e != epoch {
			continue
		}
		target, code := p.find(&in.Topic, in.Partition)
		if code != errNone {
			continue
		}
		guard, _, err := p.guard(target, in.Records)
		if err != nil {
			continue // the walk will tell
		}
		name := txn.Partition{Topic: target.topic.name, Partition: target.index}
		parts, guards[name] = append(parts, name), guard
	}
	return parts, guards
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

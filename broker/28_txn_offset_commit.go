package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/group/txn"
	"github.com/chronik-stream/chronik/logstore"
)

// TxnOffsetCommit: v0–5. The offsets become visible with the transaction's
// marker. Version 5 (transaction.version 2) adds the group's partition of
// __consumer_offsets to the transaction by itself (KIP-890); before it the
// client has sent AddOffsetsToTxn.
var txnOffsetCommitAPI = api{
	key: keyTxnOffsetCommit, name: "TxnOffsetCommit", min: 0, max: 5,
	resource: auth.ResTxnID, operation: auth.OpWrite, place: onWorker, decode: true,
	handle: decoded(handleTxnOffsetCommit),
}

func handleTxnOffsetCommit(rq *request, r *kmsg.TxnOffsetCommitRequest) kmsg.Response {
	c := &txnOffsets{rq: rq, r: r, asked: r.Topics, codes: map[txn.Partition]errCode{}}
	switch {
	case !rq.authorize(auth.OpWrite, auth.ResTxnID, []byte(r.TransactionalID)):
		return c.answer(errTransactionalAuthorization)
	case !rq.mayGroup(auth.OpRead, r.Group):
		return c.answer(errGroupAuthorization)
	}
	b := rq.s.b
	if err := b.ensureOffsetsTopic(); err != nil {
		return c.answer(errCoordinatorNotAvailable)
	}
	part, ok := b.offsetsPartition(r.Group)
	groups := b.groups.Load()
	if !ok || groups == nil {
		return c.answer(errCoordinatorNotAvailable)
	}
	if c.sift(); len(r.Topics) == 0 {
		return c.answer(errNone)
	}
	log := b.logOf(part.Topic, part.Partition)
	if log == nil {
		return c.answer(errCoordinatorNotAvailable)
	}
	c.enlist(part, log, func(guard logstore.Guard) {
		groups.TxnOffsetCommit(r, guard, func(got *kmsg.TxnOffsetCommitResponse) {
			for _, t := range got.Topics {
				for _, p := range t.Partitions {
					c.codes[txn.Partition{Topic: t.Topic, Partition: p.Partition}] = p.ErrorCode
				}
			}
			rq.reply(c.answer(errNone))
		})
	})
	return nil
}

// txnOffsets is a TxnOffsetCommit on its way. What is refused here is not shown to
// the coordinator; its answer and the refusals are put together in the order of the
// request. For one goroutine at a time, as the request goes from one to the next.
type txnOffsets struct {
	rq    *request
	r     *kmsg.TxnOffsetCommitRequest // its topics are those that the coordinator sees
	asked []kmsg.TxnOffsetCommitRequestTopic
	codes map[txn.Partition]errCode // of the partitions whose answer is known
}

// sift leaves in the request what the client may commit and there is.
func (c *txnOffsets) sift() {
	c.r.Topics = nil
	for _, t := range c.asked {
		denied := !c.rq.mayTopic(auth.OpRead, t.Topic)
		allowed := t
		allowed.Partitions = nil
		for _, p := range t.Partitions {
			name := txn.Partition{Topic: t.Topic, Partition: p.Partition}
			switch {
			case denied:
				c.codes[name] = errTopicAuthorization
			case c.rq.s.b.logOf(t.Topic, p.Partition) == nil:
				c.codes[name] = errUnknownTopicOrPartition
			default:
				allowed.Partitions = append(allowed.Partitions, p)
			}
		}
		if len(allowed.Partitions) > 0 {
			c.r.Topics = append(c.r.Topics, allowed)
		}
	}
}

// answer is the answer, with code for the partitions whose own is not known.
func (c *txnOffsets) answer(code errCode) kmsg.Response {
	resp := c.r.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	for _, t := range c.asked {
		resp.Topics = append(resp.Topics, txnOffsetTopic(t, func(p int32) errCode {
			if known, ok := c.codes[txn.Partition{Topic: t.Topic, Partition: p}]; ok {
				return known
			}
			return code
		}))
	}
	return resp
}

// enlist has the transaction's coordinator say that the group's partition is in the
// transaction, unless the log knows that, or add it, and calls commit with a guard
// of the partition's log that was taken when it did; where it refuses, that is the
// answer.
func (c *txnOffsets) enlist(part txn.Partition, log *logstore.Log, commit func(logstore.Guard)) {
	r, b := c.r, c.rq.s.b
	guard, open := logstore.Unguarded, false
	take := func() (err error) {
		guard, open, err = log.Guard(r.ProducerID, r.ProducerEpoch, record.NoSequence, c.rq.received.UnixMilli())
		return err
	}
	told := func(code errCode) {
		switch code {
		case errNone:
			commit(guard)
		case errProducerFenced:
			c.rq.reply(c.answer(errInvalidProducerEpoch)) // as on Produce (AddPartitionsToTxnManager)
		default:
			c.rq.reply(c.answer(code))
		}
	}
	parts := []txn.Partition{part}
	switch {
	case r.Version >= 5:
		b.txns.Load().AddPartitions(r.TransactionalID, r.ProducerID, r.ProducerEpoch, parts, 2, func(code int16) {
			if code == errNone {
				code = codeOf(take()) // when it has answered; see produce.enlist
			}
			told(code)
		})
	case b.cluster.BrokerBool("transaction.partition.verification.enable"):
		if err := take(); err != nil { // before it is asked
			told(codeOf(err))
			return
		}
		if open { // as with Produce, there is nothing to ask
			told(errNone)
			return
		}
		b.txns.Load().Verify(r.TransactionalID, r.ProducerID, r.ProducerEpoch, parts, func(code int16, missing map[txn.Partition]bool) {
			switch {
			case code == errNone && missing[part]:
				code = verifyFailure(r.Version >= 4)
			case code == errConcurrentTransactions:
				// These versions do not know it here; every client tries again
				// after this one.
				code = errCoordinatorNotAvailable
			}
			told(code)
		})
	default:
		told(errNone)
	}
}

// txnOffsetTopic answers one topic of the request.
func txnOffsetTopic(t kmsg.TxnOffsetCommitRequestTopic, code func(partition int32) errCode) kmsg.TxnOffsetCommitResponseTopic {
	out := kmsg.NewTxnOffsetCommitResponseTopic()
	out.Topic = t.Topic
	for _, p := range t.Partitions {
		part := kmsg.NewTxnOffsetCommitResponseTopicPartition()
		part.Partition, part.ErrorCode = p.Partition, code(p.Partition)
		out.Partitions = append(out.Partitions, part)
	}
	return out
}

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
	resp := r.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	all := func(code errCode) kmsg.Response {
		resp.Topics = nil
		for _, t := range r.Topics {
			resp.Topics = append(resp.Topics, txnOffsetTopic(t, func(int32) errCode { return code }))
		}
		return resp
	}
	switch {
	case !rq.authorize(auth.OpWrite, auth.ResTxnID, []byte(r.TransactionalID)):
		return all(errTransactionalAuthorization)
	case !rq.mayGroup(auth.OpRead, r.Group):
		return all(errGroupAuthorization)
	}
	b := rq.s.b
	if err := b.ensureOffsetsTopic(); err != nil {
		return all(errCoordinatorNotAvailable)
	}
	part, ok := b.offsetsPartition(r.Group)
	groups := b.groups.Load()
	if !ok || groups == nil {
		return all(errCoordinatorNotAvailable)
	}
	// What is refused here is not shown to the coordinator; its answer and the
	// refusals are put together in the order of the request.
	asked := r.Topics
	refused := map[txn.Partition]errCode{}
	r.Topics = nil
	for _, t := range asked {
		denied := !rq.mayTopic(auth.OpRead, t.Topic)
		allowed := t
		allowed.Partitions = nil
		for _, p := range t.Partitions {
			name := txn.Partition{Topic: t.Topic, Partition: p.Partition}
			switch {
			case denied:
				refused[name] = errTopicAuthorization
			case b.logOf(t.Topic, p.Partition) == nil:
				refused[name] = errUnknownTopicOrPartition
			default:
				allowed.Partitions = append(allowed.Partitions, p)
			}
		}
		if len(allowed.Partitions) > 0 {
			r.Topics = append(r.Topics, allowed)
		}
	}
	finish := func(from *kmsg.TxnOffsetCommitResponse, code errCode) {
		codes := refused
		if from != nil {
			for _, t := range from.Topics {
				for _, p := range t.Partitions {
					codes[txn.Partition{Topic: t.Topic, Partition: p.Partition}] = p.ErrorCode
				}
			}
		}
		for _, t := range asked {
			resp.Topics = append(resp.Topics, txnOffsetTopic(t, func(p int32) errCode {
				if c, ok := codes[txn.Partition{Topic: t.Topic, Partition: p}]; ok {
					return c
				}
				return code
			}))
		}
		rq.reply(resp)
	}
	if len(r.Topics) == 0 {
		finish(nil, errNone)
		return nil
	}
	log := b.logOf(part.Topic, part.Partition)
	if log == nil {
		return all(errCoordinatorNotAvailable)
	}
	verify := b.cluster.BrokerBool("transaction.partition.verification.enable")
	guard := logstore.Unguarded
	take := func() (err error) {
		guard, _, err = log.Guard(r.ProducerID, r.ProducerEpoch, record.NoSequence, rq.received.UnixMilli())
		return err
	}
	commit := func(code int16) {
		if code == errProducerFenced {
			code = errInvalidProducerEpoch // as on Produce (AddPartitionsToTxnManager)
		}
		if code != errNone {
			finish(nil, code)
			return
		}
		groups.TxnOffsetCommit(r, guard, func(got *kmsg.TxnOffsetCommitResponse) { finish(got, errNone) })
	}
	parts := []txn.Partition{part}
	switch {
	case r.Version >= 5:
		b.txns.Load().AddPartitions(r.TransactionalID, r.ProducerID, r.ProducerEpoch, parts, 2, func(code int16) {
			if code == errNone {
				code = codeOf(take()) // when it has answered; see produce.enlist
			}
			commit(code)
		})
	case verify:
		if err := take(); err != nil { // before it is asked
			commit(codeOf(err))
			return nil
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
			commit(code)
		})
	default:
		commit(errNone)
	}
	return nil
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

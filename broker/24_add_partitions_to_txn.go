package broker

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/group/txn"
)

// AddPartitionsToTxn: v0–5. Versions 0–3 are a client's, of one transaction;
// 4 and 5 carry several and come from brokers (CLUSTER_ACTION), also to ask
// only whether partitions are in the transaction (verify_only).
//
// One bad partition fails its transaction: it gets its own error, the others
// OPERATION_NOT_ATTEMPTED, and nothing is added.
var addPartitionsToTxnAPI = api{
	key: keyAddPartitionsToTxn, name: "AddPartitionsToTxn", min: 0, max: 5,
	resource: auth.ResTxnID, operation: auth.OpWrite, place: onLoop, decode: true,
	handle: decoded(handleAddPartitionsToTxn),
}

func handleAddPartitionsToTxn(rq *request, r *kmsg.AddPartitionsToTxnRequest) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	txns := r.Transactions
	if r.Version < 4 {
		one := kmsg.NewAddPartitionsToTxnRequestTransaction()
		one.TransactionalID, one.ProducerID, one.ProducerEpoch = r.TransactionalID, r.ProducerID, r.ProducerEpoch
		for _, t := range r.Topics {
			topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			topic.Topic, topic.Partitions = t.Topic, t.Partitions
			one.Topics = append(one.Topics, topic)
		}
		txns = []kmsg.AddPartitionsToTxnRequestTransaction{one}
	} else if !rq.mayCluster(auth.OpClusterAction) {
		resp.ErrorCode = errClusterAuthorization
		return resp
	}
	results := make([]addResult, len(txns))
	var mu sync.Mutex
	left := len(txns)
	finish := func(i int, res addResult) {
		mu.Lock()
		results[i] = res
		left--
		last := left == 0
		mu.Unlock()
		if last {
			rq.reply(addResponse(resp, txns, results))
		}
	}
	if left == 0 {
		return resp
	}
	for i := range txns {
		rq.addToTxn(&txns[i], r.Version, func(res addResult) { finish(i, res) })
	}
	return nil
}

// addResult is the outcome of one transaction: the code of each of its
// partitions, by name, or of all of them.
type addResult struct {
	all  errCode
	each map[txn.Partition]errCode
}

func (r *addResult) code(p txn.Partition) errCode {
	if code, ok := r.each[p]; ok {
		return code
	}
	return r.all
}

// addToTxn adds or verifies one transaction's partitions. done may be called
// before it returns.
func (rq *request) addToTxn(t *kmsg.AddPartitionsToTxnRequestTransaction, version int16, done func(addResult)) {
	if version < 4 && !rq.authorize(auth.OpWrite, auth.ResTxnID, []byte(t.TransactionalID)) {
		done(addResult{all: errTransactionalAuthorization})
		return
	}
	var parts []txn.Partition
	bad := map[txn.Partition]errCode{}
	for _, topic := range t.Topics {
		// No client adds an internal topic: offsets come by AddOffsetsToTxn.
		denied := version < 4 && (isInternal(topic.Topic) || !rq.mayTopic(auth.OpWrite, topic.Topic))
		for _, p := range topic.Partitions {
			name := txn.Partition{Topic: topic.Topic, Partition: p}
			parts = append(parts, name)
			switch {
			case denied:
				bad[name] = errTopicAuthorization
			case rq.s.b.logOf(topic.Topic, p) == nil:
				bad[name] = errUnknownTopicOrPartition
			}
		}
	}
	if len(bad) > 0 {
		done(addResult{errOperationNotAttempted, bad})
		return
	}
	c := rq.s.b.txns.Load()
	if t.VerifyOnly {
		c.Verify(t.TransactionalID, t.ProducerID, t.ProducerEpoch, parts, func(code int16, missing map[txn.Partition]bool) {
			res := addResult{all: code}
			for p := range missing {
				if res.each == nil {
					res.each = map[txn.Partition]errCode{}
				}
				res.each[p] = errTransactionAbortable
			}
			done(res)
		})
		return
	}
	c.AddPartitions(t.TransactionalID, t.ProducerID, t.ProducerEpoch, parts, 1, func(code int16) {
		if code == errProducerFenced && version < 2 {
			code = errInvalidProducerEpoch
		}
		done(addResult{all: code})
	})
}

// verifyFailure is the answer for a partition that is not in the transaction;
// newer clients know TRANSACTION_ABORTABLE (KIP-890).
func verifyFailure(abortable bool) errCode {
	if abortable {
		return errTransactionAbortable
	}
	return errInvalidTxnState
}

// addResponse writes the outcomes in the form of the request's version.
func addResponse(resp *kmsg.AddPartitionsToTxnResponse, txns []kmsg.AddPartitionsToTxnRequestTransaction, results []addResult) kmsg.Response {
	for i := range txns {
		one := kmsg.NewAddPartitionsToTxnResponseTransaction()
		one.TransactionalID = txns[i].TransactionalID
		for _, t := range txns[i].Topics {
			topic := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
			old := kmsg.NewAddPartitionsToTxnResponseTopic()
			topic.Topic, old.Topic = t.Topic, t.Topic
			for _, p := range t.Partitions {
				part := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
				part.Partition, part.ErrorCode = p, results[i].code(txn.Partition{Topic: t.Topic, Partition: p})
				topic.Partitions = append(topic.Partitions, part)
				was := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				was.Partition, was.ErrorCode = part.Partition, part.ErrorCode
				old.Partitions = append(old.Partitions, was)
			}
			one.Topics = append(one.Topics, topic)
			if resp.Version < 4 {
				resp.Topics = append(resp.Topics, old)
			}
		}
		if resp.Version >= 4 {
			resp.Transactions = append(resp.Transactions, one)
		}
	}
	return resp
}

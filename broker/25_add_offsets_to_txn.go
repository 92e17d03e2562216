package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/group/txn"
)

// AddOffsetsToTxn: v0–4. The group's partition of __consumer_offsets joins the
// transaction, so that the marker reaches the offsets too.
var addOffsetsToTxnAPI = api{
	key: keyAddOffsetsToTxn, name: "AddOffsetsToTxn", min: 0, max: 4,
	resource: auth.ResTxnID, operation: auth.OpWrite, place: onWorker, decode: true,
	handle: decoded(handleAddOffsetsToTxn),
}

func handleAddOffsetsToTxn(rq *request, r *kmsg.AddOffsetsToTxnRequest) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	switch {
	case !rq.authorize(auth.OpWrite, auth.ResTxnID, []byte(r.TransactionalID)):
		resp.ErrorCode = errTransactionalAuthorization
		return resp
	case !rq.mayGroup(auth.OpRead, r.Group):
		resp.ErrorCode = errGroupAuthorization
		return resp
	}
	if err := rq.s.b.ensureOffsetsTopic(); err != nil {
		resp.ErrorCode = errCoordinatorNotAvailable
		return resp
	}
	part, ok := rq.s.b.offsetsPartition(r.Group)
	if !ok {
		resp.ErrorCode = errCoordinatorNotAvailable
		return resp
	}
	rq.s.b.txns.Load().AddPartitions(r.TransactionalID, r.ProducerID, r.ProducerEpoch, []txn.Partition{part}, 1, func(code int16) {
		if code == errProducerFenced && r.Version < 2 {
			code = errInvalidProducerEpoch
		}
		resp.ErrorCode = code
		rq.reply(resp)
	})
	return nil
}

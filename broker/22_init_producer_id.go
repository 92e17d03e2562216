package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// InitProducerId: v0–5.
//
// Without a transactional id: a fresh producer id with epoch 0 each time; ids
// are reserved durably in blocks, so that a restart never gives one twice. With
// one: the transaction coordinator's answer.
var initProducerIDAPI = api{
	key: keyInitProducerID, name: "InitProducerId", min: 0, max: 5, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpIdempotentWrite, place: onWorker, decode: true, handle: decoded(handleInitProducerID),
}

func handleInitProducerID(rq *request, r *kmsg.InitProducerIDRequest) kmsg.Response {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if r.TransactionalID != nil && *r.TransactionalID != "" {
		if !rq.authorize(auth.OpWrite, auth.ResTxnID, []byte(*r.TransactionalID)) {
			resp.ErrorCode = errTransactionalAuthorization
			return resp
		}
		if _, err := rq.s.b.ensureInternal(cluster.TransactionsTopic); err != nil {
			resp.ErrorCode = errCoordinatorNotAvailable
			return resp
		}
		rq.s.b.txns.Load().InitProducerID(r, func(got *kmsg.InitProducerIDResponse) { rq.reply(got) })
		return nil
	}
	resp.ErrorCode = rq.initProducerID(r, resp)
	rq.failed = resp.ErrorCode != errNone
	return resp
}

func (rq *request) initProducerID(r *kmsg.InitProducerIDRequest, resp *kmsg.InitProducerIDResponse) errCode {
	b := rq.s.b
	if r.TransactionalID != nil {
		return errInvalidRequest // "" is no id
	}
	if !b.auth.AuthorizeAny(rq.s.principal, rq.s.host, auth.OpWrite, auth.ResTopic) && !rq.mayCluster(auth.OpIdempotentWrite) {
		return errClusterAuthorization
	}
	if rq.version >= 3 && (r.ProducerID == -1) != (r.ProducerEpoch == -1) {
		return errInvalidRequest
	}
	id, err := b.cluster.AllocateProducerIDs(context.Background(), 1)
	if err != nil {
		b.logger.Error("no producer id could be reserved", "error", err)
		return errCoordinatorNotAvailable // clients try again
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return errNone
}

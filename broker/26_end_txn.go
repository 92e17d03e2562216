package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// EndTxn: v0–5. The answer comes when the decision is durable; the markers
// follow. Version 5 (transaction.version 2) bumps the epoch at each end and
// tells the producer id and epoch to go on with (KIP-890).
var endTxnAPI = api{
	key: keyEndTxn, name: "EndTxn", min: 0, max: 5,
	resource: auth.ResTxnID, operation: auth.OpWrite, place: onLoop, decode: true,
	handle: decoded(handleEndTxn),
}

func handleEndTxn(rq *request, r *kmsg.EndTxnRequest) kmsg.Response {
	if !rq.authorize(auth.OpWrite, auth.ResTxnID, []byte(r.TransactionalID)) {
		resp := r.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = errTransactionalAuthorization
		return resp
	}
	rq.s.b.txns.Load().EndTxn(r, func(resp *kmsg.EndTxnResponse) { rq.reply(resp) })
	return nil
}

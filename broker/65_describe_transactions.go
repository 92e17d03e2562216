package broker

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// DescribeTransactions: v0 (KIP-664). Topics that the client may not describe
// are left out.
var describeTransactionsAPI = api{
	key: keyDescribeTransactions, name: "DescribeTransactions", min: 0, max: 0,
	resource: auth.ResTxnID, operation: auth.OpDescribe, place: onLoop, decode: true,
	handle: decoded(handleDescribeTransactions),
}

func handleDescribeTransactions(rq *request, r *kmsg.DescribeTransactionsRequest) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	resp.TransactionStates = make([]kmsg.DescribeTransactionsResponseTransactionState, len(r.TransactionalIDs))
	if len(r.TransactionalIDs) == 0 {
		return resp
	}
	could := rq.s.asNow()
	var mu sync.Mutex
	left := len(r.TransactionalIDs)
	for i, id := range r.TransactionalIDs {
		finish := func(s kmsg.DescribeTransactionsResponseTransactionState) {
			s.Topics = slices.DeleteFunc(s.Topics, func(t kmsg.DescribeTransactionsResponseTransactionStateTopic) bool {
				return !could(auth.OpDescribe, auth.ResTopic, t.Topic)
			})
			mu.Lock()
			resp.TransactionStates[i] = s
			left--
			last := left == 0
			mu.Unlock()
			if last {
				rq.reply(resp)
			}
		}
		denied := kmsg.NewDescribeTransactionsResponseTransactionState()
		denied.TransactionalID = id
		switch {
		case !rq.authorize(auth.OpDescribe, auth.ResTxnID, []byte(id)):
			denied.ErrorCode = errTransactionalAuthorization
			finish(denied)
		case id == "":
			denied.ErrorCode = errInvalidRequest
			finish(denied)
		default:
			rq.s.b.txns.Load().Describe(id, finish)
		}
	}
	return nil
}

package broker

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/group/txn"
)

// ListTransactions: v0–2. Filters by state and producer id, from v1 by how long
// a transaction is open, from v2 by a pattern of the id (KIP-664, 994, 1152).
// Ids that the client may not describe are left out.
var listTransactionsAPI = api{
	key: keyListTransactions, name: "ListTransactions", min: 0, max: 2,
	resource: auth.ResTxnID, operation: auth.OpDescribe, place: onLoop, decode: true,
	handle: decoded(handleListTransactions),
}

func handleListTransactions(rq *request, r *kmsg.ListTransactionsRequest) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.ListTransactionsResponse)
	var states []string
	for _, s := range r.StateFilters {
		if slices.Contains(txnStates, s) {
			states = append(states, s)
		} else {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, s)
		}
	}
	var pattern *regexp.Regexp
	if r.TransactionalIDPattern != nil && *r.TransactionalIDPattern != "" {
		var err error
		if pattern, err = regexp.Compile("^(?:" + *r.TransactionalIDPattern + ")$"); err != nil {
			resp.ErrorCode, resp.UnknownStateFilters = errInvalidRegularExpression, nil
			return resp
		}
	}
	now, could := time.Now(), rq.s.asNow()
	rq.s.b.txns.Load().List(func(all []txn.Transaction, loading bool) {
		if loading {
			resp.ErrorCode = errCoordinatorLoadInProgress
			rq.reply(resp)
			return
		}
		for _, t := range all {
			switch {
			case len(r.StateFilters) > 0 && !slices.Contains(states, t.State.String()),
				len(r.ProducerIDFilters) > 0 && !slices.Contains(r.ProducerIDFilters, t.ProducerID),
				r.DurationFilterMillis >= 0 && now.UnixMilli()-t.StartMs <= r.DurationFilterMillis, // -1 when none is open: as long as can be, as in Kafka
				pattern != nil && !pattern.MatchString(t.ID),
				!could(auth.OpDescribe, auth.ResTxnID, t.ID):
				continue
			}
			s := kmsg.NewListTransactionsResponseTransactionState()
			s.TransactionalID, s.ProducerID, s.TransactionState = t.ID, t.ProducerID, t.State.String()
			resp.TransactionStates = append(resp.TransactionStates, s)
		}
		slices.SortFunc(resp.TransactionStates, func(a, b kmsg.ListTransactionsResponseTransactionState) int {
			return strings.Compare(a.TransactionalID, b.TransactionalID)
		})
		rq.reply(resp)
	})
	return nil
}

// txnStates are the names that a client may filter by.
var txnStates = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "PrepareEpochFence", "Dead"}

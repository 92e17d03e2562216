package txn

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/logstore"
)

// TestLoading: while a partition is being read every request is told to come
// again, and a list says that it is not whole.
func TestLoading(t *testing.T) {
	w := open(t, t.TempDir())
	defer w.close()
	c := New(Options{Cluster: w.cluster, Log: func(int32) *logstore.Log { return nil }, WriteMarker: w.writeMarker, Now: w.now, Go: w.Go})
	defer c.Close()
	id := "tx"
	for _, k := range []struct {
		name string
		ask  func(done func(int16))
	}{
		{"InitProducerId", func(done func(int16)) {
			c.InitProducerID(&kmsg.InitProducerIDRequest{Version: 5, TransactionalID: &id, TransactionTimeoutMillis: 1000, ProducerID: -1, ProducerEpoch: -1},
				func(r *kmsg.InitProducerIDResponse) { done(r.ErrorCode) })
		}},
		{"AddPartitionsToTxn", func(done func(int16)) { c.AddPartitions(id, 1, 0, []Partition{{Topic: "t"}}, 1, done) }},
		{"verification", func(done func(int16)) {
			c.Verify(id, 1, 0, []Partition{{Topic: "t"}}, func(code int16, _ map[Partition]bool) { done(code) })
		}},
		{"EndTxn", func(done func(int16)) {
			c.EndTxn(&kmsg.EndTxnRequest{Version: 5, TransactionalID: id}, func(r *kmsg.EndTxnResponse) { done(r.ErrorCode) })
		}},
		{"DescribeTransactions", func(done func(int16)) {
			c.Describe(id, func(r kmsg.DescribeTransactionsResponseTransactionState) { done(r.ErrorCode) })
		}},
		{"ListTransactions", func(done func(int16)) {
			c.List(func(_ []Transaction, loading bool) {
				if loading {
					done(errCoordinatorLoading)
				} else {
					done(errNone)
				}
			})
		}},
	} {
		answer := make(chan int16, 1)
		k.ask(func(code int16) { answer <- code })
		if got := <-answer; got != errCoordinatorLoading {
			t.Errorf("%s: code %d, want %d", k.name, got, errCoordinatorLoading)
		}
	}
}

package logstore

import (
	"cmp"
	"slices"

	"github.com/chronik-stream/chronik/codec/record"
)

// cleanedTxns follows the transactions of a log while compaction walks over it
// from one end to the other (Kafka's CleanedTransactionMetadata): which data
// batches belong to an aborted transaction and can go at once, and which
// markers close a transaction of which nothing is left.
type cleanedTxns struct {
	aborted   []txnEntry // known, not yet begun; by first offset
	ongoing   map[int64]*abortedTxn
	committed map[int64]bool // producers with data seen since their last marker
	// kept collects what the new segment's .txnindex needs.
	kept []txnEntry
}

type abortedTxn struct {
	entry txnEntry
	seen  bool // a batch of it is still in the log
}

func newCleanedTxns() *cleanedTxns {
	return &cleanedTxns{ongoing: map[int64]*abortedTxn{}, committed: map[int64]bool{}}
}

// add makes aborted transactions known, again or for the first time, before
// the walk reaches the first of them.
func (t *cleanedTxns) add(entries []txnEntry) {
	t.aborted = append(t.aborted, entries...)
	slices.SortFunc(t.aborted, func(a, b txnEntry) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.producer, b.producer))
	})
	t.aborted = slices.Compact(t.aborted)
}

// begin makes the transactions ongoing that start at or below offset.
func (t *cleanedTxns) begin(offset int64) {
	for len(t.aborted) > 0 && t.aborted[0].first <= offset {
		e := t.aborted[0]
		t.aborted = t.aborted[1:]
		if t.ongoing[e.producer] == nil {
			t.ongoing[e.producer] = &abortedTxn{entry: e}
		}
	}
}

// data notes a data batch and reports whether its transaction was aborted.
func (t *cleanedTxns) data(b record.Batch) (aborted bool) {
	t.begin(b.LastOffset())
	if !b.Transactional() {
		return false
	}
	if txn := t.ongoing[b.ProducerID()]; txn != nil {
		txn.seen = true
		return true
	}
	t.committed[b.ProducerID()] = true
	return false
}

// marker notes a control batch and reports whether nothing of its transaction
// was met, so that the marker has no more use than to say so.
func (t *cleanedTxns) marker(b record.Batch) (useless bool) {
	t.begin(b.LastOffset())
	if b.Count() == 0 {
		return true // emptied before
	}
	m, ok, err := record.ParseMarker(b)
	if err != nil || !ok {
		return false
	}
	if m.Commit {
		had := t.committed[b.ProducerID()]
		delete(t.committed, b.ProducerID())
		return !had
	}
	txn := t.ongoing[b.ProducerID()]
	delete(t.ongoing, b.ProducerID())
	if txn == nil || !txn.seen {
		return true
	}
	t.kept = append(t.kept, txn.entry)
	return false
}

// takeKept gives what goes into the .txnindex of the segment just written.
func (t *cleanedTxns) takeKept() []txnEntry {
	k := t.kept
	t.kept = nil
	return k
}

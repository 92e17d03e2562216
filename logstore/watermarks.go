package logstore

import "sync"

// watermarks are a log's four ends and the transactions that hold the last
// stable offset back. Its lock is a leaf, held for a few stores: the committer
// and readers take it, and nobody does I/O or takes another lock under it.
//
// The last stable offset is min(high watermark, first offset of the earliest
// undecided transaction). A transaction is undecided until its marker lies
// below the high watermark, so that a reader never sees a transaction whose
// marker a power cut could take back.
type watermarks struct {
	mu    sync.Mutex
	start int64     // mu; log start offset
	hw    place     // mu; high watermark
	lso   place     // mu; last stable offset
	end   place     // mu; log end offset
	txns  []openTxn // mu; undecided, by first offset
}

// place is an offset and where it lies: byte pos of the segment at base. The
// base is -1 when the position is not known.
type place struct {
	offset, base, pos int64
}

// openTxn is an undecided transaction.
type openTxn struct {
	producer int64
	first    place
	marker   int64 // offset of its marker, -1 while open
}

func (w *watermarks) offsets() Offsets {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Offsets{LogStart: w.start, HighWatermark: w.hw.offset, LastStable: w.lso.offset, LogEnd: w.end.offset}
}

// limit is what a reader may see up to, with all offsets.
func (w *watermarks) limit(committed bool) (place, Offsets) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := Offsets{LogStart: w.start, HighWatermark: w.hw.offset, LastStable: w.lso.offset, LogEnd: w.end.offset}
	if committed {
		return w.lso, o
	}
	return w.hw, o
}

// publish moves the log end after an append.
func (w *watermarks) publish(end place) {
	w.mu.Lock()
	w.end = end
	w.mu.Unlock()
}

// begin notes a transaction that starts in an append not yet published.
func (w *watermarks) begin(producer int64, first place) {
	w.mu.Lock()
	w.txns = append(w.txns, openTxn{producer, first, -1})
	w.mu.Unlock()
}

// complete notes the marker of the producer's open transaction and returns the
// last stable offset as the marker leaves it, which .txnindex keeps.
func (w *watermarks) complete(producer, marker int64) (stable int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stable = marker + 1
	found := false
	for i := range w.txns {
		t := &w.txns[i]
		switch {
		case t.marker >= 0:
		case t.producer == producer:
			t.marker = marker
		case !found:
			stable, found = t.first.offset, true
		}
	}
	return stable
}

// advance raises the high watermark and reports whether it or the last stable
// offset moved.
func (w *watermarks) advance(to place) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to.offset <= w.hw.offset {
		return false
	}
	w.hw = to
	w.settle()
	return true
}

// settle drops decided transactions and recomputes the last stable offset.
func (w *watermarks) settle() {
	kept := w.txns[:0]
	for _, t := range w.txns {
		if t.marker < 0 || t.marker >= w.hw.offset {
			kept = append(kept, t)
		}
	}
	w.txns = kept
	w.lso = w.hw
	if len(kept) > 0 && kept[0].first.offset < w.hw.offset {
		w.lso = kept[0].first
	}
	if len(kept) == 0 && cap(kept) > 64 {
		w.txns = nil
	}
}

// raiseStart moves the log start up and reports whether it moved.
func (w *watermarks) raiseStart(to int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to <= w.start {
		return false
	}
	w.start = to
	return true
}

// reset sets everything after recovery or a lazy open: all that is there is
// durable.
func (w *watermarks) reset(start int64, end place, txns []openTxn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start, w.hw, w.end, w.txns = start, end, end, txns
	w.settle()
}

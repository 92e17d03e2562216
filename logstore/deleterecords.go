package logstore

import "fmt"

// DeleteRecords raises the log start; -1 means the high watermark. It returns
// the new log start when that is durable: a frame in the journal says so at
// once, the next checkpoint for good. The segments below go after that.
// Waits: not on a loop.
func (l *Log) DeleteRecords(before int64) (int64, error) {
	if err := l.admit(); err != nil {
		return 0, err
	}
	if !l.store.ready.Load() {
		return 0, ErrNotReady
	}
	o := l.Offsets()
	if before == -1 {
		before = o.HighWatermark
	}
	if before < 0 || before > o.HighWatermark {
		return 0, fmt.Errorf("%w: %d is not between 0 and the high watermark %d", ErrOutOfRange, before, o.HighWatermark)
	}
	c := l.dir.committer
	if !c.reserve(0, true) {
		return 0, ErrBusy
	}
	// The start moves before its frame is pushed: a checkpoint that covers the
	// frame, and lets the journal forget it, then has captured the start.
	l.raiseStart(before)
	w := newWaiter()
	c.push(entry{log: l, kind: entryStart, first: max(before, o.LogStart), token: w})
	if err := <-w.done; err != nil {
		return 0, err
	}
	return l.Offsets().LogStart, nil
}

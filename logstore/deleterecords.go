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
	if err := l.ensure(); err != nil {
		return 0, err
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
	// What is told is what the frame says: somebody else may have moved the start
	// further meanwhile, and nothing has made that durable yet.
	l.raiseStart(before)
	start := l.Offsets().LogStart
	w := newWaiter()
	c.push(entry{log: l, kind: entryStart, first: start, token: w}, false)
	if err := <-w.done; err != nil {
		return 0, err
	}
	return start, nil
}

package logstore

import (
	"fmt"
)

// untouched reports whether a log is, after an unclean stop, what its entry in
// the checkpoint says: the journal has no frame for it, and its directory holds
// nothing but segments up to the active one, which ends, with its indexes,
// where the entry ends. Then all of it lies below the recovery point and is
// durable, and the log is opened as after a clean stop: what an unclean start
// costs goes by the partitions that were written to, not by all that there are.
//
// Anything that it does not expect, a name or a length, is recovery's to judge.
func (l *Log) untouched(e *logEntry) (bool, error) {
	l.dir.mu.Lock()
	img := l.dir.image
	l.dir.mu.Unlock()
	if img != nil && len(img.frames[l.key()]) > 0 {
		return false, nil
	}
	entries, err := l.store.fs.ReadDir(l.path)
	if err != nil {
		return false, fmt.Errorf("read directory of a log: %w", err)
	}
	// What the active segment's files must measure.
	want := map[string]int64{
		segmentName(e.base, suffixLog):   e.pos,
		segmentName(e.base, suffixIndex): int64(e.offsets) * int64(offsetFormat.size),
		segmentName(e.base, suffixTime):  int64(e.times) * int64(timeFormat.size),
		segmentName(e.base, suffixTxn):   int64(e.txnIndex) * int64(txnFormat.size),
	}
	active := false
	for _, f := range entries {
		name := f.Name()
		if size, ok := want[name]; ok {
			info, err := f.Info()
			if err != nil {
				return false, fmt.Errorf("stat %s of a log: %w", name, err)
			}
			if info.Size() != size {
				return false, nil
			}
			active = active || name == segmentName(e.base, suffixLog)
			delete(want, name)
			continue
		}
		if name != fileMetadata && name != fileEpochs && !olderFile(name, e) {
			return false, nil
		}
	}
	for _, size := range want {
		if size != 0 {
			return false, nil
		}
	}
	return active, nil
}

// olderFile reports whether name is a file of a segment below the active one,
// or a producer snapshot up to the recovery point, where a clean stop leaves one.
func olderFile(name string, e *logEntry) bool {
	if at, ok := parseSegmentName(name, suffixSnapshot); ok {
		return at <= e.recovery
	}
	for _, suffix := range []string{suffixLog, suffixIndex, suffixTime, suffixTxn, suffixSeal} {
		if base, ok := parseSegmentName(name, suffix); ok {
			return base < e.base
		}
	}
	return false
}

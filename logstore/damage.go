package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// damagedRange is a hole in acknowledged data: from is the first damaged
// offset and where it lies, to the first good one behind it. A log with a hole
// takes no appends; everything outside of the hole is served.
type damagedRange struct{ from, to place }

// addDamage notes holes, durably, and makes the log read-only. Under mu.
func (l *Log) addDamage(ranges []damagedRange) error {
	var all []damagedRange
	if p := l.damaged.Load(); p != nil {
		all = append(all, *p...)
	}
	all = append(all, ranges...)
	l.damaged.Store(&all)
	l.readOnly.Store(true)
	var b bytes.Buffer
	for _, r := range all {
		fmt.Fprintf(&b, "%d %d %d %d %d %d\n", r.from.offset, r.from.base, r.from.pos, r.to.offset, r.to.base, r.to.pos)
	}
	return atomicWrite(l.store.fs, filepath.Join(l.path, fileDamaged), b.Bytes())
}

// decodeDamage reads damaged-ranges.
func decodeDamage(b []byte) (all []damagedRange, err error) {
	for line := range strings.Lines(string(b)) {
		var r damagedRange
		if _, err := fmt.Sscan(line, &r.from.offset, &r.from.base, &r.from.pos, &r.to.offset, &r.to.base, &r.to.pos); err != nil {
			return nil, fmt.Errorf("%s: the line %q is not six numbers: %w", fileDamaged, strings.TrimSpace(line), err)
		}
		all = append(all, r)
	}
	return all, nil
}

// readDamage brings noted holes back. Under mu.
func (l *Log) readDamage() error {
	b, err := readFile(l.store.fs, filepath.Join(l.path, fileDamaged), maxOffsetFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := decodeDamage(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(all) > 0 {
		l.damaged.Store(&all)
		l.readOnly.Store(true)
	}
	return nil
}

// around holds a read at offset against the holes: an offset in one is
// ErrDamaged; a read below one ends there; behind one, from is where a scan of
// the segment may begin.
func (l *Log) around(offset int64, limit place) (end place, from place, err error) {
	from = place{-1, -1, 0}
	p := l.damaged.Load()
	if p == nil {
		return limit, from, nil
	}
	for _, r := range *p {
		switch {
		case offset >= r.from.offset && offset < r.to.offset:
			return limit, from, fmt.Errorf("%w: offsets %d to %d", ErrDamaged, r.from.offset, r.to.offset-1)
		case offset < r.from.offset && limit.offset > r.from.offset:
			limit = r.from
		case offset >= r.to.offset && r.to.offset > from.offset:
			from = r.to
		}
	}
	return limit, from, nil
}

package logstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
)

// What a failed read means. The disk may not give the bytes: that is rule 11,
// as for a write, and the directory goes offline, whoever asked (Kafka:
// UnifiedLog.maybeHandleIOException). The process may have too many files open:
// the caller comes again. The bytes may be there and wrong, or not be there at
// all: that is damage of one log, which says nothing about its neighbours.

// diskErrors are what Linux answers for a disk that cannot give what is asked:
// EIO from the page cache and from SIGBUS, the others from file systems that
// found their own structures wrong and from devices that are gone.
var diskErrors = []error{syscall.EIO, syscall.EBADMSG, syscall.EUCLEAN, syscall.EREMOTEIO, syscall.ENODATA,
	syscall.ENODEV, syscall.ENXIO, syscall.ESTALE, syscall.ETIMEDOUT}

func diskFailed(err error) bool {
	return slices.ContainsFunc(diskErrors, func(e error) bool { return errors.Is(err, e) })
}

// readFault sorts an error of reading the log's files or of work in the
// background, and gives what the caller is to answer.
func (l *Log) readFault(err error) error {
	switch {
	case err == nil:
		return nil
	case tooManyFiles(err):
		return noFiles(err)
	case diskFailed(err):
		l.dir.fail(err)
		return ErrOffline
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDamaged):
		if err := l.admit(); err != nil {
			return err // deleted meanwhile
		}
		return fmt.Errorf("%w: a file of %s is gone: %w", ErrDamaged, l.path, err)
	}
	return err
}

// shortRead is why a read of a segment gave too few bytes: the disk's error, or
// that they are not there.
func (s *Segment) shortRead(pos int64, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: segment %s ends inside a batch at byte %d", ErrDamaged, s.path(), pos)
	}
	return fmt.Errorf("read segment %s at byte %d: %w", s.path(), pos, err)
}

// ReadFailed is told that the bytes of a Slice could not be read by the
// descriptor that Fd gave; it does not wait. Any goroutine, before Release.
func (s *Segment) ReadFailed(err error) {
	if s.log.readFault(err) == ErrOffline {
		return // it was logged
	}
	s.log.store.logger.Error("a segment cannot be read", "log", s.log.path, "segment", s.base, "err", err)
}

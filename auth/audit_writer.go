package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// auditWriter is the one goroutine that writes the audit log.
type auditWriter struct {
	a       *Audit
	file    *os.File // nil without a path
	pending []byte   // lines that are not in the file yet
	size    int64    // of the file with pending
	tick    *time.Ticker
}

const (
	auditRetry  = time.Second
	auditBuffer = 64 << 10
)

func (w *auditWriter) open() error {
	f, err := os.OpenFile(w.a.o.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("auth: the audit log cannot be opened: %w", err)
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		return errors.Join(fmt.Errorf("auth: the audit log cannot be opened: %w", err), f.Close())
	}
	w.file, w.size = f, size
	return nil
}

func (w *auditWriter) run() {
	defer close(w.a.done)
	w.tick = time.NewTicker(time.Second)
	defer w.tick.Stop()
	for {
		select {
		case l := <-w.a.queue:
			w.line(l)
			w.drain()
		case <-w.tick.C:
			w.summaries()
		case <-w.a.quit:
			w.drain()
			w.summaries()
			w.close()
			return
		}
	}
}

// drain writes what is queued and flushes once.
func (w *auditWriter) drain() {
	for {
		select {
		case l := <-w.a.queue:
			w.line(l)
		default:
			w.insist("flush", w.flush)
			return
		}
	}
}

func (w *auditWriter) summaries() {
	lines := w.a.summaries()
	for _, l := range lines {
		w.line(l)
	}
	if len(lines) != 0 {
		w.insist("flush", w.flush)
	}
}

func (w *auditWriter) line(l auditLine) {
	b, err := l.encode()
	if err != nil {
		w.a.o.Logger.Error("an audit event could not be encoded", "event", l.Event, "error", err)
		w.a.failures.Add(1)
		return
	}
	if w.a.o.Sink != nil {
		w.insist("sink", func() error { return w.a.o.Sink(b) })
	}
	if w.a.o.Path != "" {
		if w.size > 0 && w.size+int64(len(b)) > w.a.o.MaxBytes {
			w.insist("rotate", w.rotate)
		}
		w.pending = append(w.pending, b...)
		w.size += int64(len(b))
		if len(w.pending) >= auditBuffer {
			w.insist("write", w.flush)
		}
	}
	w.a.written.Add(1)
}

// flush writes what is pending. What a failed write took is not written twice,
// so that a line that was cut by a full disk is made whole later.
func (w *auditWriter) flush() error {
	if w.file == nil || len(w.pending) == 0 {
		return nil
	}
	n, err := w.file.Write(w.pending)
	w.pending = w.pending[:copy(w.pending, w.pending[n:])]
	return err
}

// insist does one thing until it is done or the audit log is closed.
func (w *auditWriter) insist(what string, f func() error) {
	for {
		err := f()
		if err == nil {
			return
		}
		w.a.failures.Add(1)
		w.a.o.Logger.Error("the audit log cannot be written; it is tried again, and administrative changes wait meanwhile",
			"doing", what, "path", w.a.o.Path, "error", err)
		select {
		case <-w.a.quit:
			return
		case <-time.After(auditRetry):
		}
	}
}

// rotate moves Path to Path.1 and each older one up, the oldest away. Done
// again after a failure, it moves nothing twice.
func (w *auditWriter) rotate() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	name := func(i int) string { return w.a.o.Path + "." + strconv.Itoa(i) }
	if _, err := os.Lstat(w.a.o.Path); err == nil {
		for i := w.a.o.Keep; i > 1; i-- {
			if err := os.Rename(name(i-1), name(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := os.Rename(w.a.o.Path, name(1)); err != nil {
			return err
		}
	}
	old := w.file
	if err := w.open(); err != nil {
		return err
	}
	return old.Close()
}

func (w *auditWriter) close() {
	if w.file == nil {
		return
	}
	if err := errors.Join(w.flush(), w.file.Sync(), w.file.Close()); err != nil {
		w.a.failures.Add(1)
		w.a.o.Logger.Error("the audit log could not be closed well", "path", w.a.o.Path, "error", err)
	}
}

package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// AuditOptions shapes the audit log. Zero is the default but for Path and Go.
type AuditOptions struct {
	Path     string // the file; "" for none (Sink only)
	MaxBytes int64  // of a file before it is rotated to Path.1, 100 MiB
	Keep     int    // rotated files, 10
	Queue    int    // events that wait to be written, 4096
	// RefusedPerSecond is how many refusals and denials a second get a line each,
	// 500; the rest are counted in summaries.
	RefusedPerSecond int
	// Sink gets every line too, for a topic. It is called by the writer, may
	// block it and must not keep the line. With an error it gets the line again.
	Sink   func(line []byte) error
	Logger *slog.Logger
	Go     func(name string, f func())
}

// Audit writes one line for each authentication, denial and administrative
// change. Any goroutine.
//
// Nothing is dropped without a trace. The queue to the writer is bounded. When
// it is full, an administrative change waits for room, and fails when it may
// not wait any longer: a change that cannot be audited is not made. A loop must
// not wait: authentications and denials that find no room, and refusals beyond
// RefusedPerSecond (so that a flood of guesses neither holds up a loop nor
// rotates everything else out of the file), are counted by kind and host, and
// each second's counts are written as summary lines. The counts are bounded
// too: beyond 1024 hosts and kinds, hosts are counted together.
//
// Lines are flushed to the file when the queue is empty and synced on rotation
// and close. While the file or the sink cannot be written (disk full), the writer
// keeps the line, says so in the broker's log and tries again each second.
type Audit struct {
	o     AuditOptions
	queue chan auditLine
	quit  chan struct{} // closed by Close
	done  chan struct{} // closed when the writer has ended
	end   sync.Once

	mu      sync.Mutex
	second  int64                 // mu; that refused counts in
	refused int                   // mu
	counts  map[tallyKey]*tallies // mu

	written, summarised, failures atomic.Int64
}

// tallyKey is what summaries are counted by.
type tallyKey struct {
	event, result, host, listener string
	kind                          Kind
}

type tallies struct {
	count       int64
	first, last time.Time
}

const maxTallies = 1024

// ErrAuditClosed is given for a change after Close.
var ErrAuditClosed = errors.New("auth: the audit log is closed, so the change cannot be audited and is not made")

// NewAudit opens the file and starts the writer.
func NewAudit(o AuditOptions) (*Audit, error) {
	if o.Go == nil {
		return nil, errors.New("auth: AuditOptions.Go is nil; the audit log is written by a goroutine")
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 100 << 20
	}
	if o.Keep <= 0 {
		o.Keep = 10
	}
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	if o.RefusedPerSecond <= 0 {
		o.RefusedPerSecond = 500
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Audit{o: o, queue: make(chan auditLine, o.Queue), quit: make(chan struct{}), done: make(chan struct{}),
		counts: map[tallyKey]*tallies{}}
	w := &auditWriter{a: a}
	if o.Path != "" {
		if err := w.open(); err != nil {
			return nil, err
		}
	}
	o.Go("audit", w.run)
	return a, nil
}

// Close writes what is queued and ends. It waits for the writer, but not beyond
// ctx, when the file cannot be written.
func (a *Audit) Close(ctx context.Context) error {
	a.end.Do(func() { close(a.quit) })
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("auth: the audit log could not be written to its end: %w", ctx.Err())
	}
}

// AuditStats are counters since the start.
type AuditStats struct {
	Queued     int   // lines that wait
	Written    int64 // lines
	Summarised int64 // events in summaries
	Failures   int64 // writes that failed and were tried again
}

// Stats may be called at any time.
func (a *Audit) Stats() AuditStats {
	return AuditStats{len(a.queue), a.written.Load(), a.summarised.Load(), a.failures.Load()}
}

// Authenticated notes that a connection logged in. It never waits. A nil Audit
// notes nothing, here and in the other methods.
func (a *Audit) Authenticated(now time.Time, where Where, s *Session) {
	if a == nil {
		return
	}
	l := where.line(now, "authentication", "ok")
	l.Principal, l.Mechanism, l.Token = s.Principal.String(), s.Mechanism, s.TokenID
	a.offer(l)
}

// Refused notes a refused authentication. It never waits. mechanism is "" for
// TLS.
func (a *Audit) Refused(now time.Time, where Where, mechanism string, f *Failure) {
	if a == nil {
		return
	}
	l := where.line(now, "authentication", "refused")
	l.Mechanism, l.Kind, l.Claimed, l.Detail = claimed(mechanism), f.Kind, f.User, f.Detail
	a.offer(l)
}

// Denied notes that a principal asked for what it may not. It never waits and
// does not keep name.
func (a *Audit) Denied(now time.Time, where Where, p *Principal, api string, op Operation, rt ResourceType, name []byte) {
	if a == nil {
		return
	}
	l := where.line(now, "authorization", "denied")
	l.Principal, l.API, l.Operation = p.String(), api, op.String()
	l.Resource = rt.String() + ":" + claimed(string(name[:min(len(name), maxClaimed)]))
	a.offer(l)
}

// Changed notes an administrative change, before it is answered. It waits for
// room; an error means that there is no line and that the change is to fail.
// Not on a loop.
func (a *Audit) Changed(ctx context.Context, now time.Time, where Where, p *Principal, c Change) error {
	if a == nil {
		return nil
	}
	l := where.line(now, "change", "ok")
	l.Principal, l.API, l.Resource = p.String(), c.API, c.Resource
	l.Before, l.After = redact(c.Before), redact(c.After)
	select {
	case <-a.quit:
		return ErrAuditClosed
	default:
	}
	select {
	case a.queue <- l:
		return nil
	case <-a.quit:
		return ErrAuditClosed
	case <-ctx.Done():
		return fmt.Errorf("auth: the audit log is behind and the change could not be audited in time: %w", ctx.Err())
	}
}

// offer queues a line, or counts it.
func (a *Audit) offer(l auditLine) {
	a.mu.Lock()
	defer a.mu.Unlock()
	room := true
	if l.Result != "ok" {
		if second := l.Time.Unix(); second != a.second {
			a.second, a.refused = second, 0
		}
		room = a.refused < a.o.RefusedPerSecond
		a.refused++
	}
	if room {
		select {
		case a.queue <- l:
			return
		default:
		}
	}
	a.summarised.Add(1)
	key := tallyKey{event: l.Event, result: l.Result, host: l.Host, listener: l.Listener, kind: l.Kind}
	if a.counts[key] == nil && len(a.counts) >= maxTallies {
		key.host, key.listener = "", ""
	}
	t := a.counts[key]
	if t == nil {
		t = &tallies{first: l.Time}
		a.counts[key] = t
	}
	t.count++
	t.last = l.Time
}

// summaries takes the counts out, as lines.
func (a *Audit) summaries() []auditLine {
	a.mu.Lock()
	counts := a.counts
	if len(counts) != 0 {
		a.counts = map[tallyKey]*tallies{}
	}
	a.mu.Unlock()
	var lines []auditLine
	for key, t := range counts {
		lines = append(lines, auditLine{Time: t.last, Event: "summary", Of: key.event, Result: key.result, Kind: key.kind,
			Host: key.host, Listener: key.listener, Count: t.count, Since: &t.first})
	}
	return lines
}

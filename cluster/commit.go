package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/logstore"
)

// How a change is made.
//
// Under the commit lock: check sees the newest image, its records are applied
// to a draft of the next one, and one batch holding them all is appended. The
// lock is then given up; the disk is waited for outside of it, so that any
// number of changes share a sync. The batch makes the change atomic: a crash
// leaves all of its records or none.
//
// The next check sees the change before it is durable. That is safe because
// the log keeps the order: the later change cannot be durable without the
// earlier one. What nobody may see early is the image that Image gives, and the
// verdict of a check that refused because of such a change ("exists already"):
// both wait for the disk.
//
// The store's committer reports a finished batch to Done, which must not wait
// for anything; so it marks the change and wakes the publisher, a goroutine
// that makes images current and calls subscribers in log order. When a batch
// fails the data directory is offline and the log's end unknown: every change
// under way fails and none is taken any more.

// pending is one batch on its way to the disk, and the token of its append.
type pending struct {
	c *Cluster
	// img is the image after the change; nil for a part of a snapshot.
	img *Image
	// trim is the offset before which the log is not needed once this batch is
	// durable; -1 for none.
	trim int64

	// done is set by Done, after logErr.
	done   atomic.Bool
	logErr error
	// err is the outcome; the publisher writes it before it closes ready, when
	// the change is durable and in the image, or failed.
	err   error
	ready chan struct{}
}

// Done takes a finished token of the metadata log back from the store; broker
// calls it from the store's Options.OnCommit. It reports whether the token was
// a Cluster's. It does not wait and takes no lock.
//
// It is a function because tokens come back before Open has returned.
func Done(d logstore.Done) bool {
	p, ok := d.Token.(*pending)
	if !ok {
		return false
	}
	p.logErr = d.Err
	p.done.Store(true)
	p.c.poke()
	return true
}

func (c *Cluster) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Commit appends records as one atomic change and returns when it is durable
// and in the image. check runs under the commit lock with the newest image and
// returns the records to write, or none, or an error that vetoes the change
// and is returned as it is (compare-and-set); it must be quick. A nil check
// changes nothing.
//
// Errors of the log are wrapped: logstore.ErrBusy and ErrDiskFull say that
// nothing was written. When ctx ends before the disk has answered, the change
// may still come about.
//
// Waits: not on a loop.
func (c *Cluster) Commit(ctx context.Context, check func(*Image) ([]Record, error)) error {
	if check == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := c.submit(check)
	if p == nil {
		return err
	}
	select {
	case <-p.ready:
	case <-ctx.Done():
		if err == nil {
			err = fmt.Errorf("cluster: the change was given to the metadata log and its fate is not known yet: %w", ctx.Err())
		}
		return err
	}
	if p.err != nil {
		return p.err
	}
	return err
}

// submit runs check and appends. It gives the pending change to wait for: the
// caller's own, or with an error (or no records) the newest one that check may
// have seen.
func (c *Cluster) submit(check func(*Image) ([]Record, error)) (*pending, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	records, err := check(c.head)
	if err != nil || len(records) == 0 {
		return c.last, err
	}
	d := newDraft(c.head)
	if err := d.apply(records); err != nil {
		return c.last, err
	}
	next := d.finish()
	if next.partitions > c.limits.partitions && next.partitions > c.head.partitions {
		return c.last, fmt.Errorf("%w: %d, and %d are allowed", ErrTooManyPartitions, next.partitions, c.limits.partitions)
	}
	batch, err := encodeBatch(records, time.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	p := &pending{c: c, img: next, trim: -1, ready: make(chan struct{})}
	if err := c.append(p, batch); err != nil {
		return nil, err
	}
	c.head = next
	if c.since > max(c.limits.snapshotBytes, 2*c.size) {
		if err := c.snapshot(); err != nil {
			// The change itself is under way; the next one tries again.
			c.logger.Warn("the metadata snapshot could not be written", "error", err)
		}
	}
	return p, nil
}

// append gives one batch to the log. mu is held; Done may run before it returns.
func (c *Cluster) append(p *pending, batch []byte) error {
	c.qmu.Lock()
	if err := c.failed; err != nil {
		c.qmu.Unlock()
		return err
	}
	c.queue = append(c.queue, p)
	c.qmu.Unlock()
	_, err := c.log.Append(&logstore.Append{
		Batches: batch, Origin: logstore.Coordinator, Token: p, Now: time.Now().UnixMilli(),
	})
	if err != nil {
		// Nothing came after it: mu is held. The publisher may have failed the
		// queue meanwhile.
		c.qmu.Lock()
		if n := len(c.queue); n > 0 {
			c.queue = c.queue[:n-1]
		}
		c.qmu.Unlock()
		return fmt.Errorf("cluster: append to the metadata log: %w", err)
	}
	c.last = p
	c.since += int64(len(batch))
	return nil
}

// publish makes durable changes current, in order, until stop.
func (c *Cluster) publish() {
	defer c.stopOnce()
	// A subscriber that panics takes this goroutine with it; nobody may wait
	// for it then.
	defer c.fail(errors.New("cluster: the goroutine that publishes metadata has ended"))
	for {
		select {
		case <-c.stop:
			return
		case <-c.wake:
		}
		for p := c.oldest(); p != nil; p = c.oldest() {
			if p.logErr != nil {
				c.fail(fmt.Errorf("cluster: the metadata log failed: %w", p.logErr))
				break
			}
			if p.img != nil {
				old := c.image.Load()
				c.image.Store(p.img)
				c.subs.call(old, p.img)
			}
			if p.trim >= 0 {
				c.trim(p.trim)
			}
			c.qmu.Lock()
			c.queue[0] = nil
			c.queue = c.queue[1:]
			c.qmu.Unlock()
			close(p.ready)
		}
	}
}

// oldest is the head of the queue when it is done.
func (c *Cluster) oldest() *pending {
	c.qmu.Lock()
	defer c.qmu.Unlock()
	if len(c.queue) == 0 || !c.queue[0].done.Load() {
		return nil
	}
	return c.queue[0]
}

// fail refuses all changes from now on and fails those that are under way.
// Only the publisher calls it, so that each ready is closed once.
func (c *Cluster) fail(err error) {
	c.qmu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	queue := c.queue
	c.queue = nil
	c.qmu.Unlock()
	for _, p := range queue {
		p.err = err
		close(p.ready)
	}
}

// subscribers is the functions that hear of changes.
type subscribers struct {
	mu   sync.Mutex
	list []func(old, new *Image)
}

// Subscribe calls f after each change with the image before and after, in
// order, before Commit returns. f runs on one goroutine, must be quick and must
// not Commit. Subscribe first and read Image then, so as to miss nothing.
func (c *Cluster) Subscribe(f func(old, new *Image)) {
	c.subs.mu.Lock()
	defer c.subs.mu.Unlock()
	c.subs.list = append(c.subs.list, f)
}

func (s *subscribers) call(old, new *Image) {
	s.mu.Lock()
	list := s.list
	s.mu.Unlock()
	for _, f := range list {
		f(old, new)
	}
}

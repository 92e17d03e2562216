package group

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/logstore"
)

// Shard is one partition of a coordinator's topic: a state with one owner at a
// time, on one log. Groups and transactions are built on it.
//
// # How it works
//
// An operation is posted to a bounded mailbox and runs on the shard's
// goroutine, or, when it is short and the shard idle, on the caller's
// ([Shard.DoHere], shard_direct.go). It changes the state, writes records to the [Outbox] and asks
// there for its answer. When the mailbox is drained (or enough is written) the
// records of all operations go into one batch and one append; their answers
// are given when it is durable. Only few appends are on their way to the disk
// at once; meanwhile the next operations collect, so a busy shard appends
// large batches by itself.
//
// The state runs ahead of the disk by the appends in flight. That is safe
// since nobody is told before they are durable: an operation without records
// of its own also waits for the last append of those before it. The obvious
// way, to wait for the disk within each operation, would give one commit per
// sync.
//
// # When the log fails
//
// ErrBusy means the store's queue is full: the append is tried again, nothing
// else runs meanwhile, and the mailbox fills up to its bound. Any other error
// means that the state is ahead of a log that will not follow: everybody who
// waits gets the error, the state is forgotten and the log is read again. The
// same happens when an operation panics.
type Shard struct {
	o ShardOptions
	// Out and Deadlines belong to the shard's owner: hooks and operations.
	Out       Outbox
	Deadlines Deadlines

	state atomic.Int32 // shardState
	wake  chan struct{}

	mu      sync.Mutex // held for a push or a swap, never across an append
	mailbox []task     // mu
	settled []settled  // mu; bounded by the appends in flight
	closed  bool       // mu
	done    chan struct{}

	// own is held by the owner: by the goroutine while it does not sleep, or by
	// whoever found it free. Only the goroutine waits for it. It is taken before
	// mu and before a log's lock.
	own sync.Mutex

	// What follows belongs to the owner.
	ops     []task // taken from the mailbox, not run to its end yet
	spare   []task
	running bool      // the first of ops is being run
	ready   []*flight // built, not appended yet: the log is busy
	flying  []*flight // appended, not durable yet, oldest first
	free    []*flight
	log     *logstore.Log
	retryAt time.Time
	backoff time.Duration
	wakeAt  time.Time // when the goroutine wakes by itself
	direct  bool      // what runs is of DoHere
	broken  bool      // an operation panicked; the goroutine cleans up
	raised  string    // what it panicked with on another goroutine

	timer *time.Timer // the goroutine's
}

// Op is one operation. It runs on the shard's owner. logstore.ErrBusy says
// that it has changed nothing and is to be run again; other errors end it.
type Op func(now time.Time) error

// task is an operation in the mailbox and whom to tell that it will not run.
type task struct {
	run     Op
	refused func(err error)
}

// ShardOptions are a shard's log and its hooks, which run on the shard's owner,
// never two at once.
type ShardOptions struct {
	// Name names the goroutine.
	Name string
	// Log gives the partition's log, nil while it is not open.
	Log func() *logstore.Log
	// Replay takes a record of the log, in order; an error is logged and the
	// record passed over.
	Replay func(r *Record) error
	// Marker takes the end of a producer's transaction.
	Marker func(producerID int64, commit bool)
	// Loaded says that the log has been read to its end; timers start here.
	Loaded func(now time.Time)
	// Lost says that the state must be forgotten and who waits in it be
	// answered; a load follows, or the end.
	Lost func(err error)
	Now  func() time.Time
	Go   func(name string, f func())
	// Mailbox bounds the operations that wait; default 16384.
	Mailbox int
	Logger  *slog.Logger
}

type shardState int32

const (
	shardLoading shardState = iota
	shardReady
	shardFailed
	shardClosed
)

// settled is a finished append.
type settled struct {
	f   *flight
	err error
}

// flight is one append on its way; it is the append's token.
type flight struct {
	shard   *Shard
	batch   []byte
	answers []func(err error)
	direct  bool // all answers are of operations of DoHere
	settled bool
	err     error
}

const (
	defaultMailbox = 1 << 14
	// maxBatch bounds a batch, as Kafka's message.max.bytes bounds it there.
	maxBatch = 1 << 20
	// batchGoal is where a batch is closed while more is to be written.
	batchGoal = 256 << 10
	// maxFlying bounds the appends in flight.
	maxFlying = 8
	busyRetry = 2 * time.Millisecond
	minReload = 50 * time.Millisecond
	maxReload = 10 * time.Second
	// never is when a shard with nothing to do wakes by itself.
	never = time.Hour
)

// NewShard makes a shard; Start has it read its log and serve.
func NewShard(o ShardOptions) *Shard {
	if o.Mailbox <= 0 {
		o.Mailbox = defaultMailbox
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Shard{o: o, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Start starts the shard's goroutine. Once.
func (s *Shard) Start() { s.o.Go(s.o.Name, s.run) }

// Do posts an operation. Any goroutine; it does not wait. ErrLoading,
// ErrUnavailable, ErrFull or ErrClosed say that it will not run. One that was
// taken and then cannot run, since the shard lost its log, is told so by
// refused.
func (s *Shard) Do(run Op, refused func(err error)) error {
	switch shardState(s.state.Load()) {
	case shardLoading:
		return ErrLoading
	case shardFailed:
		return ErrUnavailable
	case shardClosed:
		return ErrClosed
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if len(s.mailbox) >= s.o.Mailbox {
		s.mu.Unlock()
		return ErrFull
	}
	s.mailbox = append(s.mailbox, task{run, refused})
	first := len(s.mailbox) == 1
	s.mu.Unlock()
	if first {
		s.poke()
	}
	return nil
}

func (s *Shard) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// ShardDone routes a finished append to the shard that made it and reports
// whether it was a shard's. It runs where the committer runs: it takes the
// mailbox's lock, which is never held across an append, and does not wait.
func ShardDone(d logstore.Done) bool {
	f, ok := d.Token.(*flight)
	if !ok {
		return false
	}
	s := f.shard
	s.mu.Lock()
	s.settled = append(s.settled, settled{f, d.Err})
	s.mu.Unlock()
	if !s.settleHere(f) {
		s.poke()
	}
	return true
}

// Ready reports whether the shard has read its log and serves.
func (s *Shard) Ready() bool { return shardState(s.state.Load()) == shardReady }

// Queue is the number of operations that wait.
func (s *Shard) Queue() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mailbox)
}

// Close ends a started shard and waits for its goroutine. Who waits is answered with
// ErrClosed. Appends in flight still become durable or not.
func (s *Shard) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.poke()
	<-s.done
}

// run is the shard's goroutine. A panic of an operation leaves it half done:
// the deferred part lets a new goroutine drop the state and read the log.
func (s *Shard) run() {
	ended := false
	defer func() {
		if !ended {
			s.broken = true
			s.own.Unlock()
			s.o.Go(s.o.Name, s.run)
		}
	}()
	s.own.Lock()
	if s.broken {
		s.broken, s.running, s.raised = false, false, ""
		s.state.Store(int32(shardReady)) // whatever it was: fail it
		s.fail(s.o.Now(), errPanicked)
	}
	if s.timer == nil {
		s.timer = time.NewTimer(never)
	}
	for !s.isClosed() {
		s.turn()
		s.own.Unlock()
		s.sleep()
		s.own.Lock()
	}
	s.state.Store(int32(shardClosed))
	s.abandon(ErrClosed)
	s.timer.Stop()
	ended = true
	s.own.Unlock()
	close(s.done)
}

var errPanicked = errors.New("group: an operation of the coordinator panicked; the partition is read again from its log")

func (s *Shard) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// turn does what there is to do and says when there will be more.
func (s *Shard) turn() {
	if s.broken {
		panic("BUG: an operation of the shard on another goroutine: " + s.raised)
	}
	now := s.o.Now()
	s.settle(now)
	if !s.Ready() {
		s.reload(now)
	}
	if s.Ready() {
		s.work(now)
	}
	s.plan()
}

// work runs what is due and appends what it wrote, until there is nothing left
// or the log is busy or lost.
func (s *Shard) work(now time.Time) {
	for s.push(now) {
		ran, ok := s.runSome(now)
		if !ok || !s.flush(now) || ran == 0 {
			return
		}
		now = s.o.Now()
		s.settle(now)
		if !s.Ready() {
			return
		}
	}
}

// runSome runs deadlines and operations until enough is written. ok is false
// when the log is busy or lost.
func (s *Shard) runSome(now time.Time) (ran int, ok bool) {
	for s.Out.Bytes() < batchGoal && s.Deadlines.RunOne(now) {
		if ran++; !s.Ready() {
			return ran, false
		}
	}
	if len(s.ops) == 0 {
		s.take()
	}
	for len(s.ops) > 0 && s.Out.Bytes() < batchGoal {
		s.running = true
		err := s.ops[0].run(now)
		s.running = false
		if !s.Ready() {
			s.dropAnswers(ErrUnavailable)
			return ran, false
		}
		if errors.Is(err, logstore.ErrBusy) {
			s.retryAt = now.Add(busyRetry)
			return ran, false
		}
		s.ops[0] = task{}
		s.ops = s.ops[1:]
		ran++
	}
	return ran, true
}

// take swaps the mailbox for an empty one. Only when ops is empty: the two
// arrays take turns.
func (s *Shard) take() {
	s.mu.Lock()
	s.mailbox, s.ops = s.spare[:0], s.mailbox
	s.mu.Unlock()
	s.spare = s.ops[:0]
	if cap(s.spare) > 1024 {
		s.spare = nil
	}
}

// plan sets when the goroutine is to wake by itself.
func (s *Shard) plan() {
	now := s.o.Now()
	s.wakeAt = now.Add(never)
	if !s.Ready() || len(s.ready) > 0 || len(s.ops) > 0 {
		// Somebody else's appends make the store busy; nobody tells when it is
		// not any more.
		if s.Ready() || len(s.flying) == 0 || s.retryAt.After(now) { // else reload waits for the log to settle them
			s.wakeAt = s.retryAt
		}
	} else if at, ok := s.Deadlines.Next(); ok && at.Before(s.wakeAt) {
		s.wakeAt = at
	}
	s.timer.Reset(max(s.wakeAt.Sub(now), 0))
}

// sleep waits for somebody's poke, or for the time that plan has set.
func (s *Shard) sleep() {
	select {
	case <-s.wake:
	case <-s.timer.C:
	}
}

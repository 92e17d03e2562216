package txn

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/group"
	"github.com/chronik-stream/chronik/logstore"
)

// maxID is the longest transactional id, in bytes: the length that the key of
// its record can tell. A longer one would be read back as another id.
const maxID = math.MaxInt16

// StateTopic is where transactions are kept.
const StateTopic = "__transaction_state"

// Marker is the end of a transaction in one partition.
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
	// V2 is set when the producer speaks transaction.version 2: the marker's
	// epoch is then above the producer's own (KIP-890).
	V2 bool
}

// Partition names a partition that takes part in a transaction.
type Partition struct {
	Topic     string
	Partition int32
}

// Options of a Coordinator.
type Options struct {
	Cluster *cluster.Cluster
	// Log gives a partition of __transaction_state, or nil when it is not open.
	Log func(partition int32) *logstore.Log
	// WriteMarker appends a marker and calls done with nil when it is durable,
	// or when the partition is gone for good; any other error has the marker sent
	// again. It must not wait; done may be called from any goroutine, also from
	// within.
	WriteMarker func(topic string, partition int32, m Marker, done func(error))
	Now         func() time.Time
	Go          func(name string, f func())
	Logger      *slog.Logger
}

// Coordinator serves transactions. Every method returns at once and calls done
// exactly once, from any goroutine, when the answer may be given: what it tells
// is then durable. Authorisation is the caller's and has happened.
type Coordinator struct {
	o        Options
	counters counters

	mu     sync.Mutex // guards the making of shards
	closed bool
	shards atomic.Pointer[[]*shard]

	ids idReserve
}

// New makes a coordinator. Its shards begin to load when __transaction_state
// exists: at the first request, or at Open.
func New(o Options) *Coordinator {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Coordinator{o: o}
	c.ids.init(o)
	return c
}

// Open starts the shards if __transaction_state exists, so that transactions
// that were decided before a crash are finished without anybody asking.
func (c *Coordinator) Open() {
	topic := c.o.Cluster.Image().Topic(StateTopic)
	if topic == nil || c.shards.Load() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shards.Load() != nil || c.closed {
		return
	}
	shards := make([]*shard, topic.Partitions)
	for p := range topic.Partitions {
		shards[p] = c.newShard(p)
	}
	c.shards.Store(&shards)
	c.ids.refill()
}

// Close ends every shard; who waits hears that the coordinator is not available.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	shards := c.shards.Load()
	c.mu.Unlock()
	c.ids.close()
	if shards != nil {
		for _, s := range *shards {
			s.Close()
		}
	}
}

// shardOf gives the shard of a transactional id, or nil while there is none.
func (c *Coordinator) shardOf(id string) *shard {
	shards := c.shards.Load()
	if shards == nil {
		c.Open()
		if shards = c.shards.Load(); shards == nil {
			return nil
		}
	}
	return (*shards)[group.Partition(id, int32(len(*shards)))]
}

// do runs an operation on the shard of an id; fail is called in its place when
// it cannot run.
func (c *Coordinator) do(id string, op func(t *table, now time.Time), fail func(code int16)) {
	s := c.shardOf(id)
	if s == nil {
		fail(errCoordinatorNotAvail)
		return
	}
	err := s.Do(func(now time.Time) error {
		s.drain(now)
		op(s.table, now)
		return nil
	}, func(error) { fail(errCoordinatorNotAvail) })
	if err != nil {
		fail(refusal(err))
	}
}

// refusal is the code for an operation that a shard did not take.
func refusal(err error) int16 {
	if errors.Is(err, group.ErrLoading) {
		return errCoordinatorLoading
	}
	return errCoordinatorNotAvail
}

// InitProducerID serves a request that carries a transactional id.
func (c *Coordinator) InitProducerID(r *kmsg.InitProducerIDRequest, done func(*kmsg.InitProducerIDResponse)) {
	answer := func(res initResult) {
		resp := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = res.code, res.producerID, res.epoch
		if res.code == errProducerFenced && r.Version < 4 {
			resp.ErrorCode = errInvalidProducerEpoch
		}
		done(resp)
	}
	fail := func(code int16) { answer(initResult{code, noProducer, noEpoch}) }
	expect := initExpect{noProducer, noEpoch}
	if r.Version >= 3 {
		expect = initExpect{r.ProducerID, r.ProducerEpoch}
	}
	most := c.o.Cluster.BrokerInt("transaction.max.timeout.ms")
	switch {
	case r.TransactionalID == nil || *r.TransactionalID == "", len(*r.TransactionalID) > maxID:
		fail(errInvalidRequest)
		return
	case (expect.id == noProducer) != (expect.epoch == noEpoch):
		fail(errInvalidRequest)
		return
	case r.TransactionTimeoutMillis <= 0 || int64(r.TransactionTimeoutMillis) > most:
		fail(errInvalidTxnTimeout)
		return
	}
	c.do(*r.TransactionalID, func(t *table, now time.Time) {
		t.initProducer(*r.TransactionalID, expect, r.TransactionTimeoutMillis, now, false, answer)
	}, fail)
}

// AddPartitions adds partitions to the open transaction, or opens one. version
// is the transaction version the client speaks: 2 when the broker adds the
// partition by itself on a Produce v12 or later (KIP-890).
func (c *Coordinator) AddPartitions(id string, producerID int64, epoch int16, parts []Partition, version int16, done func(code int16)) {
	if id == "" {
		done(errInvalidRequest)
		return
	}
	own := make([]part, len(parts))
	for i, p := range parts {
		own[i] = part(p)
	}
	c.do(id, func(t *table, now time.Time) { t.addParts(id, producerID, epoch, own, version, now, false, done) }, done)
}

// Verify tells whether partitions are in the open transaction (transaction
// version 1). missing is nil when all are; they then get TRANSACTION_ABORTABLE,
// or INVALID_TXN_STATE for older clients.
func (c *Coordinator) Verify(id string, producerID int64, epoch int16, parts []Partition, done func(code int16, missing map[Partition]bool)) {
	if id == "" {
		done(errInvalidRequest, nil)
		return
	}
	own := make([]part, len(parts))
	for i, p := range parts {
		own[i] = part(p)
	}
	c.do(id, func(t *table, _ time.Time) {
		code, not := t.verify(id, producerID, epoch, own)
		var missing map[Partition]bool
		if len(not) > 0 {
			missing = make(map[Partition]bool, len(not))
			for p := range not {
				missing[Partition(p)] = true
			}
		}
		done(code, missing)
	}, func(code int16) { done(code, nil) })
}

// EndTxn serves EndTxn. v2 is whether the client speaks transaction version 2
// (request version 5 and later).
func (c *Coordinator) EndTxn(r *kmsg.EndTxnRequest, done func(*kmsg.EndTxnResponse)) {
	answer := func(code int16, producerID int64, epoch int16) {
		resp := r.ResponseKind().(*kmsg.EndTxnResponse)
		if code == errProducerFenced && r.Version < 2 {
			code = errInvalidProducerEpoch
		}
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = code, producerID, epoch
		done(resp)
	}
	fail := func(code int16) { answer(code, noProducer, noEpoch) }
	if r.TransactionalID == "" {
		fail(errInvalidRequest)
		return
	}
	req := end{producerID: r.ProducerID, epoch: r.ProducerEpoch, commit: r.Commit, version: 1}
	if r.Version >= 5 {
		req.version = 2
	}
	c.do(r.TransactionalID, func(t *table, now time.Time) {
		t.endTxn(r.TransactionalID, req, now, false, answer)
	}, fail)
}

// Describe serves one id of DescribeTransactions.
func (c *Coordinator) Describe(id string, done func(kmsg.DescribeTransactionsResponseTransactionState)) {
	r := kmsg.NewDescribeTransactionsResponseTransactionState()
	r.TransactionalID = id
	c.do(id, func(t *table, _ time.Time) {
		t.describe(id, &r)
		t.out.Answer(func(err error) {
			if err != nil {
				r = kmsg.NewDescribeTransactionsResponseTransactionState()
				r.TransactionalID, r.ErrorCode = id, errCoordinatorNotAvail
			}
			done(r)
		})
	}, func(code int16) {
		r.ErrorCode = code
		done(r)
	})
}

// Transaction is one entry of a list.
type Transaction struct {
	ID         string
	ProducerID int64
	State      State
	StartMs    int64 // -1 when nothing is open
	Timeout    time.Duration
	Partitions int
}

// List gives every transactional id; loading is true when a shard could not
// answer yet.
func (c *Coordinator) List(done func(all []Transaction, loading bool)) {
	c.Open()
	loaded := c.shards.Load()
	if loaded == nil {
		done(nil, false)
		return
	}
	var mu sync.Mutex
	var all []Transaction
	var loading bool
	left := len(*loaded)
	finish := func(found []Transaction, notReady bool) {
		mu.Lock()
		all, loading = append(all, found...), loading || notReady
		left--
		last := left == 0
		mu.Unlock()
		if last {
			done(all, loading)
		}
	}
	for _, s := range *loaded {
		err := s.Do(func(now time.Time) error {
			s.drain(now)
			found := make([]Transaction, 0, len(s.table.entries))
			for _, e := range s.table.entries {
				found = append(found, Transaction{e.m.id, e.m.producerID, e.m.state, e.m.startMs,
					time.Duration(e.m.timeoutMs) * time.Millisecond, len(e.m.parts)})
			}
			s.table.out.Answer(func(err error) { finish(found, err != nil) })
			return nil
		}, func(error) { finish(nil, true) })
		if err != nil {
			finish(nil, true)
		}
	}
}

// idReserve keeps fresh producer ids at hand, so that a shard never waits for
// the metadata log.
type idReserve struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	next    int64
	end     int64
	filling bool
}

const (
	reserveSize = 256
	reserveLow  = 64
)

func (r *idReserve) init(o Options) {
	r.o = o
	r.ctx, r.cancel = context.WithCancel(context.Background())
}

func (r *idReserve) close() { r.cancel() }

// take gives an id, or noProducer when none is there yet.
func (r *idReserve) take() int64 {
	r.mu.Lock()
	id := noProducer
	if r.next < r.end {
		id = r.next
		r.next++
	}
	low := r.end-r.next < reserveLow
	r.mu.Unlock()
	if low {
		r.refill()
	}
	return id
}

// refill gets more ids in the background.
func (r *idReserve) refill() {
	r.mu.Lock()
	if r.filling || r.end-r.next >= reserveLow || r.ctx.Err() != nil {
		r.mu.Unlock()
		return
	}
	r.filling = true
	r.mu.Unlock()
	r.o.Go("producer-ids", func() {
		first, err := r.o.Cluster.AllocateProducerIDs(r.ctx, reserveSize)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.filling = false
		if err != nil {
			r.o.Logger.Warn("no fresh producer ids could be had; new transactional ids are told to come again", "error", err)
			return
		}
		r.next, r.end = first, first+reserveSize
	})
}

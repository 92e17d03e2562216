package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// OMBOptions is what the benchmark keeps in a driver's file, and times that
// come before those of the workload.
type OMBOptions struct {
	BatchBytes int           // default 128 KiB
	Linger     time.Duration // default 1 ms
	Acks       int16         // 0: -1
	Idempotent bool
	Codec      string
	// Test and Warmup above 0 come before the workload's minutes.
	Test, Warmup time.Duration
}

// omb is a running workload. Producers and consumers are a client each.
type omb struct {
	target Target
	w      *Workload
	o      OMBOptions
	topics []string
	keys   []string
	tag    string

	sent, received, receivedBytes, failed atomic.Int64
	perProducer                           atomic.Uint64 // records/s, bits of a float64
	generation                            atomic.Int64  // rises with every new rate
	from                                  atomic.Int64  // unix ns since which latencies count; MaxInt64 before

	mu         sync.Mutex
	pub, e2e   *Latency // mu
	firstError error    // mu

	consumers []*kgo.Client
}

// RunWorkload runs an OpenMessaging Benchmark workload. The latency of a record
// counts from when it was due to its ack, and end to end until a consumer had
// it; the time it was due lies in its first 8 bytes.
func RunWorkload(ctx context.Context, t Target, w *Workload, o OMBOptions) (_ *Result, err error) {
	if o.BatchBytes == 0 {
		o.BatchBytes = 128 << 10
	}
	if o.Linger == 0 {
		o.Linger = time.Millisecond
	}
	if o.Codec == "" {
		o.Codec = "none"
	}
	m := &omb{target: t, w: w, o: o, tag: fmt.Sprintf("%06x", rand.Uint32N(1<<24)), pub: NewLatency(), e2e: NewLatency()}
	m.from.Store(math.MaxInt64)
	rng := rand.New(rand.NewPCG(7, 7))
	for range 10_000 {
		m.keys = append(m.keys, fmt.Sprintf("%07x", rng.Uint32N(1<<28)))
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		for _, c := range m.consumers {
			c.Close()
		}
		err = errors.Join(err, m.dropTopics())
	}()
	for n := range w.Topics {
		topic := fmt.Sprintf("omb-%s-%d", m.tag, n)
		m.topics = append(m.topics, topic)
		if err := EnsureTopic(ctx, t, topic, w.PartitionsPerTopic); err != nil {
			return nil, err
		}
	}
	if err := m.consume(ctx, &wg); err != nil {
		return nil, err
	}
	rate := w.ProducerRate
	if rate == 0 {
		rate = 10_000
	}
	m.setRate(rate)
	if err := m.produce(ctx, &wg); err != nil {
		return nil, err
	}
	return m.measure(ctx, rate)
}

func (m *omb) setRate(rate float64) {
	m.perProducer.Store(math.Float64bits(rate / float64(m.w.Topics*m.w.ProducersPerTopic)))
	m.generation.Add(1)
}

// consume starts the consumers of every subscription, a group each.
func (m *omb) consume(ctx context.Context, wg *sync.WaitGroup) error {
	for _, topic := range m.topics {
		for s := range m.w.SubscriptionsPerTopic {
			group := fmt.Sprintf("sub-%03d-%s-%s", s, m.tag, topic)
			for range m.w.ConsumerPerSubscription {
				c, err := m.target.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
					kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500*time.Millisecond))
				if err != nil {
					return err
				}
				m.consumers = append(m.consumers, c)
				wg.Go(func() { m.consumer(ctx, c) })
			}
		}
	}
	return nil
}

func (m *omb) consumer(ctx context.Context, c *kgo.Client) {
	for ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		now := time.Now()
		var n, bytes int64
		m.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			bytes += int64(len(r.Value))
			due := r.Timestamp
			if len(r.Value) >= 8 {
				due = time.Unix(0, int64(binary.BigEndian.Uint64(r.Value)))
			}
			if due.UnixNano() >= m.from.Load() {
				m.e2e.Record(now.Sub(due))
			}
		})
		m.mu.Unlock()
		m.received.Add(n)
		m.receivedBytes.Add(bytes)
	}
}

// produce sends one record with each producer and waits until all consumers
// had theirs, as the benchmark does, so that groups have settled; then the
// producers go on at their rate.
func (m *omb) produce(ctx context.Context, wg *sync.WaitGroup) error {
	codec, err := Codec(m.o.Codec)
	if err != nil {
		return err
	}
	var clients []*kgo.Client
	for n := range m.w.Topics * m.w.ProducersPerTopic {
		opts := []kgo.Opt{kgo.DefaultProduceTopic(m.topics[n%len(m.topics)]), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(m.o.Linger),
			kgo.ProducerBatchMaxBytes(int32(m.o.BatchBytes)), kgo.MaxBufferedRecords(20_000)}
		if m.o.Acks == 1 {
			opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
		}
		if !m.o.Idempotent {
			opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
		}
		c, err := m.target.client(opts...)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, c.Close)
		if err := c.ProduceSync(ctx, m.record(n, 0, time.Now())).FirstErr(); err != nil {
			return fmt.Errorf("the first record of producer %d: %w", n, err)
		}
		m.sent.Add(1)
		clients = append(clients, c)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(time.Minute); m.backlog() > 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Now().After(late) {
			return fmt.Errorf("bench: the consumers were not ready within a minute: %d records of %d had arrived", m.received.Load(), m.sent.Load()*int64(m.w.SubscriptionsPerTopic))
		}
	}
	for n, c := range clients {
		wg.Go(func() { m.producer(ctx, c, n) })
	}
	return nil
}

// backlog is what was sent and not yet received.
func (m *omb) backlog() int64 {
	if m.w.ConsumerPerSubscription == 0 {
		return 0
	}
	return m.sent.Load()*int64(m.w.SubscriptionsPerTopic) - m.received.Load()
}

func (m *omb) record(producer, sequence int, due time.Time) *kgo.Record {
	value := append([]byte(nil), m.w.payloads[sequence%len(m.w.payloads)]...)
	if len(value) >= 8 {
		binary.BigEndian.PutUint64(value, uint64(due.UnixNano()))
	}
	r := &kgo.Record{Value: value, Timestamp: due}
	switch m.w.KeyDistributor {
	case "KEY_ROUND_ROBIN":
		r.Key = []byte(m.keys[(producer+sequence)%len(m.keys)])
	case "RANDOM_NANO":
		r.Key = []byte(m.keys[rand.IntN(len(m.keys))])
	}
	return r
}

// producer sends open loop. A new rate begins anew: what an old one has left
// behind would never be caught up with.
func (m *omb) producer(ctx context.Context, c *kgo.Client, n int) {
	var due time.Time
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	generation := int64(-1)
	for sequence := 1; ; sequence++ {
		if g := m.generation.Load(); g != generation {
			generation, due = g, time.Now()
		}
		due = due.Add(time.Duration(float64(time.Second) / math.Float64frombits(m.perProducer.Load())))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		at := due
		c.Produce(ctx, m.record(n, sequence, at), func(_ *kgo.Record, err error) {
			now := time.Now()
			if ctx.Err() != nil {
				return // the end, not a failure
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			switch {
			case err == nil:
				m.sent.Add(1)
				if at.UnixNano() >= m.from.Load() {
					m.pub.Record(now.Sub(at))
				}
			default:
				m.failed.Add(1)
				if m.firstError == nil {
					m.firstError = err
				}
			}
		})
	}
}

// dropTopics deletes the workload's topics.
func (m *omb) dropTopics() error {
	if len(m.topics) == 0 {
		return nil
	}
	client, err := m.target.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := kadm.NewClient(client).DeleteTopics(ctx, m.topics...); err != nil {
		return fmt.Errorf("deleting the workload's topics: %w", err)
	}
	return nil
}

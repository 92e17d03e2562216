package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/bench"
)

// sample is what one run of a cell gave: values by column key.
type sample struct {
	values map[string]float64
	curve  []point // latency percentiles, when the cell has a plot
}

// point of a latency curve.
type point struct{ percent, ms float64 }

// column of a cell's table.
type column struct {
	key, title string
	decimals   int
}

var (
	colRate  = column{"rate", "records/s", 0}
	colMB    = column{"mb", "MB/s", 0}
	colP50   = column{"p50", "p50 ms", 2}
	colP99   = column{"p99", "p99 ms", 2}
	colP999  = column{"p999", "p99.9 ms", 2}
	colMax   = column{"max", "max ms", 1}
	colCPU   = column{"cpu", "broker CPU s per million", 2}
	colCores = column{"cores", "broker cores", 2}
	colAnon  = column{"anon", "RssAnon MB", 0}
)

// cell is one load.
type cell struct {
	key, title string
	columns    []column
	// rounds above 0 bounds the runs of a cell that takes a broker long; a short
	// comparison runs it once.
	rounds int
	// extra is added to the time after which a run is given up.
	extra time.Duration
	// more cells are long or rare, and run when they are asked for.
	more bool
	// peers are the keys of those that meet in the cell; empty means the usual five.
	peers []string
	// topicless cells leave no topic of the run's name behind.
	topicless bool
	prepare   func(ctx context.Context, o *Options, t bench.Target) error
	run       func(ctx context.Context, i *instance, topic string) ([]sample, error)
	// parts names what run returns when that is more than one sample; each is
	// a table of its own.
	parts []string
}

// usual are the peers of a cell that names none.
var usual = []string{"kafka", "kafka-fsync", "commit", "interval", "os"}

// meets tells whether a peer takes part.
func (c cell) meets(peer string) bool {
	if len(c.peers) == 0 {
		return slices.Contains(usual, peer)
	}
	return slices.Contains(c.peers, peer)
}

// produceCell is a produce load on a topic of its own.
func produceCell(key, title string, columns []column, l bench.Load, peers ...string) cell {
	return cell{key: key, title: title, columns: columns, peers: peers,
		run: func(ctx context.Context, i *instance, topic string) ([]sample, error) {
			l := l
			l.Topic, l.Duration, l.Warmup = topic, i.o.Duration, max(l.Warmup, i.o.warmup())
			if err := prime(ctx, i.target(), topic, l.Partitions); err != nil {
				return nil, err
			}
			return one(bench.Produce(ctx, i.target(), l))
		}}
}

// consumeCell reads a topic that was filled once, for half of a run's time: a
// process's CPU is told in hundredths of a second, and one pass takes few.
func consumeCell(key, title string, rd bench.Read) cell {
	rd.Topic = key
	return cell{key: key, title: title, columns: []column{colRate, colMB, colCPU}, peers: []string{"kafka", "commit", "os"}, topicless: true,
		prepare: func(ctx context.Context, o *Options, t bench.Target) error { return fill(ctx, o, t, rd.Topic) },
		run: func(ctx context.Context, i *instance, _ string) ([]sample, error) {
			rd := rd
			rd.Duration = i.o.Duration / 2
			return one(bench.Consume(ctx, i.target(), rd))
		}}
}

// openCell is an open loop of 10,000 records/s that a consumer follows.
func openCell(key, title string, l bench.Load) cell {
	return cell{key: key, title: title, peers: []string{"kafka", "commit", "os"},
		columns: []column{colP50, colP99, colP999, {"e2e50", "end to end p50 ms", 2}, {"e2e99", "end to end p99 ms", 2}, colCores},
		run: func(ctx context.Context, i *instance, topic string) ([]sample, error) {
			if err := prime(ctx, i.target(), topic, 6); err != nil {
				return nil, err
			}
			l := l
			l.Topic, l.Producers, l.Rate, l.RecordSize, l.Partitions = topic, 2, 10_000, 1024, 6
			l.Duration, l.Warmup = i.o.Duration, i.o.warmup()
			return one(bench.EndToEnd(ctx, i.target(), l))
		}}
}

// warmup of a run: its clients connect, its topic's files are there.
func (o *Options) warmup() time.Duration { return min(o.Duration/5, time.Second) }

// cells of a comparison, in the order of the tables. Those that long or rare
// loads need are in cells_more.go.
func cells() []cell {
	closed := []column{colRate, colP50, colP99, colP999, colCPU}
	bulk := []column{colMB, colP50, colP99, colCPU, colAnon}
	return slices.Concat([]cell{
		{key: "start", title: "Start on an empty directory, idle (Apache Kafka once)",
			columns: []column{{"ready", "ready ms", 0}, {"rss", "idle RSS MB", 0}}},
		produceCell("one", "One producer, one request in flight, one record of 1 KiB each", closed,
			bench.Load{Raw: true, Partitions: 1, RecordSize: 1024}),
		produceCell("thirtytwo", "32 producers, one request in flight each, one record of 1 KiB each, 6 partitions", closed,
			bench.Load{Raw: true, Producers: 32, Partitions: 6, RecordSize: 1024}),
		produceCell("bulk128", "Bulk: 1 KiB records in batches of 127 KiB, 6 producers with 5 requests in flight, 6 partitions", bulk,
			bench.Load{Raw: true, Producers: 6, InFlight: 5, RawBatch: 127, Partitions: 6, RecordSize: 1000}, "kafka", "kafka-fsync", "commit", "os"),
		produceCell("bulk16", "Bulk: 1 KiB records in batches of 15 KiB, the same", bulk,
			bench.Load{Raw: true, Producers: 6, InFlight: 5, RawBatch: 15, Partitions: 6, RecordSize: 1000}, "kafka", "kafka-fsync", "commit", "os"),
		consumeCell("consume", "Consume from the start, 1 KiB records, one kgo consumer (the client is the bound)", bench.Read{}),
		consumeCell("consume-raw", "Consume from the start, 1 KiB records in batches of 100, one kmsg consumer that reads the batches' heads", bench.Read{Raw: true}),
		openCell("open10k", "10,000 records/s of 1 KiB (open loop), linger 0, 2 kgo producers and a consumer, 6 partitions", bench.Load{}),
		openCell("open10k-raw", "10,000 records/s of 1 KiB (open loop), a request each, 2 kmsg producers with 5 in flight and a kmsg consumer, 6 partitions",
			bench.Load{Raw: true, InFlight: 5}),
		{key: "partitions", title: "1,000 partitions, 4 clients, one record of 1 KiB per request to each in turn", rounds: 2, extra: 2 * time.Minute,
			peers:   []string{"kafka", "commit", "os"},
			columns: []column{colRate, colP50, colP99, colMax, colCPU}, parts: []string{"the first append to each", "later ones"},
			run: func(ctx context.Context, i *instance, topic string) ([]sample, error) {
				rounds := 3
				if i.o.Duration >= 5*time.Second {
					rounds = 20
				}
				first, steady, err := bench.Partitions(ctx, i.target(), topic, 1000, 4, rounds, 1024)
				if err != nil {
					return nil, err
				}
				return []sample{sampleOf(first), sampleOf(steady)}, nil
			}},
		{key: "connections", title: "10,000 idle connections", rounds: 3, topicless: true, peers: []string{"kafka", "commit"},
			columns: []column{{"seconds", "opened in s", 2}, {"grown", "RSS more, MB", 1}},
			run: func(ctx context.Context, i *instance, _ string) ([]sample, error) {
				r, err := bench.Connections(ctx, i.target(), i.o.Connections, 64, 100*time.Millisecond)
				if err != nil {
					return nil, err
				}
				return []sample{{values: map[string]float64{"seconds": r.Seconds, "grown": r.Broker.GrownMB}}}, nil
			}},
	}, groupCells(), clientCells(), moreCells())
}

// fill writes what a consume cell reads.
func fill(ctx context.Context, o *Options, t bench.Target, topic string) error {
	records := int64(600_000)
	if o.Duration < 5*time.Second {
		records = 200_000
	}
	if err := prime(ctx, t, topic, 6); err != nil {
		return err
	}
	_, err := bench.Produce(ctx, t, bench.Load{Topic: topic, Raw: true, RawBatch: 100, Producers: 6, InFlight: 5,
		Partitions: 6, RecordSize: 1024, Records: records})
	return err
}

func one(r *bench.Result, err error) ([]sample, error) {
	if err != nil {
		return nil, err
	}
	if r.Errors > 0 {
		return nil, fmt.Errorf("%d records failed, the first: %s", r.Errors, r.FirstError)
	}
	if r.Verified != nil && r.Verified.Bad() {
		return nil, fmt.Errorf("a promise was broken: %s", r.Verified)
	}
	return []sample{sampleOf(r)}, nil
}

func sampleOf(r *bench.Result) sample {
	v := map[string]float64{"rate": r.RecordsPerSec, "mb": r.MBPerSec, "p50": r.Latency.P50, "p99": r.Latency.P99,
		"p999": r.Latency.P999, "max": r.Latency.Max, "errors": float64(r.Errors)}
	if r.EndToEnd != nil {
		v["e2e50"], v["e2e99"] = r.EndToEnd.P50, r.EndToEnd.P99
	}
	if b := r.Broker; b != nil {
		v["cpu"], v["cores"], v["rss"], v["anon"], v["grown"] = b.CPUPerMillion, b.Cores, b.RSSMB, b.RSSAnonMB, b.GrownMB
	}
	s := sample{values: v}
	if r.Latency.Count > 0 {
		for _, p := range []float64{0, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99} {
			s.curve = append(s.curve, point{p, float64(r.Hist.At(p).Microseconds()) / 1000})
		}
	}
	return s
}

// prime makes a topic and appends to each of its partitions through a client
// that tries again: what a first append costs has a cell of its own.
func prime(ctx context.Context, t bench.Target, topic string, partitions int32) error {
	if err := bench.EnsureTopic(ctx, t, topic, partitions); err != nil {
		return err
	}
	client, err := kgo.NewClient(append(t.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	for p := range partitions {
		records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte("the first")})
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// warm loads a peer before anything is counted: Kafka's code is compiled while
// it runs, and a broker that is measured cold is measured wrongly.
func warm(ctx context.Context, o *Options, t bench.Target) error {
	const topic = "warm"
	if err := prime(ctx, t, topic, 6); err != nil {
		return err
	}
	for _, l := range []bench.Load{
		{Raw: true, Producers: 16, RecordSize: 1024},
		{Raw: true, Producers: 6, InFlight: 5, RawBatch: 15, RecordSize: 1024},
		{Producers: 2, Rate: 10_000, RecordSize: 1024},
	} {
		l.Topic, l.Partitions, l.Duration, l.Warmup = topic, 6, o.Warm/3, time.Millisecond
		if _, err := bench.Produce(ctx, t, l); err != nil {
			return err
		}
	}
	_, err := bench.Consume(ctx, t, bench.Read{Topic: topic, Records: 100_000, MaxWait: 200 * time.Millisecond})
	if ctx.Err() == nil && err != nil {
		err = nil // fewer records than were asked for: it was warmed all the same
	}
	return errors.Join(err, drop(ctx, t, topic))
}

// drop deletes a run's topic, so that a long comparison does not fill the disk.
func drop(ctx context.Context, t bench.Target, topic string) error {
	client, err := kgo.NewClient(t.Options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	gone, err := kadm.NewClient(client).DeleteTopics(ctx, topic)
	if err != nil {
		return err
	}
	if err := gone.Error(); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	return nil
}

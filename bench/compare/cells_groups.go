package compare

import (
	"context"
	"fmt"
	"time"

	"github.com/chronik-stream/chronik/bench"
)

// groupCells are the loads on coordinators.
func groupCells() []cell {
	return []cell{
		{key: "commits", title: "Offset commits: 16 clients, one in flight each, a group each", peers: []string{"kafka", "kafka-fsync", "commit", "os"},
			columns: []column{{"rate", "commits/s", 0}, colP50, colP99, colP999, {"cpu", "broker CPU s per million", 2}},
			run: func(ctx context.Context, i *instance, topic string) ([]sample, error) {
				return one(bench.Commits(ctx, i.target(), topic, 16, i.o.warmup(), i.o.Duration))
			}},
		{key: "transactions", title: "Transactions of 10 records of 256 B, 1 kgo producer, 6 partitions", peers: []string{"kafka", "commit", "os"},
			columns: []column{{"rate", "transactions/s", 0}, colP50, colP99, colP999, {"cpu", "broker CPU s per million", 2}},
			run: func(ctx context.Context, i *instance, topic string) ([]sample, error) {
				if err := prime(ctx, i.target(), topic, 6); err != nil {
					return nil, err
				}
				return one(bench.Transactions(ctx, i.target(), bench.Load{Topic: topic, Partitions: 6, Producers: 1, RecordSize: 256, Transaction: 10,
					Duration: i.o.Duration, Warmup: i.o.warmup()}))
			}},
		{key: "rebalance", title: "A rebalance of 200 members of one classic group, from the last JoinGroup to the last assignment", topicless: true,
			peers:   []string{"kafka", "commit"},
			columns: []column{{"ms", "all assigned after ms", 0}, {"p50", "a member, p50 ms", 1}},
			run: func(ctx context.Context, i *instance, group string) ([]sample, error) {
				r, err := bench.Rebalance(ctx, i.target(), fmt.Sprintf("%s-%d", group, time.Now().UnixNano()), 200)
				if err != nil {
					return nil, err
				}
				s := sampleOf(r)
				s.values["ms"] = r.Seconds * 1000
				return []sample{s}, nil
			}},
	}
}

// clientCells are loads of many clients, and of consumers that have fallen behind.
func clientCells() []cell {
	keyed := func(key string, producers int) cell {
		return produceCell(key, fmt.Sprintf("%d kgo producers with random keys, 5,000 records/s of 1 KiB in all (open loop), linger 0, 16 partitions", producers),
			[]column{colP50, colP99, colP999, colMax, colCores},
			// Hundreds of clients take a while to connect.
			bench.Load{Producers: producers, Keys: "random", Rate: 5000, RecordSize: 1024, Partitions: 16, Warmup: time.Second + time.Duration(producers)*10*time.Millisecond},
			"kafka", "commit", "os")
	}
	return []cell{keyed("keyed50", 50), keyed("keyed400", 400),
		produceCell("sixteen", "100,000 records/s of 256 B asked for (open loop), 16 batching producers (kgo, linger 5 ms), 6 partitions",
			[]column{colRate, colP50, colP99, colP999, colCPU},
			bench.Load{Producers: 16, RecordSize: 256, Partitions: 6, Linger: 5 * time.Millisecond, Rate: 100_000}, "kafka", "commit"),
		{key: "drain", title: "A backlog of 500,000 records of 1 KiB, drained by one consumer while producers go on with 10,000 records/s", peers: []string{"kafka", "commit", "os"},
			columns: []column{{"seconds", "drained in s", 2}, {"rate", "consumed records/s", 0}, {"p99", "producers' ack p99 ms", 2}, {"cores", "broker cores", 2}},
			run: func(ctx context.Context, i *instance, topic string) ([]sample, error) {
				if err := prime(ctx, i.target(), topic, 6); err != nil {
					return nil, err
				}
				backlog := int64(500_000)
				if i.o.Duration < 5*time.Second {
					backlog = 100_000
				}
				r, err := bench.Drain(ctx, i.target(), bench.Load{Topic: topic, Partitions: 6, Producers: 2, Rate: 10_000, RecordSize: 1024}, backlog, time.Minute)
				if err != nil {
					return nil, err
				}
				s := sampleOf(r)
				s.values["seconds"] = r.Seconds
				return []sample{s}, nil
			}},
	}
}

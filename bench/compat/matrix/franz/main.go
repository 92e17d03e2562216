// Command franz is the matrix's franz-go, pinned to a Kafka version: usage
// franz BOOTSTRAP VERSION, where VERSION is like 0.9, or newest.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/chronik-stream/chronik/bench/compat/matrix/line"
)

type client struct{ opts []kgo.Opt }

func main() {
	c := client{[]kgo.Opt{kgo.SeedBrokers(os.Args[1])}}
	if os.Args[2] != "newest" {
		pinned := kversion.FromString("v" + os.Args[2])
		if pinned == nil {
			fmt.Fprintf(os.Stderr, "franz-go knows no version %s\n", os.Args[2])
			os.Exit(2)
		}
		c.opts = append(c.opts, kgo.MaxVersions(pinned))
		if !pinned.HasKey(22) { // InitProducerId
			c.opts = append(c.opts, kgo.DisableIdempotentWrite())
		}
	}
	line.Serve(c)
}

var codecs = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}

func (c client) Produce(topic, codec string, n int, acked func(int64)) error {
	cl, err := kgo.NewClient(append(c.opts, kgo.ProducerBatchCompression(codecs[codec]), kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Key: line.Key(i), Value: line.Value(i), Timestamp: time.UnixMilli(int64(line.FirstTime + i))}
	}
	for _, result := range cl.ProduceSync(context.Background(), records...) {
		if result.Err != nil {
			return result.Err
		}
		acked(result.Record.Offset)
	}
	return nil
}

func (c client) Consume(topic string, last int64, saw func(line.Record)) error {
	start := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}
	cl, err := kgo.NewClient(append(c.opts, kgo.ConsumePartitions(start))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return c.poll(cl, last, saw)
}

func (c client) Member(topic, group string, last int64, saw func(line.Record)) error {
	cl, err := kgo.NewClient(append(c.opts, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.RangeBalancer()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := c.poll(cl, last, saw); err != nil {
		return err
	}
	return cl.CommitUncommittedOffsets(context.Background())
}

func (c client) poll(cl *kgo.Client, last int64, saw func(line.Record)) error {
	for at := int64(-1); at < last; {
		fetches := cl.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			ms := int64(-1)
			if !r.Timestamp.IsZero() && r.Attrs.TimestampType() >= 0 {
				ms = r.Timestamp.UnixMilli()
			}
			saw(line.Record{Offset: r.Offset, Time: ms, Key: r.Key, Value: r.Value})
			at = r.Offset
		})
	}
	return nil
}

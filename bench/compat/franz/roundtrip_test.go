// Package franz is franz-go against a broker at BOOTSTRAP.
package franz

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type seen struct {
	Offset  int64
	Key     string
	Value   string
	Headers string
}

// TestRoundtrip produces with every codec to several partitions of several
// topics, idempotence on, and consumes it all back by assigned partitions.
func TestRoundtrip(t *testing.T) {
	bootstrap := os.Getenv("BOOTSTRAP")
	if bootstrap == "" {
		t.Skip("BOOTSTRAP names no broker")
	}
	const records, partitions = 2000, 3
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			topic := fmt.Sprintf("franz-%s-%d", name, time.Now().UnixNano())
			client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ProducerBatchCompression(codec),
				kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
				t.Fatal(err)
			}
			want := make([][]seen, partitions)
			for i := range records {
				for p := range int32(partitions) {
					r := &kgo.Record{Topic: topic, Partition: p, Key: fmt.Appendf(nil, "key-%d", i),
						Value:   fmt.Appendf(nil, "%s %d/%d of a value", name, p, i),
						Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, i)}, {Key: "empty", Value: []byte{}}}}
					want[p] = append(want[p], seen{int64(i), string(r.Key), string(r.Value), fmt.Sprint(r.Headers)})
					client.Produce(ctx, r, func(r *kgo.Record, err error) {
						if err != nil {
							t.Error(err)
						}
					})
				}
			}
			if err := client.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			offsets := map[int32]kgo.Offset{}
			for p := range int32(partitions) {
				offsets[p] = kgo.NewOffset().AtStart()
			}
			consumer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
			if err != nil {
				t.Fatal(err)
			}
			defer consumer.Close()
			got := make([][]seen, partitions)
			for n := 0; n < records*partitions; {
				fetches := consumer.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					t.Fatal(err)
				}
				fetches.EachRecord(func(r *kgo.Record) {
					got[r.Partition] = append(got[r.Partition], seen{r.Offset, string(r.Key), string(r.Value), fmt.Sprint(r.Headers)})
					n++
				})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("what came back differs (-sent +received):\n%s", diff)
			}
		})
	}
}

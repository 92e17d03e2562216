// Package segmentio is segmentio's kafka-go against a broker at BOOTSTRAP: Writer,
// Reader and Client.
package segmentio

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
)

type seen struct {
	Offset            int64
	Key, Value        string
	Headers           string
	TimestampInMillis int64
}

// TestWriterReader writes with every codec and reads back partition by partition.
func TestWriterReader(t *testing.T) {
	bootstrap := os.Getenv("BOOTSTRAP")
	if bootstrap == "" {
		t.Skip("BOOTSTRAP names no broker")
	}
	const records, partitions = 900, 3
	client := &kafka.Client{Addr: kafka.TCP(bootstrap)}
	for _, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			topic := fmt.Sprintf("segmentio-%s-%d", codec, time.Now().UnixNano())
			created, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}}})
			if err != nil || created.Errors[topic] != nil {
				t.Fatal(err, created.Errors[topic])
			}
			w := &kafka.Writer{Addr: kafka.TCP(bootstrap), Topic: topic, Compression: codec, RequiredAcks: kafka.RequireAll, BatchTimeout: 10 * time.Millisecond,
				Balancer: kafka.BalancerFunc(func(m kafka.Message, ps ...int) int { return ps[m.WriterData.(int)%len(ps)] })}
			want, now := make([][]seen, partitions), time.Now()
			messages := make([]kafka.Message, records)
			for i := range messages {
				m := kafka.Message{Key: fmt.Append(nil, "k", i), Time: now.Add(-time.Duration(i) * time.Millisecond), WriterData: i,
					Headers: []kafka.Header{{Key: "n", Value: fmt.Append(nil, i)}, {Key: "empty", Value: []byte{}}}}
				if i%10 != 0 {
					m.Value = fmt.Append(nil, "value of record ", i, " with some text to compress, to compress")
				}
				messages[i] = m
				want[i%partitions] = append(want[i%partitions], seen{int64(i / partitions), string(m.Key), string(m.Value), fmt.Sprint(m.Headers), m.Time.UnixMilli()})
			}
			if err := w.WriteMessages(ctx, messages...); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			for p, want := range want {
				r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: topic, Partition: p, MaxWait: 200 * time.Millisecond})
				var got []seen
				for len(got) < len(want) {
					m, err := r.ReadMessage(ctx)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, seen{m.Offset, string(m.Key), string(m.Value), fmt.Sprint(m.Headers), m.Time.UnixMilli()})
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("partition %d came back different: %s", p, d)
				}
				if lag, err := r.ReadLag(ctx); err != nil || lag != 0 {
					t.Errorf("partition %d: the lag at the end is %d, %v", p, lag, err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Package confluent is confluent-kafka-go, with the librdkafka in its package,
// against a broker at BOOTSTRAP. It is a module of its own: it needs cgo.
package confluent

import (
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

type seen struct {
	Offset            int64
	Key, Value        string
	Tombstone         bool
	Headers           string
	TimestampInMillis int64
}

func config(t *testing.T, pairs ...any) *kafka.ConfigMap {
	t.Helper()
	bootstrap := os.Getenv("BOOTSTRAP")
	if bootstrap == "" {
		t.Skip("BOOTSTRAP names no broker")
	}
	c := kafka.ConfigMap{"bootstrap.servers": bootstrap}
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i].(string)] = pairs[i+1]
	}
	return &c
}

func create(t *testing.T, topic string, partitions int) {
	t.Helper()
	admin, err := kafka.NewAdminClient(config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	results, err := admin.CreateTopics(t.Context(), []kafka.TopicSpecification{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}})
	if err != nil || results[0].Error.Code() != kafka.ErrNoError {
		t.Fatal(results, err)
	}
}

// read is the records of a topic by partition, as a member of a group of its own.
func read(t *testing.T, topic, protocol string, count int) map[int32][]seen {
	t.Helper()
	c, err := kafka.NewConsumer(config(t, "group.id", topic+"-group", "group.protocol", protocol, "auto.offset.reset", "earliest"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Subscribe(topic, nil); err != nil {
		t.Fatal(err)
	}
	got := map[int32][]seen{}
	for n := range count {
		m, err := c.ReadMessage(20 * time.Second)
		if err != nil {
			t.Fatalf("after %d of %d records: %v", n, count, err)
		}
		p := m.TopicPartition.Partition
		got[p] = append(got[p], seen{int64(m.TopicPartition.Offset), string(m.Key), string(m.Value), m.Value == nil, fmt.Sprint(m.Headers), m.Timestamp.UnixMilli()})
	}
	if m, err := c.ReadMessage(500 * time.Millisecond); err == nil {
		t.Errorf("one record more than was sent: %v", m)
	}
	return got
}

func TestRoundtrip(t *testing.T) {
	const records, partitions = 900, 3
	for i, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		protocol := []string{"classic", "consumer"}[i%2]
		t.Run(codec+"-"+protocol, func(t *testing.T) {
			topic := fmt.Sprintf("confluent-go-%s-%d", codec, time.Now().UnixNano())
			p, err := kafka.NewProducer(config(t, "enable.idempotence", true, "compression.type", codec, "go.delivery.reports", false))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			create(t, topic, partitions)
			want, now := map[int32][]seen{}, time.Now()
			for i := range records {
				m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: int32(i % partitions)}, Key: fmt.Appendf(nil, "k%d", i),
					Timestamp: now.Add(-time.Duration(i) * time.Millisecond), Headers: []kafka.Header{{Key: "n", Value: fmt.Append(nil, i)}, {Key: "empty", Value: []byte{}}}}
				if i%10 != 0 {
					m.Value = fmt.Appendf(nil, "value of record %d with some text to compress, to compress", i)
				}
				part := int32(i % partitions)
				want[part] = append(want[part], seen{int64(i / partitions), string(m.Key), string(m.Value), m.Value == nil, fmt.Sprint(m.Headers), m.Timestamp.UnixMilli()})
				if err := p.Produce(m, nil); err != nil {
					t.Fatal(err)
				}
			}
			if left := p.Flush(20000); left != 0 {
				t.Fatalf("%d records were not sent within 20 s", left)
			}
			if got := read(t, topic, protocol, records); !reflect.DeepEqual(want, got) {
				t.Errorf("the records came back different: %v, want %v", got, want)
			}
		})
	}
}

func TestTransactions(t *testing.T) {
	topic := fmt.Sprintf("confluent-go-txn-%d", time.Now().UnixNano())
	p, err := kafka.NewProducer(config(t, "transactional.id", topic, "go.delivery.reports", false))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	create(t, topic, 1)
	if err := p.InitTransactions(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for i := range 30 {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic}, Value: fmt.Append(nil, i)}, nil); err != nil {
			t.Fatal(err)
		}
		// Flush, so that an abort has something to take back.
		p.Flush(20000)
		end := p.CommitTransaction
		if i%3 == 1 {
			end = p.AbortTransaction
		} else {
			want = append(want, fmt.Sprint(i))
		}
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range read(t, topic, "classic", len(want))[0] {
		got = append(got, s.Value)
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("read %v, want %v", got, want)
	}
}

// Package sarama is IBM's sarama against a broker at BOOTSTRAP: sync, async and
// transactional producers, its admin client.
package sarama

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
)

const records, partitions = 900, 3

type seen struct {
	Offset            int64
	Key, Value        string
	Tombstone         bool
	Headers           string
	TimestampInMillis int64
}

func start(t *testing.T) (string, *sarama.Config) {
	bootstrap := os.Getenv("BOOTSTRAP")
	if bootstrap == "" {
		t.Skip("BOOTSTRAP names no broker")
	}
	c := sarama.NewConfig()
	c.Version = sarama.V3_9_0_0
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	c.Producer.Partitioner = sarama.NewManualPartitioner
	return bootstrap, c
}

func create(t *testing.T, bootstrap, name string, c *sarama.Config) string {
	t.Helper()
	admin, err := sarama.NewClusterAdmin([]string{bootstrap}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	topic := fmt.Sprintf("sarama-%s-%d", name, time.Now().UnixNano())
	retention := "123456789"
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"retention.ms": &retention}}, false); err != nil {
		t.Fatal(err)
	}
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
	if err != nil || len(entries) != 1 || entries[0].Value != retention {
		t.Fatalf("DescribeConfig gave %+v, %v", entries, err)
	}
	return topic
}

func message(topic string, i int, now time.Time) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: topic, Partition: int32(i % partitions), Key: sarama.StringEncoder(fmt.Sprint("k", i)),
		Timestamp: now.Add(-time.Duration(i) * time.Millisecond),
		Headers:   []sarama.RecordHeader{{Key: []byte("n"), Value: fmt.Append(nil, i)}, {Key: []byte("empty"), Value: []byte{}}}}
	if i%10 != 0 {
		m.Value = sarama.StringEncoder(fmt.Sprint("value of record ", i, " with some text to compress, to compress"))
	}
	return m
}

// sent is how a message must come back.
func sent(m *sarama.ProducerMessage, offset int64) seen {
	s := seen{Offset: offset, Tombstone: m.Value == nil, Headers: fmt.Sprint(m.Headers), TimestampInMillis: m.Timestamp.UnixMilli()}
	key, _ := m.Key.Encode()
	s.Key = string(key)
	if m.Value != nil {
		value, _ := m.Value.Encode()
		s.Value = string(value)
	}
	return s
}

func consume(t *testing.T, bootstrap, topic string, c *sarama.Config, want [][]seen) {
	t.Helper()
	consumer, err := sarama.NewConsumer([]string{bootstrap}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	for p, want := range want {
		pc, err := consumer.ConsumePartition(topic, int32(p), sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		var got []seen
		for len(got) < len(want) {
			select {
			case m := <-pc.Messages():
				headers := make([]sarama.RecordHeader, len(m.Headers))
				for i, h := range m.Headers {
					headers[i] = *h
				}
				got = append(got, seen{m.Offset, string(m.Key), string(m.Value), m.Value == nil, fmt.Sprint(headers), m.Timestamp.UnixMilli()})
			case <-time.After(time.Minute):
				t.Fatalf("partition %d: nothing came for ten seconds after %d records", p, len(got))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("partition %d came back different: %s", p, d)
		}
		if err := pc.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestProducers(t *testing.T) {
	bootstrap, _ := start(t)
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		for _, kind := range []string{"sync", "async"} {
			t.Run(codec.String()+"-"+kind, func(t *testing.T) {
				t.Parallel()
				_, c := start(t)
				c.Producer.Compression = codec
				topic := create(t, bootstrap, codec.String()+"-"+kind, c)
				want, now := make([][]seen, partitions), time.Now()
				messages := make([]*sarama.ProducerMessage, records)
				for i := range messages {
					messages[i] = message(topic, i, now)
					want[i%partitions] = append(want[i%partitions], sent(messages[i], int64(i/partitions)))
				}
				if kind == "sync" {
					producer, err := sarama.NewSyncProducer([]string{bootstrap}, c)
					if err != nil {
						t.Fatal(err)
					}
					if err := producer.SendMessages(messages); err != nil {
						t.Fatal(err)
					}
					if err := producer.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					producer, err := sarama.NewAsyncProducer([]string{bootstrap}, c)
					if err != nil {
						t.Fatal(err)
					}
					go func() {
						for _, m := range messages {
							producer.Input() <- m
						}
					}()
					for range messages {
						select {
						case <-producer.Successes():
						case err := <-producer.Errors():
							t.Fatal(err)
						}
					}
					if err := producer.Close(); err != nil {
						t.Fatal(err)
					}
				}
				consume(t, bootstrap, topic, c, want)
			})
		}
	}
}

// TestTransactions commits and aborts in turn and moves a group's offsets with it.
func TestTransactions(t *testing.T) {
	t.Parallel()
	bootstrap, c := start(t)
	c.Producer.Transaction.ID = fmt.Sprint("sarama-", time.Now().UnixNano())
	topic := create(t, bootstrap, "txn", c)
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, c)
	if err != nil {
		t.Fatal(err)
	}
	want, now := make([][]seen, partitions), time.Now()
	next := make([]int64, partitions)
	group := topic + "-group"
	for i := range 30 {
		if err := producer.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		commit := i%3 != 1
		for p := range partitions {
			m := message(topic, i*partitions+p, now)
			if _, offset, err := producer.SendMessage(m); err != nil || offset != next[p] {
				t.Fatalf("transaction %d: SendMessage gave offset %d, %v; want %d", i, offset, err, next[p])
			}
			if commit {
				want[p] = append(want[p], sent(m, next[p]))
			}
			next[p] += 2 // the record and the marker
		}
		if err := producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{
			topic: {{Partition: 0, Offset: int64(i), LeaderEpoch: -1}}}, group); err != nil {
			t.Fatal(err)
		}
		end := producer.AbortTxn
		if commit {
			end = producer.CommitTxn
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if err := producer.Close(); err != nil {
		t.Fatal(err)
	}
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	consume(t, bootstrap, topic, c, want)
	admin, err := sarama.NewClusterAdmin([]string{bootstrap}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	if err != nil {
		t.Fatal(err)
	}
	// Transaction 29 committed (29 % 3 == 2).
	if got := offsets.GetBlock(topic, 0); got == nil || got.Offset != 29 {
		t.Errorf("the group's offset is %+v, want 29", got)
	}
}

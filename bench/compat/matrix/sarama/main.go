// Command sarama is the matrix's sarama, of any release: usage sarama BOOTSTRAP VERSION.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"

	"github.com/chronik-stream/chronik/bench/compat/matrix/line"
)

type client struct {
	bootstrap []string
	version   sarama.KafkaVersion
}

func main() {
	version, err := sarama.ParseKafkaVersion(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	line.Serve(client{bootstrap: []string{os.Args[1]}, version: version})
}

func (c client) config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = c.version
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Retry.Max = 0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Return.Errors = true
	return config
}

var codecs = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}

func (c client) Produce(topic, codec string, n int, acked func(int64)) error {
	config := c.config()
	config.Producer.Compression = codecs[codec]
	p, err := sarama.NewSyncProducer(c.bootstrap, config)
	if err != nil {
		return err
	}
	messages := make([]*sarama.ProducerMessage, n)
	for i := range messages {
		m := &sarama.ProducerMessage{Topic: topic, Timestamp: time.UnixMilli(int64(line.FirstTime + i))}
		if key := line.Key(i); key != nil {
			m.Key = sarama.ByteEncoder(key)
		}
		if value := line.Value(i); value != nil {
			m.Value = sarama.ByteEncoder(value)
		}
		messages[i] = m
	}
	if err := p.SendMessages(messages); err != nil {
		return fmt.Errorf("%d messages were not sent, the first: %w", len(err.(sarama.ProducerErrors)), err.(sarama.ProducerErrors)[0].Err)
	}
	for _, m := range messages {
		acked(m.Offset)
	}
	return p.Close()
}

func (c client) Consume(topic string, last int64, saw func(line.Record)) error {
	consumer, err := sarama.NewConsumer(c.bootstrap, c.config())
	if err != nil {
		return err
	}
	defer consumer.Close()
	part, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer part.Close()
	for {
		select {
		case m := <-part.Messages():
			saw(c.record(m))
			if m.Offset >= last {
				return nil
			}
		case err := <-part.Errors():
			return err
		}
	}
}

func (c client) record(m *sarama.ConsumerMessage) line.Record {
	at := int64(-1)
	if !m.Timestamp.IsZero() {
		at = m.Timestamp.UnixMilli()
	}
	return line.Record{Offset: m.Offset, Time: at, Key: m.Key, Value: m.Value}
}

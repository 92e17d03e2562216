// Command kafkago is the matrix's segmentio/kafka-go: usage kafkago BOOTSTRAP.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/chronik-stream/chronik/bench/compat/matrix/line"
)

type client struct{ bootstrap string }

func main() { line.Serve(client{os.Args[1]}) }

var codecs = map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}

func (c client) Produce(topic, codec string, n int, acked func(int64)) error {
	var failed error
	w := &kafka.Writer{Addr: kafka.TCP(c.bootstrap), Topic: topic, RequiredAcks: kafka.RequireAll, Compression: codecs[codec],
		Transport:    &kafka.Transport{}, // the default one remembers for seconds which topics there are
		BatchTimeout: 5 * time.Millisecond, Completion: func(messages []kafka.Message, err error) {
			if err != nil {
				failed = err
			}
			for _, m := range messages {
				acked(m.Offset)
			}
		}}
	messages := make([]kafka.Message, n)
	for i := range messages {
		messages[i] = kafka.Message{Key: line.Key(i), Value: line.Value(i), Time: time.UnixMilli(int64(line.FirstTime + i))}
	}
	if err := w.WriteMessages(context.Background(), messages...); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return failed
}

func (c client) Consume(topic string, last int64, saw func(line.Record)) error {
	return c.read(kafka.ReaderConfig{Brokers: []string{c.bootstrap}, Topic: topic, MaxWait: 100 * time.Millisecond}, last, saw)
}

func (c client) Member(topic, group string, last int64, saw func(line.Record)) error {
	return c.read(kafka.ReaderConfig{Brokers: []string{c.bootstrap}, Topic: topic, GroupID: group, StartOffset: kafka.FirstOffset,
		MaxWait: 100 * time.Millisecond}, last, saw)
}

func (c client) read(config kafka.ReaderConfig, last int64, saw func(line.Record)) error {
	r := kafka.NewReader(config)
	for {
		m, err := r.FetchMessage(context.Background())
		if err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		saw(line.Record{Offset: m.Offset, Time: m.Time.UnixMilli(), Key: m.Key, Value: m.Value})
		if m.Offset < last {
			continue
		}
		if config.GroupID != "" {
			if err := r.CommitMessages(context.Background(), m); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
		}
		return r.Close()
	}
}

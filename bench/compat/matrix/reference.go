package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/bench/compat/matrix/line"
)

// The reference client is franz-go as it is today: it writes what the clients of
// the matrix read, and reads what they write.

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

var compressions = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}

// records are written to each topic, numbered as in package line.
const records = 1000

func (m *matrix) create(topic string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(m.bootstrap))
	if err != nil {
		return err
	}
	defer cl.Close()
	ever := "-1" // the records are of 2017
	_, err = kadm.NewClient(cl).CreateTopic(context.Background(), 1, 1, map[string]*string{"retention.ms": &ever}, topic)
	return err
}

// write writes records first to end-1: in many small batches, with headers, and
// in one transaction when that is asked for, so that a control batch follows.
func (m *matrix) write(topic, codec string, first, end int, txn bool) error {
	opts := []kgo.Opt{kgo.SeedBrokers(m.bootstrap), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(compressions[codec]),
		kgo.ProducerBatchMaxBytes(4096)}
	if txn {
		opts = append(opts, kgo.TransactionalID("t-"+topic))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if txn {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
	}
	var list []*kgo.Record
	for i := first; i < end; i++ {
		list = append(list, &kgo.Record{Key: line.Key(i), Value: line.Value(i), Timestamp: time.UnixMilli(int64(line.FirstTime + i)),
			Headers: []kgo.RecordHeader{{Key: "dropped-for-old-clients", Value: []byte{1}}}})
	}
	if err := cl.ProduceSync(ctx, list...).FirstErr(); err != nil {
		return err
	}
	if txn {
		return cl.EndTransaction(ctx, kgo.TryCommit)
	}
	return nil
}

// sample makes a topic that every client reads: by codec, or with a transaction
// in its midst.
func (m *matrix) sample(kind string) error {
	topic := "sample-" + kind
	if err := m.create(topic); err != nil {
		return err
	}
	if kind != "transaction" {
		return m.write(topic, kind, 0, records, false)
	}
	if err := m.write(topic, "none", 0, 300, false); err != nil {
		return err
	}
	if err := m.write(topic, "none", 300, 500, true); err != nil {
		return err
	}
	if err := m.awaitMarker(topic, 501); err != nil {
		return err
	}
	return m.write(topic, "none", 500, records, false)
}

// awaitMarker waits until the control batch is there, which follows the answer to
// the commit.
func (m *matrix) awaitMarker(topic string, end int64) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(m.bootstrap))
	if err != nil {
		return err
	}
	defer cl.Close()
	for range 100 {
		offsets, err := kadm.NewClient(cl).ListEndOffsets(context.Background(), topic)
		if err != nil {
			return err
		}
		if o, _ := offsets.Lookup(topic, 0); o.Offset == end {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("no control batch came to %s within 5 s", topic)
}

// plainOffset and transactionOffset are where record i of a sample lies.
func plainOffset(i int) int64 { return int64(i) }

func transactionOffset(i int) int64 {
	if i >= 500 {
		return int64(i) + 1
	}
	return int64(i)
}

// want is record i as a client should show it.
func want(i int, offset int64, showsTime bool) record {
	at := int64(-1)
	if showsTime {
		at = int64(line.FirstTime + i)
	}
	return record{offset, at, text(line.Key(i)), text(line.Value(i))}
}

func text(b []byte) string {
	if b == nil {
		return "~"
	}
	return hex.EncodeToString(b)
}

// stored reads what a client wrote and gives it with the codecs of its batches.
func (m *matrix) stored(topic string, n int) (got []record, used map[string]bool, err error) {
	start := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}
	cl, err := kgo.NewClient(kgo.SeedBrokers(m.bootstrap), kgo.ConsumePartitions(start))
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	used = map[string]bool{}
	for len(got) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return got, used, fmt.Errorf("%d of %d records are stored: %w", len(got), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at := int64(-1)
			if !r.Timestamp.IsZero() {
				at = r.Timestamp.UnixMilli()
			}
			got = append(got, record{r.Offset, at, text(r.Key), text(r.Value)})
			used[codecs[r.Attrs.CompressionType()]] = true
		})
	}
	return got, used, nil
}

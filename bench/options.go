package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

// Target is the broker under load and how to reach it.
type Target struct {
	// Bootstrap is host:port.
	Bootstrap string
	// TLS, when set, encrypts every connection; Login, when set, is how each of
	// them authenticates.
	TLS   *tls.Config
	Login sasl.Mechanism
	// PID of the broker, when it runs on this machine and its CPU and memory
	// are to be measured. 0 for none.
	PID int
	// AckRule says in words when this broker acknowledges («fdatasync before
	// the ack», «page cache»). It is printed beside every figure.
	AckRule string
	// Live, when set, is told twice a second how a run goes.
	Live func(Progress)

	smallBuffers bool // raw connections read with 1 KiB
}

// Options are what a kgo client of the target needs.
func (t Target) Options() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(t.Bootstrap), kgo.ClientID("chronik-bench"),
		// The default of 5 s would make every run wait for a topic made just now.
		kgo.MetadataMinAge(50 * time.Millisecond)}
	if t.Login != nil {
		opts = append(opts, kgo.SASL(t.Login))
	}
	if t.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(t.TLS))
	}
	return opts
}

func (t Target) client(opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(t.Options(), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", t.Bootstrap, err)
	}
	return client, nil
}

// Load says what is sent. The zero value of a field means its default.
type Load struct {
	Topic      string
	Partitions int32 // of a topic that is made; default 6
	// Producers is the number of clients. Default 1.
	Producers int
	// Records ends the run after that many in all; 0 means Duration decides.
	Records  int64
	Duration time.Duration // default 10 s
	// Warmup is run first and not counted. Default 1 s.
	Warmup time.Duration
	// Rate is records/s in all, sent open loop: the latency counts from when a
	// record was due. 0 sends as fast as the in-flight limit allows.
	Rate float64
	// RecordSize is the value's bytes. Default 1024.
	RecordSize int
	// BatchBytes bounds a batch. Default 128 KiB.
	BatchBytes int
	// Linger of the client. Default 0.
	Linger time.Duration
	// InFlight is the requests in flight per producer. Default 5 for kgo, 1 raw.
	InFlight int
	// Acks is -1, 0 or 1. The default (0 value) is -1; ask for none with NoAcks.
	Acks   int16
	NoAcks bool
	// Idempotent turns the idempotent producer on (kgo only).
	Idempotent bool
	// Transaction, when above 0, is the records per transaction (kgo only).
	Transaction int
	// Codec is none, gzip, snappy, lz4 or zstd.
	Codec string
	// Keys is how keys are made: none, round-robin, random.
	Keys string
	// Raw uses the kmsg client: pre-encoded batches, one request at a time or
	// InFlight pipelined.
	Raw bool
	// RawBatch is the records per batch of the raw client. Default 1.
	RawBatch int
	// Verify writes a sequence and a checksum into every record.
	Verify        bool
	inFlightAsked bool // InFlight is not a default
}

func (l Load) withDefaults() Load {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	if l.Partitions == 0 {
		l.Partitions = 6
	}
	if l.Duration == 0 {
		l.Duration = 10 * time.Second
	}
	if l.Acks == 0 && !l.NoAcks {
		l.Acks = -1
	}
	if l.Codec == "" {
		l.Codec = "none"
	}
	if l.Keys == "" {
		l.Keys = "none"
	}
	def(&l.Producers, 1)
	def(&l.RecordSize, 1024)
	def(&l.BatchBytes, 128<<10)
	def(&l.RawBatch, 1)
	l.inFlightAsked = l.InFlight != 0
	if l.Raw {
		def(&l.InFlight, 1)
	} else {
		def(&l.InFlight, 5)
	}
	return l
}

// check refuses what cannot be meant.
func (l Load) check() error {
	switch {
	case l.Topic == "":
		return errors.New("bench: no topic is named; give one with --topic")
	case l.Acks < -1 || l.Acks > 1:
		return fmt.Errorf("bench: acks is %d; it must be -1, 0 or 1", l.Acks)
	case l.Raw && (l.Idempotent || l.Transaction > 0 || l.Codec != "none" || l.Keys != "none" || l.Linger > 0):
		return errors.New("bench: the raw client sends plain uncompressed batches without keys; leave out --raw to use idempotence, transactions, a codec, keys or linger")
	case l.NoAcks && (l.Idempotent || l.Transaction > 0), l.Acks == 1 && (l.Idempotent || l.Transaction > 0):
		return errors.New("bench: idempotence and transactions need --acks -1")
	case l.Producers < 1 || l.RecordSize < 1 || l.BatchBytes < 1 || l.InFlight < 1 || l.RawBatch < 1 || l.Partitions < 1:
		return errors.New("bench: producers, partitions, size, batch, in-flight and raw-batch must be at least 1")
	case (l.Idempotent || l.Transaction > 0) && l.inFlightAsked && l.InFlight != 5:
		return fmt.Errorf("bench: an idempotent producer has 5 requests in flight, as its client fixes it; --in-flight %d cannot be honoured", l.InFlight)
	case l.Rate < 0 || l.Records < 0 || l.Duration < 0 || l.Warmup < 0 || l.Linger < 0 || l.Transaction < 0:
		return errors.New("bench: rate, records, duration, warmup, linger and transaction cannot be below 0")
	case l.Verify && l.RecordSize < verifyBytes:
		return fmt.Errorf("bench: verification needs records of at least %d bytes; --size is %d", verifyBytes, l.RecordSize)
	}
	if _, err := Codec(l.Codec); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	switch l.Keys {
	case "none", "round-robin", "random":
	default:
		return fmt.Errorf("bench: keys are none, round-robin or random, not %q", l.Keys)
	}
	return nil
}

// Codec is a compression codec by its name; "" is none.
func Codec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none", "":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.NoCompression(), fmt.Errorf("codecs are none, gzip, snappy, lz4 and zstd, not %q", name)
}

// EnsureTopic makes the topic unless it exists, and waits until it has leaders.
func EnsureTopic(ctx context.Context, t Target, topic string, partitions int32) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("asking %s for topic %s: %w", t.Bootstrap, topic, err)
	}
	if !topics.Has(topic) || topics[topic].Err != nil {
		if _, err := admin.CreateTopic(ctx, partitions, -1, nil, topic); err != nil {
			return fmt.Errorf("creating topic %s: %w", topic, err)
		}
	}
	for ctx.Err() == nil {
		topics, err := admin.ListTopics(ctx, topic)
		if err == nil && topics.Has(topic) && topics[topic].Err == nil && leaders(topics[topic]) {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("topic %s had no leaders in time: %w", topic, ctx.Err())
}

func leaders(t kadm.TopicDetail) bool {
	for _, p := range t.Partitions {
		if p.Err != nil || p.Leader < 0 {
			return false
		}
	}
	return len(t.Partitions) > 0
}

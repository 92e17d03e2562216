package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// scene is one exchange that is measured, and what is beside it.
type scene struct {
	every   time.Duration
	loads   []string
	prepare func(ctx context.Context, addr string) error
	request func() kmsg.Request // sent as it is, over and over
}

var scenes = map[string]scene{
	"fetch":    {every: 2 * time.Millisecond, loads: []string{"old", "same"}, prepare: fillGzip, request: func() kmsg.Request { return fetchOf(12, 64<<10) }},
	"produce":  {every: 2 * time.Millisecond, loads: []string{"metadata"}, prepare: fillTopics, request: produceOne},
	"metadata": {every: 20 * time.Millisecond, loads: []string{"metadata"}, prepare: fillTopics, request: allTopics},
}

// loads are the clients beside it: how many, how often each asks (over and over
// when that is 0), and what.
var loads = map[string]struct {
	what    string
	clients int
	every   time.Duration
	request func() kmsg.Request
}{
	"old":      {"10 clients of Fetch v2", 10, 0, func() kmsg.Request { return fetchOf(2, 1<<20) }},
	"same":     {"10 clients of Fetch v12", 10, 0, func() kmsg.Request { return fetchOf(12, 1<<20) }},
	"metadata": {"1,000 refreshes of metadata in 5 s", 1000, 5 * time.Second, allTopics},
}

// topic is where records are produced to and fetched from.
const topic = "beside"

// beLoad is the load until the standard input ends.
func beLoad(name, addr string) error {
	l, ok := loads[name]
	if !ok {
		return fmt.Errorf("there is no load %q", name)
	}
	var n atomic.Int64
	var ending atomic.Bool
	failed := make(chan error, l.clients)
	conns := make([]*conn, l.clients)
	for i := range conns {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		conns[i] = c
		if i == 0 {
			if err := c.look(l.request()); err != nil {
				return err
			}
		}
	}
	for i, c := range conns {
		go func() {
			frame := encode(l.request())
			<-time.After(l.every * time.Duration(i) / time.Duration(l.clients))
			turn := time.NewTicker(max(l.every, 1))
			defer turn.Stop()
			for !ending.Load() {
				if err := c.exchange(frame); err != nil {
					failed <- err
					return
				}
				n.Add(1)
				if l.every > 0 {
					<-turn.C
				}
			}
		}()
	}
	fmt.Println("begun")
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	select {
	case err := <-failed:
		return err
	case err := <-ended:
		ending.Store(true)
		fmt.Println(n.Load())
		return err
	}
}

// conn is a connection that spends next to nothing on an answer.
type conn struct {
	net.Conn
	buf []byte // as large as the largest answer so far
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, make([]byte, 64<<10)}, nil
}

func (c *conn) close() { _ = c.Conn.Close() }

// look is an exchange whose answer is decoded, and must be one without an error.
func (c *conn) look(req kmsg.Request) error {
	if err := c.exchange(encode(req)); err != nil {
		return err
	}
	resp, body := req.ResponseKind(), c.buf[4:]
	if resp.IsFlexible() {
		body = body[1:] // no tags
	}
	if err := resp.ReadFrom(body); err != nil {
		return err
	}
	code, size := int16(0), 0
	switch r := resp.(type) {
	case *kmsg.FetchResponse:
		code, size = r.Topics[0].Partitions[0].ErrorCode, len(r.Topics[0].Partitions[0].RecordBatches)
	case *kmsg.ProduceResponse:
		code, size = r.Topics[0].Partitions[0].ErrorCode, 1
	case *kmsg.MetadataResponse:
		for _, t := range r.Topics {
			size += len(t.Partitions)
			code = max(code, t.ErrorCode)
		}
	}
	if code != 0 || size == 0 {
		return fmt.Errorf("%s v%d is answered with code %d and %d of what was asked for", kmsg.NameForKey(req.Key()), req.GetVersion(), code, size)
	}
	return nil
}

// exchange sends a request and reads the answer, which is in buf until the next.
func (c *conn) exchange(frame []byte) error {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := c.Write(frame); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, c.buf[:4]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(c.buf))
	if n > len(c.buf) {
		c.buf = make([]byte, n)
	}
	_, err := io.ReadFull(c, c.buf[:n])
	return err
}

func encode(req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("beside")).AppendRequest(nil, req, 1)
}

// fetchOf reads from the topic's start.
func fetchOf(version int16, most int32) kmsg.Request {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.SessionEpoch = version, 1, most, -1
	part := kmsg.NewFetchRequestTopicPartition()
	part.PartitionMaxBytes = most
	top := kmsg.NewFetchRequestTopic()
	top.Topic, top.Partitions = topic, []kmsg.FetchRequestTopicPartition{part}
	req.Topics = append(req.Topics, top)
	return req
}

func allTopics() kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	return req
}

// produceOne is a Produce of one record of 100 bytes, acks=all.
func produceOne() kmsg.Request {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 30_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = oneRecord()
	top := kmsg.NewProduceRequestTopic()
	top.Topic, top.Partitions = topic, []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = append(req.Topics, top)
	return req
}

// oneRecord is a batch of one record.
func oneRecord() []byte {
	record := kmsg.Record{Value: text(rand.New(rand.NewPCG(3, 4)), 100)}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // the length of length 0 is one byte
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: record.AppendTo(nil)}
	b.Length = int32(49 + len(b.Records))
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// text is bytes that gzip makes a third of.
func text(rng *rand.Rand, n int) []byte {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%x ", rng.Uint32N(1<<20))
	}
	return []byte(b.String()[:n])
}

// fillGzip makes a topic of 32 MiB in batches of 64 KiB, in gzip.
func fillGzip(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.ProducerLinger(100*time.Millisecond), kgo.ProducerBatchMaxBytes(64<<10), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	failed := make(chan error, 1)
	for range 32 << 10 {
		cl.Produce(ctx, &kgo.Record{Value: text(rng, 1<<10)}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// fillTopics makes ten topics of 1,000 partitions, and the one that is produced
// to.
func fillTopics(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	for i := range 11 {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 120_000
		one := kmsg.NewCreateTopicsRequestTopic()
		one.Topic, one.NumPartitions, one.ReplicationFactor = fmt.Sprint("many", i), 1000, 1
		if i == 10 {
			one.Topic, one.NumPartitions = topic, 1
		}
		req.Topics = append(req.Topics, one)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		if code := resp.Topics[0].ErrorCode; code != 0 {
			return fmt.Errorf("topic %s is refused with code %d", one.Topic, code)
		}
	}
	return nil
}

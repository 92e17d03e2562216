package bench

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Read says what is consumed.
type Read struct {
	Topic     string
	Consumers int           // default 1; each takes its share of the partitions
	Records   int64         // 0: all that the topic holds at the start
	MaxWait   time.Duration // default 5 s without a record ends the run
	// Duration, above 0, reads the topic again and again until it has passed.
	Duration time.Duration
	// Raw reads with the kmsg client, which looks at the heads of batches only;
	// bytes are then those of the batches.
	Raw bool
}

// What a consumer asks for at once.
const (
	fetchBytes          = 50 << 20
	fetchPartitionBytes = 4 << 20
)

// Consume reads a topic from its start as fast as it can.
func Consume(ctx context.Context, t Target, rd Read) (*Result, error) {
	if rd.Topic == "" {
		return nil, fmt.Errorf("bench: no topic is named; give one with --topic")
	}
	rd.Consumers = max(rd.Consumers, 1)
	if rd.MaxWait == 0 {
		rd.MaxWait = 5 * time.Second
	}
	held, err := spans(ctx, t, rd.Topic)
	if err != nil {
		return nil, err
	}
	want := rd.Records
	if want == 0 {
		for _, s := range held {
			want += s.end - s.start
		}
	}
	r := newRun(t, Load{Topic: rd.Topic, Producers: rd.Consumers, Records: want, Duration: time.Hour})
	err = r.all(ctx, func(ctx context.Context, n int) error {
		share := map[int32]span{}
		for p, s := range held {
			if int(p)%rd.Consumers == n && s.end > s.start {
				share[p] = s
			}
		}
		for again := len(share) > 0; again; again = ctx.Err() == nil && time.Since(r.started) < rd.Duration {
			if err := r.readShare(ctx, rd, maps.Clone(share), want); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	res := r.result("consume")
	client := "kgo"
	if rd.Raw {
		client = "raw"
	}
	res.Load = fmt.Sprintf("%s, %d consumers, topic %s", client, rd.Consumers, rd.Topic)
	return res, nil
}

// readShare reads a consumer's partitions from their starts to their ends, or until
// all consumers have read what is wanted.
func (r *run) readShare(ctx context.Context, rd Read, share map[int32]span, want int64) error {
	left := int64(0)
	for _, s := range share {
		left += s.end - s.start
	}
	// What lies between a poll's records and those before was compacted away.
	count := func(partition int32, next, records, bytes int64) {
		r.records.Add(records)
		r.bytes.Add(bytes)
		if s := share[partition]; next > s.start && s.start < s.end {
			left -= min(next, s.end) - s.start
			s.start = min(next, s.end)
			share[partition] = s
		}
	}
	open := r.kgoReader
	if rd.Raw {
		open = r.rawReader
	}
	poll, done, err := open(ctx, rd, share, count)
	if err != nil {
		return err
	}
	defer done()
	for left > 0 && (rd.Duration > 0 || r.records.Load() < want) {
		pollCtx, cancel := context.WithTimeout(ctx, rd.MaxWait)
		err := poll(pollCtx)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d of %d records: %w", r.records.Load(), want, err)
		}
	}
	return nil
}

// saw is told what a poll read of a partition: how far, how many records and
// bytes.
type saw func(partition int32, next, records, bytes int64)

// kgoReader polls a kgo client.
func (r *run) kgoReader(_ context.Context, rd Read, share map[int32]span, saw saw) (poll func(context.Context) error, done func(), err error) {
	// Markers of transactions count towards the end, and are not records.
	client, err := r.target.client(append(consumeFrom(rd.Topic, share, func(s span) int64 { return s.start }), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			var records, bytes int64
			for _, rec := range p.Records {
				if !rec.Attrs.IsControl() {
					records++
					bytes += int64(len(rec.Key) + len(rec.Value))
				}
			}
			if n := len(p.Records); n > 0 {
				saw(p.Partition, p.Records[n-1].Offset+1, records, bytes)
			}
		})
		return nil
	}, client.Close, nil
}

// span is the readable offsets of a partition, from start to before end.
type span struct{ start, end int64 }

// consumeFrom are a consumer's options to read partitions from an offset each.
func consumeFrom(topic string, held map[int32]span, from func(span) int64) []kgo.Opt {
	parts := map[int32]kgo.Offset{}
	for p, s := range held {
		parts[p] = kgo.NewOffset().At(from(s))
	}
	return []kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: parts}), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchPartitionBytes)}
}

// spans asks for the offsets of every partition of a topic.
func spans(ctx context.Context, t Target, topic string) (map[int32]span, error) {
	client, err := t.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("asking for the start of %s: %w", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("asking for the end of %s: %w", topic, err)
	}
	found := map[int32]span{}
	ends.Each(func(o kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, o.Partition); ok && o.Err == nil {
			found[o.Partition] = span{start.Offset, o.Offset}
		}
	})
	if len(found) == 0 {
		return nil, fmt.Errorf("topic %s has no partitions that answer", topic)
	}
	return found, nil
}

// readBack reads what a verified run has left in its topic and compares it with
// what was acknowledged.
func (r *run) readBack(ctx context.Context) (*Verification, error) {
	held, err := spans(ctx, r.target, r.load.Topic)
	if err != nil {
		return nil, err
	}
	parts := map[int32]kgo.Offset{}
	var want int64
	for p, s := range held {
		parts[p] = kgo.NewOffset().At(r.before[p].end)
		want += s.end - r.before[p].end
	}
	client, err := r.target.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.load.Topic: parts}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for seen := int64(0); seen < want; {
		pollCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
		fetches := client.PollFetches(pollCtx)
		cancel()
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("reading back after %d of %d records: %w", seen, want, err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			seen++
			if !rec.Attrs.IsControl() {
				r.ledger.see(rec.Partition, rec.Value)
			}
		})
	}
	return r.ledger.verdict(), nil
}

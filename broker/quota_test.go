package broker

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
)

// setQuota sets a quota of an entity, which is a list of types and names; ""
// is the default.
func setQuota(t testing.TB, adm *kadm.Client, key string, value float64, entity ...string) {
	t.Helper()
	alterQuota(t, adm, kadm.AlterClientQuotaOp{Key: key, Value: value}, entity)
}

func removeQuota(t testing.TB, adm *kadm.Client, key string, entity ...string) {
	t.Helper()
	alterQuota(t, adm, kadm.AlterClientQuotaOp{Key: key, Remove: true}, entity)
}

func alterQuota(t testing.TB, adm *kadm.Client, op kadm.AlterClientQuotaOp, entity []string) {
	t.Helper()
	e := kadm.ClientQuotaEntity{}
	for i := 0; i < len(entity); i += 2 {
		part := kadm.ClientQuotaEntityComponent{Type: entity[i]}
		if entity[i+1] != "" {
			part.Name = &entity[i+1]
		}
		e = append(e, part)
	}
	done, err := adm.AlterClientQuotas(within(t), []kadm.AlterClientQuotaEntry{{Entity: e, Ops: []kadm.AlterClientQuotaOp{op}}})
	if err != nil || done[0].Err != nil {
		t.Fatalf("quota %s of %v: %v %+v", op.Key, entity, err, done)
	}
}

// produceRequest is a Produce of one batch of n records.
func produceRequest(t testing.TB, topic string, n int) *kmsg.ProduceRequest {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, 1, 60_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = batchOf(t, compress.None, n)
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// TestQuotas: each quota is told in throttle_time_ms and then kept by not
// reading the connection.
func TestQuotas(t *testing.T) {
	b := run(t, nil)
	adm := kadm.NewClient(client(t, b))
	ctx := within(t)
	if _, err := adm.CreateTopics(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	t.Run("nothing without a quota", func(t *testing.T) {
		if resp := ask[*kmsg.ProduceResponse](dial(t, b), produceRequest(t, "t", 4000)); resp.ThrottleMillis != 0 {
			t.Errorf("throttled for %d ms", resp.ThrottleMillis)
		}
	})
	t.Run("producer_byte_rate", func(t *testing.T) {
		setQuota(t, adm, "producer_byte_rate", 11000, "client-id", "wire")
		w := dial(t, b)
		began := time.Now() // the pause may begin before the answer is read
		resp := ask[*kmsg.ProduceResponse](w, produceRequest(t, "t", 4000))
		if resp.ThrottleMillis < 100 || resp.Topics[0].Partitions[0].ErrorCode != errNone {
			t.Fatalf("%+v", resp)
		}
		ask[*kmsg.MetadataResponse](w, kmsg.NewPtrMetadataRequest())
		if took, told := time.Since(began), time.Duration(resp.ThrottleMillis)*time.Millisecond; took < told {
			t.Errorf("the next answer came after %v, the throttle is %v", took, told)
		}
	})
	t.Run("consumer_byte_rate", func(t *testing.T) {
		setQuota(t, adm, "consumer_byte_rate", 20_000, "client-id", "wire")
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.MaxBytes, req.MinBytes, req.MaxWaitMillis, req.SessionEpoch = 12, 1<<20, 1, 1000, -1
		ft := kmsg.NewFetchRequestTopic()
		ft.Topic = "t"
		fp := kmsg.NewFetchRequestTopicPartition()
		fp.PartitionMaxBytes = 1 << 20
		ft.Partitions = append(ft.Partitions, fp)
		req.Topics = append(req.Topics, ft)
		w := dial(t, b)
		var throttled, records int
		for range 4 {
			resp := ask[*kmsg.FetchResponse](w, req)
			switch {
			case resp.ThrottleMillis > 0 && len(resp.Topics) == 0:
				throttled++
			case len(resp.Topics) == 1 && len(resp.Topics[0].Partitions[0].RecordBatches) > 0:
				records++
			default:
				t.Fatalf("%d ms, %+v", resp.ThrottleMillis, resp)
			}
			if throttled > 0 {
				break
			}
		}
		if throttled == 0 || records == 0 {
			t.Errorf("%d throttled, %d with records", throttled, records)
		}
	})
	t.Run("controller_mutation_rate", func(t *testing.T) {
		setQuota(t, adm, "controller_mutation_rate", 1, "user", "ANONYMOUS")
		create := func(version int16, topic string) *kmsg.CreateTopicsResponse {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.Version, req.TimeoutMillis = version, 60_000
			one := kmsg.NewCreateTopicsRequestTopic()
			one.Topic, one.NumPartitions, one.ReplicationFactor = topic, 20, 1
			req.Topics = append(req.Topics, one)
			return ask[*kmsg.CreateTopicsResponse](dial(t, b), req)
		}
		if resp := create(7, "m1"); resp.Topics[0].ErrorCode != errNone {
			t.Fatalf("the first: %+v", resp)
		}
		if resp := create(7, "m2"); resp.Topics[0].ErrorCode != errThrottlingQuotaExceeded || resp.ThrottleMillis == 0 {
			t.Errorf("the second: %+v", resp)
		}
		if resp := create(5, "m3"); resp.Topics[0].ErrorCode != errNone || resp.ThrottleMillis == 0 {
			t.Errorf("of an old client: %+v", resp)
		}
	})
	t.Run("request_percentage", func(t *testing.T) {
		setQuota(t, adm, "request_percentage", 0.0001, "client-id", "wire")
		w := dial(t, b)
		eventually(t, "a throttle", func() bool {
			req := kmsg.NewPtrMetadataRequest()
			req.Version = 9
			return ask[*kmsg.MetadataResponse](w, req).ThrottleMillis > 0
		})
	})
	t.Run("connection_creation_rate", func(t *testing.T) {
		setQuota(t, adm, "connection_creation_rate", 1, "ip", "127.0.0.1")
		refused := 0
		for range 40 {
			c, err := net.Dial("tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			w := &wire{t: t, conn: c}
			w.send(kmsg.NewPtrApiVersionsRequest())
			if _, err := w.read(); err != nil {
				refused++
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if refused > 0 {
				break
			}
		}
		if refused == 0 {
			t.Error("every connection was let in")
		}
	})
	t.Run("refused", func(t *testing.T) {
		for _, c := range []struct {
			key   string
			value float64
			ip    bool
		}{{"producer_byte_rate", -1, false}, {"producer_byte_rate", 1.5, false}, {"no_such_key", 1, false}, {"producer_byte_rate", 1, true}} {
			name, kind := "x", "client-id"
			if c.ip {
				name, kind = "10.0.0.1", "ip"
			}
			e := kadm.ClientQuotaEntity{{Type: kind, Name: &name}}
			done, err := adm.AlterClientQuotas(within(t), []kadm.AlterClientQuotaEntry{{Entity: e, Ops: []kadm.AlterClientQuotaOp{{Key: c.key, Value: c.value}}}})
			if err != nil || !errors.Is(done[0].Err, kerr.InvalidRequest) {
				t.Errorf("%+v: %v, %+v", c, err, done)
			}
		}
	})
}

// throttles notes what a client is told of quotas.
type throttles struct{ most atomic.Int64 }

func (h *throttles) OnBrokerThrottle(_ kgo.BrokerMetadata, d time.Duration, after bool) {
	if !after { // as the broker does since KIP-219, the client waits by itself
		h.most.Store(-1)
	} else if h.most.Load() >= 0 {
		h.most.Store(max(h.most.Load(), int64(d)))
	}
}

// TestQuotasSeenByClient: franz-go is throttled by each quota, and the more
// exact entity counts before the others (KIP-13, KIP-546).
func TestQuotasSeenByClient(t *testing.T) {
	b := run(t, func(o *Options) { o.Static = map[string]string{"quota.window.num": "2"} }) // throttles of a second at most
	adm := kadm.NewClient(client(t, b))
	ctx := within(t)
	loads := 0
	load := func(key, id string) time.Duration {
		loads++
		topic, h := fmt.Sprint("t", loads), &throttles{}
		if _, err := adm.CreateTopics(ctx, 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		cl := client(t, b, kgo.ClientID(id), kgo.WithHooks(h), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0))
		if key == "consumer_byte_rate" {
			cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})
		}
		for range 2 {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, 30_000)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if key != "consumer_byte_rate" {
				continue
			}
			if err := cl.PollFetches(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if h.most.Load() < 0 {
			t.Errorf("%s: throttled before the answer", id)
		}
		return time.Duration(h.most.Load())
	}
	for _, c := range []struct {
		key  string
		rate float64
	}{{"producer_byte_rate", 20_000}, {"consumer_byte_rate", 20_000}} {
		setQuota(t, adm, c.key, c.rate, "user", "")
		if got := load(c.key, "plain-"+c.key); got == 0 {
			t.Errorf("%s of every user: not throttled", c.key)
		}
		setQuota(t, adm, c.key, 1e9, "user", "", "client-id", "free-"+c.key)
		if got := load(c.key, "free-"+c.key); got != 0 {
			t.Errorf("%s: a client with a quota of its own was throttled for %v", c.key, got)
		}
		setQuota(t, adm, c.key, c.rate, "user", "ANONYMOUS")
		if got := load(c.key, "free-"+c.key); got == 0 {
			t.Errorf("%s: the user's own quota does not come before that of every user's client", c.key)
		}
		for _, entity := range [][]string{{"user", ""}, {"user", "", "client-id", "free-" + c.key}, {"user", "ANONYMOUS"}} {
			removeQuota(t, adm, c.key, entity...)
		}
	}
	setQuota(t, adm, "request_percentage", 0.01, "client-id", "slow")
	if load("request_percentage", "slow") == 0 {
		t.Error("request_percentage: not throttled")
	}
	setQuota(t, adm, "controller_mutation_rate", 1, "client-id", "mutator")
	h := &throttles{}
	one := kadm.NewClient(client(t, b, kgo.ClientID("mutator"), kgo.WithHooks(h), kgo.RequestRetries(0)))
	var err error
	for i := range 40 {
		var made kadm.CreateTopicResponses
		if made, err = one.CreateTopics(ctx, 5, 1, nil, fmt.Sprint("m", i)); err == nil {
			err = made.Error()
		}
		if err != nil {
			break
		}
	}
	if !errors.Is(err, kerr.ThrottlingQuotaExceeded) {
		t.Errorf("controller_mutation_rate: %v", err)
	}
	// Two windows of a second at one a second: of six connections at once the
	// later ones wait.
	setQuota(t, adm, "connection_creation_rate", 1, "ip", "127.0.0.1")
	began := time.Now()
	for i := range 6 {
		if _, err := kadm.NewClient(client(t, b, kgo.ClientID(fmt.Sprint("c", i)))).ListBrokers(ctx); err != nil {
			t.Errorf("connection_creation_rate: a client that has to wait does not get in: %v", err)
		}
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("connection_creation_rate: six clients were let in within %v", took)
	}
}

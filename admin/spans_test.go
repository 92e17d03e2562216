package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/chronik-stream/chronik/broker"
)

// collect is an OTLP/HTTP collector that keeps every span.
type collect struct {
	mu      sync.Mutex
	spans   []*tracepb.Span // mu
	service string          // mu
}

func (c *collect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req otlp.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &req) != nil {
		http.Error(w, "not spans", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range req.ResourceSpans {
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				c.service = a.Value.GetStringValue()
			}
		}
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
}

// TestSpans holds what a collector receives against what a client did.
func TestSpans(t *testing.T) {
	c := &collect{}
	web := httptest.NewServer(c)
	defer web.Close()
	b, err := broker.Start(broker.Options{DataDirs: []string{t.TempDir()}, Listeners: "PLAINTEXT://127.0.0.1:0", TraceSample: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := Listen(Options{Broker: b, Addr: "127.0.0.1:0", TraceEndpoint: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	produceAndFetch(t, b)
	_, body := get(t, "http://"+s.Addr()+"/v1/traces")
	if err := s.Close(); err != nil { // sends what is left
		t.Fatal(err)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.service != "chronik" {
		t.Errorf("service.name is %q", c.service)
	}
	children := map[string][]*tracepb.Span{}
	for _, sp := range c.spans {
		children[string(sp.ParentSpanId)] = append(children[string(sp.ParentSpanId)], sp)
	}
	waits := map[string]string{"Produce": "commit", "Fetch": "purgatory", "CreateTopics": "worker"}
	for _, root := range children[""] {
		if root.Kind != tracepb.Span_SPAN_KIND_SERVER || root.EndTimeUnixNano < root.StartTimeUnixNano {
			t.Errorf("%s: kind %s, from %d to %d", root.Name, root.Kind, root.StartTimeUnixNano, root.EndTimeUnixNano)
		}
		at, names := root.StartTimeUnixNano, []string{}
		for _, child := range children[string(root.SpanId)] {
			names = append(names, child.Name)
			if child.StartTimeUnixNano != at {
				t.Errorf("%s: %s begins at %d, the part before it ends at %d", root.Name, child.Name, child.StartTimeUnixNano, at)
			}
			at = child.EndTimeUnixNano
		}
		if len(names) > 0 && at != root.EndTimeUnixNano {
			t.Errorf("%s: its parts %v end at %d, it ends at %d", root.Name, names, at, root.EndTimeUnixNano)
		}
		if want := waits[root.Name]; strings.Join(names, " ") == "queue handle "+want {
			delete(waits, root.Name)
		}
	}
	if len(waits) > 0 {
		t.Errorf("no span of these APIs has its wait: %v", waits)
	}

	var views []TraceView
	if err := json.Unmarshal([]byte(body), &views); err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, v := range views {
		sum := 0.0
		for _, ms := range v.PartsMs {
			sum += ms
		}
		if v.API == "Produce" && v.ClientID == "traced" && v.PartsMs["commit"] > 0 && sum > v.TookMs*0.99 && sum < v.TookMs*1.01 {
			seen = true
		}
	}
	if !seen {
		t.Errorf("/v1/traces has no Produce of the client whose parts add up: %s", body)
	}
}

// TestSpansEndpoint: an address that is none is refused with the flag's name.
func TestSpansEndpoint(t *testing.T) {
	b, err := broker.Start(broker.Options{DataDirs: []string{t.TempDir()}, Listeners: "PLAINTEXT://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, bad := range []string{"127.0.0.1:4318", "http://", "grpc://127.0.0.1:4317"} {
		if _, err := Listen(Options{Broker: b, Addr: "127.0.0.1:0", TraceEndpoint: bad}); err == nil || !strings.Contains(err.Error(), "--trace-endpoint") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// produceAndFetch makes a topic, writes a record and reads it, parked first.
func produceAndFetch(t *testing.T, b *broker.Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ClientID("traced"), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ask := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "other", 1, 1
	ask.Topics = append(ask.Topics, topic)
	if _, err := ask.RequestWith(ctx, cl); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("one")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if f := cl.PollFetches(ctx); f.Err() != nil || f.NumRecords() != 1 {
		t.Fatalf("read %d records, %v", f.NumRecords(), f.Err())
	}
	// The fetch that follows parks; this record wakes it.
	parked := b.Stats().FetchParked
	for b.Stats().FetchParked == parked {
		select {
		case <-ctx.Done():
			t.Fatal("no fetch was parked")
		case <-time.After(time.Millisecond):
		}
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("two")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if f := cl.PollFetches(ctx); f.Err() != nil || f.NumRecords() != 1 {
		t.Fatalf("read %d records, %v", f.NumRecords(), f.Err())
	}
}

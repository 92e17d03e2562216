package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/chronik-stream/chronik/broker"
)

// spans turns the traces that the broker keeps into OpenTelemetry spans, after
// the fact: the hot path knows no tracing library. A request is a server span
// with up to three children, one for each part of its way (see broker.Trace).
//
// Which requests are kept is the broker's business (Options.TraceSample and
// TraceSlow); here each of them is sent.
type spans struct {
	b        *broker.Broker
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	logger   *slog.Logger
	next     uint64
	stop     chan struct{}
	done     chan struct{}
}

// spanInterval is how often the kept traces are read. The broker keeps 1,024:
// more than that in an interval, and the oldest are missed and said so.
const spanInterval = 250 * time.Millisecond

// newSpans begins to send spans to endpoint, an OTLP/HTTP address like
// http://127.0.0.1:4318; a path other than / replaces /v1/traces.
func newSpans(b *broker.Broker, endpoint string, logger *slog.Logger) (*spans, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("admin: the trace endpoint %q (--trace-endpoint) is not http://host:port or https://host:port", endpoint)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	// The exporter connects when it has something to send.
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, fmt.Errorf("admin: the exporter for --trace-endpoint %s cannot be made: %w", endpoint, err)
	}
	return startSpans(b, sdktrace.NewBatchSpanProcessor(exporter), logger), nil
}

// startSpans reads the broker's traces until close.
func startSpans(b *broker.Broker, to sdktrace.SpanProcessor, logger *slog.Logger) *spans {
	s := &spans{b: b, logger: logger, stop: make(chan struct{}), done: make(chan struct{})}
	s.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(to), sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "chronik"), attribute.String("service.version", b.Version()),
			attribute.String("service.instance.id", strconv.Itoa(int(b.Cluster().NodeID()))),
			attribute.String("messaging.kafka.cluster.id", b.Cluster().Image().ClusterID))))
	s.tracer = s.provider.Tracer("github.com/chronik-stream/chronik/admin")
	b.Go("spans", s.run)
	return s
}

func (s *spans) run() {
	defer close(s.done)
	tick := time.NewTicker(spanInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.collect()
		case <-s.stop:
			s.collect()
			return
		}
	}
}

// collect makes spans of what was kept since the last time.
func (s *spans) collect() {
	kept, next, missed := s.b.Traces(s.next)
	s.next = next
	if missed > 0 {
		s.logger.Warn("more requests were traced than could be kept; lower --trace-sample or raise --trace-slow", "missed", missed)
	}
	for i := range kept {
		s.span(&kept[i])
	}
}

func (s *spans) span(t *broker.Trace) {
	ctx, root := s.tracer.Start(context.Background(), t.Name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(t.Received),
		trace.WithAttributes(
			attribute.String("rpc.system", "kafka"), attribute.String("rpc.method", t.Name), attribute.Int("messaging.kafka.api.version", int(t.Version)),
			attribute.Int("messaging.kafka.correlation_id", int(t.Correlation)), attribute.String("messaging.client.id", t.ClientID),
			attribute.String("chronik.listener", t.Listener), attribute.String("client.address", t.Remote.Addr().String()),
			attribute.Int("client.port", int(t.Remote.Port())), attribute.Int("rpc.request.body.size", t.BytesIn), attribute.Int("rpc.response.body.size", t.BytesOut)))
	for _, p := range parts(t) {
		_, child := s.tracer.Start(ctx, p.name, trace.WithTimestamp(p.from))
		child.End(trace.WithTimestamp(p.to))
	}
	switch {
	case t.Closed != "":
		root.SetStatus(codes.Error, t.Closed)
	case t.Failed:
		root.SetStatus(codes.Error, "the answer carries an error code")
	}
	root.End(trace.WithTimestamp(t.Answered))
}

// part is a named stretch of a request's time.
type part struct {
	name     string
	from, to time.Time
}

// keyProduce and keyFetch are the APIs whose waits have a name of their own.
const (
	keyProduce = 0
	keyFetch   = 1
)

// parts divides a request's time. A request that ended before its handler was
// called has none.
func parts(t *broker.Trace) []part {
	if t.Begun.IsZero() {
		return nil
	}
	handled := t.Answered
	if !t.Waiting.IsZero() {
		handled = t.Waiting
	}
	out := []part{{"queue", t.Received, t.Begun}, {"handle", t.Begun, handled}}
	if t.Waiting.IsZero() {
		return out
	}
	wait := "wait"
	switch {
	case t.Worker:
		wait = "worker"
	case t.Key == keyProduce:
		wait = "commit"
	case t.Key == keyFetch:
		wait = "purgatory"
	}
	return append(out, part{wait, t.Waiting, t.Answered})
}

// close sends what is left, for at most a second.
func (s *spans) close() error {
	close(s.stop)
	<-s.done
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("admin: the last spans were not sent: %w", err)
	}
	return nil
}

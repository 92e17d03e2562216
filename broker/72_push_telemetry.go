package broker

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/compress"
)

// PushTelemetry: v0 (KIP-714). The body is OpenTelemetry's MetricsData; what it
// says is kept for /metrics (telemetry.go).
var pushTelemetryAPI = api{
	key: keyPushTelemetry, name: "PushTelemetry", min: 0, max: 0, advertised: 0,
	open: true, place: onWorker, decode: true, handle: decoded(handlePushTelemetry),
}

func handlePushTelemetry(rq *request, r *kmsg.PushTelemetryRequest) kmsg.Response {
	resp := kmsg.NewPtrPushTelemetryResponse()
	resp.ErrorCode = rq.push(r)
	rq.failed = resp.ErrorCode != errNone
	return resp
}

func (rq *request) push(r *kmsg.PushTelemetryRequest) errCode {
	b, t := rq.s.b, &rq.s.b.telemetry
	if r.ClientInstanceID == ([16]byte{}) {
		return errInvalidRequest
	}
	_, _, subscription := b.subscriptionOf(rq.s, r.ClientInstanceID, rq.clientID)
	t.mu.Lock()
	c := t.clients[r.ClientInstanceID]
	code := errNone
	switch {
	case c != nil && c.terminating:
		code = errInvalidRequest // it has said goodbye
	case c == nil || r.SubscriptionID != subscription || c.subscription != subscription:
		code = errUnknownSubscriptionID
	case !r.Terminating && !c.asked.After(c.pushed) && rq.received.Sub(c.pushed) < c.interval:
		// The first after the question may come early: clients spread it over half
		// an interval to one and a half.
		code = errThrottlingQuotaExceeded
	case !compress.Codec(r.CompressionType).Valid():
		code = errUnsupportedCompression
	case int64(len(r.Metrics)) > b.cluster.BrokerInt("telemetry.max.bytes"):
		code = errTelemetryTooLarge
	default:
		c.pushed = rq.received
	}
	if c != nil {
		c.outdated = code == errUnknownSubscriptionID || code == errUnsupportedCompression
	}
	t.mu.Unlock()
	if code != errNone {
		return code
	}
	data, err := compress.Decompress(nil, r.Metrics, compress.Codec(r.CompressionType), maxTelemetryInflated)
	if err != nil {
		return errInvalidRecord
	}
	points, ok := otlpPoints(data, maxClientMetrics)
	if !ok {
		return errInvalidRecord
	}
	instance := cluster.TopicIDString(r.ClientInstanceID)
	t.mu.Lock()
	defer t.mu.Unlock()
	c.metrics = c.metrics[:0]
	for _, p := range points {
		c.metrics = append(c.metrics, ClientMetric{ClientInstance: instance, ClientID: strings.ToValidUTF8(c.clientID, "?"), Name: p.name, Labels: p.labels, Value: p.value})
	}
	c.terminating = r.Terminating
	return errNone
}

package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
)

// GetTelemetrySubscriptions: v0 (KIP-714). Every client may ask; a zero
// instance id is given one. Asking again before the interval has passed with
// the subscription unchanged is THROTTLING_QUOTA_EXCEEDED.
var getTelemetrySubscriptionsAPI = api{
	key: keyGetTelemetry, name: "GetTelemetrySubscriptions", min: 0, max: 0, advertised: 0,
	open: true, place: onLoop, decode: true, handle: decoded(handleGetTelemetrySubscriptions),
}

// telemetryCodecs is what a push may be compressed with, best first.
var telemetryCodecs = []int8{int8(compress.Zstd), int8(compress.LZ4), int8(compress.Gzip), int8(compress.Snappy)}

func handleGetTelemetrySubscriptions(rq *request, r *kmsg.GetTelemetrySubscriptionsRequest) kmsg.Response {
	b := rq.s.b
	resp := kmsg.NewPtrGetTelemetrySubscriptionsResponse()
	id := r.ClientInstanceID
	if id == ([16]byte{}) {
		id = newInstanceID()
	}
	requested, interval, subscription := b.subscriptionOf(rq.s, id, rq.clientID)
	t := &b.telemetry
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.instance(id, rq.received)
	switch {
	case c == nil:
		resp.ErrorCode = errThrottlingQuotaExceeded
	case c.subscription == subscription && rq.received.Sub(c.last()) < interval && !c.outdated && !c.terminating:
		resp.ErrorCode = errThrottlingQuotaExceeded
	}
	if resp.ErrorCode != errNone {
		return refused(rq, resp)
	}
	c.clientID, c.subscription, c.requested, c.interval = rq.clientID, subscription, requested, interval
	c.asked, c.outdated, c.terminating = rq.received, false, false
	resp.ClientInstanceID, resp.SubscriptionID = id, subscription
	resp.AcceptedCompressionTypes = telemetryCodecs
	resp.PushIntervalMillis = int32(interval.Milliseconds())
	resp.TelemetryMaxBytes = int32(b.cluster.BrokerInt("telemetry.max.bytes"))
	resp.DeltaTemporality = true
	resp.RequestedMetrics = requested
	return resp
}

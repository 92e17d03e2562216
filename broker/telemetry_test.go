package broker

import (
	"bytes"
	"encoding/binary"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/compress"
)

// pb writes a length-delimited protobuf field.
func pb(field int, data ...byte) []byte {
	b := binary.AppendUvarint(nil, uint64(field)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// otlpOf is a MetricsData with a gauge of 1.5 and a sum of 7 with an attribute.
func otlpOf() []byte {
	double := binary.LittleEndian.AppendUint64([]byte{4<<3 | 1}, math.Float64bits(1.5))
	integer := binary.LittleEndian.AppendUint64([]byte{6<<3 | 1}, 7)
	attribute := pb(7, join(pb(1, []byte("node")...), pb(2, pb(1, []byte("1")...)...))...)
	gauge := pb(2, join(pb(1, []byte("g")...), pb(5, pb(1, double...)...))...)
	sum := pb(2, join(pb(1, []byte("s")...), pb(7, pb(1, join(integer, attribute)...)...))...)
	return pb(1, pb(2, join(gauge, sum)...)...)
}

// TestTelemetry: a client is told what to push, pushes, and is seen; it is kept
// to its interval, its size and its subscription.
func TestTelemetry(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	alter := func(key, value string) errCode {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Version = 1
		one := kmsg.NewIncrementalAlterConfigsRequestResource()
		one.ResourceType, one.ResourceName = 16, "sub"
		one.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Value: &value}}
		req.Resources = append(req.Resources, one)
		return ask[*kmsg.IncrementalAlterConfigsResponse](w, req).Resources[0].ErrorCode
	}
	// What Kafka's ClientMetricsConfigs.validate refuses with which code.
	for _, bad := range []struct {
		key, value string
		code       errCode
	}{
		{"interval", "1000", errInvalidRequest},
		{"interval.ms", "99", errInvalidRequest},
		{"interval.ms", "3600001", errInvalidRequest},
		{"interval.ms", "x", errInvalidConfig},
		{"match", "client_id", errInvalidConfig},
		{"match", "client_id=a=b", errInvalidConfig},
		{"match", "client_id=(", errInvalidConfig},
		{"match", "client=a", errInvalidConfig},
	} {
		if code := alter(bad.key, bad.value); code != bad.code {
			t.Errorf("%s=%s: code %d, want %d", bad.key, bad.value, code, bad.code)
		}
	}
	ask0 := func(id [16]byte) *kmsg.GetTelemetrySubscriptionsResponse {
		req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
		req.ClientInstanceID = id
		return ask[*kmsg.GetTelemetrySubscriptionsResponse](w, req)
	}
	none := ask0([16]byte{})
	if none.ErrorCode != 0 || none.ClientInstanceID == ([16]byte{}) || len(none.RequestedMetrics) != 0 || none.PushIntervalMillis != 300000 {
		t.Fatalf("without a subscription: %+v", none)
	}
	id := none.ClientInstanceID
	if again := ask0(id); again.ErrorCode != errThrottlingQuotaExceeded {
		t.Errorf("asked again at once: %d", again.ErrorCode)
	}
	for _, c := range [][2]string{{"metrics", "org.apache.kafka.producer.,x."}, {"interval.ms", "60000"}, {"match", "client_id=wir.,client_source_address=127.*"}} {
		if code := alter(c[0], c[1]); code != 0 {
			t.Fatalf("%s: %d", c[0], code)
		}
	}
	sub := ask0(id)
	if sub.ErrorCode != 0 || len(sub.RequestedMetrics) != 2 || sub.PushIntervalMillis != 60000 || sub.SubscriptionID == none.SubscriptionID || sub.TelemetryMaxBytes != 1<<20 {
		t.Fatalf("with a subscription: %+v", sub)
	}
	push := func(change func(*kmsg.PushTelemetryRequest)) errCode {
		req := kmsg.NewPtrPushTelemetryRequest()
		req.ClientInstanceID, req.SubscriptionID, req.Metrics = id, sub.SubscriptionID, otlpOf()
		if change != nil {
			change(req)
		}
		return ask[*kmsg.PushTelemetryResponse](w, req).ErrorCode
	}
	for name, c := range map[string]struct {
		code   errCode
		change func(*kmsg.PushTelemetryRequest)
	}{
		"no id":                {errInvalidRequest, func(r *kmsg.PushTelemetryRequest) { r.ClientInstanceID = [16]byte{} }},
		"another subscription": {errUnknownSubscriptionID, func(r *kmsg.PushTelemetryRequest) { r.SubscriptionID++ }},
		"another client":       {errUnknownSubscriptionID, func(r *kmsg.PushTelemetryRequest) { r.ClientInstanceID[3]++ }},
		"too large":            {errTelemetryTooLarge, func(r *kmsg.PushTelemetryRequest) { r.Metrics = make([]byte, 1<<20+1) }},
		"no codec":             {errUnsupportedCompression, func(r *kmsg.PushTelemetryRequest) { r.CompressionType = 9 }},
	} {
		if got := push(c.change); got != c.code {
			t.Errorf("%s: %d, want %d", name, got, c.code)
		}
	}
	packed, err := compress.Append(nil, otlpOf(), compress.Zstd, compress.DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	if code := push(func(r *kmsg.PushTelemetryRequest) { r.Metrics, r.CompressionType = packed, 4 }); code != 0 {
		t.Fatalf("push: %d", code)
	}
	got := b.ClientMetrics()
	if len(got) != 2 || got[0].Name != "g" || got[0].Value != 1.5 || got[1].Name != "s" || got[1].Value != 7 || got[1].Labels != "node=1" || got[1].ClientID != "wire" {
		t.Errorf("kept: %+v", got)
	}
	if code := push(nil); code != errThrottlingQuotaExceeded {
		t.Errorf("pushed again at once: %d", code)
	}
	// Who is told that its subscription is an old one asks and pushes at once.
	if code := push(func(r *kmsg.PushTelemetryRequest) { r.SubscriptionID++ }); code != errUnknownSubscriptionID {
		t.Errorf("a push of another subscription: %d", code)
	}
	if again := ask0(id); again.ErrorCode != 0 || again.SubscriptionID != sub.SubscriptionID {
		t.Errorf("asked after that: %+v", again)
	}
	if again := ask0(id); again.ErrorCode != errThrottlingQuotaExceeded {
		t.Errorf("asked twice after that: %d", again.ErrorCode)
	}
	if code := push(nil); code != 0 {
		t.Errorf("the first push after the question: %d", code)
	}
	if code := push(nil); code != errThrottlingQuotaExceeded {
		t.Errorf("the second push after the question: %d", code)
	}
	if code := push(func(r *kmsg.PushTelemetryRequest) { r.Terminating = true }); code != 0 {
		t.Errorf("the last push: %d", code)
	}
	if code := push(nil); code != errInvalidRequest {
		t.Errorf("a push after the last: %d", code)
	}
	if left := b.ClientMetrics(); len(left) != 0 {
		t.Errorf("a client that ended is kept: %+v", left)
	}
}

// TestTelemetrySelectors: each of the names in match picks clients out by what it
// says, the whole of it, and all that are given must agree.
func TestTelemetrySelectors(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	hello := kmsg.NewPtrApiVersionsRequest()
	hello.Version, hello.ClientSoftwareName, hello.ClientSoftwareVersion = 3, "some-client", "4.5.6"
	if got := ask[*kmsg.ApiVersionsResponse](w, hello); got.ErrorCode != 0 {
		t.Fatalf("ApiVersions: %d", got.ErrorCode)
	}
	res := cluster.Resource{Type: cluster.ResourceClientMetrics, Name: "sub"}
	set := func(key, value string) {
		t.Helper()
		if got := alterOne(w, res, key, &value); got.ErrorCode != 0 {
			t.Fatalf("%s=%s: %d %s", key, value, got.ErrorCode, errText(got.ErrorMessage))
		}
	}
	set("metrics", "a.")
	_, port, err := net.SplitHostPort(w.conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	asked := byte(0)
	for _, c := range []struct {
		match string
		picks bool
	}{
		{"client_id=wire", true}, {"client_id=wir", false},
		{"client_software_name=some-.*", true}, {"client_software_name=other", false},
		{"client_software_version=4\\.5\\.[0-9]", true}, {"client_software_version=4", false},
		{"client_source_address=127\\.0\\.0\\.1", true}, {"client_source_address=10\\..*", false},
		{"client_source_port=" + port, true}, {"client_source_port=1", false},
		{"client_instance_id=ID", true}, {"client_instance_id=A.*A", false},
		{"client_id=wire,client_software_name=some-client", true}, {"client_id=wire,client_software_name=other", false},
	} {
		// A client may not ask again at once; each question is another client's.
		asked++
		id := [16]byte{9, 8, 7, asked, 15: 0xff}
		set("match", strings.ReplaceAll(c.match, "=ID", "="+cluster.TopicIDString(id)))
		req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
		req.ClientInstanceID = id
		got := ask[*kmsg.GetTelemetrySubscriptionsResponse](w, req)
		if got.ErrorCode != 0 || (len(got.RequestedMetrics) == 1) != c.picks {
			t.Errorf("%s: code %d, metrics %v, want them: %v", c.match, got.ErrorCode, got.RequestedMetrics, c.picks)
		}
	}
}

// TestTelemetryBounds: clients are bounded, and silent ones make room.
func TestTelemetryBounds(t *testing.T) {
	var tel telemetry
	now := time.Unix(1000, 0)
	for i := range maxTelemetryClients {
		c := tel.instance([16]byte{byte(i), byte(i >> 8), 1}, now)
		if c == nil {
			t.Fatalf("client %d is refused", i)
		}
		c.asked, c.interval = now, time.Minute
	}
	if tel.instance([16]byte{1, 1, 2}, now) != nil {
		t.Error("there is no bound")
	}
	if tel.instance([16]byte{1, 1, 2}, now.Add(4*time.Minute)) == nil {
		t.Error("silent clients keep others out")
	}
}

// TestTelemetryKeepsItsBound: what is kept of a long attribute is not as long.
func TestTelemetryKeepsItsBound(t *testing.T) {
	const points, long = 64, 1 << 17
	pair := pb(7, join(pb(1, []byte("k")...), pb(2, pb(1, bytes.Repeat([]byte("v"), long)...)...))...)
	var list []byte
	for range points {
		list = append(list, pb(1, join(binary.LittleEndian.AppendUint64([]byte{6<<3 | 1}, 7), pair)...)...)
	}
	data := pb(1, pb(2, pb(2, join(pb(1, []byte("s")...), pb(7, list...))...)...)...)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	kept, ok := otlpPoints(data, maxClientMetrics)
	if !ok || len(kept) != points || len(kept[0].labels) != maxOTLPLabels {
		t.Fatalf("%v, %d points", ok, len(kept))
	}
	if grown := heap() - before; grown > points*long/4 {
		t.Errorf("%d points with %d bytes of labels each hold %d bytes", points, maxOTLPLabels, grown)
	}
	runtime.KeepAlive(data)
	runtime.KeepAlive(kept)
}

// FuzzOTLP: nothing that a client pushes panics or gives more than was asked for.
func FuzzOTLP(f *testing.F) {
	f.Add(otlpOf())
	f.Fuzz(func(t *testing.T, data []byte) {
		if points, _ := otlpPoints(data, 3); len(points) > 3 {
			t.Errorf("%d points", len(points))
		}
	})
}

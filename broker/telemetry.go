package broker

import (
	"crypto/rand"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// Telemetry of clients (KIP-714). Client-metrics resources say which clients
// are to push which metrics; a client asks for its subscription, then pushes.
// What it pushed last is kept, for /metrics, until it has been silent for three
// intervals. Everything is bounded: clients, metrics of a client, bytes of a
// name.
//
// A client's subscription id is a checksum of what it is asked for, so that a
// change of the configuration shows at its next push
// (UNKNOWN_SUBSCRIPTION_ID), as in Kafka's ClientMetricsManager.

const (
	maxTelemetryClients = 1024
	// maxClientMetrics bounds the data points kept of one client.
	maxClientMetrics     = 512
	defaultPushInterval  = 5 * time.Minute
	maxTelemetryInflated = 8 << 20
)

// ClientMetric is one data point that a client pushed.
type ClientMetric struct {
	ClientInstance string // a UUID
	ClientID       string
	Name           string
	// Labels are the point's own, as key=value sorted and joined by commas.
	Labels string
	Value  float64
}

type telemetry struct {
	mu      sync.Mutex
	clients map[[16]byte]*telemetryClient // mu
}

// telemetryClient is one client instance. Guarded by telemetry.mu.
type telemetryClient struct {
	clientID     string
	subscription int32
	requested    []string
	interval     time.Duration
	asked        time.Time // GetTelemetrySubscriptions
	pushed       time.Time
	// outdated: the last push named another subscription or a codec that is none,
	// and the client may ask again at once.
	outdated    bool
	terminating bool
	metrics     []ClientMetric
}

// subscriptionOf gives what the client-metrics resources ask of a client.
func (b *Broker) subscriptionOf(s *session, instance [16]byte, clientID string) (requested []string, interval time.Duration, id int32) {
	image := b.cluster.Image()
	interval = defaultPushInterval
	matched := false
	for _, name := range image.Resources(cluster.ResourceClientMetrics) {
		res := cluster.Resource{Type: cluster.ResourceClientMetrics, Name: name}
		value := func(key string) string {
			v, _ := image.Config(res, key, b.static)
			return v.Value
		}
		metrics := cluster.SplitList(value("metrics"))
		if len(metrics) == 0 || !matches(cluster.SplitList(value("match")), s, instance, clientID) {
			continue
		}
		requested = append(requested, metrics...)
		if ms, err := strconv.Atoi(value("interval.ms")); err == nil {
			every := time.Duration(ms) * time.Millisecond
			if !matched || every < interval {
				interval = every
			}
		}
		matched = true
	}
	slices.Sort(requested)
	requested = slices.Compact(requested)
	switch {
	case slices.Contains(requested, "*"):
		requested = []string{""} // on the wire the empty prefix means all
	case requested == nil:
		requested = []string{}
	}
	sum := crc32.ChecksumIEEE([]byte(strings.Join(requested, ",") + interval.String()))
	return requested, interval, int32(sum ^ crc32.ChecksumIEEE(instance[:]))
}

// matches reports whether a client has what every selector of match asks for.
func matches(selectors []string, s *session, instance [16]byte, clientID string) bool {
	for _, one := range selectors {
		key, pattern, ok := strings.Cut(one, "=")
		if !ok {
			return false
		}
		var value string
		switch strings.TrimSpace(key) {
		case "client_instance_id":
			value = cluster.TopicIDString(instance)
		case "client_id":
			value = clientID
		case "client_software_name":
			value = s.softwareName
		case "client_software_version":
			value = s.softwareVersion
		case "client_source_address":
			value = s.host.String()
		case "client_source_port":
			value = strconv.Itoa(int(s.conn.RemoteAddr().Port()))
		default:
			return false
		}
		// RE2, so that no pattern takes long; it was checked when it was set.
		re, err := regexp.Compile("^(?:" + strings.TrimSpace(pattern) + ")$")
		if err != nil || !re.MatchString(value) {
			return false
		}
	}
	return true
}

// instance finds or makes a client; nil when there are too many.
func (t *telemetry) instance(id [16]byte, now time.Time) *telemetryClient {
	if c := t.clients[id]; c != nil {
		return c
	}
	if len(t.clients) >= maxTelemetryClients {
		maps.DeleteFunc(t.clients, func(_ [16]byte, c *telemetryClient) bool { return c.silent(now) })
		if len(t.clients) >= maxTelemetryClients {
			return nil
		}
	}
	if t.clients == nil {
		t.clients = map[[16]byte]*telemetryClient{}
	}
	c := &telemetryClient{}
	t.clients[id] = c
	return c
}

// last is when the client was heard of last.
func (c *telemetryClient) last() time.Time {
	if c.pushed.After(c.asked) {
		return c.pushed
	}
	return c.asked
}

func (c *telemetryClient) silent(now time.Time) bool {
	return c.terminating || now.Sub(c.last()) > 3*max(c.interval, time.Second)
}

// ClientMetrics is what clients have pushed last, ordered.
func (b *Broker) ClientMetrics() []ClientMetric {
	t, now := &b.telemetry, time.Now()
	t.mu.Lock()
	var out []ClientMetric
	for id, c := range t.clients {
		if c.silent(now) {
			delete(t.clients, id)
			continue
		}
		out = append(out, c.metrics...)
	}
	t.mu.Unlock()
	slices.SortFunc(out, func(a, b ClientMetric) int {
		if n := strings.Compare(a.ClientInstance, b.ClientInstance); n != 0 {
			return n
		}
		if n := strings.Compare(a.Name, b.Name); n != 0 {
			return n
		}
		return strings.Compare(a.Labels, b.Labels)
	})
	// A client may push a point twice; whoever scrapes wants each once.
	return slices.CompactFunc(out, func(a, b ClientMetric) bool {
		return a.ClientInstance == b.ClientInstance && a.Name == b.Name && a.Labels == b.Labels
	})
}

// newInstanceID gives a random UUID (version 4).
func newInstanceID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

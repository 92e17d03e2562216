package admin

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/broker"
)

// serve starts a broker and its admin server.
func serve(t *testing.T, change func(*Options)) (*broker.Broker, string) {
	t.Helper()
	b, err := broker.Start(broker.Options{DataDirs: []string{t.TempDir()}, Listeners: "PLAINTEXT://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Broker: b, Addr: "127.0.0.1:0"}
	if change != nil {
		change(&o)
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close of the admin server: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close of the broker: %v", err)
		}
	})
	return b, "http://" + s.Addr()
}

// get gives an answer and its body.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// traffic produces, consumes in a group with commits, ends a transaction and
// has a client push a metric. group may be any bytes.
func traffic(t *testing.T, b *broker.Broker, group string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.AllowAutoTopicCreation(), kgo.TransactionalID("txn"), kgo.DefaultProduceTopic("seen"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("a"), kgo.StringRecord("b")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	in, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics("seen"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumerGroup(group), kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	records := in.PollRecords(ctx, 1)
	if err := records.Err(); err != nil {
		t.Fatal(err)
	}
	if err := in.CommitRecords(ctx, records.Records()...); err != nil {
		t.Fatal(err)
	}
	push(ctx, t, cl)
}

// push pushes one gauge with a name that is not UTF-8.
func push(ctx context.Context, t *testing.T, cl *kgo.Client) {
	t.Helper()
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceType(16), "all"
	every := "*"
	res.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "metrics", Value: &every}}
	alter.Resources = append(alter.Resources, res)
	altered, err := alter.RequestWith(ctx, cl)
	if err != nil || altered.Resources[0].ErrorCode != 0 {
		t.Fatalf("a subscription could not be made: %v, %+v", err, altered)
	}
	sub, err := kmsg.NewPtrGetTelemetrySubscriptionsRequest().RequestWith(ctx, cl)
	if err != nil || sub.ErrorCode != 0 {
		t.Fatalf("GetTelemetrySubscriptions: %v, %+v", err, sub)
	}
	field := func(number byte, data []byte) []byte { return append([]byte{number<<3 | 2, byte(len(data))}, data...) }
	value := binary.LittleEndian.AppendUint64([]byte{4<<3 | 1}, math.Float64bits(1.5))
	gauge := append(field(1, []byte("g\xff")), field(5, field(1, value))...)
	req := kmsg.NewPtrPushTelemetryRequest()
	req.ClientInstanceID, req.SubscriptionID = sub.ClientInstanceID, sub.SubscriptionID
	req.Metrics = field(1, field(2, field(2, gauge)))
	resp, err := req.RequestWith(ctx, cl)
	if err != nil || resp.ErrorCode != 0 {
		t.Fatalf("PushTelemetry: %v, %+v", err, resp)
	}
}

// TestMetrics: every metric of the table is collected, with a help text, and
// nothing beside the table; names that are no UTF-8 do no harm.
func TestMetrics(t *testing.T) {
	b, url := serve(t, nil)
	traffic(t, b, "group \xff")
	resp, body := get(t, url+"/metrics")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	told := map[string]bool{}
	for line := range strings.Lines(body) {
		if name, ok := strings.CutPrefix(line, "# TYPE chronik_"); ok {
			told[strings.Fields(name)[0]] = true
		}
	}
	known := map[string]bool{}
	for _, m := range metrics {
		if known[m.name] {
			t.Errorf("%s is in the table twice", m.name)
		}
		known[m.name] = true
		if !told[m.name] {
			t.Errorf("%s is in the table and was not collected", m.name)
		}
		if m.help == "" {
			t.Errorf("%s has no help text", m.name)
		}
	}
	for name := range told {
		if !known[name] {
			t.Errorf("%s was collected and is not in the table", name)
		}
	}
	for _, want := range []string{
		"\nchronik_transactions_committed_total 1\n", "\nchronik_transactional_ids 1\n", `chronik_requests_total{api="EndTxn"} 1`,
		`chronik_group_lag{group="\"group \\xff\"",partition="0",topic="seen"} `, `metric="g?"`,
		`chronik_limit{name="metadata_cache_bytes"} 3.3554432e+07`, `chronik_limit{name="traces"} 1024`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics have no %q", want)
		}
	}
}

// TestHealth: a broker that serves is alive and ready; one that is closed is
// not ready.
func TestHealth(t *testing.T) {
	b, url := serve(t, nil)
	for _, path := range []string{"/livez", "/readyz"} {
		if resp, body := get(t, url+path); resp.StatusCode != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: %s %q", path, resp.Status, body)
		}
	}
	if resp, _ := get(t, url+"/nothing"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown path: %s", resp.Status)
	}
	if b.Ready() != nil {
		t.Errorf("Ready: %v", b.Ready())
	}
}

// TestViews: each view decodes into its type and tells what happened.
func TestViews(t *testing.T) {
	b, url := serve(t, nil)
	traffic(t, b, "g")
	view := func(path string, into any) {
		t.Helper()
		resp, body := get(t, url+path)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %s, %s", path, resp.Status, resp.Header.Get("Content-Type"))
		}
		d := json.NewDecoder(strings.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			t.Fatalf("%s: %v in %s", path, err, body)
		}
	}
	var br BrokerView
	if view("/v1/broker", &br); br.ClusterID == "" || br.Topics == 0 || br.Listeners["PLAINTEXT"] != b.Addr() || br.ProducedMB == 0 {
		t.Errorf("broker: %+v", br)
	}
	var topics []TopicView
	view("/v1/topics", &topics)
	found := false
	for _, v := range topics {
		found = found || v.Name == "seen"
	}
	if !found {
		t.Errorf("topics: %+v", topics)
	}
	var topic TopicView
	// Two records and the marker of their transaction, in one of the partitions.
	if view("/v1/topics/seen", &topic); topic.Internal || topic.Records != 3 || topic.Bytes == 0 {
		t.Errorf("topic: %+v", topic)
	}
	if resp, _ := get(t, url+"/v1/topics/absent"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a topic that is not there: %s", resp.Status)
	}
	var groups []GroupView
	if view("/v1/groups", &groups); len(groups) != 1 || groups[0].ID != "g" || len(groups[0].Offsets) != 1 || groups[0].Offsets[0].Offset != 1 || groups[0].Lag != 2 {
		t.Errorf("groups: %+v", groups)
	}
	var txns []TransactionView
	if view("/v1/transactions", &txns); len(txns) != 1 || txns[0].ID != "txn" || !strings.HasSuffix(txns[0].State, "Commit") {
		t.Errorf("transactions: %+v", txns)
	}
	var disks []DiskView
	if view("/v1/disks", &disks); len(disks) != 1 || !disks[0].Online || disks[0].Total == 0 || disks[0].Free > disks[0].Total {
		t.Errorf("disks: %+v", disks)
	}
}

// TestPage: the page loads nothing from elsewhere, and says so to the browser.
func TestPage(t *testing.T) {
	_, url := serve(t, nil)
	resp, body := get(t, url+"/")
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || body != string(pageHTML) {
		t.Fatalf("%s, %s, %d bytes", resp.Status, resp.Header.Get("Content-Type"), len(body))
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "connect-src 'self'") {
		t.Errorf("the content security policy is %q", csp)
	}
	for _, elsewhere := range []string{"src=\"http", "href=\"http", "@import", "//cdn"} {
		if strings.Contains(body, elsewhere) {
			t.Errorf("the page has %q", elsewhere)
		}
	}
}

// TestAuthorize: everything but the open paths asks.
func TestAuthorize(t *testing.T) {
	_, url := serve(t, func(o *Options) {
		o.Authorize = func(r *http.Request) bool {
			user, _, _ := r.BasicAuth()
			return user == "me"
		}
		o.Open = map[string]bool{"/livez": true}
	})
	for path, want := range map[string]int{
		"/livez": http.StatusOK, "/readyz": http.StatusUnauthorized, "/metrics": http.StatusUnauthorized, "/": http.StatusUnauthorized,
		"/v1/broker": http.StatusUnauthorized, "/v1/groups": http.StatusUnauthorized, "/nothing": http.StatusUnauthorized,
	} {
		resp, body := get(t, url+path)
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
		if want == http.StatusUnauthorized && (resp.Header.Get("WWW-Authenticate") == "" || strings.Contains(body, "cluster_id")) {
			t.Errorf("%s: headers %v, body %q", path, resp.Header, body)
		}
	}
	if resp, body := get(t, strings.Replace(url, "http://", "http://me:secret@", 1)+"/v1/broker"); resp.StatusCode != http.StatusOK || !strings.Contains(body, "cluster_id") {
		t.Errorf("who may: %s", resp.Status)
	}
}

package broker

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/logstore"
)

// descriptors counts the open ones; files under other, a directory of a broker
// that runs beside, do not count.
func descriptors(t *testing.T, other string) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range list {
		name, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && (other == "" || !strings.HasPrefix(name, other)) {
			n++
		}
	}
	return n
}

func mapped(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.SplitSeq(string(b), "\n") {
		if strings.Contains(line, "/journal/") || strings.Contains(line, ".log") {
			n++
		}
	}
	return n
}

// TestStartStop starts and closes a broker 200 times on one directory, with a
// record in it: nothing may be left of any of them.
func TestStartStop(t *testing.T) {
	cycles := 200
	if testing.Short() || raceEnabled {
		cycles = 20
	}
	dir := t.TempDir()
	o := Options{DataDirs: []string{dir}, Listeners: "PLAINTEXT://127.0.0.1:0", Durability: logstore.OS}
	cycle := func(i int) {
		b, err := Start(o)
		if err != nil {
			t.Fatalf("cycle %d: %v", i, err)
		}
		if i%20 == 0 {
			cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.AllowAutoTopicCreation())
			if err != nil {
				t.Fatal(err)
			}
			if err := cl.ProduceSync(context.Background(), kgo.StringRecord("x")).FirstErr(); err == nil {
				t.Error("a record without a topic was accepted")
			}
			if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatalf("cycle %d: %v", i, err)
			}
			cl.Close()
		}
		if err := b.Close(); err != nil {
			t.Fatalf("cycle %d: Close: %v", i, err)
		}
		if err := b.Close(); err != nil {
			t.Fatalf("cycle %d: the second Close: %v", i, err)
		}
	}
	cycle(0)
	fds, files := descriptors(t, ""), mapped(t)
	goroutines := runtime.NumGoroutine()
	for i := 1; i <= cycles; i++ {
		cycle(i)
	}
	// A client's goroutines and sockets may take a moment to see its end.
	eventually(t, "no more descriptors are open than after the first cycle", func() bool { return descriptors(t, "") <= fds })
	eventually(t, "no more goroutines run than after the first cycle", func() bool { return runtime.NumGoroutine() <= goroutines })
	if n := mapped(t); n > files {
		t.Errorf("%d files are mapped, %d were after the first cycle", n, files)
	}
}

// TestFailedStart: a start that fails leaves nothing either, and says which
// value is wrong.
func TestFailedStart(t *testing.T) {
	b := run(t, nil)
	taken := b.Addr()
	for _, c := range []struct {
		name, want string
		change     func(*Options)
	}{
		{"no directory", "--data-dir", func(o *Options) { o.DataDirs = nil }},
		{"port in use", taken, func(o *Options) { o.Listeners = "PLAINTEXT://" + taken }},
		{"directory in use", "lock", func(o *Options) { o.DataDirs = b.opt.DataDirs }},
		{"unknown key", "num.partition", func(o *Options) { o.Static = map[string]string{"num.partition": "3"} }},
		{"bad value", "num.partitions", func(o *Options) { o.Static = map[string]string{"num.partitions": "many"} }},
		{"bad listener", "listeners", func(o *Options) { o.Listeners = "127.0.0.1:9092" }},
		{"unmapped listener", "listener.security.protocol.map", func(o *Options) { o.Listeners = "INSIDE://127.0.0.1:0" }},
		{"listener twice", "twice", func(o *Options) { o.Listeners = "PLAINTEXT://127.0.0.1:0,PLAINTEXT://127.0.0.1:0" }},
		{"advertised unknown", "advertised.listeners", func(o *Options) { o.AdvertisedListeners = "OTHER://a:1" }},
		{"advertised any", "advertised.listeners", func(o *Options) { o.AdvertisedListeners = "PLAINTEXT://0.0.0.0:1" }},
		{"no certificate", "TLS", func(o *Options) { o.Listeners = "SSL://127.0.0.1:0" }},
		{"unknown limit", "no limit", func(o *Options) { o.Limits = map[string]int64{"x": 1} }},
		{"limit zero", "at least 1", func(o *Options) { o.Limits = map[string]int64{limitFetchSessions: 0} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := descriptors(t, b.opt.DataDirs[0])
			o := Options{DataDirs: []string{t.TempDir()}, Listeners: "PLAINTEXT://127.0.0.1:0"}
			c.change(&o)
			other, err := Start(o)
			if err == nil {
				t.Fatal(other.Close(), "the broker started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error does not name %q: %v", c.want, err)
			}
			if n := descriptors(t, b.opt.DataDirs[0]); n > before {
				t.Errorf("%d descriptors are open, %d were before", n, before)
			}
		})
	}
	alive(t, b)
}

// TestTwoBrokers: two brokers fit in one process.
func TestTwoBrokers(t *testing.T) {
	ctx := within(t)
	for i := range 2 {
		b := run(t, nil)
		cl := client(t, b, kgo.AllowAutoTopicCreation())
		r, err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).First()
		if err != nil || r.Offset != 0 {
			t.Fatalf("broker %d: offset %v, error %v", i, r, err)
		}
	}
}

// TestRestart: what was acknowledged, topics, ids, configurations and the
// cluster id are there after a restart, and the epoch stays in order.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	start := func() *Broker { return run(t, func(o *Options) { o.DataDirs = []string{dir} }) }
	ctx := within(t)
	b := start()
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	value := "12345"
	if _, err := adm.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": &value}, "t"); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	before, err := adm.ListTopics(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	ends, err := adm.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	id := b.cluster.Image().ClusterID
	cl.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = start()
	cl = client(t, b)
	adm = kadm.NewClient(cl)
	after, err := adm.ListTopics(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	if before["t"].ID != after["t"].ID || len(after["t"].Partitions) != 3 {
		t.Errorf("the topic was %v and is %v", before["t"], after["t"])
	}
	again, err := adm.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if got, _ := again.Lookup(o.Topic, o.Partition); got.Offset != o.Offset {
			t.Errorf("partition %d ended at %d and ends at %d", o.Partition, o.Offset, got.Offset)
		}
	})
	configs, err := adm.DescribeTopicConfigs(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		if c.Key == "retention.ms" && c.MaybeValue() != value {
			t.Errorf("retention.ms is %q", c.MaybeValue())
		}
	}
	if got := b.cluster.Image().ClusterID; got != id {
		t.Errorf("the cluster id was %s and is %s", id, got)
	}
}

package broker

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/bench"
)

// passwords are those of this package's tests: no log of any of its brokers may
// hold one.
var passwords = []string{adminPassword, "alice-pass", "admin-secret"}

// testLog looks for passwords in every line of a broker's log and writes its
// warnings to the test's output.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	noPassword(l.t, "the broker's log", p)
	if !bytes.Contains(p, []byte("level=DEBUG")) && !bytes.Contains(p, []byte("level=INFO")) {
		l.t.Logf("%s", p)
	}
	return len(p), nil
}

func noPassword(t testing.TB, where string, text []byte) {
	for _, secret := range passwords {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s holds the password %q: %s", where, secret, text)
		}
	}
}

// run starts a broker on a free port; the test's end closes it.
func run(t testing.TB, change func(*Options)) *Broker {
	t.Helper()
	o := Options{
		DataDirs: []string{t.TempDir()}, Listeners: "PLAINTEXT://127.0.0.1:0",
		Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		search := bench.LeakSearch{Secrets: passwords}
		for _, dir := range b.opt.DataDirs { // not the segments: they would take minutes in all
			for _, name := range []string{"audit.log", "logs/__cluster_metadata-0"} {
				if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
					search.Paths = append(search.Paths, filepath.Join(dir, name))
				}
			}
		}
		if leaks, err := search.Find(context.Background()); err != nil || len(leaks) > 0 {
			t.Errorf("%v %v", leaks, err)
		}
	})
	return b
}

// client is a franz-go client of the broker.
func client(t testing.TB, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr()), kgo.RetryTimeout(10 * time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// within is a context for one test's waiting.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestProduceAndConsume(t *testing.T) {
	b := run(t, nil)
	cl := client(t, b, kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("first"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx := within(t)
	r, err := cl.ProduceSync(ctx, &kgo.Record{Topic: "first", Key: []byte("k"), Value: []byte("v")}).First()
	if err != nil {
		t.Fatal(err)
	}
	if r.Offset != 0 {
		t.Errorf("offset %d, want 0", r.Offset)
	}
	fs := cl.PollFetches(ctx)
	if err := fs.Err(); err != nil {
		t.Fatal(err)
	}
	got := fs.Records()
	if len(got) != 1 || string(got[0].Key) != "k" || string(got[0].Value) != "v" {
		t.Fatalf("consumed %v", got)
	}
}

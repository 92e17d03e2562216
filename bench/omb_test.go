package bench

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// workloadFile writes a workload like those of the benchmark, with its payload
// where they expect it, and changes one line.
func workloadFile(t *testing.T, change, to string) string {
	t.Helper()
	text := `# a comment
name: 1 topic / 2 partitions / 100b
topics: 1
partitionsPerTopic: 2
messageSize: 100
payloadFile: "payload/payload-100b.data"
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 2000
consumerBacklogSizeGB: 0
testDurationMinutes: 15
`
	if change != "" {
		if !strings.Contains(text, change) {
			t.Fatalf("no line %q", change)
		}
		text = strings.Replace(text, change, to, 1)
	}
	root := t.TempDir()
	for name, b := range map[string]string{"workloads/w.yaml": text, "payload/payload-100b.data": strings.Repeat("x", 100)} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "workloads/w.yaml")
}

// TestWorkloadRefused: what cannot be honoured is named.
func TestWorkloadRefused(t *testing.T) {
	for _, c := range []struct{ change, to, want string }{
		{"topics: 1", "topics: 1\nproducerIncrementRate: 5", "producerIncrementRate"},
		{"topics: 1", "topics: 0", "topics must be"},
		{"messageSize: 100", "messageSize: 99", "100 bytes and messageSize is 99"},
		{"payload-100b", "payload-1Mb", "payload-1Mb.data is neither"},
		{"producerRate: 2000", "producerRate: fast", "line 10"},
		{"producerRate: 2000\nconsumerBacklogSizeGB: 0", "producerRate: 0\nconsumerBacklogSizeGB: 1", "consumerBacklogSizeGB must be"},
		{"topics: 1", "topics: 1\nkeyDistributor: ZIPF", "keyDistributor must be"},
		{"topics: 1", "topics: 1\nuseRandomizedPayloads: true", "randomizedPayloadPoolSize must be"},
		{"producersPerTopic: 1", "producersPerTopic: 100000", "clients"},
		{"testDurationMinutes: 15", "", "testDurationMinutes must be"},
	} {
		_, err := ReadWorkload(workloadFile(t, c.change, c.to))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.to, err, c.want)
		}
	}
}

// TestWorkload runs a file against a fake: the rate is held, everything sent is
// consumed, both latencies are counted.
func TestWorkload(t *testing.T) {
	for _, c := range []struct {
		name, change, to string
		atLeast, atMost  float64 // records/s; a busy machine falls behind and catches up
	}{
		{"rate", "", "", 300, 6000},
		{"keys, two groups of two", "subscriptionsPerTopic: 1\nconsumerPerSubscription: 1", "subscriptionsPerTopic: 2\nconsumerPerSubscription: 2\nkeyDistributor: KEY_ROUND_ROBIN", 300, 6000},
		{"random payloads, no consumers", "subscriptionsPerTopic: 1", "subscriptionsPerTopic: 0\nuseRandomizedPayloads: true\nrandomBytesRatio: 0.5\nrandomizedPayloadPoolSize: 3\nkeyDistributor: RANDOM_NANO", 300, 6000},
		{"highest rate", "producerRate: 2000", "producerRate: 0", 10, 1e9},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := ReadWorkload(workloadFile(t, c.change, c.to))
			if err != nil {
				t.Fatal(err)
			}
			if w.WarmupDurationMinutes != 1 || w.BacklogDrainRatio != 1 {
				t.Fatalf("the defaults are not the benchmark's: %+v", w)
			}
			r, err := RunWorkload(t.Context(), fake(t), w, OMBOptions{Test: time.Second, Warmup: 200 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if r.RecordsPerSec < c.atLeast || r.RecordsPerSec > c.atMost || r.Errors > 0 || r.Latency.Count == 0 {
				t.Errorf("got %+v", r)
			}
			if (r.EndToEnd != nil) != (w.SubscriptionsPerTopic > 0) {
				t.Errorf("%d subscriptions and end to end %v", w.SubscriptionsPerTopic, r.EndToEnd)
			}
			if w.SubscriptionsPerTopic == 2 && float64(r.EndToEnd.Count) < 1.05*float64(r.Latency.Count) {
				t.Errorf("two groups had %d records of %d", r.EndToEnd.Count, r.Latency.Count)
			}
			var hdr bytes.Buffer
			if err := r.Hist.WriteHDR(&hdr); err != nil || !strings.Contains(hdr.String(), "Percentile") {
				t.Errorf("no HDR file: %v", err)
			}
		})
	}
}

// TestWorkloadEnds: a workload that is interrupted ends with its context.
func TestWorkloadEnds(t *testing.T) {
	w, err := ReadWorkload(workloadFile(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := RunWorkload(ctx, fake(t), w, OMBOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

// TestRateSeeker: against a system that holds 50,000 records/s it settles near.
func TestRateSeeker(t *testing.T) {
	now := time.Unix(0, 0)
	s := newRateSeeker(10_000, 0, 0, now)
	var sent, received float64
	for range 60 {
		now = now.Add(3 * time.Second)
		sent += 3 * min(s.rate, 60_000)
		received = min(sent, received+3*50_000)
		s.next(now, int64(sent), int64(received), int64(sent-received))
	}
	if s.rate < 40_000 || s.rate > 60_000 {
		t.Fatalf("settled at %.0f", s.rate)
	}
}

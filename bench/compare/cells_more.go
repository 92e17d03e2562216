package compare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/chronik-stream/chronik/bench"
)

var secured = []string{"kafka-ssl", "commit-ssl", "os-ssl"}

// moreCells are long or rare: connections for a minute, ten thousand groups,
// encrypted loads, restarts with ten gigabytes.
func moreCells() []cell {
	secure := func(c cell) cell {
		c.peers, c.more = secured, true
		return c
	}
	logins := func(key, title string, login func(*instance) bench.Target) cell {
		return cell{key: key, title: title, peers: []string{"kafka-ssl", "commit-ssl"}, more: true, topicless: true,
			columns: []column{{"rate", "a second", 0}, colP50, colP99, {"cpuEach", "broker CPU ms each", 2}},
			run: func(ctx context.Context, i *instance, _ string) ([]sample, error) {
				r, err := bench.Churn(ctx, login(i), 0, 8, i.o.Duration)
				samples, err := one(r, err)
				if err == nil {
					samples[0].values["cpuEach"] = samples[0].values["cpu"] / 1000
				}
				return samples, err
			}}
	}
	return []cell{
		secure(produceCell("ssl-produce", "SASL_SSL: bulk, 1 KiB records in batches of 127 KiB, 6 producers with 5 requests in flight, 6 partitions",
			[]column{colMB, colP50, colP99, colCPU},
			bench.Load{Raw: true, Producers: 6, InFlight: 5, RawBatch: 127, Partitions: 6, RecordSize: 1000})),
		secure(produceCell("ssl-thirtytwo", "SASL_SSL: 32 producers, one request in flight each, one record of 1 KiB each, 6 partitions",
			[]column{colRate, colP50, colP99, colCPU},
			bench.Load{Raw: true, Producers: 32, Partitions: 6, RecordSize: 1024})),
		secure(consumeCell("ssl-consume", "SASL_SSL: consume from the start, 1 KiB records, one kgo consumer", bench.Read{})),
		logins("tls", "TLS handshakes (TLS 1.3, P-256, no resumption): 8 clients connect and close", func(i *instance) bench.Target {
			t := i.target()
			t.Login = nil
			return t
		}),
		logins("scram", "SCRAM-SHA-256 logins (4,096 iterations) over TLS: 8 clients connect, log in and close", func(i *instance) bench.Target { return i.target() }),
		{key: "groups", title: "10,000 groups of one idle member", rounds: 1, extra: 5 * time.Minute, more: true, topicless: true, peers: []string{"kafka", "commit"},
			columns: []column{{"grown", "RSS more, MB", 1}, {"seconds", "formed in s", 1}},
			run: func(ctx context.Context, i *instance, _ string) ([]sample, error) {
				r, err := bench.IdleGroups(ctx, i.target(), "idle", 10_000, 16)
				if err != nil {
					return nil, err
				}
				return []sample{{values: map[string]float64{"grown": r.Broker.GrownMB, "seconds": r.Seconds}}}, nil
			}},
		{key: "churn", title: "2,000 connections/s opened, asked once and closed, for 6 runs' time; what they leave", rounds: 1, extra: 5 * time.Minute, more: true, topicless: true,
			peers: []string{"kafka", "commit"},
			columns: []column{{"rate", "connections/s", 0}, colP99, {"grown", "RSS more, MB", 1}, {"anonMore", "RssAnon more, MB", 1}, {"fds", "descriptors more", 0},
				{"goroutines", "goroutines more", 0}},
			run: churned},
		{key: "log10g", title: "10 GB in 6 partitions: from the start of the process to the first fetched record", rounds: 1, extra: 10 * time.Minute, more: true, topicless: true,
			peers:   []string{"commit"},
			columns: []column{{"ready", "served ms", 0}}, parts: []string{"after a clean stop", "after kill -9 under load"},
			run: func(ctx context.Context, i *instance, _ string) ([]sample, error) { return i.restarts(ctx, 10<<30) }},
	}
}

// churned lets connections come and go, gives the broker a rest, and reads what
// it holds more than before. The first second of them is not held against it:
// that is what makes its pools.
func churned(ctx context.Context, i *instance, _ string) ([]sample, error) {
	if _, err := bench.Churn(ctx, i.target(), 2000, 64, time.Second); err != nil {
		return nil, err
	}
	rest := func() error {
		select {
		case <-time.After(2 * time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	look := func() (u bench.Usage, goroutines float64, err error) {
		if err = rest(); err == nil {
			goroutines, err = i.goroutines(ctx)
		}
		if err == nil {
			u, err = bench.ProcessUsage(i.pid)
		}
		return u, goroutines, err
	}
	before, goroutines, err := look()
	if err != nil {
		return nil, err
	}
	samples, err := one(bench.Churn(ctx, i.target(), 2000, 64, 6*i.o.Duration))
	if err != nil {
		return nil, err
	}
	after, more, err := look()
	v := samples[0].values
	v["grown"], v["anonMore"] = float64(after.RSS-before.RSS)/1e6, float64(after.RSSAnon-before.RSSAnon)/1e6
	v["fds"], v["goroutines"] = float64(after.OpenFDs-before.OpenFDs), more-goroutines
	return samples, err
}

// goroutines asks the admin server; a broker that has none has 0.
func (i *instance) goroutines(ctx context.Context) (float64, error) {
	if i.admin == "" {
		return 0, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.admin+"/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var n float64
	if _, err := fmt.Fscanf(resp.Body, "goroutine profile: total %g", &n); err != nil {
		return 0, fmt.Errorf("the profile of goroutines (HTTP %d) tells no total: %w", resp.StatusCode, err)
	}
	return n, nil
}

// restarts fills a broker of its own and starts it again, after a clean stop
// and after kill -9 while producers were at it.
func (i *instance) restarts(ctx context.Context, bytes int64) ([]sample, error) {
	own, err := i.o.start(ctx, i.peer)
	if err != nil {
		return nil, err
	}
	samples, err := own.restarted(ctx, bytes)
	return samples, errors.Join(err, own.stop())
}

func (i *instance) restarted(ctx context.Context, bytes int64) ([]sample, error) {
	const topic, size = "log10g", 1024
	if err := prime(ctx, i.target(), topic, 6); err != nil {
		return nil, err
	}
	load := bench.Load{Topic: topic, Raw: true, RawBatch: 500, Producers: 6, InFlight: 5, Partitions: 6, RecordSize: size, Records: bytes / size}
	if _, err := bench.Produce(ctx, i.target(), load); err != nil {
		return nil, fmt.Errorf("filling: %w", err)
	}
	var samples []sample
	for _, killed := range []bool{false, true} {
		under, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		if killed {
			go func() {
				defer close(ended)
				l := load
				l.Records, l.Duration = 0, time.Minute
				_, _ = bench.Produce(under, i.target(), l) // it fails when the broker dies under it
			}()
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
			}
		}
		err := i.restart(ctx, killed, func() error {
			_, err := bench.Consume(ctx, i.target(), bench.Read{Topic: topic, Records: 1})
			return err
		})
		stop()
		if killed {
			<-ended
		}
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{values: map[string]float64{"ready": float64(i.ready.Microseconds()) / 1000}})
	}
	return samples, nil
}

package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
)

// What one client meets beside many others: go test -bench Beside -benchtime
// 2000x tells p50 and p99 of one exchange, quiet and beside the load, clients
// and broker on the same cores.

// paced does b.N exchanges, one each interval if the last has ended, and reports
// how long they took.
func paced(b *testing.B, every time.Duration, conn net.Conn, request []byte) {
	b.Helper()
	if err := conn.SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4<<20)
	for range 100 {
		exchange(b, conn, request, buf)
	}
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	turn := time.NewTicker(every)
	defer turn.Stop()
	for range b.N {
		<-turn.C
		began := time.Now()
		exchange(b, conn, request, buf)
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) }
	b.ReportMetric(at(0.5), "p50-us")
	b.ReportMetric(at(0.99), "p99-us")
	b.ReportMetric(0, "ns/op")
}

// asServed has Go's threads as chronik serve has them: two more than cores.
func asServed(b *testing.B) {
	before := runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	b.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// load has clients do an exchange over and over, or once an interval with their
// turns spread over it, until the benchmark ends, and counts the exchanges.
func load(b *testing.B, br *Broker, clients int, every time.Duration, request []byte) *atomic.Int64 {
	b.Helper()
	var n atomic.Int64
	var running sync.WaitGroup
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = dial(b, br).conn
		if err := conns[i].SetDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
		running.Go(func() {
			c, size := conns[i], [4]byte{}
			<-time.After(every * time.Duration(i) / time.Duration(clients))
			turn := time.NewTicker(max(every, 1))
			defer turn.Stop()
			for {
				if every > 0 {
					<-turn.C
				}
				if _, err := c.Write(request); err != nil {
					return // the benchmark is over
				}
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
					return
				}
				n.Add(1)
			}
		})
	}
	b.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close() // ends its goroutine
		}
		running.Wait()
	})
	return &n
}

// BenchmarkFetchBesideOld: a fetch of 64 KiB every two milliseconds beside ten
// old clients that read gzip as fast as it is converted for them.
func BenchmarkFetchBesideOld(b *testing.B) {
	for _, old := range []struct {
		name    string
		clients int
	}{{"quiet", 0}, {"old=10", 10}} {
		b.Run(old.name, func(b *testing.B) {
			asServed(b)
			br := run(b, nil)
			id := makeTopic(b, br, "t", 1, nil)
			w := dial(b, br)
			for range 200 {
				produceTo(b, w, "t", batchOf(b, compress.Gzip, 200))
			}
			f := fetchOf(12, "t", id, 0)
			f.MaxBytes = 64 << 10
			converted := load(b, br, old.clients, 0, frame(fetchOf(2, "t", id, 0), 1))
			paced(b, 2*time.Millisecond, w.conn, frame(f, 1))
			b.ReportMetric(float64(converted.Load()), "converted")
		})
	}
}

// BenchmarkProduceBesideMetadata: a produce of one record every two milliseconds
// beside a thousand clients that each ask for 10,000 partitions every 5 s.
func BenchmarkProduceBesideMetadata(b *testing.B) {
	for _, askers := range []struct {
		name    string
		clients int
	}{{"quiet", 0}, {"clients=1000", 1000}} {
		b.Run(askers.name, func(b *testing.B) {
			br := manyPartitions(b)
			id := makeTopic(b, br, "t", 1, nil)
			w := dial(b, br)
			asked := load(b, br, askers.clients, 5*time.Second, frame(allTopics(), 1))
			paced(b, 2*time.Millisecond, w.conn, frame(produceOf(9, "t", id, -1, batchOf(b, compress.None, 1)), 1))
			b.ReportMetric(float64(asked.Load()), "refreshes")
		})
	}
}

// BenchmarkMetadataBeside is one client's refresh of 10,000 partitions every
// 20 ms.
func BenchmarkMetadataBeside(b *testing.B) {
	br := manyPartitions(b)
	paced(b, 20*time.Millisecond, dial(b, br).conn, frame(allTopics(), 1))
}

func allTopics() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	return req
}

// manyPartitions is a broker with ten topics of 1,000 partitions. Their
// directories may take a disk a minute.
func manyPartitions(b *testing.B) *Broker {
	b.Helper()
	asServed(b)
	br := run(b, func(o *Options) { o.Limits = map[string]int64{limitCreate: 10_000} })
	w := dial(b, br)
	if err := w.conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		b.Fatal(err)
	}
	for i := range 10 {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 7, 300_000
		one := kmsg.NewCreateTopicsRequestTopic()
		one.Topic, one.NumPartitions, one.ReplicationFactor = fmt.Sprint("many", i), 1000, 1
		req.Topics = append(req.Topics, one)
		if got := ask[*kmsg.CreateTopicsResponse](w, req).Topics[0]; got.ErrorCode != 0 {
			b.Fatalf("%s: %d", got.Topic, got.ErrorCode)
		}
	}
	return br
}

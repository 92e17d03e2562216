package netloop

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkEcho sends bursts of four pipelined 1 KiB frames and waits for their
// answers; an operation is one request. The clients share the machine.
func BenchmarkEcho(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, conns := range []int{1, 64, 1000} {
			b.Run(fmt.Sprintf("tls=%v/conns=%d", secure, conns), func(b *testing.B) {
				_, addr := listen(b, &handlerFuncs{}, secureOption(b, secure))
				benchmarkBursts(b, addr, secure, conns, 4, 1024)
			})
		}
	}
}

// BenchmarkPingPong is one small request at a time.
func BenchmarkPingPong(b *testing.B) {
	_, addr := listen(b, &handlerFuncs{}, nil)
	benchmarkBursts(b, addr, false, 1, 1, 128)
}

func benchmarkBursts(b *testing.B, addr string, secure bool, conns, burst, size int) {
	clients := make([]net.Conn, conns)
	for i := range clients {
		nc := dial(b, addr)
		clients[i] = nc
		if secure {
			clients[i] = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
		}
		sendFrame(b, clients[i], make([]byte, size))
		readFrame(b, clients[i])
	}
	one := frameOf(make([]byte, size))
	request := slices.Repeat(one, burst)
	var mu sync.Mutex
	var latencies []time.Duration
	each := max(b.N/burst/conns, 1)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, nc := range clients {
		wg.Go(func() {
			mine := make([]time.Duration, 0, each)
			answer := make([]byte, len(request))
			for range each {
				start := time.Now()
				if _, err := nc.Write(request); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(nc, answer); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			latencies = append(latencies, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(latencies)
	requests := float64(each * conns * burst)
	b.ReportMetric(requests/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(latencies[len(latencies)/2].Nanoseconds())/1000, "p50-µs")
	b.ReportMetric(float64(latencies[len(latencies)*99/100].Nanoseconds())/1000, "p99-µs")
}

// BenchmarkRanges sends one range of a file per request, hot, with the file's
// bytes as memory or by sendfile, to find where smallRange belongs.
func BenchmarkRanges(b *testing.B) {
	content := pattern(1 << 20)
	file := tempFile(b, content)
	for _, size := range []int{1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10, 1 << 20} {
		for _, how := range []string{"writev", "sendfile"} {
			b.Run(fmt.Sprintf("%s/%dKiB", how, size>>10), func(b *testing.B) {
				h := &handlerFuncs{frame: func(c Conn, f Frame) {
					f.Buf.Release()
					r := NewResponse(64)
					r.Buf.B = append(r.Buf.B, make([]byte, 60)...)
					rng := Range{File: file, Len: int64(size), Hot: true}
					if how == "writev" {
						rng.File, rng.Mem = nil, content[:size]
					}
					r.Cut(rng)
					c.Respond(f.Slot, r)
				}}
				s, addr := listen(b, h, nil)
				nc := dial(b, addr)
				ask := frameOf([]byte("x"))
				sink := make([]byte, 60+size)
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := nc.Write(ask); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(nc, sink); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(s.Stats().Turns.Count)/float64(b.N), "turns/op")
			})
		}
	}
}

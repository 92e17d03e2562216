package logstore

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// benchStore opens a store on the real disk, below TMPDIR, with the share of the
// process's descriptors that chronik serve gives to segments.
func benchStore(b *testing.B, change func(*Options)) (*Store, *atomic.Pointer[func([]Done)]) {
	var hook atomic.Pointer[func([]Done)]
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		b.Fatal(err)
	}
	o := Options{Dirs: []string{b.TempDir()}, Go: goPlain, DiskReserve: -1, MaxOpenFiles: int(files.Cur) * 35 / 100, OnCommit: func(_ []Advance, done []Done) {
		if f := hook.Load(); f != nil {
			(*f)(done)
		}
	}}
	if change != nil {
		change(&o)
	}
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Ready(func(string, TopicID, int32) bool { return true }); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s, &hook
}

func benchLogs(b *testing.B, s *Store, n int) []*Log {
	logs := make([]*Log, n)
	for i := range logs {
		var err error
		if logs[i], err = s.OpenLog(specOf("bench", int32(i))); err != nil {
			b.Fatal(err)
		}
	}
	return logs
}

// BenchmarkAppend is the caller's side of an append of a 1 KiB batch: no wait.
func BenchmarkAppend(b *testing.B) {
	for _, how := range []string{"pwrite", "mmap"} {
		b.Run(how, func(b *testing.B) {
			s, _ := benchStore(b, func(o *Options) { o.SegmentWrite = how; o.QueueBytes = 1 << 30 })
			l := benchLogs(b, s, 1)[0]
			raw := makeBatch(fmt.Sprintf("%01000d", 0), 1, nobody, testNow)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				raw[7], raw[0] = 0, 0
				clear(raw[:8])
				for {
					_, err := l.Append(&Append{Batches: raw, Now: testNow})
					if err == nil {
						break
					}
					if err != ErrBusy {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkSpread makes 1 KiB in each of many partitions durable: one operation
// is an append to every one of them and the wait for the last. Beside it, of the
// same disk in the same run, what one raw fdatasync takes.
//
//	go test -run '^$' -bench Spread -benchtime 50x -count 5 ./logstore
func BenchmarkSpread(b *testing.B) {
	for _, partitions := range []int{1, 10, 100, 1000, 5000} {
		b.Run(fmt.Sprintf("%dp", partitions), func(b *testing.B) {
			raw := rawSync(b)
			s, hook := benchStore(b, nil)
			logs := benchLogs(b, s, partitions)
			left, ended := atomic.Int64{}, make(chan error, 1)
			tell := func(done []Done) {
				for _, d := range done {
					if left.Add(-1) == 0 || d.Err != nil {
						ended <- d.Err
					}
				}
			}
			hook.Store(&tell)
			batch := makeBatch(fmt.Sprintf("%01000d", 0), 1, nobody, testNow)
			batches := make([][]byte, partitions) // each is held until its group is written
			for i := range batches {
				batches[i] = slices.Clone(batch)
			}
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				left.Store(int64(partitions))
				for i, l := range logs {
					clear(batches[i][:8])
					if _, err := l.Append(&Append{Batches: batches[i], Token: l, Now: testNow}); err != nil {
						b.Fatal(err)
					}
				}
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(raw.Microseconds()), "fdatasync-µs")
		})
	}
}

// BenchmarkFirstAppend appends for the first time to each of 1,000 partitions
// that were just made, one after the other, and tells of the slowest: its target
// is 100 ms.
//
//	go test -run '^$' -bench FirstAppend -benchtime 3x ./logstore
func BenchmarkFirstAppend(b *testing.B) {
	const partitions = 1000
	raw := rawSync(b)
	s, hook := benchStore(b, nil)
	tell := func(done []Done) {
		for _, d := range done {
			d.Token.(chan error) <- d.Err
		}
	}
	hook.Store(&tell)
	done := make(chan error, 1)
	batch := makeBatch(fmt.Sprintf("%01000d", 0), 1, nobody, testNow)
	var took []time.Duration
	round := 0
	for b.Loop() {
		b.StopTimer()
		round++
		logs := make([]*Log, partitions)
		for i := range logs {
			var err error
			if logs[i], err = s.OpenLog(specOf(fmt.Sprint("bench", round), int32(i))); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		for _, l := range logs {
			clear(batch[:8])
			began := time.Now()
			_, err := l.Append(&Append{Batches: batch, Token: done, Now: testNow})
			if err == nil {
				err = <-done
			}
			if err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "slowest-µs")
	b.ReportMetric(float64(raw.Microseconds()), "fdatasync-µs")
}

// BenchmarkDurable is a closed loop: each writer appends 1 KiB to one of the
// partitions and waits for it, in each mode of durability. It reports acks/s and
// the latency's quantiles beside raw fdatasync of the same disk in the same run.
func BenchmarkDurable(b *testing.B) {
	type load struct {
		mode                      Durability
		writers, partitions, size int
	}
	var loads []load
	for _, mode := range []Durability{Commit, Interval, OS} {
		for _, c := range [][2]int{{1, 1}, {16, 16}, {256, 1000}, {1000, 5000}} {
			loads = append(loads, load{mode, c[0], c[1], 1000})
		}
	}
	loads = append(loads, load{Commit, 16, 1, 64 << 10}, load{Commit, 64, 16, 64 << 10})
	for _, c := range loads {
		b.Run(fmt.Sprintf("%v/%dw/%dp/%dB", c.mode, c.writers, c.partitions, c.size), func(b *testing.B) {
			raw := rawSync(b)
			s, hook := benchStore(b, func(o *Options) { o.Durability = c.mode })
			tell := func(done []Done) {
				for _, d := range done {
					d.Token.(chan error) <- d.Err
				}
			}
			hook.Store(&tell)
			logs := benchLogs(b, s, c.partitions)
			var left atomic.Int64
			left.Store(int64(b.N))
			var mu sync.Mutex
			var lat []time.Duration
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range c.writers {
				wg.Go(func() {
					batch := makeBatch(fmt.Sprintf("%0*d", c.size, 0), 1, nobody, testNow)
					done := make(chan error, 1)
					var mine []time.Duration
					for i := w; left.Add(-1) >= 0; i += c.writers {
						clear(batch[:8])
						t := time.Now()
						_, err := logs[i%len(logs)].Append(&Append{Batches: batch, Token: done, Now: testNow})
						if err == nil {
							err = <-done
						}
						if err != nil {
							b.Error(err)
							return
						}
						mine = append(mine, time.Since(t))
					}
					mu.Lock()
					lat = append(lat, mine...)
					mu.Unlock()
				})
			}
			wg.Wait()
			b.StopTimer()
			slices.Sort(lat)
			b.ReportMetric(float64(len(lat))/b.Elapsed().Seconds(), "acks/s")
			b.ReportMetric(float64(lat[len(lat)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(lat[len(lat)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(raw.Microseconds()), "fdatasync-µs")
			st := s.Stats()
			b.ReportMetric(float64(st.GroupSize.Sum)/float64(max(st.GroupSize.Count, 1)), "frames/group")
		})
	}
}

// rawSync is the median of overwriting 4 KiB of a written file and fdatasync.
func rawSync(b *testing.B) time.Duration {
	f, err := vfs.OS.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	var all []time.Duration
	for round := range 2 {
		for i := range 64 {
			t := time.Now()
			if _, err := f.WriteAt(block, int64(i)*4096); err != nil {
				b.Fatal(err)
			}
			if err := f.Datasync(); err != nil {
				b.Fatal(err)
			}
			if round == 1 {
				all = append(all, time.Since(t))
			}
		}
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkRead is a fetch of the tail with a cursor, and lookups without.
func BenchmarkRead(b *testing.B) {
	s, hook := benchStore(b, nil)
	tell := func(done []Done) {
		for _, d := range done {
			d.Token.(chan error) <- d.Err
		}
	}
	hook.Store(&tell)
	l := benchLogs(b, s, 1)[0]
	done := make(chan error, 1)
	for range 2000 {
		raw := makeBatch(fmt.Sprintf("%01000d", 0), 1, nobody, testNow)
		if _, err := l.Append(&Append{Batches: raw, Token: done, Now: testNow}); err != nil {
			b.Fatal(err)
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.Run("tail", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			cur := Cursor{offset: 1999, pos: (*l.segs.Load())[0].size.Load() / 2000 * 1999}
			r, err := l.Read(Read{Offset: 1999, MaxBytes: 1 << 20, MinOne: true, Cursor: &cur})
			if err != nil || r.Len == 0 {
				b.Fatal(r, err)
			}
			r.Seg.Release()
		}
	})
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		i := int64(0)
		for b.Loop() {
			i = (i + 997) % 2000
			r, err := l.Read(Read{Offset: i, MaxBytes: 64 << 10, MinOne: true})
			if err != nil || r.Len == 0 {
				b.Fatal(r, err)
			}
			r.Seg.Release()
		}
	})
}

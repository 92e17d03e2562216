package mmap_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/mmap"
)

// BenchmarkSegmentWrite compares the ways to append a record to a segment that
// is fallocated: pwrite, and a copy into a map whose pages are cold, populated,
// or clean after write-back. Appends go round the partitions. beside is what
// the disk does meanwhile: nothing, a journal written and synced in a loop, or
// the segments themselves synced in a loop; then p99 and p99.9 of single
// appends are given, else they would cost more than what they measure.
//
//	go test -run '^$' -bench SegmentWrite -benchtime 20000x ./mmap
func BenchmarkSegmentWrite(b *testing.B) {
	for _, beside := range []string{"quiet", "journal", "self"} {
		for _, partitions := range []int{1, 100} {
			for _, size := range []int{256, 1024, 16384} {
				for _, way := range []string{"pwrite", "cold", "populated", "writtenback"} {
					name := fmt.Sprintf("beside=%s/partitions=%d/size=%d/way=%s", beside, partitions, size, way)
					b.Run(name, func(b *testing.B) { benchSegmentWrite(b, beside, partitions, size, way) })
				}
			}
		}
	}
}

type benchSegment struct {
	fd  int
	mem []byte
	end int
}

func benchSegmentWrite(b *testing.B, beside string, partitions, size int, way string) {
	dir := b.TempDir()
	length := max(1<<20, 64<<20/partitions) // 64 MiB of windows in all
	segments := make([]*benchSegment, partitions)
	for i := range segments {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		check(b, err)
		defer func() { check(b, f.Close()) }()
		segments[i] = &benchSegment{fd: int(f.Fd())}
		segments[i].fresh(b, way, length)
	}
	stop := background(b, beside, dir, segments)
	record := make([]byte, size)
	var took []time.Duration
	timed := beside != "quiet"
	b.SetBytes(int64(size))
	b.ResetTimer()
	for i := range b.N {
		s := segments[i%partitions]
		if s.end+size > length {
			b.StopTimer()
			s.fresh(b, way, length)
			b.StartTimer()
		}
		var start time.Time
		if timed {
			start = time.Now()
		}
		if way == "pwrite" {
			_, err := mmap.Pwrite(s.fd, record, int64(s.end))
			check(b, err)
		} else {
			check(b, mmap.Copy(s.mem[s.end:], record))
		}
		if timed {
			took = append(took, time.Since(start))
		}
		s.end += size
	}
	b.StopTimer()
	stop()
	for _, s := range segments {
		if s.mem != nil {
			check(b, mmap.Unmap(s.mem))
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-µs")
		b.ReportMetric(float64(took[len(took)*999/1000].Nanoseconds())/1000, "p999-µs")
	}
}

// fresh empties the segment, reserves its blocks and brings its pages into the
// state that way names.
func (s *benchSegment) fresh(b *testing.B, way string, length int) {
	if s.mem != nil {
		check(b, mmap.Unmap(s.mem))
		s.mem = nil
	}
	s.end = 0
	check(b, mmap.Truncate(s.fd, 0))
	check(b, mmap.Allocate(s.fd, 0, int64(length), way == "pwrite"))
	if way == "pwrite" {
		return
	}
	mem, err := mmap.Map(s.fd, 0, length, true)
	check(b, err)
	s.mem = mem
	if way != "cold" {
		check(b, mmap.Populate(mem, true))
	}
	if way == "writtenback" {
		check(b, mmap.Datasync(s.fd))
	}
}

func background(b *testing.B, beside, dir string, segments []*benchSegment) (stop func()) {
	if beside == "quiet" {
		return func() {}
	}
	journal, err := os.Create(filepath.Join(dir, "journal"))
	check(b, err)
	block := make([]byte, 4096)
	_, err = journal.WriteAt(make([]byte, 1<<20), 0)
	check(b, err)
	check(b, journal.Sync())
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !done.Load(); i++ {
			fd := segments[i%len(segments)].fd
			if beside == "journal" {
				fd = int(journal.Fd())
				if _, err := mmap.Pwrite(fd, block, int64(i%256)*4096); err != nil {
					b.Error(err)
				}
			}
			if err := mmap.Datasync(fd); err != nil {
				b.Error(err)
			}
		}
	})
	return func() {
		done.Store(true)
		wg.Wait()
		check(b, journal.Close())
	}
}

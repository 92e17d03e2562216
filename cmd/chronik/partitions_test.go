package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// footprint is what a broker's process takes.
type footprint struct {
	heap        int64 // bytes after a collection
	rss, anon   int64 // bytes
	files, maps int
	goroutines  int
}

func (f footprint) String() string {
	return fmt.Sprintf("heap %.1f MB, RSS %.1f MB (anonymous %.1f), %d descriptors, %d maps, %d goroutines",
		float64(f.heap)/1e6, float64(f.rss)/1e6, float64(f.anon)/1e6, f.files, f.maps, f.goroutines)
}

// footprint asks /proc and, by --pprof, the process itself.
func (p *process) footprint(t *testing.T) (f footprint) {
	t.Helper()
	number := func(what, text, pattern string) int64 {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in %.200q", what, text)
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	f.heap = number("heap", p.get(t, "/debug/pprof/heap?gc=1&debug=1"), `(?m)^# HeapAlloc = (\d+)`)
	f.goroutines = int(number("goroutines", p.get(t, "/debug/pprof/goroutine?debug=1"), `goroutine profile: total (\d+)`))
	proc := fmt.Sprint("/proc/", p.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		t.Fatal(err)
	}
	f.rss = 1024 * number("RSS", string(status), `(?m)^VmRSS:\s+(\d+) kB`)
	f.anon = 1024 * number("RSS", string(status), `(?m)^RssAnon:\s+(\d+) kB`)
	files, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	f.files, f.maps = len(files), strings.Count(string(maps), "\n")
	return f
}

func (p *process) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + p.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(bufio.NewReader(resp.Body))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return string(body)
}

// TestTenThousandPartitions holds the real binary to the budgets of many
// partitions: after they were made, after each got a record, after a clean stop,
// and after kill -9 with all of them written to behind the last checkpoint. The
// times are for a slow disk that others use too, and tell what grows with the
// partitions' bytes from what does not; its log (-v) is the figure of
// logstore/doc.go.
func TestTenThousandPartitions(t *testing.T) {
	const n = 10_000
	if testing.Short() {
		t.Skip("takes some 15 s")
	}
	if _, err := buildOnce(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	start := func() (*process, time.Duration) {
		t.Helper()
		began := time.Now()
		p := serveProcess(t, "--data-dir", dir, "--listeners", "PLAINTEXT://127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--pprof")
		return p, time.Since(began)
	}
	dial := func(p *process) *kgo.Client {
		t.Helper()
		cl, err := kgo.NewClient(kgo.SeedBrokers(p.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("many"))
		if err != nil {
			t.Fatal(err)
		}
		return cl
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	touch := func(p *process) time.Duration {
		t.Helper()
		cl := dial(p)
		defer cl.Close()
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{Partition: int32(i), Value: []byte("x")}
		}
		began := time.Now()
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	// ends adds up the end offsets of all partitions.
	ends := func(p *process) (sum int64) {
		t.Helper()
		cl := dial(p)
		defer cl.Close()
		offsets, err := kadm.NewClient(cl).ListEndOffsets(ctx, "many")
		if err == nil {
			err = offsets.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
		offsets.Each(func(o kadm.ListedOffset) { sum += o.Offset })
		return sum
	}
	var empty footprint
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	hold := func(when string, f footprint, took, most time.Duration) {
		t.Helper()
		t.Logf("%s (%v): %v", when, took.Round(time.Millisecond), f)
		if each := (f.heap - empty.heap) / n; each > 4096 {
			t.Errorf("%s: a partition takes %d bytes of heap; the budget is 4 KiB", when, each)
		}
		// Files have 35 % of the descriptors, and what is not synced yet may go on
		// into the 10 % that are spare.
		if most := empty.files + int(limit.Max)*45/100; f.files > most {
			t.Errorf("%s: %d descriptors; the budget is %d", when, f.files, most)
		}
		// What goes with the work, not with the partitions: threads' stacks, the
		// heap's arenas, windows, workers.
		if most := empty.maps + 300; f.maps > most {
			t.Errorf("%s: %d maps; %d without partitions", when, f.maps, empty.maps)
		}
		if most := empty.goroutines + 100; f.goroutines > most {
			t.Errorf("%s: %d goroutines; %d without partitions", when, f.goroutines, empty.goroutines)
		}
		if f.anon > 120<<20 {
			t.Errorf("%s: %d bytes of memory", when, f.anon)
		}
		if took > most {
			t.Errorf("%s: it took %v, more than %v", when, took, most)
		}
	}

	stop := func(p *process) {
		t.Helper()
		began := time.Now()
		if err := p.end(t, syscall.SIGTERM); err != nil {
			t.Fatalf("SIGTERM: %v\n%s", err, p.output())
		}
		t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	}

	p, took := start()
	empty = p.footprint(t)
	hold("empty", empty, took, 10*time.Second)
	cl := dial(p)
	began := time.Now()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, n, 1, nil, "many"); err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	cl.Close()
	hold("made", p.footprint(t), took, 2*time.Minute)
	took = touch(p)
	hold("a record each", p.footprint(t), took, 2*time.Minute)
	stop(p)
	p, took = start()
	hold("ready after a clean stop", p.footprint(t), took, 10*time.Second)
	if sum := ends(p); sum != n {
		t.Errorf("after a clean stop: %d records in %d partitions", sum, n)
	}
	took = touch(p)
	hold("another record each", p.footprint(t), took, 2*time.Minute)
	if err := p.end(t, syscall.SIGKILL); err == nil {
		t.Error("SIGKILL: status 0")
	}
	p, took = start()
	hold("ready after kill -9", p.footprint(t), took, 30*time.Second)
	if sum := ends(p); sum != 2*n {
		t.Errorf("after kill -9: %d records, want %d", sum, 2*n)
	}
	if err := p.end(t, syscall.SIGKILL); err == nil {
		t.Error("SIGKILL: status 0")
	}
	p, took = start()
	hold("ready after kill -9 with nothing new", p.footprint(t), took, 30*time.Second)
	stop(p)
}

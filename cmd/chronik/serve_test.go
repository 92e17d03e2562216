package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// buildOnce builds the binary under test.
var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "chronik-test-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "chronik")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := buildOnce(); err == nil {
		if err := os.RemoveAll(filepath.Dir(bin)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// process is a running `chronik serve`.
type process struct {
	cmd   *exec.Cmd
	addr  string
	admin string
	done  chan error
	log   *strings.Builder
	mu    sync.Mutex
}

// serveProcess starts the real binary and waits for its ready line.
func serveProcess(t *testing.T, args ...string) *process {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(bin, append([]string{"serve"}, args...)...), done: make(chan error, 1), log: &strings.Builder{}}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.mu.Lock()
			p.log.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if strings.Contains(lines.Text(), "msg=ready") {
				ready <- lines.Text()
			}
		}
		p.done <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Error(err)
			}
		}
	})
	select {
	case line := <-ready:
		for field := range strings.FieldsSeq(line) {
			if v, ok := strings.CutPrefix(field, "PLAINTEXT="); ok {
				p.addr = v
			}
			if v, ok := strings.CutPrefix(field, "admin="); ok {
				p.admin = v
			}
		}
	case err := <-p.done:
		t.Fatalf("serve ended: %v\n%s", err, p.output())
	case <-time.After(2 * time.Minute):
		t.Fatalf("serve is not ready after two minutes\n%s", p.output())
	}
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// end sends a signal and waits for the process.
func (p *process) end(t *testing.T, sig syscall.Signal) error {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.done:
		return err
	case <-time.After(5 * time.Minute): // 10,000 partitions are synced one by one at a clean stop
		t.Fatalf("the process still runs five minutes after %v\n%s", sig, p.output())
		return nil
	}
}

// freeAddr is an address that was free a moment ago, with a port below those that
// the kernel gives to outgoing connections: it stays free while a process that
// listens there is started again.
func freeAddr(t *testing.T) string {
	t.Helper()
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return addr
		}
	}
}

// TestServe: ready, health over HTTP, SIGTERM ends it with 0.
func TestServe(t *testing.T) {
	p := serveProcess(t, "--data-dir", t.TempDir(), "--listeners", "PLAINTEXT://127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "-c", "num.partitions=3")
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/v1/topics"} {
		resp, err := http.Get("http://" + p.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %s, %d bytes, %v", path, resp.Status, len(body), err)
		}
	}
	if err := p.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, p.output())
	}
}

// TestServeRefuses: what is wrong is named, and nothing runs.
func TestServeRefuses(t *testing.T) {
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-c", "no.such.key=1"}, "no.such.key"},
		{[]string{"-c", "num.partitions=x"}, "num.partitions"},
		{[]string{"-c", "novalue"}, "novalue"},
		{[]string{"--listeners", "nonsense"}, "listeners"},
		{[]string{"--durability", "later"}, "--durability"},
		{[]string{"--durability", "os=1s"}, "only interval takes a time"},
		{[]string{"--durability", "interval=soon"}, "only interval takes a time"},
		{[]string{"--journal-max", "much"}, "--journal-max"},
		{[]string{"--config", "/no/such/file"}, "/no/such/file"},
		{[]string{"--limit", "x=1"}, "x"},
		{[]string{"--log-level", "loud"}, "--log-level"},
	} {
		out, err := exec.Command(bin, append([]string{"serve", "--data-dir", t.TempDir(), "--admin-listen", "off"}, c.args...)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, %s", c.args, err, out)
		}
	}
}

// acked is what one producer was told: the value at each offset.
type acked struct {
	mu      sync.Mutex
	records map[int32]map[int64]string
	n       int
}

// TestKill kills the real binary at random moments under load, while segments
// roll by size and by time, and starts it again: every acknowledged record is at
// its offset, none is there twice, each producer's are in order, and verify finds
// nothing.
func TestKill(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	dir, addr := t.TempDir(), freeAddr(t)
	start := func() *process {
		return serveProcess(t, "--data-dir", dir, "--listeners", "PLAINTEXT://"+addr, "--admin-listen", "off", "-c", "num.partitions=3",
			"-c", "log.segment.bytes=1048576", "-c", "log.roll.ms=150")
	}
	p := start()
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Minute)
	defer stop()
	got := &acked{records: map[int32]map[int64]string{}}
	var wg sync.WaitGroup
	producing, end := context.WithCancel(ctx)
	for i := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			produceUntil(t, producing, addr, i, got)
		}()
	}
	seed := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for range rounds {
		before := got.count()
		for deadline := time.Now().Add(2 * time.Minute); got.count() < before+50+seed.IntN(500); {
			if time.Now().After(deadline) {
				t.Fatalf("no progress: %d records\n%s", got.count(), p.output())
			}
			<-time.After(time.Millisecond)
		}
		if err := p.end(t, syscall.SIGKILL); err == nil {
			t.Fatal("the process ended in order")
		}
		p = start()
	}
	end()
	wg.Wait()
	verifyAcked(t, ctx, addr, got)
	if err := p.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	for part := range 3 {
		segments, err := filepath.Glob(filepath.Join(dir, "logs", fmt.Sprint("t-", part), "*.log"))
		if err != nil || len(segments) < 3 {
			t.Errorf("partition %d has %d segments: %v", part, len(segments), err)
		}
	}
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, "verify", "--data-dir", dir).CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

func (a *acked) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

// produceUntil produces numbered values with the idempotent producer.
func produceUntil(t *testing.T, ctx context.Context, addr string, id int, got *acked) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(200), kgo.UnknownTopicRetries(-1))
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.Close()
	pad := strings.Repeat("x", 4000)
	for i := 0; ctx.Err() == nil; i++ {
		cl.Produce(context.WithoutCancel(ctx), kgo.StringRecord(fmt.Sprintf("%d-%d-%s", id, i, pad)), func(r *kgo.Record, err error) {
			if err != nil {
				t.Errorf("a record failed: %v", err)
				return
			}
			got.mu.Lock()
			defer got.mu.Unlock()
			if got.records[r.Partition] == nil {
				got.records[r.Partition] = map[int64]string{}
			}
			if was, twice := got.records[r.Partition][r.Offset]; twice {
				t.Errorf("partition %d offset %d was acknowledged for %.20s and for %.20s", r.Partition, r.Offset, was, r.Value)
			}
			got.records[r.Partition][r.Offset] = string(r.Value)
			got.n++
		})
	}
	flush, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := cl.Flush(flush); err != nil {
		t.Errorf("flush: %v", err)
	}
}

// verifyAcked reads everything back.
func verifyAcked(t *testing.T, ctx context.Context, addr string, got *acked) {
	t.Helper()
	want := got.n
	from := map[int32]kgo.Offset{}
	for p := range got.records {
		from[p] = kgo.NewOffset().AtStart()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": from}), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	seen := map[string]string{}
	next := map[int32]int64{}
	last := map[string]int{} // of a producer in a partition
	for found := 0; found < want; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%v; %d of %d acknowledged records were found", err, found, want)
		}
		for _, r := range fetches.Records() {
			at := fmt.Sprintf("%d/%d", r.Partition, r.Offset)
			if was, twice := seen[string(r.Value)]; twice {
				t.Fatalf("%.20s is at %s and at %s", r.Value, was, at)
			}
			seen[string(r.Value)] = at
			if r.Offset != next[r.Partition] {
				t.Fatalf("partition %d: offset %d comes after %d", r.Partition, r.Offset, next[r.Partition]-1)
			}
			next[r.Partition]++
			var producer, n int
			if _, err := fmt.Sscanf(string(r.Value), "%d-%d-", &producer, &n); err != nil {
				t.Fatalf("%s holds %.20q: %v", at, r.Value, err)
			}
			of := fmt.Sprint(producer, "/", r.Partition)
			if before, ok := last[of]; ok && n <= before {
				t.Fatalf("%s: record %d of producer %d comes after its %d", at, n, producer, before)
			}
			last[of] = n
			if value, ok := got.records[r.Partition][r.Offset]; ok {
				if value != string(r.Value) {
					t.Fatalf("%s holds %.20s, and %.20s was acknowledged there", at, r.Value, value)
				}
				found++
			}
		}
	}
	t.Logf("%d acknowledged records are there, %d in all", want, len(seen))
}

// Command beside measures what one client meets beside many others: the time of
// one exchange, in turns on a broker that is quiet and on one that is under the
// load of another process.
//
//	beside [-rounds 3] [-exchanges 2000] [-chronik bin/chronik] [fetch|produce|metadata …]
//
// fetch is a Fetch v12 of 64 KiB every two milliseconds beside ten clients of
// Fetch v2, who read gzip as fast as it is converted for them, and beside ten of
// Fetch v12, who read it as it lies: what those cost is not the conversion's. produce is a
// Produce of one record every two milliseconds beside a thousand clients that
// each refresh the metadata of 10,000 partitions every 5 s, and metadata such a
// refresh every 20 ms, with nobody beside it and beside those.
//
// Three processes share the machine: this one with one connection, the broker,
// and the load, which is this command again.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	rounds := flag.Int("rounds", 3, "turns of a quiet run and one under each load")
	exchanges := flag.Int("exchanges", 2000, "exchanges in each run")
	binary := flag.String("chronik", "bin/chronik", "the broker")
	load := flag.String("load", "", "be the load of this name, until the input ends; this command starts itself so")
	at := flag.String("at", "", "the broker that the load goes to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *load != "" {
		err = beLoad(*load, *at)
	} else {
		err = measure(ctx, *binary, *rounds, *exchanges, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "beside:", err)
		os.Exit(1)
	}
}

// measure runs the scenes of these names, all when there are none.
func measure(ctx context.Context, binary string, rounds, exchanges int, names []string) error {
	if len(names) == 0 {
		names = []string{"fetch", "produce", "metadata"}
	}
	fmt.Printf("%-9s %-34s %8s %8s %8s  %s\n", "", "beside", "p50 ms", "p99 ms", "max ms", "exchanges of the load")
	for _, name := range names {
		s, ok := scenes[name]
		if !ok {
			return fmt.Errorf("there is no scene %q; there are fetch, produce and metadata", name)
		}
		if err := s.run(ctx, name, binary, rounds, exchanges); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// run measures one scene on a broker of its own.
func (s scene) run(ctx context.Context, name, binary string, rounds, exchanges int) error {
	dir, err := os.MkdirTemp("", "chronik-beside-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	addr, stop, err := startBroker(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer stop()
	if err := s.prepare(ctx, addr); err != nil {
		return err
	}
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	for range rounds {
		for _, load := range append([]string{""}, s.loads...) {
			end := func() (string, error) { return "0", nil }
			if load != "" {
				if end, err = startLoad(ctx, load, addr); err != nil {
					return err
				}
			}
			took, err := c.paced(s.every, exchanges, s.request())
			count, err2 := end()
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			beside := "nobody"
			if load != "" {
				beside = loads[load].what
			}
			at := func(q float64) float64 {
				return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
			}
			fmt.Printf("%-9s %-34s %8.2f %8.2f %8.2f  %s\n", name, beside, at(0.5), at(0.99), at(1), count)
		}
	}
	return nil
}

// paced does one exchange an interval, if the last has ended, and gives how long
// they took, in order of length.
func (c *conn) paced(every time.Duration, n int, request kmsg.Request) ([]time.Duration, error) {
	if err := c.look(request); err != nil {
		return nil, err
	}
	frame := encode(request)
	for range 100 {
		if err := c.exchange(frame); err != nil {
			return nil, err
		}
	}
	took := make([]time.Duration, 0, n)
	turn := time.NewTicker(every)
	defer turn.Stop()
	for range n {
		<-turn.C
		began := time.Now()
		if err := c.exchange(frame); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took, nil
}

// listening is the address in what the broker says when it is ready.
func listening(said string) string {
	_, ready, _ := strings.Cut(said, "msg=ready ")
	line, _, whole := strings.Cut(ready, "\n")
	_, addr, _ := strings.Cut(line, " PLAINTEXT=")
	if !whole {
		return ""
	}
	return addr
}

// startBroker starts the broker on a directory and a port that it chooses.
func startBroker(ctx context.Context, binary, dir string) (addr string, stop func(), err error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", nil, err
	}
	c := exec.CommandContext(ctx, binary, "serve", "--data-dir", filepath.Join(dir, "data"), "--listeners", "PLAINTEXT://127.0.0.1:0", "--admin-listen", "off")
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return "", nil, fmt.Errorf("start %s (make build): %w", binary, err)
	}
	stop = func() {
		_ = c.Process.Kill() // its data go with it
		_ = c.Wait()
		_ = log.Close()
	}
	for range 1000 {
		said, err := os.ReadFile(log.Name())
		if err != nil {
			stop()
			return "", nil, err
		}
		if addr = listening(string(said)); addr != "" {
			return addr, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name())
	stop()
	return "", nil, fmt.Errorf("the broker does not say where it listens; it says:\n%s", said)
}

// startLoad starts the load in a process of its own, and gives the end of it,
// which says how many exchanges it had.
func startLoad(ctx context.Context, name, addr string) (end func() (string, error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self, "-load", name, "-at", addr)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil { // all are connected
		return nil, errors.Join(fmt.Errorf("the load did not begin: %w", err), c.Wait())
	}
	return func() (string, error) {
		err := in.Close()
		count, err2 := io.ReadAll(lines)
		return strings.TrimSpace(string(count)), errors.Join(err, err2, c.Wait())
	}, nil
}

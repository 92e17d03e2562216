package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/bench"
)

// Options of a comparison.
type Options struct {
	// Chronik is the binary, KafkaScript the script of bench/peers/kafka and
	// KafkaDir where its jars are laid out.
	Chronik, KafkaScript, KafkaDir string
	// Work is where the brokers' directories are made; its disk is measured.
	Work string
	// Duration is the length of a run, Runs the rounds of a cell.
	Duration time.Duration
	Runs     int
	// Warm is how long each peer is loaded before anything is counted.
	Warm time.Duration
	// Limit above 0 is the time after which no run begins that would not end
	// within it; what was measured until then is reported.
	Limit time.Duration
	// Short runs the slow cells once.
	Short bool
	// More takes the long and rare cells instead of the usual ones.
	More bool
	// Cells are regular expressions that a cell's key must match as a whole,
	// Peers are keys; empty means all.
	Cells, Peers []string
	Connections  int
	// Progress is told what goes on.
	Progress func(string)
}

// Report is everything that was measured.
type Report struct {
	Machine  Machine
	Limits   []*Limits // at the begin and at the end
	Peers    []Peer
	Cells    []*Outcome
	Duration time.Duration
	Runs     int
	Took     time.Duration
	// Ended says why the comparison ended early; empty when it did not.
	Ended string
}

// Outcome is one table: the samples of each peer in the order of the rounds.
type Outcome struct {
	Key, Title string
	columns    []column
	meets      func(peer string) bool
	samples    map[string][]sample // by peer key
	failures   map[string][]string // by peer key, one a run that failed
}

// selected are the cells and the peers that the options ask for.
func (o *Options) selected() ([]cell, []Peer, error) {
	var chosen []*regexp.Regexp
	for _, text := range o.Cells {
		re, err := regexp.Compile("^(?:" + text + ")$")
		if err != nil {
			return nil, nil, fmt.Errorf("compare: --cells %q is no regular expression: %w", text, err)
		}
		chosen = append(chosen, re)
	}
	known := Peers()
	for _, key := range o.Peers {
		if !slices.ContainsFunc(known, func(p Peer) bool { return p.Key == key }) {
			return nil, nil, fmt.Errorf("compare: no peer is called %q; --peers knows %s", key, keysOf(known, func(p Peer) string { return p.Key }))
		}
	}
	var picked []cell
	for _, c := range cells() {
		named := slices.ContainsFunc(chosen, func(re *regexp.Regexp) bool { return re.MatchString(c.key) })
		if named || (len(chosen) == 0 && c.more == o.More) {
			picked = append(picked, c)
		}
	}
	if len(picked) == 0 {
		return nil, nil, fmt.Errorf("compare: no cell matches --cells %q; there are %s", o.Cells, keysOf(cells(), func(c cell) string { return c.key }))
	}
	var peers []Peer
	for _, p := range known {
		wanted := slices.ContainsFunc(picked, func(c cell) bool { return c.meets(p.Key) })
		if wanted && (len(o.Peers) == 0 || slices.Contains(o.Peers, p.Key)) {
			peers = append(peers, p)
		}
	}
	return picked, peers, nil
}

func keysOf[T any](all []T, key func(T) string) []string {
	var keys []string
	for _, a := range all {
		keys = append(keys, key(a))
	}
	return keys
}

// List tells the cells, one a line, for a help text.
func List() string {
	var b strings.Builder
	for _, c := range cells() {
		mark := " "
		if c.more {
			mark = "*"
		}
		fmt.Fprintf(&b, "  %s %-14s %s\n", mark, c.key, c.title)
	}
	return b.String()
}

// Run compares. What fails for one peer in one cell is noted there and does not
// end the others; when the context ends, or the time, the report has what was
// measured until then.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Runs < 1 || o.Duration <= 0 {
		return nil, fmt.Errorf("compare: %d runs of %s; both must be above 0", o.Runs, o.Duration)
	}
	picked, peers, err := o.selected()
	if err != nil {
		return nil, err
	}
	m := &measurement{o: &o, began: time.Now(), lost: map[string]string{}, took: map[string]time.Duration{}}
	rep := &Report{Machine: readMachine(o.Work, o.Chronik), Duration: o.Duration, Runs: o.Runs, Peers: peers}
	m.rep = rep
	all, busy := cpuTimes()
	own := ownCPU()
	if err := rep.limits(&o); err != nil {
		return nil, err
	}
	m.starts(ctx, picked)
	for _, i := range m.running {
		if o.Warm > 0 && ctx.Err() == nil {
			o.Progress("warming " + i.peer.Name)
			if err := warm(ctx, &o, i.target()); err != nil {
				o.Progress(fmt.Sprintf("warming %s: %v", i.peer.Name, err))
			}
		}
	}
	m.rounds(ctx, picked)
	if ctx.Err() != nil {
		rep.Ended = "it was interrupted"
	}
	for _, i := range m.running {
		if u, e := bench.ProcessUsage(i.pid); e == nil {
			m.used += u.CPU
		}
	}
	err = rep.limits(&o)
	all2, busy2 := cpuTimes()
	if all2 > all {
		rep.Machine.Others = max(0, float64(busy2-busy-m.used-(ownCPU()-own))/float64(all2-all))
	}
	rep.Took = time.Since(m.began)
	return rep, errors.Join(err, stopAll(m.running))
}

// stopAll stops the brokers at once: Kafka takes seconds.
func stopAll(running []*instance) error {
	errs := make([]error, len(running))
	var wg sync.WaitGroup
	for n, i := range running {
		wg.Go(func() { errs[n] = i.stop() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (rep *Report) limits(o *Options) error {
	o.Progress("limits of disk and loopback")
	l, err := measureLimits(o.Work, 256<<20)
	if err == nil {
		rep.Limits = append(rep.Limits, l)
	}
	return err
}

// syncDisk writes back what the file system of dir has in the page cache.
func syncDisk(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

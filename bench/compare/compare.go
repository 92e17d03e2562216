package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
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
	// Short runs the slow cells once.
	Short bool
	// Cells and Peers choose by key; empty means all.
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
	Cells    []Outcome
	Duration time.Duration
	Took     time.Duration
}

// Outcome is one table: the samples of each peer in the order of the rounds.
type Outcome struct {
	Key, Title string
	columns    []column
	samples    map[string][]sample // by peer key
	// missing says why a peer has none.
	missing map[string]string
}

// Run compares. What fails for one peer in one cell is noted there and does
// not end the others.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Runs < 1 || o.Duration <= 0 {
		return nil, fmt.Errorf("compare: %d runs of %s; both must be above 0", o.Runs, o.Duration)
	}
	began := time.Now()
	rep := &Report{Machine: readMachine(o.Work, o.Chronik), Duration: o.Duration}
	all, busy := cpuTimes()
	own := ownCPU()
	if err := rep.limits(&o); err != nil {
		return nil, err
	}
	for _, p := range Peers() {
		if len(o.Peers) == 0 || slices.Contains(o.Peers, p.Key) {
			rep.Peers = append(rep.Peers, p)
		}
	}
	running, err := rep.starts(ctx, &o)
	for _, i := range running {
		if err == nil && o.Warm > 0 {
			o.Progress("warming " + i.peer.Name)
			err = warm(ctx, &o, i.target())
		}
	}
	if err == nil {
		err = rep.cells(ctx, &o, running)
	}
	var used time.Duration
	for _, i := range running {
		if u, e := bench.ProcessUsage(i.pid); e == nil {
			used += u.CPU
		}
	}
	if err == nil {
		err = rep.limits(&o)
	}
	all2, busy2 := cpuTimes()
	if all2 > all {
		rep.Machine.Others = max(0, float64(busy2-busy-used-(ownCPU()-own))/float64(all2-all))
	}
	rep.Took = time.Since(began)
	return rep, errors.Join(err, stopAll(running))
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

// starts measures starts and leaves every peer running.
func (rep *Report) starts(ctx context.Context, o *Options) (running []*instance, err error) {
	c := cells()[0]
	out := Outcome{Key: c.key, Title: c.title, columns: c.columns, samples: map[string][]sample{}, missing: map[string]string{}}
	for _, p := range rep.Peers {
		n := o.Runs
		if p.Slow && o.Short {
			n = 1
		}
		for k := range n {
			o.Progress(fmt.Sprintf("start %d of %s", k+1, p.Name))
			i, err := o.start(ctx, p)
			if err != nil {
				return running, errors.Join(err, ctx.Err())
			}
			select { // what a start leaves to do is not part of being idle
			case <-time.After(500 * time.Millisecond):
			case <-ctx.Done():
			}
			u, err := bench.ProcessUsage(i.pid)
			out.samples[p.Key] = append(out.samples[p.Key], sample{values: map[string]float64{
				"ready": float64(i.ready.Microseconds()) / 1000, "rss": float64(u.RSS) / 1e6}})
			if k < n-1 || err != nil {
				err = errors.Join(err, i.stop())
			} else {
				running = append(running, i)
			}
			if err != nil {
				return running, err
			}
		}
	}
	rep.Cells = append(rep.Cells, out)
	return running, nil
}

func (rep *Report) cells(ctx context.Context, o *Options, running []*instance) error {
	for _, c := range cells()[1:] {
		if len(o.Cells) > 0 && !slices.Contains(o.Cells, c.key) {
			continue
		}
		outs := make([]Outcome, max(1, len(c.parts)))
		for n := range outs {
			outs[n] = Outcome{Key: c.key, Title: c.title, columns: c.columns, samples: map[string][]sample{}, missing: map[string]string{}}
			if len(c.parts) > 0 {
				outs[n].Key, outs[n].Title = fmt.Sprintf("%s-%d", c.key, n+1), c.title+": "+c.parts[n]
			}
		}
		lost := outs[0].missing
		if c.prepare != nil {
			for _, i := range running {
				if err := c.prepare(ctx, o, i.target()); err != nil {
					lost[i.peer.Key] = err.Error()
				}
			}
		}
		rounds := o.Runs
		if c.once && o.Short {
			rounds = 1
		}
		for round := range rounds {
			for k := range running {
				i := running[(k+round)%len(running)]
				if lost[i.peer.Key] != "" {
					continue
				}
				o.Progress(fmt.Sprintf("%s, round %d of %d, %s", c.key, round+1, rounds, i.peer.Name))
				samples, err := i.measure(ctx, c, round)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					lost[i.peer.Key] = err.Error()
					o.Progress(fmt.Sprintf("%s, %s: %v", c.key, i.peer.Name, err))
					continue
				}
				for n, s := range samples {
					outs[n].samples[i.peer.Key] = append(outs[n].samples[i.peer.Key], s)
				}
			}
		}
		rep.Cells = append(rep.Cells, outs...)
	}
	return nil
}

// measure runs a cell once on a topic of its own, after what earlier runs have
// left in the page cache was written.
func (i *instance) measure(ctx context.Context, c cell, round int) ([]sample, error) {
	if err := syncDisk(i.o.Work); err != nil {
		return nil, err
	}
	// A run that takes ten times its time is ended, not waited for.
	ctx, cancel := context.WithTimeout(ctx, 10*i.o.Duration+time.Minute)
	defer cancel()
	topic := fmt.Sprintf("%s-%d", c.key, round)
	samples, err := c.run(ctx, i.o, i.target(), topic)
	if err == nil && c.key != "consume" && c.key != "connections" {
		err = drop(ctx, i.target(), topic)
	}
	return samples, err
}

// syncDisk writes back what the file system of dir has in the page cache.
func syncDisk(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

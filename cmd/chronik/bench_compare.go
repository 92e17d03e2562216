package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench/compare"
)

func newBenchCompareCommand() *cobra.Command {
	o := compare.Options{}
	var readme, figures string
	cmd := &cobra.Command{
		Use: "compare", Short: "Measure Apache Kafka and Chronik beside each other", Args: cobra.NoArgs,
		Long: `Measure Apache Kafka and Chronik beside each other: the same loads from the same
clients on the same machine. It starts every broker itself, on loopback, on empty
directories under --work, and stops them at the end. You need a JVM and Kafka's jars
(bench/peers/kafka/kafka setup DIR gets them; make bench-compare does all of it).

The peers: kafka (as shipped: page cache), kafka-fsync (a sync before each ack),
commit, interval and os (Chronik's durability modes); kafka-ssl, commit-ssl and
os-ssl are the same behind SASL_SSL and meet in the ssl cells only.

A cell is one load. Each round runs every cell once, for each of its peers in turn;
the order of the peers turns with the round. What is shown is the median of the
rounds with the smallest and the largest. A run that fails is noted in its table and
the rest goes on. An interrupt, or --limit, ends the comparison early: it reports what
it has, with the number of runs.

The cells:
` + compare.List() + `
Cells marked with * are long or rare: --more runs those, --cells any by name. With
--figures the whole report goes to FIGURES.md in that directory, with two plots; with
--into a summary goes between the marks <!-- figures:begin --> and <!-- figures:end -->
of a file (more-figures with --more).`,
		Example: `  chronik bench compare --cells 'one|bulk.*' --peers kafka,commit --runs 3 --duration 3s
  chronik bench compare --limit 45m --into README.md --figures bench/figures
  chronik bench compare --more --cells 'ssl-.*' --runs 2`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Chronik == "" {
				self, err := os.Executable()
				if err != nil {
					return fmt.Errorf("finding this program, to start it as a broker (--chronik): %w", err)
				}
				o.Chronik = self
			}
			work, err := os.MkdirTemp(o.Work, "chronik-compare-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
			o.Work = work
			began := time.Now()
			o.Progress = func(s string) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%6.1fs %s\n", time.Since(began).Seconds(), s)
			}
			report, err := compare.Run(cmd.Context(), o)
			if report == nil {
				return err
			}
			// What was measured is written also when the end went wrong.
			_, printed := fmt.Fprint(cmd.OutOrStdout(), report.Full(false))
			err = errors.Join(err, printed, writeFigures(report, o.More, readme, figures))
			if errors.Is(err, context.Canceled) {
				err = nil // it was asked to end
			}
			return err
		},
	}
	p := cmd.Flags()
	p.StringVar(&o.Chronik, "chronik", "", "the binary to start (default: this one)")
	p.StringVar(&o.KafkaScript, "kafka-script", "bench/peers/kafka/kafka", "the script that starts Apache Kafka")
	p.StringVar(&o.KafkaDir, "kafka-dir", "bench/compat/.work/kafka", "where that script's setup has laid Kafka out")
	p.StringVar(&o.Work, "work", "", "directory on the disk to measure (default: the system's temporary one)")
	p.DurationVar(&o.Duration, "duration", 10*time.Second, "length of a run")
	p.IntVar(&o.Runs, "runs", 5, "rounds")
	p.DurationVar(&o.Warm, "warm", 9*time.Second, "load on each broker before anything is counted")
	p.DurationVar(&o.Limit, "limit", 0, "begin no run that would end after this time, and report what there is (0: no limit)")
	p.BoolVar(&o.Short, "short", false, "slow cells once only")
	p.BoolVar(&o.More, "more", false, "the long and rare cells instead of the usual ones")
	p.StringSliceVar(&o.Cells, "cells", nil, "only these: names or regular expressions that match a whole name")
	p.StringSliceVar(&o.Peers, "peers", nil, "only these")
	p.IntVar(&o.Connections, "connections", 10000, "idle connections of that cell")
	p.StringVar(&readme, "into", "", "file with the marks to write a summary between; needs --figures")
	p.StringVar(&figures, "figures", "", "directory for FIGURES.md and the plots")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if readme != "" && figures == "" {
			return errors.New("--into needs --figures: a summary says where the rest is")
		}
		return nil
	}
	return cmd
}

// writeFigures writes the report into the files of the repository.
func writeFigures(report *compare.Report, more bool, readme, figures string) error {
	if figures == "" {
		return nil
	}
	block, heading := "figures", "Figures"
	if more {
		block, heading = "more-figures", "Figures of long and rare loads"
	}
	err := os.MkdirAll(figures, 0o755)
	if err == nil && !more {
		err = report.WritePlots(figures)
	}
	if err == nil {
		err = compare.WriteBlock(filepath.Join(figures, "FIGURES.md"), block, heading, report.Full(!more))
	}
	if err == nil && readme != "" {
		from, abs := filepath.Abs(filepath.Dir(readme))
		to, abs2 := filepath.Abs(figures)
		if err = errors.Join(abs, abs2); err == nil {
			if rel, e := filepath.Rel(from, to); e == nil {
				figures = rel
			}
			err = compare.WriteInto(readme, block, report.Summary(strings.TrimSuffix(filepath.ToSlash(figures), "/"), !more))
		}
	}
	if err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	return nil
}

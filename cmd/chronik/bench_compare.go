package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench/compare"
)

func newBenchCompareCommand() *cobra.Command {
	o := compare.Options{}
	var readme, figures string
	cmd := &cobra.Command{
		Use: "compare", Short: "Measure Apache Kafka and Chronik beside each other", Args: cobra.NoArgs,
		Long: `Measure Apache Kafka (as shipped, and with a sync before each ack) and Chronik (in
its three modes) beside each other: the same loads, in rounds whose order turns. It
starts and stops the brokers itself, on loopback. Markdown goes to the output, or
between the marks of --into; plots to --figures.`,
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
			if err != nil {
				return err
			}
			if figures != "" {
				if err := report.WritePlots(figures); err != nil {
					return fmt.Errorf("writing the plots: %w", err)
				}
			}
			text := report.Markdown(figures)
			if readme != "" {
				if err := compare.WriteInto(readme, text); err != nil {
					return fmt.Errorf("writing the figures: %w", err)
				}
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
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
	p.BoolVar(&o.Short, "short", false, "slow cells once only")
	p.StringSliceVar(&o.Cells, "cells", nil, "only these: one, thirtytwo, sixteen, bulk128, bulk16, consume, open10k, partitions, connections")
	p.StringSliceVar(&o.Peers, "peers", nil, "only these: kafka, kafka-fsync, commit, interval, os")
	p.IntVar(&o.Connections, "connections", 10000, "idle connections of that cell")
	p.StringVar(&readme, "into", "", "file with the marks <!-- figures:begin --> and <!-- figures:end -->")
	p.StringVar(&figures, "figures", "", "directory for the plots")
	return cmd
}

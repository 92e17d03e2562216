package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench"
)

func newBenchConnectionsCommand(f *benchFlags) *cobra.Command {
	var count, parallel int
	var hold time.Duration
	cmd := &cobra.Command{
		Use: "connections", Short: "Open many connections and hold them idle", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.Connections(cmd.Context(), f.target, count, parallel, hold)
			return f.report(cmd, r, err)
		},
	}
	cmd.Flags().IntVar(&count, "count", 10000, "connections")
	cmd.Flags().IntVar(&parallel, "parallel", 64, "opened at once")
	cmd.Flags().DurationVar(&hold, "hold", time.Second, "time to hold them before the broker's memory is read")
	return cmd
}

func newBenchChurnCommand(f *benchFlags) *cobra.Command {
	var rate float64
	var workers int
	var duration time.Duration
	cmd := &cobra.Command{
		Use: "churn", Short: "Open and close connections at a rate", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.Churn(cmd.Context(), f.target, rate, workers, duration)
			return f.report(cmd, r, err)
		},
	}
	cmd.Flags().Float64Var(&rate, "rate", 2000, "connections/s")
	cmd.Flags().IntVar(&workers, "workers", 32, "connections under way at once at the most")
	cmd.Flags().DurationVar(&duration, "duration", 10*time.Second, "length")
	return cmd
}

func newBenchPartitionsCommand(f *benchFlags) *cobra.Command {
	var topic string
	var partitions int32
	var clients, rounds, size int
	cmd := &cobra.Command{
		Use: "partitions", Short: "Append to every partition of a large topic: first appends and steady state", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			first, steady, err := bench.Partitions(cmd.Context(), f.target, topic, partitions, clients, rounds, size)
			if err != nil {
				return err
			}
			if err := f.report(cmd, first, nil); err != nil {
				return err
			}
			return f.report(cmd, steady, nil)
		},
	}
	p := cmd.Flags()
	p.StringVarP(&topic, "topic", "t", "chronik-bench-partitions", "topic; made when missing")
	p.Int32Var(&partitions, "partitions", 1000, "partitions of the topic")
	p.IntVar(&clients, "clients", 4, "clients, each with its share of the partitions")
	p.IntVar(&rounds, "rounds", 10, "rounds over all partitions in the steady state")
	p.IntVar(&size, "size", 1024, "bytes of a value")
	return cmd
}

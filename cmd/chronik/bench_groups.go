package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench"
)

func newBenchTransactionsCommand(f *benchFlags) *cobra.Command {
	var l bench.Load
	cmd := &cobra.Command{
		Use: "transactions", Short: "Commit transactions one after the other; rate and latency of whole ones", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.Transactions(cmd.Context(), f.target, l)
			return f.report(cmd, r, err)
		},
	}
	p := cmd.Flags()
	p.StringVarP(&l.Topic, "topic", "t", "chronik-bench", "topic; made when missing")
	p.Int32Var(&l.Partitions, "partitions", 6, "partitions of a topic that is made")
	p.IntVar(&l.Producers, "producers", 1, "clients")
	p.IntVar(&l.Transaction, "records", 10, "records of a transaction")
	p.IntVar(&l.RecordSize, "size", 256, "bytes of a value")
	p.DurationVar(&l.Duration, "duration", 10*time.Second, "length of the measurement")
	p.DurationVar(&l.Warmup, "warmup", time.Second, "time before it that is not counted")
	return cmd
}

func newBenchCommitsCommand(f *benchFlags) *cobra.Command {
	var topic string
	var clients int
	var warmup, duration time.Duration
	cmd := &cobra.Command{
		Use: "commits", Short: "Commit offsets as fast as they are answered", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.Commits(cmd.Context(), f.target, topic, clients, warmup, duration)
			return f.report(cmd, r, err)
		},
	}
	p := cmd.Flags()
	p.StringVarP(&topic, "topic", "t", "chronik-bench-commits", "topic whose offsets are committed; made when missing")
	p.IntVar(&clients, "clients", 16, "clients, each with a group of its own and one commit in flight")
	p.DurationVar(&duration, "duration", 10*time.Second, "length of the measurement")
	p.DurationVar(&warmup, "warmup", time.Second, "time before it that is not counted")
	return cmd
}

func newBenchRebalanceCommand(f *benchFlags) *cobra.Command {
	var group string
	var members int
	cmd := &cobra.Command{
		Use: "rebalance", Short: "Let one more member join a group; time until all have their assignment", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if group == "" {
				group = fmt.Sprintf("chronik-bench-%d", time.Now().UnixNano())
			}
			r, err := bench.Rebalance(cmd.Context(), f.target, group, members)
			return f.report(cmd, r, err)
		},
	}
	cmd.Flags().StringVar(&group, "group", "", "group (default: a fresh one)")
	cmd.Flags().IntVar(&members, "members", 200, "members in the end")
	return cmd
}

func newBenchGroupsCommand(f *benchFlags) *cobra.Command {
	var prefix string
	var groups, connections int
	cmd := &cobra.Command{
		Use: "groups", Short: "Make many groups of one idle member", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.IdleGroups(cmd.Context(), f.target, prefix, groups, connections)
			return f.report(cmd, r, err)
		},
	}
	p := cmd.Flags()
	p.StringVar(&prefix, "prefix", "chronik-bench-idle", "begin of the groups' names")
	p.IntVar(&groups, "count", 10000, "groups")
	p.IntVar(&connections, "connections", 16, "connections that the members share")
	return cmd
}

func newBenchDrainCommand(f *benchFlags) *cobra.Command {
	var l bench.Load
	var acks int
	var backlog int64
	var most time.Duration
	cmd := &cobra.Command{
		Use: "drain", Short: "Build a backlog, then drain it with one consumer while producers go on", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			setAcks(&l, acks)
			r, err := bench.Drain(cmd.Context(), f.target, l, backlog, most)
			return f.report(cmd, r, err)
		},
	}
	loadFlags(cmd, &l, &acks)
	for name, value := range map[string]string{"rate": "10000", "producers": "2", "topic": "chronik-bench-drain"} {
		flag := cmd.Flags().Lookup(name)
		flag.DefValue = value
		_ = flag.Value.Set(value) // constants
	}
	for _, name := range []string{"records", "duration", "warmup"} {
		_ = cmd.Flags().MarkHidden(name) // the backlog decides
	}
	cmd.Flags().Int64Var(&backlog, "backlog", 500_000, "records that wait before the consumer begins")
	cmd.Flags().DurationVar(&most, "most", time.Minute, "an error when it has not caught up by then")
	return cmd
}

package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench"
)

func newBenchVerifyTxnCommand(f *benchFlags) *cobra.Command {
	var c bench.TxnCheck
	cmd := &cobra.Command{
		Use: "verify-txn", Short: "Consume, transform and produce in transactions; look for broken promises", Args: cobra.NoArgs,
		Long: `Unique values go into a topic, workers of one group carry them to another in
transactions with random aborts and workers that die, and a read_committed reader
looks for values that are lost, duplicated, aborted but read, torn or out of order.
The broker may be killed and started again meanwhile. Exit code 1 when a promise was
broken.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !f.json {
				c.Live = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
			}
			v, err := bench.VerifyTxn(cmd.Context(), f.target, c)
			if err != nil {
				return err
			}
			if f.json {
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(v); err != nil {
					return err
				}
			} else {
				fmt.Fprintln(cmd.OutOrStdout(), v)
			}
			if v.Bad() {
				return fmt.Errorf("%w: %s", errLimit, v)
			}
			return nil
		},
	}
	p := cmd.Flags()
	p.StringVar(&c.Prefix, "prefix", "", "names the topics, the group and the transactional ids (default: a fresh one)")
	p.Int32Var(&c.Partitions, "partitions", 4, "partitions of both topics")
	p.IntVar(&c.Workers, "workers", 3, "members of the group")
	p.Float64Var(&c.Rate, "rate", 500, "values/s")
	p.DurationVar(&c.Duration, "duration", 30*time.Second, "time to send values")
	p.DurationVar(&c.Drain, "drain", time.Minute, "time for the workers to finish")
	p.Float64Var(&c.AbortRate, "abort-rate", 0.2, "share of transactions aborted on purpose")
	p.Float64Var(&c.KillRate, "kill-rate", 0.02, "share of transactions in which the worker dies")
	return cmd
}

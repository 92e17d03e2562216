package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench"
)

// verdict is what a check has found of one group.
type verdict interface {
	comparable
	Bad() bool
	String() string
}

// verdicts prints what a check has found and fails when a promise was broken.
func verdicts[V verdict](f *benchFlags, cmd *cobra.Command, all []V, err error) error {
	if err != nil {
		return err
	}
	if f.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(all); err != nil {
			return err
		}
	}
	var bad []error
	for _, v := range all {
		if !f.json {
			fmt.Fprintln(cmd.OutOrStdout(), v)
		}
		if v.Bad() {
			bad = append(bad, fmt.Errorf("%w: %s", errPromise, v))
		}
	}
	return errors.Join(bad...)
}

// errPromise ends the process with 1.
var errPromise = errors.New("a promise was broken")

// lines prints a check's progress as plain lines, except with --json.
func (f *benchFlags) lines(cmd *cobra.Command) func(string) {
	if f.json {
		return nil
	}
	return func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
}

func newBenchVerifyTxnCommand(f *benchFlags) *cobra.Command {
	var c bench.TxnCheck
	cmd := &cobra.Command{
		Use: "verify-txn", Short: "Consume, transform and produce in transactions; look for broken promises", Args: cobra.NoArgs,
		Long: `Unique values go into a topic. The workers of each group carry them to a topic of
their own in transactions, with random aborts and workers that die in the middle of
one without a word. A read_committed reader looks for values that are lost,
duplicated, aborted but read or out of order, for torn transactions, and for polls
(its own and the workers') that go back or jump. The broker may be killed and started
again meanwhile (make verify-crash). Exit code 1 when a promise was broken.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Live = f.lines(cmd)
			v, err := bench.VerifyTxn(cmd.Context(), f.target, c)
			return verdicts(f, cmd, v, err)
		},
	}
	p := cmd.Flags()
	p.StringVar(&c.Prefix, "prefix", "", "names the topics, the groups and the transactional ids (default: a fresh one)")
	p.Int32Var(&c.Partitions, "partitions", 4, "partitions of each topic")
	p.IntVar(&c.Groups, "groups", 2, "consumer groups, each with an output topic")
	p.IntVar(&c.Workers, "workers", 3, "members of each group")
	p.Float64Var(&c.Rate, "rate", 500, "values/s")
	p.DurationVar(&c.Duration, "duration", 30*time.Second, "time to send values")
	p.DurationVar(&c.Drain, "drain", time.Minute, "time for the workers to finish")
	p.Float64Var(&c.AbortRate, "abort-rate", 0.2, "share of transactions aborted on purpose")
	p.Float64Var(&c.KillRate, "kill-rate", 0.02, "share of transactions in which the worker dies")
	return cmd
}

func newBenchVerifyGroupCommand(f *benchFlags) *cobra.Command {
	var c bench.GroupCheck
	cmd := &cobra.Command{
		Use: "verify-group", Short: "Let members of consumer groups come, go and die; look for broken promises", Args: cobra.NoArgs,
		Long: `Unique values go into a topic that several groups read: a classic one with
cooperative rebalances, a classic one with eager ones and a static member, one of
KIP-848, and so on in turn. Members join, poll, commit, leave, or die without a word.
Looked for: values that a group never had, offsets that an assignment skipped or was
given again, starts below what was committed, committed offsets that go back or are
lost, offsets whose value changed. The broker may be killed and started again
meanwhile (make verify-crash). Exit code 1 when a promise was broken.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Live = f.lines(cmd)
			v, err := bench.VerifyGroup(cmd.Context(), f.target, c)
			return verdicts(f, cmd, v, err)
		},
	}
	p := cmd.Flags()
	p.StringVar(&c.Prefix, "prefix", "", "names the topic and the groups (default: a fresh one)")
	p.Int32Var(&c.Partitions, "partitions", 8, "partitions of the topic")
	p.IntVar(&c.Groups, "groups", 3, "consumer groups; their protocols take turns")
	p.IntVar(&c.Members, "members", 4, "members of each group")
	p.Float64Var(&c.Rate, "rate", 1000, "values/s")
	p.DurationVar(&c.Duration, "duration", 30*time.Second, "time to send values")
	p.DurationVar(&c.Life, "life", 8*time.Second, "how long a member lives on average")
	p.Float64Var(&c.KillRate, "kill-rate", 0.4, "share of lives that end without a word")
	p.DurationVar(&c.Drain, "drain", 2*time.Minute, "time for the groups to finish")
	return cmd
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench"
)

// benchFlags are shared by the load tools.
type benchFlags struct {
	target    bench.Target
	security  clientSecurity
	json      bool
	plot      bool
	hdr       string
	maxP99    time.Duration
	minRate   float64
	maxErrors int64
	terminal  bool // the live line is redrawn
}

func newBenchCommand() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load tools for any Kafka broker",
		Long: `Load tools for any Kafka broker. They speak through franz-go and kmsg and share
no code with the broker. Latencies of an open loop (--rate) count from the time a
record was due, so that a stall of the broker is not hidden by the records that it
kept from being sent. Without --json the progress goes to standard error: a line that
is drawn anew on a terminal, plain lines elsewhere. An exit code of 1 says that a limit
(--max-p99, --min-rate, --max-errors) was not met or a promise was broken.`,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			f.target.Live = f.live(cmd.ErrOrStderr())
			if f.target.TLS, err = f.security.tlsConfig(); err == nil {
				f.target.Login, err = f.security.login()
			}
			return err
		},
	}
	p := cmd.PersistentFlags()
	p.StringVarP(&f.target.Bootstrap, "brokers", "b", "127.0.0.1:9092", "broker to load, host:port")
	f.security.register(cmd)
	p.IntVar(&f.target.PID, "pid", 0, "the broker's process id, to report its CPU and memory")
	p.StringVar(&f.target.AckRule, "ack-rule", "", "when this broker acknowledges, in words; printed beside each figure")
	p.BoolVar(&f.json, "json", false, "print the result as JSON")
	p.BoolVar(&f.plot, "plot", false, "draw the latency percentiles (with --json to standard error)")
	p.StringVar(&f.hdr, "hdr", "", "write the HDR percentile distribution to this file, that end to end to the same with .e2e")
	p.DurationVar(&f.maxP99, "max-p99", 0, "exit 1 when the p99 latency, or the one end to end, is above this")
	p.Float64Var(&f.minRate, "min-rate", 0, "exit 1 when the rate is below this many records/s")
	p.Int64Var(&f.maxErrors, "max-errors", 0, "exit 1 when more records failed")
	cmd.AddCommand(newBenchProduceCommand(f), newBenchE2ECommand(f), newBenchConsumeCommand(f), newBenchVerifyTxnCommand(f), newBenchVerifyGroupCommand(f),
		newBenchConnectionsCommand(f), newBenchChurnCommand(f), newBenchPartitionsCommand(f), newBenchCompareCommand(), newBenchOMBCommand(f),
		newBenchTransactionsCommand(f), newBenchCommitsCommand(f), newBenchRebalanceCommand(f), newBenchGroupsCommand(f), newBenchDrainCommand(f), newBenchLeaksCommand(f))
	return cmd
}

func loadFlags(cmd *cobra.Command, l *bench.Load, acks *int) {
	p := cmd.Flags()
	p.StringVarP(&l.Topic, "topic", "t", "chronik-bench", "topic; made when missing")
	p.Int32Var(&l.Partitions, "partitions", 6, "partitions of a topic that is made")
	p.IntVar(&l.Producers, "producers", 1, "clients")
	p.Int64Var(&l.Records, "records", 0, "end after this many records (0: after --duration)")
	p.DurationVar(&l.Duration, "duration", 10*time.Second, "length of the measurement")
	p.DurationVar(&l.Warmup, "warmup", time.Second, "time before it that is not counted")
	p.Float64Var(&l.Rate, "rate", 0, "records/s in all, open loop (0: as fast as the in-flight limit allows)")
	p.IntVar(&l.RecordSize, "size", 1024, "bytes of a value")
	p.IntVar(&l.BatchBytes, "batch", 128<<10, "largest batch in bytes")
	p.DurationVar(&l.Linger, "linger", 0, "time a client waits for a batch to fill")
	p.IntVar(&l.InFlight, "in-flight", 0, "requests in flight per client (0: 5, raw 1)")
	p.IntVar(acks, "acks", -1, "-1, 0 or 1")
	p.BoolVar(&l.Idempotent, "idempotent", false, "use the idempotent producer")
	p.IntVar(&l.Transaction, "transaction", 0, "records per transaction (0: none)")
	p.StringVar(&l.Codec, "codec", "none", "none, gzip, snappy, lz4 or zstd")
	p.StringVar(&l.Keys, "keys", "none", "none, round-robin or random")
	p.BoolVar(&l.Raw, "raw", false, "use the plain kmsg client with pre-encoded batches")
	p.IntVar(&l.RawBatch, "raw-batch", 1, "records per batch of --raw")
}

func newBenchProduceCommand(f *benchFlags) *cobra.Command {
	var l bench.Load
	var acks int
	cmd := &cobra.Command{
		Use: "produce", Short: "Produce and measure the latency to the ack", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			setAcks(&l, acks)
			r, err := bench.Produce(cmd.Context(), f.target, l)
			return f.report(cmd, r, err)
		},
	}
	loadFlags(cmd, &l, &acks)
	cmd.Flags().BoolVar(&l.Verify, "verify", false, "read everything back: lost, duplicated, reordered or damaged records exit 1")
	return cmd
}

func newBenchE2ECommand(f *benchFlags) *cobra.Command {
	var l bench.Load
	var acks int
	cmd := &cobra.Command{
		Use: "e2e", Short: "Produce and consume at once; measure until the consumer has the record", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			setAcks(&l, acks)
			r, err := bench.EndToEnd(cmd.Context(), f.target, l)
			return f.report(cmd, r, err)
		},
	}
	loadFlags(cmd, &l, &acks)
	return cmd
}

func newBenchConsumeCommand(f *benchFlags) *cobra.Command {
	var rd bench.Read
	cmd := &cobra.Command{
		Use: "consume", Short: "Read a topic from its start as fast as possible", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.Consume(cmd.Context(), f.target, rd)
			return f.report(cmd, r, err)
		},
	}
	p := cmd.Flags()
	p.StringVarP(&rd.Topic, "topic", "t", "chronik-bench", "topic")
	p.IntVar(&rd.Consumers, "consumers", 1, "clients, each with its share of the partitions")
	p.Int64Var(&rd.Records, "records", 0, "end after this many (0: what the topic holds at the start)")
	p.DurationVar(&rd.Duration, "duration", 0, "read it again and again for so long (0: once)")
	p.BoolVar(&rd.Raw, "raw", false, "use the plain kmsg client, which looks at the heads of batches only")
	p.DurationVar(&rd.MaxWait, "max-wait", 5*time.Second, "give up after so long without a record")
	return cmd
}

func setAcks(l *bench.Load, acks int) {
	l.Acks, l.NoAcks = int16(acks), acks == 0
}

// live is the progress line: redrawn on a terminal, plain lines when piped,
// silent with --json.
func (f *benchFlags) live(w io.Writer) func(bench.Progress) {
	if f.json {
		return nil
	}
	file, ok := w.(*os.File)
	if ok {
		if info, err := file.Stat(); err == nil {
			f.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	begin, end := "", "\n"
	if f.terminal {
		begin, end = "\r", "\033[K"
	}
	return func(p bench.Progress) {
		fmt.Fprintf(w, "%s%5.1fs %10d records %9.0f/s %7.1f MB/s  %s  errors %d%s", begin, p.Elapsed.Seconds(), p.Records, p.Rate, p.MBPerSec, p.Latency, p.Errors, end)
	}
}

// errLimit ends the process with 1 without a usage text.
var errLimit = errors.New("a stated limit was not met")

func (f *benchFlags) report(cmd *cobra.Command, r *bench.Result, err error) error {
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted before the end; nothing is reported")
		}
		return err
	}
	out, plots := cmd.OutOrStdout(), cmd.OutOrStdout()
	if f.terminal { // the live line makes place
		fmt.Fprint(cmd.ErrOrStderr(), "\r\033[K")
	}
	if f.json {
		err, plots = r.WriteJSON(out), cmd.ErrOrStderr()
	} else {
		err = r.WriteText(out)
	}
	for _, h := range []struct {
		hist   *bench.Latency
		title  string
		suffix string
	}{{r.Hist, "latency", ""}, {r.E2EHist, "end to end", ".e2e"}} {
		if h.hist == nil || err != nil {
			continue
		}
		if f.plot {
			fmt.Fprintln(plots, h.title)
			err = h.hist.WritePlot(plots)
		}
		if err == nil && f.hdr != "" {
			err = writeHDR(f.hdr+h.suffix, h.hist)
		}
	}
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	switch {
	case r.Verified != nil && r.Verified.Bad():
		return fmt.Errorf("%w: %s", errLimit, r.Verified)
	case r.Errors > f.maxErrors:
		return fmt.Errorf("%w: %d records failed (--max-errors %d), the first: %s", errLimit, r.Errors, f.maxErrors, r.FirstError)
	case f.maxP99 > 0 && r.Latency.P99 > float64(f.maxP99.Microseconds())/1000:
		return fmt.Errorf("%w: p99 is %.3f ms (--max-p99 %s)", errLimit, r.Latency.P99, f.maxP99)
	case f.maxP99 > 0 && r.EndToEnd != nil && r.EndToEnd.P99 > float64(f.maxP99.Microseconds())/1000:
		return fmt.Errorf("%w: the p99 end to end is %.3f ms (--max-p99 %s)", errLimit, r.EndToEnd.P99, f.maxP99)
	case f.minRate > 0 && r.RecordsPerSec < f.minRate:
		return fmt.Errorf("%w: %.0f records/s (--min-rate %.0f)", errLimit, r.RecordsPerSec, f.minRate)
	}
	return nil
}

func writeHDR(name string, h *bench.Latency) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(h.WriteHDR(file), file.Close())
}

package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench"
)

func newBenchOMBCommand(f *benchFlags) *cobra.Command {
	o := bench.OMBOptions{}
	var acks int
	cmd := &cobra.Command{
		Use: "omb FILE", Short: "Run a workload file of the OpenMessaging Benchmark", Args: cobra.ExactArgs(1),
		Long: `Run a workload file of the OpenMessaging Benchmark as it is: every field of its
Workload class is honoured, and a file with any other is refused by that field's
name. What the benchmark keeps in a driver's file is given by flags. Its topics are
made for the run and deleted after it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := bench.ReadWorkload(args[0])
			if err != nil {
				return err
			}
			o.Acks = int16(acks)
			r, err := bench.RunWorkload(cmd.Context(), f.target, w, o)
			return f.report(cmd, r, err)
		},
	}
	p := cmd.Flags()
	p.IntVar(&o.BatchBytes, "batch", 128<<10, "largest batch in bytes")
	p.DurationVar(&o.Linger, "linger", time.Millisecond, "time a producer waits for a batch to fill")
	p.IntVar(&acks, "acks", -1, "-1 or 1")
	p.BoolVar(&o.Idempotent, "idempotent", false, "use the idempotent producer")
	p.StringVar(&o.Codec, "codec", "none", "none, gzip, snappy, lz4 or zstd")
	p.DurationVar(&o.Test, "duration", 0, "length of the test, before the file's testDurationMinutes")
	p.DurationVar(&o.Warmup, "warmup", 0, "length of the warm-up, before the file's warmupDurationMinutes")
	return cmd
}

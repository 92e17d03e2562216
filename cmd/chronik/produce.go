package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/bench"
)

func newProduceCommand() *cobra.Command {
	f := &clientFlags{}
	var keySep, codec string
	var partition int32
	cmd := &cobra.Command{
		Use: "produce TOPIC", Short: "Produce a record for each line of the standard input", Args: cobra.ExactArgs(1),
		Long: `Produce a record for each line of the standard input. The command ends when every
record is acknowledged; it fails when one is not.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts := []kgo.Opt{kgo.DefaultProduceTopic(args[0]), kgo.AllowAutoTopicCreation()}
			if partition >= 0 {
				opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			}
			compression, err := bench.Codec(codec)
			if err != nil {
				return fmt.Errorf("--codec: %w", err)
			}
			opts = append(opts, kgo.ProducerBatchCompression(compression))
			cl, err := f.client(opts...)
			if err != nil {
				return err
			}
			defer cl.Close()
			var acked atomic.Int64
			var first atomic.Pointer[error]
			lines := bufio.NewScanner(cmd.InOrStdin())
			lines.Buffer(make([]byte, 64<<10), 64<<20)
			for first.Load() == nil && cmd.Context().Err() == nil && lines.Scan() {
				r := &kgo.Record{Value: []byte(lines.Text()), Partition: partition}
				if keySep != "" {
					if key, value, ok := strings.Cut(lines.Text(), keySep); ok {
						r.Key, r.Value = []byte(key), []byte(value)
					}
				}
				cl.Produce(cmd.Context(), r, func(_ *kgo.Record, err error) {
					if err != nil {
						first.CompareAndSwap(nil, &err)
						return
					}
					acked.Add(1)
				})
			}
			err = cl.Flush(cmd.Context())
			if p := first.Load(); p != nil {
				err = errors.Join(*p, err)
			}
			if err = errors.Join(err, lines.Err()); err != nil {
				return fmt.Errorf("%d records were acknowledged, then: %w", acked.Load(), err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d records acknowledged\n", acked.Load())
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().StringVarP(&keySep, "key-separator", "K", "", "what parts a line into key and value")
	cmd.Flags().Int32VarP(&partition, "partition", "p", -1, "partition to produce to (-1: by key, or any)")
	cmd.Flags().StringVarP(&codec, "codec", "z", "none", "none, gzip, snappy, lz4 or zstd")
	return cmd
}

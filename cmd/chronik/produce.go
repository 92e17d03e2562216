package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/bench"
)

// maxLine is the longest line that produce takes without --format.
const maxLine = 64 << 20

// produce is what the command line says of the records.
type produce struct {
	keySep, key, format, output, acks, codec string
	headers                                  []string
	partition                                int32
	tombstone                                bool
}

func newProduceCommand() *cobra.Command {
	f := &clientFlags{}
	p := &produce{}
	cmd := &cobra.Command{
		Use: "produce TOPIC", Short: "Produce a record for each line of the standard input", Args: cobra.ExactArgs(1),
		Long: `Produce a record for each line of the standard input, or for each piece of it that
--format reads. The command ends when every record is acknowledged; it fails when
one is not.`,
		Example: `  seq 3 | chronik produce numbers -k all -H from=seq
  echo 'k1 v1' | chronik produce numbers -f '%k %v\n' -o 'offset %o\n'
  printf '00000003abc' | chronik produce numbers -f '%V{hex32}%v'`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd, f, args[0]) },
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVarP(&p.keySep, "key-separator", "K", "", "what parts a line into key and value")
	fl.StringVarP(&p.format, "format", "f", "", "what to read for each record: "+formatVerbs+", %v{json}, %k{re[\\d+]}; lengths come before what they measure")
	fl.StringVarP(&p.key, "key", "k", "", "the key of every record that the input gives none")
	fl.StringArrayVarP(&p.headers, "header", "H", nil, "a header of every record, key=value; repeat for more")
	fl.BoolVarP(&p.tombstone, "tombstone", "Z", false, "an empty value is none: the record deletes its key from a compacted topic")
	fl.StringVarP(&p.output, "output", "o", "", "print this for each record acknowledged: consume's --format")
	fl.StringVar(&p.acks, "acks", "all", "what to wait for: all, 1 or 0")
	fl.Int32VarP(&p.partition, "partition", "p", -1, "partition to produce to (-1: by key, or any)")
	fl.StringVarP(&p.codec, "codec", "z", "none", "none, gzip, snappy, lz4 or zstd")
	return cmd
}

// reader gives the records of the input one after the other, then io.EOF.
func (p *produce) reader(in io.Reader) (func() (*kgo.Record, error), error) {
	if p.format != "" {
		if p.keySep != "" {
			return nil, errors.New("--format and --key-separator exclude each other: a format says where the key is")
		}
		r, err := kgo.NewRecordReader(bufio.NewReaderSize(in, 64<<10), p.format)
		if err != nil {
			return nil, fmt.Errorf("-f, --format: %q cannot be read: %w; there are %s", p.format, err, formatVerbs)
		}
		return r.ReadRecord, nil
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	return func() (*kgo.Record, error) {
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return nil, err
			}
			return nil, io.EOF
		}
		r := &kgo.Record{Value: bytes.Clone(lines.Bytes()), Partition: -1}
		if p.keySep != "" {
			if key, value, ok := bytes.Cut(r.Value, []byte(p.keySep)); ok {
				r.Key, r.Value = key, value
			}
		}
		return r, nil
	}, nil
}

// options are the client's.
func (p *produce) options(topic string) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation()}
	if p.partition >= 0 || strings.Contains(strings.ReplaceAll(p.format, "%%", ""), "%p") {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	compression, err := bench.Codec(p.codec)
	if err != nil {
		return nil, fmt.Errorf("--codec: %w", err)
	}
	opts = append(opts, kgo.ProducerBatchCompression(compression))
	switch p.acks {
	case "all", "-1":
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, fmt.Errorf("--acks %q is not all, 1 or 0", p.acks)
	}
	return opts, nil
}

func (p *produce) run(cmd *cobra.Command, f *clientFlags, topic string) error {
	opts, err := p.options(topic)
	if err != nil {
		return err
	}
	headers, err := parseHeaders(p.headers)
	if err != nil {
		return err
	}
	output, err := parseFormat(p.output)
	if err != nil {
		return err
	}
	next, err := p.reader(cmd.InOrStdin())
	if err != nil {
		return err
	}
	cl, err := f.client(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	var mu sync.Mutex // of what follows: promises come one by one, and this goroutine looks too
	var acked int64
	var failed error
	out := bufio.NewWriter(cmd.OutOrStdout())
	var line []byte
	for ctx.Err() == nil {
		r, readErr := next()
		if errors.Is(readErr, io.EOF) {
			break
		}
		if errors.Is(readErr, bufio.ErrTooLong) {
			err = fmt.Errorf("a line is longer than %d bytes; give records with their lengths instead (--format '%%V{big32}%%v')", maxLine)
			break
		}
		if readErr != nil {
			err = fmt.Errorf("read the records: %w", readErr)
			break
		}
		p.complete(cmd, r, headers)
		cl.Produce(ctx, r, func(r *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				acked++
				line = output.append(line[:0], r)
				_, err = out.Write(line)
			}
			if err != nil && failed == nil {
				failed = err
				stop()
			}
		})
	}
	flushErr := cl.Flush(cmd.Context())
	mu.Lock()
	defer mu.Unlock()
	if err = errors.Join(failed, err, flushErr, out.Flush()); err != nil {
		return fmt.Errorf("%d records were acknowledged, then: %w", acked, err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d records acknowledged\n", acked)
	return nil
}

// complete gives a record what the flags say and the input does not.
func (p *produce) complete(cmd *cobra.Command, r *kgo.Record, headers []kgo.RecordHeader) {
	if r.Key == nil && cmd.Flags().Changed("key") {
		r.Key = []byte(p.key)
	}
	if p.tombstone && len(r.Value) == 0 {
		r.Value = nil
	}
	if p.partition >= 0 {
		r.Partition = p.partition
	}
	r.Headers = append(r.Headers, headers...)
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newConsumeCommand() *cobra.Command {
	f := &clientFlags{}
	c := &consume{}
	cmd := &cobra.Command{
		Use: "consume TOPIC", Short: "Print the records of a topic", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, f, args[0]) },
	}
	f.register(cmd)
	cmd.Flags().StringVarP(&c.group, "group", "g", "", "consume as a member of this group and commit")
	cmd.Flags().StringVarP(&c.from, "from", "o", "start", "where to begin without a committed offset: start, end, an offset, +N (N after the start) or -N (N before the end)")
	cmd.Flags().BoolVar(&c.regex, "regex", false, "TOPIC is a regular expression; every topic that matches is read")
	cmd.Flags().Int32SliceVarP(&c.partitions, "partition", "p", nil, "only these partitions")
	cmd.Flags().Int64VarP(&c.count, "count", "n", 0, "end after this many records (0: never)")
	cmd.Flags().BoolVarP(&c.exit, "exit", "e", false, "end where the topic ended when the command began")
	cmd.Flags().BoolVar(&c.committed, "committed", false, "read only what transactions have committed")
	cmd.Flags().StringVarP(&c.format, "format", "f", "%v\n", `how to print: `+formatVerbs+`, %T time as text, %i count`)
	return cmd
}

type consume struct {
	group, from, format string
	partitions          []int32
	count               int64
	exit, committed     bool
	regex               bool
}

func (c *consume) run(cmd *cobra.Command, f *clientFlags, topic string) error {
	from, err := offsetOf(c.from)
	if err != nil {
		return err
	}
	format, err := parseFormat(c.format)
	if err != nil {
		return err
	}
	if c.group != "" && len(c.partitions) > 0 {
		return errors.New("--group and --partition exclude each other: a group's partitions are assigned")
	}
	opts := []kgo.Opt{kgo.ConsumeResetOffset(from)}
	if c.regex {
		if len(c.partitions) > 0 || c.exit {
			return errors.New("--regex goes with neither --partition nor --exit: it may match several topics, also later ones")
		}
		opts = append(opts, kgo.ConsumeRegex())
	}
	if c.committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	switch {
	case c.group != "":
		opts = append(opts, kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(topic), kgo.AutoCommitMarks())
	case len(c.partitions) > 0:
		assigned := map[int32]kgo.Offset{}
		for _, p := range c.partitions {
			assigned[p] = from
		}
		opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: assigned}))
	default:
		opts = append(opts, kgo.ConsumeTopics(topic))
	}
	cl, err := f.client(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx := cmd.Context()
	if !c.regex {
		if err := c.look(cmd, cl, topic); err != nil {
			return err
		}
	}
	var left map[int32]int64
	if c.exit {
		if left, err = c.ends(ctx, cl, topic); err != nil {
			return err
		}
	}
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	err = c.loop(ctx, cl, out, format, left)
	err = errors.Join(err, out.Flush())
	if c.group != "" {
		err = errors.Join(err, cl.CommitMarkedOffsets(context.WithoutCancel(ctx)))
	}
	return err
}

// look says what the command will wait for, and refuses what will never come.
func (c *consume) look(cmd *cobra.Command, cl *kgo.Client, topic string) error {
	found, err := kadm.NewClient(cl).ListTopics(cmd.Context(), topic)
	if err != nil {
		return fmt.Errorf("look for topic %s: %w", topic, err)
	}
	t := found[topic]
	switch {
	case errors.Is(t.Err, kerr.UnknownTopicOrPartition) && c.exit:
		return fmt.Errorf("there is no topic %s", topic)
	case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "there is no topic %s yet; waiting for it (chronik topic create %s makes it)\n", topic, topic)
		return err
	case t.Err != nil:
		return fmt.Errorf("topic %s: %w", topic, t.Err)
	}
	for _, p := range c.partitions {
		if _, ok := t.Partitions[p]; !ok {
			return fmt.Errorf("--partition %d: topic %s has the partitions 0 to %d", p, topic, len(t.Partitions)-1)
		}
	}
	return nil
}

// ends gives the end of each partition that has records.
func (c *consume) ends(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("find the end of %s: %w", topic, err)
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("find the start of %s: %w", topic, err)
	}
	left := map[int32]int64{}
	for p, end := range ends[topic] {
		if end.Err != nil {
			return nil, fmt.Errorf("find the end of %s partition %d: %w", topic, p, end.Err)
		}
		wanted := len(c.partitions) == 0
		for _, q := range c.partitions {
			wanted = wanted || p == q
		}
		if start, _ := starts.Lookup(topic, p); wanted && end.Offset > start.Offset {
			left[p] = end.Offset
		}
	}
	return left, nil
}

func (c *consume) loop(ctx context.Context, cl *kgo.Client, out *bufio.Writer, format *recordFormat, left map[int32]int64) error {
	var n int64
	var line []byte
	for !c.exit || len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil // a signal is how this command usually ends
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("consume: %w", err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			line = format.append(line[:0], r)
			if _, err := out.Write(line); err != nil {
				return fmt.Errorf("write the record: %w", err)
			}
			cl.MarkCommitRecords(r)
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			if n++; c.count > 0 && n >= c.count {
				return nil
			}
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write the records: %w", err)
		}
	}
	return nil
}

func offsetOf(s string) (kgo.Offset, error) {
	switch s {
	case "start":
		return kgo.NewOffset().AtStart(), nil
	case "end":
		return kgo.NewOffset().AtEnd(), nil
	}
	at, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return kgo.Offset{}, fmt.Errorf("-o, --from: %q is not start, end, an offset, +N or -N", s)
	case s[0] == '+':
		return kgo.NewOffset().AtStart().Relative(at), nil
	case s[0] == '-':
		return kgo.NewOffset().AtEnd().Relative(at), nil
	}
	return kgo.NewOffset().At(at), nil
}

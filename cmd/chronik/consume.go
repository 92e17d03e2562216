package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
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
	at, err := parsePlace(c.from)
	if err != nil {
		return err
	}
	from := at.offset()
	format, err := parseFormat(c.format)
	if err != nil {
		return err
	}
	if c.group != "" && len(c.partitions) > 0 {
		return errors.New("--group and --partition exclude each other: a group's partitions are assigned")
	}
	opts := []kgo.Opt{kgo.ConsumeResetOffset(from)}
	if c.exit {
		opts = append(opts, kgo.KeepControlRecords()) // one may be the last thing before the end
	}
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
		if left, err = c.ends(ctx, cl, topic, at); err != nil {
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

// ends gives the end of each partition that has something to read before it.
func (c *consume) ends(ctx context.Context, cl *kgo.Client, topic string, from place) (map[int32]int64, error) {
	adm := kadm.NewClient(cl)
	list := adm.ListEndOffsets
	if c.committed {
		list = adm.ListCommittedOffsets
	}
	ends, err := list(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("find the end of %s: %w", topic, err)
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("find the start of %s: %w", topic, err)
	}
	var done kadm.OffsetResponses
	if c.group != "" {
		if done, err = adm.FetchOffsets(ctx, c.group); err != nil {
			return nil, fmt.Errorf("offsets of group %s: %w", c.group, err)
		}
	}
	left := map[int32]int64{}
	for p, end := range ends[topic] {
		if end.Err != nil {
			return nil, fmt.Errorf("find the end of %s partition %d: %w", topic, p, end.Err)
		}
		start, _ := starts.Lookup(topic, p)
		at := from.in(start.Offset, end.Offset)
		if o, ok := done.Lookup(topic, p); ok && o.At >= start.Offset {
			at = o.At
		}
		if (len(c.partitions) == 0 || slices.Contains(c.partitions, p)) && at < end.Offset {
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
			if !r.Attrs.IsControl() {
				line = format.append(line[:0], r)
				if _, err := out.Write(line); err != nil {
					return fmt.Errorf("write the record: %w", err)
				}
				n++
			}
			cl.MarkCommitRecords(r)
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			if c.count > 0 && n >= c.count {
				return nil
			}
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write the records: %w", err)
		}
	}
	return nil
}

// place is what --from says: an offset, or a number of them counted from the
// start or the end of a partition.
type place struct {
	n        int64
	relative bool
	toEnd    bool
}

func parsePlace(s string) (place, error) {
	switch s {
	case "start":
		return place{relative: true}, nil
	case "end":
		return place{relative: true, toEnd: true}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return place{}, fmt.Errorf("-o, --from: %q is not start, end, an offset, +N or -N", s)
	}
	return place{n, s[0] == '+' || s[0] == '-', s[0] == '-'}, nil
}

func (p place) offset() kgo.Offset {
	switch {
	case !p.relative:
		return kgo.NewOffset().At(p.n)
	case p.toEnd:
		return kgo.NewOffset().AtEnd().Relative(p.n)
	}
	return kgo.NewOffset().AtStart().Relative(p.n)
}

// in is the offset in a partition that has those from start to end.
func (p place) in(start, end int64) int64 {
	switch {
	case !p.relative:
		return max(p.n, start)
	case p.toEnd:
		return max(end+p.n, start)
	}
	return start + min(p.n, end-start)
}

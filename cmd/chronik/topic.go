package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTopicCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{Use: "topic", Short: "Make, list, describe, alter and delete topics of any Kafka broker"}
	f.register(cmd)
	cmd.AddCommand(newTopicCreateCommand(f), newTopicListCommand(f), newTopicDescribeCommand(f), newTopicDeleteCommand(f), newTopicAlterCommand(f))
	return cmd
}

// admin runs f with an admin client.
func (f *clientFlags) admin(run func(*kadm.Client) error) error {
	cl, err := f.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	return run(kadm.NewClient(cl))
}

func newTopicCreateCommand(f *clientFlags) *cobra.Command {
	var partitions int32
	var replicas int16
	var conf []string
	cmd := &cobra.Command{
		Use: "create TOPIC…", Short: "Make topics", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			set := map[string]*string{}
			for _, s := range conf {
				key, value, ok := strings.Cut(s, "=")
				if !ok {
					return fmt.Errorf("-c %q is not key=value", s)
				}
				set[key] = &value
			}
			return f.admin(func(adm *kadm.Client) error {
				made, err := adm.CreateTopics(cmd.Context(), partitions, replicas, set, names...)
				if err != nil {
					return fmt.Errorf("create topics: %w", err)
				}
				var errs []error
				for _, t := range made.Sorted() {
					if t.Err != nil {
						errs = append(errs, fmt.Errorf("topic %s: %w%s", t.Topic, t.Err, detail(t.ErrMessage, t.Err)))
						continue
					}
					fmt.Fprintf(cmd.OutOrStdout(), "created %s with %d partitions, id %s\n", t.Topic, t.NumPartitions, idText(t.ID))
				}
				return errors.Join(errs...)
			})
		},
	}
	cmd.Flags().Int32VarP(&partitions, "partitions", "p", -1, "partitions (-1: the broker's num.partitions)")
	cmd.Flags().Int16VarP(&replicas, "replicas", "r", -1, "replication factor (-1: the broker's default)")
	cmd.Flags().StringArrayVarP(&conf, "conf", "c", nil, "a topic key, key=value; repeat for more")
	return cmd
}

// detail is what a broker says beside a code: its sentence in brackets, unless
// it is the code's own.
func detail(message string, code error) string {
	if message == "" || code != nil && strings.HasSuffix(code.Error(), ": "+message) {
		return ""
	}
	return " (" + message + ")"
}

// idText is a topic's id as Kafka's tools print it.
func idText(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func newTopicListCommand(f *clientFlags) *cobra.Command {
	var internal bool
	cmd := &cobra.Command{
		Use: "list", Short: "List topics", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.admin(func(adm *kadm.Client) error {
				topics, err := adm.ListTopicsWithInternal(cmd.Context())
				if err != nil {
					return fmt.Errorf("list topics: %w", err)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				fmt.Fprintln(w, "TOPIC\tPARTITIONS\tID")
				for _, t := range topics.Sorted() {
					if !t.IsInternal || internal {
						fmt.Fprintf(w, "%s\t%d\t%s\n", t.Topic, len(t.Partitions), idText(t.ID))
					}
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "list internal topics too")
	return cmd
}

func newTopicDescribeCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "describe TOPIC…", Short: "Show partitions, offsets and what is configured", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return f.admin(func(adm *kadm.Client) error {
				topics, err := adm.ListTopics(cmd.Context(), names...)
				if err != nil {
					return fmt.Errorf("describe topics: %w", err)
				}
				if err := topics.Error(); err != nil {
					return fmt.Errorf("describe topics: %w", err)
				}
				starts, err := adm.ListStartOffsets(cmd.Context(), names...)
				if err != nil {
					return fmt.Errorf("list start offsets: %w", err)
				}
				ends, err := adm.ListEndOffsets(cmd.Context(), names...)
				if err != nil {
					return fmt.Errorf("list end offsets: %w", err)
				}
				configs, err := adm.DescribeTopicConfigs(cmd.Context(), names...)
				if err != nil {
					return fmt.Errorf("describe configurations: %w", err)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				for _, t := range topics.Sorted() {
					showTopic(w, t, configs, starts, ends)
				}
				return w.Flush()
			})
		},
	}
}

// showTopic writes one topic, what is configured of it, and its partitions.
func showTopic(w io.Writer, t kadm.TopicDetail, configs kadm.ResourceConfigs, starts, ends kadm.ListedOffsets) {
	fmt.Fprintf(w, "%s\tid %s\n", t.Topic, idText(t.ID))
	if c, err := configs.On(t.Topic, nil); err == nil {
		for _, one := range c.Configs {
			if one.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
				fmt.Fprintf(w, "  %s\t%s\n", one.Key, one.MaybeValue())
			}
		}
	}
	fmt.Fprintln(w, "  PARTITION\tLEADER\tEPOCH\tSTART\tEND")
	for _, p := range t.Partitions.Sorted() {
		start, _ := starts.Lookup(t.Topic, p.Partition)
		end, _ := ends.Lookup(t.Topic, p.Partition)
		fmt.Fprintf(w, "  %d\t%d\t%d\t%d\t%d\n", p.Partition, p.Leader, p.LeaderEpoch, start.Offset, end.Offset)
	}
}

func newTopicDeleteCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "delete TOPIC…", Short: "Delete topics and their records", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return f.admin(func(adm *kadm.Client) error {
				gone, err := adm.DeleteTopics(cmd.Context(), names...)
				if err != nil {
					return fmt.Errorf("delete topics: %w", err)
				}
				var errs []error
				for _, t := range gone.Sorted() {
					if t.Err != nil {
						errs = append(errs, fmt.Errorf("topic %s: %w%s", t.Topic, t.Err, detail(t.ErrMessage, t.Err)))
						continue
					}
					fmt.Fprintf(cmd.OutOrStdout(), "deleted %s\n", t.Topic)
				}
				return errors.Join(errs...)
			})
		},
	}
}

func newTopicAlterCommand(f *clientFlags) *cobra.Command {
	var set, unset []string
	var partitions int
	cmd := &cobra.Command{
		Use: "alter TOPIC", Short: "Change a topic's configuration or give it more partitions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			var edits []kadm.AlterConfig
			for _, s := range set {
				key, value, ok := strings.Cut(s, "=")
				if !ok {
					return fmt.Errorf("--set %q is not key=value", s)
				}
				edits = append(edits, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
			}
			for _, key := range unset {
				edits = append(edits, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
			}
			if len(edits) == 0 && partitions == 0 {
				return errors.New("nothing to change: give --set key=value, --unset key or --partitions N")
			}
			return f.admin(func(adm *kadm.Client) error {
				if len(edits) > 0 {
					out, err := adm.AlterTopicConfigs(cmd.Context(), edits, names...)
					if err != nil {
						return fmt.Errorf("alter configurations: %w", err)
					}
					for _, r := range out {
						if r.Err != nil {
							return fmt.Errorf("topic %s: %w%s", r.Name, r.Err, detail(r.ErrMessage, r.Err))
						}
					}
				}
				if partitions > 0 {
					out, err := adm.UpdatePartitions(cmd.Context(), partitions, names...)
					if err != nil {
						return fmt.Errorf("add partitions: %w", err)
					}
					for _, name := range slices.Sorted(maps.Keys(out)) {
						if r := out[name]; r.Err != nil {
							return fmt.Errorf("topic %s: %w%s", r.Topic, r.Err, detail(r.ErrMessage, r.Err))
						}
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "altered %s\n", names[0])
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVarP(&set, "set", "c", nil, "set a topic key, key=value; repeat for more")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "take a topic key back to its default; repeat for more")
	cmd.Flags().IntVar(&partitions, "partitions", 0, "grow to so many partitions")
	return cmd
}

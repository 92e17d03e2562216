package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newGroupCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{Use: "group", Short: "List, describe, move and delete consumer groups of any Kafka broker"}
	f.register(cmd)
	cmd.AddCommand(newGroupListCommand(f), newGroupDescribeCommand(f), newGroupSeekCommand(f), newGroupDeleteCommand(f))
	return cmd
}

func newGroupListCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List groups", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.admin(func(adm *kadm.Client) error {
				groups, err := adm.ListGroups(cmd.Context())
				if err != nil {
					return fmt.Errorf("list groups: %w", err)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				fmt.Fprintln(w, "GROUP\tPROTOCOL\tSTATE")
				for _, g := range groups.Sorted() {
					fmt.Fprintf(w, "%s\t%s\t%s\n", g.Group, g.ProtocolType, g.State)
				}
				return w.Flush()
			})
		},
	}
}

func newGroupDescribeCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "describe GROUP…", Short: "Show members, committed offsets and lag", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return f.admin(func(adm *kadm.Client) error {
				lags, err := adm.Lag(cmd.Context(), names...)
				if err != nil {
					return fmt.Errorf("describe groups: %w", err)
				}
				var errs []error
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				for _, l := range lags.Sorted() {
					if err := l.Error(); err != nil {
						errs = append(errs, fmt.Errorf("group %s: %w", l.Group, err))
						continue
					}
					fmt.Fprintf(w, "GROUP %s\tstate %s\t%d members\tlag %d\n", l.Group, l.State, len(l.Members), l.Lag.Total())
					fmt.Fprintln(w, "TOPIC\tPARTITION\tCOMMITTED\tEND\tLAG\tMEMBER")
					for _, p := range l.Lag.Sorted() {
						member := "-"
						if p.Member != nil {
							member = p.Member.MemberID + "@" + p.Member.ClientHost
						}
						fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\n", p.Topic, p.Partition, p.Commit.At, p.End.Offset, p.Lag, member)
					}
				}
				return errors.Join(append(errs, w.Flush())...)
			})
		},
	}
}

func newGroupDeleteCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "delete GROUP…", Short: "Delete groups without members, and their offsets", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return f.admin(func(adm *kadm.Client) error {
				out, err := adm.DeleteGroups(cmd.Context(), names...)
				if err != nil {
					return fmt.Errorf("delete groups: %w", err)
				}
				var errs []error
				for _, r := range out.Sorted() {
					if r.Err != nil {
						errs = append(errs, fmt.Errorf("group %s: %w", r.Group, r.Err))
						continue
					}
					fmt.Fprintf(cmd.OutOrStdout(), "deleted %s\n", r.Group)
				}
				return errors.Join(errs...)
			})
		},
	}
}

func newGroupSeekCommand(f *clientFlags) *cobra.Command {
	var to string
	var topics []string
	cmd := &cobra.Command{
		Use: "seek GROUP", Short: "Commit other offsets for a group without members", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return f.admin(func(adm *kadm.Client) error { return seek(cmd, adm, names[0], to, topics) })
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "start, end, a number of ms since 1970, or a time as 2026-01-31T15:04:05Z")
	cmd.Flags().StringSliceVar(&topics, "topics", nil, "these topics (default: those that the group has committed)")
	return cmd
}

func seek(cmd *cobra.Command, adm *kadm.Client, group, to string, topics []string) error {
	ctx := cmd.Context()
	if len(topics) == 0 {
		committed, err := adm.FetchOffsets(ctx, group)
		if err != nil {
			return fmt.Errorf("offsets of group %s: %w", group, err)
		}
		if topics = committed.Offsets().TopicsSet().Topics(); len(topics) == 0 {
			return fmt.Errorf("group %s has committed nothing: name --topics", group)
		}
	}
	described, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("describe group %s: %w", group, err)
	}
	if g := described[group]; len(g.Members) > 0 {
		return fmt.Errorf("group %s has %d members; its offsets can be changed when they have left", group, len(g.Members))
	}
	var found kadm.ListedOffsets
	switch strings.ToLower(to) {
	case "start":
		found, err = adm.ListStartOffsets(ctx, topics...)
	case "end":
		found, err = adm.ListEndOffsets(ctx, topics...)
	default:
		var ms int64
		if ms, err = millisOf(to); err != nil {
			return err
		}
		found, err = adm.ListOffsetsAfterMilli(ctx, ms, topics...)
	}
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return fmt.Errorf("find offsets: %w", err)
	}
	if err := adm.CommitAllOffsets(ctx, group, found.Offsets()); err != nil {
		return fmt.Errorf("commit for group %s: %w", group, err)
	}
	for _, o := range found.Offsets().Sorted() {
		fmt.Fprintf(cmd.OutOrStdout(), "%s %d %d\n", o.Topic, o.Partition, o.At)
	}
	return nil
}

func millisOf(s string) (int64, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms >= 0 {
		return ms, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, fmt.Errorf("--to %q is not start, end, ms since 1970 or a time as 2026-01-31T15:04:05Z", s)
	}
	return at.UnixMilli(), nil
}

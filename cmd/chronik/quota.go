package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newQuotaCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{Use: "quota", Short: "Set and list client quotas of any Kafka broker"}
	f.register(cmd)
	cmd.AddCommand(newQuotaSetCommand(f), newQuotaListCommand(f))
	return cmd
}

// quotaEntity reads user=alice, client-id=app, ip=10.0.0.1; a star stands for
// the default.
func quotaEntity(parts []string) (e kadm.ClientQuotaEntity, err error) {
	for _, s := range parts {
		kind, name, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not user=NAME, client-id=NAME or ip=ADDRESS (a star for the default)", s)
		}
		c := kadm.ClientQuotaEntityComponent{Type: kind}
		if name != "*" {
			c.Name = &name
		}
		e = append(e, c)
	}
	if len(e) == 0 {
		return nil, errors.New("whose quota: give user=NAME, client-id=NAME or ip=ADDRESS")
	}
	return e, nil
}

func newQuotaSetCommand(f *clientFlags) *cobra.Command {
	var set, unset []string
	cmd := &cobra.Command{
		Use: "set ENTITY…", Short: "Set quotas of a user, a client id, both, or an address", Args: cobra.MinimumNArgs(1),
		Example: "  chronik quota set user=alice client-id=* --set producer_byte_rate=1048576\n  chronik quota set ip=* --unset connection_creation_rate",
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := quotaEntity(args)
			if err != nil {
				return err
			}
			entry := kadm.AlterClientQuotaEntry{Entity: e}
			for _, s := range set {
				key, value, _ := strings.Cut(s, "=")
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					return fmt.Errorf("--set %q is not key=number", s)
				}
				entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: key, Value: n})
			}
			for _, key := range unset {
				entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: key, Remove: true})
			}
			if len(entry.Ops) == 0 {
				return errors.New("nothing to change: give --set key=number or --unset key")
			}
			return f.admin(func(adm *kadm.Client) error {
				done, err := adm.AlterClientQuotas(cmd.Context(), []kadm.AlterClientQuotaEntry{entry})
				if err != nil {
					return fmt.Errorf("set quotas: %w", err)
				}
				for _, r := range done {
					if r.Err != nil {
						return fmt.Errorf("set quotas: %w%s", r.Err, detail(r.ErrMessage, r.Err))
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "producer_byte_rate, consumer_byte_rate, request_percentage, controller_mutation_rate or connection_creation_rate, key=number; repeat for more")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "take a quota away; repeat for more")
	return cmd
}

func newQuotaListCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all quotas", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.admin(func(adm *kadm.Client) error {
				list, err := adm.DescribeClientQuotas(cmd.Context(), false, nil)
				if err != nil {
					return fmt.Errorf("list quotas: %w", err)
				}
				for _, q := range list {
					var parts []string
					for _, c := range q.Entity {
						name := "*"
						if c.Name != nil {
							name = *c.Name
						}
						parts = append(parts, c.Type+"="+name)
					}
					for _, v := range q.Values {
						parts = append(parts, fmt.Sprintf("%s=%v", v.Key, v.Value))
					}
					fmt.Fprintln(cmd.OutOrStdout(), strings.Join(parts, "\t"))
				}
				return nil
			})
		},
	}
}

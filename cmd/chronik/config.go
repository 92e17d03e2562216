package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newConfigCommand() *cobra.Command {
	f, r := &clientFlags{}, &resourceFlags{}
	cmd := &cobra.Command{Use: "config", Short: "Read and change configurations of any Kafka broker",
		Long: `Reads and changes what is configured on one resource: --topic, --broker (an id, or
default for the cluster-wide default), --group or --client-metrics.

  chronik config list --topic events              every key, its value and where it comes from
  chronik config get  --topic events retention.ms
  chronik config set  --broker default message.max.bytes=2097152
  chronik config unset --topic events retention.ms`}
	f.register(cmd)
	r.register(cmd)
	cmd.AddCommand(newConfigListCommand(f, r), newConfigGetCommand(f, r), newConfigSetCommand(f, r), newConfigUnsetCommand(f, r))
	return cmd
}

// resourceFlags name the resource.
type resourceFlags struct{ topic, broker, group, clientMetrics string }

func (r *resourceFlags) register(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&r.topic, "topic", "", "a topic")
	cmd.PersistentFlags().StringVar(&r.broker, "broker", "", "a broker's id, or default")
	cmd.PersistentFlags().StringVar(&r.group, "group", "", "a group")
	cmd.PersistentFlags().StringVar(&r.clientMetrics, "client-metrics", "", "a subscription to clients' metrics")
}

// resource is the one that is named.
func (r *resourceFlags) resource() (kind kmsg.ConfigResourceType, name string, err error) {
	named := 0
	for _, one := range []struct {
		kind kmsg.ConfigResourceType
		name string
	}{{2, r.topic}, {4, r.broker}, {32, r.group}, {16, r.clientMetrics}} {
		if one.name != "" {
			named++
			kind, name = one.kind, one.name
		}
	}
	if named != 1 {
		return 0, "", errors.New("name one resource: --topic, --broker, --group or --client-metrics")
	}
	if kind == 4 && name == "default" {
		name = ""
	}
	return kind, name, nil
}

// sources are where a value comes from (DescribeConfigs v1+).
var sources = map[kmsg.ConfigSource]string{1: "topic", 2: "broker", 3: "default broker", 4: "configuration file", 5: "default", 6: "logger", 7: "client metrics", 8: "group"}

// describe gives the resource's keys; nil means all.
func (r *resourceFlags) describe(cmd *cobra.Command, f *clientFlags, keys []string) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	kind, name, err := r.resource()
	if err != nil {
		return nil, err
	}
	cl, err := f.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	req := kmsg.NewPtrDescribeConfigsRequest()
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName, one.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, one)
	resp, err := req.RequestWith(cmd.Context(), cl)
	if err != nil {
		return nil, fmt.Errorf("describe configurations: %w", err)
	}
	if len(resp.Resources) != 1 {
		return nil, fmt.Errorf("the broker answered for %d resources", len(resp.Resources))
	}
	got := resp.Resources[0]
	if err := answer(got.ErrorCode, got.ErrorMessage); err != nil {
		return nil, err
	}
	slices.SortFunc(got.Configs, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int { return strings.Compare(a.Name, b.Name) })
	return got.Configs, nil
}

// answer makes an error of a code and its message; nil for code 0.
func answer(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil || message == nil {
		return err
	}
	return fmt.Errorf("%w%s", err, detail(*message, err))
}

func shown(c *kmsg.DescribeConfigsResponseResourceConfig) string {
	switch {
	case c.IsSensitive:
		return "(secret)"
	case c.Value == nil:
		return "(none)"
	}
	return *c.Value
}

func newConfigListCommand(f *clientFlags, r *resourceFlags) *cobra.Command {
	var changed bool
	cmd := &cobra.Command{
		Use: "list", Short: "List every key, its value and where it comes from", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			configs, err := r.describe(cmd, f, nil)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "KEY\tVALUE\tSOURCE")
			for i := range configs {
				if c := &configs[i]; !changed || c.Source != 5 {
					fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, shown(c), sources[c.Source])
				}
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&changed, "changed", false, "only keys that are not at their default")
	return cmd
}

func newConfigGetCommand(f *clientFlags, r *resourceFlags) *cobra.Command {
	return &cobra.Command{
		Use: "get KEY…", Short: "Print the values of keys, one a line", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, keys []string) error {
			configs, err := r.describe(cmd, f, keys)
			if err != nil {
				return err
			}
			for _, key := range keys {
				at := slices.IndexFunc(configs, func(c kmsg.DescribeConfigsResponseResourceConfig) bool { return c.Name == key })
				if at < 0 {
					return fmt.Errorf("the resource has no key %s", key)
				}
				fmt.Fprintln(cmd.OutOrStdout(), shown(&configs[at]))
			}
			return nil
		},
	}
}

// alter changes keys; a nil value takes a key back to its default.
func (r *resourceFlags) alter(cmd *cobra.Command, f *clientFlags, edits []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	kind, name, err := r.resource()
	if err != nil {
		return err
	}
	cl, err := f.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName, one.Configs = kind, name, edits
	req.Resources = append(req.Resources, one)
	resp, err := req.RequestWith(cmd.Context(), cl)
	if err != nil {
		return fmt.Errorf("alter configurations: %w", err)
	}
	for i := range resp.Resources {
		if err := answer(resp.Resources[i].ErrorCode, resp.Resources[i].ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func newConfigSetCommand(f *clientFlags, r *resourceFlags) *cobra.Command {
	return &cobra.Command{
		Use: "set KEY=VALUE…", Short: "Set keys", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var edits []kmsg.IncrementalAlterConfigsRequestResourceConfig
			for _, s := range args {
				key, value, ok := strings.Cut(s, "=")
				if !ok {
					return fmt.Errorf("%q is not key=value", s)
				}
				edits = append(edits, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Value: &value, Op: kmsg.IncrementalAlterConfigOpSet})
			}
			return r.alter(cmd, f, edits)
		},
	}
}

func newConfigUnsetCommand(f *clientFlags, r *resourceFlags) *cobra.Command {
	return &cobra.Command{
		Use: "unset KEY…", Short: "Take keys back to their defaults", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, keys []string) error {
			var edits []kmsg.IncrementalAlterConfigsRequestResourceConfig
			for _, key := range keys {
				edits = append(edits, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Op: kmsg.IncrementalAlterConfigOpDelete})
			}
			return r.alter(cmd, f, edits)
		},
	}
}

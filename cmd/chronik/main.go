// Command chronik is a Kafka-wire broker and its tools in one binary.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build (-ldflags -X main.version=…).
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// The first signal asks for an orderly end; from then on the next one
	// ends the process as usual.
	context.AfterFunc(ctx, stop)
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chronik:", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "chronik",
		Short: "A Kafka-wire broker in one binary, and its tools",
		Long: `Chronik is a broker that any Kafka client can talk to. An acknowledged record is
on disk.

  chronik serve --data-dir ./chronik-data     run a broker
  chronik dev                                 run one that forgets everything at its end
  chronik topic create events --partitions 6  make a topic`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), newDevCommand(), newTopicCommand(), newConfigCommand(), newGroupCommand(), newDoctorCommand(), newUserCommand(), newACLCommand(), newQuotaCommand(), newTokenCommand(), newProduceCommand(), newConsumeCommand(),
		newBenchCommand(), newDumpCommand(), newVerifyCommand(), newVersionCommand())
	for _, c := range root.Commands() {
		needSubcommand(c)
	}
	return root
}

// needSubcommand has a command that only has subcommands refuse a word that is
// none; cobra would print the help and say that all went well.
func needSubcommand(c *cobra.Command) {
	if !c.HasSubCommands() || c.Runnable() {
		return
	}
	c.Args, c.RunE = cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, s := range cmd.Commands() {
			names = append(names, s.Name())
		}
		return fmt.Errorf("there is no command %q; there are %s %s", cmd.CommandPath()+" "+args[0], cmd.CommandPath(), strings.Join(names, ", "))
	}
}

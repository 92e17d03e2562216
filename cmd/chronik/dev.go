package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/logstore"
)

func newDevCommand() *cobra.Command {
	f := devFlags()
	var port int
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a broker for development that forgets everything at its end",
		Long: `Run a broker for development: on loopback, in a temporary directory that is
removed at the end, without waiting for the disk. Topics are made on first use.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, level, err := f.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "chronik-dev-")
			if err != nil {
				return fmt.Errorf("make a temporary data directory: %w", err)
			}
			f.dataDirs = []string{dir}
			f.listeners = fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", port)
			o, err := f.options(cmd.Flags())
			if err == nil {
				o.Durability, o.Logger, o.LogLevel = logstore.OS, logger, level
				if o.Static["group.initial.rebalance.delay.ms"] == "" {
					o.Static["group.initial.rebalance.delay.ms"] = "0"
				}
				err = serve(cmd.Context(), o, f, false)
			}
			return errors.Join(err, os.RemoveAll(dir))
		},
	}
	p := cmd.Flags()
	p.IntVar(&port, "port", 9092, "port on 127.0.0.1; 0 picks one")
	p.StringArrayVarP(&f.set, "conf", "c", nil, "a Kafka broker key, key=value; repeat for more")
	p.StringVar(&f.admin, "admin-listen", "127.0.0.1:9644", "address of metrics, health and views over HTTP; off for none")
	p.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	p.StringVar(&f.logFormat, "log-format", "text", "text or json")
	return cmd
}

// devFlags are the flags of serve that dev has not, as dev wants them.
func devFlags() *serveFlags {
	return &serveFlags{durability: "os", acks1: "durable", journalMode: "auto", writeMode: "auto", journalMax: "64MiB", nodeID: -1}
}

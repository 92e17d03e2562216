package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

func newVerifyCommand() *cobra.Command {
	var dirs []string
	var rate string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check data directories",
		Long: `Read every segment of data directories and hold it against its seal and its batches'
checksums. Nothing is changed. Damage is named by topic, partition and offsets, and the
exit code is 1. Of a running broker's directory only closed segments are checked; the
bytes of the others are counted as unproven.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var perSecond int64
			if rate != "" {
				var err error
				if perSecond, err = parseBytes(rate); err != nil {
					return fmt.Errorf("--rate: %w", err)
				}
			}
			damaged := 0
			for _, dir := range dirs {
				sum, err := logstore.VerifyDir(vfs.OS, dir, perSecond, cmd.Context().Done(), func(d logstore.Damage) {
					damaged++
					fmt.Fprintln(cmd.OutOrStdout(), d.String())
				})
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %+v\n", dir, sum)
			}
			if cmd.Context().Err() != nil {
				return errors.New("interrupted before everything was read")
			}
			if damaged > 0 {
				return fmt.Errorf("%d damaged places were found", damaged)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&dirs, "data-dir", []string{"./chronik-data"}, "data directory; repeat for several")
	cmd.Flags().StringVar(&rate, "rate", "", "most bytes to read a second, e.g. 20MiB (default: no bound)")
	return cmd
}

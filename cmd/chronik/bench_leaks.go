package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/chronik-stream/chronik/bench"
)

// newBenchLeaksCommand looks for secrets in what a broker shows; the suites that
// make users end with it.
func newBenchLeaksCommand(f *benchFlags) *cobra.Command {
	var s bench.LeakSearch
	var list string
	cmd := &cobra.Command{
		Use: "leaks PATH…", Short: "Look for secrets in a broker's files, arguments and admin pages",
		Long: `Look for secrets in files, in directories, in the arguments of the process --pid and
in the pages of the admin server --admin (metrics, profiles, traces), as they are, in
hexadecimal and in base 64. The secrets are the lines of --secrets, so that they stand
in no argument themselves. --user and --password-file open the admin server. Exit code
1 when one is found.`,
		RunE: func(cmd *cobra.Command, paths []string) (err error) {
			in := io.NopCloser(cmd.InOrStdin())
			if list != "-" {
				if in, err = os.Open(list); err != nil {
					return err
				}
			}
			lines := bufio.NewScanner(in)
			for lines.Scan() {
				if lines.Text() != "" {
					s.Secrets = append(s.Secrets, lines.Text())
				}
			}
			if err := errors.Join(lines.Err(), in.Close()); err != nil {
				return err
			}
			if len(s.Secrets) == 0 {
				return fmt.Errorf("--secrets %s has no line; there is nothing to look for", list)
			}
			s.Paths, s.PID = paths, f.target.PID
			if s.User = f.security.user; s.User != "" {
				if s.Password, err = readSecret(f.security.passwordFile, "CHRONIK_PASSWORD"); err != nil {
					return err
				}
			}
			found, err := s.Find(cmd.Context())
			for _, l := range found {
				err = errors.Join(err, fmt.Errorf("%w: %s", errPromise, l))
			}
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "none of %d secrets was found\n", len(s.Secrets))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&list, "secrets", "-", "file with a secret in each line (-: the standard input)")
	cmd.Flags().StringVar(&s.Admin, "admin", "", "the admin server's URL")
	return cmd
}

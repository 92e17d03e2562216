package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newUserCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{Use: "user", Short: "Make, list and delete users (SCRAM credentials) of any Kafka broker"}
	f.register(cmd)
	cmd.AddCommand(newUserSetCommand(f), newUserListCommand(f), newUserDeleteCommand(f))
	return cmd
}

var scramMechanisms = map[string]kadm.ScramMechanism{"SCRAM-SHA-256": kadm.ScramSha256, "SCRAM-SHA-512": kadm.ScramSha512}

func newUserSetCommand(f *clientFlags) *cobra.Command {
	var file string
	var mechanisms []string
	var iterations int32
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Make a user, or change its password", Args: cobra.ExactArgs(1),
		Long: `Make a user, or change its password, which is read from --new-password-file or
CHRONIK_NEW_PASSWORD. It is salted here: the broker never sees it.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			password, err := readSecret(file, "CHRONIK_NEW_PASSWORD")
			if err != nil {
				return fmt.Errorf("--new-password-file: %w", err)
			}
			return f.admin(func(adm *kadm.Client) error {
				// A request may name a user once.
				for _, name := range mechanisms {
					m, ok := scramMechanisms[name]
					if !ok {
						return fmt.Errorf("--scram %q is not SCRAM-SHA-256 or SCRAM-SHA-512", name)
					}
					done, err := adm.AlterUserSCRAMs(cmd.Context(), nil, []kadm.UpsertSCRAM{{User: names[0], Mechanism: m, Iterations: iterations, Password: password}})
					if err != nil {
						return fmt.Errorf("set user %s: %w", names[0], err)
					}
					if r := done[names[0]]; r.Err != nil {
						return fmt.Errorf("set user %s: %w%s", names[0], r.Err, detail(r.ErrMessage, r.Err))
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "set %s\n", names[0])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&file, "new-password-file", "", "file with the password")
	cmd.Flags().StringSliceVar(&mechanisms, "scram", []string{"SCRAM-SHA-256", "SCRAM-SHA-512"}, "mechanisms to make credentials for")
	cmd.Flags().Int32Var(&iterations, "iterations", 4096, "iterations of the key derivation, 4096 to 16384")
	return cmd
}

func newUserListCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list [NAME…]", Short: "List users and their mechanisms",
		RunE: func(cmd *cobra.Command, names []string) error {
			return f.admin(func(adm *kadm.Client) error {
				users, err := adm.DescribeUserSCRAMs(cmd.Context(), names...)
				if err != nil {
					return fmt.Errorf("list users: %w", err)
				}
				var errs []error
				for _, u := range users.Sorted() {
					if u.Err != nil {
						errs = append(errs, fmt.Errorf("user %s: %w%s", u.User, u.Err, detail(u.ErrMessage, u.Err)))
						continue
					}
					fmt.Fprint(cmd.OutOrStdout(), u.User)
					for _, c := range u.CredInfos {
						fmt.Fprintf(cmd.OutOrStdout(), "\t%s", c)
					}
					fmt.Fprintln(cmd.OutOrStdout())
				}
				return errors.Join(errs...)
			})
		},
	}
}

func newUserDeleteCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a user's credentials", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return f.admin(func(adm *kadm.Client) error {
				users, err := adm.DescribeUserSCRAMs(cmd.Context(), names[0])
				if err != nil {
					return fmt.Errorf("delete user %s: %w", names[0], err)
				}
				u := users[names[0]]
				if u.Err != nil {
					return fmt.Errorf("user %s: %w%s", names[0], u.Err, detail(u.ErrMessage, u.Err))
				}
				for _, c := range u.CredInfos {
					done, err := adm.AlterUserSCRAMs(cmd.Context(), []kadm.DeleteSCRAM{{User: names[0], Mechanism: c.Mechanism}}, nil)
					if err == nil {
						err = done[names[0]].Err
					}
					if err != nil {
						return fmt.Errorf("delete user %s: %w", names[0], err)
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "deleted %s\n", names[0])
				return nil
			})
		},
	}
}

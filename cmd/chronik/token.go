package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTokenCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{Use: "token", Short: "Make, list, renew and expire delegation tokens of any Kafka broker"}
	f.register(cmd)
	cmd.AddCommand(newTokenCreateCommand(f), newTokenListCommand(f), newTokenRenewCommand(f), newTokenExpireCommand(f))
	return cmd
}

func tokenPrincipal(s string) (kadm.Principal, error) {
	kind, name, ok := strings.Cut(s, ":")
	if !ok || kind == "" || name == "" {
		return kadm.Principal{}, fmt.Errorf("%q is not a principal like User:alice", s)
	}
	return kadm.Principal{Type: kind, Name: name}, nil
}

func newTokenCreateCommand(f *clientFlags) *cobra.Command {
	var renewers []string
	var owner string
	var life time.Duration
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token; prints its id and its HMAC, which is its password", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := kadm.CreateDelegationToken{MaxLifetime: life}
			for _, s := range renewers {
				p, err := tokenPrincipal(s)
				if err != nil {
					return fmt.Errorf("--renewer: %w", err)
				}
				req.Renewers = append(req.Renewers, p)
			}
			if owner != "" {
				p, err := tokenPrincipal(owner)
				if err != nil {
					return fmt.Errorf("--owner: %w", err)
				}
				req.Owner = &p
			}
			return f.admin(func(adm *kadm.Client) error {
				t, err := adm.CreateDelegationToken(cmd.Context(), req)
				if err != nil {
					return fmt.Errorf("make a token: %w", err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "id\t%s\nhmac\t%s\nexpires\t%s\n", t.TokenID, base64.StdEncoding.EncodeToString(t.HMAC), t.ExpiryTimestamp.UTC().Format(time.RFC3339))
				return nil
			})
		},
	}
	cmd.Flags().StringSliceVar(&renewers, "renewer", nil, "who may renew it besides its owner, User:name")
	cmd.Flags().StringVar(&owner, "owner", "", "whose token it is, User:name (default: who asks)")
	cmd.Flags().DurationVar(&life, "max-lifetime", -time.Millisecond, "how long it can live by renewing (default: the broker's)")
	return cmd
}

func newTokenListCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tokens that may be seen", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.admin(func(adm *kadm.Client) error {
				list, err := adm.DescribeDelegationTokens(cmd.Context())
				if err != nil {
					return fmt.Errorf("list tokens: %w", err)
				}
				for _, t := range list {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s:%s\texpires %s\n", t.TokenID, t.Owner.Type, t.Owner.Name, t.ExpiryTimestamp.UTC().Format(time.RFC3339))
				}
				return nil
			})
		},
	}
}

// newTokenChange is renew and expire, which take the same.
func newTokenChange(f *clientFlags, use, short string, period time.Duration, periodDoc string,
	change func(*kadm.Client, *cobra.Command, []byte, time.Duration) (time.Time, error)) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			secret, err := readSecret(file, "CHRONIK_TOKEN_HMAC")
			if err != nil {
				return fmt.Errorf("--hmac-file: %w", err)
			}
			hmac, err := base64.StdEncoding.DecodeString(secret)
			if err != nil {
				return fmt.Errorf("the HMAC is not base 64: %w", err)
			}
			return f.admin(func(adm *kadm.Client) error {
				until, err := change(adm, cmd, hmac, period)
				if err != nil {
					return fmt.Errorf("%s the token: %w", use, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "expires\t%s\n", until.UTC().Format(time.RFC3339))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&file, "hmac-file", "", "file with the token's HMAC as create prints it (or CHRONIK_TOKEN_HMAC)")
	cmd.Flags().DurationVar(&period, "period", period, periodDoc)
	return cmd
}

func newTokenRenewCommand(f *clientFlags) *cobra.Command {
	return newTokenChange(f, "renew", "Let a token live longer", -time.Millisecond, "from now (default: the broker's)",
		func(adm *kadm.Client, cmd *cobra.Command, hmac []byte, d time.Duration) (time.Time, error) {
			return adm.RenewDelegationToken(cmd.Context(), hmac, d)
		})
}

func newTokenExpireCommand(f *clientFlags) *cobra.Command {
	return newTokenChange(f, "expire", "End a token", -time.Millisecond, "from now; negative for at once",
		func(adm *kadm.Client, cmd *cobra.Command, hmac []byte, d time.Duration) (time.Time, error) {
			return adm.ExpireDelegationToken(cmd.Context(), hmac, d)
		})
}

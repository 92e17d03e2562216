package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientFlags are shared by the commands that talk to a broker.
type clientFlags struct {
	brokers  string
	security clientSecurity
}

func (f *clientFlags) register(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&f.brokers, "brokers", "b", "127.0.0.1:9092", "brokers to connect to, host:port, …")
	f.security.register(cmd)
}

// client connects; opts come before the defaults.
func (f *clientFlags) client(opts ...kgo.Opt) (*kgo.Client, error) {
	seeds := strings.Split(f.brokers, ",")
	login, err := f.security.options()
	if err != nil {
		return nil, err
	}
	opts = append(login, opts...)
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.ClientID("chronik"), kgo.SoftwareNameAndVersion("chronik", softwareVersion()),
		kgo.RetryTimeout(10 * time.Second), kgo.RecordDeliveryTimeout(30 * time.Second),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("--brokers %s: %w", f.brokers, err)
	}
	return cl, nil
}

// softwareVersion is the version in the form that KIP-511 allows.
func softwareVersion() string {
	v := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, version)
	return strings.Trim(v, ".-")
}

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// clientSecurity is how a command logs in.
type clientSecurity struct {
	user, passwordFile, mechanism string
	tls                           bool
	ca, cert, key                 string
}

func (f *clientSecurity) register(cmd *cobra.Command) {
	p := cmd.PersistentFlags()
	p.StringVar(&f.user, "user", os.Getenv("CHRONIK_USER"), "user to log in as (CHRONIK_USER); its password is in --password-file or CHRONIK_PASSWORD")
	p.StringVar(&f.passwordFile, "password-file", "", "file with the user's password, or with the bearer token of OAUTHBEARER")
	p.StringVar(&f.mechanism, "mechanism", "SCRAM-SHA-512", "SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER")
	p.BoolVar(&f.tls, "tls", false, "connect by TLS, with the system's authorities")
	p.StringVar(&f.ca, "tls-ca", "", "file with the authorities of the brokers' certificates; connects by TLS")
	p.StringVar(&f.cert, "tls-cert", "", "file with a client certificate; connects by TLS")
	p.StringVar(&f.key, "tls-key", "", "file with the key of --tls-cert (default: the same file)")
}

// options are a client's for the flags.
func (f *clientSecurity) options() ([]kgo.Opt, error) {
	var opts []kgo.Opt
	config, err := f.tlsConfig()
	if err != nil {
		return nil, err
	}
	if config != nil {
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	login, err := f.login()
	if err != nil {
		return nil, err
	}
	if login != nil {
		opts = append(opts, kgo.SASL(login))
	}
	return opts, nil
}

// tlsConfig is nil when no flag asks for TLS.
func (f *clientSecurity) tlsConfig() (*tls.Config, error) {
	if !f.tls && f.ca == "" && f.cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--tls-ca %s has no certificate", f.ca)
		}
	}
	if f.cert != "" {
		key := f.key
		if key == "" {
			key = f.cert
		}
		pair, err := tls.LoadX509KeyPair(f.cert, key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// login is nil when no flag names a user.
func (f *clientSecurity) login() (sasl.Mechanism, error) {
	if f.user == "" && f.passwordFile == "" {
		return nil, nil
	}
	password, err := readSecret(f.passwordFile, "CHRONIK_PASSWORD")
	if err != nil {
		return nil, fmt.Errorf("--password-file: %w", err)
	}
	switch strings.ToUpper(f.mechanism) {
	case "PLAIN":
		return plain.Auth{User: f.user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: f.user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: f.user, Pass: password}.AsSha512Mechanism(), nil
	case "OAUTHBEARER":
		return oauth.Auth{Token: password}.AsMechanism(), nil
	}
	return nil, fmt.Errorf("--mechanism %q is not SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER", f.mechanism)
}

var errNoSecret = errors.New("no password is given; name a file with it or set the environment's variable")

// readSecret reads a secret from a file, or from the environment without one.
func readSecret(file, env string) (string, error) {
	secret := os.Getenv(env)
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		secret = strings.TrimRight(string(text), "\r\n")
	}
	if secret == "" {
		return "", fmt.Errorf("%w (%s)", errNoSecret, env)
	}
	return secret, nil
}

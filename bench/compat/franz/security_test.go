package franz

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TestSecurity logs in by every mechanism over every protocol, and is refused
// where it must be. The ports are in the environment, as the case sets them.
func TestSecurity(t *testing.T) {
	dir := os.Getenv("TLS_DIR")
	if dir == "" {
		t.Skip("TLS_DIR names no certificates")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	file := func(name string) []byte {
		b, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ports := map[string]string{"SASL_PLAINTEXT": os.Getenv("PORT"), "SASL_SSL": os.Getenv("SASL_SSL_PORT"), "SSL": os.Getenv("MTLS_PORT")}
	mechanism := func(name, user, password string) sasl.Mechanism {
		switch name {
		case "PLAIN":
			return plain.Auth{User: user, Pass: password}.AsMechanism()
		case "SCRAM-SHA-256":
			return scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
		case "SCRAM-SHA-512":
			return scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
		}
		return oauth.Auth{Token: string(file(password + ".jwt"))}.AsMechanism()
	}
	client := func(t *testing.T, protocol, authority, cert string, by sasl.Mechanism) *kgo.Client {
		t.Helper()
		opts := []kgo.Opt{kgo.SeedBrokers("127.0.0.1:" + ports[protocol]), kgo.RequestRetries(0), kgo.RecordRetries(0), kgo.ProducerLinger(0)}
		if strings.HasSuffix(protocol, "SSL") {
			c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
			c.RootCAs.AppendCertsFromPEM(file(authority + ".pem"))
			if cert != "" {
				pair, err := tls.X509KeyPair(file(cert+".crt"), file(cert+".key"))
				if err != nil {
					t.Fatal(err)
				}
				c.Certificates = []tls.Certificate{pair}
			}
			opts = append(opts, kgo.DialTLSConfig(c))
		}
		if by != nil {
			opts = append(opts, kgo.SASL(by))
		}
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	admin := kadm.NewClient(client(t, "SSL", "ca", "carol", nil))
	topic := fmt.Sprintf("security-%d", time.Now().UnixNano())
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	write := func(cl *kgo.Client) error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("value")}).FirstErr()
	}
	written := int64(0)
	in := func(name string, cl *kgo.Client) {
		t.Run(name, func(t *testing.T) {
			if err := write(cl); err != nil {
				t.Fatal(err)
			}
			written++
			cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})
			if fetches := cl.PollFetches(ctx); fetches.Err() != nil || fetches.NumRecords() == 0 {
				t.Errorf("%d records, %v", fetches.NumRecords(), fetches.Err())
			}
		})
	}
	refused := func(name string, cl *kgo.Client, want func(error) bool) {
		t.Run(name, func(t *testing.T) {
			if err := write(cl); err == nil || !want(err) {
				t.Errorf("the error does not say why: %v", err)
			}
		})
	}
	is := func(code error) func(error) bool { return func(err error) bool { return errors.Is(err, code) } }
	in("certificate", client(t, "SSL", "ca", "carol", nil))
	for _, protocol := range []string{"SASL_PLAINTEXT", "SASL_SSL"} {
		for _, m := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			in(protocol+" "+m, client(t, protocol, "ca", "", mechanism(m, "admin", "admin-secret")))
			refused(protocol+" "+m+" with a wrong password", client(t, protocol, "ca", "", mechanism(m, "admin", "wrong")), is(kerr.SaslAuthenticationFailed))
		}
		in(protocol+" OAUTHBEARER", client(t, protocol, "ca", "", mechanism("OAUTHBEARER", "", "good")))
		refused(protocol+" with a token whose time is over", client(t, protocol, "ca", "", mechanism("OAUTHBEARER", "", "expired")), func(err error) bool {
			return strings.Contains(err.Error(), "oauth") // its own word for the broker's challenge
		})
		refused(protocol+" without an ACL", client(t, protocol, "ca", "", mechanism("PLAIN", "bob", "bob-secret")), func(err error) bool {
			return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed)
		})
	}
	refused("no certificate", client(t, "SSL", "ca", "", nil), func(err error) bool { return strings.Contains(err.Error(), "certificate required") })
	refused("a broker of an unknown authority", client(t, "SASL_SSL", "stranger", "", mechanism("PLAIN", "admin", "admin-secret")), func(err error) bool {
		return strings.Contains(err.Error(), "unknown authority") || strings.Contains(err.Error(), "certificate signed by")
	})
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if end, ok := ends.Lookup(topic, 0); !ok || end.Offset != written {
		t.Errorf("the log ends at %d; %d records were let in", end.Offset, written)
	}
}

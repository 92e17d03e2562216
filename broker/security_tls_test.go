package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// authority signs certificates for one test.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), next: 1}
	a.cert, a.key = a.make("test authority", true, nil)
	a.write("ca.pem", a.cert, nil)
	return a
}

func (a *authority) make(name string, ca bool, usage []x509.ExtKeyUsage) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name, Organization: []string{"Test"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, ExtKeyUsage: usage, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// write writes a certificate, and its key before it, as PEM.
func (a *authority) write(name string, cert *x509.Certificate, key *ecdsa.PrivateKey) string {
	a.t.Helper()
	var text []byte
	if key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			a.t.Fatal(err)
		}
		text = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *authority) server(name string) string {
	cert, key := a.make(name, false, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
	return a.write(name+".pem", cert, key)
}

// dialer is TLS as a client of the authority has it; name "" shows no certificate.
func (a *authority) dialer(name string) kgo.Opt {
	a.t.Helper()
	return kgo.DialTLSConfig(a.config(name))
}

func (a *authority) config(name string) *tls.Config {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if name != "" {
		cert, key := a.make(name, false, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
		c.Certificates = []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}
	}
	return c
}

// TestSASLSSL: listeners with a protocol each, by keys with their names.
func TestSASLSSL(t *testing.T) {
	ca := newAuthority(t)
	b := run(t, func(o *Options) {
		o.Listeners = "SASL_SSL://127.0.0.1:0,PLAIN_USERS://127.0.0.1:0"
		o.AdminUser, o.AdminPassword = "admin", adminPassword
		o.Static = map[string]string{
			"listener.security.protocol.map":                    "PLAIN_USERS:SASL_PLAINTEXT",
			"listener.name.sasl_ssl.ssl.keystore.type":          "PEM",
			"listener.name.sasl_ssl.ssl.keystore.location":      ca.server("broker"),
			"sasl.enabled.mechanisms":                           "SCRAM-SHA-512",
			"listener.name.plain_users.sasl.enabled.mechanisms": "PLAIN",
			"listener.name.plain_users.plain.sasl.jaas.config":  `org.apache.kafka.common.security.plain.PlainLoginModule required username="x" password="y" user_adminplain="admin-secret";`,
			"super.users": "User:adminplain",
			"connection.failed.authentication.delay.ms":                      "10",
			"listener.name.sasl_ssl.scram-sha-512.connections.max.reauth.ms": "60000",
		}
	})
	over := kgo.SeedBrokers(b.Addrs()["SASL_SSL"])
	if err := client(t, b, over, ca.dialer(""), asAdmin()).Ping(within(t)); err != nil {
		t.Errorf("SCRAM over TLS: %v", err)
	}
	err := client(t, b, over, ca.dialer(""), kgo.SASL(plain.Auth{User: "admin", Pass: adminPassword}.AsMechanism()), kgo.RequestRetries(0)).Ping(within(t))
	if !errors.Is(err, kerr.UnsupportedSaslMechanism) {
		t.Errorf("a mechanism that is not enabled there: %v", err)
	}
	over = kgo.SeedBrokers(b.Addrs()["PLAIN_USERS"])
	cl := client(t, b, over, kgo.SASL(plain.Auth{User: "adminplain", Pass: "admin-secret"}.AsMechanism()))
	if made, err := kadm.NewClient(cl).CreateTopics(within(t), 1, 1, nil, "t"); err != nil || made["t"].Err != nil {
		t.Errorf("a super user of the JAAS entry: %v, %v", made, err)
	}
	if n := len(b.cluster.Image().Scram); n != 2 {
		t.Errorf("the metadata has %d credentials, want those of admin alone", n)
	}
	err = client(t, b, over, kgo.SASL(scram.Auth{User: "adminplain", Pass: "admin-secret"}.AsSha256Mechanism()), kgo.RequestRetries(0)).Ping(within(t))
	if !errors.Is(err, kerr.UnsupportedSaslMechanism) {
		t.Errorf("SCRAM where PLAIN alone is enabled: %v", err)
	}
}

// TestMutualTLS: the certificate's subject is the principal, by the rules; who
// has none, or one of somebody else's authority, is not let in.
func TestMutualTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	b := run(t, func(o *Options) {
		o.Listeners = "SSL://127.0.0.1:0"
		o.Static = map[string]string{
			"ssl.keystore.type": "PEM", "ssl.keystore.location": ca.server("broker"),
			"ssl.truststore.type": "PEM", "ssl.truststore.location": filepath.Join(ca.dir, "ca.pem"),
			"ssl.client.auth":             "required",
			"ssl.principal.mapping.rules": "RULE:^CN=(.*?),.*$/$1/L,DEFAULT",
			"super.users":                 "User:alice",
		}
	})
	cl := client(t, b, ca.dialer("Alice"))
	if made, err := kadm.NewClient(cl).CreateTopics(within(t), 1, 1, nil, "t"); err != nil || made["t"].Err != nil {
		t.Fatalf("the certificate of a super user: %v, %v", made, err)
	}
	made, err := kadm.NewClient(client(t, b, ca.dialer("bob"))).CreateTopics(within(t), 1, 1, nil, "u")
	if err != nil || !errors.Is(made["u"].Err, kerr.TopicAuthorizationFailed) {
		t.Errorf("the certificate of somebody: %v, %v", made, err)
	}
	if err := client(t, b, ca.dialer(""), kgo.RequestRetries(0)).Ping(within(t)); err == nil {
		t.Error("a client without a certificate was let in")
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	cert, key := stranger.make("alice", false, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
	c := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, nil
		}}
	if err := client(t, b, kgo.DialTLSConfig(c), kgo.RequestRetries(0)).Ping(within(t)); err == nil {
		t.Error("a certificate of another authority was let in")
	}
	eventually(t, "audit lines", func() bool {
		log := auditLog(t, b)
		return strings.Contains(log, `"principal":"User:alice"`) && strings.Count(log, `"kind":"certificate"`) >= 2 &&
			strings.Contains(log, `"result":"denied"`)
	})

	// A new certificate is served without a restart; the old connection goes on.
	cert, key = ca.make("renewed", false, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
	ca.write("broker.pem", cert, key)
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", b.Addr(), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "renewed" {
		t.Errorf("after the reload %q is served", got)
	}
	if err := cl.Ping(within(t)); err != nil {
		t.Errorf("the connection from before the reload: %v", err)
	}
}

// TestAdminTLS: the admin server's certificate and who a client's is, by the keys
// with its prefix; a new certificate is served after a reload.
func TestAdminTLS(t *testing.T) {
	ca := newAuthority(t)
	b := secured(t, func(o *Options) {
		o.Static["ssl.keystore.type"], o.Static["ssl.keystore.location"] = "PEM", ca.server("broker")
		o.Static["ssl.truststore.type"], o.Static["ssl.truststore.location"] = "PEM", filepath.Join(ca.dir, "ca.pem")
		o.Static["listener.name.admin.ssl.client.auth"] = "requested"
		o.Static["ssl.principal.mapping.rules"] = "RULE:^CN=(.*?),.*$/$1/L,DEFAULT"
		o.Static["super.users"] = "User:alice"
	})
	conf, err := b.AdminTLS()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here := netip.MustParseAddr("127.0.0.1")
	shake := func(client *tls.Config) (served string, may bool) {
		t.Helper()
		seen := make(chan tls.ConnectionState, 1)
		b.Go("test", func() {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			if err := nc.(*tls.Conn).Handshake(); err != nil {
				t.Error(err)
			}
			seen <- nc.(*tls.Conn).ConnectionState()
		})
		nc, err := tls.Dial("tcp", l.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		state := <-seen
		return nc.ConnectionState().PeerCertificates[0].Subject.CommonName, b.AllowAdminCertificate(here, &state)
	}
	for name, want := range map[string]bool{"Alice": true, "bob": false, "": false} {
		if served, may := shake(ca.config(name)); may != want || served != "broker" {
			t.Errorf("%q: served %q, may %v", name, served, may)
		}
	}
	cert, key := ca.make("renewed", false, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
	ca.write("broker.pem", cert, key)
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	if served, _ := shake(ca.config("")); served != "renewed" {
		t.Errorf("after the reload %q is served", served)
	}
}

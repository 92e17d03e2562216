package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/bench"
)

// selfSigned writes a certificate for 127.0.0.1 with its key, as Kafka's PEM
// keystores have them, and gives the pool that trusts it.
func selfSigned(t *testing.T, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := os.WriteFile(name, both, 0o600); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(both)
	return pool
}

// TestServeAdminTLS: the real binary's admin server over TLS asks for the same
// password as the broker, but for health.
func TestServeAdminTLS(t *testing.T) {
	dir := t.TempDir()
	store, password := filepath.Join(dir, "broker.pem"), filepath.Join(dir, "password")
	pool := selfSigned(t, store)
	if err := os.WriteFile(password, []byte("first-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "server.properties")
	jaas := "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_jim=\"jaas-password\";\n"
	if err := os.WriteFile(config, []byte(jaas), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serveProcess(t, "--config", config, "--pprof", "--data-dir", filepath.Join(dir, "data"), "--listeners", "SASL_SSL://127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--admin-tls",
		"--admin-user", "admin", "--admin-password-file", password, "-c", "ssl.keystore.type=PEM", "-c", "ssl.keystore.location="+store)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		scheme, path, user, password string
		want                         int
	}{
		{"https", "/livez", "", "", http.StatusOK},
		{"https", "/metrics", "", "", http.StatusUnauthorized},
		{"https", "/metrics", "admin", "first-password", http.StatusOK},
		{"https", "/v1/topics", "admin", "another", http.StatusUnauthorized},
		{"https", "/v1/topics", "nobody", "first-password", http.StatusUnauthorized},
		{"http", "/livez", "", "", http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.scheme+"://"+p.admin+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.user != "" {
			req.SetBasicAuth(c.user, c.password)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", c.scheme, c.path, err)
			continue
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != c.want {
			t.Errorf("%s %s as %q: %d, not %d", c.scheme, c.path, c.user, resp.StatusCode, c.want)
		}
	}
	search := bench.LeakSearch{Secrets: []string{"first-password", "jaas-password"}, Paths: []string{filepath.Join(dir, "data")},
		PID: p.cmd.Process.Pid, Admin: "https://" + p.admin, User: "admin", Password: "first-password", Client: client}
	if leaks, err := search.Find(t.Context()); err != nil || len(leaks) > 0 {
		t.Errorf("%v %v", leaks, err)
	}
	if err := p.end(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, []byte(p.output()), 0o600); err != nil {
		t.Fatal(err)
	}
	after := bench.LeakSearch{Secrets: search.Secrets, Paths: []string{log, filepath.Join(dir, "data")}}
	if leaks, err := after.Find(t.Context()); err != nil || len(leaks) > 0 {
		t.Errorf("%v %v", leaks, err)
	}
}

// TestServeSecretOnCommandLine: a secret given by -c is warned of, not repeated,
// and no admin page shows the process's arguments.
func TestServeSecretOnCommandLine(t *testing.T) {
	const secret = "on-the-command-line"
	dir := t.TempDir()
	p := serveProcess(t, "--data-dir", filepath.Join(dir, "data"), "--listeners", "PLAINTEXT://127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--pprof",
		"-c", "listener.name.x.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_a=\""+secret+"\";")
	search := bench.LeakSearch{Secrets: []string{secret}, Paths: []string{filepath.Join(dir, "data")}, Admin: "http://" + p.admin}
	if leaks, err := search.Find(t.Context()); err != nil || len(leaks) > 0 {
		t.Errorf("%v %v", leaks, err)
	}
	if err := p.end(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if out := p.output(); !strings.Contains(out, "a secret stands on the command line") || strings.Contains(out, secret) {
		t.Errorf("the log:\n%s", out)
	}
}

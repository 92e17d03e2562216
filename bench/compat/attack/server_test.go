package attack

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	adminPassword = "the-admins-own-secret"
	userPassword  = "the-users-own-secret"
)

// victim is the broker under attack. The names of its listeners say what they
// take: SASL and TLS by every mechanism, SCRAMONLY, and MTLS by certificate.
var victim struct {
	dir   string
	addrs map[string]string
	log   *logBuffer
	pid   int
	ca    *authority
	rsa   *rsa.PrivateKey
	ec    *ecdsa.PrivateKey
}

// logBuffer keeps what the broker says.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestMain(m *testing.M) {
	if spec := os.Getenv("ATTACK_FLOOD"); spec != "" {
		os.Exit(flood(spec))
	}
	code, err := attacked(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		code = 1
	}
	os.Exit(code)
}

// attacked runs the tests against a broker and looks at what is left of it.
func attacked(m *testing.M) (code int, err error) {
	binary := os.Getenv("CHRONIK")
	if binary == "" {
		binary = "../../../bin/chronik"
	}
	dir, err := os.MkdirTemp("", "attack-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	victim.dir = dir
	cmd, err := start(binary)
	if err != nil {
		return 1, err
	}
	code = m.Run()
	if err := shown(binary); err != nil {
		code = 1
		fmt.Fprintln(os.Stderr, "attack:", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 1, fmt.Errorf("the broker did not outlive the attacks: %w\n%s", err, victim.log)
	}
	if err := cmd.Wait(); err != nil {
		return 1, fmt.Errorf("the broker did not end in order: %w\n%s", err, victim.log)
	}
	return code, aftermath()
}

// aftermath looks for panics and secrets in everything that the broker wrote
// for people.
func aftermath() error {
	text := victim.log.String()
	for _, bad := range []string{"panic", "BUG: ", "fatal error", "DATA RACE"} {
		if strings.Contains(text, bad) {
			return fmt.Errorf("the broker's log says %q:\n%s", bad, text)
		}
	}
	return nil
}

// shown looks, while the broker runs, for the secrets that tests have sent or made
// in all that it shows: files, arguments, admin pages.
func shown(binary string) error {
	log := filepath.Join(victim.dir, "log")
	if err := os.WriteFile(log, []byte(victim.log.String()), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(binary, "bench", "leaks", "--pid", fmt.Sprint(victim.pid), "--admin", "http://"+victim.addrs["admin"],
		"--user", "admin", "--password-file", filepath.Join(victim.dir, "password"), log, filepath.Join(victim.dir, "data"))
	cmd.Stdin = strings.NewReader(strings.Join(secrets(), "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// sent are the secrets that tests have sent: passwords, proofs, signatures.
var sent struct {
	mu   sync.Mutex
	list []string
}

func secret(s string) string {
	sent.mu.Lock()
	defer sent.mu.Unlock()
	sent.list = append(sent.list, s)
	return s
}

func secrets() []string {
	sent.mu.Lock()
	defer sent.mu.Unlock()
	return append([]string{adminPassword, userPassword}, sent.list...)
}

func start(binary string) (*exec.Cmd, error) {
	var err error
	if victim.ca, err = newAuthority("authority"); err != nil {
		return nil, err
	}
	cert, key, err := victim.ca.issue("broker", x509.ExtKeyUsageServerAuth, time.Hour)
	if err != nil {
		return nil, err
	}
	if victim.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if victim.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	keys, err := json.Marshal(map[string]any{"keys": []any{
		map[string]string{"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": b64(victim.rsa.N.Bytes()), "e": b64(big.NewInt(int64(victim.rsa.E)).Bytes())},
		map[string]string{"kty": "EC", "kid": "ec", "use": "sig", "alg": "ES256", "crv": "P-256",
			"x": b64(victim.ec.X.FillBytes(make([]byte, 32))), "y": b64(victim.ec.Y.FillBytes(make([]byte, 32)))},
	}})
	if err != nil {
		return nil, err
	}
	file := func(name string, text []byte) string {
		path := filepath.Join(victim.dir, name)
		err = errors.Join(err, os.WriteFile(path, text, 0o600))
		return path
	}
	args := []string{"serve", "--data-dir", filepath.Join(victim.dir, "data"), "--admin-listen", "127.0.0.1:0", "--pprof",
		"--listeners", "SASL://127.0.0.1:0,TLS://127.0.0.1:0,SCRAMONLY://127.0.0.1:0,MTLS://127.0.0.1:0",
		"--admin-user", "admin", "--admin-password-file", file("password", []byte(adminPassword)),
		"--config", file("server.properties", []byte("sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_bob=\""+userPassword+"\";\n"))}
	for _, pair := range []string{
		"listener.security.protocol.map=SASL:SASL_PLAINTEXT,TLS:SASL_SSL,SCRAMONLY:SASL_PLAINTEXT,MTLS:SSL",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"listener.name.scramonly.sasl.enabled.mechanisms=SCRAM-SHA-512",
		"sasl.oauthbearer.jwks.endpoint.url=file://" + file("jwks.json", keys),
		"sasl.oauthbearer.expected.issuer=https://issuer.example", "sasl.oauthbearer.expected.audience=kafka",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + file("broker.pem", append(pemOf("CERTIFICATE", cert.Raw), pemKey(key)...)),
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + file("ca.pem", pemOf("CERTIFICATE", victim.ca.cert.Raw)),
		"listener.name.mtls.ssl.client.auth=required", "ssl.principal.mapping.rules=RULE:^CN=([^,]*)$/$1/,DEFAULT",
		// The delay of refusals would hide what the timing tests look for.
		"connection.failed.authentication.delay.ms=0",
	} {
		args = append(args, "-c", pair)
	}
	if err != nil {
		return nil, err
	}
	victim.log = &logBuffer{}
	cmd := exec.Command(binary, args...)
	cmd.Stderr, cmd.Stdout = victim.log, victim.log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; build it first (make build) or name it in CHRONIK", err)
	}
	victim.pid = cmd.Process.Pid
	ready := regexp.MustCompile(`(?m)^.*\bmsg=ready\b.*$`)
	for deadline := time.Now().Add(time.Minute); ; {
		if line := ready.FindString(victim.log.String()); line != "" {
			victim.addrs = map[string]string{}
			for _, m := range regexp.MustCompile(`\b(SASL|TLS|SCRAMONLY|MTLS|admin)=(\S+)`).FindAllStringSubmatch(line, -1) {
				victim.addrs[m[1]] = m[2]
			}
			return cmd, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the broker was not ready within 20 s:\n%s", victim.log), cmd.Process.Kill())
		}
		<-time.After(20 * time.Millisecond)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// audited counts the lines of the audit log that hold every one of the texts.
func audited(t *testing.T, texts ...string) int {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(victim.dir, "data", "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.SplitSeq(string(log), "\n") {
		all := line != ""
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			n++
		}
	}
	return n
}

// auditedSoon waits until more than n lines hold the texts.
func auditedSoon(t *testing.T, n int, texts ...string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); audited(t, texts...) <= n; {
		if time.Now().After(deadline) {
			t.Errorf("the audit log has no further line with %q", texts)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	return &authority{cert, key}, err
}

// issue gives a certificate for 127.0.0.1 that ends after left (before now when
// it is negative).
func (a *authority) issue(name string, usage x509.ExtKeyUsage, left time.Duration) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	return cert, key, err
}

func pemOf(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

func pemKey(key *ecdsa.PrivateKey) []byte {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil
	}
	return pemOf("PRIVATE KEY", raw)
}

// trusting is TLS that trusts the broker's authority.
func trusting() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(victim.ca.cert)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

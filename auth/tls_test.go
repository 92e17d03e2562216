package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// authority issues certificates for tests.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
	next int64
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, next: 1}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue gives a PEM with key and certificate.
func (a *authority) issue(name string, change func(*x509.Certificate), usage ...x509.ExtKeyUsage) []byte {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	c := &x509.Certificate{SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name, Organization: []string{"Org"}},
		DNSNames: []string{"localhost"}, ExtKeyUsage: usage, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
}

func (a *authority) client(name string, usage ...x509.ExtKeyUsage) *tls.Certificate {
	raw := a.issue(name, nil, usage...)
	c, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return &c
}

// shake does a handshake and one byte each way over a pipe.
func shake(t testing.TB, server *TLS, client *tls.Config) (serverState, clientState tls.ConnectionState, serverErr error) {
	t.Helper()
	return shakeWith(t, server.Config(), client)
}

func shakeWith(t testing.TB, server, client *tls.Config) (serverState, clientState tls.ConnectionState, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	client.ServerName = "localhost"
	done := make(chan error, 1)
	c := tls.Client(b, client)
	go func() {
		err := c.Handshake()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		done <- err
		b.Close()
	}()
	s := tls.Server(a, server)
	if serverErr = s.Handshake(); serverErr == nil {
		if _, err := s.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatalf("the client: %v", err)
		}
	}
	return s.ConnectionState(), c.ConnectionState(), serverErr
}

func (a *authority) trusting(cert *tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool}
	if cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return c
}

func TestTLS(t *testing.T) {
	ca, stranger := newAuthority(t, "CA"), newAuthority(t, "Stranger")
	server := ca.issue("broker", nil, x509.ExtKeyUsageServerAuth)
	dir := t.TempDir()
	writeFile(t, dir+"/server.pem", server)
	writeFile(t, dir+"/ca.pem", ca.pem)
	made := func(clientAuth string) *TLS {
		s, err := NewTLS(TLSFromConfig(func(key string) string {
			return map[string]string{"ssl.keystore.type": "PEM", "ssl.keystore.location": dir + "/server.pem", "ssl.truststore.type": "pem",
				"ssl.truststore.location": dir + "/ca.pem", "ssl.client.auth": clientAuth,
				"ssl.principal.mapping.rules": "RULE:^CN=(\\w+),O=Org$/$1/L"}[key]
		}).with(func(o *TLSOptions) { o.Poll = -1 }))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	expired := ca.issue("alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, x509.ExtKeyUsageClientAuth)
	expiredPair, err := tls.X509KeyPair(expired, expired)
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		who  string
		kind Kind
	}
	for _, tt := range []struct {
		name                      string
		cert                      *tls.Certificate
		none, requested, required result
	}{
		{"no certificate", nil, result{"ANONYMOUS", ""}, result{"ANONYMOUS", ""}, result{"", KindCertificate}},
		{"good", ca.client("Alice", x509.ExtKeyUsageClientAuth), result{"ANONYMOUS", ""}, result{"alice", ""}, result{"alice", ""}},
		{"without usage", ca.client("Alice"), result{"ANONYMOUS", ""}, result{"alice", ""}, result{"alice", ""}},
		{"for servers only", ca.client("Alice", x509.ExtKeyUsageServerAuth), result{"ANONYMOUS", ""}, result{"", KindCertificate}, result{"", KindCertificate}},
		{"of another authority", stranger.client("Alice", x509.ExtKeyUsageClientAuth), result{"ANONYMOUS", ""}, result{"", KindCertificate}, result{"", KindCertificate}},
		{"expired", &expiredPair, result{"ANONYMOUS", ""}, result{"", KindExpired}, result{"", KindExpired}},
		{"no rule for it", ca.client("a b", x509.ExtKeyUsageClientAuth), result{"ANONYMOUS", ""}, result{"", KindCertificate}, result{"", KindCertificate}},
	} {
		for mode, want := range map[string]result{"none": tt.none, "": tt.none, "requested": tt.requested, "required": tt.required} {
			s := made(mode)
			config := ca.trusting(tt.cert)
			config.MaxVersion = tls.VersionTLS12 // where the client learns of a refusal in the handshake
			state, _, err := shake(t, s, config)
			var p *Principal
			var f *Failure
			if err != nil {
				f = HandshakeFailure(err)
			} else {
				p, f = s.Principal(&state)
			}
			if f != nil {
				if f.Kind != want.kind {
					t.Errorf("%s, client auth %q: %v, want kind %q", tt.name, mode, f, want.kind)
				}
			} else if want.kind != "" || p.Name != want.who {
				t.Errorf("%s, client auth %q: %v, want %+v", tt.name, mode, p, want)
			}
		}
	}
}

// TestTLSDistrusted: a client that does not know our authority is told apart
// from one that speaks no TLS.
func TestTLSDistrusted(t *testing.T) {
	ca, stranger := newAuthority(t, "CA"), newAuthority(t, "Stranger")
	path := t.TempDir() + "/server.pem"
	writeFile(t, path, ca.issue("broker", nil, x509.ExtKeyUsageServerAuth))
	s, err := NewTLS(TLSOptions{KeystoreLocation: path, Poll: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = shake(t, s, stranger.trusting(nil))
	if f := HandshakeFailure(err); err == nil || f.Kind != KindCertificate || !strings.Contains(f.Detail, "does not accept the broker's") {
		t.Errorf("%v is told as %+v", err, f)
	}
}

func (o TLSOptions) with(f func(*TLSOptions)) TLSOptions { f(&o); return o }

func TestTLSProtocols(t *testing.T) {
	ca := newAuthority(t, "CA")
	server := string(ca.issue("broker", nil))
	at := strings.Index(server, "-----BEGIN CERTIFICATE")
	base := TLSOptions{KeystoreKey: server[:at], KeystoreChain: server[at:], Poll: -1}
	for _, tt := range []struct {
		protocols, suites string
		client            uint16 // its only version
		version           uint16 // what comes of it, 0 for nothing
	}{
		{"", "", tls.VersionTLS12, tls.VersionTLS12}, {"", "", tls.VersionTLS13, tls.VersionTLS13},
		{"TLSv1.2", "", tls.VersionTLS13, 0}, {"TLSv1.3", "", tls.VersionTLS12, 0}, {"TLSv1.3", "TLS_AES_128_GCM_SHA256", tls.VersionTLS13, tls.VersionTLS13},
		{"TLSv1.2,TLSv1.3", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", tls.VersionTLS12, tls.VersionTLS12},
		{"TLSv1.2,TLSv1.3", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", tls.VersionTLS12, 0}, {"", "", tls.VersionTLS11, 0},
	} {
		s, err := NewTLS(base.with(func(o *TLSOptions) { o.EnabledProtocols, o.CipherSuites = tt.protocols, tt.suites }))
		if err != nil {
			t.Fatal(err)
		}
		config := ca.trusting(nil)
		config.MinVersion, config.MaxVersion = tt.client, tt.client
		state, _, err := shake(t, s, config)
		if (err == nil) != (tt.version != 0) || err == nil && state.Version != tt.version {
			t.Errorf("%+v: %x, %v", tt, state.Version, err)
		}
		if err == nil && tt.suites != "" && tls.CipherSuiteName(state.CipherSuite) != tt.suites {
			t.Errorf("%+v: %s", tt, tls.CipherSuiteName(state.CipherSuite))
		}
		if err != nil {
			if f := HandshakeFailure(err); f.Kind != KindMalformed {
				t.Errorf("%+v: %v", tt, f)
			}
		}
	}
}

func TestTLSRefuses(t *testing.T) {
	ca := newAuthority(t, "CA")
	dir := t.TempDir()
	good := ca.issue("broker", nil)
	writeFile(t, dir+"/good.pem", good)
	writeFile(t, dir+"/ca.pem", ca.pem)
	writeFile(t, dir+"/empty.pem", nil)
	writeFile(t, dir+"/client.pem", ca.issue("broker", nil, x509.ExtKeyUsageClientAuth))
	other := ca.issue("other", nil)
	at := bytes.Index(other, []byte("-----BEGIN CERTIFICATE"))
	writeFile(t, dir+"/mixed.pem", append(other[:at:at], good[bytes.Index(good, []byte("-----BEGIN CERTIFICATE")):]...))
	writeFile(t, dir+"/broken.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	writeFile(t, dir+"/large.pem", make([]byte, maxPEM+1))
	base := TLSOptions{KeystoreLocation: dir + "/good.pem", Poll: -1}
	if _, err := NewTLS(base); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*TLSOptions)
		says   string
	}{
		"JKS":                {func(o *TLSOptions) { o.KeystoreType = "JKS" }, "only PEM"},
		"PKCS12 trust":       {func(o *TLSOptions) { o.TruststoreType = "PKCS12" }, "only PEM"},
		"no key store":       {func(o *TLSOptions) { o.KeystoreLocation = "" }, "needs ssl.keystore.location"},
		"two key stores":     {func(o *TLSOptions) { o.KeystoreKey = "x" }, "exclude each other"},
		"missing file":       {func(o *TLSOptions) { o.KeystoreLocation = dir + "/no.pem" }, "no such file"},
		"empty file":         {func(o *TLSOptions) { o.KeystoreLocation = dir + "/empty.pem" }, "no BEGIN CERTIFICATE"},
		"large file":         {func(o *TLSOptions) { o.KeystoreLocation = dir + "/large.pem" }, "more than"},
		"no key in it":       {func(o *TLSOptions) { o.KeystoreLocation = dir + "/ca.pem" }, "no private key"},
		"another's key":      {func(o *TLSOptions) { o.KeystoreLocation = dir + "/mixed.pem" }, "not that of its first certificate"},
		"a client's":         {func(o *TLSOptions) { o.KeystoreLocation = dir + "/client.pem" }, "serverAuth"},
		"two trust stores":   {func(o *TLSOptions) { o.TruststoreCerts, o.TruststoreLocation = "x", "y" }, "exclude each other"},
		"broken trust store": {func(o *TLSOptions) { o.TruststoreLocation = dir + "/broken.pem" }, "cannot be read"},
		"empty trust store":  {func(o *TLSOptions) { o.TruststoreCerts = "x" }, "no BEGIN CERTIFICATE"},
		"no trust store":     {func(o *TLSOptions) { o.ClientAuth = "required" }, "ssl.truststore.location"},
		"odd client auth":    {func(o *TLSOptions) { o.ClientAuth = "want" }, "none, requested or required"},
		"TLS 1.1":            {func(o *TLSOptions) { o.EnabledProtocols = "TLSv1.1,TLSv1.2" }, "TLSv1.1"},
		"RC4":                {func(o *TLSOptions) { o.CipherSuites = "TLS_RSA_WITH_RC4_128_SHA" }, "not secure"},
		"suites of 1.3 only": {func(o *TLSOptions) { o.CipherSuites = "TLS_AES_128_GCM_SHA256" }, "none for TLS 1.2"},
		"bad rules":          {func(o *TLSOptions) { o.PrincipalMappingRule = "RULE:x" }, "mapping.rules"},
		"no goroutines":      {func(o *TLSOptions) { o.Poll = 0 }, "Go is nil"},
	} {
		_, err := NewTLS(base.with(tt.change))
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.says)
		}
	}
}

// TestTLSReload: a new certificate is served once the file has changed, a
// broken file leaves the old one, and connections that there are go on.
func TestTLSReload(t *testing.T) {
	ca, dir := newAuthority(t, "CA"), t.TempDir()
	path := filepath.Join(dir, "server.pem")
	stamp := time.Now().Add(-time.Hour)
	put := func(b []byte) {
		writeFile(t, path, b)
		stamp = stamp.Add(time.Second)
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	put(ca.issue("one", nil))
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s, err := NewTLS(TLSOptions{KeystoreLocation: path, Go: plainGo, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		served := func() string {
			c, err := s.Config().GetConfigForClient(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Certificates[0].Leaf.Subject.CommonName
		}
		wait := func() {
			<-time.After(tlsPoll + time.Millisecond) // of synctest's clock
			synctest.Wait()
		}
		wait()
		if served() != "one" || strings.Contains(log.String(), "reloaded") {
			t.Errorf("%s is served without a change: %s", served(), &log)
		}
		put(ca.issue("two", nil))
		if wait(); served() != "two" {
			t.Errorf("%s is served after a change", served())
		}
		put([]byte("half a fi"))
		wait()
		if wait(); served() != "two" {
			t.Errorf("%s is served after a broken change", served())
		}
		if n := strings.Count(log.String(), "cannot be used"); n != 1 {
			t.Errorf("the broken file is told %d times:\n%s", n, &log)
		}
		if err := s.Reload(); err == nil {
			t.Error("a reload of a broken file succeeds")
		}
		put(ca.issue("three", nil))
		if err := s.Reload(); err != nil || served() != "three" {
			t.Errorf("%s is served after Reload: %v", served(), err)
		}
		s.Close()
		s.Close()
		put(ca.issue("four", nil))
		if wait(); served() != "three" {
			t.Error("the files are watched after Close")
		}
	})
}

// TestTLSResumption: a session made under an authority that was taken out since
// cannot be resumed.
func TestTLSResumption(t *testing.T) {
	ca, gone := newAuthority(t, "CA"), newAuthority(t, "Gone")
	dir := t.TempDir()
	writeFile(t, dir+"/server.pem", ca.issue("broker", nil))
	writeFile(t, dir+"/ca.pem", append(bytes.Clone(ca.pem), gone.pem...))
	s, err := NewTLS(TLSOptions{KeystoreLocation: dir + "/server.pem", TruststoreLocation: dir + "/ca.pem", ClientAuth: "required", Poll: -1})
	if err != nil {
		t.Fatal(err)
	}
	config := ca.trusting(gone.client("alice", x509.ExtKeyUsageClientAuth))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	listener := s.Config()
	for i := range 2 {
		if _, state, err := shakeWith(t, listener, config); err != nil || state.DidResume != (i == 1) {
			t.Fatalf("handshake %d: resumed %v, %v", i, state.DidResume, err)
		}
	}
	writeFile(t, dir+"/ca.pem", ca.pem)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := shakeWith(t, listener, config); err == nil {
		t.Error("a client of the authority that was taken out is let in")
	}
}

func TestEncryptedKeys(t *testing.T) {
	raw, err := os.ReadFile("testdata/encrypted_keys.pem")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []*pem.Block
	for rest := raw; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	if len(blocks) != 5 {
		t.Fatalf("%d keys", len(blocks))
	}
	plain, err := privateKey(pem.EncodeToMemory(blocks[4]), "")
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range blocks[:4] {
		text := pem.EncodeToMemory(b)
		key, err := privateKey(text, "tango")
		if err != nil || !plain.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
			t.Errorf("key %d: %v", i, err)
		}
		for _, password := range []string{"", "Tango", "tang"} {
			if _, err := privateKey(text, password); err == nil {
				t.Errorf("key %d opens by %q", i, password)
			} else if strings.Contains(err.Error(), "Tango") {
				t.Errorf("the error tells the password: %v", err)
			}
		}
		for at := range b.Bytes { // damage may give anything but a panic
			bad := bytes.Clone(b.Bytes)
			bad[at] ^= 0x55
			if _, err := decryptPKCS8(bad[:len(bad)-at%3], "tango"); err != nil && errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
		}
	}
	raw, err = os.ReadFile("testdata/unsupported_keys.pem")
	if err != nil {
		t.Fatal(err)
	}
	for {
		var b *pem.Block
		if b, raw = pem.Decode(raw); b == nil {
			break
		}
		if _, err := privateKey(pem.EncodeToMemory(b), "tango"); err == nil || !strings.Contains(err.Error(), "openssl pkcs8") {
			t.Errorf("an unsupported key: %v", err)
		}
	}
	old := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,3788E0916C630C6C6AB26D7AC5F3E95F\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	if _, err := privateKey([]byte(old), "tango"); err == nil || !strings.Contains(err.Error(), "old way") {
		t.Errorf("OpenSSL's old encryption: %v", err)
	}
}

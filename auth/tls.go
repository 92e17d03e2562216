package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TLSOptions is Kafka's ssl.* keys of one listener, by the key in brackets.
type TLSOptions struct {
	KeystoreType         string // ssl.keystore.type: PEM, the only one
	KeystoreLocation     string // ssl.keystore.location: key and chain in one file
	KeystoreKey          string // ssl.keystore.key: the key itself
	KeystoreChain        string // ssl.keystore.certificate.chain: the chain itself
	KeyPassword          string // ssl.key.password
	TruststoreType       string // ssl.truststore.type: PEM
	TruststoreLocation   string // ssl.truststore.location
	TruststoreCerts      string // ssl.truststore.certificates: the certificates themselves
	ClientAuth           string // ssl.client.auth: none, requested or required
	EnabledProtocols     string // ssl.enabled.protocols: TLSv1.2, TLSv1.3
	CipherSuites         string // ssl.cipher.suites: for TLS 1.2; those of 1.3 are fixed
	PrincipalMappingRule string // ssl.principal.mapping.rules

	// Poll is how often the files are looked at for a change; 5 s by default,
	// negative for never.
	Poll   time.Duration
	Logger *slog.Logger
	Go     func(name string, f func()) // needed unless Poll is negative
}

// TLSFromConfig reads the options by Kafka's keys; get gives a key's value,
// with the listener's prefix resolved, or "".
func TLSFromConfig(get func(key string) string) TLSOptions {
	return TLSOptions{
		KeystoreType: get("ssl.keystore.type"), KeystoreLocation: get("ssl.keystore.location"),
		KeystoreKey: get("ssl.keystore.key"), KeystoreChain: get("ssl.keystore.certificate.chain"),
		KeyPassword:    get("ssl.key.password"),
		TruststoreType: get("ssl.truststore.type"), TruststoreLocation: get("ssl.truststore.location"),
		TruststoreCerts: get("ssl.truststore.certificates"),
		ClientAuth:      get("ssl.client.auth"), EnabledProtocols: get("ssl.enabled.protocols"),
		CipherSuites: get("ssl.cipher.suites"), PrincipalMappingRule: get("ssl.principal.mapping.rules"),
	}
}

// TLS is a listener's certificates. It reads the files again when they change
// and on Reload: connections that there are go on, new ones get the new
// certificates. A reload that fails leaves the old ones in place. Any
// goroutine.
type TLS struct {
	o       TLSOptions
	rules   *PrincipalRules
	current atomic.Pointer[tls.Config]

	mu     sync.Mutex
	stamps [2]fileStamp // mu; of the key store and the trust store
	failed [2]fileStamp // mu; at the last failed reload, told once

	ended chan struct{}
	end   sync.Once
}

const tlsPoll = 5 * time.Second

// NewTLS reads everything once and refuses what it cannot serve with.
func NewTLS(o TLSOptions) (*TLS, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Poll == 0 {
		o.Poll = tlsPoll
	}
	if o.PrincipalMappingRule == "" {
		o.PrincipalMappingRule = DefaultPrincipalRules
	}
	rules, err := ParsePrincipalRules(o.PrincipalMappingRule)
	if err != nil {
		return nil, err
	}
	t := &TLS{o: o, rules: rules, ended: make(chan struct{})}
	if err := t.Reload(); err != nil {
		return nil, err
	}
	if o.Poll > 0 {
		if o.Go == nil {
			return nil, errors.New("auth: TLSOptions.Go is nil; certificates are watched by a goroutine")
		}
		o.Go("tls-reload", t.watch)
	}
	return t, nil
}

// Close ends the watching of the files.
func (t *TLS) Close() { t.end.Do(func() { close(t.ended) }) }

// Config is for the listener: it hands every handshake the newest
// certificates. Call it once a listener: session tickets belong to it. Not to be
// changed.
func (t *TLS) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.current.Load(), nil },
	}
}

// Reload reads the files now (SIGHUP).
func (t *TLS) Reload() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	stamps := t.stamp()
	c, err := t.build()
	if err != nil {
		return err
	}
	t.stamps = stamps
	t.current.Store(c)
	return nil
}

func (t *TLS) stamp() (s [2]fileStamp) {
	for i, path := range []string{t.o.KeystoreLocation, t.o.TruststoreLocation} {
		if info, err := os.Stat(path); path != "" && err == nil {
			s[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

func (t *TLS) watch() {
	tick := time.NewTicker(t.o.Poll)
	defer tick.Stop()
	for {
		select {
		case <-t.ended:
			return
		case <-tick.C:
			t.check()
		}
	}
}

// check reloads when a file has changed. A failure is told once for each state
// of the files: key and certificate are often replaced one after the other.
func (t *TLS) check() {
	t.mu.Lock()
	now := t.stamp()
	same, told := now == t.stamps, now == t.failed
	t.mu.Unlock()
	if same {
		return
	}
	if err := t.Reload(); err != nil {
		if !told {
			t.o.Logger.Error("changed certificates cannot be used; the old ones go on to be served", "error", err)
		}
		t.mu.Lock()
		t.failed = now
		t.mu.Unlock()
		return
	}
	t.o.Logger.Info("certificates reloaded", "keystore", t.o.KeystoreLocation, "truststore", t.o.TruststoreLocation)
}

// build makes a config from nothing, never from the one before. Session tickets
// are of the keys of Config's, which crypto/tls changes each day; it holds a
// resumed session's chain against the newest authorities.
func (t *TLS) build() (*tls.Config, error) {
	c := &tls.Config{}
	if err := t.protocols(c); err != nil {
		return nil, err
	}
	cert, err := t.keystore()
	if err != nil {
		return nil, err
	}
	c.Certificates = []tls.Certificate{*cert}
	if now := time.Now(); now.After(cert.Leaf.NotAfter) || now.Before(cert.Leaf.NotBefore) {
		t.o.Logger.Warn("the server's certificate is not valid now; clients will refuse it",
			"not_before", cert.Leaf.NotBefore, "not_after", cert.Leaf.NotAfter)
	}
	if c.ClientCAs, err = t.truststore(); err != nil {
		return nil, err
	}
	switch t.o.ClientAuth {
	case "", "none":
		return c, nil
	case "requested":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case "required":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return nil, fmt.Errorf("auth: ssl.client.auth is %q; it must be none, requested or required", t.o.ClientAuth)
	}
	if c.ClientCAs == nil {
		return nil, errors.New("auth: ssl.client.auth asks for client certificates and there is no ssl.truststore.location (or ssl.truststore.certificates) to check them by")
	}
	return c, nil
}

func (t *TLS) keystore() (*tls.Certificate, error) {
	if err := pemType("ssl.keystore.type", t.o.KeystoreType); err != nil {
		return nil, err
	}
	key, chain := []byte(t.o.KeystoreKey), []byte(t.o.KeystoreChain)
	name := "ssl.keystore.key"
	switch {
	case t.o.KeystoreLocation != "" && (len(key) != 0 || len(chain) != 0):
		return nil, errors.New("auth: ssl.keystore.location and ssl.keystore.key exclude each other")
	case t.o.KeystoreLocation != "":
		name = "ssl.keystore.location " + t.o.KeystoreLocation
		raw, err := readPEM("ssl.keystore.location", t.o.KeystoreLocation)
		if err != nil {
			return nil, err
		}
		key, chain = raw, raw
	case len(key) == 0 || len(chain) == 0:
		return nil, errors.New("auth: a TLS listener needs ssl.keystore.location, or ssl.keystore.key and ssl.keystore.certificate.chain")
	}
	c, err := certificate(chain, key, t.o.KeyPassword)
	if err != nil {
		return nil, fmt.Errorf("auth: %s: %w", name, err)
	}
	return c, nil
}

func (t *TLS) truststore() (*x509.CertPool, error) {
	if err := pemType("ssl.truststore.type", t.o.TruststoreType); err != nil {
		return nil, err
	}
	raw := []byte(t.o.TruststoreCerts)
	name := "ssl.truststore.certificates"
	switch {
	case t.o.TruststoreLocation != "" && len(raw) != 0:
		return nil, errors.New("auth: ssl.truststore.location and ssl.truststore.certificates exclude each other")
	case t.o.TruststoreLocation != "":
		name = "ssl.truststore.location " + t.o.TruststoreLocation
		var err error
		if raw, err = readPEM("ssl.truststore.location", t.o.TruststoreLocation); err != nil {
			return nil, err
		}
	case len(raw) == 0:
		return nil, nil
	}
	pool, _, err := authorities(raw)
	if err != nil {
		return nil, fmt.Errorf("auth: %s: %w", name, err)
	}
	return pool, nil
}

func pemType(key, value string) error {
	if value == "" || strings.EqualFold(value, "PEM") {
		return nil
	}
	return fmt.Errorf("auth: %s is %q; only PEM can be read (convert by openssl pkcs12 -in store.p12 -out store.pem -nodes, or keytool)", key, value)
}

func (t *TLS) protocols(c *tls.Config) error {
	versions := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	for _, name := range commas(t.o.EnabledProtocols, "TLSv1.2,TLSv1.3") {
		v, ok := versions[name]
		if !ok {
			return fmt.Errorf("auth: ssl.enabled.protocols has %q; TLSv1.2 and TLSv1.3 can be served", name)
		}
		if c.MinVersion == 0 || v < c.MinVersion {
			c.MinVersion = v
		}
		c.MaxVersion = max(c.MaxVersion, v)
	}
	for _, name := range commas(t.o.CipherSuites, "") {
		at := slices.IndexFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name })
		if at < 0 {
			return fmt.Errorf("auth: ssl.cipher.suites has %q, which is unknown or not secure", name)
		}
		if s := tls.CipherSuites()[at]; slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			c.CipherSuites = append(c.CipherSuites, s.ID)
		}
	}
	if t.o.CipherSuites != "" && len(c.CipherSuites) == 0 && c.MinVersion < tls.VersionTLS13 {
		return errors.New("auth: ssl.cipher.suites has none for TLS 1.2; add one, or leave TLSv1.2 out of ssl.enabled.protocols")
	}
	return nil
}

// commas splits a list of Kafka's config.
func commas(s, otherwise string) (list []string) {
	if strings.TrimSpace(s) == "" {
		s = otherwise
	}
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); one != "" {
			list = append(list, one)
		}
	}
	return list
}

// Principal is who the other side's certificate says it is; Anonymous without
// one. A subject that no rule maps is refused.
func (t *TLS) Principal(state *tls.ConnectionState) (*Principal, *Failure) {
	if len(state.PeerCertificates) == 0 {
		return Anonymous, nil
	}
	subject, err := SubjectName(state.PeerCertificates[0].RawSubject)
	if err != nil {
		return nil, &Failure{Kind: KindCertificate, Detail: err.Error()}
	}
	name, err := t.rules.Name(subject)
	if err != nil {
		return nil, &Failure{Kind: KindCertificate, User: claimed(subject), Detail: err.Error()}
	}
	return &Principal{Type: UserType, Name: name}, nil
}

// HandshakeFailure says why a TLS handshake failed, for the audit.
func HandshakeFailure(err error) *Failure {
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		f := &Failure{Kind: KindCertificate, Detail: "the client's certificate does not hold: " + cutDetail(verify.Err)}
		if len(verify.UnverifiedCertificates) != 0 {
			if subject, err := SubjectName(verify.UnverifiedCertificates[0].RawSubject); err == nil {
				f.User = claimed(subject)
			}
		}
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			f.Kind = KindExpired
		}
		return f
	}
	if err != nil && strings.Contains(err.Error(), "client didn't provide a certificate") {
		return &Failure{Kind: KindCertificate, Detail: "the client gave no certificate"}
	}
	// crypto/tls has no type for the alerts that a peer sends.
	for _, alert := range []string{"unknown certificate authority", "bad certificate", "unknown certificate", "expired certificate", "unsupported certificate", "revoked certificate"} {
		if err != nil && strings.HasSuffix(err.Error(), "remote error: tls: "+alert) {
			return &Failure{Kind: KindCertificate, Detail: "the client does not accept the broker's certificate: " + alert}
		}
	}
	detail := "the TLS handshake failed: " + cutDetail(err)
	if err != nil && strings.HasSuffix(err.Error(), "local error: tls: bad record MAC") {
		// OpenSSL says under TLS 1.3 that it does not trust us in a record that is
		// not encrypted by then.
		detail += " (perhaps the client does not accept the broker's certificate)"
	}
	return &Failure{Kind: KindMalformed, Detail: detail}
}

package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// TestCertificates: who has no certificate, or one that does not hold, does not
// get to say anything on a listener that wants one.
func TestCertificates(t *testing.T) {
	other, err := newAuthority("authority") // the same name, another key
	if err != nil {
		t.Fatal(err)
	}
	make := func(a *authority, usage x509.ExtKeyUsage, left time.Duration) *tls.Certificate {
		cert, key, err := a.issue("admin", usage, left)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	}
	alone := func() *tls.Certificate {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "admin"}, NotAfter: time.Now().Add(time.Hour)}
		raw, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
	}
	// A certificate that is no authority's signs another.
	below := func() *tls.Certificate {
		cert, key, err := victim.ca.issue("leaf", x509.ExtKeyUsageClientAuth, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		leaf := &authority{cert, key}
		c := make(leaf, x509.ExtKeyUsageClientAuth, time.Hour)
		c.Certificate = append(c.Certificate, cert.Raw)
		return c
	}
	stolen := func() *tls.Certificate {
		cert, _, err := victim.ca.issue("admin", x509.ExtKeyUsageClientAuth, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	}
	for _, c := range []struct {
		what, kind string
		cert       *tls.Certificate
		in         bool
	}{
		{"good", "", make(victim.ca, x509.ExtKeyUsageClientAuth, time.Hour), true},
		{"none", "certificate", &tls.Certificate{}, false},
		{"for servers", "certificate", make(victim.ca, x509.ExtKeyUsageServerAuth, time.Hour), false},
		{"for code", "certificate", make(victim.ca, x509.ExtKeyUsageCodeSigning, time.Hour), false},
		{"another authority's", "certificate", make(other, x509.ExtKeyUsageClientAuth, time.Hour), false},
		{"expired", "expired", make(victim.ca, x509.ExtKeyUsageClientAuth, -time.Hour), false},
		{"its own", "certificate", alone(), false},
		{"below one that may not sign", "certificate", below(), false},
		{"without its key", "malformed", stolen(), false},
	} {
		before := 0
		if c.kind != "" {
			before = audited(t, `"listener":"MTLS"`, `"kind":"`+c.kind+`"`)
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conf := trusting()
			conf.MaxVersion = version
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cert, nil }
			conn, err := tls.DialWithDialer(dialer(), "tcp", victim.addrs["MTLS"], conf)
			if err != nil {
				if c.in {
					t.Errorf("%s: %v", c.what, err)
				}
				continue
			}
			if in := wrap(t, conn).inside(); in != c.in {
				t.Errorf("%s, TLS %s: got in: %v", c.what, tls.VersionName(version), in)
			}
		}
		if c.kind != "" {
			auditedSoon(t, before+1, `"listener":"MTLS"`, `"kind":"`+c.kind+`"`)
		}
	}
}

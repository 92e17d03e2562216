package attack

import (
	"crypto/tls"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestOldTLS: versions and ciphers that are broken are not spoken.
func TestOldTLS(t *testing.T) {
	try := func(what string, change func(*tls.Config)) {
		c := trusting()
		change(c)
		if conn, err := tls.DialWithDialer(dialer(), "tcp", victim.addrs["TLS"], c); err == nil {
			t.Errorf("%s: a handshake with %s", what, tls.CipherSuiteName(conn.ConnectionState().CipherSuite))
			_ = conn.Close() // it failed already
		}
	}
	try("TLS 1.0", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 })
	try("TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	for _, s := range tls.InsecureCipherSuites() {
		try(s.Name, func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{s.ID} })
	}
	// A hello of SSL 2.0.
	w := wrapPlain(t, "TLS")
	hello, _ := hex.DecodeString("802e0100020015000000100100800200800300800400800500800600400700c00000000000000000000000000000000000")
	if _, err := w.conn.Write(hello); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 256)
	if n, err := w.conn.Read(b); err == nil && b[0] != 21 { // an alert at most
		t.Errorf("SSL 2.0 is answered with %x", b[:n])
	}
}

func wrapPlain(t *testing.T, listener string) *wire {
	t.Helper()
	conn, err := dialer().Dial("tcp", victim.addrs[listener])
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, conn)
}

// TestPlaintextOnTLS: Kafka without TLS on a listener that speaks it, and TLS
// where it is not spoken.
func TestPlaintextOnTLS(t *testing.T) {
	for _, listener := range []string{"TLS", "MTLS"} {
		w := wrapPlain(t, listener)
		req := kmsg.NewPtrApiVersionsRequest()
		w.send(req)
		if b, err := w.read(); err == nil {
			t.Errorf("%s answers Kafka in the clear: %x", listener, b)
		}
	}
	if conn, err := tls.DialWithDialer(dialer(), "tcp", victim.addrs["SASL"], trusting()); err == nil {
		t.Error("TLS on a plaintext listener")
		_ = conn.Close() // it failed already
	}
}

// TestMechanisms: only what a listener enables is listed and taken; the
// mechanism of the handshake is the one that is checked.
func TestMechanisms(t *testing.T) {
	for _, m := range []string{"PLAIN", "SCRAM-SHA-256", "OAUTHBEARER", "GSSAPI", "EXTERNAL", "ANONYMOUS", "scram-sha-512", "", "SCRAM-SHA-512 ", "SCRAM-SHA-1"} {
		w := dial(t, "SCRAMONLY")
		resp, err := w.handshake(1, m)
		if err != nil || resp.ErrorCode != 33 || !slices.Equal(resp.SupportedMechanisms, []string{"SCRAM-SHA-512"}) {
			t.Errorf("%q: %+v, %v", m, resp, err)
		}
		w.outside("the mechanism " + m)
	}
	dial(t, "SCRAMONLY").begin("SCRAM-SHA-512").refused("PLAIN's token after a SCRAM handshake", []byte("\x00admin\x00"+adminPassword))
	dial(t, "SASL").begin("OAUTHBEARER").refused("PLAIN's token after an OAUTHBEARER handshake", []byte("\x00admin\x00"+adminPassword))
	dial(t, "SASL").begin("PLAIN").refused("SCRAM's message after a PLAIN handshake", []byte("n,,n=admin,r=abcdef"))
}

// TestBareTokens: after a handshake of version 0 a token has no header; what
// has one is no token, and a refusal has no answer.
func TestBareTokens(t *testing.T) {
	w := dial(t, "SASL")
	if resp, err := w.handshake(0, "PLAIN"); err != nil || resp.ErrorCode != 0 {
		t.Fatalf("%+v, %v", resp, err)
	}
	w.send(kmsg.NewPtrMetadataRequest())
	w.gone("a request in place of a bare token")
	w = dial(t, "SASL")
	if _, err := w.handshake(0, "PLAIN"); err != nil {
		t.Fatal(err)
	}
	w.frame([]byte("\x00admin\x00" + secret("not-this-password")))
	w.gone("a bare token with a wrong password")
	w = dial(t, "SASL")
	if _, err := w.handshake(0, "PLAIN"); err != nil {
		t.Fatal(err)
	}
	w.frame(nil)
	w.gone("an empty bare token")
}

// TestLoggedInStays: who is in cannot become somebody else.
func TestLoggedInStays(t *testing.T) {
	w := dial(t, "SASL").begin("PLAIN")
	if resp, err := w.token([]byte("\x00bob\x00" + userPassword)); err != nil || resp.ErrorCode != 0 {
		t.Fatalf("%+v, %v", resp, err)
	}
	if resp, err := w.handshake(1, "PLAIN"); err == nil && resp.ErrorCode == 0 {
		t.Error("a session without an end began to log in again")
	}
	if resp, err := w.token([]byte("\x00admin\x00" + adminPassword)); err == nil && resp.ErrorCode == 0 {
		t.Error("a second token was taken")
	}
	// Whoever it is, it is not the admin.
	req := kmsg.NewPtrDescribeACLsRequest()
	req.Version = 1
	req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	if resp, err := ask[*kmsg.DescribeACLsResponse](w, req); err == nil && resp.ErrorCode == 0 {
		t.Error("bob may see the ACLs")
	}
}

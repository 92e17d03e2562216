package broker

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// TestFirstAdmin: the first start makes the super user; later ones need no
// flags, and flags with another password change nothing.
func TestFirstAdmin(t *testing.T) {
	dir := t.TempDir()
	start := func(user, password string) (*Broker, error) {
		return Start(Options{DataDirs: []string{dir}, Listeners: "SASL_PLAINTEXT://127.0.0.1:0", AdminUser: user, AdminPassword: password})
	}
	if b, err := start("admin", ""); err == nil || !strings.Contains(err.Error(), "no password is given") {
		t.Errorf("without a password: %v, %v", b, err)
	}
	for i, c := range []struct{ user, password string }{{"admin", adminPassword}, {"", ""}, {"admin", "another"}} {
		b, err := start(c.user, c.password)
		if err != nil {
			t.Fatal(err)
		}
		topic := string(rune('a' + i))
		if made, err := kadm.NewClient(client(t, b, asAdmin())).CreateTopics(within(t), 1, 1, nil, topic); err != nil || made[topic].Err != nil {
			t.Errorf("start %d: %v, %v", i, made, err)
		}
		host := netip.MustParseAddr("127.0.0.1")
		if !b.AllowAdmin(host, "admin", adminPassword) || b.AllowAdmin(host, "admin", "another") || b.AllowAdmin(host, "nobody", "") {
			t.Errorf("start %d: the admin server asks something else", i)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestUnsignedTokens: only the option with the long name lets them in.
func TestUnsignedTokens(t *testing.T) {
	mechanisms := map[string]string{"sasl.enabled.mechanisms": "OAUTHBEARER", "super.users": "User:olga", "connection.failed.authentication.delay.ms": "10"}
	if b, err := Start(Options{DataDirs: []string{t.TempDir()}, Listeners: "SASL_PLAINTEXT://127.0.0.1:0", Static: mechanisms}); err == nil {
		t.Error("OAUTHBEARER without keys starts", b.Close())
	}
	b := run(t, func(o *Options) {
		o.Listeners, o.Static, o.InsecureAcceptUnsignedTokens = "SASL_PLAINTEXT://127.0.0.1:0", mechanisms, true
	})
	token := func(claims string) kgo.Opt {
		part := base64.RawURLEncoding.EncodeToString
		return kgo.SASL(oauth.Auth{Token: part([]byte(`{"alg":"none"}`)) + "." + part([]byte(claims)) + "."}.AsMechanism())
	}
	cl := client(t, b, token(`{"sub":"olga","iat":1000000000,"exp":4102444800}`))
	if made, err := kadm.NewClient(cl).CreateTopics(within(t), 1, 1, nil, "t"); err != nil || made["t"].Err != nil {
		t.Errorf("%v, %v", made, err)
	}
	// franz-go does not read the reason out of the challenge.
	if err := client(t, b, token(`{"sub":"olga","iat":900000000,"exp":1000000000}`), kgo.RequestRetries(0)).Ping(within(t)); err == nil {
		t.Error("an expired token was taken")
	}
	eventually(t, "an audit line", func() bool { return strings.Contains(auditLog(t, b), `"kind":"expired"`) })
}

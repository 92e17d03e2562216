package broker

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/chronik-stream/chronik/auth"
)

// handshake names a mechanism.
func (w *wire) handshake(version int16, mechanism string) *kmsg.SASLHandshakeResponse {
	w.t.Helper()
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = version, mechanism
	return ask[*kmsg.SASLHandshakeResponse](w, req)
}

// token sends one token in SaslAuthenticate.
func (w *wire) token(version int16, token string) *kmsg.SASLAuthenticateResponse {
	w.t.Helper()
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = version, []byte(token)
	return ask[*kmsg.SASLAuthenticateResponse](w, req)
}

// login logs a wire in by PLAIN.
func (w *wire) login(user, password string) *kmsg.SASLAuthenticateResponse {
	w.t.Helper()
	if resp := w.handshake(1, "PLAIN"); resp.ErrorCode != errNone {
		w.t.Fatalf("handshake: %d", resp.ErrorCode)
	}
	return w.token(2, "\x00"+user+"\x00"+password)
}

const adminToken = "\x00admin\x00" + adminPassword

// TestLoginVersions: SaslAuthenticate in every version, and tokens without a
// header after a handshake of version 0.
func TestLoginVersions(t *testing.T) {
	b := secured(t, nil)
	for v := range saslAuthenticateAPI.max + 1 {
		w := dial(t, b)
		if resp := w.handshake(1, "PLAIN"); resp.ErrorCode != errNone || len(resp.SupportedMechanisms) != 3 {
			t.Fatalf("handshake: %+v", resp)
		}
		if resp := w.token(v, adminToken); resp.ErrorCode != errNone || resp.SessionLifetimeMillis != 0 {
			t.Fatalf("v%d: %+v", v, resp)
		}
		if resp := ask[*kmsg.MetadataResponse](w, kmsg.NewPtrMetadataRequest()); len(resp.Brokers) != 1 {
			t.Errorf("v%d: after the login: %+v", v, resp)
		}
	}
	raw := func(w *wire, token string) {
		w.write(append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...))
	}
	w := dial(t, b)
	w.handshake(0, "PLAIN")
	raw(w, adminToken)
	if reply, err := w.read(); err != nil || len(reply) != 0 {
		t.Fatalf("a bare token: %q, %v", reply, err)
	}
	if resp := ask[*kmsg.MetadataResponse](w, kmsg.NewPtrMetadataRequest()); len(resp.Brokers) != 1 {
		t.Errorf("after bare tokens: %+v", resp)
	}
	w = dial(t, b)
	w.handshake(0, "PLAIN")
	raw(w, "\x00admin\x00no")
	w.closed()
}

// TestBeforeLogin: what a stranger may not do.
func TestBeforeLogin(t *testing.T) {
	b := secured(t, func(o *Options) {
		o.AuthTimeout = time.Hour
		o.Limits = map[string]int64{limitStrangers: 4}
		o.Loops = 1
	})
	t.Run("every other API", func(t *testing.T) {
		for _, a := range b.apis.list {
			if a.beforeLogin {
				continue
			}
			w := dial(t, b)
			req := kmsg.RequestForKey(a.key)
			req.SetVersion(a.max)
			w.send(req)
			w.closed()
		}
	})
	t.Run("between handshake and token", func(t *testing.T) {
		w := dial(t, b)
		w.handshake(1, "PLAIN")
		if resp := w.handshake(1, "PLAIN"); resp.ErrorCode != errIllegalSaslState {
			t.Errorf("a second handshake: %d", resp.ErrorCode)
		}
		w.send(kmsg.NewPtrMetadataRequest())
		w.closed()
	})
	t.Run("a token without a handshake", func(t *testing.T) {
		w := dial(t, b)
		if resp := w.token(1, adminToken); resp.ErrorCode != errIllegalSaslState {
			t.Errorf("%+v", resp)
		}
		w.closed()
	})
	t.Run("an unknown mechanism", func(t *testing.T) {
		w := dial(t, b)
		if resp := w.handshake(1, "GSSAPI"); resp.ErrorCode != errUnsupportedSaslMechanism || len(resp.SupportedMechanisms) != 3 {
			t.Errorf("%+v", resp)
		}
		w.closed()
	})
	t.Run("a large frame", func(t *testing.T) {
		w := dial(t, b)
		w.write(binary.BigEndian.AppendUint32(nil, strangerFrame+1))
		w.closed()
	})
	t.Run("silence, and a byte at a time", func(t *testing.T) {
		b := secured(t, func(o *Options) { o.AuthTimeout = 300 * time.Millisecond })
		silent, slow := dial(t, b), dial(t, b)
		slow.write([]byte{0, 0})
		silent.closed()
		slow.closed()
		eventually(t, "audit lines", func() bool { return strings.Count(auditLog(t, b), `"kind":"timeout"`) >= 2 })
	})
	t.Run("too many at once", func(t *testing.T) {
		var waiting []*wire
		for range 6 {
			w := dial(t, b)
			if resp := ask[*kmsg.ApiVersionsResponse](w, kmsg.NewPtrApiVersionsRequest()); resp.ErrorCode != errNone {
				t.Fatal(resp.ErrorCode)
			}
			waiting = append(waiting, w)
		}
		waiting[0].closed()
		waiting[1].closed()
		if resp := waiting[5].login("admin", adminPassword); resp.ErrorCode != errNone {
			t.Errorf("the newest: %+v", resp)
		}
	})
}

// TestHashingIsBounded: guesses wait for each other, hold up nobody who is in,
// and cost nothing once their connection has given way to others.
func TestHashingIsBounded(t *testing.T) {
	const strangers = 4
	b := secured(t, func(o *Options) {
		o.Limits = map[string]int64{limitStrangers: strangers}
		o.Loops = 1
	})
	inside := kadm.NewClient(client(t, b, asAdmin()))
	if _, err := inside.CreateTopics(within(t), 1, 1, nil, "before"); err != nil {
		t.Fatal(err)
	}
	for range cap(b.security.hashing) {
		b.security.hashing <- struct{}{}
	}
	sasl := b.listeners[0].sasl.Load()
	before := sasl.Hashed()
	var waiting []*wire
	for i := range 40 { // more than there are workers
		w := dial(t, b)
		w.handshake(1, "PLAIN")
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.SASLAuthBytes = fmt.Appendf(nil, "\x00admin\x00guess %d", i)
		w.send(req)
		waiting = append(waiting, w)
	}
	for _, w := range waiting[:len(waiting)-strangers] {
		w.closed()
	}
	if _, err := inside.CreateTopics(within(t), 1, 1, nil, "meanwhile"); err != nil {
		t.Errorf("beside logins that wait: %v", err)
	}
	for range cap(b.security.hashing) {
		<-b.security.hashing
	}
	for _, w := range waiting[len(waiting)-strangers:] {
		if _, err := w.read(); err != nil {
			t.Errorf("a login that waited: %v", err)
		}
	}
	if did := sasl.Hashed()[auth.ScramSHA256] - before[auth.ScramSHA256]; did != strangers*auth.MinIterations {
		t.Errorf("%d iterations for %d logins that were waited for", did, strangers)
	}
}

// TestStrangersFrames: who has not logged in sends small frames only; who is in
// may send large ones.
func TestStrangersFrames(t *testing.T) {
	b := secured(t, func(o *Options) { o.AuthTimeout = time.Hour }) // not what closes the connection
	head := func(n int) []byte {                                    // the head of an ApiVersions request of n bytes in all
		return append(binary.BigEndian.AppendUint32(nil, uint32(n)), 0, 18, 0, 0, 0, 0, 0, 1, 255, 255)
	}
	w := dial(t, b)
	if _, err := w.conn.Write(head(strangerFrame + 1)); err != nil {
		t.Fatal(err)
	}
	w.closed()
	w = dial(t, b)
	if resp := w.login("admin", adminPassword); resp.ErrorCode != errNone {
		t.Fatalf("%+v", resp)
	}
	if _, err := w.conn.Write(append(head(strangerFrame+1), make([]byte, strangerFrame+1-10)...)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.read(); err != nil {
		t.Errorf("a large frame of a client that is in: %v", err)
	}
}

// TestConnectionsPerUser: the limit counts who is in, and only them.
func TestConnectionsPerUser(t *testing.T) {
	b := secured(t, func(o *Options) {
		o.Limits = map[string]int64{limitConnectionsUser: 2}
		o.Static["listener.name.sasl_plaintext.plain.sasl.jaas.config"] = auth.PlainLoginModule + ` required user_other="pw";`
	})
	var in []*wire
	for range 2 {
		w := dial(t, b)
		if resp := w.login("admin", adminPassword); resp.ErrorCode != errNone {
			t.Fatalf("%+v", resp)
		}
		in = append(in, w)
	}
	third := dial(t, b)
	if resp := third.login("admin", adminPassword); resp.ErrorCode != errSaslAuthenticationFailed || !strings.Contains(*resp.ErrorMessage, "too many connections") {
		t.Errorf("a third: %+v", resp)
	}
	third.closed()
	if resp := dial(t, b).login("other", "pw"); resp.ErrorCode != errNone {
		t.Errorf("another user: %+v", resp)
	}
	eventually(t, "an audit line", func() bool { return strings.Contains(auditLog(t, b), limitConnectionsUser) })
	if err := in[0].conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "room again", func() bool { return dial(t, b).login("admin", adminPassword).ErrorCode == errNone })
}

// TestRefusalIsDelayed: the answer to a wrong password comes after the delay,
// and then the connection is closed.
func TestRefusalIsDelayed(t *testing.T) {
	b := secured(t, func(o *Options) { o.Static["connection.failed.authentication.delay.ms"] = "150" })
	w := dial(t, b)
	began := time.Now()
	resp := w.login("admin", "no")
	if took := time.Since(began); resp.ErrorCode != errSaslAuthenticationFailed || took < 150*time.Millisecond {
		t.Errorf("%+v after %v", resp, took)
	}
	w.closed()
}

// TestReauthentication is KIP-368: the lifetime is told, the same principal and
// mechanism may go on, anything else ends the connection, and so does silence.
func TestReauthentication(t *testing.T) {
	b := secured(t, func(o *Options) {
		o.Static["connections.max.reauth.ms"] = "1500"
		o.Static["listener.name.sasl_plaintext.plain.sasl.jaas.config"] = auth.PlainLoginModule + ` required user_other="pw";`
	})
	enter := func() *wire {
		w := dial(t, b)
		if resp := w.login("admin", adminPassword); resp.ErrorCode != errNone || resp.SessionLifetimeMillis != 1500 {
			t.Fatalf("%+v", resp)
		}
		return w
	}
	good, other, mechanism, silent := enter(), enter(), enter(), enter()
	if resp := good.login("admin", adminPassword); resp.ErrorCode != errNone {
		t.Errorf("again: %+v", resp)
	}
	soon := enter()
	began := time.Now()
	soon.login("admin", adminPassword)
	if resp := soon.handshake(1, "PLAIN"); resp.ErrorCode != errIllegalSaslState && time.Since(began) < time.Second {
		t.Errorf("once more within a second: %d", resp.ErrorCode)
	}
	if resp := other.login("other", "pw"); resp.ErrorCode != errSaslAuthenticationFailed {
		t.Errorf("another principal: %+v", resp)
	}
	other.closed()
	mechanism.handshake(1, "SCRAM-SHA-256")
	if resp := mechanism.token(1, "n,,n=admin,r=abc"); resp.ErrorCode != errSaslAuthenticationFailed {
		t.Errorf("another mechanism: %+v", resp)
	}
	mechanism.closed()
	over := time.Now().Add(1600 * time.Millisecond)
	eventually(t, "the lifetime", func() bool { return time.Now().After(over) })
	silent.send(kmsg.NewPtrMetadataRequest())
	silent.closed()

	// A client that knows KIP-368 does not notice any of it.
	cl := client(t, b, asAdmin())
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		if err := cl.Ping(within(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTokens: a delegation token from its making by a user to its end.
func TestTokens(t *testing.T) {
	b := secured(t, func(o *Options) { o.Static["delegation.token.secret.key"] = "the-key-of-tokens" })
	ctx := within(t)
	adm := kadm.NewClient(client(t, b, asAdmin()))
	token, err := adm.CreateDelegationToken(ctx, kadm.CreateDelegationToken{Renewers: []kadm.Principal{{Type: "User", Name: "admin"}}})
	if err != nil {
		t.Fatal(err)
	}
	with := func() *kgo.Client {
		return client(t, b, kgo.RequestRetries(0), kgo.SASL(scram.Auth{User: token.TokenID, Pass: base64Of(token.HMAC), IsToken: true}.AsSha256Mechanism()))
	}
	cl := with()
	if err := cl.Ping(ctx); err != nil {
		t.Fatalf("login by token: %v", err)
	}
	if _, err := kadm.NewClient(cl).CreateDelegationToken(ctx, kadm.CreateDelegationToken{}); err == nil {
		t.Error("a token begot a token")
	}
	if all, err := adm.DescribeDelegationTokens(ctx); err != nil || len(all) != 1 || all[0].TokenID != token.TokenID {
		t.Errorf("described %+v, %v", all, err)
	}
	if _, err := adm.RenewDelegationToken(ctx, token.HMAC, time.Hour); err != nil {
		t.Errorf("renew: %v", err)
	}
	if _, err := adm.ExpireDelegationToken(ctx, token.HMAC, -1); err != nil {
		t.Errorf("expire: %v", err)
	}
	if err := with().Ping(ctx); err == nil {
		t.Error("the token holds after its end")
	}
	log := auditLog(t, b)
	for _, secret := range []string{base64Of(token.HMAC), "the-key-of-tokens", adminPassword} {
		if strings.Contains(log, secret) {
			t.Errorf("the audit log holds %q", secret)
		}
	}
}

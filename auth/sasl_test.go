package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const alicePassword = "correct horse, battery=staple"

// scramImage has alice with both mechanisms, bob with SHA-512 alone, and a
// delegation token of alice's.
func scramImage(t testing.TB) *cluster.Image {
	t.Helper()
	image := &cluster.Image{Version: 1, ScramVersion: 1, Scram: map[cluster.ScramKey]cluster.ScramCredential{}, Tokens: map[string]cluster.Token{}}
	for _, u := range []struct {
		name, password string
		m              ScramMechanism
		iterations     int32
	}{
		{"alice", alicePassword, ScramSHA256, 4096}, {"alice", alicePassword, ScramSHA512, 4096},
		{"bob", "hunter2", ScramSHA512, 8192}, {"c,=d", "x", ScramSHA256, 4096},
	} {
		c, err := NewCredential(u.name, u.m, u.password, u.iterations)
		if err != nil {
			t.Fatal(err)
		}
		image.Scram[cluster.ScramKey{User: u.name, Mechanism: int8(u.m)}] = c
	}
	token, err := NewTokens(TokenOptions{SecretKey: "s3"}).Create(image, bob, alice, nil, 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	token.ID = "token-1"
	image.Tokens[token.ID] = token
	return image
}

func newSASL(t testing.TB, image *cluster.Image, oauth *OAuth) *SASL {
	t.Helper()
	mechanisms := []string{MechanismPlain, MechanismSHA256, MechanismSHA512}
	if oauth != nil {
		mechanisms = append(mechanisms, MechanismOAuthBearer)
	}
	s, err := NewSASL(SASLOptions{Mechanisms: mechanisms, Image: func() *cluster.Image { return image }, OAuth: oauth})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(t testing.TB, s *SASL, mechanism string, again *Session) *Exchange {
	t.Helper()
	x, err := s.Start(mechanism, again)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// scramClient is a client of SCRAM, written from RFC 5802.
type scramClient struct {
	m                    ScramMechanism
	user, password       string
	gs2, bare, nonce     string
	serverSignature      string
	salt                 []byte
	iterations           int
	breakNonce, breakGS2 bool
	doubleNonce          bool // as librdkafka before 2.6 sends it
}

func newClient(m ScramMechanism, user, password, extensions string) *scramClient {
	c := &scramClient{m: m, user: user, password: password, gs2: "n,,", nonce: "fyko+d2lbbFgONRv9qkxdawL"}
	name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)
	c.bare = "n=" + name + ",r=" + c.nonce + extensions
	return c
}

func (c *scramClient) first() []byte { return []byte(c.gs2 + c.bare) }

func (c *scramClient) final(t testing.TB, serverFirst []byte) []byte {
	t.Helper()
	parts := strings.Split(string(serverFirst), ",")
	if len(parts) != 3 || !strings.HasPrefix(parts[0], "r="+c.nonce) || len(parts[0]) < len(c.nonce)+18 {
		t.Fatalf("the server's first message is %q", serverFirst)
	}
	var err error
	if c.salt, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(parts[1], "s=")); err != nil {
		t.Fatal(err)
	}
	if c.iterations, err = strconv.Atoi(strings.TrimPrefix(parts[2], "i=")); err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(c.m.new(), c.password, c.salt, c.iterations, c.m.size())
	if err != nil {
		t.Fatal(err)
	}
	nonce, gs2 := parts[0], c.gs2
	if c.breakNonce {
		nonce += "x"
	}
	if c.doubleNonce {
		nonce = "r=" + c.nonce + strings.TrimPrefix(nonce, "r=")
	}
	if c.breakGS2 {
		gs2 = "y,,"
	}
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(gs2)) + "," + nonce
	message := []byte(c.bare + "," + string(serverFirst) + "," + without)
	key := func(key []byte, b []byte) []byte {
		h := hmac.New(c.m.new(), key)
		h.Write(b)
		return h.Sum(nil)
	}
	clientKey := key(salted, []byte("Client Key"))
	stored := c.m.new()()
	stored.Write(clientKey)
	proof := key(stored.Sum(nil), message)
	subtle.XORBytes(proof, proof, clientKey)
	c.serverSignature = "v=" + base64.StdEncoding.EncodeToString(key(key(salted, []byte("Server Key")), message))
	return []byte(without + ",p=" + base64.StdEncoding.EncodeToString(proof))
}

func refusedWith(t *testing.T, step Step, kind Kind, message string) {
	t.Helper()
	if step.Outcome != Refused || step.Session != nil || step.Reply != nil {
		t.Fatalf("not refused: %+v", step)
	}
	if step.Message != message {
		t.Errorf("the client is told %q, want %q", step.Message, message)
	}
	if kind == "" {
		if step.Failure != nil {
			t.Errorf("the failure is told twice: %v", step.Failure)
		}
		return
	}
	if step.Failure == nil || step.Failure.Kind != kind {
		t.Errorf("the failure is %v, want kind %s", step.Failure, kind)
	}
}

func generic(mechanism string) string {
	return "Authentication failed during authentication due to invalid credentials with SASL mechanism " + mechanism
}

func TestPlain(t *testing.T) {
	s := newSASL(t, scramImage(t), nil)
	const wrong = "Authentication failed: Invalid username or password"
	tests := []struct {
		name, token   string
		kind          Kind
		user, message string
	}{
		{"right", "\x00alice\x00" + alicePassword, "", "alice", ""},
		{"right, same authzid", "alice\x00alice\x00" + alicePassword, "", "alice", ""},
		{"by SHA-512 alone", "\x00bob\x00hunter2", "", "bob", ""},
		{"by SHA-256 alone", "\x00c,=d\x00x", "", "c,=d", ""},
		{"wrong password", "\x00alice\x00" + alicePassword + " ", KindBadPassword, "alice", wrong},
		{"unknown user", "\x00mallory\x00x", KindUnknownUser, "mallory", wrong},
		{"another's password", "\x00alice\x00hunter2", KindBadPassword, "alice", wrong},
		{"other authzid", "bob\x00alice\x00" + alicePassword, KindAuthzID, "alice",
			"Authentication failed: Client requested an authorization id that is different from username"},
		{"other authzid, wrong password", "bob\x00alice\x00x", KindBadPassword, "alice", wrong},
		{"no user", "\x00\x00x", KindMalformed, "", "Authentication failed: username not specified"},
		{"no password", "\x00alice\x00", KindMalformed, "alice", "Authentication failed: password not specified"},
		{"two parts", "alice\x00x", KindMalformed, "", "Invalid SASL/PLAIN response: expected 3 tokens, got 2"},
		{"four parts", "\x00a\x00b\x00", KindMalformed, "", "Invalid SASL/PLAIN response: expected 3 tokens, got 4"},
		{"five parts", "\x00a\x00b\x00c\x00d", KindMalformed, "", "Invalid SASL/PLAIN response: expected 3 tokens, got 4"},
		{"empty", "", KindMalformed, "", "Invalid SASL/PLAIN response: expected 3 tokens, got 1"},
		{"not UTF-8", "\x00a\xff\x00b", KindMalformed, "", "Invalid SASL/PLAIN response: it is not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := start(t, s, MechanismPlain, nil)
			if !x.Slow() {
				t.Error("PLAIN hashes and must be slow")
			}
			step := x.Step(noon, []byte(tt.token))
			if tt.kind == "" {
				if step.Outcome != Success || step.Reply == nil || len(step.Reply) != 0 || step.Failure != nil {
					t.Fatalf("%+v", step)
				}
				if want := (Principal{Type: "User", Name: tt.user}); *step.Session.Principal != want {
					t.Errorf("the principal is %v", step.Session.Principal)
				}
				refusedWith(t, x.Step(noon, []byte(tt.token)), "", generic(MechanismPlain)) // an exchange is for once
				return
			}
			refusedWith(t, step, tt.kind, tt.message)
			if step.Failure.User != tt.user {
				t.Errorf("the audit is told the user %q", step.Failure.User)
			}
			refusedWith(t, x.Step(noon, []byte("\x00alice\x00"+alicePassword)), "", generic(MechanismPlain))
		})
	}
}

// TestPlainWork: the hashing for a user is that of the most expensive
// credential of each mechanism, whoever it is and whatever the password.
func TestPlainWork(t *testing.T) {
	image := scramImage(t)
	s := newSASL(t, image, nil)
	if shape := s.shapeOf(image, ScramSHA512); shape.most != 8192 || shape.usual != 4096 || shape.count != 2 {
		t.Errorf("SHA-512 looks like %+v", shape)
	}
	if shape := s.shapeOf(image, ScramSHA256); shape.most != 4096 || shape.count != 2 {
		t.Errorf("SHA-256 looks like %+v", shape)
	}
	for _, token := range []string{"\x00alice\x00" + alicePassword, "\x00alice\x00x", "\x00bob\x00x", "\x00bob\x00hunter2", "\x00c,=d\x00x", "\x00mallory\x00x", "b\x00bob\x00hunter2"} {
		s := newSASL(t, image, nil) // one that recalls nothing
		before := s.Hashed()
		start(t, s, MechanismPlain, nil).Step(noon, []byte(token))
		after := s.Hashed()
		if sha256, sha512 := after[ScramSHA256]-before[ScramSHA256], after[ScramSHA512]-before[ScramSHA512]; sha256 != 4096 || sha512 != 8192 {
			t.Errorf("%q costs %d iterations of SHA-256 and %d of SHA-512", token, sha256, sha512)
		}
	}
	next := *image
	next.Scram = map[cluster.ScramKey]cluster.ScramCredential{}
	next.ScramVersion++
	if shape := s.shapeOf(&next, ScramSHA512); shape.count != 0 || shape.most != MinIterations {
		t.Errorf("without credentials SHA-512 looks like %+v", shape)
	}
}

// TestPlainRecalls: the right password costs nothing the second time, as long as
// the user's credentials are the same; a wrong one always costs all.
func TestPlainRecalls(t *testing.T) {
	image := scramImage(t)
	current := image
	s, err := NewSASL(SASLOptions{Mechanisms: []string{MechanismPlain}, Image: func() *cluster.Image { return current }})
	if err != nil {
		t.Fatal(err)
	}
	login := func(what, user, password string, ok, recalled bool) {
		t.Helper()
		token := []byte("\x00" + user + "\x00" + password)
		before := s.Hashed()[ScramSHA256]
		x := start(t, s, MechanismPlain, nil)
		if x.Recalls(token) != recalled {
			t.Errorf("%s: recalled %v", what, !recalled)
		}
		if step := x.Step(noon, token); (step.Outcome == Success) != ok || ok && step.Session.Principal.Name != user {
			t.Errorf("%s: %+v", what, step)
		}
		if hashed := s.Hashed()[ScramSHA256] > before; hashed == recalled {
			t.Errorf("%s: hashed %v", what, hashed)
		}
	}
	login("the first time", "alice", alicePassword, true, false)
	login("again", "alice", alicePassword, true, true)
	login("a guess", "alice", alicePassword+" ", false, false)
	login("the guess again", "alice", alicePassword+" ", false, false)
	login("still", "alice", alicePassword, true, true)
	login("another's password", "bob", alicePassword, false, false)
	login("another", "bob", "hunter2", true, false)
	login("both are known", "alice", alicePassword, true, true)
	login("nobody", "mallory", "x", false, false)

	key := cluster.ScramKey{User: "alice", Mechanism: int8(ScramSHA256)}
	changed := *image
	changed.Scram = maps.Clone(image.Scram)
	changed.ScramVersion++
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		c, err := NewCredential("alice", m, "another", MinIterations)
		if err != nil {
			t.Fatal(err)
		}
		changed.Scram[cluster.ScramKey{User: "alice", Mechanism: int8(m)}] = c
	}
	current = &changed
	login("the old password after a change", "alice", alicePassword, false, false)
	login("the new one", "alice", "another", true, false)
	current = image
	login("changed back", "alice", alicePassword, true, false)
	// A client chooses the salt of what it stores (KIP-554): another password
	// under the same one is another credential all the same.
	sameSalt := *image
	sameSalt.Scram = maps.Clone(image.Scram)
	sameSalt.ScramVersion += 3
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		key := cluster.ScramKey{User: "alice", Mechanism: int8(m)}
		c := image.Scram[key]
		salted, err := m.salted("another", c.Salt, c.Iterations, false)
		if err != nil {
			t.Fatal(err)
		}
		sameSalt.Scram[key] = m.credential(c.Salt, salted, c.Iterations)
	}
	current = &sameSalt
	login("the old password after a change under the same salt", "alice", alicePassword, false, false)
	gone := *image
	gone.Scram = maps.Clone(image.Scram)
	gone.ScramVersion += 2
	delete(gone.Scram, key)
	delete(gone.Scram, cluster.ScramKey{User: "alice", Mechanism: int8(ScramSHA512)})
	current = &gone
	login("after the user was removed", "alice", alicePassword, false, false)

	x := start(t, s, MechanismPlain, nil)
	for _, token := range []string{"", "\x00", "\x00bob\x00", "\x00\x00hunter2", "bob\x00hunter2", "\x00bob\x00hunter2\x00", strings.Repeat("\x00", maxSASLToken+1)} {
		if x.Recalls([]byte(token)) {
			t.Errorf("%.20q is recalled", token)
		}
	}
}

// TestRecallIsBounded: more users than are remembered push others out, not the
// memory up.
func TestRecallIsBounded(t *testing.T) {
	r := recall{users: map[string][32]byte{}}
	for i := range maxRecalled + 100 {
		user := strconv.Itoa(i)
		sum := r.print(user, "x", nil)
		r.keep(user, sum)
		if !r.has(user, sum) {
			t.Fatalf("user %d is not remembered", i)
		}
	}
	if len(r.users) != maxRecalled {
		t.Errorf("%d users are remembered, want %d", len(r.users), maxRecalled)
	}
}

func TestScram(t *testing.T) {
	image := scramImage(t)
	s := newSASL(t, image, nil)
	for _, tt := range []struct {
		name string
		c    *scramClient
		who  string
	}{
		{"SHA-256", newClient(ScramSHA256, "alice", alicePassword, ""), "alice"},
		{"SHA-512", newClient(ScramSHA512, "alice", alicePassword, ""), "alice"},
		{"8192 iterations", newClient(ScramSHA512, "bob", "hunter2", ""), "bob"},
		{"escaped name", newClient(ScramSHA256, "c,=d", "x", ""), "c,=d"},
		{"extensions", newClient(ScramSHA256, "alice", alicePassword, ",foo=bar,tokenauth=false"), "alice"},
		{"librdkafka's nonce", &scramClient{m: ScramSHA512, user: "alice", password: alicePassword, gs2: "n,,", nonce: "abc", bare: "n=alice,r=abc", doubleNonce: true}, "alice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := start(t, s, tt.c.m.String(), nil)
			if x.Slow() {
				t.Error("SCRAM is not slow")
			}
			step := x.Step(noon, tt.c.first())
			if step.Outcome != Continue {
				t.Fatalf("%+v", step)
			}
			final := tt.c.final(t, step.Reply)
			step = x.Step(noon, final)
			if step.Outcome != Success {
				t.Fatalf("%+v", step)
			}
			if string(step.Reply) != tt.c.serverSignature {
				t.Errorf("the server proves itself by %q, want %q", step.Reply, tt.c.serverSignature)
			}
			if want := (Principal{Type: "User", Name: tt.who}); *step.Session.Principal != want || step.Session.Lifetime != 0 || step.Session.Expired {
				t.Errorf("the session is %+v of %v", step.Session, step.Session.Principal)
			}
			refusedWith(t, x.Step(noon, final), "", generic(tt.c.m.String()))

			// The same proof in a new exchange is worth nothing.
			again := start(t, s, tt.c.m.String(), nil)
			again.Step(noon, tt.c.first())
			refusedWith(t, again.Step(noon, final), KindMalformed, generic(tt.c.m.String()))
		})
	}
}

func TestScramGS2(t *testing.T) {
	s := newSASL(t, scramImage(t), nil)
	for _, gs2 := range []string{"n,,", "y,,", "n,a=alice,"} {
		c := newClient(ScramSHA256, "alice", alicePassword, "")
		c.gs2 = gs2
		x := start(t, s, MechanismSHA256, nil)
		step := x.Step(noon, c.first())
		if step.Outcome != Continue {
			t.Fatalf("%s: %+v", gs2, step)
		}
		if step = x.Step(noon, c.final(t, step.Reply)); step.Outcome != Success {
			t.Errorf("%s: %v", gs2, step.Failure)
		}
	}
	for gs2, kind := range map[string]Kind{"n,a=bob,": KindAuthzID, "p=tls-unique,,": KindMalformed, "x,,": KindMalformed, "n,": KindMalformed, "n,b=x,": KindMalformed, "n,a=,": KindMalformed} {
		c := newClient(ScramSHA256, "alice", alicePassword, "")
		c.gs2 = gs2
		message := generic(MechanismSHA256)
		if kind == KindAuthzID {
			message = differentAuthzID
		}
		refusedWith(t, start(t, s, MechanismSHA256, nil).Step(noon, c.first()), kind, message)
	}
}

func TestScramRefused(t *testing.T) {
	image := scramImage(t)
	s := newSASL(t, image, nil)
	other := func(c *scramClient, f func(*scramClient)) *scramClient { f(c); return c }
	for _, tt := range []struct {
		name string
		c    *scramClient
		kind Kind
	}{
		{"wrong password", newClient(ScramSHA256, "alice", "x", ""), KindBadPassword},
		{"unknown user", newClient(ScramSHA256, "mallory", "x", ""), KindUnknownUser},
		{"no such mechanism for the user", newClient(ScramSHA256, "bob", "hunter2", ""), KindUnknownUser},
		{"a user as a token", newClient(ScramSHA256, "alice", alicePassword, ",tokenauth=true"), KindUnknownUser},
		{"a token as a user", newClient(ScramSHA256, "token-1", "x", ""), KindUnknownUser},
		{"nonce changed", other(newClient(ScramSHA256, "alice", alicePassword, ""), func(c *scramClient) { c.breakNonce = true }), KindMalformed},
		{"binding changed", other(newClient(ScramSHA256, "alice", alicePassword, ""), func(c *scramClient) { c.breakGS2 = true }), KindMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := start(t, s, tt.c.m.String(), nil)
			step := x.Step(noon, tt.c.first())
			if step.Outcome != Continue || step.Failure != nil {
				t.Fatalf("the first message already tells: %+v", step)
			}
			refusedWith(t, x.Step(noon, tt.c.final(t, step.Reply)), tt.kind, generic(tt.c.m.String()))
		})
	}
}

// TestScramUnknownLooksKnown: the salt and iterations of somebody who does not
// exist are of the usual form, the same each time and not the same for all.
func TestScramUnknownLooksKnown(t *testing.T) {
	s := newSASL(t, scramImage(t), nil)
	ask := func(user string) (salt []byte, iterations int) {
		c := newClient(ScramSHA256, user, "x", "")
		step := start(t, s, MechanismSHA256, nil).Step(noon, c.first())
		c.final(t, step.Reply)
		return c.salt, c.iterations
	}
	known, _ := ask("alice")
	form := func(b []byte) bool {
		return (len(b) >= 24 && len(b) <= 26) && !bytes.ContainsFunc(b, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') })
	}
	if !form(known) {
		t.Fatalf("a real salt is %q", known)
	}
	a, n := ask("mallory")
	b, _ := ask("mallory")
	c, _ := ask("trudy")
	if n != MinIterations || !bytes.Equal(a, b) || bytes.Equal(a, c) || !form(a) || !form(c) {
		t.Errorf("made-up salts %q %q %q of %d iterations", a, b, c, n)
	}
	if other := newSASL(t, scramImage(t), nil); bytes.Equal(other.fake(ScramSHA256, scramShape{}, "mallory").Salt, a) {
		t.Error("the made-up salt can be computed without the broker's secret")
	}
}

// TestScramVector is the example of RFC 7677.
func TestScramVector(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	salted, err := ScramSHA256.salted("pencil", salt, 4096, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := CredentialFromSalted("user", ScramSHA256, 4096, salt, salted)
	if err != nil {
		t.Fatal(err)
	}
	image := &cluster.Image{Scram: map[cluster.ScramKey]cluster.ScramCredential{{User: "user", Mechanism: 1}: c}}
	x := start(t, newSASL(t, image, nil), MechanismSHA256, nil)
	x.Step(noon, []byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
	run := x.run.(*scramExchange)
	run.nonce = []byte("rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
	run.authMessage = []byte("n=user,r=rOprNGfwEbeRWgbNEkqO,r=" + string(run.nonce) + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,")
	step := x.Step(noon, []byte("c=biws,r="+string(run.nonce)+",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	if step.Outcome != Success || string(step.Reply) != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("%+v, %v", step, step.Failure)
	}
}

func TestScramToken(t *testing.T) {
	image := scramImage(t)
	s := newSASL(t, image, nil)
	token := image.Tokens["token-1"]
	password := base64.StdEncoding.EncodeToString(token.HMAC)
	login := func(m ScramMechanism, now time.Time) Step {
		c := newClient(m, "token-1", password, ",tokenauth=true")
		x := start(t, s, m.String(), nil)
		step := x.Step(now, c.first())
		return x.Step(now, c.final(t, step.Reply))
	}
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		step := login(m, noon.Add(time.Hour))
		if step.Outcome != Success {
			t.Fatalf("%v: %v", m, step.Failure)
		}
		if want := (Principal{Type: "User", Name: "alice", Token: true}); *step.Session.Principal != want || step.Session.TokenID != "token-1" {
			t.Errorf("%v: the principal is %+v by token %q", m, step.Session.Principal, step.Session.TokenID)
		}
		if step.Session.Lifetime != 23*time.Hour {
			t.Errorf("%v: the session may last %v, want to the token's expiry", m, step.Session.Lifetime)
		}
		refusedWith(t, login(m, noon.Add(24*time.Hour)), KindExpired, generic(m.String()))
	}
}

func TestScramMessages(t *testing.T) {
	s := newSASL(t, scramImage(t), nil)
	for _, first := range []string{
		"", "n", "n,,", "n,,n=", "n,,n=alice", "n,,n=alice,", "n,,n=alice,r=", "n,,n=alice,r=a b", "n,,n=alice,r=a,", "n,,n=alice,r=a,x",
		"n,,n=alice,r=a,1=x", "n,,n=al=ice,r=a", "n,,n=al=2cice,r=a", "n,,m=x,n=alice,r=a", "n,,r=a,n=alice", "n,,n=ali\x00ce,r=a", "n,,n=al\xffce,r=a",
		"n,,n=alice,r=" + strings.Repeat("a", 17<<10), "nn,,n=alice,r=a", ",,n=alice,r=a", "p,,n=alice,r=a",
	} {
		step := start(t, s, MechanismSHA256, nil).Step(noon, []byte(first))
		refusedWith(t, step, KindMalformed, generic(MechanismSHA256))
	}
	for _, final := range []string{
		"", "c=biws", "c=biws,r=%", "c=biws,r=%,p=", "r=%,c=biws,p=AAAA", "c=biws,p=AAAA,r=%", "c=biws,r=%,p=A", "c=bi ws,r=%,p=AAAA", "biws,r=%,p=AAAA",
		"c=biws,r=%,x,p=AAAA", "c=biws,r=%\x00,p=AAAA", "c=biws,r=,p=AAAA", "c=,r=%,p=AAAA",
	} {
		x := start(t, s, MechanismSHA256, nil)
		step := x.Step(noon, []byte("n,,n=alice,r=abc"))
		nonce := strings.TrimPrefix(strings.Split(string(step.Reply), ",")[0], "r=")
		step = x.Step(noon, []byte(strings.ReplaceAll(final, "%", nonce)))
		if step.Outcome != Refused || step.Failure == nil || step.Failure.Kind != KindMalformed && step.Failure.Kind != KindBadPassword {
			t.Errorf("%q: %+v", final, step)
		}
	}
}

func TestStart(t *testing.T) {
	image := scramImage(t)
	s := newSASL(t, image, nil)
	if !slices.Equal(s.Mechanisms(), []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}) {
		t.Errorf("the handshake lists %v", s.Mechanisms())
	}
	for _, m := range []string{"GSSAPI", "plain", "", MechanismOAuthBearer, strings.Repeat("x", 1000)} {
		_, err := s.Start(m, nil)
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeUnsupportedMechanism || len(e.Message) > 400 {
			t.Errorf("Start(%.20q) = %v", m, err)
		}
	}
	for _, o := range []SASLOptions{
		{}, {Image: s.o.Image}, {Image: s.o.Image, Mechanisms: []string{"GSSAPI"}}, {Image: s.o.Image, Mechanisms: []string{"OAUTHBEARER"}},
		{Mechanisms: []string{"PLAIN"}},
	} {
		if _, err := NewSASL(o); err == nil {
			t.Errorf("NewSASL(%+v) is content", o)
		}
	}
	x := start(t, s, MechanismPlain, nil)
	refusedWith(t, x.Step(noon, make([]byte, maxSASLToken+1)), KindMalformed, generic(MechanismPlain))
}

func TestAgain(t *testing.T) {
	image := scramImage(t)
	s := newSASL(t, image, nil)
	was := &Session{Principal: alice, Mechanism: MechanismPlain}
	again := func(mechanism, token string) Step { return start(t, s, mechanism, was).Step(noon, []byte(token)) }

	if step := again(MechanismPlain, "\x00alice\x00"+alicePassword); step.Outcome != Success {
		t.Errorf("the same principal again: %v", step.Failure)
	}
	refusedWith(t, again(MechanismPlain, "\x00bob\x00hunter2"), KindPrincipal,
		"Cannot change principals during re-authentication from User.alice: User.bob")
	refusedWith(t, again(MechanismSHA256, "n,,n=alice,r=abc"), KindMechanism,
		"SASL mechanism 'SCRAM-SHA-256' requested by client is not supported for re-authentication of mechanism 'PLAIN'")
	was = &Session{Principal: alice, Mechanism: MechanismSHA256}
	refusedWith(t, again(MechanismSHA256, "nonsense"), KindMalformed,
		"Authentication failed during re-authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256")
}

// TestLifetime is ReauthInfo.calcCompletionTimesAndReturnSessionLifetimeMs.
func TestLifetime(t *testing.T) {
	for _, tt := range []struct {
		reauth  map[string]time.Duration
		expires time.Duration // 0 for none
		want    time.Duration
		over    bool
	}{
		{nil, 0, 0, false},
		{nil, time.Hour, time.Hour, false},
		{map[string]time.Duration{"": time.Minute}, 0, time.Minute, false},
		{map[string]time.Duration{"": time.Minute}, time.Hour, time.Minute, false},
		{map[string]time.Duration{"": 2 * time.Hour}, time.Hour, time.Hour, false},
		{map[string]time.Duration{"": 2 * time.Hour, "PLAIN": time.Second}, time.Hour, time.Second, false},
		{map[string]time.Duration{"": 2 * time.Hour, "PLAIN": 0}, 0, 0, false},
		{map[string]time.Duration{"": time.Minute}, -time.Second, 0, true},
	} {
		s := newSASL(t, &cluster.Image{}, nil)
		s.o.MaxReauth = tt.reauth
		x := start(t, s, MechanismPlain, nil)
		var expires time.Time
		if tt.expires != 0 {
			expires = noon.Add(tt.expires)
		}
		step := x.succeed(noon, nil, &Session{Principal: alice}, expires)
		if step.Session.Lifetime != tt.want || step.Session.Expired != tt.over {
			t.Errorf("with %v and a credential for %v: %v, expired %v", tt.reauth, tt.expires, step.Session.Lifetime, step.Session.Expired)
		}
	}
}

func TestCredential(t *testing.T) {
	image := scramImage(t)
	c := image.Scram[cluster.ScramKey{User: "alice", Mechanism: 1}]
	d := image.Scram[cluster.ScramKey{User: "alice", Mechanism: 2}]
	if len(c.StoredKey) != 32 || len(d.StoredKey) != 64 || bytes.Equal(c.Salt, d.Salt) || c.Iterations != 4096 {
		t.Errorf("credentials %d and %d bytes, salts %q %q", len(c.StoredKey), len(d.StoredKey), c.Salt, d.Salt)
	}
	for _, tt := range []struct {
		user       string
		m          ScramMechanism
		iterations int32
		salt       string
		code       int16
		message    string
	}{
		{"u", 1, 4096, "s", 0, ""}, {"u", 2, 16384, "s", 0, ""},
		{"", 1, 4096, "s", 93, "Username must not be empty"},
		{"u", 0, 4096, "s", 33, "Unknown SCRAM mechanism"}, {"u", 3, 4096, "s", 33, "Unknown SCRAM mechanism"},
		{"u", 1, 4095, "s", 93, "Too few iterations"}, {"u", 1, 16385, "s", 93, "Too many iterations"},
		{"u", 1, -1, "s", 93, "Too few iterations"}, {"u", 1, 4096, "", 93, "The salt has 0 bytes; it must have between 1 and 1024"},
	} {
		err := CheckCredential(tt.user, tt.m, tt.iterations, []byte(tt.salt))
		var e *Error
		if tt.code == 0 && err != nil || tt.code != 0 && (!errors.As(err, &e) || e.Code != tt.code || e.Message != tt.message) {
			t.Errorf("CheckCredential(%q, %d, %d, %q) = %v", tt.user, tt.m, tt.iterations, tt.salt, err)
		}
	}
	if _, err := CredentialFromSalted("u", ScramSHA512, 4096, []byte("s"), nil); err == nil {
		t.Error("an empty salted password is taken")
	}
	if _, err := NewCredential("u", ScramSHA256, "", 4096); err == nil {
		t.Error("an empty password is taken")
	}
}

func TestFirstAdmin(t *testing.T) {
	records, err := FirstAdmin("admin", "first!")
	if err != nil {
		t.Fatal(err)
	}
	image := &cluster.Image{Scram: map[cluster.ScramKey]cluster.ScramCredential{}}
	for _, r := range records {
		s := r.(cluster.ScramRecord)
		image.Scram[s.Key] = s.Credential
	}
	if len(image.Scram) != 2 {
		t.Fatalf("%d credentials", len(image.Scram))
	}
	s := newSASL(t, image, nil)
	if step := start(t, s, MechanismPlain, nil).Step(noon, []byte("\x00admin\x00first!")); step.Outcome != Success {
		t.Errorf("PLAIN: %v", step.Failure)
	}
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		c := newClient(m, "admin", "first!", "")
		x := start(t, s, m.String(), nil)
		if step := x.Step(noon, c.final(t, x.Step(noon, c.first()).Reply)); step.Outcome != Success {
			t.Errorf("%v: %v", m, step.Failure)
		}
	}
	for _, bad := range [][2]string{{"", "x"}, {"admin", ""}} {
		if _, err := FirstAdmin(bad[0], bad[1]); err == nil {
			t.Errorf("FirstAdmin(%q, %q) is content", bad[0], bad[1])
		}
	}
}

func BenchmarkLogin(b *testing.B) {
	image := scramImage(b)
	s := newSASL(b, image, nil)
	b.Run("PLAIN", func(b *testing.B) {
		for b.Loop() {
			start(b, s, MechanismPlain, nil).Step(noon, []byte("\x00alice\x00"+alicePassword))
		}
	})
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		b.Run(fmt.Sprint(m, " server"), func(b *testing.B) {
			b.ReportAllocs()
			c := newClient(m, "alice", alicePassword, "")
			first := c.first()
			for b.Loop() {
				x := start(b, s, m.String(), nil)
				r := x.Step(noon, first).Reply
				nonce := string(r[:bytes.IndexByte(r, ',')])
				x.Step(noon, []byte("c=biws,"+nonce+",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
			}
		})
	}
}

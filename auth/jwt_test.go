package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

func plainGo(_ string, f func()) { go f() }

// testKeys are made once: RSA keys take their time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for _, id := range []string{"rsa", "rsa2"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		keys[id] = k
	}
	for id, c := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		keys[id] = k
	}
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	keys["ed"] = k
	return keys
})

// keySetOf is a JSON web key set of the public keys, with more JSON keys.
func keySetOf(t testing.TB, ids []string, more ...string) []byte {
	t.Helper()
	var parts []string
	for _, id := range ids {
		j, err := jwkset.NewJWKFromKey(testKeys()[id].Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(j.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(b))
	}
	return []byte(`{"keys":[` + strings.Join(append(parts, more...), ",") + `]}`)
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newFileOAuth(t testing.TB, raw []byte, change func(*OAuthOptions)) *OAuth {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	writeFile(t, path, raw)
	o := OAuthOptions{JWKSURL: "file://" + path, Issuer: "https://idp", Audience: []string{"kafka", "other"}, Go: plainGo}
	if change != nil {
		change(&o)
	}
	a, err := NewOAuth(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func goodClaims() jwt.MapClaims {
	return jwt.MapClaims{"iss": "https://idp", "aud": "kafka", "sub": "alice", "scope": "read write",
		"iat": noon.Unix() - 60, "exp": noon.Unix() + 600}
}

func with(c jwt.MapClaims, key string, value any) jwt.MapClaims {
	if value == nil {
		delete(c, key)
	} else {
		c[key] = value
	}
	return c
}

func sign(t testing.TB, method jwt.SigningMethod, kid string, key any, claims jwt.Claims, header ...any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i].(string)] = header[i+1]
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJWT(t *testing.T) {
	keys := testKeys()
	public, err := x509.MarshalPKIXPublicKey(keys["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	small := `{"kty":"RSA","kid":"small","n":"` + base64.RawURLEncoding.EncodeToString(make64(128)) + `","e":"AQAB"}`
	secret := `{"kty":"oct","kid":"hs","k":"` + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("k", 32))) + `"}`
	rsaJWK, err := jwkset.NewJWKFromKey(keys["rsa2"].Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "rs512", ALG: "RS512", USE: "sig"}})
	if err != nil {
		t.Fatal(err)
	}
	rs512, _ := json.Marshal(rsaJWK.Marshal())
	enc := strings.Replace(strings.Replace(string(rs512), "rs512", "enc", 1), `"sig"`, `"enc"`, 1)
	a := newFileOAuth(t, keySetOf(t, []string{"rsa", "p256", "p384", "p521", "ed"}, small, secret, string(rs512), enc, `{"kty":"XYZ"}`, `7`), nil)
	if got := a.keys.current.Load().size(); got != 6 {
		t.Errorf("%d keys are used, %v are not", got, a.keys.current.Load().skipped)
	}

	forge := func(alg, kid string, key []byte) string {
		h, _ := json.Marshal(map[string]string{"alg": alg, "kid": kid, "typ": "JWT"})
		c, _ := json.Marshal(goodClaims())
		text := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	none := sign(t, jwt.SigningMethodNone, "rsa", jwt.UnsafeAllowNoneSignatureType, goodClaims())
	good := sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], goodClaims())
	parts := strings.Split(good, ".")

	tests := []struct {
		name, token string
		kind        Kind // "" for one that holds
	}{
		{"RS256", good, ""},
		{"PS384", sign(t, jwt.SigningMethodPS384, "rsa", keys["rsa"], goodClaims()), ""},
		{"ES256", sign(t, jwt.SigningMethodES256, "p256", keys["p256"], goodClaims()), ""},
		{"ES384", sign(t, jwt.SigningMethodES384, "p384", keys["p384"], goodClaims()), ""},
		{"ES512", sign(t, jwt.SigningMethodES512, "p521", keys["p521"], goodClaims()), ""},
		{"EdDSA", sign(t, jwt.SigningMethodEdDSA, "ed", keys["ed"], goodClaims()), ""},
		{"no kid", sign(t, jwt.SigningMethodRS256, "", keys["rsa"], goodClaims()), ""},
		{"key's own algorithm", sign(t, jwt.SigningMethodRS512, "rs512", keys["rsa2"], goodClaims()), ""},
		{"audience in a list", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "aud", []string{"x", "other"})), ""},
		{"scopes in a list", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "scope", []string{"read", "write"})), ""},
		{"expired within the skew", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "exp", noon.Unix()-29)), ""},
		{"soon valid within the skew", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "nbf", noon.Unix()+29)), ""},

		{"none", none, KindBadSignature},
		{"none without signature part", strings.TrimSuffix(none, "."), KindMalformed},
		{"nOnE", strings.Replace(none, parts[0], base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"nOnE"}`)), 1), KindBadSignature},
		{"HMAC with the public key", forge("HS256", "rsa", publicPEM), KindBadSignature},
		{"HMAC with the key's DER", forge("HS256", "rsa", public), KindBadSignature},
		{"HMAC with the shared secret of the key set", forge("HS256", "hs", []byte(strings.Repeat("k", 32))), KindBadSignature},
		{"RS256 in name only", forge("RS256", "rsa", publicPEM), KindBadSignature},
		{"another algorithm than the key's", sign(t, jwt.SigningMethodRS256, "rs512", keys["rsa2"], goodClaims()), KindBadSignature},
		{"a key for encryption", sign(t, jwt.SigningMethodRS512, "enc", keys["rsa2"], goodClaims()), KindBadSignature},
		{"unknown kid", sign(t, jwt.SigningMethodRS256, "nobody", keys["rsa"], goodClaims()), KindBadSignature},
		{"another key's kid", sign(t, jwt.SigningMethodRS256, "p256", keys["rsa"], goodClaims()), KindBadSignature},
		{"another key", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa2"], goodClaims()), KindBadSignature},
		{"claims changed", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root","exp":9999999999,"iat":1,"iss":"https://idp","aud":"kafka"}`)) + "." + parts[2], KindBadSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", KindBadSignature},
		{"own key in the header", sign(t, jwt.SigningMethodRS256, "", keys["rsa2"], goodClaims(), "jwk", json.RawMessage(rs512)), KindBadSignature},
		{"critical header", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], goodClaims(), "crit", []string{"exp"}), KindMalformed},

		{"expired", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "exp", noon.Unix()-31)), KindExpired},
		{"not yet valid", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "nbf", noon.Unix()+31)), KindExpired},
		{"no exp", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "exp", nil)), KindMalformed},
		{"exp is text", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "exp", "soon")), KindMalformed},
		{"no iat", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "iat", nil)), KindMalformed},
		{"other issuer", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "iss", "https://idp/")), KindIssuer},
		{"no issuer", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "iss", nil)), KindIssuer},
		{"other audience", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "aud", "Kafka")), KindAudience},
		{"no audience", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "aud", nil)), KindAudience},
		{"no sub", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "sub", nil)), KindMalformed},
		{"blank sub", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "sub", "  ")), KindMalformed},
		{"long sub", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "sub", strings.Repeat("a", 2000))), KindMalformed},
		{"scope is a number", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "scope", 7)), KindMalformed},
		{"scopes with a number", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], with(goodClaims(), "scope", []any{"a", 7})), KindMalformed},
		{"empty", "", KindMalformed}, {"dots", "..", KindMalformed}, {"four parts", good + ".x", KindMalformed},
		{"claims null", sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], jwt.MapClaims(nil)), KindMalformed},
		{"header null", "bnVsbA." + parts[1] + "." + parts[2], KindBadSignature},
		{"header with padding", parts[0] + "=." + parts[1] + "." + parts[2], KindMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a.keys.mu.Lock()
			a.keys.asked = time.Now() // no token here is worth a fetch
			a.keys.mu.Unlock()
			b, f := a.Validate(noon, tt.token)
			if tt.kind == "" {
				if f != nil || b.Name != "alice" || len(b.Scopes) != 2 || b.Scopes[1] != "write" || b.Expires.Before(noon.Add(-time.Minute)) {
					t.Errorf("%+v, %v", b, f)
				}
				return
			}
			if b != nil || f == nil || f.Kind != tt.kind {
				t.Errorf("%+v, %v; want kind %s", b, f, tt.kind)
			}
		})
	}
}

func make64(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return b
}

func TestOAuthOptions(t *testing.T) {
	raw := keySetOf(t, []string{"rsa", "p256"})
	key := testKeys()["rsa"]
	claims := goodClaims()
	claims["uid"], claims["rights"] = "u7", []string{"kafka"}
	a := newFileOAuth(t, raw, func(o *OAuthOptions) {
		o.PrincipalClaim, o.ScopeClaim, o.RequiredScopes, o.ClockSkew, o.Algorithms = "uid", "rights", []string{"kafka"}, -1, []string{"RS256"}
	})
	if b, f := a.Validate(noon, sign(t, jwt.SigningMethodRS256, "rsa", key, claims)); f != nil || b.Name != "u7" {
		t.Errorf("%+v, %v", b, f)
	}
	for name, tt := range map[string]struct {
		token string
		kind  Kind
	}{
		"algorithm not allowed": {sign(t, jwt.SigningMethodES256, "p256", testKeys()["p256"], claims), KindBadSignature},
		"scope missing":         {sign(t, jwt.SigningMethodRS256, "rsa", key, with(with(goodClaims(), "uid", "u7"), "rights", "kafka2 read")), KindScope},
		"no skew":               {sign(t, jwt.SigningMethodRS256, "rsa", key, with(with(goodClaims(), "uid", "u7"), "exp", noon.Unix()-1)), KindExpired},
	} {
		if _, f := a.Validate(noon, tt.token); f == nil || f.Kind != tt.kind {
			t.Errorf("%s: %v", name, f)
		}
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "empty.json"), []byte(`{"keys":[]}`))
	writeFile(t, filepath.Join(dir, "broken.json"), []byte(`{"keys":`))
	writeFile(t, filepath.Join(dir, "large.json"), make64(maxJWKSBytes+1))
	for name, o := range map[string]OAuthOptions{
		"no URL":              {},
		"no such file":        {JWKSURL: "file:///nonexistent/jwks.json"},
		"no keys":             {JWKSURL: "file://" + dir + "/empty.json"},
		"no JSON":             {JWKSURL: "file://" + dir + "/broken.json"},
		"large":               {JWKSURL: "file://" + dir + "/large.json"},
		"http":                {JWKSURL: "http://idp.example/jwks"},
		"ftp":                 {JWKSURL: "ftp://idp.example/jwks"},
		"another host's file": {JWKSURL: "file://host/jwks"},
		"bad URL":             {JWKSURL: "https://%zz"},
		"HMAC":                {JWKSURL: "https://127.0.0.1:1/", Algorithms: []string{"RS256", "HS256"}},
		"none":                {JWKSURL: "https://127.0.0.1:1/", Algorithms: []string{"none"}},
		"unsigned and keys":   {JWKSURL: "https://127.0.0.1:1/", InsecureAcceptUnsignedTokens: true},
	} {
		o.Go = plainGo
		if a, err := NewOAuth(o); err == nil {
			t.Errorf("%s is taken", name)
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestUnsignedTokens(t *testing.T) {
	a, err := NewOAuth(OAuthOptions{InsecureAcceptUnsignedTokens: true})
	if err != nil {
		t.Fatal(err)
	}
	if b, f := a.Validate(noon, sign(t, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, goodClaims())); f != nil || b.Name != "alice" {
		t.Errorf("%+v, %v", b, f)
	}
	if _, f := a.Validate(noon, sign(t, jwt.SigningMethodRS256, "", testKeys()["rsa"], goodClaims())); f == nil {
		t.Error("a signed token holds where nothing can be checked")
	}
	if _, f := a.Validate(noon, sign(t, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, goodClaims())+"AAAA"); f == nil {
		t.Error("an unsigned token with a signature holds")
	}
	a.Reload()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// TestJWKSRotation: a token of a key that the broker has not seen has the keys
// fetched at once, but not again and again; a broken answer leaves the old ones.
func TestJWKSRotation(t *testing.T) {
	keys := testKeys()
	var served atomic.Pointer[[]byte]
	var fetches atomic.Int32
	first := keySetOf(t, []string{"rsa"})
	served.Store(&first)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		body := *served.Load()
		if len(body) == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		if _, err := w.Write(body); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	a, err := NewOAuth(OAuthOptions{JWKSURL: server.URL, TLS: &tls.Config{RootCAs: roots}, Go: plainGo, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	old := sign(t, jwt.SigningMethodRS256, "rsa", keys["rsa"], goodClaims())
	if _, f := a.Validate(noon, old); f != nil {
		t.Fatalf("the first login, which has to wait for the first fetch: %v", f)
	}
	second := keySetOf(t, []string{"p256"})
	served.Store(&second)
	ready := func() { // as if the last fetch that a login caused were long ago
		a.keys.mu.Lock()
		a.keys.asked = time.Time{}
		a.keys.mu.Unlock()
	}
	ready()
	rotated := sign(t, jwt.SigningMethodES256, "p256", keys["p256"], goodClaims())
	if _, f := a.Validate(noon, rotated); f != nil {
		t.Errorf("after the rotation: %v", f)
	}
	if _, f := a.Validate(noon, old); f == nil || f.Kind != KindBadSignature {
		t.Errorf("the key that was taken away: %v", f)
	}
	before := fetches.Load()
	for range 20 {
		if _, f := a.Validate(noon, sign(t, jwt.SigningMethodRS256, "guess", keys["rsa"], goodClaims())); f == nil {
			t.Error("an unknown key holds")
		}
	}
	if n := fetches.Load() - before; n > 1 { // one may still be on its way
		t.Errorf("strangers caused %d fetches within the cooldown", n)
	}
	var nothing []byte
	served.Store(&nothing)
	ready()
	if _, f := a.Validate(noon, old); f == nil {
		t.Error("a key that is not there holds")
	}
	if _, f := a.Validate(noon, rotated); f != nil {
		t.Errorf("after a failed fetch the keys at hand do not hold: %v", f)
	}
	if fetches.Load() == before {
		t.Error("the unknown key caused no fetch")
	}
}

func TestJWKSRedirect(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/jwks", http.StatusFound)
	}))
	defer plain.Close()
	k := &jwks{o: OAuthOptions{JWKSURL: plain.URL, Go: func(string, func()) {}}}
	made, err := newJWKS(k.o)
	if err != nil {
		t.Fatal(err)
	}
	defer made.close()
	if err := made.fetch(); err == nil || !strings.Contains(err.Error(), "not followed") {
		t.Errorf("a redirect to a plain URL: %v", err)
	}
}

func TestJWKSFile(t *testing.T) {
	a := newFileOAuth(t, keySetOf(t, []string{"rsa"}), nil)
	path := a.keys.path
	writeFile(t, path, keySetOf(t, []string{"p256", "rsa"}))
	if b, f := a.Validate(noon, sign(t, jwt.SigningMethodES256, "p256", testKeys()["p256"], goodClaims())); f != nil {
		t.Errorf("a key that was added to the file: %+v, %v", b, f)
	}
}

func TestBearerMessage(t *testing.T) {
	for _, tt := range []struct{ name, message, authzid, token string }{
		{"plain", "n,,\x01auth=Bearer abc.def-_~+/==\x01\x01", "", "abc.def-_~+/=="},
		{"y", "y,,\x01auth=Bearer abc\x01\x01", "", "abc"},
		{"authzid", "n,a=al=2Cice,\x01auth=bearer  abc\x01\x01", "al,ice", "abc"},
		{"extensions", "n,,\x01host=h\x01auth=BEARER abc\x01traceId=1 2\x01\x01", "", "abc"},
	} {
		m, err := parseBearer([]byte(tt.message))
		if err != nil || m.authzid != tt.authzid || m.token != tt.token {
			t.Errorf("%s: %+v, %v", tt.name, m, err)
		}
	}
	for _, bad := range []string{
		"", "n", "n,", "n,,", "n,,\x01", "n,,\x01\x01", "p,,\x01auth=Bearer a\x01\x01", "n,,auth=Bearer a\x01\x01", "n,,\x01auth=Bearer a\x01",
		"n,,\x01auth=Bearer a\x01\x01x", "n,,\x01auth=Basic a\x01\x01", "n,,\x01auth=Bearer\x01\x01", "n,,\x01auth=Bearer \x01\x01",
		"n,,\x01auth=Bearer a b\x01\x01", "n,,\x01auth=Bearer a=b\x01\x01", "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01", "n,,\x01host=h\x01\x01",
		"n,,\x01h0st=h\x01auth=Bearer a\x01\x01", "n,,\x01host=\x01auth=Bearer a\x01\x01", "n,,\x01host=\xc3\xa4\x01auth=Bearer a\x01\x01",
		"n,a=,\x01auth=Bearer a\x01\x01", "n,b=x,\x01auth=Bearer a\x01\x01", "n,a=x=y,\x01auth=Bearer a\x01\x01", "n,,\x01auth=Bearer =\x01\x01",
	} {
		if m, err := parseBearer([]byte(bad)); err == nil {
			t.Errorf("%q is taken as %+v", bad, m)
		}
	}
}

func TestOAuthBearer(t *testing.T) {
	s := newSASL(t, scramImage(t), newFileOAuth(t, keySetOf(t, []string{"rsa"}), nil))
	key := testKeys()["rsa"]
	message := func(authzid string, claims jwt.MapClaims) []byte {
		return []byte("n," + authzid + ",\x01auth=Bearer " + sign(t, jwt.SigningMethodRS256, "rsa", key, claims) + "\x01\x01")
	}
	for _, authzid := range []string{"", "a=alice"} {
		x := start(t, s, MechanismOAuthBearer, nil)
		if !x.Slow() {
			t.Error("OAUTHBEARER waits for keys and must be slow")
		}
		step := x.Step(noon, message(authzid, goodClaims()))
		if step.Outcome != Success || step.Reply == nil || len(step.Reply) != 0 || step.Session.Principal.Name != "alice" ||
			step.Session.Lifetime != 10*time.Minute || step.Session.Scopes[0] != "read" {
			t.Errorf("%+v, %v", step, step.Failure)
		}
	}
	refusedWith(t, start(t, s, MechanismOAuthBearer, nil).Step(noon, message("a=bob", goodClaims())), KindAuthzID,
		"Authentication failed: Client requested an authorization id (bob) that is different from the token's principal name (alice)")
	refusedWith(t, start(t, s, MechanismOAuthBearer, nil).Step(noon, []byte("x")), KindMalformed, generic(MechanismOAuthBearer))

	for _, after := range []string{"\x01", "", "n,,\x01auth=Bearer a\x01\x01"} {
		x := start(t, s, MechanismOAuthBearer, nil)
		step := x.Step(noon, message("", with(goodClaims(), "exp", noon.Unix()-100)))
		if step.Outcome != Continue || string(step.Reply) != `{"status":"invalid_token"}` || step.Failure == nil || step.Failure.Kind != KindExpired || step.Failure.User != "alice" {
			t.Errorf("%+v, %v", step, step.Failure)
		}
		refusedWith(t, x.Step(noon, []byte(after)), "", `{"status":"invalid_token"}`)
	}
}

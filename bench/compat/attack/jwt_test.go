package attack

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"
)

// claims of a token that holds; change them.
func claims(change func(map[string]any)) map[string]any {
	now := time.Now()
	c := map[string]any{"iss": "https://issuer.example", "aud": "kafka", "sub": "alice",
		"iat": now.Add(-time.Minute).Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	if change != nil {
		change(c)
	}
	return c
}

type signer func(signed string) []byte

func rs256(key *rsa.PrivateKey) signer {
	return func(signed string) []byte {
		sum := sha256.Sum256([]byte(signed))
		b, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return b
	}
}

func es256(key *ecdsa.PrivateKey) signer {
	return func(signed string) []byte {
		sum := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

func hs256(key []byte) signer {
	return func(signed string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(signed))
		return h.Sum(nil)
	}
}

func unsigned(string) []byte { return nil }

func fixed(b []byte) signer { return func(string) []byte { return b } }

// token makes a JWT; its signature must not turn up in a log.
func token(header map[string]any, body map[string]any, sign signer) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	signed := b64(h) + "." + b64(b)
	signature := b64(sign(signed))
	if len(signature) > 8 {
		secret(signature)
	}
	return signed + "." + signature
}

func bearer(token string) []byte { return []byte("n,,\x01auth=Bearer " + token + "\x01\x01") }

// TestJWTWorks says that tokens of these tests hold when they should.
func TestJWTWorks(t *testing.T) {
	for what, jwt := range map[string]string{
		"RS256":           token(map[string]any{"alg": "RS256", "kid": "rsa"}, claims(nil), rs256(victim.rsa)),
		"ES256":           token(map[string]any{"alg": "ES256", "kid": "ec"}, claims(nil), es256(victim.ec)),
		"aud among some":  token(map[string]any{"alg": "RS256", "kid": "rsa"}, claims(func(c map[string]any) { c["aud"] = []string{"x", "kafka"} }), rs256(victim.rsa)),
		"within the skew": token(map[string]any{"alg": "RS256", "kid": "rsa"}, claims(func(c map[string]any) { c["nbf"] = time.Now().Add(10 * time.Second).Unix() }), rs256(victim.rsa)),
	} {
		w := dial(t, "SASL").begin("OAUTHBEARER")
		if resp, err := w.token(bearer(jwt)); err != nil || resp.ErrorCode != 0 || len(resp.SASLAuthBytes) != 0 || resp.SessionLifetimeMillis <= 0 {
			t.Errorf("%s: %+v, %v", what, resp, err)
		} else if !w.inside() {
			t.Errorf("%s: not let in", what)
		}
	}
}

// TestJWTConfusion: tokens that must not hold, each with what the audit log calls it.
func TestJWTConfusion(t *testing.T) {
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	strangerEC, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(victim.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	right := map[string]any{"alg": "RS256", "kid": "rsa"}
	changed := func(key string, value any) map[string]any {
		return claims(func(c map[string]any) {
			if c[key] = value; value == nil {
				delete(c, key)
			}
		})
	}
	good := token(right, claims(nil), rs256(victim.rsa))
	parts := strings.Split(good, ".")
	root, err := json.Marshal(changed("sub", "admin"))
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Hour
	strangerJWK := map[string]string{"kty": "RSA", "n": b64(stranger.N.Bytes()), "e": b64(big.NewInt(int64(stranger.E)).Bytes())}
	for _, c := range []struct{ what, kind, jwt string }{
		{"none", "bad_signature", token(map[string]any{"alg": "none"}, claims(nil), unsigned)},
		{"None", "bad_signature", token(map[string]any{"alg": "None", "kid": "rsa"}, claims(nil), unsigned)},
		{"no algorithm", "", token(map[string]any{"kid": "rsa"}, claims(nil), rs256(victim.rsa))},
		{"none with a good signature", "bad_signature", token(map[string]any{"alg": "none", "kid": "rsa"}, claims(nil), rs256(victim.rsa))},
		{"no signature", "bad_signature", parts[0] + "." + parts[1] + "."},
		{"two parts", "malformed", parts[0] + "." + parts[1]},
		{"a body exchanged", "bad_signature", parts[0] + "." + b64(root) + "." + parts[2]},
		{"HMAC with the public key in PEM", "bad_signature", token(map[string]any{"alg": "HS256", "kid": "rsa"}, claims(nil), hs256(pemOf("PUBLIC KEY", public)))},
		{"HMAC with the public key in DER", "bad_signature", token(map[string]any{"alg": "HS256", "kid": "rsa"}, claims(nil), hs256(public))},
		{"HMAC with the modulus", "bad_signature", token(map[string]any{"alg": "HS256", "kid": "rsa"}, claims(nil), hs256(victim.rsa.N.Bytes()))},
		{"another's key", "bad_signature", token(right, claims(nil), rs256(stranger))},
		{"another's key in the header", "bad_signature", token(map[string]any{"alg": "RS256", "kid": "rsa", "jwk": strangerJWK}, claims(nil), rs256(stranger))},
		{"a URL of keys in the header", "bad_signature", token(map[string]any{"alg": "RS256", "kid": "mine", "jku": "http://127.0.0.1:1/jwks"}, claims(nil), rs256(stranger))},
		{"an unknown kid", "bad_signature", token(map[string]any{"alg": "RS256", "kid": "none-such"}, claims(nil), rs256(victim.rsa))},
		{"the kid of the other kind of key", "bad_signature", token(map[string]any{"alg": "RS256", "kid": "ec"}, claims(nil), rs256(victim.rsa))},
		{"RSA's algorithm with an EC key", "bad_signature", token(map[string]any{"alg": "RS256", "kid": "ec"}, claims(nil), es256(victim.ec))},
		{"a kid that is a path", "bad_signature", token(map[string]any{"alg": "HS256", "kid": "../../../../dev/null"}, claims(nil), hs256(nil))},
		{"another EC key", "bad_signature", token(map[string]any{"alg": "ES256", "kid": "ec"}, claims(nil), es256(strangerEC))},
		{"an EC signature of zeros", "bad_signature", token(map[string]any{"alg": "ES256", "kid": "ec"}, claims(nil), fixed(make([]byte, 64)))},
		{"a stronger algorithm than the key's", "bad_signature", token(map[string]any{"alg": "PS256", "kid": "rsa"}, claims(nil), rs256(victim.rsa))},
		{"a critical extension", "malformed", token(map[string]any{"alg": "RS256", "kid": "rsa", "crit": []string{"b64"}, "b64": false}, claims(nil), rs256(victim.rsa))},
		{"another issuer", "issuer", token(right, changed("iss", "https://issuer.example.evil"), rs256(victim.rsa))},
		{"no issuer", "issuer", token(right, changed("iss", nil), rs256(victim.rsa))},
		{"another audience", "audience", token(right, changed("aud", "kafka2"), rs256(victim.rsa))},
		{"no audience", "audience", token(right, changed("aud", nil), rs256(victim.rsa))},
		{"not before an hour", "expired", token(right, changed("nbf", time.Now().Add(hour).Unix()), rs256(victim.rsa))},
		{"expired", "expired", token(right, changed("exp", time.Now().Add(-hour).Unix()), rs256(victim.rsa))},
		{"expires never", "malformed", token(right, changed("exp", nil), rs256(victim.rsa))},
		{"expires as text", "malformed", token(right, changed("exp", "9999999999"), rs256(victim.rsa))},
		{"no subject", "malformed", token(right, changed("sub", nil), rs256(victim.rsa))},
		{"an empty subject", "malformed", token(right, changed("sub", " "), rs256(victim.rsa))},
		{"a subject that is a list", "malformed", token(right, changed("sub", []string{"admin"}), rs256(victim.rsa))},
		{"issued never", "malformed", token(right, changed("iat", nil), rs256(victim.rsa))},
	} {
		before := audited(t, `"mechanism":"OAUTHBEARER"`, `"result":"refused"`, c.kind)
		dial(t, "SASL").begin("OAUTHBEARER").refused(c.what, bearer(c.jwt))
		auditedSoon(t, before, `"mechanism":"OAUTHBEARER"`, `"result":"refused"`, c.kind)
	}
	// A good token for somebody else's name.
	w := dial(t, "SASL").begin("OAUTHBEARER")
	w.refused("another authorization id", []byte("n,a=admin,\x01auth=Bearer "+good+"\x01\x01"))
}

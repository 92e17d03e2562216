package auth

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chronik-stream/chronik/cluster"
)

// FuzzPlain: what is taken apart can be put together again, and nothing else
// than three parts is taken.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "\x00alice\x00secret", "a\x00b\x00c", "\x00\x00", "\x00a\x00b\x00", "\x00\xff\x00x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		authzid, user, password, why := parsePlain(b)
		if why == "" && authzid+"\x00"+user+"\x00"+password != string(b) {
			t.Errorf("%q is %q %q %q", b, authzid, user, password)
		}
		if (why == "") != (bytes.Count(b, []byte{0}) == 2 && utf8.Valid(b)) {
			t.Errorf("%q: %q", b, why)
		}
	})
}

// FuzzScramFirst: parts are inside the message, the header and the rest are all
// of it, and an exchange answers or refuses.
func FuzzScramFirst(f *testing.F) {
	for _, s := range []string{"n,,n=alice,r=abc", "y,a=al=2Cice,n=al=2Cice,r=abc,tokenauth=true", "p=tls-unique,,n=a,r=b", "n,,m=x,n=a,r=b", "n,,n=,r=", ",,,", "n,,n=a,r=b,x=y,z=w"} {
		f.Add([]byte(s))
	}
	s, err := NewSASL(SASLOptions{Mechanisms: []string{MechanismSHA256}, Image: func() *cluster.Image { return &cluster.Image{} }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		was := bytes.Clone(b)
		m, err := parseClientFirst(b)
		step := start(t, s, MechanismSHA256, nil).Step(noon, b)
		if !bytes.Equal(was, b) {
			t.Fatal("the message was written to")
		}
		if err != nil {
			if step.Outcome != Refused || step.Failure == nil || step.Failure.Kind != KindMalformed {
				t.Fatalf("%q: %v, and %+v", b, err, step)
			}
			return
		}
		if string(m.gs2)+string(m.bare) != string(b) || m.user == "" || len(m.nonce) == 0 || strings.ContainsRune(m.user, 0) {
			t.Fatalf("%q is %+v", b, m)
		}
		if step.Outcome == Continue && !bytes.HasPrefix(step.Reply, append([]byte("r="), m.nonce...)) {
			t.Fatalf("%q is answered by %q", b, step.Reply)
		}
	})
}

// FuzzScramFinal: nobody gets in by a message that was not computed from the
// password.
func FuzzScramFinal(f *testing.F) {
	for _, s := range []string{"c=biws,r=NONCE,p=AAAA", "c=biws,r=NONCE,x=y,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "c=,r=,p=", ",p=,p=", "c=eSws,r=NONCE,p=AAAA"} {
		f.Add([]byte(s))
	}
	s := newSASL(f, scramImage(f), nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, user := range []string{"alice", "mallory"} {
			x := start(t, s, MechanismSHA256, nil)
			first := x.Step(noon, []byte("n,,n="+user+",r=abc")).Reply
			nonce := bytes.TrimPrefix(first[:bytes.IndexByte(first, ',')], []byte("r="))
			step := x.Step(noon, bytes.ReplaceAll(b, []byte("NONCE"), nonce))
			if step.Outcome != Refused || step.Session != nil || step.Message != generic(MechanismSHA256) {
				t.Fatalf("%q: %+v", b, step)
			}
		}
	})
}

// FuzzBearer: a token that is taken is in the message as it is.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"n,,\x01auth=Bearer abc\x01\x01", "y,a=x,\x01host=h\x01auth=bearer a.b.c==\x01\x01", "n,,\x01\x01", "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseBearer(b)
		if err == nil && (m.token == "" || !bytes.Contains(b, []byte(" "+m.token+"\x01")) || strings.ContainsAny(m.token, " \x00\x01\r\n") || !bytes.HasSuffix(b, []byte("\x01\x01"))) {
			t.Errorf("%q is %+v", b, m)
		}
	})
}

// FuzzJWT: no token holds that was not signed, whatever header and claims say.
func FuzzJWT(f *testing.F) {
	a := newFileOAuth(f, keySetOf(f, []string{"rsa", "p256"}), nil)
	a.keys.asked = noon.AddDate(100, 0, 0) // never fetch
	good := sign(f, jwt.SigningMethodES256, "p256", testKeys()["p256"], goodClaims())
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(sign(f, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, goodClaims()))
	f.Add("eyJhbGciOiJIUzI1NiIsImtpZCI6InJzYSJ9." + parts[1] + ".AAAA")
	f.Add("..")
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Fuzz(func(t *testing.T, token string) {
		b, failure := a.Validate(noon, token)
		if (b == nil) == (failure == nil) {
			t.Fatalf("%q: %v, %v", token, b, failure)
		}
		if b != nil && token != good {
			t.Fatalf("%q holds: %+v", token, b)
		}
	})
}

// FuzzJWKS: keys come out of anything or nothing does.
func FuzzJWKS(f *testing.F) {
	f.Add(keySetOf(f, []string{"rsa", "p256", "ed"}))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":"AA"},null,{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := parseJWKS(raw)
		if err != nil {
			return
		}
		if set.size() == 0 {
			t.Errorf("%q has no key and no error", raw)
		}
		for _, alg := range []string{"none", "HS256", "", "RS"} {
			if keys := set.candidates("", alg); len(keys) != 0 && alg != "" {
				t.Errorf("%q verifies %q", raw, alg)
			}
		}
	})
}

// FuzzPrincipalRules: rules that are taken give a name or an error, within
// bounds.
func FuzzPrincipalRules(f *testing.F) {
	for _, s := range []string{"DEFAULT", `RULE:^CN=(.*?),OU=(.*)$/$1@$2/L, DEFAULT`, `RULE:(.*)/$1$1$1$1/U`, `RULE:a\/b/\$x$12/`, "RULE:/x/,,DEFAULT", `RULE:(a|)*/$0/`} {
		f.Add(s, "CN=duke,OU=x,O=Org")
	}
	f.Fuzz(func(t *testing.T, text, subject string) {
		if len(text) > 200 || len(subject) > 400 {
			return // the time is their product; the rules are the operator's
		}
		rules, err := ParsePrincipalRules(text)
		if err != nil {
			return
		}
		name, err := rules.Name(subject)
		if err == nil && name != subject && len(name) > maxPrincipalName {
			t.Errorf("a name of %d bytes", len(name))
		}
	})
}

// FuzzSubjectName: any bytes give a name or an error; a name is valid UTF-8.
func FuzzSubjectName(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Add([]byte("0\x101\x0e0\x0c\x06\x03U\x04\x03\x0c\x05#hash"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if name, err := SubjectName(raw); err == nil && !utf8.ValidString(name) {
			t.Errorf("%x is %q", raw, name)
		}
	})
}

// FuzzRedact: whatever the names, a value under a name with "password" in it is
// not in the line.
func FuzzRedact(f *testing.F) {
	f.Add("ssl.key.", "tango")
	f.Fuzz(func(t *testing.T, prefix, value string) {
		l := auditLine{After: redact(map[string]string{prefix + "Password": value})}
		b, err := l.encode()
		if err != nil {
			t.Fatal(err)
		}
		var back struct{ After map[string]string }
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		for name, v := range back.After {
			if v != hidden {
				t.Errorf("%q is %q", name, v)
			}
		}
	})
}

package attack

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// scram is a client of SCRAM-SHA-512 that does what it is told.
type scram struct {
	user, password string
	gs2            string
	first          string // client-first-bare
	challenge      string
	nonce, salt    string
	iterations     int
}

func (s *scram) open() []byte {
	if s.gs2 == "" {
		s.gs2 = "n,,"
	}
	s.first = "n=" + s.user + ",r=fyko+d2lbbFgONRv9qkxdawL"
	return []byte(s.gs2 + s.first)
}

func (s *scram) read(challenge []byte) error {
	s.challenge = string(challenge)
	for part := range strings.SplitSeq(s.challenge, ",") {
		switch {
		case strings.HasPrefix(part, "r="):
			s.nonce = part[2:]
		case strings.HasPrefix(part, "s="):
			s.salt = part[2:]
		case strings.HasPrefix(part, "i="):
			n, err := strconv.Atoi(part[2:])
			if err != nil {
				return err
			}
			s.iterations = n
		}
	}
	if s.nonce == "" || s.salt == "" || s.iterations < 4096 {
		return fmt.Errorf("the challenge %q", s.challenge)
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha512.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// final is the last message; without is what the proof is over.
func (s *scram) final() (message []byte, proof []byte, err error) {
	salt, err := base64.StdEncoding.DecodeString(s.salt)
	if err != nil {
		return nil, nil, err
	}
	salted, err := pbkdf2.Key(sha512.New, s.password, salt, s.iterations, sha512.Size)
	if err != nil {
		return nil, nil, err
	}
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(s.gs2)) + ",r=" + s.nonce
	client := mac(salted, "Client Key")
	stored := sha512.Sum512(client)
	signature := mac(stored[:], s.first+","+s.challenge+","+without)
	proof = make([]byte, len(client))
	for i := range proof {
		proof[i] = client[i] ^ signature[i]
	}
	return []byte(without + ",p=" + base64.StdEncoding.EncodeToString(proof)), proof, nil
}

// challenged goes as far as the challenge.
func challenged(t *testing.T, s *scram) *wire {
	t.Helper()
	w := dial(t, "SCRAMONLY").begin("SCRAM-SHA-512")
	resp, err := w.token(s.open())
	if err != nil || resp.ErrorCode != 0 {
		t.Fatalf("the first message: %+v, %v", resp, err)
	}
	if err := s.read(resp.SASLAuthBytes); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestScramWorks says that the client of these tests gets in when it should.
func TestScramWorks(t *testing.T) {
	s := &scram{user: "admin", password: adminPassword}
	w := challenged(t, s)
	message, _, err := s.final()
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := w.token(message); err != nil || resp.ErrorCode != 0 {
		t.Fatalf("%+v, %v", resp, err)
	}
	if !w.inside() {
		t.Error("the right password is not let in")
	}
}

// TestScramReplay: what was good in one exchange is good in no other, and good
// once only.
func TestScramReplay(t *testing.T) {
	s := &scram{user: "admin", password: adminPassword}
	w := challenged(t, s)
	good, proof, err := s.final()
	if err != nil {
		t.Fatal(err)
	}
	secret(base64.StdEncoding.EncodeToString(proof))
	if resp, err := w.token(good); err != nil || resp.ErrorCode != 0 {
		t.Fatalf("%+v, %v", resp, err)
	}
	challenged(t, &scram{user: "admin"}).refused("the whole last message of another exchange", good)
	fresh := &scram{user: "admin"}
	w = challenged(t, fresh)
	if fresh.nonce == s.nonce {
		t.Error("two exchanges have the same nonce")
	}
	at := bytes.Index(good, []byte(",p="))
	w.refused("an old proof with the new nonce", append([]byte("c=biws,r="+fresh.nonce), good[at:]...))
	other := &scram{user: "bob"}
	challenged(t, other).refused("the admin's proof for bob", append([]byte("c=biws,r="+other.nonce), good[at:]...))
	w = dial(t, "SCRAMONLY").begin("SCRAM-SHA-512")
	w.refused("a last message first", good)
}

// TestScramForged changes one thing in an exchange that would be good.
func TestScramForged(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(message []byte, s *scram) []byte
	}{
		{"no proof", func(m []byte, _ *scram) []byte { return m[:bytes.Index(m, []byte(",p="))] }},
		{"an empty proof", func(m []byte, _ *scram) []byte { return m[:bytes.Index(m, []byte(",p="))+3] }},
		{"a proof cut short", func(m []byte, _ *scram) []byte {
			at := bytes.Index(m, []byte(",p=")) + 3
			raw, _ := base64.StdEncoding.DecodeString(string(m[at:]))
			return append(m[:at], base64.StdEncoding.EncodeToString(raw[:32])...)
		}},
		{"a proof with more behind it", func(m []byte, _ *scram) []byte {
			at := bytes.Index(m, []byte(",p=")) + 3
			raw, _ := base64.StdEncoding.DecodeString(string(m[at:]))
			return append(m[:at], base64.StdEncoding.EncodeToString(append(raw, 0))...)
		}},
		{"a proof of zeros", func(m []byte, _ *scram) []byte {
			at := bytes.Index(m, []byte(",p=")) + 3
			return append(m[:at], base64.StdEncoding.EncodeToString(make([]byte, 64))...)
		}},
		{"the client's nonce alone", func(m []byte, s *scram) []byte {
			return bytes.Replace(m, []byte(s.nonce), []byte("fyko+d2lbbFgONRv9qkxdawL"), 1)
		}},
		{"another nonce", func(m []byte, s *scram) []byte { return bytes.Replace(m, []byte(s.nonce), []byte(s.nonce+"x"), 1) }},
		{"no nonce", func(m []byte, s *scram) []byte { return bytes.Replace(m, []byte(",r="+s.nonce), nil, 1) }},
		{"two nonces", func(m []byte, s *scram) []byte {
			return bytes.Replace(m, []byte(",r="), []byte(",r="+s.nonce+",r="), 1)
		}},
		{"another channel binding", func(m []byte, _ *scram) []byte { return bytes.Replace(m, []byte("c=biws"), []byte("c=eSws"), 1) }},
		{"an extension that must be understood", func(m []byte, _ *scram) []byte { return append([]byte("m=1,"), m...) }},
		{"nothing", func([]byte, *scram) []byte { return nil }},
	} {
		s := &scram{user: "admin", password: adminPassword}
		w := challenged(t, s)
		message, _, err := s.final()
		if err != nil {
			t.Fatal(err)
		}
		w.refused(c.what, c.change(bytes.Clone(message), s))
	}
}

// TestScramFirst: first messages that must not be answered by a challenge.
func TestScramFirst(t *testing.T) {
	for _, first := range []string{
		"p=tls-unique,,n=admin,r=abc", "p=tls-exporter,,n=admin,r=abc", ",,n=admin,r=abc", "n,n=admin,r=abc", "n,,r=abc,n=admin", "n,,n=,r=abc",
		"n,,n=admin", "n,,n=admin,r=", "n,,m=x,n=admin,r=abc", "n,,n=ad=min,r=abc", "n,a=bob,n=admin,r=abc", "n,,n=admin,r=a\x00b", "",
		"n,,n=admin,r=" + strings.Repeat("x", 60<<10),
	} {
		w := dial(t, "SCRAMONLY").begin("SCRAM-SHA-512")
		resp, err := w.token([]byte(first))
		if err == nil && resp.ErrorCode == 0 && len(first) < 1000 {
			t.Errorf("%q is answered by %q", first, resp.SASLAuthBytes)
		}
	}
}

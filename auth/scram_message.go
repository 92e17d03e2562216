package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

// This file takes SCRAM's messages apart. Everything keeps the bytes as they
// were sent, since the proof is over them; Kafka puts its own rendering of the
// first message together again, which differs when a client orders its
// extensions in another way.

// maxScramMessage bounds both messages of a client.
const maxScramMessage = 16 << 10

var (
	errScramLong      = errors.New("a SCRAM message has more than 16 KiB")
	errScramFirst     = errors.New("the SCRAM client-first-message is not of the form gs2-header n=user,r=nonce")
	errScramFinal     = errors.New("the SCRAM client-final-message is not of the form c=binding,r=nonce,p=proof")
	errScramBinding   = errors.New("the client asks for channel binding, which is not offered")
	errScramMandatory = errors.New("the client asks for a mandatory SCRAM extension (m=), and there is none")
	errScramText      = errors.New("a SCRAM message is not UTF-8 or holds a NUL")
	errScramName      = errors.New("the SCRAM user name is empty or not escaped")
)

// clientFirst aliases the message but for user and authzid.
type clientFirst struct {
	gs2, bare     []byte
	authzid, user string
	nonce         []byte
	tokenAuth     bool
}

func parseClientFirst(b []byte) (m clientFirst, err error) {
	if err := checkScramText(b); err != nil {
		return m, err
	}
	binding, rest, ok := bytes.Cut(b, []byte(","))
	switch {
	case !ok:
		return m, errScramFirst
	case len(binding) > 1 && binding[0] == 'p':
		return m, errScramBinding
	case len(binding) != 1 || binding[0] != 'n' && binding[0] != 'y':
		// y: the client could bind and believes that we cannot, which is so.
		return m, errScramFirst
	}
	authzid, bare, ok := bytes.Cut(rest, []byte(","))
	if !ok {
		return m, errScramFirst
	}
	if len(authzid) != 0 {
		name, found := bytes.CutPrefix(authzid, []byte("a="))
		if m.authzid, ok = saslName(name); !found || !ok {
			return m, errScramName
		}
	}
	m.gs2, m.bare = b[:len(b)-len(bare)], bare
	user, rest, _ := bytes.Cut(bare, []byte(","))
	if bytes.HasPrefix(user, []byte("m=")) {
		return m, errScramMandatory
	}
	name, found := bytes.CutPrefix(user, []byte("n="))
	if !found {
		return m, errScramFirst
	}
	if m.user, ok = saslName(name); !ok {
		return m, errScramName
	}
	nonce, rest, more := bytes.Cut(rest, []byte(","))
	if m.nonce, found = bytes.CutPrefix(nonce, []byte("r=")); !found || !printable(m.nonce) {
		return m, errScramFirst
	}
	for more {
		var ext []byte
		ext, rest, more = bytes.Cut(rest, []byte(","))
		key, value, ok := bytes.Cut(ext, []byte("="))
		if !ok || !alphabetic(key) || len(value) == 0 {
			return m, errScramFirst
		}
		if string(key) == "tokenauth" {
			m.tokenAuth = bytes.EqualFold(value, []byte("true"))
		}
	}
	return m, nil
}

// clientFinal aliases the message but for binding and proof, which are decoded.
type clientFinal struct {
	binding, nonce, proof, withoutProof []byte
}

func parseClientFinal(b []byte) (m clientFinal, err error) {
	if err := checkScramText(b); err != nil {
		return m, err
	}
	at := bytes.LastIndex(b, []byte(",p="))
	if at < 0 {
		return m, errScramFinal
	}
	m.withoutProof = b[:at]
	if m.proof, err = base64.StdEncoding.Strict().AppendDecode(nil, b[at+3:]); err != nil {
		return m, errScramFinal
	}
	binding, rest, ok := bytes.Cut(m.withoutProof, []byte(","))
	value, found := bytes.CutPrefix(binding, []byte("c="))
	if !ok || !found {
		return m, errScramFinal
	}
	if m.binding, err = base64.StdEncoding.Strict().AppendDecode(nil, value); err != nil {
		return m, errScramFinal
	}
	nonce, rest, more := bytes.Cut(rest, []byte(","))
	if m.nonce, found = bytes.CutPrefix(nonce, []byte("r=")); !found || !printable(m.nonce) {
		return m, errScramFinal
	}
	for more {
		var ext []byte
		ext, rest, more = bytes.Cut(rest, []byte(","))
		if key, value, ok := bytes.Cut(ext, []byte("=")); !ok || !alphabetic(key) || len(value) == 0 {
			return m, errScramFinal
		}
	}
	return m, nil
}

func checkScramText(b []byte) error {
	switch {
	case len(b) > maxScramMessage:
		return errScramLong
	case !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0:
		return errScramText
	}
	return nil
}

// printable is a nonce: ASCII without space and comma.
func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return len(b) != 0
}

func alphabetic(b []byte) bool {
	for _, c := range b {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return len(b) != 0
}

package auth

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// oauthExchange is OAUTHBEARER (RFC 7628). A token that does not hold is
// answered by a JSON challenge; the client says it saw it by one 0x01 byte and
// is refused then, with the JSON as the message (OAuthBearerSaslServer.java).
type oauthExchange struct {
	x       *Exchange
	refused string // the challenge that is out, or ""
}

// invalidToken is all that a client learns of a token that does not hold.
const invalidToken = `{"status":"invalid_token"}`

func (o *oauthExchange) step(now time.Time, token []byte) Step {
	if o.refused != "" {
		// Whatever it answers, the failure was told already.
		return Step{Outcome: Refused, Message: o.refused}
	}
	m, err := parseBearer(token)
	if err != nil {
		return o.x.refuse(KindMalformed, "", "", err.Error())
	}
	bearer, failure := o.x.sasl.o.OAuth.Validate(now, m.token)
	if failure != nil {
		o.refused = invalidToken
		return Step{Outcome: Continue, Reply: []byte(invalidToken), Failure: failure}
	}
	if m.authzid != "" && m.authzid != bearer.Name {
		return o.x.refuse(KindAuthzID, bearer.Name, fmt.Sprintf(
			"Authentication failed: Client requested an authorization id (%s) that is different from the token's principal name (%s)",
			m.authzid, bearer.Name), "the authorization id is not the token's principal")
	}
	session := &Session{Principal: &Principal{Type: UserType, Name: bearer.Name}, Scopes: bearer.Scopes}
	return o.x.succeed(now, nil, session, bearer.Expires)
}

// bearerMessage is a client's initial response.
type bearerMessage struct {
	authzid string
	token   string
}

var (
	errBearerForm   = errors.New("the OAUTHBEARER message is not of the form n,,^Aauth=Bearer token^A^A")
	errBearerAuth   = errors.New("the OAUTHBEARER message has no auth, or more than one")
	errBearerScheme = errors.New("the OAUTHBEARER message's auth is not of the scheme Bearer")
)

// parseBearer reads gs2-header 0x01 *(key "=" value 0x01) 0x01. Extensions
// other than auth are checked for their form and left aside.
func parseBearer(b []byte) (m bearerMessage, err error) {
	if len(b) < 2 || b[0] != 'n' && b[0] != 'y' || b[1] != ',' {
		return m, errBearerForm
	}
	authzid, rest, ok := bytes.Cut(b[2:], []byte(",\x01"))
	if !ok {
		return m, errBearerForm
	}
	if len(authzid) != 0 {
		name, found := bytes.CutPrefix(authzid, []byte("a="))
		if m.authzid, ok = saslName(name); !found || !ok || bytes.ContainsAny(name, ",\x00\x01") {
			return m, errBearerForm
		}
	}
	var auth []byte
	for {
		pair, after, ok := bytes.Cut(rest, []byte{1})
		if !ok {
			return m, errBearerForm
		}
		if rest = after; len(pair) == 0 {
			break
		}
		key, value, ok := bytes.Cut(pair, []byte("="))
		if !ok || !alphabetic(key) || !bearerValue(value) {
			return m, errBearerForm
		}
		if string(key) == "auth" {
			if auth != nil {
				return m, errBearerAuth
			}
			auth = value
		}
	}
	if len(rest) != 0 {
		return m, errBearerForm
	}
	if auth == nil {
		return m, errBearerAuth
	}
	scheme, token, ok := bytes.Cut(auth, []byte(" "))
	if !ok || !bytes.EqualFold(scheme, []byte("bearer")) {
		return m, errBearerScheme
	}
	if token = bytes.TrimLeft(token, " "); !bearerToken(token) {
		return m, errBearerForm
	}
	m.token = string(token)
	return m, nil
}

// bearerValue is RFC 7628's value: printable ASCII, space, tab, CR, LF.
func bearerValue(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return len(b) != 0
}

// bearerToken is RFC 6750's b64token.
func bearerToken(b []byte) bool {
	b = bytes.TrimRight(b, "=")
	for _, c := range b {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9':
		case c == '-' || c == '_' || c == '~' || c == '+' || c == '/' || c == '.':
		default:
			return false
		}
	}
	return len(b) != 0
}

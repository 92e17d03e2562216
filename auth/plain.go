package auth

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/chronik-stream/chronik/cluster"
)

// plainExchange is PLAIN (RFC 4616) against the stored SCRAM credentials: the
// password is derived with the salt and iterations of the user's credentials
// and compared with the stored keys. No plain password is stored anywhere.
//
// Every check costs the same, whoever asks: for each mechanism in use in the
// cluster one derivation with as many iterations as the most expensive
// credential has, with a salt made up where the user has none. So neither an
// unknown user nor one with fewer credentials answers sooner.
//
// A password that was found right is remembered (see recall) and costs no
// derivation the next time: that tells only who knows it already.
type plainExchange struct {
	x        *Exchange
	recalled bool // the token that comes next was remembered
}

func (p *plainExchange) step(now time.Time, token []byte) Step {
	authzid, user, password, why := parsePlain(token)
	if why != "" {
		return p.x.refuse(KindMalformed, "", why, why)
	}
	if user == "" {
		const why = "Authentication failed: username not specified"
		return p.x.refuse(KindMalformed, "", why, why)
	}
	if password == "" {
		const why = "Authentication failed: password not specified"
		return p.x.refuse(KindMalformed, user, why, why)
	}
	known, ok := true, p.recalled
	var err error
	if !p.recalled {
		known, ok, err = p.x.sasl.checkPassword(user, password)
	}
	if err != nil {
		return p.x.refuse(KindInternal, user, "Authentication failed: credentials for user could not be verified", err.Error())
	}
	if !ok {
		kind, detail := KindBadPassword, "the password is wrong"
		if !known {
			kind, detail = KindUnknownUser, "there is no such user"
		}
		return p.x.refuse(kind, user, "Authentication failed: Invalid username or password", detail)
	}
	if authzid != "" && authzid != user {
		return p.x.refuse(KindAuthzID, user, differentAuthzID, "the authorization id is not the user name")
	}
	return p.x.succeed(now, nil, &Session{Principal: &Principal{Type: UserType, Name: user}}, time.Time{})
}

const differentAuthzID = "Authentication failed: Client requested an authorization id that is different from username"

// parsePlain takes [authzid] NUL authcid NUL passwd apart; why says, in Kafka's
// words and for the client too, what is wrong with it.
func parsePlain(token []byte) (authzid, user, password, why string) {
	parts := bytes.SplitN(token, []byte{0}, 4)
	if len(parts) != 3 {
		return "", "", "", fmt.Sprintf("Invalid SASL/PLAIN response: expected 3 tokens, got %d", len(parts))
	}
	if !utf8.Valid(token) {
		return "", "", "", "Invalid SASL/PLAIN response: it is not UTF-8"
	}
	return string(parts[0]), string(parts[1]), string(parts[2]), ""
}

// Hashed is how many iterations of PBKDF2 passwords have cost, by mechanism:
// nearly all that authentication costs.
func (s *SASL) Hashed() map[ScramMechanism]int64 {
	return map[ScramMechanism]int64{ScramSHA256: s.hashed[ScramSHA256].Load(), ScramSHA512: s.hashed[ScramSHA512].Load()}
}

// plainCredential is what a password of a user's is checked against.
type plainCredential struct {
	cluster.ScramCredential
	mechanism ScramMechanism
	real      bool  // false: made up, since the user has none
	rest      int32 // iterations that the most expensive credential has more
}

// credentials are those that a password of the user's is checked against, one
// for each mechanism in use: as many for every user.
func (s *SASL) credentials(user string) []plainCredential {
	image := s.o.Image()
	list := make([]plainCredential, 0, 2)
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		shape := s.shapeOf(image, m)
		if shape.count == 0 && m == ScramSHA512 {
			continue // nobody has one: the same for every user
		}
		c, has := image.Scram[cluster.ScramKey{User: user, Mechanism: int8(m)}]
		if own, named := s.o.PlainUsers[user]; named && m == ScramSHA256 {
			c, has = own, true
		}
		has = has && m.usable(c)
		if !has {
			c = s.fake(m, shape, user)
		}
		list = append(list, plainCredential{c, m, has, shape.most - c.Iterations})
	}
	return list
}

// checkPassword reports whether the user exists and whether the password is
// that of one of its credentials.
func (s *SASL) checkPassword(user, password string) (known, ok bool, err error) {
	var checked []cluster.ScramCredential
	list := s.credentials(user)
	for _, c := range list {
		checked = append(checked, c.ScramCredential)
	}
	sum := s.recall.print(user, password, checked)
	if s.recall.has(user, sum) {
		return true, true, nil
	}
	paced := s.guessing.note(0)
	for _, c := range list {
		match, err := s.checks(c.mechanism, c.ScramCredential, password, paced)
		if err != nil {
			return false, false, err
		}
		if c.rest > 0 {
			if _, err := s.checks(c.mechanism, cluster.ScramCredential{Salt: c.Salt, Iterations: c.rest}, password, paced); err != nil {
				return false, false, err
			}
		}
		known = known || c.real
		ok = ok || c.real && match
	}
	if ok {
		s.recall.keep(user, sum)
	} else {
		s.guessing.note(1)
	}
	return known, ok, nil
}

// checks reports whether the password is the credential's, in a time that
// depends on the iterations alone.
func (s *SASL) checks(m ScramMechanism, c cluster.ScramCredential, password string, paced bool) (bool, error) {
	s.hashed[m].Add(int64(c.Iterations))
	salted, err := m.salted(password, c.Salt, c.Iterations, paced)
	if err != nil {
		return false, err
	}
	stored := m.hash(m.mac(salted, []byte("Client Key")))
	return subtle.ConstantTimeCompare(stored, c.StoredKey) == 1, nil
}

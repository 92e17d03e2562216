package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// scramExchange is the server's side of SCRAM (RFC 5802) without channel
// binding.
//
// What is sent for a user who does not exist is what would be sent for one who
// does: a salt of the usual form, always the same for that name, the usual
// iterations, the same work, and a refusal after the proof and not before.
// Kafka refuses at the first message, by which users can be enumerated.
//
// A proof cannot be replayed: it is over the server's nonce, which is fresh in
// each exchange, and an exchange takes one proof only.
type scramExchange struct {
	x         *Exchange
	mechanism ScramMechanism
	asked     bool // the server's first message is out

	user        string
	session     *Session
	credential  cluster.ScramCredential
	expires     time.Time
	failure     Kind   // why it must fail whatever the proof is, or ""
	detail      string // of failure
	nonce       []byte // the client's and the server's
	gs2         []byte // as sent: the client must repeat it
	authMessage []byte // client-first-bare "," server-first ","
}

func (s *scramExchange) step(now time.Time, token []byte) Step {
	if !s.asked {
		s.asked = true
		return s.first(now, token)
	}
	return s.final(now, token)
}

func (s *scramExchange) first(now time.Time, token []byte) Step {
	m, err := parseClientFirst(token)
	if err != nil {
		return s.x.refuse(KindMalformed, "", "", err.Error())
	}
	s.user = m.user
	if m.authzid != "" && m.authzid != m.user {
		return s.x.refuse(KindAuthzID, m.user, differentAuthzID, "the authorization id is not the user name")
	}
	s.lookUp(now, m.user, m.tokenAuth)
	var random [24]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	s.nonce = base64.RawStdEncoding.AppendEncode(bytes.Clone(m.nonce), random[:])
	s.gs2 = bytes.Clone(m.gs2)

	reply := append([]byte("r="), s.nonce...)
	reply = append(reply, ",s="...)
	reply = base64.StdEncoding.AppendEncode(reply, s.credential.Salt)
	reply = append(reply, ",i="...)
	reply = strconv.AppendInt(reply, int64(s.credential.Iterations), 10)
	s.authMessage = append(bytes.Clone(m.bare), ',')
	s.authMessage = append(s.authMessage, reply...)
	s.authMessage = append(s.authMessage, ',')
	return Step{Outcome: Continue, Reply: reply}
}

// lookUp finds the credential, or makes one up that no proof can fit.
func (s *scramExchange) lookUp(now time.Time, user string, tokenAuth bool) {
	image := s.x.sasl.o.Image()
	s.session = &Session{Principal: &Principal{Type: UserType, Name: user}}
	var has bool
	if tokenAuth {
		has = s.lookUpToken(now, image, user)
	} else {
		s.credential, has = image.Scram[cluster.ScramKey{User: user, Mechanism: int8(s.mechanism)}]
		s.failure, s.detail = KindUnknownUser, "there is no such user, or it has no credential for "+s.mechanism.String()
	}
	fake := s.x.sasl.fake(s.mechanism, s.x.sasl.shapeOf(image, s.mechanism), user)
	if has && s.mechanism.usable(s.credential) {
		if s.failure == KindUnknownUser {
			s.failure = ""
		}
		return
	}
	s.credential = fake
}

func (s *scramExchange) lookUpToken(now time.Time, image *cluster.Image, id string) bool {
	s.failure, s.detail = KindUnknownUser, "there is no such delegation token"
	token, ok := image.Tokens[id]
	owner := keyOf(token.Owner)
	if !ok || owner.name == "" {
		return false
	}
	s.credential = token.ScramSHA256
	if s.mechanism == ScramSHA512 {
		s.credential = token.ScramSHA512
	}
	s.session.Principal = &Principal{Type: owner.typ, Name: owner.name, Token: true}
	s.session.TokenID = id
	s.expires = time.UnixMilli(min(token.ExpiryMs, token.MaxMs))
	if !s.expires.After(now) {
		s.failure, s.detail = KindExpired, "the delegation token has expired"
	}
	return true
}

func (s *scramExchange) final(now time.Time, token []byte) Step {
	m, err := parseClientFinal(token)
	if err != nil {
		return s.x.refuse(KindMalformed, s.user, "", err.Error())
	}
	if !bytes.Equal(m.binding, s.gs2) {
		return s.x.refuse(KindMalformed, s.user, "", "the channel binding is not the one of the first message")
	}
	// librdkafka before 2.6 puts its own nonce in front of the whole one once
	// more, and Kafka takes that (ScramSaslServer). The proof is over what the
	// client sent, and the server's part is fresh all the same.
	if !bytes.HasSuffix(m.nonce, s.nonce) {
		return s.x.refuse(KindMalformed, s.user, "", "the nonce is not the one of this exchange")
	}
	message := append(s.authMessage, m.withoutProof...)
	clientKey := s.mechanism.mac(s.credential.StoredKey, message) // the signature
	fits := len(m.proof) == len(clientKey)
	if fits {
		subtle.XORBytes(clientKey, clientKey, m.proof)
	}
	stored := s.mechanism.hash(clientKey)
	signature := s.mechanism.mac(s.credential.ServerKey, message)
	fits = subtle.ConstantTimeCompare(stored, s.credential.StoredKey) == 1 && fits
	switch {
	case s.failure != "":
		return s.x.refuse(s.failure, s.user, "", s.detail)
	case !fits:
		return s.x.refuse(KindBadPassword, s.user, "", "the proof does not fit the stored key")
	}
	reply := base64.StdEncoding.AppendEncode([]byte("v="), signature)
	return s.x.succeed(now, reply, s.session, s.expires)
}

// scramShape is what the stored credentials of a mechanism look like, for those
// that are made up.
type scramShape struct {
	count int
	usual int32 // the most common iterations
	most  int32 // the greatest
}

// shapeOf is remembered for one image: a change of the credentials costs one
// walk over them at the next login.
func (s *SASL) shapeOf(image *cluster.Image, m ScramMechanism) scramShape {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shaped || s.shapedAt != image.ScramVersion {
		s.shape, s.shaped, s.shapedAt = shapes(image), true, image.ScramVersion
	}
	return s.shape[m]
}

func shapes(image *cluster.Image) (shape [ScramSHA512 + 1]scramShape) {
	var seen [ScramSHA512 + 1]map[int32]int
	for m := ScramSHA256; m <= ScramSHA512; m++ {
		seen[m] = map[int32]int{}
		shape[m] = scramShape{usual: MinIterations, most: MinIterations}
	}
	for key, c := range image.Scram {
		m := ScramMechanism(key.Mechanism)
		if !m.valid() || !m.usable(c) {
			continue
		}
		s := &shape[m]
		s.count++
		s.most = max(s.most, c.Iterations)
		seen[m][c.Iterations]++
		n, best := seen[m][c.Iterations], seen[m][s.usual]
		if n > best || n == best && c.Iterations < s.usual {
			s.usual = c.Iterations
		}
	}
	return shape
}

// fake is the credential of somebody who does not exist: the same salt each
// time and keys that nobody knows.
func (s *SASL) fake(m ScramMechanism, shape scramShape, user string) cluster.ScramCredential {
	sum := hmac.New(m.new(), s.secret[:])
	sum.Write([]byte{byte(m)})
	sum.Write([]byte(user))
	key := sum.Sum(nil)
	salt := saltText(key)
	sum.Write([]byte{0})
	stored := sum.Sum(nil)
	return cluster.ScramCredential{Salt: salt, StoredKey: stored, ServerKey: key, Iterations: shape.usual}
}

// saslName undoes the escapes of a SASLname; anything else with '=' in it, and
// an empty name, is none.
func saslName(b []byte) (string, bool) {
	s := string(b)
	if !strings.Contains(s, "=") {
		return s, s != ""
	}
	var name strings.Builder
	for {
		at := strings.IndexByte(s, '=')
		if at < 0 {
			name.WriteString(s)
			return name.String(), true
		}
		name.WriteString(s[:at])
		switch s = s[at:]; {
		case strings.HasPrefix(s, "=2C"):
			name.WriteByte(',')
		case strings.HasPrefix(s, "=3D"):
			name.WriteByte('=')
		default:
			return "", false
		}
		s = s[3:]
	}
}

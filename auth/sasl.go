package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// The mechanisms of Kafka that are served.
const (
	MechanismPlain       = "PLAIN"
	MechanismSHA256      = "SCRAM-SHA-256"
	MechanismSHA512      = "SCRAM-SHA-512"
	MechanismOAuthBearer = "OAUTHBEARER"
)

// SASLOptions is what a listener's SASL needs.
type SASLOptions struct {
	// Mechanisms in the order in which a handshake lists them
	// (sasl.enabled.mechanisms).
	Mechanisms []string
	// Image gives the newest image, for credentials and tokens.
	Image func() *cluster.Image
	// PlainUsers are users of PLAIN besides those of the image, with SCRAM-SHA-256
	// credentials of MinIterations (see [PlainUsers]). They stay in memory.
	PlainUsers map[string]cluster.ScramCredential
	// OAuth validates bearer tokens; needed with OAUTHBEARER only.
	OAuth *OAuth
	// MaxReauth ends a session after that long unless it authenticates again
	// (connections.max.reauth.ms), by mechanism; "" for all that are not named.
	MaxReauth map[string]time.Duration
}

// SASL starts exchanges for one listener. Any goroutine.
type SASL struct {
	o SASLOptions
	// secret makes the fake salts of users who do not exist: the same for a
	// name each time, different in each life of the broker.
	secret [32]byte
	recall recall

	guessing guessing
	hashed   [ScramSHA512 + 1]atomic.Int64

	mu       sync.Mutex // guards what follows
	shape    [ScramSHA512 + 1]scramShape
	shaped   bool
	shapedAt int64 // the ScramVersion that shape was made from
}

// NewSASL refuses a mechanism that it does not know.
func NewSASL(o SASLOptions) (*SASL, error) {
	if o.Image == nil {
		return nil, errors.New("auth: SASL needs the cluster's image to look credentials up in")
	}
	if len(o.Mechanisms) == 0 {
		return nil, errors.New("auth: SASL needs at least one mechanism in sasl.enabled.mechanisms")
	}
	for _, m := range o.Mechanisms {
		switch m {
		case MechanismPlain, MechanismSHA256, MechanismSHA512:
		case MechanismOAuthBearer:
			if o.OAuth == nil {
				return nil, errors.New("auth: OAUTHBEARER needs keys: set sasl.oauthbearer.jwks.endpoint.url")
			}
		default:
			return nil, fmt.Errorf("auth: the SASL mechanism %q in sasl.enabled.mechanisms is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER", m)
		}
	}
	s := &SASL{o: o, recall: recall{users: map[string][sha256.Size]byte{}}}
	rand.Read(s.secret[:]) // never fails: crypto/rand ends the program instead
	rand.Read(s.recall.key[:])
	return s, nil
}

// Mechanisms is what a handshake lists. Not to be written to.
func (s *SASL) Mechanisms() []string { return s.o.Mechanisms }

// Session is what an authenticated connection is and until when.
type Session struct {
	Principal *Principal
	Mechanism string
	// Lifetime is session_lifetime_ms (KIP-368): how long from the end of the
	// authentication the client may go on without authenticating again. Zero is
	// for ever.
	Lifetime time.Duration
	// Expired says that Lifetime is zero because the credential's time is over
	// already, and not because it has none.
	Expired bool
	// TokenID is the delegation token that it logged in with, or "".
	TokenID string
	// Scopes are a bearer token's.
	Scopes []string
}

// Outcome is what a step came to.
type Outcome int8

const (
	// Continue: send Reply and give the client's next token to Step.
	Continue Outcome = iota
	// Success: send Reply (empty, not null); Session holds.
	Success
	// Refused: answer SASL_AUTHENTICATION_FAILED with Message and close after
	// the delay; after a handshake of version 0 close without an answer.
	Refused
)

// Step is the answer to one token of a client.
type Step struct {
	Outcome Outcome
	Reply   []byte
	Message string
	Session *Session
	// Failure is not nil exactly once in an exchange that fails, in the step
	// that decided it: audit it then. OAUTHBEARER decides one step before it is
	// Refused, since its error goes to the client as a challenge first.
	Failure *Failure
}

// Exchange is one authentication. It is a state machine: it starts no
// goroutine and keeps no reference to a token that it was given. One goroutine
// at a time.
type Exchange struct {
	sasl      *SASL
	mechanism string
	again     *Session // of the connection when it authenticates again
	run       mechanism
	over      bool
}

// mechanism is one exchange of one mechanism.
type mechanism interface {
	// step does one token; the caller has bounded its length.
	step(now time.Time, token []byte) Step
}

// maxSASLToken bounds one client token. Kafka's cap is 512 KiB
// (sasl.server.max.receive.size); no mechanism here needs it, and those who
// are not yet known get frames of 64 KiB at most.
const maxSASLToken = 64 << 10

// Start begins an exchange; again is the session of a connection that
// authenticates again (KIP-368) and nil at first. An error is an *Error with
// UNSUPPORTED_SASL_MECHANISM.
func (s *SASL) Start(mechanism string, again *Session) (*Exchange, error) {
	if !slices.Contains(s.o.Mechanisms, mechanism) {
		return nil, &Error{Code: CodeUnsupportedMechanism, Message: fmt.Sprintf("the SASL mechanism %q is not enabled", claimed(mechanism))}
	}
	x := &Exchange{sasl: s, mechanism: mechanism, again: again}
	switch mechanism {
	case MechanismPlain:
		x.run = &plainExchange{x: x}
	case MechanismSHA256:
		x.run = &scramExchange{x: x, mechanism: ScramSHA256}
	case MechanismSHA512:
		x.run = &scramExchange{x: x, mechanism: ScramSHA512}
	case MechanismOAuthBearer:
		x.run = &oauthExchange{x: x}
	}
	return x, nil
}

// Mechanism is the exchange's.
func (x *Exchange) Mechanism() string { return x.mechanism }

// Slow reports whether Step may take milliseconds (password hashing, waiting
// for keys) and must not run on a loop. SCRAM's steps are microseconds: its
// client does the hashing.
func (x *Exchange) Slow() bool {
	return x.mechanism == MechanismPlain || x.mechanism == MechanismOAuthBearer
}

// Recalls reports whether the token is a user's password that was found right
// before: Step is cheap then, though the exchange is Slow. Give that token to
// Step next, and no other.
func (x *Exchange) Recalls(token []byte) bool {
	p, ok := x.run.(*plainExchange)
	if !ok || x.over || len(token) > maxSASLToken {
		return false
	}
	_, user, password, why := parsePlain(token)
	p.recalled = why == "" && user != "" && password != "" && x.sasl.recalls(user, password)
	return p.recalled
}

// Hashes reports whether Step hashes a password, milliseconds of a core that
// anybody can ask for: let few do it at one time.
func (x *Exchange) Hashes() bool { return x.mechanism == MechanismPlain }

// Step does the client's next token. The token is not kept.
func (x *Exchange) Step(now time.Time, token []byte) Step {
	if x.over {
		return Step{Outcome: Refused, Message: x.generic()}
	}
	if x.again != nil && x.again.Mechanism != x.mechanism {
		return x.refuse(KindMechanism, x.again.Principal.Name,
			fmt.Sprintf("SASL mechanism '%s' requested by client is not supported for re-authentication of mechanism '%s'", x.mechanism, x.again.Mechanism),
			"the mechanism changed at re-authentication")
	}
	if len(token) > maxSASLToken {
		return x.refuse(KindMalformed, "", "", fmt.Sprintf("the SASL token has %d bytes, more than %d", len(token), maxSASLToken))
	}
	step := x.run.step(now, token)
	if step.Outcome != Continue {
		x.over = true
	}
	return step
}

// generic is Kafka's message for everything that must not be told apart.
func (x *Exchange) generic() string {
	during := "authentication"
	if x.again != nil {
		during = "re-authentication"
	}
	return "Authentication failed during " + during + " due to invalid credentials with SASL mechanism " + x.mechanism
}

// refuse ends the exchange; message "" is the generic one.
func (x *Exchange) refuse(kind Kind, user, message, detail string) Step {
	x.over = true
	if message == "" {
		message = x.generic()
	}
	return Step{Outcome: Refused, Message: message, Failure: &Failure{Kind: kind, User: claimed(user), Detail: detail}}
}

// succeed ends the exchange well, unless it was to be the same principal again
// and is another. expires is when the credential ends, zero for never.
func (x *Exchange) succeed(now time.Time, reply []byte, session *Session, expires time.Time) Step {
	if x.again != nil && !x.again.Principal.Is(session.Principal) {
		was, is := x.again.Principal, session.Principal
		return x.refuse(KindPrincipal, is.Name, fmt.Sprintf(
			"Cannot change principals during re-authentication from %s.%s: %s.%s", was.Type, was.Name, is.Type, is.Name),
			"the principal changed at re-authentication")
	}
	session.Mechanism = x.mechanism
	limit, ok := x.sasl.o.MaxReauth[x.mechanism]
	if !ok {
		limit = x.sasl.o.MaxReauth[""]
	}
	session.Lifetime = max(limit, 0)
	if !expires.IsZero() {
		left := expires.Sub(now).Truncate(time.Millisecond)
		if left <= 0 {
			session.Expired, session.Lifetime = true, 0
		} else if limit <= 0 || left < limit {
			session.Lifetime = left
		}
	}
	if reply == nil {
		reply = []byte{}
	}
	return Step{Outcome: Success, Reply: reply, Session: session}
}

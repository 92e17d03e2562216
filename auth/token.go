package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"math"
	"slices"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// TokenOptions shapes delegation tokens (KIP-48).
type TokenOptions struct {
	// SecretKey makes the tokens' HMACs; "" refuses all token requests
	// (delegation.token.secret.key).
	SecretKey string
	// MaxLifetime of a token however often it is renewed, 7 days by default
	// (delegation.token.max.lifetime.ms).
	MaxLifetime time.Duration
	// RenewLifetime is how long a token holds without being renewed, one day by
	// default (delegation.token.expiry.time.ms).
	RenewLifetime time.Duration
	// MaxTokens at once, 10,000 by default; more are refused with
	// POLICY_VIOLATION.
	MaxTokens int
}

// Tokens is the rules of delegation tokens, on the cluster's image: what may be
// made, renewed, expired and seen by whom, with the record's new content. It
// holds no state. The checks of the API come first: TokensAllowed for all four,
// and for a token of another owner CREATE_TOKENS on that user.
//
// All errors are *Error with Kafka's code. Times are Kafka's, in milliseconds.
type Tokens struct{ o TokenOptions }

// NewTokens fills in the defaults.
func NewTokens(o TokenOptions) *Tokens {
	if o.MaxLifetime <= 0 {
		o.MaxLifetime = 7 * 24 * time.Hour
	}
	if o.RenewLifetime <= 0 {
		o.RenewLifetime = 24 * time.Hour
	}
	if o.MaxTokens <= 0 {
		o.MaxTokens = 10_000
	}
	return &Tokens{o: o}
}

// TokensAllowed reports whether a connection may ask about tokens at all: not
// without authentication or on a plain listener, and not with a token, since a
// token must not beget tokens (KafkaApis.allowTokenRequests). plaintext says
// that the listener's protocol is PLAINTEXT.
func TokensAllowed(p *Principal, plaintext bool) error {
	if plaintext || p.Token || p.Is(Anonymous) {
		return &Error{Code: CodeTokenNotAllowed,
			Message: "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels."}
	}
	return nil
}

var errTokensDisabled = &Error{Code: CodeTokenDisabled, Message: "Delegation Token feature is not enabled."}

// Enabled reports whether there is a secret key.
func (t *Tokens) Enabled() bool { return t.o.SecretKey != "" }

// Create makes a token of the owner for the requester; maxLifetimeMs of zero or
// less is the default. Renewers must be of the type User. The image is for the
// count. It derives two SCRAM credentials: not on a loop.
func (t *Tokens) Create(image *cluster.Image, requester, owner *Principal, renewers []Principal, maxLifetimeMs int64, now time.Time) (cluster.Token, error) {
	if !t.Enabled() {
		return cluster.Token{}, errTokensDisabled
	}
	if len(image.Tokens) >= t.o.MaxTokens {
		return cluster.Token{}, &Error{Code: CodePolicyViolation, Message: "There are as many delegation tokens as may be; expire some."}
	}
	life := t.o.MaxLifetime.Milliseconds()
	if maxLifetimeMs > 0 {
		life = min(life, maxLifetimeMs)
	}
	ms := now.UnixMilli()
	token := cluster.Token{
		ID:        newTokenID(),
		Owner:     owner.String(),
		Requester: requester.String(),
		IssuedMs:  ms,
		MaxMs:     later(ms, life),
	}
	token.ExpiryMs = min(token.MaxMs, later(ms, t.o.RenewLifetime.Milliseconds()))
	for _, r := range renewers {
		if r.Type != UserType {
			return cluster.Token{}, &Error{Code: CodeInvalidPrincipalType, Message: "Supplied principalType is not supported."}
		}
		token.Renewers = append(token.Renewers, r.String())
	}
	mac := hmac.New(sha512.New, []byte(t.o.SecretKey))
	mac.Write([]byte(token.ID))
	token.HMAC = mac.Sum(nil)

	var err error
	password := base64.StdEncoding.EncodeToString(token.HMAC)
	if token.ScramSHA256, err = NewCredential(token.ID, ScramSHA256, password, MinIterations); err != nil {
		return cluster.Token{}, err
	}
	if token.ScramSHA512, err = NewCredential(token.ID, ScramSHA512, password, MinIterations); err != nil {
		return cluster.Token{}, err
	}
	return token, nil
}

// newTokenID is in the form of Kafka's Uuid: 16 random bytes in URL-safe
// base 64, never with a leading dash, which tools take for a flag.
func newTokenID() string {
	for {
		var id [16]byte
		rand.Read(id[:]) // never fails: crypto/rand ends the program instead
		if s := base64.RawURLEncoding.EncodeToString(id[:]); s[0] != '-' {
			return s
		}
	}
}

// later adds without overflow.
func later(ms, by int64) int64 {
	if by > math.MaxInt64-ms {
		return math.MaxInt64
	}
	return ms + by
}

// find looks a token up by its HMAC, in a time that does not tell how much of
// it was right.
func find(image *cluster.Image, mac []byte) (found cluster.Token, ok bool) {
	for _, token := range image.Tokens {
		if subtle.ConstantTimeCompare(token.HMAC, mac) == 1 {
			found, ok = token, true
		}
	}
	return found, ok
}

func expired(token *cluster.Token, ms int64) bool { return token.MaxMs < ms || token.ExpiryMs < ms }

// mine: owner and renewers may renew and expire.
func mine(token *cluster.Token, p *Principal) bool {
	who := p.String()
	return token.Owner == who || slices.Contains(token.Renewers, who)
}

var (
	errTokenNotFound = &Error{Code: CodeTokenNotFound, Message: "Delegation Token is not found on server."}
	errTokenExpired  = &Error{Code: CodeTokenExpired, Message: "Delegation Token is expired."}
	errTokenMismatch = &Error{Code: CodeTokenOwnerMismatch, Message: "Specified Principal is not valid Owner/Renewer."}
)

// Renew gives the token with a later expiry: periodMs from now, the default for
// zero or less, never beyond its greatest lifetime.
func (t *Tokens) Renew(image *cluster.Image, p *Principal, mac []byte, periodMs int64, now time.Time) (cluster.Token, error) {
	if !t.Enabled() {
		return cluster.Token{}, errTokensDisabled
	}
	token, ok := find(image, mac)
	ms := now.UnixMilli()
	switch {
	case !ok:
		return cluster.Token{}, errTokenNotFound
	case expired(&token, ms):
		return cluster.Token{}, errTokenExpired
	case !mine(&token, p):
		return cluster.Token{}, errTokenMismatch
	}
	life := t.o.RenewLifetime.Milliseconds()
	if periodMs > 0 {
		life = min(life, periodMs)
	}
	token.ExpiryMs = min(token.MaxMs, later(ms, life))
	return token, nil
}

// Expire gives the token with an expiry of periodMs from now, or, for a
// negative one, says that it is to be removed at once (then its ExpiryMs is
// now, for the response).
func (t *Tokens) Expire(image *cluster.Image, p *Principal, mac []byte, periodMs int64, now time.Time) (token cluster.Token, remove bool, err error) {
	if !t.Enabled() {
		return cluster.Token{}, false, errTokensDisabled
	}
	token, ok := find(image, mac)
	ms := now.UnixMilli()
	switch {
	case !ok:
		return cluster.Token{}, false, errTokenNotFound
	case !mine(&token, p):
		return cluster.Token{}, false, errTokenMismatch
	case periodMs < 0:
		token.ExpiryMs = ms
		return token, true, nil
	case expired(&token, ms):
		return cluster.Token{}, false, errTokenExpired
	}
	token.ExpiryMs = min(token.MaxMs, later(ms, periodMs))
	return token, false, nil
}

// Describe lists the tokens that the principal may see, by id: those of the
// owners asked for (nil for all, empty for none), which means tokens that one
// of them owns, asked for or may renew; of these its own, and what may allows
// (DESCRIBE on the token or DESCRIBE_TOKENS on its owner).
func (t *Tokens) Describe(image *cluster.Image, p *Principal, owners []Principal, may func(*cluster.Token) bool) ([]cluster.Token, error) {
	if !t.Enabled() {
		return nil, errTokensDisabled
	}
	var list []cluster.Token
	for _, token := range image.Tokens {
		wanted := owners == nil || slices.ContainsFunc(owners, func(o Principal) bool { return involved(&token, &o) })
		if wanted && (involved(&token, p) || may(&token)) {
			list = append(list, token)
		}
	}
	slices.SortFunc(list, func(a, b cluster.Token) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return list, nil
}

func involved(token *cluster.Token, p *Principal) bool {
	return mine(token, p) || token.Requester == p.String()
}

// Expired lists the ids of tokens whose time is over, to be removed
// (delegation.token.expiry.check.interval.ms).
func Expired(image *cluster.Image, now time.Time) []string {
	var ids []string
	ms := now.UnixMilli()
	for id, token := range image.Tokens {
		if expired(&token, ms) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

package auth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// OAuthOptions says which bearer tokens hold. The names in brackets are
// Kafka's keys.
type OAuthOptions struct {
	// JWKSURL is where the keys are, a file: or https: URL
	// (sasl.oauthbearer.jwks.endpoint.url). http: is taken for loopback only.
	JWKSURL string
	// Issuer must be the token's iss when set (sasl.oauthbearer.expected.issuer).
	Issuer string
	// Audience: one of it must be in the token's aud when set
	// (sasl.oauthbearer.expected.audience).
	Audience []string
	// ClockSkew is allowed on exp and nbf; 30 s by default
	// (sasl.oauthbearer.clock.skew.seconds). Negative for none.
	ClockSkew time.Duration
	// Algorithms that a token may be signed with; all asymmetric ones of RFC
	// 7518 and EdDSA by default. HMAC and none are refused here: a public key is
	// no secret.
	Algorithms []string
	// PrincipalClaim and ScopeClaim name the claims that hold the user and the
	// scopes (sasl.oauthbearer.sub.claim.name, sasl.oauthbearer.scope.claim.name).
	PrincipalClaim, ScopeClaim string
	// RequiredScopes must all be among the token's.
	RequiredScopes []string
	// Refresh is how often the keys are fetched again; 1 h by default
	// (sasl.oauthbearer.jwks.endpoint.refresh.ms). A file is looked at every 5 s.
	Refresh time.Duration
	// TLS of the fetch; nil for the system's roots.
	TLS *tls.Config
	// InsecureAcceptUnsignedTokens takes tokens of the algorithm "none" and no
	// others: anybody is whom they say they are. For trying things out only; it
	// goes with no JWKSURL.
	InsecureAcceptUnsignedTokens bool

	Logger *slog.Logger
	Go     func(name string, f func())
}

// OAuth validates bearer tokens. Any goroutine.
type OAuth struct {
	o       OAuthOptions
	options []jwt.ParserOption // all but the time
	keys    *jwks              // nil for unsigned tokens
}

// asymmetric are the algorithms that a token may be signed with at most.
var asymmetric = [...]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// NewOAuth reads the keys once if they are in a file, and starts to fetch them
// otherwise; until the first fetch is done no token holds.
func NewOAuth(o OAuthOptions) (*OAuth, error) {
	if o.PrincipalClaim == "" {
		o.PrincipalClaim = "sub"
	}
	if o.ScopeClaim == "" {
		o.ScopeClaim = "scope"
	}
	if o.ClockSkew == 0 {
		o.ClockSkew = 30 * time.Second
	}
	if o.Refresh <= 0 {
		o.Refresh = time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = asymmetric[:]
	}
	for _, alg := range o.Algorithms {
		if !slices.Contains(asymmetric[:], alg) {
			return nil, fmt.Errorf("auth: bearer tokens signed with %q are not accepted; choose among %s", alg, strings.Join(asymmetric[:], ", "))
		}
	}
	a := &OAuth{o: o}
	methods := o.Algorithms
	switch {
	case o.InsecureAcceptUnsignedTokens && o.JWKSURL != "":
		return nil, errors.New("auth: unsigned bearer tokens and sasl.oauthbearer.jwks.endpoint.url exclude each other; choose one")
	case o.InsecureAcceptUnsignedTokens:
		methods = []string{"none"}
	default:
		keys, err := newJWKS(o)
		if err != nil {
			return nil, err
		}
		a.keys = keys
	}
	a.options = []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithStrictDecoding(), jwt.WithExpirationRequired(),
		jwt.WithLeeway(max(o.ClockSkew, 0)),
	}
	if o.Issuer != "" {
		a.options = append(a.options, jwt.WithIssuer(o.Issuer))
	}
	if len(o.Audience) != 0 {
		a.options = append(a.options, jwt.WithAudience(o.Audience...))
	}
	return a, nil
}

// Close ends the fetching of keys.
func (a *OAuth) Close() error {
	if a.keys != nil {
		a.keys.close()
	}
	return nil
}

// Reload reads the keys again now; it returns at once.
func (a *OAuth) Reload() {
	if a.keys != nil {
		a.keys.wake()
	}
}

// Bearer is what a token says that holds.
type Bearer struct {
	Name    string
	Scopes  []string
	Expires time.Time
}

// errCritical refuses a token with extensions that must be understood (RFC 7515
// section 4.1.11), of which none is.
var errCritical = errors.New("the token has a critical header that is not understood")

// Validate checks a token: signature by a known key, algorithm, expiry, not
// before, issuer, audience, then the claims that Kafka needs (exp, iat, the
// principal). It may wait two seconds for fresh keys when the token's key is
// not known. It never returns both results nil.
func (a *OAuth) Validate(now time.Time, token string) (*Bearer, *Failure) {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(append(slices.Clip(a.options), jwt.WithTimeFunc(func() time.Time { return now }))...)
	parsed, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical {
			return nil, errCritical
		}
		if a.keys == nil {
			return jwt.UnsafeAllowNoneSignatureType, nil
		}
		return a.keys.verifying(t)
	})
	name, _ := claims[a.o.PrincipalClaim].(string)
	if err != nil || !parsed.Valid {
		return nil, &Failure{Kind: a.kindOf(err, claims), User: claimed(name), Detail: "the bearer token does not hold: " + cutDetail(err)}
	}
	refuse := func(kind Kind, format string, args ...any) (*Bearer, *Failure) {
		return nil, &Failure{Kind: kind, User: claimed(name), Detail: fmt.Sprintf(format, args...)}
	}
	if strings.TrimSpace(name) == "" {
		return refuse(KindMalformed, "the bearer token has no claim %q, or it is no text", a.o.PrincipalClaim)
	}
	if len(name) > maxPrincipalName {
		return refuse(KindMalformed, "the bearer token's claim %q has %d bytes, more than %d", a.o.PrincipalClaim, len(name), maxPrincipalName)
	}
	if issued, err := claims.GetIssuedAt(); err != nil || issued == nil {
		return refuse(KindMalformed, "the bearer token has no iat")
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return refuse(KindMalformed, "the bearer token has no exp")
	}
	scopes, ok := scopesOf(claims[a.o.ScopeClaim])
	if !ok {
		return refuse(KindMalformed, "the bearer token's claim %q is neither text nor a list of texts", a.o.ScopeClaim)
	}
	for _, need := range a.o.RequiredScopes {
		if !slices.Contains(scopes, need) {
			return refuse(KindScope, "the bearer token lacks the scope %q", need)
		}
	}
	return &Bearer{Name: name, Scopes: scopes, Expires: expires.Time}, nil
}

// maxPrincipalName bounds a principal that comes from a token or a certificate.
const maxPrincipalName = 1024

func (a *OAuth) kindOf(err error, claims jwt.MapClaims) Kind {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(errCritical), is(jwt.ErrTokenMalformed):
		return KindMalformed
	case is(jwt.ErrTokenUnverifiable), is(jwt.ErrTokenSignatureInvalid):
		return KindBadSignature
	case is(jwt.ErrTokenExpired), is(jwt.ErrTokenNotValidYet):
		return KindExpired
	case is(jwt.ErrTokenInvalidAudience):
		return KindAudience
	case is(jwt.ErrTokenInvalidIssuer):
		return KindIssuer
	case is(jwt.ErrTokenRequiredClaimMissing):
		if _, ok := claims["exp"]; !ok {
			return KindMalformed
		}
		if _, ok := claims["iss"]; !ok && a.o.Issuer != "" {
			return KindIssuer
		}
		if len(a.o.Audience) != 0 {
			return KindAudience
		}
	}
	return KindMalformed
}

// cutDetail bounds an error's text, which may quote the client's.
func cutDetail(err error) string {
	if err == nil {
		return "it is not valid"
	}
	s := err.Error()
	if len(s) > 300 {
		s = s[:300]
	}
	return s
}

// scopesOf reads a scope claim: words in one text (RFC 8693) or a list of texts.
func scopesOf(claim any) ([]string, bool) {
	switch c := claim.(type) {
	case nil:
		return nil, true
	case string:
		return strings.Fields(c), true
	case []any:
		scopes := make([]string, 0, len(c))
		for _, one := range c {
			s, ok := one.(string)
			if !ok {
				return nil, false
			}
			scopes = append(scopes, strings.TrimSpace(s))
		}
		return scopes, true
	}
	return nil, false
}

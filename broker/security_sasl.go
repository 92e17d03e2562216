package broker

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// makeSASL makes a listener's mechanisms from Kafka's keys.
func (s *security) makeSASL(l *listener) error {
	b := s.b
	users, err := auth.PlainUsers(b.listenerValue(l, auth.MechanismPlain, "sasl.jaas.config"))
	if err != nil {
		return fmt.Errorf("sasl.jaas.config: %w", err)
	}
	mechanisms, err := s.mechanisms(l, len(users) > 0)
	if err != nil {
		return err
	}
	o := auth.SASLOptions{Mechanisms: mechanisms, Image: b.cluster.Image, PlainUsers: users, MaxReauth: map[string]time.Duration{}}
	for _, m := range append([]string{""}, mechanisms...) {
		if v := b.listenerValue(l, m, "connections.max.reauth.ms"); v != "" {
			ms, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err != nil {
				return fmt.Errorf("connections.max.reauth.ms=%s is no number of milliseconds: %w", v, err)
			}
			o.MaxReauth[m] = time.Duration(ms) * time.Millisecond
		}
	}
	if slices.Contains(mechanisms, auth.MechanismOAuthBearer) {
		if o.OAuth, err = s.makeOAuth(l); err != nil {
			return err
		}
	}
	made, err := auth.NewSASL(o)
	if err != nil {
		return err
	}
	l.sasl.Store(made)
	return nil
}

// mechanisms is sasl.enabled.mechanisms of a listener. Kafka's default is
// GSSAPI alone, which is not served; here it is SCRAM, and PLAIN where the
// password travels encrypted or the configuration names users of PLAIN.
func (s *security) mechanisms(l *listener, plainUsers bool) ([]string, error) {
	list := splitList(s.b.listenerValue(l, "", "sasl.enabled.mechanisms"))
	if len(list) == 0 {
		list = []string{auth.MechanismSHA256, auth.MechanismSHA512}
		if l.protocol.TLS() || plainUsers {
			list = append(list, auth.MechanismPlain)
		}
		return list, nil
	}
	served := slices.DeleteFunc(list, func(m string) bool { return m == "GSSAPI" })
	if len(served) == 0 {
		return nil, errors.New("sasl.enabled.mechanisms has GSSAPI alone, which is not served; name some of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER")
	}
	return served, nil
}

// makeOAuth makes what checks a listener's bearer tokens. s.mu is held, or
// nothing is served yet.
func (s *security) makeOAuth(l *listener) (*auth.OAuth, error) {
	b := s.b
	get := func(key string) string { return b.listenerValue(l, auth.MechanismOAuthBearer, "sasl.oauthbearer."+key) }
	seconds := int64(30)
	if v := get("clock.skew.seconds"); v != "" {
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("sasl.oauthbearer.clock.skew.seconds=%s is no number: %w", v, err)
		}
		seconds = n
	}
	o := auth.OAuthOptions{
		JWKSURL: get("jwks.endpoint.url"), Issuer: get("expected.issuer"), Audience: splitList(get("expected.audience")),
		PrincipalClaim: get("sub.claim.name"), ScopeClaim: get("scope.claim.name"),
		ClockSkew: time.Duration(seconds) * time.Second,
		Logger:    b.logger, Go: b.goroutines.Go,
	}
	if seconds == 0 {
		o.ClockSkew = -1 // none, where zero is the default
	}
	if v := get("jwks.endpoint.refresh.ms"); v != "" {
		ms, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("sasl.oauthbearer.jwks.endpoint.refresh.ms=%s is no number: %w", v, err)
		}
		o.Refresh = time.Duration(ms) * time.Millisecond
	}
	if o.JWKSURL == "" && b.opt.InsecureAcceptUnsignedTokens {
		b.logger.Warn("unsigned bearer tokens are taken: anybody is whom they say they are", "listener", l.name)
		o.InsecureAcceptUnsignedTokens = true
	}
	made, err := auth.NewOAuth(o)
	if err != nil {
		return nil, err
	}
	if old := s.oauth[l.name]; old != nil {
		if err := old.Close(); err != nil {
			b.logger.Warn("the old keys of bearer tokens did not close in order", "listener", l.name, "error", err)
		}
	}
	s.oauth[l.name] = made
	return made, nil
}

// passwordCheck is PLAIN for the admin server: the users of the metadata log
// and those of every listener's configuration.
func (s *security) passwordCheck() (*auth.SASL, error) {
	users := map[string]cluster.ScramCredential{}
	for _, l := range s.b.listeners {
		if !l.protocol.SASL() {
			continue
		}
		own, err := auth.PlainUsers(s.b.listenerValue(l, auth.MechanismPlain, "sasl.jaas.config"))
		if err != nil {
			return nil, err
		}
		for name, c := range own {
			users[name] = c
		}
	}
	return auth.NewSASL(auth.SASLOptions{Mechanisms: []string{auth.MechanismPlain}, Image: s.b.cluster.Image, PlainUsers: users})
}

// hashed runs a step that hashes a password when it is its turn. Not on a loop.
func (s *security) hashed(step func() auth.Step) auth.Step {
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	return step()
}

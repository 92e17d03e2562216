package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/netloop"
)

// security is who clients are, what they may do and how much of it: what the
// values of package auth need of a broker.
//
// Two steps, since listeners are bound before the metadata is read: prepare
// makes certificates, open everything that needs the cluster. Connections are
// served after both.
type security struct {
	b *Broker

	audit    *auth.Audit // nil without a file and a topic
	attempts *auth.Attempts
	quotas   *auth.Quotas
	tokens   *auth.Tokens
	// passwords checks the users of the admin server.
	passwords *auth.SASL

	authTimeout  time.Duration
	failureDelay time.Duration
	strangers    int // connections on one loop that have not logged in, at most
	// hashing is taken while a password is hashed: half of the cores may do
	// that at one time, so that guesses do not take them from those who are in.
	hashing chan struct{}

	mu      sync.Mutex
	oauth   map[string]*auth.OAuth // mu; by listener
	applied map[string]string      // mu; the dynamic keys that listeners were made with
	closed  bool                   // mu
	admin   *listener              // mu; certificates of the admin server, or nil

	usersMu sync.Mutex     // loops take it: nothing waits with it held
	users   map[string]int // usersMu; connections of those who are logged in
}

// defaultAuthTimeout is how long a client may take to log in.
const defaultAuthTimeout = 10 * time.Second

// prepare makes the certificates of listeners with TLS.
func (s *security) prepare() error {
	s.authTimeout = s.b.opt.AuthTimeout
	if s.authTimeout <= 0 {
		s.authTimeout = defaultAuthTimeout
	}
	s.oauth = map[string]*auth.OAuth{}
	s.users = map[string]int{}
	s.hashing = make(chan struct{}, max(runtime.NumCPU()/2, 1))
	for _, l := range s.b.listeners {
		if !l.protocol.TLS() {
			continue
		}
		if err := s.makeTLS(l); err != nil {
			return fmt.Errorf("broker: listener %s: %w", l.name, err)
		}
	}
	return nil
}

// open makes what needs the cluster, and the first admin user.
func (s *security) open() error {
	b := s.b
	s.failureDelay = b.cluster.BrokerMillis("connection.failed.authentication.delay.ms")
	s.attempts = auth.NewAttempts(auth.AttemptOptions{})
	s.strangers = int(max(b.limit(limitStrangers)/int64(len(b.loops)), 1))
	s.quotas = auth.NewQuotas(b.cluster, auth.QuotaOptions{
		Windows:    int(b.cluster.BrokerInt("quota.window.num")),
		WindowSize: time.Duration(b.cluster.BrokerInt("quota.window.size.seconds")) * time.Second,
	})
	s.tokens = auth.NewTokens(auth.TokenOptions{
		SecretKey:     b.static["delegation.token.secret.key"],
		MaxLifetime:   b.cluster.BrokerMillis("delegation.token.max.lifetime.ms"),
		RenewLifetime: b.cluster.BrokerMillis("delegation.token.expiry.time.ms"),
	})
	super := splitUsers(b.static["super.users"])
	admins, err := s.firstAdmin()
	if err != nil {
		return err
	}
	b.auth = auth.NewAuthorizer(b.cluster, b.static["authorizer.class.name"] != "" || b.Authenticates(),
		append(super, admins...), strings.EqualFold(b.static["allow.everyone.if.no.acl.found"], "true"))
	if err := s.openAudit(); err != nil {
		return err
	}
	for _, l := range b.listeners {
		if !l.protocol.SASL() {
			continue
		}
		if err := s.makeSASL(l); err != nil {
			return fmt.Errorf("broker: listener %s: %w", l.name, err)
		}
	}
	if s.passwords, err = s.passwordCheck(); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	s.applied = s.dynamic()
	if len(s.applied) > 0 {
		if err := s.remake(); err != nil {
			return fmt.Errorf("broker: the security settings made at run time: %w", err)
		}
	}
	b.cluster.Subscribe(func(old, image *cluster.Image) {
		if old == nil || old.ConfigsVersion != image.ConfigsVersion {
			b.goroutines.Go("security-settings", s.settingsChanged)
		}
	})
	if s.tokens.Enabled() {
		b.background("token-expiry", s.expireTokens)
	}
	return nil
}

// openAudit opens the audit log: where the options say, and for a broker that
// authenticates in its first data directory when they do not; and in a topic when
// they say that.
func (s *security) openAudit() error {
	b := s.b
	path := b.opt.AuditFile
	switch {
	case path == "off", path == "" && (b.opt.FS != nil || !b.auth.Enabled()):
		path = ""
	case path == "":
		path = filepath.Join(b.opt.DataDirs[0], "audit.log")
	}
	o := auth.AuditOptions{Path: path, Logger: b.logger, Go: b.goroutines.Go}
	if name := b.opt.AuditTopic; name != "" {
		o.Sink = (&auditTopic{b, name}).append
	}
	if o.Path == "" && o.Sink == nil {
		return nil
	}
	audit, err := auth.NewAudit(o)
	if err != nil {
		return fmt.Errorf("broker: the audit log: %w", err)
	}
	s.audit = audit
	return nil
}

// auditCloseTime is how long a close waits for the audit log to be written.
const auditCloseTime = 5 * time.Second

// close ends the watchers and writes the audit log to its end.
func (s *security) close() error {
	s.mu.Lock()
	s.closed = true
	var errs []error
	for _, o := range s.oauth {
		errs = append(errs, o.Close())
	}
	for _, l := range s.b.listeners {
		if t := l.tls.Load(); t != nil {
			t.Close()
		}
	}
	if s.admin != nil {
		s.admin.tls.Load().Close()
	}
	s.mu.Unlock()
	if s.audit != nil {
		ctx, cancel := context.WithTimeout(context.Background(), auditCloseTime)
		defer cancel()
		errs = append(errs, s.audit.Close(ctx))
	}
	return errors.Join(errs...)
}

// Authenticates reports whether some listener knows who its clients are: by
// SASL, or by certificates. Then everything is denied that no ACL allows.
func (b *Broker) Authenticates() bool {
	return slices.ContainsFunc(b.listeners, func(l *listener) bool {
		return l.protocol.SASL() || l.protocol.TLS() && b.clientAuth(l) != "none"
	})
}

// clientAuth is ssl.client.auth of a listener. On SASL_SSL only the form with
// the listener's name counts, as in Kafka (SaslChannelBuilder).
func (b *Broker) clientAuth(l *listener) string {
	key := "ssl.client.auth"
	if l.protocol == SASLSSL {
		key = l.prefix() + key
	}
	v, _ := b.keySet(key)
	if v == "" && l.protocol == SSL {
		v = b.listenerValue(l, "", key)
	}
	return strings.ToLower(firstOf(v, "none"))
}

// prefix opens the keys that hold for this listener alone.
func (l *listener) prefix() string { return "listener.name." + strings.ToLower(l.name) + "." }

// keySet is a broker key as it was set, at run time before the configuration.
func (b *Broker) keySet(key string) (string, bool) {
	if b.cluster != nil {
		res := cluster.Resource{Type: cluster.ResourceBroker, Name: strconv.Itoa(int(b.opt.NodeID))}
		if v, ok := b.cluster.Image().DynamicConfigs(res)[key]; ok {
			return v, true
		}
	}
	v, ok := b.static[key]
	return v, ok
}

// listenerValue is a key of a listener and a mechanism ("" for none): the form
// with both prefixes before that of the listener before the bare one. "" when
// it is nowhere set.
func (b *Broker) listenerValue(l *listener, mechanism, key string) string {
	if mechanism != "" {
		if v, ok := b.keySet(l.prefix() + strings.ToLower(mechanism) + "." + key); ok {
			return v
		}
	}
	if v, ok := b.keySet(l.prefix() + key); ok {
		return v
	}
	v, _ := b.keySet(key)
	return v
}

// makeTLS reads a listener's certificates.
func (s *security) makeTLS(l *listener) error {
	o := auth.TLSFromConfig(func(key string) string { return s.b.listenerValue(l, "", key) })
	o.ClientAuth = s.b.clientAuth(l)
	o.Logger, o.Go = s.b.logger, s.b.goroutines.Go
	t, err := auth.NewTLS(o)
	if err != nil {
		return err
	}
	if old := l.tls.Swap(t); old != nil {
		old.Close()
	}
	return nil
}

// tlsConfig is for netloop: each handshake gets the newest certificates.
func (l *listener) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return l.tls.Load().Config().GetConfigForClient(hello)
		},
	}
}

// dynamic is what was set at run time of the keys that listeners are made with.
func (s *security) dynamic() map[string]string {
	res := cluster.Resource{Type: cluster.ResourceBroker, Name: strconv.Itoa(int(s.b.opt.NodeID))}
	set := map[string]string{}
	for key, v := range s.b.cluster.Image().DynamicConfigs(res) {
		if strings.HasPrefix(key, "ssl.") || strings.HasPrefix(key, "sasl.") || strings.HasPrefix(key, "listener.name.") {
			set[key] = v
		}
	}
	return set
}

// settingsChanged makes the listeners anew when their keys were changed at run
// time. Connections that there are go on.
func (s *security) settingsChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.dynamic()
	if s.closed || maps.Equal(now, s.applied) {
		return
	}
	s.applied = now
	if err := s.remakeLocked(); err != nil {
		s.b.logger.Error("the security settings made at run time cannot be used; the old ones go on", "error", err)
	}
}

func (s *security) remake() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remakeLocked()
}

func (s *security) remakeLocked() error {
	var errs []error
	for _, l := range s.b.listeners {
		if l.protocol.TLS() {
			errs = append(errs, s.makeTLS(l))
		}
		if l.protocol.SASL() {
			errs = append(errs, s.makeSASL(l))
		}
	}
	return errors.Join(errs...)
}

// Reload reads certificates, authorities and token keys again now, as they are
// read by themselves within some seconds of a change (SIGHUP). Connections that
// there are go on. What cannot be read leaves the old in place and is in the
// error.
func (b *Broker) Reload() error {
	b.security.mu.Lock()
	defer b.security.mu.Unlock()
	list := b.listeners
	if b.security.admin != nil {
		list = append(slices.Clip(list), b.security.admin)
	}
	var errs []error
	for _, l := range list {
		if t := l.tls.Load(); t != nil {
			if err := t.Reload(); err != nil {
				errs = append(errs, fmt.Errorf("broker: listener %s: %w", l.name, err))
			}
		}
	}
	for _, o := range b.security.oauth {
		o.Reload()
	}
	return errors.Join(errs...)
}

// expireTokens removes delegation tokens whose time is over, until the broker
// closes.
func (s *security) expireTokens() {
	tick := time.NewTicker(max(s.b.cluster.BrokerMillis("delegation.token.expiry.check.interval.ms"), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-s.b.closing:
			return
		case now := <-tick.C:
			err := s.b.cluster.Commit(context.Background(), func(image *cluster.Image) ([]cluster.Record, error) {
				var records []cluster.Record
				for _, id := range auth.Expired(image, now) {
					records = append(records, cluster.TokenRemovedRecord{ID: id})
				}
				return records, nil
			})
			if err != nil {
				s.b.logger.Error("expired delegation tokens could not be removed", "error", err)
			}
		}
	}
}

// admit is netloop's question about a new connection: connection_creation_rate
// of its address and max.connection.creation.rate of all and of its listener
// (KIP-612).
func (s *security) admit(name string, ip netip.Addr) (time.Duration, error) {
	now := time.Now()
	if s.quotas.Any(auth.QuotaConnections) {
		if wait := s.quotas.Connection(ip, now); wait > 0 {
			return wait, errConnectionRate
		}
	}
	wait := s.b.accepts.next(now)
	for _, l := range s.b.listeners {
		if l.name == name {
			wait = max(wait, l.accepts.next(now))
		}
	}
	return wait, nil
}

var errConnectionRate = errors.New("broker: the address connects more often than connection_creation_rate allows")

// handshakeFailed audits a refused TLS handshake. Any goroutine.
func (s *security) handshakeFailed(listener string, remote netip.AddrPort, why error) {
	if errors.Is(why, os.ErrDeadlineExceeded) || errors.Is(why, context.DeadlineExceeded) {
		s.audit.Refused(time.Now(), auth.Where{Host: remote.Addr(), Listener: listener}, "",
			&auth.Failure{Kind: auth.KindTimeout, Detail: "the TLS handshake took too long"})
		return
	}
	if errors.Is(why, netloop.ErrHandshakeShed) {
		s.audit.Refused(time.Now(), auth.Where{Host: remote.Addr(), Listener: listener}, "",
			&auth.Failure{Kind: auth.KindTimeout, Detail: "the TLS handshake took long while others waited"})
		return
	}
	s.audit.Refused(time.Now(), auth.Where{Host: remote.Addr(), Listener: listener}, "", auth.HandshakeFailure(why))
}

// Closing is closed when Close begins.
func (b *Broker) Closing() <-chan struct{} { return b.closing }

package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// administrators is where the metadata keeps who is a super user besides
// super.users: the first admin user of each Options.AdminUser.
var administrators = cluster.Resource{Type: cluster.ResourceAdministrators}

// firstAdmin makes Options.AdminUser when the cluster has no such user, and
// gives the principals of all that were made so. A user that is there keeps its
// password: the flags of the first start may stay in a service's file.
func (s *security) firstAdmin() ([]string, error) {
	b := s.b
	user, password := b.opt.AdminUser, b.opt.AdminPassword
	b.opt.AdminPassword = ""
	switch {
	case user == "" && password != "":
		return nil, errors.New("broker: an admin password is given and no admin user; set AdminUser (--admin-user)")
	case user != "":
		if err := s.makeAdmin(user, password); err != nil {
			return nil, err
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(b.cluster.Image().DynamicConfigs(administrators))) {
		list = append(list, auth.UserType+":"+name)
	}
	return list, nil
}

func (s *security) makeAdmin(user, password string) error {
	b := s.b
	image := b.cluster.Image()
	var records []cluster.Record
	if _, super := image.DynamicConfigs(administrators)[user]; !super {
		records = append(records, cluster.ConfigRecord{Resource: administrators, Key: user, Value: "first admin user"})
	}
	if !hasCredential(image, user) {
		if password == "" {
			return fmt.Errorf("broker: the admin user %q does not exist and no password is given; set AdminPassword (--admin-password-file or CHRONIK_ADMIN_PASSWORD)", user)
		}
		made, err := auth.FirstAdmin(user, password)
		if err != nil {
			return err
		}
		records = append(records, made...)
		b.logger.Info("the first admin user is made", "user", user)
	}
	if len(records) == 0 {
		return nil
	}
	err := b.cluster.Commit(context.Background(), func(*cluster.Image) ([]cluster.Record, error) { return records, nil })
	if err != nil {
		return fmt.Errorf("broker: the admin user %q could not be stored: %w", user, err)
	}
	return nil
}

func hasCredential(image *cluster.Image, user string) bool {
	for _, m := range []auth.ScramMechanism{auth.ScramSHA256, auth.ScramSHA512} {
		if _, ok := image.Scram[cluster.ScramKey{User: user, Mechanism: int8(m)}]; ok {
			return true
		}
	}
	return false
}

// adminListener is the admin server among the listeners: its keys are those of a
// listener named ADMIN.
const adminListener = "ADMIN"

// AdminTLS is TLS for the admin server, from Kafka's ssl keys with the prefix
// listener.name.admin. or without one (ssl.client.auth counts with it only, as on
// SASL_SSL). It follows changes and Reload as listeners do. Once a broker.
func (b *Broker) AdminTLS() (*tls.Config, error) {
	s := b.security
	l := &listener{name: adminListener, protocol: SASLSSL}
	if err := s.makeTLS(l); err != nil {
		return nil, fmt.Errorf("broker: the admin server: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.tls.Load().Close()
		return nil, errShuttingDown
	}
	s.admin = l
	return l.tlsConfig(), nil
}

// AllowAdminCertificate is AllowAdmin for who shows a certificate to the admin
// server instead of a password.
func (b *Broker) AllowAdminCertificate(host netip.Addr, state *tls.ConnectionState) bool {
	s := b.security
	s.mu.Lock()
	l := s.admin
	s.mu.Unlock()
	if l == nil || state == nil || len(state.VerifiedChains) == 0 {
		return false
	}
	p, failure := l.tls.Load().Principal(state)
	if failure != nil {
		s.audit.Refused(time.Now(), auth.Where{Host: host, Listener: adminListener}, "", failure)
		return false
	}
	return b.mayAdmin(host, p)
}

func (b *Broker) mayAdmin(host netip.Addr, p *auth.Principal) bool {
	if b.auth.Authorize(p, host, auth.OpDescribe, auth.ResCluster, clusterName) {
		return true
	}
	b.security.audit.Denied(time.Now(), auth.Where{Host: host, Listener: adminListener}, p, "admin", auth.OpDescribe, auth.ResCluster, clusterName)
	return false
}

// AllowAdmin reports whether a user with a password may look at the admin
// server: DESCRIBE on the cluster. It may hash the password: not on a loop.
func (b *Broker) AllowAdmin(host netip.Addr, user, password string) bool {
	s, now := b.security, time.Now()
	where := auth.Where{Host: host, Listener: adminListener}
	if s.attempts.Wait(host, now) > 0 {
		s.audit.Refused(now, where, auth.MechanismPlain, &auth.Failure{Kind: auth.KindRate, User: user, Detail: "too many failures from this address"})
		return false
	}
	x, err := s.passwords.Start(auth.MechanismPlain, nil)
	if err != nil {
		return false
	}
	token := []byte("\x00" + user + "\x00" + password)
	work := func() auth.Step { return x.Step(now, token) }
	var step auth.Step
	if x.Recalls(token) { // a scrape each few seconds is not hashed each time
		step = work()
	} else {
		step = s.hashed(work)
	}
	if step.Failure != nil {
		s.attempts.Failed(host, now)
		s.audit.Refused(now, where, auth.MechanismPlain, step.Failure)
	}
	if step.Outcome != auth.Success {
		return false
	}
	return b.mayAdmin(host, step.Session.Principal)
}

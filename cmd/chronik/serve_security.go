package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/chronik-stream/chronik/broker"
)

// securityFlags are what serve can be told of users, certificates and audits
// beyond Kafka's keys.
type securityFlags struct {
	adminUser    string
	passwordFile string
	authTimeout  time.Duration
	auditFile    string
	auditTopic   string
	adminOpen    string
	adminTLS     bool
	unsigned     bool
}

func (f *securityFlags) register(p *pflag.FlagSet) {
	p.StringVar(&f.adminUser, "admin-user", "", "a super user, made at the first start with --admin-password-file or CHRONIK_ADMIN_PASSWORD")
	p.StringVar(&f.passwordFile, "admin-password-file", "", "file with the first password of --admin-user; an end of line at its end does not count")
	p.DurationVar(&f.authTimeout, "auth-timeout", 10*time.Second, "how long a client may take for TLS and, again, to log in")
	p.StringVar(&f.auditFile, "audit-file", "", "the audit log; off for none (default audit.log in the first data directory once a listener authenticates)")
	p.StringVar(&f.auditTopic, "audit-topic", "", "a topic that gets each line of the audit log too; it is made with one partition when it is not there")
	p.StringVar(&f.adminOpen, "admin-open", "health", "what of the admin server needs no password once a listener authenticates: health, metrics, or both with a comma; none")
	p.BoolVar(&f.adminTLS, "admin-tls", false, "serve --admin-listen over TLS with the broker's certificates (ssl keys, listener.name.admin. before those of its own)")
	p.BoolVar(&f.unsigned, "insecure-accept-unsigned-tokens", false, "let OAUTHBEARER take tokens that nobody signed: anybody is whom they say they are")
}

// apply reads the password and sets a broker's options.
func (f *securityFlags) apply(o *broker.Options) error {
	o.AdminUser, o.AuthTimeout, o.AuditFile, o.AuditTopic = f.adminUser, f.authTimeout, f.auditFile, f.auditTopic
	o.InsecureAcceptUnsignedTokens = f.unsigned
	if f.authTimeout < 0 {
		return fmt.Errorf("--auth-timeout %s is negative", f.authTimeout)
	}
	if _, err := f.openPaths(); err != nil {
		return err
	}
	if f.adminUser != "" {
		o.AdminPassword = os.Getenv("CHRONIK_ADMIN_PASSWORD")
	}
	if f.passwordFile == "" {
		return nil
	}
	text, err := os.ReadFile(f.passwordFile)
	if err != nil {
		return fmt.Errorf("--admin-password-file: %w", err)
	}
	if o.AdminPassword = strings.TrimRight(string(text), "\r\n"); o.AdminPassword == "" {
		return fmt.Errorf("--admin-password-file %s is empty", f.passwordFile)
	}
	return nil
}

// openPaths are the paths of the admin server that --admin-open opens.
func (f *securityFlags) openPaths() (map[string]bool, error) {
	open := map[string]bool{}
	for what := range strings.SplitSeq(f.adminOpen, ",") {
		switch strings.TrimSpace(what) {
		case "health":
			open["/livez"], open["/readyz"] = true, true
		case "metrics":
			open["/metrics"] = true
		case "none", "":
		default:
			return nil, fmt.Errorf("--admin-open %q is not health, metrics or none", what)
		}
	}
	return open, nil
}

// authorizeAdmin asks the broker about the user of an HTTP request: by its
// certificate under TLS, or its password (Basic). It is nil when no listener
// authenticates: then nobody has a password.
func authorizeAdmin(b *broker.Broker) func(*http.Request) bool {
	if !b.Authenticates() {
		return nil
	}
	return func(r *http.Request) bool {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return false
		}
		user, password, ok := r.BasicAuth()
		if !ok {
			return b.AllowAdminCertificate(from.Addr(), r.TLS)
		}
		return b.AllowAdmin(from.Addr(), user, password)
	}
}

// adminSide is what the admin server speaks, and a warning when it tells everybody
// on the network what it should not.
func (f *securityFlags) adminSide(b *broker.Broker, addr string, logger *slog.Logger) (*tls.Config, error) {
	if f.adminTLS {
		return b.AdminTLS()
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("--admin-listen %q is no host:port: %w", addr, err)
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return nil, nil
	}
	if b.Authenticates() {
		logger.Warn("the admin server takes passwords over the network without TLS (--admin-tls)", "address", addr)
	} else {
		logger.Warn("the admin server answers everybody on the network; bind it to loopback, or let a listener authenticate (--admin-listen)", "address", addr)
	}
	return nil, nil
}

// reloadOnHangup reads certificates again on each SIGHUP until ctx ends.
func reloadOnHangup(ctx context.Context, b *broker.Broker, logger *slog.Logger) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	b.Go("hangup", func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-b.Closing():
				return
			case <-hangups:
				if err := b.Reload(); err != nil {
					logger.Error("the old certificates go on to be served", "error", err)
					continue
				}
				logger.Info("certificates and token keys are read again")
			}
		}
	})
}

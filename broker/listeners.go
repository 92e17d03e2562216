package broker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/chronik-stream/chronik/auth"
)

// Protocol is Kafka's security protocol of a listener.
type Protocol string

const (
	Plaintext     Protocol = "PLAINTEXT"
	SSL           Protocol = "SSL"
	SASLPlaintext Protocol = "SASL_PLAINTEXT"
	SASLSSL       Protocol = "SASL_SSL"
)

// TLS reports whether the protocol encrypts.
func (p Protocol) TLS() bool { return p == SSL || p == SASLSSL }

// SASL reports whether clients log in.
func (p Protocol) SASL() bool { return p == SASLPlaintext || p == SASLSSL }

// listener is one parsed listener.
type listener struct {
	name     string
	protocol Protocol
	addr     string // host:port to bind
	// advertisedHost and advertisedPort are what clients are told. No host means
	// the address that they connected to, port 0 the port that was bound.
	advertisedHost string
	advertisedPort int32

	// sasl and tls are replaced when their keys change at run time; nil on
	// listeners that have none.
	sasl atomic.Pointer[auth.SASL]
	tls  atomic.Pointer[auth.TLS]

	accepts acceptRate // the listener's own max.connection.creation.rate
}

// showEffective puts what the broker really listens on and stores in into its
// static configuration, so that DescribeConfigs tells the truth whatever flag it
// came from. Called once the listeners are bound.
func (b *Broker) showEffective() {
	var listeners, advertised []string
	for _, l := range b.listeners {
		bound := b.server.Addr(l.name)
		listeners = append(listeners, l.name+"://"+bound.String())
		host, port := l.advertisedHost, l.advertisedPort
		if host == "" {
			host, port = bound.Addr().Unmap().String(), int32(bound.Port())
		}
		if port == 0 {
			port = int32(bound.Port())
		}
		advertised = append(advertised, l.name+"://"+net.JoinHostPort(host, strconv.Itoa(int(port))))
	}
	b.static["listeners"] = strings.Join(listeners, ",")
	b.static["advertised.listeners"] = strings.Join(advertised, ",")
	b.static["log.dirs"] = strings.Join(b.opt.DataDirs, ",")
}

// parseListeners reads Kafka's listeners, advertised.listeners and
// listener.security.protocol.map.
func parseListeners(listeners, advertised, protocols string) ([]*listener, error) {
	byName, err := parseProtocolMap(protocols)
	if err != nil {
		return nil, err
	}
	var list []*listener
	index := map[string]*listener{}
	for _, item := range splitList(listeners) {
		name, host, port, err := parseEndpoint("listeners", item)
		if err != nil {
			return nil, err
		}
		if index[name] != nil {
			return nil, fmt.Errorf("broker: listeners names %s twice; each listener needs its own name", name)
		}
		proto, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("broker: listener %s has no security protocol; name it in listener.security.protocol.map, for example %s:PLAINTEXT", name, name)
		}
		l := &listener{name: name, protocol: proto, addr: net.JoinHostPort(host, strconv.Itoa(port))}
		// A name stays a name for clients, as in Kafka: a certificate is made out to
		// it, and what it resolves to here may be no address for them.
		if _, err := netip.ParseAddr(host); err != nil && host != "" {
			l.advertisedHost = host
		}
		index[name], list = l, append(list, l)
	}
	if len(list) == 0 {
		return nil, errors.New("broker: listeners is empty; give at least one, for example PLAINTEXT://127.0.0.1:9092")
	}
	for _, item := range splitList(advertised) {
		name, host, port, err := parseEndpoint("advertised.listeners", item)
		if err != nil {
			return nil, err
		}
		l := index[name]
		switch {
		case l == nil:
			return nil, fmt.Errorf("broker: advertised.listeners names %s, which is not in listeners", name)
		case host == "" || host == "0.0.0.0" || host == "::":
			return nil, fmt.Errorf("broker: advertised.listeners: %s is no address that a client could connect to", item)
		}
		l.advertisedHost, l.advertisedPort = host, int32(port)
	}
	return list, nil
}

func parseProtocolMap(s string) (map[string]Protocol, error) {
	m := map[string]Protocol{}
	for _, p := range []Protocol{Plaintext, SSL, SASLPlaintext, SASLSSL} {
		m[string(p)] = p
	}
	for _, item := range splitList(s) {
		name, proto, ok := strings.Cut(item, ":")
		p := Protocol(strings.ToUpper(strings.TrimSpace(proto)))
		switch p {
		case Plaintext, SSL, SASLPlaintext, SASLSSL:
		default:
			ok = false
		}
		if !ok || name == "" {
			return nil, fmt.Errorf("broker: listener.security.protocol.map: %q is not NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", item)
		}
		m[strings.ToUpper(strings.TrimSpace(name))] = p
	}
	return m, nil
}

// parseEndpoint reads NAME://host:port; the host may be empty for all
// addresses and bracketed for IPv6.
func parseEndpoint(key, s string) (name, host string, port int, err error) {
	bad := func(why string) (string, string, int, error) {
		return "", "", 0, fmt.Errorf("broker: %s: %q %s; the form is NAME://host:port", key, s, why)
	}
	name, rest, ok := strings.Cut(s, "://")
	if !ok || name == "" {
		return bad("has no name before ://")
	}
	host, digits, err := net.SplitHostPort(rest)
	if err != nil {
		return bad("has no host:port after ://")
	}
	port, err = strconv.Atoi(digits)
	if err != nil || port < 0 || port > 65535 {
		return bad("has a port that is no number from 0 to 65535")
	}
	return strings.ToUpper(name), host, port, nil
}

func splitList(s string) []string {
	var list []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

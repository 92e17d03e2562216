package auth

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// auditLine is one line of the audit log, as JSON.
type auditLine struct {
	Time      time.Time `json:"time"`
	Event     string    `json:"event"`  // authentication, authorization, change, summary
	Result    string    `json:"result"` // ok, refused, denied
	Kind      Kind      `json:"kind,omitempty"`
	Principal string    `json:"principal,omitempty"`
	Claimed   string    `json:"claimed,omitempty"` // the name that a refused client gave
	Host      string    `json:"host,omitempty"`
	Listener  string    `json:"listener,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
	Mechanism string    `json:"mechanism,omitempty"`
	Token     string    `json:"token_id,omitempty"`
	API       string    `json:"api,omitempty"`
	Operation string    `json:"operation,omitempty"`
	Resource  string    `json:"resource,omitempty"` // Topic:name; of a change also a user, a config resource …
	Before    any       `json:"before,omitempty"`
	After     any       `json:"after,omitempty"`
	Detail    string    `json:"detail,omitempty"`

	// Of a summary: how many lines of what were not written one by one, and
	// since when.
	Of    string     `json:"of,omitempty"`
	Count int64      `json:"count,omitempty"`
	Since *time.Time `json:"since,omitempty"`
}

func (l *auditLine) encode() ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("auth: an audit line cannot be written as JSON: %w", err)
	}
	return append(b, '\n'), nil
}

// Where an event came from.
type Where struct {
	Host     netip.Addr
	Listener string
	ClientID string // cut to 256 bytes
}

func (w Where) line(now time.Time, event, result string) auditLine {
	l := auditLine{Time: now.UTC(), Event: event, Result: result, Listener: w.Listener, ClientID: claimed(w.ClientID)}
	if w.Host.IsValid() {
		l.Host = w.Host.String()
	}
	return l
}

// Change is an administrative change. Before and After say what was and what
// is, by name; nil when there was or is nothing. A value whose name is that of
// a secret is replaced when the line is made; the functions below describe what
// the cluster stores without its secrets.
type Change struct {
	API           string // "AlterUserScramCredentials", or the command's name
	Resource      string // "User:alice", "Topic:orders"
	Before, After map[string]string
}

// secretNames are parts of the names of values that must not be written down.
var secretNames = [...]string{
	"password", "passwd", "secret", "jaas", "keystore.key", "hmac", "salt", "storedkey", "stored_key", "serverkey", "server_key",
	"credential", "private", "bearer", "authorization",
}

// hidden stands for a secret.
const hidden = "[hidden]"

func redact(values map[string]string) any {
	if values == nil {
		return nil
	}
	clean := make(map[string]string, len(values))
	for name, value := range values {
		lower := strings.ToLower(name)
		for _, secret := range secretNames {
			if strings.Contains(lower, secret) {
				value = hidden
				break
			}
		}
		clean[name] = value
	}
	return clean
}

// DescribeScram is a credential for a Change: that there is one and what it
// costs, neither salt nor keys.
func DescribeScram(m ScramMechanism, c cluster.ScramCredential) map[string]string {
	return map[string]string{"mechanism": m.String(), "iterations": fmt.Sprint(c.Iterations)}
}

// DescribeToken is a delegation token for a Change, without its HMAC.
func DescribeToken(t cluster.Token) map[string]string {
	at := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	return map[string]string{"token_id": t.ID, "owner": t.Owner, "requester": t.Requester,
		"renewers": strings.Join(t.Renewers, ","), "expires": at(t.ExpiryMs), "expires_for_good": at(t.MaxMs)}
}

// DescribeACL is an ACL for a Change.
func DescribeACL(a cluster.ACL) map[string]string {
	pattern, permission := "LITERAL", "DENY"
	if a.PatternType == PatternPrefixed {
		pattern = "PREFIXED"
	}
	if a.Permission == PermissionAllow {
		permission = "ALLOW"
	}
	return map[string]string{"resource": ResourceType(a.ResourceType).String() + ":" + pattern + ":" + a.ResourceName,
		"principal": a.Principal, "host": a.Host, "operation": Operation(a.Operation).String(), "permission": permission}
}

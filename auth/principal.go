package auth

import (
	"fmt"
	"strings"
)

// UserType is the only principal type that Kafka's clients and brokers make.
const UserType = "User"

// Principal is who a connection is. It is immutable once a connection has it.
type Principal struct {
	Type string // "User"
	Name string // "ANONYMOUS" when nothing was asked
	// Token says that it logged in with a delegation token.
	Token bool
}

// Anonymous is the principal of an unauthenticated listener.
var Anonymous = &Principal{Type: UserType, Name: "ANONYMOUS"}

// String is Kafka's form, "User:name".
func (p *Principal) String() string { return p.Type + ":" + p.Name }

// Is reports whether two principals are the same to Kafka, which does not look
// at how they logged in (KafkaPrincipal.equals).
func (p *Principal) Is(other *Principal) bool {
	return other != nil && p.Type == other.Type && p.Name == other.Name
}

// ParsePrincipal reads "Type:name" as SecurityUtils.parseKafkaPrincipal does:
// the first colon parts them and neither side may be empty.
func ParsePrincipal(s string) (Principal, error) {
	typ, name, found := strings.Cut(s, ":")
	if !found || typ == "" || name == "" {
		return Principal{}, fmt.Errorf("auth: the principal %q is not of the form Type:name, for example User:alice", s)
	}
	return Principal{Type: typ, Name: name}, nil
}

// principalKey finds a principal's rules without building "Type:name".
type principalKey struct{ typ, name string }

func keyOf(s string) principalKey {
	typ, name, _ := strings.Cut(s, ":")
	return principalKey{typ, name}
}

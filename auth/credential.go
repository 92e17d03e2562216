package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"math/big"

	"github.com/chronik-stream/chronik/cluster"
)

// ScramMechanism is Kafka's number of a SCRAM mechanism (ScramMechanism.java).
type ScramMechanism int8

const (
	ScramSHA256 ScramMechanism = 1
	ScramSHA512 ScramMechanism = 2
)

// Iterations of PBKDF2 that Kafka takes for both mechanisms. More cost every
// login more: one of 4096 with SHA-512 is about 2 ms of a core.
const (
	MinIterations = 4096
	MaxIterations = 16384
)

// String is the SASL name, "SCRAM-SHA-256".
func (m ScramMechanism) String() string {
	switch m {
	case ScramSHA256:
		return "SCRAM-SHA-256"
	case ScramSHA512:
		return "SCRAM-SHA-512"
	}
	return fmt.Sprintf("ScramMechanism(%d)", int8(m))
}

func (m ScramMechanism) valid() bool { return m == ScramSHA256 || m == ScramSHA512 }

// new gives the mechanism's hash function; SHA-256 for a number that is none,
// which every caller has refused before.
func (m ScramMechanism) new() func() hash.Hash {
	if m == ScramSHA512 {
		return sha512.New
	}
	return sha256.New
}

func (m ScramMechanism) size() int {
	if m == ScramSHA512 {
		return sha512.Size
	}
	return sha256.Size
}

func (m ScramMechanism) mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(m.new(), key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func (m ScramMechanism) hash(b []byte) []byte {
	h := m.new()()
	h.Write(b)
	return h.Sum(nil)
}

// CheckCredential refuses what AlterUserScramCredentials may not store, with
// Kafka's codes and sentences (ScramControlManager.java).
func CheckCredential(user string, m ScramMechanism, iterations int32, salt []byte) error {
	switch {
	case user == "":
		return &Error{Code: CodeUnacceptableCredential, Message: "Username must not be empty"}
	case !m.valid():
		return &Error{Code: CodeUnsupportedMechanism, Message: "Unknown SCRAM mechanism"}
	case iterations < MinIterations:
		return &Error{Code: CodeUnacceptableCredential, Message: "Too few iterations"}
	case iterations > MaxIterations:
		return &Error{Code: CodeUnacceptableCredential, Message: "Too many iterations"}
	case len(salt) == 0 || len(salt) > maxSalt:
		return &Error{Code: CodeUnacceptableCredential, Message: fmt.Sprintf("The salt has %d bytes; it must have between 1 and %d", len(salt), maxSalt)}
	}
	return nil
}

const maxSalt = 1024

// CredentialFromSalted makes a credential of the salted password that a client
// of AlterUserScramCredentials computed (KIP-554).
func CredentialFromSalted(user string, m ScramMechanism, iterations int32, salt, salted []byte) (cluster.ScramCredential, error) {
	if err := CheckCredential(user, m, iterations, salt); err != nil {
		return cluster.ScramCredential{}, err
	}
	// Kafka takes a salted password of any length, since it is only the key of an
	// HMAC; one that no client could have derived lets nobody in.
	if len(salted) == 0 || len(salted) > maxSalt {
		return cluster.ScramCredential{}, &Error{Code: CodeUnacceptableCredential,
			Message: fmt.Sprintf("The salted password for %v has %d bytes; it must have between 1 and %d", m, len(salted), maxSalt)}
	}
	return m.credential(salt, salted, iterations), nil
}

// NewCredential derives a credential from a password with a fresh salt. It
// costs iterations of PBKDF2: not on a loop. The password is used as it is,
// without SASLprep, as Kafka does.
func NewCredential(user string, m ScramMechanism, password string, iterations int32) (cluster.ScramCredential, error) {
	salt := newSalt()
	if err := CheckCredential(user, m, iterations, salt); err != nil {
		return cluster.ScramCredential{}, err
	}
	if password == "" {
		return cluster.ScramCredential{}, &Error{Code: CodeUnacceptableCredential, Message: "The password must not be empty"}
	}
	salted, err := m.salted(password, salt, iterations, false)
	if err != nil {
		return cluster.ScramCredential{}, err
	}
	return m.credential(salt, salted, iterations), nil
}

func (m ScramMechanism) credential(salt, salted []byte, iterations int32) cluster.ScramCredential {
	return cluster.ScramCredential{
		Salt:       salt,
		StoredKey:  m.hash(m.mac(salted, []byte("Client Key"))),
		ServerKey:  m.mac(salted, []byte("Server Key")),
		Iterations: iterations,
	}
}

// usable reports whether a stored credential can be logged in with at all.
func (m ScramMechanism) usable(c cluster.ScramCredential) bool {
	return len(c.StoredKey) == m.size() && len(c.ServerKey) == m.size() && len(c.Salt) > 0 && c.Iterations >= 1
}

// saltText is Kafka's form of a salt: 130 random bits in base 36. The fake
// salts of users who do not exist take the same form, so that they cannot be
// told from those that Kafka's tools or this broker made.
func saltText(random []byte) []byte {
	n := new(big.Int).SetBytes(random[:17])
	return []byte(n.Rsh(n, 6).Text(36))
}

func newSalt() []byte {
	var random [17]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	return saltText(random[:])
}

// FirstAdmin is the first user's credentials for both mechanisms, as records to
// commit when the cluster has no such user. It runs PBKDF2 twice: not on a
// loop. To be a super user the name must be in super.users too.
func FirstAdmin(user, password string) ([]cluster.Record, error) {
	var records []cluster.Record
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		c, err := NewCredential(user, m, password, MinIterations)
		if err != nil {
			return nil, fmt.Errorf("auth: the first admin user cannot be made: %w", err)
		}
		records = append(records, cluster.ScramRecord{Key: cluster.ScramKey{User: user, Mechanism: int8(m)}, Credential: c})
	}
	return records, nil
}

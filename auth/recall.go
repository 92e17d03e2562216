package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"sync"

	"github.com/chronik-stream/chronik/cluster"
)

// recall remembers which passwords were found right, so that who logs in by PLAIN
// again costs microseconds and waits behind nobody's guesses. It holds an HMAC,
// under a key that lives as long as the broker, of user, password and the
// credentials that the password was checked against: no password, and nothing
// that outlives a change of them. A guess costs a full derivation as ever.
type recall struct {
	key [32]byte

	mu    sync.Mutex
	users map[string][sha256.Size]byte // mu; bounded by maxRecalled
}

// maxRecalled is how many users are remembered, some 150 bytes each.
const maxRecalled = 10_000

// print is the HMAC; it takes as long for a user who does not exist.
func (r *recall) print(user, password string, credentials []cluster.ScramCredential) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, r.key[:])
	var length [8]byte
	add := func(b []byte) {
		binary.BigEndian.PutUint64(length[:], uint64(len(b)))
		h.Write(length[:])
		h.Write(b)
	}
	add([]byte(user))
	add([]byte(password))
	for _, c := range credentials {
		add(c.Salt)
		add(c.StoredKey)
		binary.BigEndian.PutUint64(length[:], uint64(c.Iterations))
		h.Write(length[:])
	}
	h.Sum(sum[:0])
	return sum
}

func (r *recall) has(user string, sum [sha256.Size]byte) bool {
	r.mu.Lock()
	known, ok := r.users[user]
	r.mu.Unlock()
	return subtle.ConstantTimeCompare(known[:], sum[:]) == 1 && ok
}

func (r *recall) keep(user string, sum [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.users[user]; !ok && len(r.users) >= maxRecalled {
		for other := range r.users { // any: it costs that user one derivation
			delete(r.users, other)
			break
		}
	}
	r.users[user] = sum
}

// recalls reports whether the password was found right before, and is still.
func (s *SASL) recalls(user, password string) bool {
	var in []cluster.ScramCredential
	for _, one := range s.credentials(user) {
		in = append(in, one.ScramCredential)
	}
	return s.recall.has(user, s.recall.print(user, password, in))
}

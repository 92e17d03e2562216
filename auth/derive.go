package auth

import (
	"crypto/hmac"
	"crypto/subtle"
	"fmt"
	"runtime"
)

// deriveSlice is how many iterations of PBKDF2 run before the core is offered to
// others: some 20 µs with SHA-256 and 50 µs with SHA-512. The scheduler takes a
// core from a goroutine by force only after 10 ms, so a loop that wakes while
// passwords are hashed on every core would wait for a whole password, at each of
// the three or four wakes that a request takes.
const deriveSlice = 64

// salted derives the salted password of RFC 5802: one block of PBKDF2, since
// SCRAM's keys are as long as the hash. It is crypto/pbkdf2's function with
// pauses in it. Not on a loop.
func (m ScramMechanism) salted(password string, salt []byte, iterations int32) ([]byte, error) {
	if iterations < 1 {
		return nil, fmt.Errorf("auth: deriving a %v key with %d iterations: at least one is needed", m, iterations)
	}
	prf := hmac.New(m.new(), []byte(password))
	prf.Write(salt)
	prf.Write([]byte{0, 0, 0, 1}) // the number of the block
	u := prf.Sum(nil)
	out := append([]byte(nil), u...)
	for n := int32(1); n < iterations; n++ {
		if n%deriveSlice == 0 {
			runtime.Gosched()
		}
		prf.Reset()
		prf.Write(u)
		u = prf.Sum(u[:0])
		subtle.XORBytes(out, out, u)
	}
	return out, nil
}

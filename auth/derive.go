package auth

import (
	"crypto/hmac"
	"crypto/subtle"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// deriveSlice is how many iterations of PBKDF2 run before the core is offered to
// others: some 20 µs with SHA-256 and 50 µs with SHA-512. The scheduler takes a
// core from a goroutine by force only after 10 ms, so a loop that wakes while
// passwords are hashed on every core would wait for a whole password, at each of
// the three or four wakes that a request takes.
const deriveSlice = 64

// paceSlice is how many iterations run, under guesses, before a pause of
// pacePause: under a millisecond, less than the kernel lets a thread run before
// another that woke on its core.
const (
	paceSlice = 1024
	pacePause = time.Millisecond
)

// salted derives the salted password of RFC 5802: one block of PBKDF2, since
// SCRAM's keys are as long as the hash. It is crypto/pbkdf2's function with
// pauses in it. Not on a loop.
func (m ScramMechanism) salted(password string, salt []byte, iterations int32, paced bool) ([]byte, error) {
	if iterations < 1 {
		return nil, fmt.Errorf("auth: deriving a %v key with %d iterations: at least one is needed", m, iterations)
	}
	prf := hmac.New(m.new(), []byte(password))
	prf.Write(salt)
	prf.Write([]byte{0, 0, 0, 1}) // the number of the block
	u := prf.Sum(nil)
	out := append([]byte(nil), u...)
	for n := int32(1); n < iterations; n++ {
		switch {
		case paced && n%paceSlice == 0:
			time.Sleep(pacePause)
		case n%deriveSlice == 0:
			runtime.Gosched()
		}
		prf.Reset()
		prf.Write(u)
		u = prf.Sum(u[:0])
		subtle.XORBytes(out, out, u)
	}
	return out, nil
}

// guessing tells whether passwords are being guessed: more of them were wrong of
// late than people mistype. Hashing is paced then, to leave the cores to those
// who are in; who was in before is recalled and does not wait for it.
type guessing struct {
	mu     sync.Mutex
	wrong  float64   // mu; as of at; they decay
	lastAt time.Time // mu
}

// guessRate is how many wrong passwords a second, and guessBurst at once, are
// taken for mistakes.
const guessRate, guessBurst = 10, 20

func (g *guessing) note(wrong float64) (paced bool) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong = max(0, g.wrong-now.Sub(g.lastAt).Seconds()*guessRate)
	g.wrong = min(g.wrong+wrong, 2*guessBurst) // forgotten in seconds
	g.lastAt = now
	return g.wrong > guessBurst
}

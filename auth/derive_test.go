package auth

import (
	"bytes"
	"crypto/pbkdf2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSaltedIsPBKDF2 holds the derivation with pauses against crypto/pbkdf2's.
func TestSaltedIsPBKDF2(t *testing.T) {
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		for _, password := range []string{"p", "pencil", "пароль", strings.Repeat("long", 100)} {
			for _, iterations := range []int32{1, 2, deriveSlice - 1, deriveSlice, deriveSlice + 1, 4096} {
				salt := []byte("salt of " + password)
				want, err := pbkdf2.Key(m.new(), password, salt, int(iterations), m.size())
				if err != nil {
					t.Fatal(err)
				}
				got, err := m.salted(password, salt, iterations, false)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%v, %d iterations, password of %d bytes: %x, %v; want %x", m, iterations, len(password), got, err, want)
				}
			}
		}
		if _, err := m.salted("p", []byte("salt"), 0, true); err == nil {
			t.Errorf("%v: no iterations were enough", m)
		}
	}
}

// TestGuessesArePaced: hashing rests while passwords are guessed, and only then;
// the answer is the same.
func TestGuessesArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSASL(t, scramImage(t), nil)
		login := func(password string, ok bool) time.Duration {
			t.Helper()
			began := time.Now() // of the bubble: only pauses move it
			step := start(t, s, MechanismPlain, nil).Step(began, []byte("\x00alice\x00"+password))
			if (step.Outcome == Success) != ok {
				t.Errorf("%+v", step)
			}
			return time.Since(began)
		}
		for range guessBurst + 1 {
			if took := login("guess", false); took != 0 {
				t.Fatalf("paced by %v before there were many", took)
			}
		}
		if took := login("guess", false); took < 5*pacePause {
			t.Errorf("a guess among many is paced by %v", took)
		}
		if took := login(alicePassword, true); took == 0 {
			t.Error("only wrong passwords are paced: that tells them apart")
		}
		if took := login(alicePassword, true); took != 0 {
			t.Errorf("a password that is remembered is paced by %v", took)
		}
		<-time.After(5 * time.Second)
		if took := login("guess", false); took != 0 {
			t.Errorf("still paced by %v", took)
		}
	})
}

func BenchmarkSalted(b *testing.B) {
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		b.Run(m.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := m.salted("pencil", []byte("salt"), MinIterations, false); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(m.String()+"/crypto/pbkdf2", func(b *testing.B) {
			for b.Loop() {
				if _, err := pbkdf2.Key(m.new(), "pencil", []byte("salt"), MinIterations, m.size()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

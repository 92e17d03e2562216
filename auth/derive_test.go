package auth

import (
	"bytes"
	"crypto/pbkdf2"
	"strings"
	"testing"
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
				got, err := m.salted(password, salt, iterations)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%v, %d iterations, password of %d bytes: %x, %v; want %x", m, iterations, len(password), got, err, want)
				}
			}
		}
		if _, err := m.salted("p", []byte("salt"), 0); err == nil {
			t.Errorf("%v: no iterations were enough", m)
		}
	}
}

func BenchmarkSalted(b *testing.B) {
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		b.Run(m.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := m.salted("pencil", []byte("salt"), MinIterations); err != nil {
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

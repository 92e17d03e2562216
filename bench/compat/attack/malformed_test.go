package attack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestMalformed gives each mechanism tokens that are none: every one ends the
// connection, and none gets in.
func TestMalformed(t *testing.T) {
	long := bytes.Repeat([]byte{'a'}, 60<<10)
	for mechanism, tokens := range map[string][]string{
		"PLAIN": {"", "\x00", "\x00\x00", "admin", "\x00admin", "\x00admin\x00", "\x00\x00" + adminPassword, "bob\x00admin\x00" + adminPassword,
			"\x00admin\x00" + adminPassword + "\x00", "\x00admin\x00" + adminPassword + "\n", "\x00admin\x00\xff\xfe", "\xff\x00admin\x00" + adminPassword,
			"\x00" + string(long) + "\x00x", "\x00admin\x00" + string(long), "\x00Admin\x00" + adminPassword, "\x00admin \x00" + adminPassword,
			"\x00ad\u200dmin\x00" + adminPassword, "\x00\uff41dmin\x00" + adminPassword},
		"SCRAM-SHA-256": {"", "n", "n,,", "n,,n=admin,r", "\x00\x00\x00\x00", string(long)},
		"OAUTHBEARER": {"", "n,,", "n,,\x01", "n,,\x01auth=Bearer \x01\x01", "n,,\x01auth=Basic YQ==\x01\x01", "n,,\x01auth=Bearer a.b.c",
			"n,,\x01auth=Bearer a.b.c\x01auth=Bearer d.e.f\x01\x01", "n,,\x01auth=Bearer " + string(long) + "\x01\x01", "n,,\x01auth=Bearer a.b.c.d.e\x01\x01"},
	} {
		for _, token := range tokens {
			what := fmt.Sprintf("%s: %q", mechanism, token[:min(len(token), 60)])
			dial(t, "SASL").begin(mechanism).refused(what, []byte(token))
		}
	}
}

// TestMutations changes good logins at random: bytes flipped, cut, doubled. A
// password with one changed byte is another password.
func TestMutations(t *testing.T) {
	const seeds = 300
	good := []byte("\x00admin\x00" + adminPassword)
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 8))
		token := bytes.Clone(good)
		for range 1 + r.IntN(3) {
			at := r.IntN(len(token))
			switch r.IntN(4) {
			case 0:
				token[at] ^= byte(1 << r.IntN(8))
			case 1:
				token = append(token[:at], token[at+1:]...)
			case 2:
				token = append(token[:at], append([]byte{byte(r.IntN(256))}, token[at:]...)...)
			default:
				token = token[:at]
			}
			if len(token) == 0 {
				break
			}
		}
		if bytes.Equal(token, good) || bytes.Equal(token, append([]byte("admin"), good...)) {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dial(t, "SASL").begin("PLAIN").refused(fmt.Sprintf("%q", token), token)
		})
	}
}

// TestFrames sends bytes that are no request at all.
func TestFrames(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		b := make([]byte, 1+r.IntN(200))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 {
			b[0], b[1] = 0, []byte{17, 18, 36}[r.IntN(3)] // a key that is served
			if len(b) > 3 {
				b[2], b[3] = 0, byte(r.IntN(5))
			}
		}
		w := dial(t, "SASL")
		w.frame(b)
		_ = w.conn.(interface{ CloseWrite() error }).CloseWrite() // nothing more comes
		for {
			if _, err := w.read(); err != nil {
				if isTimeout(err) {
					t.Errorf("seed %d: the connection is open still", seed)
				}
				break
			}
		}
	}
	w := dial(t, "SASL").begin("PLAIN")
	if resp, err := w.token([]byte("\x00admin\x00" + adminPassword)); err != nil || resp.ErrorCode != 0 {
		t.Errorf("after all that the admin does not get in: %+v, %v", resp, err)
	}
}

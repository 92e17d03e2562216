package attack

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// TestUserEnumeration asks alternately as a user who exists and as ones who do
// not, with wrong passwords, and looks whether the times tell which is which: by
// a rank test (Mann-Whitney), which no outlier moves. It fails when the two
// differ beyond five standard deviations and by more than a tenth of the
// median, since a busy machine alone can make small differences plain.
//
// The answers themselves must be the same too. (Salts are Kafka's, random
// numbers in base 36, and differ in length among users who exist as well.)
func TestUserEnumeration(t *testing.T) {
	t.Run("PLAIN", func(t *testing.T) {
		enumerate(t, 300, func(user string) (time.Duration, string) {
			w := dial(t, "SASL").begin("PLAIN")
			began := time.Now()
			resp, err := w.token([]byte("\x00" + user + "\x00" + "guessed-at-random"))
			took := time.Since(began)
			if err != nil {
				t.Fatal(err)
			}
			_ = w.conn.Close() // the broker does
			return took, fmt.Sprint(resp.ErrorCode, *resp.ErrorMessage)
		})
	})
	t.Run("SCRAM", func(t *testing.T) {
		enumerate(t, 300, func(user string) (time.Duration, string) {
			w := dial(t, "SASL").begin("SCRAM-SHA-512")
			s := &scram{user: user, password: "guessed-at-random"}
			began := time.Now()
			resp, err := w.token(s.open())
			took := time.Since(began)
			if err != nil || resp.ErrorCode != 0 {
				t.Fatalf("%s: the first message: %+v, %v", user, resp, err)
			}
			if err := s.read(resp.SASLAuthBytes); err != nil {
				t.Fatal(err)
			}
			message := []byte("c=biws,r=" + s.nonce + ",p=" + fakeProof)
			began = time.Now()
			resp, err = w.token(message)
			took += time.Since(began)
			if err != nil {
				t.Fatal(err)
			}
			_ = w.conn.Close() // the broker does
			return took, fmt.Sprint(resp.ErrorCode, *resp.ErrorMessage, s.iterations, len(s.nonce))
		})
	})
}

// fakeProof is 64 bytes, as SCRAM-SHA-512 has them.
const fakeProof = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="

// TestSaltsAreSteady: a user who does not exist has one salt, as others do.
func TestSaltsAreSteady(t *testing.T) {
	salts := map[string]string{}
	for range 3 {
		for _, user := range []string{"admin", "nobody1", "nobody2"} {
			s := &scram{user: user}
			challenged(t, s)
			if was := salts[user]; was != "" && was != s.salt {
				t.Errorf("%s has the salts %s and %s", user, was, s.salt)
			}
			salts[user] = s.salt
		}
	}
	if salts["nobody1"] == salts["nobody2"] {
		t.Error("two users who do not exist have the same salt")
	}
}

func enumerate(t *testing.T, n int, try func(user string) (time.Duration, string)) {
	t.Helper()
	for range 10 { // until the broker's code is warm
		try("admin")
		try("nobody")
	}
	var known, unknown []time.Duration
	for i := range n {
		// As long as the known name, so that the network carries the same.
		a, said := try("admin")
		b, other := try(fmt.Sprintf("u%04d", i))
		if said != other {
			t.Fatalf("the answers differ: %q and %q", said, other)
		}
		known, unknown = append(known, a), append(unknown, b)
	}
	z := rankTest(known, unknown)
	slices.Sort(known)
	slices.Sort(unknown)
	a, b := known[n/2], unknown[n/2]
	t.Logf("median of a user who exists %v, of one who does not %v, z = %.1f", a, b, z)
	if math.Abs(z) > 5 && math.Abs(float64(a-b)) > 0.1*float64(min(a, b)) {
		t.Errorf("time tells who exists: medians %v and %v, z = %.1f", a, b, z)
	}
}

// rankTest is the normal approximation of Mann and Whitney's U.
func rankTest(a, b []time.Duration) float64 {
	type one struct {
		d     time.Duration
		first bool
	}
	all := make([]one, 0, len(a)+len(b))
	for _, d := range a {
		all = append(all, one{d, true})
	}
	for _, d := range b {
		all = append(all, one{d, false})
	}
	slices.SortFunc(all, func(x, y one) int { return int(x.d - y.d) })
	sum := 0.0
	for i, x := range all {
		if x.first {
			sum += float64(i + 1)
		}
	}
	n, m := float64(len(a)), float64(len(b))
	u := sum - n*(n+1)/2
	return (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}

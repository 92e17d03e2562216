package auth

import (
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/cluster"
)

// TestPlainUsers reads entries as they stand in Kafka's documentation and in
// compose files.
func TestPlainUsers(t *testing.T) {
	for _, c := range []struct {
		name, jaas string
		want       map[string]string
	}{
		{"one", PlainLoginModule + ` required user_alice="pw";`, map[string]string{"alice": "pw"}},
		{"broker's own login", PlainLoginModule + ` required username="admin" password="admin-secret" user_admin="admin-secret" user_bob=plain;`,
			map[string]string{"admin": "admin-secret", "bob": "plain"}},
		{"lines", PlainLoginModule + " required\n  user_a='x y'\n  user_b=\"q\\\"uote\" ;\n", map[string]string{"a": "x y", "b": `q"uote`}},
		{"two modules", PlainLoginModule + ` required user_a="1"; org.apache.kafka.common.security.scram.ScramLoginModule required user_c="3";`,
			map[string]string{"a": "1"}},
		{"nobody", PlainLoginModule + ` required;`, nil},
		{"empty", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			users, err := PlainUsers(c.jaas)
			if err != nil {
				t.Fatal(err)
			}
			if len(users) != len(c.want) {
				t.Fatalf("%d users, want %d", len(users), len(c.want))
			}
			s, err := NewSASL(SASLOptions{Mechanisms: []string{MechanismPlain}, Image: func() *cluster.Image { return &cluster.Image{} }, PlainUsers: users})
			if err != nil {
				t.Fatal(err)
			}
			for user, password := range c.want {
				for _, try := range []struct {
					password string
					ok       bool
				}{{password, true}, {password + "!", false}} {
					known, ok, err := s.checkPassword(user, try.password)
					if err != nil || !known || ok != try.ok {
						t.Errorf("%s with %q: known %v, ok %v, %v", user, try.password, known, ok, err)
					}
				}
			}
		})
	}
}

// TestPlainUsersRefused: what is no JAAS entry is refused, and its text, which
// may hold passwords, is not repeated.
func TestPlainUsersRefused(t *testing.T) {
	for _, jaas := range []string{
		PlainLoginModule + ` required user_alice="hunter2"`, PlainLoginModule + ` required user_alice="hunter2`,
		PlainLoginModule + ` required hunter2;`, PlainLoginModule + ` required user_alice=`, `="hunter2";`,
		PlainLoginModule + ` required user_="hunter2";`, PlainLoginModule + ` required user_alice="";`,
	} {
		_, err := PlainUsers(jaas)
		if err == nil {
			t.Errorf("%q was taken", jaas)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
}

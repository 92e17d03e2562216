package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/bench"
	"github.com/chronik-stream/chronik/broker"
)

// TestSecurityCommands: a user, an ACL, a quota and a token from their making
// to their end, by the commands, as the first admin user.
func TestSecurityCommands(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start(broker.Options{
		DataDirs: []string{filepath.Join(dir, "data")}, Listeners: "SASL_PLAINTEXT://127.0.0.1:0",
		AdminUser: "admin", AdminPassword: "first-password",
		Static: map[string]string{"delegation.token.secret.key": "k"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	secret := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := []string{"-b", b.Addr(), "--user", "admin", "--password-file", secret("admin", "first-password")}
	chronik := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := newRootCommand()
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append(args, own...))
		err := cmd.ExecuteContext(context.Background())
		return out.String(), err
	}
	must := func(want string, args ...string) string {
		t.Helper()
		out, err := chronik(args...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("chronik %s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, want)
		}
		return out
	}
	must("set alice", "user", "set", "alice", "--new-password-file", secret("alice", "alice-password"))
	must("alice\tSCRAM-SHA-256=iterations=4096\tSCRAM-SHA-512=iterations=4096", "user", "list", "alice")
	must("", "acl", "allow", "User:alice", "read", "write", "topic:orders")
	must("", "acl", "deny", "User:alice", "read", "topic:secret-*", "--host", "10.0.0.1")
	if out := must("User:alice", "acl", "list", "topic:secret-1"); strings.Contains(out, "orders") || !strings.Contains(out, "DENY") {
		t.Errorf("the ACLs of secret-1:\n%s", out)
	}
	must("deleted 1", "acl", "delete", "topic:orders", "--operation", "read")
	must("", "quota", "set", "user=alice", "client-id=*", "--set", "producer_byte_rate=1000")
	must("user=alice\tclient-id=*\tproducer_byte_rate=1000", "quota", "list")
	must("", "quota", "set", "user=alice", "client-id=*", "--unset", "producer_byte_rate")
	out := must("hmac\t", "token", "create", "--renewer", "User:alice")
	hmac := strings.TrimSpace(strings.SplitN(strings.SplitN(out, "hmac\t", 2)[1], "\n", 2)[0])
	must("User:admin", "token", "list")
	must("expires", "token", "renew", "--hmac-file", secret("hmac", hmac))
	must("expires", "token", "expire", "--hmac-file", secret("hmac", hmac))
	if out := must("", "token", "list"); out != "" {
		t.Errorf("a token that was ended at once is listed:\n%s", out)
	}
	must("deleted alice", "user", "delete", "alice")
	for _, wrong := range [][]string{
		{"acl", "allow", "alice", "read", "topic:x"}, {"acl", "allow", "User:a", "fly", "topic:x"}, {"acl", "allow", "User:a", "read", "planet:x"},
		{"quota", "set", "user=a"}, {"quota", "set", "planet=a", "--set", "producer_byte_rate=1"}, {"user", "delete", "nobody"},
		{"user", "set", "x", "--new-password-file", filepath.Join(dir, "none")}, {"token", "create", "--renewer", "alice"},
	} {
		if out, err := chronik(wrong...); err == nil {
			t.Errorf("chronik %s: %s", strings.Join(wrong, " "), out)
		}
	}
	own[len(own)-1] = secret("wrong", "not-the-password")
	if _, err := chronik("user", "list"); err == nil || !strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED") {
		t.Errorf("a wrong password: %v", err)
	}
	raw, err := base64.StdEncoding.DecodeString(hmac)
	if err != nil {
		t.Fatal(err)
	}
	// The metadata log keeps a token's HMAC, which is its owner's to ask for; the
	// audit log and all others keep nothing.
	for what, search := range map[string]bench.LeakSearch{
		"data directory": {Secrets: []string{"first-password", "alice-password", "not-the-password"}, Paths: []string{filepath.Join(dir, "data")}},
		"audit log":      {Secrets: []string{hmac, string(raw)}, Paths: []string{filepath.Join(dir, "data", "audit.log")}},
	} {
		if leaks, err := search.Find(t.Context()); err != nil || len(leaks) > 0 {
			t.Errorf("the %s: %v %v", what, leaks, err)
		}
	}
}

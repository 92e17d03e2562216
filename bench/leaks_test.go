package bench

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestLeakSearch(t *testing.T) {
	const secret = `a "secret"<>`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain": "x" + secret + "y", "hex": "00" + hex.EncodeToString([]byte(secret)),
		"token":     base64.StdEncoding.EncodeToString([]byte("\x00admin\x00" + secret)),
		"token 2":   base64.URLEncoding.EncodeToString([]byte("\x00bob\x00" + secret + "more")),
		"token 3":   base64.StdEncoding.EncodeToString([]byte("\x00alice\x00" + secret)),
		"sub/deep":  secret,
		"innocent":  "a secret",
		"innocent2": string(quoted[:8]),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	process := exec.Command("sleep", "60", secret)
	process.Args = []string{"sleep", "60"}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill() // it may have ended
		_ = process.Wait()         // by that signal
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "u" || password != "p":
			http.Error(w, "no", http.StatusUnauthorized)
		case r.URL.Path == "/metrics":
			_, _ = w.Write([]byte("x{label=\"" + secret + "\"} 1")) // the client's failure shows
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	s := LeakSearch{Secrets: []string{"never seen", secret}, Paths: []string{dir}, PID: process.Process.Pid, Admin: server.URL, User: "u", Password: "p"}
	leaks, err := s.Find(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, l := range leaks {
		if l.Secret != 1 {
			t.Errorf("%s", l)
		}
		found[l.Where] = l.Form
	}
	for where, form := range map[string]string{"plain": "as it is", "hex": "hexadecimal", "token": "base 64", "token 2": "base 64", "token 3": "base 64", "sub/deep": "as it is"} {
		if path := filepath.Join(dir, where); found[path] != form {
			t.Errorf("in %s: %q", where, found[path])
		}
	}
	if found[server.URL+"/metrics"] != "as it is" || len(found) != 7 {
		t.Errorf("found %v", found)
	}
	own := LeakSearch{Secrets: []string{filepath.Base(os.Args[0])}, PID: os.Getpid()}
	if leaks, err := own.Find(context.Background()); err != nil || len(leaks) != 1 {
		t.Errorf("in the test's own arguments: %v, %v", leaks, err)
	}
	for _, bad := range []LeakSearch{
		{Secrets: []string{"short"}}, {Secrets: []string{secret}, Paths: []string{filepath.Join(dir, "none")}},
		{Secrets: []string{secret}, PID: 1 << 30}, {Secrets: []string{secret}, Admin: server.URL},
	} {
		if _, err := bad.Find(context.Background()); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

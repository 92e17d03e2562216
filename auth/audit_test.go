package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chronik-stream/chronik/cluster"
)

var here = Where{Host: host1, Listener: "EXTERNAL", ClientID: "app"}

func auditLines(t testing.TB, path string) (lines []map[string]any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%q is no JSON line: %v", line, err)
		}
		lines = append(lines, m)
	}
	return lines
}

func newAudit(t testing.TB, o AuditOptions) *Audit {
	t.Helper()
	if o.Go == nil {
		o.Go = plainGo
	}
	a, err := NewAudit(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func closeAudit(t testing.TB, a *Audit) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var sunk []string
	a := newAudit(t, AuditOptions{Path: path, Sink: func(b []byte) error { sunk = append(sunk, string(b)); return nil }})
	a.Authenticated(noon, here, &Session{Principal: alice, Mechanism: MechanismPlain})
	a.Refused(noon, here, MechanismPlain, &Failure{Kind: KindBadPassword, User: "alice\n{}", Detail: "the password is wrong"})
	name := []byte("orders")
	a.Denied(noon, here, bob, "Produce", OpWrite, ResTopic, name)
	copy(name, "xxxxxx")
	err := a.Changed(context.Background(), noon, here, root, Change{API: "IncrementalAlterConfigs", Resource: "Topic:orders",
		Before: map[string]string{"retention.ms": "1"}, After: map[string]string{"retention.ms": "2", "ssl.key.password": "tango"}})
	if err != nil {
		t.Error(err)
	}
	closeAudit(t, a)
	if err := a.Changed(context.Background(), noon, here, root, Change{}); !errors.Is(err, ErrAuditClosed) {
		t.Errorf("a change after Close: %v", err)
	}
	lines := auditLines(t, path)
	want := []map[string]any{
		{"time": "2026-03-04T12:00:00Z", "event": "authentication", "result": "ok", "principal": "User:alice", "host": "192.0.2.1", "listener": "EXTERNAL", "client_id": "app", "mechanism": "PLAIN"},
		{"time": "2026-03-04T12:00:00Z", "event": "authentication", "result": "refused", "kind": "bad_password", "claimed": "alice\n{}", "host": "192.0.2.1", "listener": "EXTERNAL", "client_id": "app", "mechanism": "PLAIN", "detail": "the password is wrong"},
		{"time": "2026-03-04T12:00:00Z", "event": "authorization", "result": "denied", "principal": "User:bob", "host": "192.0.2.1", "listener": "EXTERNAL", "client_id": "app", "api": "Produce", "operation": "Write", "resource": "Topic:orders"},
		{"time": "2026-03-04T12:00:00Z", "event": "change", "result": "ok", "principal": "User:root", "host": "192.0.2.1", "listener": "EXTERNAL", "client_id": "app", "api": "IncrementalAlterConfigs", "resource": "Topic:orders",
			"before": map[string]any{"retention.ms": "1"}, "after": map[string]any{"retention.ms": "2", "ssl.key.password": "[hidden]"}},
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("the lines are\n%v\nwant\n%v", lines, want)
	}
	raw, _ := os.ReadFile(path)
	if strings.Join(sunk, "") != string(raw) {
		t.Error("the sink got other lines")
	}
	if s := a.Stats(); s.Written != 4 || s.Summarised != 0 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	var none *Audit
	none.Authenticated(noon, here, nil)
	none.Refused(noon, here, "", nil)
	none.Denied(noon, here, nil, "", 0, 0, nil)
	if err := none.Changed(context.Background(), noon, here, nil, Change{}); err != nil {
		t.Error(err)
	}
}

// TestAuditFlood: a flood is summarised and nothing of it is lost; nobody waits.
func TestAuditFlood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	a := newAudit(t, AuditOptions{Path: path, RefusedPerSecond: 10})
	const each = 5000
	for i := range each {
		now := noon.Add(time.Duration(i) * time.Microsecond)
		a.Refused(now, Where{Host: host1}, MechanismPlain, &Failure{Kind: KindBadPassword, User: "u"})
		a.Refused(now, Where{Host: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}, MechanismPlain, &Failure{Kind: KindUnknownUser})
	}
	a.mu.Lock()
	if n := len(a.counts); n > maxTallies+2 {
		t.Errorf("%d counts are held", n)
	}
	a.mu.Unlock()
	a.Refused(noon.Add(time.Second), here, MechanismPlain, &Failure{Kind: KindExpired}) // the next second has lines again
	closeAudit(t, a)
	single, summed, expired, together := 0, 0, 0, 0
	for _, l := range auditLines(t, path) {
		switch {
		case l["event"] == "summary":
			summed += int(l["count"].(float64))
			if l["of"] != "authentication" || l["result"] != "refused" || l["since"] == nil {
				t.Errorf("%v", l)
			}
			if l["host"] == nil {
				together++
			}
		case l["kind"] == "expired":
			expired++
		default:
			single++
		}
	}
	if single != 10 || summed != 2*each-10 || expired != 1 || together == 0 || a.Stats().Summarised != int64(summed) {
		t.Errorf("%d lines one by one, %d in summaries of %d, %d after", single, summed, 2*each, expired)
	}
}

// TestAuditFull: with the queue full, changes wait and give up with their
// context, logins are counted; once there is room again everything is written.
func TestAuditFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var once sync.Once
		a := newAudit(t, AuditOptions{Path: path, Queue: 2, Sink: func([]byte) error { once.Do(func() { <-stuck }); return nil }})
		change := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			return a.Changed(ctx, noon, here, root, Change{API: "CreateAcls"})
		}
		for i := range 3 { // one is with the writer, two wait
			if err := change(time.Second); err != nil {
				t.Fatalf("change %d: %v", i, err)
			}
			synctest.Wait()
		}
		if err := change(time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a change with the queue full: %v", err)
		}
		for range 7 {
			a.Authenticated(noon, here, &Session{Principal: alice, Mechanism: MechanismPlain})
		}
		waiting := make(chan error)
		go func() { waiting <- change(time.Hour) }()
		synctest.Wait()
		close(stuck)
		if err := <-waiting; err != nil {
			t.Errorf("a change that could wait: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
		changes, logins := 0, 0
		for _, l := range auditLines(t, path) {
			if l["event"] == "change" {
				changes++
			} else {
				logins += int(l["count"].(float64))
			}
		}
		if changes != 4 || logins != 7 {
			t.Errorf("%d changes and %d logins are written", changes, logins)
		}
	})
}

func TestAuditRotates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	a := newAudit(t, AuditOptions{Path: path, MaxBytes: 1000, Keep: 3})
	for i := range 60 {
		if err := a.Changed(context.Background(), noon, Where{}, root, Change{API: fmt.Sprintf("change-%02d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	closeAudit(t, a)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 4 {
		t.Fatalf("the files are %v", files)
	}
	var order []string
	for _, name := range []string{path + ".3", path + ".2", path + ".1", path} {
		info, err := os.Stat(name)
		if err != nil || info.Size() > 1000 || info.Size() == 0 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
		for _, l := range auditLines(t, name) {
			order = append(order, l["api"].(string))
		}
	}
	for i, api := range order {
		if want := fmt.Sprintf("change-%02d", 60-len(order)+i); api != want {
			t.Fatalf("line %d from the end is %s, want %s", len(order)-i, api, want)
		}
	}
	again := newAudit(t, AuditOptions{Path: path, MaxBytes: 1 << 20})
	again.Authenticated(noon, here, &Session{Principal: alice})
	closeAudit(t, again)
	if lines := auditLines(t, path); lines[len(lines)-1]["event"] != "authentication" || len(lines) < 2 {
		t.Error("an existing file is not added to")
	}
}

// TestAuditDiskFails: while the file cannot be rotated the line is kept and
// tried again, and nothing is lost or written twice.
func TestAuditDiskFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		a := newAudit(t, AuditOptions{Path: path, MaxBytes: 150, Keep: 2, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		note := func(api string) {
			if err := a.Changed(context.Background(), noon, Where{}, root, Change{API: api}); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		note("one")
		if err := os.Mkdir(path+".1", 0o700); err != nil { // a directory with something in it cannot be renamed onto
			t.Fatal(err)
		}
		if err := os.Mkdir(path+".2", 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path+".1/x", nil)
		writeFile(t, path+".2/x", nil)
		note("two")
		<-time.After(5 * time.Second)
		if a.Stats().Failures < 3 || a.Stats().Written != 1 {
			t.Errorf("%+v", a.Stats())
		}
		if err := os.RemoveAll(path + ".1"); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(path + ".2"); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if l := auditLines(t, path+".1"); len(l) != 1 || l[0]["api"] != "one" {
		t.Errorf("%v", l)
	}
	if l := auditLines(t, path); len(l) != 1 || l[0]["api"] != "two" {
		t.Errorf("%v", l)
	}
	if !strings.Contains(log.String(), "administrative changes wait") {
		t.Errorf("the broker's log is silent:\n%s", &log)
	}
}

// TestAuditDiskFull: what a full disk did not take stays to be written.
func TestAuditDiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full here")
	}
	defer full.Close()
	w := &auditWriter{file: full, pending: []byte("one\ntwo\n")}
	for range 2 {
		if err := w.flush(); err == nil || string(w.pending) != "one\ntwo\n" {
			t.Fatalf("%q is left, %v", w.pending, err)
		}
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	if w.file, err = os.Create(path); err != nil {
		t.Fatal(err)
	}
	defer w.file.Close()
	if err := w.flush(); err != nil || len(w.pending) != 0 {
		t.Errorf("%q is left, %v", w.pending, err)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "one\ntwo\n" {
		t.Errorf("the file holds %q, %v", raw, err)
	}
}

func TestAuditOptions(t *testing.T) {
	if _, err := NewAudit(AuditOptions{}); err == nil {
		t.Error("without Go")
	}
	if _, err := NewAudit(AuditOptions{Go: plainGo, Path: t.TempDir() + "/no/such/dir/audit.log"}); err == nil {
		t.Error("without a directory")
	}
}

// TestRedaction runs every mechanism well and badly with known secrets, and
// changes of all that is stored, and looks for the secrets in the audit log,
// the broker's log, every error and message and every String.
func TestRedaction(t *testing.T) {
	image := scramImage(t)
	path := filepath.Join(t.TempDir(), "audit.log")
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a := newAudit(t, AuditOptions{Path: path, Logger: logger})
	oauth := newFileOAuth(t, keySetOf(t, []string{"rsa"}), func(o *OAuthOptions) { o.Logger = logger })
	s := newSASL(t, image, oauth)
	var told []string
	secrets := []string{alicePassword, "hunter2", "wr0ng-passw0rd", "tango-key", "s3cret-key"}
	note := func(mechanism string, step Step) {
		told = append(told, step.Message)
		if step.Failure != nil {
			told = append(told, step.Failure.Error(), fmt.Sprintf("%+v", step.Failure))
			a.Refused(noon, here, mechanism, step.Failure)
		}
		if step.Session != nil {
			told = append(told, fmt.Sprintf("%+v %v", step.Session, step.Session.Principal))
			a.Authenticated(noon, here, step.Session)
		}
	}
	for _, token := range []string{"\x00alice\x00" + alicePassword, "\x00alice\x00wr0ng-passw0rd", "x\x00alice\x00" + alicePassword, "\x00\x00hunter2",
		"alice\x00hunter2", "\x00a\x00b\x00hunter2", "\x00mallory\x00hunter2", "\xff\x00alice\x00hunter2"} {
		note(MechanismPlain, start(t, s, MechanismPlain, nil).Step(noon, []byte(token)))
	}
	for _, password := range []string{alicePassword, "wr0ng-passw0rd"} {
		for _, user := range []string{"alice", "mallory"} {
			c := newClient(ScramSHA256, user, password, "")
			x := start(t, s, MechanismSHA256, nil)
			final := c.final(t, x.Step(noon, c.first()).Reply)
			note(MechanismSHA256, x.Step(noon, final))
			secrets = append(secrets, string(final[bytes.Index(final, []byte(",p="))+3:]))
		}
	}
	for _, claims := range []jwt.MapClaims{goodClaims(), with(goodClaims(), "exp", 1), with(goodClaims(), "aud", "x"), with(goodClaims(), "sub", 7)} {
		for _, kid := range []string{"rsa", "nobody"} {
			token := sign(t, jwt.SigningMethodRS256, kid, testKeys()["rsa"], claims)
			secrets = append(secrets, token, strings.Split(token, ".")[2])
			for _, text := range []string{token, token[:len(token)-4] + "AAAA", token + ".x", token[5:]} {
				note(MechanismOAuthBearer, start(t, s, MechanismOAuthBearer, nil).Step(noon, []byte("n,,\x01auth=Bearer "+text+"\x01\x01")))
			}
		}
	}
	c := image.Scram[cluster.ScramKey{User: "alice", Mechanism: 1}]
	tk := image.Tokens["token-1"]
	b64 := func(b []byte) string { j, _ := json.Marshal(b); return strings.Trim(string(j), `"`) }
	for _, b := range [][]byte{c.Salt, c.StoredKey, c.ServerKey, tk.HMAC, tk.ScramSHA256.StoredKey, tk.ScramSHA512.ServerKey} {
		secrets = append(secrets, b64(b), fmt.Sprintf("%x", b), fmt.Sprint(b), string(b))
	}
	for _, change := range []Change{
		{API: "AlterUserScramCredentials", Resource: "User:alice", Before: nil, After: DescribeScram(ScramSHA256, c)},
		{API: "CreateDelegationToken", After: DescribeToken(tk)},
		{API: "CreateAcls", After: DescribeACL(rule(PermissionAllow, "User:alice", OpRead, ResTopic, PatternLiteral, "t", "*"))},
		{API: "IncrementalAlterConfigs", Before: map[string]string{"ssl.key.password": "tango-key", "delegation.token.secret.key": "s3cret-key"},
			After: map[string]string{"sasl.jaas.config": "user password=hunter2", "ssl.keystore.key": "tango-key", "ssl.truststore.PASSWORD": "tango-key",
				"listener.name.x.plain.sasl.jaas.config": "s3cret-key", "salt": string(c.Salt), "hmac": b64(tk.HMAC)}},
	} {
		if err := a.Changed(context.Background(), noon, here, root, change); err != nil {
			t.Error(err)
		}
	}
	for _, err := range []error{func() error {
		_, err := NewTLS(TLSOptions{KeystoreKey: "tango-key", KeystoreChain: "tango-key", KeyPassword: "hunter2", Poll: -1})
		return err
	}(),
		func() error { _, err := NewCredential("u", ScramSHA256, "hunter2", 1); return err }(),
		func() error { _, err := FirstAdmin("", "hunter2"); return err }()} {
		if err == nil {
			t.Error("no error")
		}
		told = append(told, fmt.Sprint(err))
	}
	closeAudit(t, a)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(auditLines(t, path)); n < 40 {
		t.Errorf("only %d lines", n)
	}
	for where, text := range map[string]string{"the audit log": string(raw), "the broker's log": log.String(), "what was told": strings.Join(told, "\n")} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds the secret %q:\n%s", where, secret, text)
			}
		}
	}
	for _, want := range []string{"bad_password", "unknown_user", "expired", "audience", "bad_signature", "malformed", "authorization_id"} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("the audit log has no %s", want)
		}
	}
}

func TestAttempts(t *testing.T) {
	a := NewAttempts(AttemptOptions{Burst: 5, PerSecond: 2, MaxAddrs: 3})
	now := noon
	for range 5 {
		a.Failed(host1, now)
	}
	if wait := a.Wait(host1, now); wait != 0 {
		t.Errorf("after the burst: %v", wait)
	}
	a.Failed(netip.MustParseAddr("::ffff:192.0.2.1"), now)
	if wait := a.Wait(host1, now); wait < 500*time.Millisecond || wait > 502*time.Millisecond {
		t.Errorf("one beyond the burst: %v", wait)
	}
	if wait := a.Wait(host2, now); wait != 0 {
		t.Errorf("another address: %v", wait)
	}
	if wait := a.Wait(host1, now.Add(501*time.Millisecond)); wait != 0 {
		t.Errorf("after the wait: %v", wait)
	}
	for range 1000 {
		a.Failed(host6, now)
	}
	if wait := a.Wait(netip.MustParseAddr("2001:db8::ffff"), now); wait != 30*time.Second {
		t.Errorf("an address of the same /64: %v", wait)
	}
	if wait := a.Wait(netip.MustParseAddr("2001:db8:0:1::1"), now); wait != 0 {
		t.Errorf("an address of another /64: %v", wait)
	}
	if wait := a.Wait(host6, now.Add(31*time.Second)); wait != 0 {
		t.Errorf("a thousand failures are held against it for longer than the greatest wait: %v", wait)
	}
	a.Failed(host2, now)
	a.Failed(netip.MustParseAddr("192.0.2.3"), now)
	if a.Untracked() != 1 || len(a.addrs) != 3 {
		t.Errorf("%d addresses, %d found no room", len(a.addrs), a.Untracked())
	}
	later := now.Add(time.Hour)
	a.Failed(netip.MustParseAddr("192.0.2.3"), later)
	if a.Untracked() != 1 || len(a.addrs) != 1 {
		t.Errorf("%d addresses after an hour, %d found no room", len(a.addrs), a.Untracked())
	}
	a.Failed(netip.Addr{}, later) // an address that is none
	a.Wait(netip.Addr{}, later)
}

func BenchmarkAudit(b *testing.B) {
	a := newAudit(b, AuditOptions{Path: filepath.Join(b.TempDir(), "audit.log"), RefusedPerSecond: 1 << 30})
	f := &Failure{Kind: KindBadPassword, User: "alice", Detail: "the password is wrong"}
	b.ReportAllocs()
	for b.Loop() {
		a.Refused(noon, here, MechanismPlain, f)
	}
	closeAudit(b, a)
}

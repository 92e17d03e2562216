package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/broker"
)

// cli runs a command against a broker and gives what it prints.
type cli struct {
	t    *testing.T
	addr string
}

func newCLI(t *testing.T) *cli {
	b, err := broker.Start(broker.Options{
		DataDirs: []string{t.TempDir()}, Listeners: "PLAINTEXT://127.0.0.1:0",
		Static: map[string]string{"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return &cli{t, b.Addr()}
}

func (c *cli) try(in string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := newRootCommand()
	cmd.SetArgs(append(args, "-b", c.addr))
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	err := cmd.ExecuteContext(ctx)
	return out.String(), errors.Join(err, ctx.Err())
}

func (c *cli) run(in string, args ...string) string {
	c.t.Helper()
	out, err := c.try(in, args...)
	if err != nil {
		c.t.Fatalf("chronik %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TestConfigCommand sets, shows and takes back.
func TestConfigCommand(t *testing.T) {
	c := newCLI(t)
	c.run("", "topic", "create", "ev", "-p", "1")
	c.run("", "config", "set", "--topic", "ev", "retention.ms=1234567", "segment.ms=7654321")
	if got := c.run("", "config", "get", "--topic", "ev", "segment.ms", "retention.ms"); got != "7654321\n1234567\n" {
		t.Errorf("get: %q", got)
	}
	c.run("", "config", "unset", "--topic", "ev", "retention.ms")
	got := c.run("", "config", "list", "--topic", "ev", "--changed")
	if !strings.Contains(got, "segment.ms") || strings.Contains(got, "retention.ms") {
		t.Errorf("list --changed:\n%s", got)
	}
	c.run("", "config", "set", "--broker", "default", "message.max.bytes=2000000")
	if got := c.run("", "config", "get", "--topic", "ev", "max.message.bytes"); got != "2000000\n" {
		t.Errorf("the topic does not follow the broker key: %q", got)
	}
	for _, args := range [][]string{
		{"config", "set", "--topic", "ev", "retention.ms=soon"},
		{"config", "set", "--topic", "ev", "retention.ms"},
		{"config", "get", "--topic", "ev", "no.such.key"},
		{"config", "list"},
		{"config", "list", "--topic", "ev", "--group", "g"},
		{"config", "list", "--topic", "none"},
	} {
		if out, err := c.try("", args...); err == nil {
			t.Errorf("%s succeeds: %s", strings.Join(args, " "), out)
		}
	}
}

// TestMistakes: what a stranger types wrong is refused with a sentence that says
// what to do, once.
func TestMistakes(t *testing.T) {
	c := newCLI(t)
	c.run("", "topic", "create", "ev", "-p", "1")
	c.run("", "topic", "alter", "ev", "-c", "retention.ms=60000")
	if got := c.run("", "topic", "describe", "ev"); !regexp.MustCompile(`id [A-Za-z0-9_-]{22}\n`).MatchString(got) {
		t.Errorf("the id is not as Kafka writes it:\n%s", got)
	}
	for _, m := range []struct {
		says string
		args []string
	}{
		{`there is no command "chronik config describe"; there are chronik config get, list, set, unset`, []string{"config", "describe", "ev"}},
		{`there is no command "chronik topic ad"`, []string{"topic", "ad"}},
		{"This server does not host this topic-partition.", []string{"topic", "alter", "none", "--partitions", "5"}},
		{"Topic already has 1 partition(s).", []string{"topic", "alter", "ev", "--partitions", "1"}},
		{"did you mean retention.ms", []string{"topic", "alter", "ev", "-c", "retentoin.ms=5"}},
		{`-f, --format: "%v %q" cannot be read`, []string{"consume", "ev", "-n", "1", "-f", "%v %q"}},
		{`-f, --format: "%k{hax}" cannot be read`, []string{"consume", "ev", "-n", "1", "-f", "%k{hax}"}},
		{`-f, --format: "%v %q" cannot be read`, []string{"produce", "ev", "-f", "%v %q"}},
		{`-f, --format: "%" cannot be read`, []string{"produce", "ev", "-o", "%"}},
		{`--format and --key-separator exclude each other`, []string{"produce", "ev", "-f", "%v", "-K", ":"}},
		{`-H, --header: "alone" is not key=value`, []string{"produce", "ev", "-H", "alone"}},
		{`--acks "most" is not all, 1 or 0`, []string{"produce", "ev", "--acks", "most"}},
		{"-o, --from: \"middle\" is not start, end", []string{"consume", "ev", "-n", "1", "-o", "middle"}},
	} {
		out, err := c.try("", m.args...)
		switch {
		case err == nil:
			t.Errorf("%s succeeds: %s", strings.Join(m.args, " "), out)
		case strings.Count(err.Error(), m.says) != 1:
			t.Errorf("%s: %v, want once: %s", strings.Join(m.args, " "), err, m.says)
		}
	}
}

// TestGroupCommand follows a group from its first commit to its end.
func TestGroupCommand(t *testing.T) {
	c := newCLI(t)
	c.run("", "topic", "create", "ev", "-p", "1")
	c.run("a\nb\nc\n", "produce", "ev")
	if got := c.run("", "consume", "ev", "-g", "grp", "-n", "3", "-f", `%o %v\n`); got != "0 a\n1 b\n2 c\n" {
		t.Fatalf("consume: %q", got)
	}
	if got := c.run("", "group", "list"); !strings.Contains(got, "grp") {
		t.Errorf("list:\n%s", got)
	}
	if got := c.run("", "group", "describe", "grp"); !strings.Contains(got, "lag 0") {
		t.Errorf("describe:\n%s", got)
	}
	if got := c.run("", "group", "seek", "grp", "--to", "start"); got != "ev 0 0\n" {
		t.Errorf("seek: %q", got)
	}
	if got := c.run("", "group", "describe", "grp"); !strings.Contains(got, "lag 3") {
		t.Errorf("describe after the seek:\n%s", got)
	}
	if out, err := c.try("", "group", "seek", "grp", "--to", "tomorrow"); err == nil {
		t.Errorf("seek to tomorrow succeeds: %s", out)
	}
	c.run("", "group", "delete", "grp")
	if got := c.run("", "group", "list"); strings.Contains(got, "grp") {
		t.Errorf("list after the delete:\n%s", got)
	}
}

// TestConsumeCommand begins at every kind of place.
func TestConsumeCommand(t *testing.T) {
	c := newCLI(t)
	c.run("", "topic", "create", "ev", "-p", "1")
	c.run("a\nb\nc\n", "produce", "ev")
	for from, want := range map[string]string{"start": "a", "1": "b", "+2": "c", "-1": "c", "-2": "b"} {
		if got := c.run("", "consume", "ev", "-o", from, "-n", "1"); got != want+"\n" {
			t.Errorf("from %s: %q, want %q", from, got, want)
		}
	}
	if got := c.run("", "consume", "e.", "--regex", "-n", "1", "-f", `%t\n`); got != "ev\n" {
		t.Errorf("by a pattern: %q", got)
	}
	if out, err := c.try("", "consume", "ev", "-p", "7", "-n", "1"); err == nil || !strings.Contains(err.Error(), "partitions 0 to 0") {
		t.Errorf("a partition that is not there: %v, %s", err, out)
	}
	if out, err := c.try("", "consume", "absent", "-e"); err == nil || !strings.Contains(err.Error(), "no topic absent") {
		t.Errorf("a topic that is not there: %v, %q", err, out)
	}
	for _, from := range []string{"middle", "", "1x"} {
		if _, err := parsePlace(from); err == nil {
			t.Errorf("--from %q is taken", from)
		}
	}
}

// TestConsumeExits: consume -e ends where there is nothing to wait for: behind
// the marker of a transaction, before an open one, at the end already, and in a
// group that has read it all.
func TestConsumeExits(t *testing.T) {
	c := newCLI(t)
	c.run("", "topic", "create", "ev", "-p", "1")
	c.run("a\nb\n", "produce", "ev")
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("ev"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	write := func(text string) {
		t.Helper()
		if err := errors.Join(cl.BeginTransaction(), cl.ProduceSync(ctx, kgo.StringRecord(text)).FirstErr()); err != nil {
			t.Fatal(err)
		}
	}
	end := func(how kgo.TransactionEndTry) {
		t.Helper()
		if err := cl.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	consume := func(want string, args ...string) {
		t.Helper()
		if got := c.run("", append([]string{"consume", "ev", "-e", "-f", "%v "}, args...)...); got != want {
			t.Errorf("consume -e %s: %q, want %q", strings.Join(args, " "), got, want)
		}
	}
	write("c")
	end(kgo.TryCommit)
	write("d")
	end(kgo.TryAbort)
	consume("a b c d ")
	consume("a b c ", "--committed")
	consume("", "-o", "end")
	consume("", "-o", "+99")
	consume("", "-o", "99")
	consume("c d ", "-o", "2")
	consume("a b c d ", "-g", "g")
	consume("", "-g", "g")
	write("e")
	consume("a b c ", "--committed")
	consume("e ", "-g", "g")
	end(kgo.TryCommit)
}

// TestDoctorCommand finds a broker that can be reached, and one that cannot.
func TestDoctorCommand(t *testing.T) {
	c := newCLI(t)
	got, err := c.try("", "doctor", "--data-dir", t.TempDir())
	if err != nil && !strings.Contains(got, "tmpfs") || !strings.Contains(got, "which can be reached") || !strings.Contains(got, "file system") || !strings.Contains(got, "median") {
		t.Errorf("doctor: %v\n%s", err, got)
	}
	of := regexp.MustCompile(`(?m)^cluster +(\S+),`).FindStringSubmatch(got)[1]
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/broker" {
			t.Errorf("the doctor asks for %s", r.URL.Path)
		}
		fmt.Fprintf(w, `{"version": "v9", "durability": "commit: synced to disk", "cluster_id": %q}`, of)
	}))
	defer admin.Close()
	if got, err := c.try("", "doctor", "--admin", strings.TrimPrefix(admin.URL, "http://")); err != nil || !strings.Contains(got, "commit: synced to disk (version v9") {
		t.Errorf("doctor with an admin server: %v\n%s", err, got)
	}
	// What another broker promises says nothing of this one.
	of = "another"
	if got, err := c.try("", "doctor", "--admin", strings.TrimPrefix(admin.URL, "http://")); err == nil || !strings.Contains(got, `of another broker, of cluster "another"`) || strings.Contains(got, "v9") {
		t.Errorf("doctor with another broker's admin server: %v\n%s", err, got)
	}
	if got, err := c.try("", "doctor", "--admin", "127.0.0.1:1"); err == nil || !strings.Contains(got, "refused") {
		t.Errorf("doctor with an admin address where nobody listens: %v\n%s", err, got)
	}
	for _, bad := range []string{"9644", "127.0.0.1", "127.0.0.1:"} {
		if _, err := c.try("", "doctor", "--admin", bad); err == nil || !strings.Contains(err.Error(), "is not HOST:PORT or off") {
			t.Errorf("--admin %s: %v", bad, err)
		}
	}
	gone := &cli{t, "127.0.0.1:1"}
	if got, err := gone.try("", "doctor"); err == nil || !strings.Contains(got, "WRONG") {
		t.Errorf("doctor without a broker: %v\n%s", err, got)
	}
}

// TestProduceFormats writes records as --format and the flags beside it say,
// and reads them back.
func TestProduceFormats(t *testing.T) {
	c := newCLI(t)
	for i, m := range []struct {
		in   string
		args []string
		want string // as %p %k %v %h of each record, nil as -
	}{
		{"a\nb\n", []string{"-k", "all"}, "0 all a |0 all b |"},
		{"a:b\n:c\nd\n", []string{"-K", ":"}, "0 a b |0  c |0 - d |"},
		{"a:b\nd\n", []string{"-K", ":", "-k", "other"}, "0 a b |0 other d |"},
		{"x\n", []string{"-H", "a=1", "-H", "b=2=3"}, "0 - x a=1,b=2=3|"},
		{"k\n\n", []string{"-k", "key", "-Z"}, "0 key k |0 key - |"},
		{"k\n\n", []string{"-k", "key"}, "0 key k |0 key  |"},
		{"k1 v1\nk2 v2\n", []string{"-f", `%k %v\n`}, "0 k1 v1 |0 k2 v2 |"},
		{"6162=636465\n", []string{"-f", `%k{hex}=%v{hex}\n`}, "0 ab cde |"},
		{"YWI=,2\n", []string{"-f", `%v{base64},%p\n`}, "2 - ab |"},
		{"00000003abc00000001d", []string{"-f", `%V{hex32}%v`}, "0 - abc |0 - d |"},
		{"k v 2 a=1 b=22 \n", []string{"-f", `%k %v %H %h{%k=%v }\n`, "-H", "last=3"}, "0 k v a=1,b=22,last=3|"},
		{"x\n", []string{"-p", "1", "--acks", "1"}, "1 - x |"},
	} {
		topic := fmt.Sprint("t", i)
		c.run("", "topic", "create", topic, "-p", "3")
		args := append([]string{"produce", topic}, m.args...)
		if !slices.Contains(m.args, "-p") && !strings.Contains(strings.Join(m.args, " "), "%p") {
			args = append(args, "-p", "0")
		}
		if told := c.run(m.in, append(args, "-o", `%t %p %o\n`)...); !strings.HasPrefix(told, topic+" ") || strings.Count(told, "\n") != strings.Count(m.want, "|")+1 {
			t.Errorf("%q: it tells %q", m.args, told)
		}
		if plain := records(t, c, topic); plain != m.want {
			t.Errorf("%q with %q: the topic has %q, want %q", m.args, m.in, plain, m.want)
		}
	}
}

// TestConsumeFormats holds verbs against a record.
func TestConsumeFormats(t *testing.T) {
	r := &kgo.Record{Topic: "t", Key: []byte("k\xff"), Value: []byte("value"), Partition: 3, Offset: 9, LeaderEpoch: 2,
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "i"}}, Timestamp: time.UnixMilli(1500)}
	for format, want := range map[string]string{
		`%v\n`:                  "value\n",
		`%k{hex} %v{base64}`:    "6bff dmFsdWU=",
		`%t/%p/%o/%e\t%K %V %H`: "t/3/9/2\t2 5 2",
		`%h`:                    "h=v,i=",
		`%h;%h{%k:%v;}`:         "h=v,i=;h:v;i:;",
		`%d %T`:                 "1500 1970-01-01T00:00:01.5Z",
		`%d{go[2006-01-02]}%%`:  "1970-01-01%",
		`%T%h`:                  "1970-01-01T00:00:01.5Zh=v,i=",
		`%h{%k}%{%h%}`:          "hi{h=v,i=}",
		`%V{big32}`:             "\x00\x00\x00\x05",
		`%T{hex8}`:              "01",
		`\x41\\`:                `A\`,
		``:                      "",
		`%i%h%v`:                "1h=v,i=value",
	} {
		f, err := parseFormat(format)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got := string(f.append(nil, r)); got != want {
			t.Errorf("%s gives %q, want %q", format, got, want)
		}
	}
	for _, bad := range []string{"%", "%q", "%k{", "%k{hax}", "%h{", "%v %", `%h{%q}`, `\q`} {
		if _, err := parseFormat(bad); err == nil || !strings.Contains(err.Error(), "-f, --format") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// records is a topic's records as the tests write them down: %p %k %v %h of
// each, nil as -.
func records(t *testing.T, c *cli, topic string) string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	left := strings.Count(c.run("", "consume", topic, "-e", "-f", "|"), "|")
	var out strings.Builder
	text := func(b []byte) string {
		if b == nil {
			return "-"
		}
		return string(b)
	}
	for left > 0 {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			fmt.Fprintf(&out, "%d %s %s %s|", r.Partition, text(r.Key), text(r.Value), appendHeaders(nil, r))
		})
	}
	return out.String()
}

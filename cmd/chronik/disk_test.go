package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/broker"
)

// TestDumpAndVerify reads what a stopped broker has left, then flips a bit and
// sees it found.
func TestDumpAndVerify(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start(broker.Options{DataDirs: []string{dir}, Listeners: "PLAINTEXT://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Value: []byte("one")}, &kgo.Record{Value: []byte("two")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	client.Close()
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := newRootCommand()
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if out, err := run("verify", "--data-dir", dir); err != nil {
		t.Fatalf("of a running broker: %v\n%s", err, out)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "logs", "t-0", "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("segments: %v, %v", logs, err)
	}
	out, err := run("dump", "--json", logs[0])
	if err != nil {
		t.Fatal(err)
	}
	var records int32
	for line := range strings.Lines(out) {
		var l batchLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		records += l.Count
	}
	if records != 2 {
		t.Fatalf("%d records were dumped:\n%s", records, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "journal", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("journal files: %v, %v", files, err)
	}
	if out, err := run("verify", "--data-dir", dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00000000000000000000.log.deleted", "00000000000000000000-0000000000.checkpoint"} {
		copied := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(copied, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if other, err := run("dump", "--json", copied); err != nil || other != out {
			t.Fatalf("%s: %v\n%s", name, err, other)
		}
	}
	raw[len(raw)-2] ^= 1
	if err := os.WriteFile(logs[0], raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run("verify", "--data-dir", dir); err == nil || !strings.Contains(out, "t-0") {
		t.Fatalf("a flipped bit: %v\n%s", err, out)
	}
	if _, err := run("dump", logs[0]); err == nil {
		t.Fatal("dump took a damaged batch for whole")
	}
}

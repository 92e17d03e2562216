package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/chronik-stream/chronik/broker"
)

// optionsOf is what serve makes of arguments.
func optionsOf(args ...string) (broker.Options, *serveFlags, error) {
	f, p := &serveFlags{}, pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.register(p)
	if err := p.Parse(args); err != nil {
		return broker.Options{}, f, err
	}
	o, err := f.options(p)
	return o, f, err
}

// TestTuning walks the table: each flag reaches the broker, from the command
// line, the environment and the file by one spelling, in this order of
// precedence; a value that is none is refused by the flag's name.
func TestTuning(t *testing.T) {
	b, err := broker.Start(broker.Options{DataDirs: []string{t.TempDir()}, Listeners: "PLAINTEXT://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]bool{}
	for _, l := range b.Limits() {
		limits[l.Name] = true
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, row := range tuning {
		read := func(o broker.Options) int64 {
			switch {
			case row.key != "":
				var n int64
				for _, c := range o.Static[row.key] {
					n = 10*n + int64(c-'0')
				}
				return n
			case row.limit != "":
				if !limits[row.limit] {
					t.Errorf("%s: there is no limit %s", row.flag, row.limit)
				}
				return o.Limits[row.limit]
			}
			// A field: what it holds differs when the flag's value does.
			fresh := broker.Options{}
			row.set(&fresh, 7)
			if o.Loops == fresh.Loops && o.WindowBudget == fresh.WindowBudget {
				return 7
			}
			return 0
		}
		env := "CHRONIK_" + strings.ToUpper(strings.ReplaceAll(row.flag, "-", "_"))
		file := filepath.Join(t.TempDir(), "server.properties")
		if err := os.WriteFile(file, []byte(row.flag+"=7\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		check := func(how string, want bool, args ...string) {
			t.Helper()
			o, _, err := optionsOf(args...)
			if err != nil {
				t.Errorf("%s by %s: %v", row.flag, how, err)
			} else if got := read(o); (got == 7) != want {
				t.Errorf("%s by %s: %d", row.flag, how, got)
			}
		}
		check("nothing", false)
		check("flag", true, "--"+row.flag, "7")
		check("file", true, "--config", file)
		check("flag before file", false, "--config", file, "--"+row.flag, "8")
		t.Setenv(env, "7")
		check("environment", true)
		t.Setenv(env, "8")
		check("environment before file", false, "--config", file)
		check("flag before environment", true, "--"+row.flag, "7")
		if err := os.Unsetenv(env); err != nil {
			t.Fatal(err)
		}
		if _, _, err := optionsOf("--"+row.flag, "-1"); err == nil || !strings.Contains(err.Error(), "--"+row.flag) {
			t.Errorf("%s=-1: %v", row.flag, err)
		}
	}
}

// TestConfigFileTakesFlags: every flag may stand in the file by its name, beside
// Kafka's keys; one that cannot is refused with the line.
func TestConfigFileTakesFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("num.partitions=3\ndurability=interval=100ms\ncommit-delay=2ms\ngomaxprocs=5\nlisteners=PLAINTEXT://127.0.0.1:0\n")
	o, f, err := optionsOf("--config", file, "--commit-delay", "3ms")
	if err != nil {
		t.Fatal(err)
	}
	if o.Static["num.partitions"] != "3" || o.SyncEvery.String() != "100ms" || o.CommitDelay.String() != "3ms" || f.tuning.gomaxprocs != 5 || o.Listeners != "PLAINTEXT://127.0.0.1:0" {
		t.Errorf("partitions %q, sync every %s, commit delay %s, gomaxprocs %d, listeners %q", o.Static["num.partitions"], o.SyncEvery, o.CommitDelay, f.tuning.gomaxprocs, o.Listeners)
	}
	if o.Static["durability"] != "" || o.Static["commit-delay"] != "" {
		t.Error("a flag's name went on as a Kafka key")
	}
	write("num.partitions=1\\\n2\\")
	if o, _, err := optionsOf("--config", file); err != nil || o.Static["num.partitions"] != "12" {
		t.Errorf("a line that goes on at the end of the file: %q, %v", o.Static["num.partitions"], err)
	}
	write("commit-delay=soon\n")
	if _, _, err := optionsOf("--config", file); err == nil || !strings.Contains(err.Error(), "commit-delay") || !strings.Contains(err.Error(), file) {
		t.Errorf("a bad value in the file: %v", err)
	}
	write("config=/other\n")
	if _, _, err := optionsOf("--config", file); err == nil || !strings.Contains(err.Error(), "config") {
		t.Errorf("a file that names a file: %v", err)
	}
}

// TestDevTakesNodeID: dev has no --node-id, and -c is not overruled by the flag
// that nobody gave.
func TestDevTakesNodeID(t *testing.T) {
	f := devFlags()
	f.set = []string{"node.id=5"}
	o, err := f.options(newDevCommand().Flags())
	if err != nil || o.Static["node.id"] != "5" {
		t.Errorf("node.id %q, want 5: %v", o.Static["node.id"], err)
	}
}

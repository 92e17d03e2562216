package logstore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestKafkaDumpLog has Apache Kafka's own tool check what we wrote: set
// KAFKA_HOME to a distribution (its bin/kafka-dump-log or kafka-dump-log.sh).
func TestKafkaDumpLog(t *testing.T) {
	tool := dumpLogTool()
	if tool == "" {
		t.Skip("KAFKA_HOME is not set")
	}
	o := rigOptions(vfs.OS)
	o.Dirs = []string{t.TempDir()}
	r := mustRig(t, o).ready()
	spec := specOf("t", 0)
	spec.Config.SegmentBytes, spec.Config.IndexIntervalBytes = 6000, 300
	l := r.open(spec)
	for i := range 200 {
		if _, err := r.append(l, Append{Batches: makeBatch(fmt.Sprint("v", i), 1+i%4, producing{int64(i%5) + 100, 0, -1, true}, testNow+int64(i)), Origin: Coordinator}); err != nil {
			t.Fatal(err)
		}
		if i%5 == 4 {
			for id := range int64(5) {
				if err := r.mark(l, id+100, 0, i%2 == 0, 1, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := r.append(l, Append{Batches: makeBatch(fmt.Sprint("w", i), 1, producing{7, 1, int32(i), false}, testNow+int64(i))}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the closed segments are sealed", func() bool {
		segs := *l.segs.Load()
		return len(segs) > 3 && segs[0].sealed.Load() && segs[len(segs)-2].sealed.Load()
	})
	r.close()
	files := func(suffix string) string {
		names, err := filepath.Glob(filepath.Join(l.path, "*"+suffix))
		if err != nil || len(names) == 0 {
			t.Fatalf("no %s files: %v", suffix, err)
		}
		return strings.Join(names, ",")
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tool, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		for _, bad := range []string{"Exception", "corrupt", "mismatch", "Mismatch", "out of order", "not found", "invalid bytes", "isvalid: false", "unexpected"} {
			if strings.Contains(string(out), bad) {
				t.Errorf("%s says %q:\n%.3000s", filepath.Base(tool), bad, out)
			}
		}
		return string(out)
	}
	if out := run("--deep-iteration", "--files", files(suffixLog)); strings.Count(out, "isvalid: true") < 400 {
		t.Errorf("too few batches were read:\n%.2000s", out)
	}
	if out := run("--index-sanity-check", "--files", files(suffixIndex)+","+files(suffixTime)); !strings.Contains(out, "passed sanity check") {
		t.Errorf("index check:\n%.2000s", out)
	}
	run("--verify-index-only", "--files", files(suffixIndex)+","+files(suffixTime))
	if out := run("--files", files(suffixTxn)); !strings.Contains(out, "producerId: 10") {
		t.Errorf("transaction index:\n%.2000s", out)
	}
	if out := run("--files", files(suffixSnapshot)); !strings.Contains(out, "producerId: 7") {
		t.Errorf("producer snapshots:\n%.2000s", out)
	}
}

func dumpLogTool() string {
	home := os.Getenv("KAFKA_HOME")
	if home == "" {
		return ""
	}
	for _, name := range []string{"kafka-dump-log.sh", "kafka-dump-log"} {
		if p := filepath.Join(home, "bin", name); exists(p) {
			return p
		}
	}
	return ""
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

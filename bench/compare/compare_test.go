package compare

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/chronik-stream/chronik/bench"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want string
	}{
		{[]float64{1234567.4}, "1,234,567"},
		{[]float64{3, 1, 2}, "2 (1–3)"},
		{[]float64{4, 1, 2, 3}, "2 (1–4)"}, // 2.5, half to even
		{[]float64{-1234, -999}, "-1,116 (-1,234–-999)"},
	} {
		s, ok := spreadOf(c.in)
		if got := s.text(0); !ok || got != c.want {
			t.Errorf("%v: got %q, want %q", c.in, got, c.want)
		}
	}
	if _, ok := spreadOf(nil); ok {
		t.Error("nothing has a spread")
	}
	if got := number(1234.5678, 2); got != "1,234.57" {
		t.Errorf("got %s", got)
	}
}

// report is two peers in one cell: the second's rates are four times the
// first's in one round, and one and a half in the other.
func report() *Report {
	rate := func(v ...float64) (s []sample) {
		for _, x := range v {
			s = append(s, sample{values: map[string]float64{"rate": x, "p50": 1, "cpu": 10}, curve: []point{{0, 0.1}, {50, 1}, {99.99, 20}}})
		}
		return s
	}
	all := Peers()
	return &Report{
		Machine: Machine{CPU: "a <CPU>", Commit: "abc1234"}, Duration: time.Second, Peers: []Peer{all[0], all[2]},
		Limits: []*Limits{{Sync: bench.Percentiles{P50: 0.4}, Echo: bench.Percentiles{P50: 0.1}, SyncedMBs: 500}},
		Cells: []Outcome{{Key: "thirtytwo", Title: "32", columns: []column{colRate, colP50}, missing: map[string]string{},
			samples: map[string][]sample{"kafka": rate(100, 200), "commit": rate(400, 300)}},
			{Key: "one", Title: "1", columns: []column{colRate, colP50}, missing: map[string]string{"kafka": "it | broke"},
				samples: map[string][]sample{"commit": rate(10)}}},
	}
}

// TestVerdicts: a target is met when every round meets it, and ratios are those
// of a round.
func TestVerdicts(t *testing.T) {
	got := map[string]string{}
	for _, v := range report().verdicts() {
		got[v.target.words] = v.spread.text(2) + " " + v.word
	}
	for words, want := range map[string]string{
		"32 producers: rate / Kafka as shipped": "2.75 (1.50–4.00) met",
		"32 producers: CPU / Kafka as shipped":  "1.00 (1.00–1.00) **missed**",
		"1 producer: p50 / (fdatasync + echo)":  "2.00 **missed**",
	} {
		if got[words] != want {
			t.Errorf("%s: got %q, want %q", words, got[words], want)
		}
	}
	for _, absent := range []string{"32 producers: rate / Kafka fsync", "1 producer: p50 / Kafka as shipped"} {
		if v, ok := got[absent]; ok {
			t.Errorf("%s was judged without a measurement: %s", absent, v)
		}
	}
	r := report()
	r.Cells[0].samples["commit"][1].values["rate"] = 200
	for _, v := range r.verdicts() {
		if v.target.words == "32 producers: rate / Kafka as shipped" && v.word != "met in the median" {
			t.Errorf("one round at 1.0 and one at 4.0: %s", v.word)
		}
	}
}

// TestWriteInto replaces what is between the marks, as often as it is asked.
func TestWriteInto(t *testing.T) {
	name := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(name, []byte("before\n"+markBegin+"\nold\n"+markEnd+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := WriteInto(name, report().Markdown("figures")); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(name)
	text := string(b)
	if err != nil || !strings.HasPrefix(text, "before\n"+markBegin) || !strings.HasSuffix(text, markEnd+"\nafter\n") ||
		strings.Contains(text, "old") || strings.Count(text, "abc1234") != 1 {
		t.Fatalf("%v:\n%s", err, text)
	}
	for _, want := range []string{"| Chronik commit | 350 (300–400) | 1.00 (1.00–1.00) | 2 |", "| Kafka, as shipped | failed: it / broke | | 0 |", "figures/latency.svg"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	bare := filepath.Join(t.TempDir(), "bare.md")
	if err := os.WriteFile(bare, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteInto(bare, "x"); err == nil || !strings.Contains(err.Error(), markBegin) {
		t.Errorf("a file without marks: %v", err)
	}
}

// TestPlots: the plots are well-formed XML with a curve and bars per peer.
func TestPlots(t *testing.T) {
	dir := t.TempDir()
	if err := report().WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	for name, element := range map[string]string{"latency.svg": "path", "throughput.svg": "rect"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for d := xml.NewDecoder(strings.NewReader(string(b))); ; {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if s, ok := tok.(xml.StartElement); ok && s.Name.Local == element {
				n++
			}
		}
		if n < 3 {
			t.Errorf("%s has %d %s elements", name, n, element)
		}
	}
}

// TestLimits: the disk and loopback answer with times above zero.
func TestLimits(t *testing.T) {
	l, err := measureLimits(t.TempDir(), 4<<20)
	if err != nil || l.Sync.P50 <= 0 || l.SyncedMBs <= 0 || l.OverwriteMBs <= 0 || l.Echo.P50 <= 0 {
		t.Fatalf("%+v, %v", l, err)
	}
}

// TestCells runs every load once against a fake, so that a broken cell is found
// before Kafka was started for it.
func TestCells(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	o := Options{Duration: 50 * time.Millisecond, Runs: 1, Work: t.TempDir(), Connections: 20, Short: true, Progress: func(s string) { t.Log(s) },
		Cells: []string{"one", "thirtytwo", "sixteen", "bulk128", "bulk16", "open10k", "connections"}}
	i := &instance{peer: Peers()[2], addr: fake.ListenAddrs()[0], pid: os.Getpid(), o: &o}
	rep := &Report{Peers: []Peer{i.peer}}
	if err := rep.cells(t.Context(), &o, []*instance{i}); err != nil {
		t.Fatal(err)
	}
	if len(rep.Cells) != len(o.Cells) {
		t.Fatalf("%d tables of %d cells", len(rep.Cells), len(o.Cells))
	}
	for _, c := range rep.Cells {
		if len(c.samples["commit"]) != 1 || c.missing["commit"] != "" {
			t.Errorf("%s: %d samples, %s", c.Key, len(c.samples["commit"]), c.missing["commit"])
		}
	}
}

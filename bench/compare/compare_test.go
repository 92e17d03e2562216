package compare

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/chronik-stream/chronik/bench"
)

// TestFreePort: no port is one that the kernel might give to a client meanwhile, nor
// one that somebody holds.
func TestFreePort(t *testing.T) {
	low, err := firstClientPort()
	if err != nil {
		t.Fatal(err)
	}
	held := map[int]bool{}
	for range 50 {
		port, err := freePort(3)
		if err != nil {
			t.Fatal(err)
		}
		if port+2 >= low {
			t.Fatalf("ports %d to %d: from %d on they are clients'", port, port+2, low)
		}
		if held[port] || held[port+1] || held[port+2] {
			t.Fatalf("ports %d to %d are held in part", port, port+2)
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err != nil {
			continue // somebody else was quicker
		}
		defer l.Close()
		held[port+1] = true
		if isFree(port + 1) {
			t.Fatalf("port %d is held and called free", port+1)
		}
	}
}

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
		Cells: []*Outcome{{Key: "thirtytwo", Title: "32 producers (raw), 6 partitions", columns: []column{colRate, colP50}, failures: map[string][]string{"commit": {"it\nfell"}},
			samples: map[string][]sample{"kafka": rate(100, 200), "commit": rate(400, 300)}},
			{Key: "one", Title: "1", columns: []column{colRate, colP50}, failures: map[string][]string{"kafka": {"it | broke"}},
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

// TestBlocks replaces what is between the marks, as often as it is asked, and
// makes a block where the file is the tool's.
func TestBlocks(t *testing.T) {
	dir := t.TempDir()
	name, own := filepath.Join(dir, "README.md"), filepath.Join(dir, "FIGURES.md")
	begin, end := marks("figures")
	if err := os.WriteFile(name, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := WriteInto(name, "figures", report().Summary("bench/figures", true)); err != nil {
			t.Fatal(err)
		}
		if err := WriteBlock(own, "figures", "Figures", report().Full(true)); err != nil {
			t.Fatal(err)
		}
		if err := WriteBlock(own, "more-figures", "More", report().Full(false)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	text := read(name)
	if !strings.HasPrefix(text, "before\n"+begin) || !strings.HasSuffix(text, end+"\nafter\n") ||
		strings.Contains(text, "old") || strings.Count(text, "abc1234") != 1 {
		t.Fatalf("got\n%s", text)
	}
	for _, want := range []string{"| 32 producers, 6 partitions, records/s | 150 | 350 |", "Kafka, as shipped<br>*page cache*", "(bench/figures/latency.svg)",
		"(bench/figures/FIGURES.md)", "32 producers: rate / Kafka as shipped | ≥ 1.50 | 2.75 (1.50–4.00) | 2 | met"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	text = read(own)
	for _, want := range []string{"| Chronik commit | 350 (300–400) | 1.00 (1.00–1.00) | 2; 1 failed: it fell |", "| Kafka, as shipped | failed: it / broke | | 0 |", "(latency.svg)", "# More"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Count(text, "abc1234") != 2 {
		t.Errorf("two blocks, written twice, give\n%s", text)
	}
	bare := filepath.Join(dir, "bare.md")
	if err := os.WriteFile(bare, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteInto(bare, "figures", "x"); err == nil || !strings.Contains(err.Error(), begin) {
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

// TestSelected: cells are chosen by patterns, peers by what the cells need.
func TestSelected(t *testing.T) {
	for _, c := range []struct {
		o     Options
		cells string
		peers string
	}{
		{Options{Cells: []string{"one", "bulk.*"}}, "one bulk128 bulk16", "kafka kafka-fsync commit interval os"},
		{Options{Cells: []string{"ssl-consume"}}, "ssl-consume", "kafka-ssl commit-ssl os-ssl"},
		{Options{Cells: []string{"commits"}, Peers: []string{"commit", "kafka"}}, "commits", "kafka commit"},
		{Options{More: true, Cells: []string{"one"}}, "one", "kafka kafka-fsync commit interval os"},
	} {
		picked, peers, err := c.o.selected()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(keysOf(picked, func(c cell) string { return c.key }), " ")
		with := strings.Join(keysOf(peers, func(p Peer) string { return p.Key }), " ")
		if got != c.cells || with != c.peers {
			t.Errorf("%v: cells %s and peers %s", c.o, got, with)
		}
	}
	usual, _, err := (&Options{}).selected()
	more, _, err2 := (&Options{More: true}).selected()
	if err := errors.Join(err, err2); err != nil || len(usual)+len(more) != len(cells()) {
		t.Fatalf("%d usual and %d more of %d cells: %v", len(usual), len(more), len(cells()), err)
	}
	for want, o := range map[string]Options{"no cell": {Cells: []string{"on"}}, "no regular expression": {Cells: []string{"["}}, "no peer is called": {Peers: []string{"pulsar"}}} {
		if _, _, err := o.selected(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", o, err, want)
		}
	}
}

// TestTargetsHaveCells: every target names a cell, a column of it and peers that
// meet in it; every headline is a column.
func TestTargetsHaveCells(t *testing.T) {
	known := map[string]cell{}
	for _, c := range cells() {
		for _, o := range outcomesOf(c) {
			known[o.Key] = c
		}
	}
	has := func(cell, key string) bool {
		return slices.ContainsFunc(known[cell].columns, func(c column) bool { return c.key == key })
	}
	for _, g := range targets {
		c := known[g.cell]
		if !has(g.cell, g.key) || !c.meets(g.of) || (g.by != "" && g.by != "limits" && g.by != "disk" && !c.meets(g.by)) {
			t.Errorf("the target %q has no cell %s with %s of %s and %s", g.words, g.cell, g.key, g.of, g.by)
		}
	}
	for key, columns := range headline {
		for column := range columns {
			if !has(key, column) {
				t.Errorf("the headline %s of %s is no column of it", column, key)
			}
		}
	}
	for key := range known {
		if headline[key] == nil {
			t.Errorf("cell %s has no headline", key)
		}
	}
}

// TestLimit: no run begins that would end after the limit, and the report says so.
func TestLimit(t *testing.T) {
	o := Options{Duration: time.Millisecond, Runs: 3, Work: t.TempDir(), Limit: time.Hour, Progress: func(string) {}}
	i := &instance{peer: Peers()[2], pid: os.Getpid(), o: &o, prepared: map[string]bool{}}
	ran := 0
	load := cell{key: "x", title: "x", columns: []column{colRate}, topicless: true, run: func(context.Context, *instance, string) ([]sample, error) {
		if ran++; ran == 2 {
			return nil, errors.New("it failed once")
		}
		return []sample{{values: map[string]float64{"rate": 1}}}, nil
	}}
	m := &measurement{o: &o, rep: &Report{}, began: time.Now(), running: []*instance{i}, lost: map[string]string{"kafka": "no JVM"}, took: map[string]time.Duration{}}
	m.rounds(t.Context(), []cell{load})
	out := m.rep.Cells[0]
	if len(out.samples["commit"]) != 2 || len(out.failures["commit"]) != 1 || out.failures["kafka"][0] != "no JVM" || m.rep.Ended != "" {
		t.Fatalf("three rounds with a failure gave %+v (%s)", out, m.rep.Ended)
	}
	m.took["x"], m.rep.Cells = 2*time.Hour, nil
	m.rounds(t.Context(), []cell{load})
	if ran != 3 || !strings.Contains(m.rep.Ended, "limit of 1h0m0s") || !strings.Contains((&Report{Ended: m.rep.Ended}).Full(false), "ended early") {
		t.Fatalf("%d runs, %q", ran, m.rep.Ended)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.took = map[string]time.Duration{}
	m.rounds(ctx, []cell{load})
	if ran != 3 {
		t.Fatal("a run began after the interrupt")
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
	o := Options{Duration: 300 * time.Millisecond, Runs: 1, Work: t.TempDir(), Connections: 20, Short: true, Progress: func(s string) { t.Log(s) },
		Cells: []string{"one", "thirtytwo", "sixteen", "bulk128", "bulk16", "open10k", "connections", "commits", "transactions", "tls"}}
	i := &instance{peer: Peers()[2], addr: fake.ListenAddrs()[0], pid: os.Getpid(), o: &o, prepared: map[string]bool{}}
	picked, _, err := o.selected()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range picked {
		c.peers = nil // the fake stands in for any
		m := &measurement{o: &o, rep: &Report{}, running: []*instance{i}, took: map[string]time.Duration{}}
		m.rounds(t.Context(), []cell{c})
		for _, out := range m.rep.Cells {
			if len(out.samples["commit"]) != 1 || len(out.failures["commit"]) > 0 {
				t.Errorf("%s: %d samples, %v", out.Key, len(out.samples["commit"]), out.failures["commit"])
			}
		}
	}
}

// Command matrix runs foreign clients, old and new, against a broker and prints
// what each can do with it: produce and consume with each codec, and consume as
// a group.
//
//	matrix [-b HOST:PORT] [-only REGEX] [-into README.md]
//
// It starts ../../../bin/chronik unless -b names a broker. What a client needs
// is installed with the ordinary package clients under $CHRONIK_COMPAT_WORK.
// The exit code is 1 when a cell failed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// matrix is one run.
type matrix struct {
	here, work, bootstrap string
	commit, date          string
}

// result is a row's answer.
type result struct {
	row
	absent error
	cells  []cell
}

func main() {
	failures, err := mainErr()
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(2)
	}
	if failures > 0 {
		os.Exit(1)
	}
}

func mainErr() (failures int, err error) {
	bootstrap := flag.String("b", "", "a broker that runs, instead of bin/chronik")
	only := flag.String("only", ".", "run the clients whose «client version speaks» matches")
	target := flag.String("into", "", "a file with the marks to put the table between")
	flag.Parse()
	if *target != "" && *only != "." {
		return 0, errors.New("-into takes the whole matrix: leave -only out")
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return 0, err
	}
	m := &matrix{bootstrap: *bootstrap, date: time.Now().UTC().Format(time.DateOnly)}
	if m.here, err = os.Getwd(); err != nil {
		return 0, err
	}
	m.work = os.Getenv("CHRONIK_COMPAT_WORK")
	if m.work == "" {
		m.work = filepath.Join(os.TempDir(), "chronik-compat")
	}
	m.work = filepath.Join(m.work, "matrix")
	if err := os.MkdirAll(m.work, 0o755); err != nil {
		return 0, err
	}
	if commit, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		m.commit = strings.TrimSpace(string(commit))
	}
	if m.bootstrap == "" {
		stop, err := m.startBroker()
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	for _, kind := range append([]string{"transaction"}, codecs...) {
		if err := m.sample(kind); err != nil {
			return 0, fmt.Errorf("write sample-%s: %w", kind, err)
		}
	}
	var results []result
	for n, r := range rows() {
		if !wanted.MatchString(r.client + " " + r.version + " " + r.speaks) {
			continue
		}
		start := time.Now()
		res := m.row(n, r)
		results = append(results, res)
		fmt.Printf("%-20s %-14s %-9s", r.client, r.version, r.speaks)
		if res.absent != nil {
			fmt.Printf(" not installed: %v\n", res.absent)
			continue
		}
		for _, c := range res.cells {
			fmt.Printf(" %s", c.verdict)
		}
		fmt.Printf("  %.1f s\n", time.Since(start).Seconds())
		for i, c := range res.cells {
			if c.why != nil {
				failures++
				fmt.Printf("    %s: %v\n", columns[i], c.why)
			}
		}
	}
	fmt.Printf("\n%s", m.table(results))
	if *target != "" {
		return failures, into(*target, m.table(results))
	}
	return failures, nil
}

var columns = []string{"produce none", "produce gzip", "produce snappy", "produce lz4", "produce zstd",
	"consume none", "consume gzip", "consume snappy", "consume lz4", "consume zstd", "transaction", "group"}

// row asks one client for all its cells.
func (m *matrix) row(n int, r row) result {
	command, err := r.install(m)
	if err != nil {
		return result{row: r, absent: err}
	}
	for i, word := range command {
		if word == "BOOTSTRAP" {
			command[i] = m.bootstrap
		}
	}
	log, err := os.Create(filepath.Join(m.work, fmt.Sprintf("row-%d.log", n)))
	if err != nil {
		return result{row: r, absent: err}
	}
	defer log.Close()
	w := &worker{command: command, log: log}
	defer w.stop()
	res := result{row: r}
	for _, codec := range codecs {
		res.cells = append(res.cells, m.produce(&r, w, n, codec))
	}
	for _, codec := range codecs {
		res.cells = append(res.cells, m.consume(&r, w, codec))
	}
	res.cells = append(res.cells, m.transaction(&r, w), m.group(&r, w, n))
	for i, c := range res.cells {
		if why := r.faults[columns[i]]; why != "" && c.why != nil {
			res.cells[i] = cell{verdict: "own", note: why}
		}
	}
	return res
}

package differential

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Finding is a row of FINDINGS.md: differences that may be, and why.
type Finding struct {
	API                        string
	Min, Max                   int16
	Case, Path, Kafka, Chronik string
	Why                        string
	Seen                       int
}

var versionRange = regexp.MustCompile(`^(\w+|\*)(?: v(\d+)(?:-(\d+))?)?$`)

// ReadFindings reads the tables of a file: rows of API and versions, case,
// path, Kafka's value, Chronik's value, why. In all but the last * stands for
// anything and ? for one letter; names of elements may be left out of paths.
func ReadFindings(file string) ([]*Finding, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	var out []*Finding
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || strings.HasPrefix(line, "| API ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 6 {
			return nil, fmt.Errorf("%s:%d: a finding has 6 cells, this row has %d", file, n, len(cells))
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		m := versionRange.FindStringSubmatch(cells[0])
		if m == nil || cells[5] == "" {
			return nil, fmt.Errorf("%s:%d: a finding starts with an API and its versions (Fetch v4-18) and ends with why", file, n)
		}
		x := &Finding{API: m[1], Max: 99, Case: cells[1], Path: cells[2], Kafka: cells[3], Chronik: cells[4], Why: cells[5]}
		if m[2] != "" {
			least, _ := strconv.Atoi(m[2]) // the pattern has digits only
			x.Min, x.Max = int16(least), int16(least)
		}
		if m[3] != "" {
			most, _ := strconv.Atoi(m[3]) // likewise
			x.Max = int16(most)
		}
		out = append(out, x)
	}
	return out, lines.Err()
}

// Explained finds the row that allows a difference.
func Explained(findings []*Finding, d Difference) *Finding {
	for _, f := range findings {
		if (f.API == "*" || f.API == d.API) && d.Version >= f.Min && d.Version <= f.Max && like(f.Case, d.Case) &&
			(like(f.Path, elementName.ReplaceAllString(d.Path, "[]")) || like(f.Path, d.Path)) && like(f.Kafka, d.Kafka) && like(f.Chronik, d.Chronik) {
			return f
		}
	}
	return nil
}

// like matches with * for anything and ? for one letter.
func like(pattern, s string) bool {
	escape := strings.NewReplacer("[", `\[`, "]", `\]`, `\`, `\\`)
	plain := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	ok, err := path.Match(escape.Replace(plain(pattern)), plain(s))
	return err == nil && ok
}

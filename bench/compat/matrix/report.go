package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	begin = "<!-- matrix:begin -->"
	end   = "<!-- matrix:end -->"
)

// table is the matrix in Markdown.
func (m *matrix) table(results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Commit %s, %s. %d records a cell; keys, values, nulls, timestamps, offsets, order and the codec on disk are compared.\n",
		m.commit, m.date, records)
	b.WriteString("✓ right · – the client has no such thing · refused: zstd asked for by Fetch v0–3, which cannot carry it · numbers: a fault of the client's own, named below.\n\n")
	b.WriteString("| client | version | speaks Kafka | produce none | gzip | snappy | lz4 | zstd | consume none | gzip | snappy | lz4 | zstd | transaction | group |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	var notes []string
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s |", r.client, r.version, r.speaks)
		if r.absent != nil {
			fmt.Fprintf(&b, " not installed: %s |%s\n", strings.ReplaceAll(r.absent.Error(), "|", "/"), strings.Repeat(" |", len(columns)-1))
			continue
		}
		for _, c := range r.cells {
			if c.note == "" {
				fmt.Fprintf(&b, " %s |", c.verdict)
				continue
			}
			at := slices.Index(notes, c.note)
			if at < 0 {
				at, notes = len(notes), append(notes, c.note)
			}
			fmt.Fprintf(&b, " %d |", at+1)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. The client %s.\n", i+1, note)
	}
	return b.String()
}

// into puts a table between the marks of a file.
func into(path, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s has no lines %s and %s to put the table between", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+"\n"+table+end+after), 0o644)
}

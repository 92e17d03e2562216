package compare

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// The markers between which WriteInto replaces what a file says.
const (
	markBegin = "<!-- figures:begin -->"
	markEnd   = "<!-- figures:end -->"
)

// Markdown is the report as tables. figures is where its plots are, relative
// to the file that the tables go into; empty for none.
func (rep *Report) Markdown(figures string) string {
	var b strings.Builder
	m := rep.Machine
	fmt.Fprintf(&b, "Commit %s, %s. %d × %s, %s, %s, %s; %s, %s. Client and brokers share the cores; other processes used %.0f %% of them during the run.\n",
		m.Commit, m.Date, m.Cores, m.CPU, m.Memory, m.Kernel, m.FS, m.Go, m.Java, m.Others*100)
	fmt.Fprintf(&b, "Runs of %s in turn, %s in all; median (smallest–largest).\n\n", rep.Duration, rep.Took.Round(time.Second))
	b.WriteString("| limits of the machine, before / after | |\n|---|---|\n")
	pair := func(name string, decimals int, f func(*Limits) float64) {
		var v []string
		for _, l := range rep.Limits {
			v = append(v, number(f(l), decimals))
		}
		fmt.Fprintf(&b, "| %s | %s |\n", name, strings.Join(v, " / "))
	}
	pair("4 KiB overwrite + fdatasync, p50 ms", 3, func(l *Limits) float64 { return l.Sync.P50 })
	pair("the same, p99 ms", 3, func(l *Limits) float64 { return l.Sync.P99 })
	pair("1 MiB appended + fdatasync, MB/s", 0, func(l *Limits) float64 { return l.SyncedMBs })
	pair("1 MiB overwritten + fdatasync, MB/s", 0, func(l *Limits) float64 { return l.OverwriteMBs })
	pair("loopback echo, p50 ms", 3, func(l *Limits) float64 { return l.Echo.P50 })
	pair("the same, p99 ms", 3, func(l *Limits) float64 { return l.Echo.P99 })
	b.WriteString("\n| broker | an ack follows |\n|---|---|\n")
	for _, p := range rep.Peers {
		fmt.Fprintf(&b, "| %s | %s |\n", p.Name, p.AckRule)
	}
	if figures != "" {
		fmt.Fprintf(&b, "\n![latency percentiles](%s/latency.svg)\n![throughput](%s/throughput.svg)\n", figures, figures)
	}
	for _, c := range rep.Cells {
		rep.table(&b, c)
	}
	if v := rep.verdicts(); len(v) > 0 {
		b.WriteString("\n**Targets** (Chronik in commit mode unless said; ratios within a round; met when the whole spread is)\n\n| target | bound | measured | |\n|---|---|---|---|\n")
		for _, v := range v {
			sign, decimals := "≤", 2
			if v.target.above {
				sign = "≥"
			}
			if v.target.bound > 10 {
				decimals = 0
			}
			fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", v.target.words, sign, number(v.target.bound, decimals), v.spread.text(decimals), v.word)
		}
	}
	return b.String()
}

func (rep *Report) table(b *strings.Builder, c Outcome) {
	fmt.Fprintf(b, "\n**%s**\n\n| broker |", c.Title)
	for _, col := range c.columns {
		fmt.Fprintf(b, " %s |", col.title)
	}
	b.WriteString(" runs |\n|---|" + strings.Repeat("---|", len(c.columns)+1) + "\n")
	for _, p := range rep.Peers {
		samples := c.samples[p.Key]
		if len(samples) == 0 {
			why := c.missing[p.Key]
			if why == "" {
				why = "not run"
			}
			fmt.Fprintf(b, "| %s | failed: %s |%s 0 |\n", p.Name, strings.ReplaceAll(why, "|", "/"), strings.Repeat(" |", len(c.columns)-1))
			continue
		}
		fmt.Fprintf(b, "| %s |", p.Name)
		for _, col := range c.columns {
			var v []float64
			for _, s := range samples {
				v = append(v, s.values[col.key])
			}
			s, _ := spreadOf(v)
			fmt.Fprintf(b, " %s |", s.text(col.decimals))
		}
		fmt.Fprintf(b, " %d |\n", len(samples))
	}
}

// WriteInto replaces what stands between the markers of a file.
func WriteInto(name, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	begin, end := bytes.Index(old, []byte(markBegin)), bytes.Index(old, []byte(markEnd))
	if begin < 0 || end < begin {
		return fmt.Errorf("%s has no lines %s and %s to write the figures between", name, markBegin, markEnd)
	}
	var b bytes.Buffer
	b.Write(old[:begin+len(markBegin)])
	b.WriteString("\n" + strings.TrimSpace(text) + "\n")
	b.Write(old[end:])
	return os.WriteFile(name, b.Bytes(), 0o644)
}

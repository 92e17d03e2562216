package compare

import (
	"fmt"
	"strings"
	"time"
)

// Full is the whole report: limits, ack rules, every table, the targets. plots
// says that the plots are beside the file that it goes into.
func (rep *Report) Full(plots bool) string {
	var b strings.Builder
	rep.head(&b)
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
	if plots {
		b.WriteString("\n![latency percentiles](latency.svg)\n![throughput](throughput.svg)\n")
	}
	for _, c := range rep.Cells {
		rep.table(&b, c)
	}
	rep.targets(&b)
	return b.String()
}

// Summary is what a README needs: the targets, a row for each cell, and where
// the rest is. figures is the directory of the plots and of the whole report,
// relative to the file that it goes into; plots says that there are some.
func (rep *Report) Summary(figures string, plots bool) string {
	var b strings.Builder
	rep.head(&b)
	fmt.Fprintf(&b, "Every table, with percentiles, CPU and spread, is in [%s/FIGURES.md](%s/FIGURES.md).\n", figures, figures)
	rep.targets(&b)
	if plots {
		fmt.Fprintf(&b, "\n![latency percentiles](%s/latency.svg)\n![throughput](%s/throughput.svg)\n", figures, figures)
	}
	b.WriteString("\n| medians; under each name, what an ack follows |")
	for _, p := range rep.Peers {
		rule, _, _ := strings.Cut(p.AckRule, " (")
		fmt.Fprintf(&b, " %s<br>*%s* |", p.Name, rule)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(rep.Peers)) + "\n")
	for _, c := range rep.Cells {
		for _, col := range c.columns {
			if !headline[c.Key][col.key] {
				continue
			}
			fmt.Fprintf(&b, "| %s, %s |", brief(c.Title), col.title)
			for _, p := range rep.Peers {
				s, ok := spreadOf(valuesOf(c.samples[p.Key], col.key))
				switch {
				case ok:
					fmt.Fprintf(&b, " %s |", number(s.median, col.decimals))
				case len(c.failures[p.Key]) > 0:
					b.WriteString(" failed |")
				default:
					b.WriteString(" |")
				}
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// headline are the columns of a cell that a summary shows.
var headline = map[string]map[string]bool{
	"start": {"ready": true, "rss": true}, "one": {"p50": true, "p99": true}, "thirtytwo": {"rate": true}, "bulk128": {"mb": true}, "bulk16": {"mb": true},
	"consume": {"mb": true}, "consume-raw": {"mb": true, "cpu": true}, "open10k": {"p99": true, "e2e99": true}, "open10k-raw": {"p99": true, "e2e99": true, "cores": true}, "partitions-1": {"rate": true, "max": true}, "partitions-2": {"rate": true},
	"connections": {"grown": true}, "commits": {"rate": true}, "transactions": {"rate": true, "p99": true}, "rebalance": {"ms": true},
	"keyed50": {"p999": true}, "keyed400": {"p999": true}, "sixteen": {"rate": true}, "drain": {"seconds": true, "p99": true},
	"ssl-produce": {"mb": true, "cpu": true}, "ssl-thirtytwo": {"rate": true}, "ssl-consume": {"mb": true, "cpu": true}, "tls": {"rate": true}, "scram": {"rate": true},
	"groups": {"grown": true}, "churn": {"anonMore": true, "fds": true, "goroutines": true}, "log10g-1": {"ready": true}, "log10g-2": {"ready": true},
}

// brief is a title without what stands in brackets.
func brief(title string) string {
	for {
		open := strings.Index(title, " (")
		if open < 0 {
			return title
		}
		length := strings.Index(title[open:], ")")
		if length < 0 {
			return title
		}
		title = title[:open] + title[open+length+1:]
	}
}

func valuesOf(samples []sample, key string) []float64 {
	var v []float64
	for _, s := range samples {
		v = append(v, s.values[key])
	}
	return v
}

func (rep *Report) head(b *strings.Builder) {
	m := rep.Machine
	fmt.Fprintf(b, "Commit %s, %s. %d × %s, %s, %s, %s; %s, %s. Client and brokers share the cores; other processes used %.0f %% of them during the run.\n",
		m.Commit, m.Date, m.Cores, m.CPU, m.Memory, m.Kernel, m.FS, m.Go, m.Java, m.Others*100)
	fmt.Fprintf(b, "%d runs of %s, the brokers in turn within each round, %s in all; median (smallest–largest).", rep.Runs, rep.Duration, rep.Took.Round(time.Second))
	if rep.Ended != "" {
		fmt.Fprintf(b, " **It ended early: %s**; the tables have the number of runs that were made.", rep.Ended)
	}
	b.WriteString("\n\n")
}

func (rep *Report) targets(b *strings.Builder) {
	all := rep.verdicts()
	if len(all) == 0 {
		return
	}
	b.WriteString("\n**Targets** (Chronik in commit mode unless said; ratios within a round; met when the whole spread is)\n\n| target | bound | measured | runs | |\n|---|---|---|---|---|\n")
	for _, v := range all {
		sign, decimals := "≤", 2
		if v.target.above {
			sign = "≥"
		}
		if v.target.bound > 10 {
			decimals = 0
		}
		fmt.Fprintf(b, "| %s | %s %s | %s | %d | %s |\n", v.target.words, sign, number(v.target.bound, decimals), v.spread.text(decimals), v.spread.n, v.word)
	}
}

func (rep *Report) table(b *strings.Builder, c *Outcome) {
	fmt.Fprintf(b, "\n**%s**\n\n| broker |", c.Title)
	for _, col := range c.columns {
		fmt.Fprintf(b, " %s |", col.title)
	}
	b.WriteString(" runs |\n|---|" + strings.Repeat("---|", len(c.columns)+1) + "\n")
	for _, p := range rep.Peers {
		samples, failures := c.samples[p.Key], c.failures[p.Key]
		if len(samples)+len(failures) == 0 {
			continue
		}
		why := ""
		if len(failures) > 0 {
			why = strings.Join(strings.Fields(strings.ReplaceAll(failures[0], "|", "/")), " ")
		}
		if len(samples) == 0 {
			fmt.Fprintf(b, "| %s | failed: %s |%s 0 |\n", p.Name, why, strings.Repeat(" |", len(c.columns)-1))
			continue
		}
		fmt.Fprintf(b, "| %s |", p.Name)
		for _, col := range c.columns {
			s, _ := spreadOf(valuesOf(samples, col.key))
			fmt.Fprintf(b, " %s |", s.text(col.decimals))
		}
		fmt.Fprintf(b, " %d", len(samples))
		if why != "" {
			fmt.Fprintf(b, "; %d failed: %s", len(failures), why)
		}
		b.WriteString(" |\n")
	}
}

package compare

import (
	"fmt"
	"slices"
)

// spread is a median with the smallest and the largest.
type spread struct {
	median, low, high float64
	n                 int
}

func spreadOf(values []float64) (spread, bool) {
	if len(values) == 0 {
		return spread{}, false
	}
	v := slices.Clone(values)
	slices.Sort(v)
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (m + v[len(v)/2-1]) / 2
	}
	return spread{m, v[0], v[len(v)-1], len(v)}, true
}

func (s spread) text(decimals int) string {
	if s.n == 1 {
		return number(s.median, decimals)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median, decimals), number(s.low, decimals), number(s.high, decimals))
}

// number with thousands set apart.
func number(v float64, decimals int) string {
	s := fmt.Sprintf("%.*f", decimals, v)
	whole, frac := s, ""
	for i := range s {
		if s[i] == '.' {
			whole, frac = s[:i], s[i:]
		}
	}
	neg := ""
	if len(whole) > 0 && whole[0] == '-' {
		neg, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return neg + whole + frac
}

// target is a ratio, or a value, that shall lie below or above a bound.
type target struct {
	cell, key string
	of, by    string // peers; by "" compares the value, "limits" sync + echo, "disk" the synced rate
	above     bool
	bound     float64
	words     string
}

// targets are held in commit mode where no other is named.
var targets = []target{
	{"start", "ready", "commit", "", false, 50, "ready, ms"},
	{"start", "rss", "commit", "", false, 30, "idle RSS, MB"},
	{"one", "p50", "commit", "limits", false, 1.5, "1 producer: p50 / (fdatasync + echo)"},
	{"one", "p50", "commit", "kafka", false, 1, "1 producer: p50 / Kafka as shipped"},
	{"one", "p99", "commit", "kafka", false, 1.5, "1 producer: p99 / Kafka as shipped"},
	{"one", "rate", "commit", "kafka-fsync", true, 3, "1 producer: rate / Kafka fsync"},
	{"thirtytwo", "rate", "commit", "kafka", true, 1.5, "32 producers: rate / Kafka as shipped"},
	{"thirtytwo", "rate", "commit", "kafka-fsync", true, 6, "32 producers: rate / Kafka fsync"},
	{"thirtytwo", "cpu", "commit", "kafka", false, 1. / 3, "32 producers: CPU / Kafka as shipped"},
	{"sixteen", "rate", "commit", "", true, 99_000, "16 batching producers: durable records/s of 256 B"},
	{"bulk128", "mb", "commit", "kafka-fsync", true, 3, "bulk 127 KiB: rate / Kafka fsync"},
	{"bulk128", "mb", "commit", "disk", true, 0.85, "bulk 127 KiB: rate / the disk's synced rate (or the next)"},
	{"bulk128", "mb", "commit", "kafka", true, 1, "bulk 127 KiB: rate / Kafka as shipped (or the one before)"},
	{"bulk128", "cpu", "commit", "kafka", false, 1, "bulk 127 KiB: CPU / Kafka as shipped"},
	{"bulk128", "anon", "commit", "", false, 100, "bulk 127 KiB: RssAnon, MB"},
	{"bulk16", "mb", "commit", "kafka-fsync", true, 4, "bulk 15 KiB: rate / Kafka fsync"},
	{"bulk16", "mb", "commit", "kafka", true, 1, "bulk 15 KiB: rate / Kafka as shipped"},
	{"consume-raw", "rate", "commit", "kafka", true, 1, "consume, kmsg client: rate / Kafka"},
	{"consume-raw", "cpu", "commit", "kafka", false, 1, "consume, kmsg client: CPU / Kafka"},
	{"consume", "rate", "commit", "kafka", true, 1, "consume, kgo: rate / Kafka"},
	{"consume", "cpu", "commit", "kafka", false, 1, "consume, kgo: CPU / Kafka"},
	{"open10k-raw", "p99", "commit", "kafka", false, 0.25, "10,000/s, kmsg clients: ack p99 / Kafka as shipped"},
	{"open10k-raw", "e2e99", "commit", "kafka", false, 0.25, "10,000/s, kmsg clients: end-to-end p99 / Kafka as shipped"},
	{"open10k-raw", "cores", "commit", "kafka", false, 0.5, "10,000/s, kmsg clients: CPU / Kafka as shipped"},
	{"open10k", "p99", "commit", "kafka", false, 0.25, "10,000/s, kgo: ack p99 / Kafka as shipped"},
	{"open10k", "e2e99", "commit", "kafka", false, 0.25, "10,000/s, kgo: end-to-end p99 / Kafka as shipped"},
	{"open10k", "cores", "commit", "kafka", false, 0.5, "10,000/s, kgo: CPU / Kafka as shipped"},
	{"partitions-1", "rate", "commit", "kafka", true, 10, "1,000 partitions, fresh: rate / Kafka as shipped"},
	{"partitions-1", "max", "commit", "", false, 100, "1,000 partitions, fresh: longest stall, ms"},
	{"partitions-2", "rate", "commit", "kafka", true, 2, "1,000 partitions, steady: rate / Kafka as shipped"},
	{"partitions-2", "cpu", "commit", "kafka", false, 0.5, "1,000 partitions, steady: CPU / Kafka as shipped"},
	{"connections", "seconds", "commit", "", false, 3, "10,000 connections opened in s"},
	{"connections", "grown", "commit", "", false, 80, "10,000 connections: RSS more, MB"},
	{"commits", "rate", "commit", "kafka-fsync", true, 5, "offset commits: rate / Kafka fsync"},
	{"transactions", "rate", "commit", "kafka", true, 3, "transactions of 10: rate of a producer / Kafka as shipped"},
	{"rebalance", "ms", "commit", "", false, 1000, "a rebalance of 200 members, ms"},
	{"keyed50", "p999", "commit", "kafka", false, 1, "50 keyed producers: ack p99.9 / Kafka as shipped"},
	{"keyed400", "p999", "commit", "kafka", false, 1, "400 keyed producers: ack p99.9 / Kafka as shipped"},
	{"drain", "seconds", "commit", "kafka", false, 1, "a backlog drained: time / Kafka as shipped"},
	{"ssl-produce", "mb", "commit-ssl", "kafka-ssl", true, 1, "SASL_SSL, bulk produce: rate / Kafka as shipped"},
	{"ssl-produce", "cpu", "commit-ssl", "kafka-ssl", false, 1, "SASL_SSL, bulk produce: CPU / Kafka as shipped"},
	{"ssl-thirtytwo", "rate", "commit-ssl", "kafka-ssl", true, 1, "SASL_SSL, 32 producers: rate / Kafka as shipped"},
	{"ssl-consume", "rate", "commit-ssl", "kafka-ssl", true, 1, "SASL_SSL, consume: rate / Kafka"},
	{"ssl-consume", "cpu", "commit-ssl", "kafka-ssl", false, 1, "SASL_SSL, consume: CPU / Kafka"},
	{"tls", "rate", "commit-ssl", "kafka-ssl", true, 1, "TLS handshakes/s / Kafka"},
	{"scram", "rate", "commit-ssl", "kafka-ssl", true, 1, "SCRAM logins/s / Kafka"},
	{"groups", "grown", "commit", "", false, 200, "10,000 groups of one idle member: RSS more, MB"},
	{"churn", "fds", "commit", "", false, 0, "2,000 connects/s: descriptors more afterwards"},
	{"churn", "goroutines", "commit", "", false, 4, "2,000 connects/s: goroutines more afterwards"},
	{"churn", "anonMore", "commit", "", false, 8, "2,000 connects/s: RssAnon more afterwards, MB"},
	{"log10g-1", "ready", "commit", "", false, 200, "10 GB log: served after a clean stop, ms"},
	{"log10g-2", "ready", "commit", "", false, 1000, "10 GB log: served after kill -9, ms"},
	{"commits", "rate", "os", "kafka", true, 1, "os mode, offset commits: rate / Kafka as shipped"},
	{"transactions", "rate", "os", "kafka", true, 1, "os mode, transactions of 10: rate / Kafka as shipped"},
	{"keyed50", "p999", "os", "kafka", false, 1, "os mode, 50 keyed producers: ack p99.9 / Kafka as shipped"},
	{"keyed400", "p999", "os", "kafka", false, 1, "os mode, 400 keyed producers: ack p99.9 / Kafka as shipped"},
	{"partitions-1", "rate", "os", "kafka", true, 1, "os mode, 1,000 partitions, fresh: rate / Kafka as shipped"},
	{"partitions-2", "rate", "os", "kafka", true, 1, "os mode, 1,000 partitions, steady: rate / Kafka as shipped"},
	{"one", "p50", "os", "kafka", false, 1, "os mode, 1 producer: p50 / Kafka as shipped"},
	{"thirtytwo", "rate", "os", "kafka", true, 1, "os mode, 32 producers: rate / Kafka as shipped"},
	{"bulk128", "mb", "os", "kafka", true, 1, "os mode, bulk 127 KiB: rate / Kafka as shipped"},
	{"bulk16", "mb", "os", "kafka", true, 1, "os mode, bulk 15 KiB: rate / Kafka as shipped"},
	{"open10k-raw", "p99", "os", "kafka", false, 1, "os mode, 10,000/s, kmsg clients: ack p99 / Kafka as shipped"},
	{"open10k", "p99", "os", "kafka", false, 1, "os mode, 10,000/s, kgo: ack p99 / Kafka as shipped"},
	{"consume-raw", "rate", "os", "kafka", true, 1, "os mode, consume, kmsg client: rate / Kafka as shipped"},
	{"consume", "rate", "os", "kafka", true, 1, "os mode, consume, kgo: rate / Kafka as shipped"},
}

// verdict of a target: met and missed when the whole spread says so.
type verdict struct {
	target target
	spread spread
	word   string
}

func (rep *Report) verdicts() []verdict {
	var all []verdict
	for _, t := range targets {
		var ratios []float64
		for _, c := range rep.Cells {
			if c.Key == t.cell {
				ratios = rep.ratios(c, t)
			}
		}
		s, ok := spreadOf(ratios)
		if !ok {
			continue
		}
		v := verdict{t, s, "within the spread"}
		good := func(x float64) bool { return (t.above && x >= t.bound) || (!t.above && x <= t.bound) }
		switch {
		case good(s.low) && good(s.high):
			v.word = "met"
		case !good(s.low) && !good(s.high):
			v.word = "**missed**"
		case good(s.median):
			v.word = "met in the median"
		default:
			v.word = "**missed in the median**"
		}
		all = append(all, v)
	}
	return all
}

// ratios of the rounds: each value is divided by what was measured beside it.
func (rep *Report) ratios(c *Outcome, t target) []float64 {
	of, by := c.samples[t.of], c.samples[t.by]
	var out []float64
	for n, s := range of {
		v := s.values[t.key]
		switch t.by {
		case "":
			out = append(out, v)
			continue
		case "limits":
			v /= rep.mean(func(l *Limits) float64 { return l.Sync.P50 + l.Echo.P50 })
		case "disk":
			v /= rep.mean(func(l *Limits) float64 { return l.SyncedMBs })
		default:
			if len(by) == 0 {
				return nil
			}
			v /= by[min(n, len(by)-1)].values[t.key]
		}
		out = append(out, v)
	}
	return out
}

func (rep *Report) mean(f func(*Limits) float64) float64 {
	var sum float64
	for _, l := range rep.Limits {
		sum += f(l)
	}
	return sum / float64(len(rep.Limits))
}

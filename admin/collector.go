package admin

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chronik-stream/chronik/broker"
)

// collector turns the packages' snapshots into metrics when they are scraped:
// nothing is counted twice and the hot paths know no metrics library.
type collector struct {
	b     *broker.Broker
	descs map[string]*prometheus.Desc
}

func newCollector(b *broker.Broker) *collector {
	c := &collector{b: b, descs: map[string]*prometheus.Desc{}}
	for _, m := range metrics {
		c.descs[m.name] = prometheus.NewDesc("chronik_"+m.name, m.help, m.labels, nil)
	}
	return c
}

// metric is one row of the table of metrics; a test holds it against what is
// collected.
type metric struct {
	name, help string
	labels     []string
}

// Describe names every metric.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect reads every snapshot.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := sink{c, out}
	s.broker()
	s.clients()
	s.network()
	s.log()
	s.groups()
	s.transactions()
}

// sink is one scrape.
type sink struct {
	c   *collector
	out chan<- prometheus.Metric
}

func (s sink) count(name string, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(s.c.descs[name], prometheus.CounterValue, v, readable(labels)...)
}

func (s sink) gauge(name string, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(s.c.descs[name], prometheus.GaugeValue, v, readable(labels)...)
}

// readable quotes labels that are not UTF-8: the names of groups and of what
// clients push are any bytes, and the metrics library panics over them.
func readable(labels []string) []string {
	for i, l := range labels {
		if !utf8.ValidString(l) {
			labels[i] = strconv.QuoteToASCII(l)
		}
	}
	return labels
}

// histogram hands over counts by bucket; bound gives a bucket's upper bound in
// the metric's unit. Buckets behind the last bound that holds anything are left
// out.
func (s sink) histogram(name string, buckets []uint64, sum float64, bound func(i int) float64, labels ...string) {
	cumulative := make(map[float64]uint64)
	var total uint64
	last := 0
	for i, n := range buckets {
		if n > 0 {
			last = i
		}
	}
	for i, n := range buckets {
		total += n
		if i <= last {
			cumulative[bound(i)] = total
		}
	}
	s.out <- prometheus.MustNewConstHistogram(s.c.descs[name], total, sum, cumulative, labels...)
}

// micros is the bound of the network's and the broker's buckets in seconds.
func micros(i int) float64 { return (time.Microsecond << i).Seconds() }

// unsigned converts counters of the network and broker.
func unsigned(in []int64) []uint64 {
	out := make([]uint64, len(in))
	for i, n := range in {
		out[i] = uint64(n)
	}
	return out
}

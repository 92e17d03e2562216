package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is a histogram of latencies from 1 µs to 5 minutes with three
// significant figures. It belongs to one goroutine; workers have one each and
// Merge them at the end.
type Latency struct{ h *hdrhistogram.Histogram }

// NewLatency gives an empty histogram.
func NewLatency() *Latency {
	return &Latency{hdrhistogram.New(1, (5 * time.Minute).Microseconds(), 3)}
}

// Record counts one latency. What lies outside the range counts at its edge.
func (l *Latency) Record(d time.Duration) {
	us := min(max(d.Microseconds(), 1), (5 * time.Minute).Microseconds())
	if err := l.h.RecordValue(us); err != nil {
		// Cannot happen: the value was brought into the range.
		return
	}
}

// Merge adds what other has counted.
func (l *Latency) Merge(other *Latency) { l.h.Merge(other.h) }

// Count is how many latencies were recorded.
func (l *Latency) Count() int64 { return l.h.TotalCount() }

// At is the latency at a quantile given in percent, e.g. 99.9.
func (l *Latency) At(percent float64) time.Duration {
	return time.Duration(l.h.ValueAtQuantile(percent)) * time.Microsecond
}

// Max is the largest latency.
func (l *Latency) Max() time.Duration { return time.Duration(l.h.Max()) * time.Microsecond }

// Percentiles is a histogram's summary in milliseconds.
type Percentiles struct {
	Count  int64   `json:"count"`
	Mean   float64 `json:"mean_ms"`
	P50    float64 `json:"p50_ms"`
	P90    float64 `json:"p90_ms"`
	P99    float64 `json:"p99_ms"`
	P999   float64 `json:"p99.9_ms"`
	P9999  float64 `json:"p99.99_ms"`
	Max    float64 `json:"max_ms"`
	StdDev float64 `json:"stddev_ms"`
}

// Percentiles sums the histogram up.
func (l *Latency) Percentiles() Percentiles {
	ms := func(us float64) float64 { return math.Round(us) / 1000 }
	at := func(p float64) float64 { return ms(float64(l.h.ValueAtQuantile(p))) }
	return Percentiles{Count: l.Count(), Mean: ms(l.h.Mean()), P50: at(50), P90: at(90), P99: at(99),
		P999: at(99.9), P9999: at(99.99), Max: ms(float64(l.h.Max())), StdDev: ms(l.h.StdDev())}
}

func (p Percentiles) String() string {
	return fmt.Sprintf("p50 %.3f  p99 %.3f  p99.9 %.3f  p99.99 %.3f  max %.3f ms", p.P50, p.P99, p.P999, p.P9999, p.Max)
}

// WriteHDR writes the percentile distribution in HdrHistogram's text form
// (milliseconds), which its plotters read.
func (l *Latency) WriteHDR(w io.Writer) error {
	_, err := l.h.PercentilesPrint(w, 5, 1000)
	return err
}

// WritePlot draws the percentiles as bars on a logarithmic scale.
func (l *Latency) WritePlot(w io.Writer) error {
	if l.Count() == 0 {
		_, err := fmt.Fprintln(w, "no samples")
		return err
	}
	const width = 50
	low, high := math.Log10(math.Max(1, float64(l.h.Min()))), math.Log10(math.Max(2, float64(l.h.Max())))
	if high-low < 0.1 {
		low = high - 1
	}
	for _, p := range []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999, 100} {
		us := float64(l.h.ValueAtQuantile(p))
		n := int(math.Round((math.Log10(math.Max(1, us)) - low) / (high - low) * width))
		if _, err := fmt.Fprintf(w, "%8.3f%% %10.3f ms |%s\n", p, us/1000, strings.Repeat("█", min(max(n, 0), width))); err != nil {
			return err
		}
	}
	return nil
}

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Progress is a moment of a run.
type Progress struct {
	Elapsed time.Duration
	Records int64
	Bytes   int64
	Errors  int64
	// Rate is records/s since the last progress, MBPerSec the same in MB.
	Rate     float64
	MBPerSec float64
	Latency  Percentiles // since the start
}

// Result is one run. It says under which rule the broker acknowledged.
type Result struct {
	Tool    string  `json:"tool"`
	Target  string  `json:"target"`
	AckRule string  `json:"ack_rule,omitempty"`
	Load    string  `json:"load"`
	Seconds float64 `json:"seconds"`
	Records int64   `json:"records"`
	Bytes   int64   `json:"bytes"`
	Errors  int64   `json:"errors"`
	// FirstError tells what the first of them was.
	FirstError    string      `json:"first_error,omitempty"`
	RecordsPerSec float64     `json:"records_per_s"`
	MBPerSec      float64     `json:"mb_per_s"`
	Latency       Percentiles `json:"latency"`
	// EndToEnd is from the moment a record was due to when a consumer had it.
	EndToEnd *Percentiles  `json:"end_to_end,omitempty"`
	Broker   *BrokerUsage  `json:"broker,omitempty"`
	Verified *Verification `json:"verified,omitempty"`

	Hist    *Latency `json:"-"`
	E2EHist *Latency `json:"-"`
}

// BrokerUsage is what the broker's process used during a run.
type BrokerUsage struct {
	CPUSeconds    float64 `json:"cpu_s"`
	CPUPerMillion float64 `json:"cpu_s_per_million_records"`
	Cores         float64 `json:"cores"`
	RSSMB         float64 `json:"rss_mb"`
	RSSAnonMB     float64 `json:"rss_anon_mb"`
	PeakRSSMB     float64 `json:"peak_rss_mb"`
	// GrownMB is by what the resident memory grew, where that is what a tool is
	// for.
	GrownMB float64 `json:"grown_mb,omitempty"`
}

func (r *Result) finish(elapsed time.Duration) {
	r.Seconds = elapsed.Seconds()
	if r.Seconds > 0 {
		r.RecordsPerSec = float64(r.Records) / r.Seconds
		r.MBPerSec = float64(r.Bytes) / r.Seconds / 1e6
	}
	if r.Hist != nil {
		r.Latency = r.Hist.Percentiles()
	}
	if r.E2EHist != nil {
		p := r.E2EHist.Percentiles()
		r.EndToEnd = &p
	}
}

// brokerUsage is the difference of two readings.
func brokerUsage(before, after Usage, records int64) *BrokerUsage {
	cpu, wall := (after.CPU - before.CPU).Seconds(), after.ReadAt.Sub(before.ReadAt).Seconds()
	b := &BrokerUsage{CPUSeconds: cpu, Cores: cpu / wall, RSSMB: float64(after.RSS) / 1e6,
		RSSAnonMB: float64(after.RSSAnon) / 1e6, PeakRSSMB: float64(after.PeakRSS) / 1e6}
	if records > 0 {
		b.CPUPerMillion = cpu / float64(records) * 1e6
	}
	return b
}

// WriteText prints a result for people.
func (r *Result) WriteText(w io.Writer) error {
	out := &printer{w: w}
	out.f("%s  %s\n", r.Tool, r.Load)
	rule := r.AckRule
	if rule == "" {
		rule = "not stated (--ack-rule)"
	}
	out.f("  target    %s, acknowledges: %s\n", r.Target, rule)
	out.f("  rate      %.0f records/s, %.1f MB/s (%d records in %.2f s)\n", r.RecordsPerSec, r.MBPerSec, r.Records, r.Seconds)
	if r.Latency.Count > 0 {
		out.f("  latency   %s\n", r.Latency)
	}
	if r.EndToEnd != nil {
		out.f("  end2end   %s\n", *r.EndToEnd)
	}
	if b := r.Broker; b != nil {
		out.f("  broker    %.2f cores, %.2f CPU s per million records, RSS %.0f MB (%.0f MB anonymous)\n", b.Cores, b.CPUPerMillion, b.RSSMB, b.RSSAnonMB)
	}
	if v := r.Verified; v != nil {
		out.f("  verified  %s\n", v)
	}
	if r.Errors > 0 {
		out.f("  errors    %d, the first: %s\n", r.Errors, r.FirstError)
	}
	return out.err
}

// WriteJSON prints a result for programs, one object.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// printer keeps the first error of a series of prints.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

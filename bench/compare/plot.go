package compare

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

var colours = map[string]string{"kafka": "#b5651d", "kafka-fsync": "#d62728", "commit": "#1f77b4", "interval": "#2ca02c", "os": "#9467bd"}

// WritePlots writes latency.svg and throughput.svg into a directory.
func (rep *Report) WritePlots(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "latency.svg"), []byte(rep.latencySVG()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "throughput.svg"), []byte(rep.throughputSVG()), 0o644)
}

type svg struct{ strings.Builder }

func (s *svg) open(w, h int) {
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11"><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", w, h)
}

func (s *svg) text(x, y float64, anchor, t string) {
	fmt.Fprintf(s, `<text x="%.0f" y="%.0f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(t))
}

func (s *svg) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func (rep *Report) legend(s *svg, x, y float64) {
	for n, p := range rep.Peers {
		at := x + float64(n)*140
		fmt.Fprintf(s, `<rect x="%.0f" y="%.0f" width="10" height="10" fill="%s"/>`+"\n", at, y-9, colours[p.Key])
		s.text(at+14, y, "start", p.Name)
	}
}

// latencySVG draws the percentiles of the cells whose latency is not that of a
// full queue: the median over the rounds, on two logarithmic scales.
func (rep *Report) latencySVG() string {
	const width, height, left, top = 360.0, 240.0, 50.0, 50.0
	var shown []*Outcome
	for _, c := range rep.Cells {
		if c.Key == "one" || c.Key == "thirtytwo" || c.Key == "open10k-raw" {
			shown = append(shown, c)
		}
	}
	var s svg
	s.open(int(float64(max(1, len(shown)))*(width+left)+20), int(top+height+40))
	rep.legend(&s, left, 16)
	// x is the number of nines: 0 % at 0, 90 % at 1, 99.99 % at 4.
	x := func(percent float64) float64 { return -math.Log10(1-percent/100) / 4 * width }
	y := func(ms float64) float64 { return height - (math.Log10(max(ms, 0.05))-math.Log10(0.05))/4.3*height } // to 1,000 ms
	for n, c := range shown {
		x0 := left + float64(n)*(width+left)
		title := map[string]string{"one": "one producer, 1 in flight", "thirtytwo": "32 producers, 1 in flight each", "open10k-raw": "10,000 records/s (kmsg), ack"}[c.Key]
		s.text(x0, top-8, "start", title+" (ms)")
		for _, ms := range []float64{0.1, 1, 10, 100, 1000} {
			s.line(x0, top+y(ms), x0+width, top+y(ms), "#ddd")
			s.text(x0-4, top+y(ms)+4, "end", fmt.Sprint(ms))
		}
		for _, p := range []float64{0, 50, 90, 99, 99.9, 99.99} {
			s.line(x0+x(p), top, x0+x(p), top+height, "#eee")
			s.text(x0+x(p), top+height+14, "middle", fmt.Sprintf("%g%%", p))
		}
		for _, p := range rep.Peers {
			var path []string
			for k, pt := range curveOf(c.samples[p.Key]) {
				path = append(path, fmt.Sprintf("%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[k == 0], x0+x(pt.percent), top+y(pt.ms)))
			}
			if len(path) > 0 {
				fmt.Fprintf(&s, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(path, ""), colours[p.Key])
			}
		}
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// curveOf takes the median at each percentile.
func curveOf(samples []sample) []point {
	if len(samples) == 0 {
		return nil
	}
	out := make([]point, len(samples[0].curve))
	for k := range out {
		var v []float64
		for _, s := range samples {
			if k < len(s.curve) {
				v = append(v, s.curve[k].ms)
			}
		}
		m, _ := spreadOf(v)
		out[k] = point{samples[0].curve[k].percent, m.median}
	}
	return out
}

// throughputSVG draws bars per cell, each scaled to the cell's best, with a
// whisker from the smallest to the largest.
func (rep *Report) throughputSVG() string {
	const width, bar, left = 420.0, 13.0, 190.0
	var shown []*Outcome
	for _, c := range rep.Cells {
		switch c.Key {
		case "one", "thirtytwo", "bulk128", "bulk16", "consume-raw", "partitions-1", "partitions-2":
			shown = append(shown, c)
		}
	}
	group := float64(len(rep.Peers))*bar + 14
	var s svg
	s.open(int(left+width+120), int(40+group*float64(len(shown))))
	rep.legend(&s, 10, 16)
	for n, c := range shown {
		y0 := 34 + float64(n)*group
		title := map[string]string{"one": "1 producer, 1 in flight", "thirtytwo": "32 producers, 1 in flight", "bulk128": "bulk, 127 KiB batches",
			"bulk16": "bulk, 15 KiB batches", "consume-raw": "consume (kmsg)", "partitions-1": "1,000 partitions, first", "partitions-2": "1,000 partitions, later"}[c.Key]
		s.text(left-8, y0+group/2-4, "end", title)
		best := 0.0
		for _, p := range rep.Peers {
			for _, sm := range c.samples[p.Key] {
				best = max(best, sm.values["rate"])
			}
		}
		for k, p := range rep.Peers {
			var v []float64
			for _, sm := range c.samples[p.Key] {
				v = append(v, sm.values["rate"])
			}
			r, ok := spreadOf(v)
			if !ok || best == 0 {
				continue
			}
			y, scale := y0+float64(k)*bar, width/best
			fmt.Fprintf(&s, `<rect x="%.0f" y="%.0f" width="%.1f" height="%.0f" fill="%s"/>`+"\n", left, y, r.median*scale, bar-2, colours[p.Key])
			s.line(left+r.low*scale, y+bar/2-1, left+r.high*scale, y+bar/2-1, "#000")
			s.text(left+r.high*scale+5, y+bar-4, "start", number(r.median, 0)+"/s")
		}
	}
	s.WriteString("</svg>\n")
	return s.String()
}

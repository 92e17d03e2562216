package differential

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Difference is one field in which the two answers to one request differ.
type Difference struct {
	API     string
	Version int16
	Case    string
	Path    string
	Kafka   string
	Chronik string
	// Texts are both brokers' messages near the field, for whoever reads it.
	Texts string
}

// String is the difference as a row of FINDINGS.md has it, but for API and versions.
func (d Difference) String() string {
	s := fmt.Sprintf("%s | %s | %s | %s", d.Case, withoutNames(d.Path), d.Kafka, d.Chronik)
	if d.Texts != "" {
		s += "   " + d.Texts
	}
	return s
}

var elementName = regexp.MustCompile(`\[[^\]]*\]`)

// withoutNames is a path without the names of elements that a case made for
// itself: those that differ from version to version.
func withoutNames(path string) string {
	return elementName.ReplaceAllStringFunc(path, func(name string) string {
		if strings.ContainsAny(name, "-") {
			return "[]"
		}
		return name
	})
}

// Compare has the case with both brokers and tells what differs. The number of
// answers compared is the second result.
func Compare(kafka, chronik *Peer, c Case) ([]Difference, int) {
	var a, b []Answer
	done := make(chan struct{})
	go func() { defer close(done); a = kafka.Run(c) }()
	b = chronik.Run(c)
	<-done
	var out []Difference
	compared := 0
	for i, s := range c.Steps {
		if s.Uncompared {
			continue
		}
		compared++
		d := Difference{API: kmsg.NameForKey(s.Req.Key()), Version: s.Req.GetVersion(), Case: c.Name}
		if len(c.Steps) > 1 {
			d.Case = fmt.Sprintf("%s/%d", c.Name, i)
		}
		out = append(out, differences(d, a[i], b[i])...)
	}
	return out, compared
}

func differences(d Difference, kafka, chronik Answer) []Difference {
	if kafka.Fate != chronik.Fate {
		d.Kafka, d.Chronik = kafka.summary(), chronik.summary()
		return []Difference{d}
	}
	var out []Difference
	paths := map[string]bool{}
	for p := range kafka.Values {
		paths[p] = true
	}
	for p := range chronik.Values {
		paths[p] = true
	}
	var missing []string
	for _, p := range sorted(paths) {
		a, inA := kafka.Values[p]
		b, inB := chronik.Values[p]
		if inA && inB && a == b || slices.ContainsFunc(missing, func(m string) bool { return strings.HasPrefix(p, m) }) {
			continue
		}
		if !inA || !inB {
			missing = append(missing, p+".", p+"[")
		}
		if !inA {
			a = "absent"
		}
		if !inB {
			b = "absent"
		}
		one := d
		one.Path, one.Kafka, one.Chronik = p, a, b
		if dir := p[:strings.LastIndex(p, ".")+1]; true {
			for q, text := range kafka.Texts {
				if other := chronik.Texts[q]; strings.HasPrefix(q, dir) && strings.Contains(q, "Message") {
					one.Texts = fmt.Sprintf("(%q / %q)", text, other)
				}
			}
		}
		out = append(out, one)
	}
	return out
}

func sorted(m map[string]bool) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// summary is an answer in one line: its error codes.
func (a Answer) summary() string {
	if a.Fate != "answered" {
		return a.Fate
	}
	codes := map[string]bool{}
	for p, v := range a.Values {
		if strings.HasSuffix(p, "ErrorCode") {
			codes[v] = true
		}
	}
	return "answered, errors " + strings.Join(sorted(codes), " ")
}

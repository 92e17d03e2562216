package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The brokers by number.
const (
	kafka = iota
	chronik
	brokers
)

var brokerNames = [brokers]string{"Kafka", "Chronik"}

// op is one request of the script, the same for both brokers but for what they
// chose themselves.
type op struct {
	what  string
	build func(b int) kmsg.Request
	// keep takes from an answer what later operations need.
	keep func(b int, resp kmsg.Response)
	// finished is called when both brokers have answered.
	finished func()
	// again says that an answer is about the moment only (a transaction that is
	// completing, a coordinator that loads): the request is sent once more.
	again func(resp kmsg.Response) bool
	// trim takes from an answer what other runs left behind.
	trim func(resp kmsg.Response)
	// reads is set for requests that change nothing: Kafka's coordinator lists what
	// is committed a moment after it was answered.
	reads bool
	// late is set for requests that may wait for others.
	late bool
}

// waiting is an operation that neither broker has answered.
type waiting struct {
	op  *op
	in  [brokers]<-chan answer
	got [brokers]*answer
	// looks counts how often a read was repeated.
	looks int
}

// run is one script against both brokers.
type run struct {
	rand  *rand.Rand
	label string // makes the run's groups and ids its own
	peers [brokers]*peer
	// What the brokers chose, by the script's name for it, and back.
	texts  [brokers]map[string]string
	longs  [brokers]map[string]int64
	nums   [brokers]map[string]int32
	topics [brokers]map[string][16]byte
	byText [brokers]map[string]string
	byLong [brokers]map[int64]string

	// over ends a run early: what follows would differ.
	over bool

	pending []*waiting
	log     []string
	found   []difference
	groups  []*groupScript
	txns    []*txnScript
}

// difference is one answer that is not the same.
type difference struct {
	step      int
	api       string
	version   int16
	what      string
	onlyKafka []string
	only      []string // Chronik's
	uneven    string   // see run.uneven
}

func (d difference) String() string {
	s := fmt.Sprintf("step %d %s v%d %s\n    Kafka:   %s\n    Chronik: %s", d.step, d.api, d.version, d.what,
		strings.Join(d.onlyKafka, "\n             "), strings.Join(d.only, "\n             "))
	if d.uneven != "" {
		s += "\n    " + d.uneven
	}
	return s
}

// settle is how long a broker gets to answer what the other has not answered;
// lag how long it gets once the other has.
const (
	settle = 120 * time.Millisecond
	lag    = 5 * time.Second
)

// do performs one operation on both brokers.
func (r *run) do(o *op) {
	w := &waiting{op: o}
	deadline := time.Now().Add(lag)
	for {
		for b := range brokers {
			if w.got[b] == nil {
				w.in[b] = r.peers[b].send(o.build(b))
			}
		}
		if !r.collect(w, o.late) {
			r.pending = append(r.pending, w)
			r.log = append(r.log, o.what+" (waits)")
			break
		}
		more := false
		for b := range brokers {
			if o.again != nil && w.got[b].resp != nil && o.again(w.got[b].resp) && time.Now().Before(deadline) {
				w.got[b], more = nil, true
			}
		}
		if !more {
			r.settled(w)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.look()
}

// look takes the answers of what waited.
func (r *run) look() {
	var left []*waiting
	for _, w := range r.pending {
		if r.arrived(w) && r.collect(w, false) {
			r.settled(w)
		} else {
			left = append(left, w)
		}
	}
	r.pending = left
}

// arrived says whether some broker has answered by now.
func (r *run) arrived(w *waiting) bool {
	any := false
	for b := range brokers {
		if w.got[b] == nil {
			select {
			case a := <-w.in[b]:
				w.got[b] = &a
			case <-time.After(2 * time.Millisecond):
			}
		}
		any = any || w.got[b] != nil
	}
	return any
}

// collect waits for both answers. It gives false when neither broker has
// answered after a while and late allows it.
func (r *run) collect(w *waiting, late bool) bool {
	patience := lag
	if late {
		patience = settle
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for w.got[kafka] == nil || w.got[chronik] == nil {
		in := w.in
		for b := range brokers {
			if w.got[b] != nil {
				in[b] = nil
			}
		}
		select {
		case a := <-in[kafka]:
			w.got[kafka] = &a
		case a := <-in[chronik]:
			w.got[chronik] = &a
		case <-timer.C:
			if late && w.got[kafka] == nil && w.got[chronik] == nil {
				return false
			}
			for b := range brokers {
				if w.got[b] == nil {
					w.got[b] = &answer{fate: "no answer while the other has one"}
				}
			}
			return true
		}
		if late {
			late = false
			timer.Reset(lag)
		}
	}
	return true
}

// settled keeps what the answers brought and compares them.
func (r *run) settled(w *waiting) {
	if w.op.finished != nil {
		w.op.finished()
	}
	var lines [brokers][]string
	for b := range brokers {
		a := w.got[b]
		if a.resp == nil {
			lines[b] = []string{a.fate}
			continue
		}
		if w.op.trim != nil {
			w.op.trim(a.resp)
		}
		if w.op.keep != nil {
			w.op.keep(b, a.resp)
		}
		lines[b] = flatten(a.resp, func(field string, v any) (string, bool) { return r.nameOf(b, field, v) })
	}
	r.log = append(r.log, fmt.Sprintf("%s v%d: %s\n        -> %s", kmsg.NameForKey(w.op.build(kafka).Key()), w.op.build(kafka).GetVersion(),
		w.op.what, strings.Join(lines[chronik], " ")))
	onlyKafka, only := differ(lines[kafka], lines[chronik])
	if len(onlyKafka)+len(only) > 0 && w.op.reads && w.looks < 20 {
		w.looks++
		time.Sleep(10 * time.Millisecond)
		w.got = [brokers]*answer{}
		for b := range brokers {
			w.in[b] = r.peers[b].send(w.op.build(b))
		}
		if r.collect(w, false) {
			r.settled(w)
			return
		}
	}
	if len(onlyKafka)+len(only) == 0 {
		return
	}
	if len(lines[kafka]) < 12 && len(lines[chronik]) < 12 {
		onlyKafka, only = lines[kafka], lines[chronik] // the rest helps who reads it
	}
	req := w.op.build(kafka)
	r.found = append(r.found, difference{len(r.log), kmsg.NameForKey(req.Key()), req.GetVersion(), w.op.what, onlyKafka, only, r.uneven(w.op.what)})
}

// text, long and num remember what a broker chose.
func (r *run) text(b int, name, value string) {
	r.texts[b][name] = value
	if value != "" {
		r.byText[b][value] = name
	}
}

func (r *run) long(b int, name string, value int64) {
	r.longs[b][name] = value
	if value >= 0 {
		r.byLong[b][value] = name
	}
}

var madeID = regexp.MustCompile(`-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// nameOf gives the script's name of what a broker chose.
func (r *run) nameOf(b int, field string, v any) (string, bool) {
	switch v := v.(type) {
	case string:
		name, ok := r.byText[b][v]
		if !ok && madeID.MatchString(v) {
			name, ok = "an id that the broker made", true
		}
		return name, ok
	case *string:
		if v != nil {
			name, ok := r.byText[b][*v]
			return name, ok
		}
	case int64:
		name, ok := r.byLong[b][v]
		return name, ok && field == "ProducerID"
	case [16]byte:
		for name, id := range r.topics[b] {
			if id == v {
				return name, true
			}
		}
	}
	return "", false
}

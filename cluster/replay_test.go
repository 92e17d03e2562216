package cluster

import (
	"errors"
	"strings"
	"testing"
)

// TestReplayBatches replays logs given as batches and says which topics there
// are at the end, or what is refused.
func TestReplayBatches(t *testing.T) {
	part := func(version, n int64, last bool, topics ...string) []Record {
		records := []Record{snapshotRecord{Version: version, Part: n, Last: last}}
		for _, name := range topics {
			records = append(records, topicRecord(name, 1))
		}
		return records
	}
	change := func(name string) []Record { return []Record{topicRecord(name, 1)} }
	for _, c := range []struct {
		name    string
		trimmed bool
		batches [][]Record
		want    string // names and the version, or the error's words
	}{
		{"changes", false, [][]Record{change("a"), change("b")}, "a b 2"},
		{"a snapshot replaces", false, [][]Record{change("a"), change("b"), part(9, 0, true, "x")}, "x 9"},
		{"a snapshot and changes", true, [][]Record{part(9, 0, true, "x"), change("a")}, "a x 10"},
		{"two parts", true, [][]Record{part(9, 0, false, "x"), part(9, 1, true, "y")}, "x y 9"},
		{"cut short", false, [][]Record{change("a"), part(9, 0, false, "x")}, "a 1"},
		{"cut short and gone on", false, [][]Record{change("a"), part(9, 0, false, "x"), change("b")}, "a b 2"},
		{"begun again", false, [][]Record{change("a"), part(9, 0, false, "x"), part(9, 0, false, "x"), part(9, 1, true, "y")}, "x y 9"},
		{"an older one behind a newer", true, [][]Record{part(9, 0, true, "x"), part(10, 0, true, "y")}, "y 10"},
		{"the rest behind a change", false, [][]Record{change("a"), part(9, 0, false, "x"), change("b"), part(9, 1, true, "y")}, "part 1 of a snapshot"},
		{"a part is missing", false, [][]Record{part(9, 0, false, "x"), part(9, 2, true, "y")}, "part 2 of a snapshot stands where part 1"},
		{"a part twice", false, [][]Record{part(9, 0, false, "x"), part(9, 1, false), part(9, 1, true)}, "stands where part 2"},
		{"of another snapshot", false, [][]Record{part(9, 0, false, "x"), part(8, 1, true, "y")}, "part 1 of a snapshot"},
		{"trimmed without a snapshot", true, [][]Record{change("a")}, "does not begin with a snapshot"},
		{"trimmed to the middle", true, [][]Record{part(9, 1, true, "x")}, "part 1 of a snapshot"},
		{"a change amid parts, trimmed", true, [][]Record{part(9, 0, false, "x"), change("a")}, "does not begin with a snapshot"},
		{"the same topic twice", false, [][]Record{change("a"), change("a")}, "exists already"},
		{"an opening within a batch", false, [][]Record{append(change("a"), snapshotRecord{})}, "start of a batch"},
	} {
		r := newReplay(1)
		var err error
		for _, b := range c.batches {
			if err = r.batch(b, 100, c.trimmed); err != nil {
				break
			}
		}
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		var got []string
		for _, topic := range r.image.Topics() {
			got = append(got, topic.Name)
		}
		got = append(got, nodeName(int32(r.image.Version)))
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
	r := newReplay(1)
	for _, b := range [][]Record{change("a"), part(9, 0, false), part(9, 1, true), change("b"), change("c")} {
		if err := r.batch(b, 100, false); err != nil {
			t.Fatal(err)
		}
	}
	if r.since != 200 || r.size != 200 {
		t.Errorf("%d bytes since the snapshot of %d, want 200 and 200", r.since, r.size)
	}
}

// TestReplayOfDamage: a log that ends early, or holds what it should not, is an
// error and never an empty cluster.
func TestReplayOfDamage(t *testing.T) {
	build := func() *memLog {
		log := newMemLog(t)
		c := openOn(t, log, Options{}, false)
		commit(t, c, named("a"))
		return log
	}
	log := build()
	log.durable--
	if err := newReplay(1).read(log); err == nil || !strings.Contains(err.Error(), "promised") {
		t.Errorf("a log without its end: %v", err)
	}
	log = build()
	log.batches[1][70] ^= 1
	if err := newReplay(1).read(log); !errors.Is(err, ErrBadRecord) {
		t.Errorf("a flipped bit: %v", err)
	}
	log.start = log.end + 5
	log.end += 10
	if err := newReplay(1).read(log); err == nil {
		t.Error("a log that cannot be read was taken")
	}
}

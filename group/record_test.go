package group

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/codec/record"
)

// goldenChanges are records whose bytes were made by Kafka 4.2's own
// serializers (testdata/records.txt: name, key, value in hex).
func goldenChanges() map[string]change {
	t1 := topicID{15: 1}
	t2 := topicID{0: 0xff, 15: 2}
	return map[string]change{
		"epoch":           &groupEpochChange{group: "g", epoch: 7, hash: 0x1122334455667788},
		"epoch-nohash":    &groupEpochChange{group: "g", epoch: 7},
		"epoch-gone":      &groupEpochChange{group: "g", removed: true},
		"partitions-gone": &partitionMetadataChange{group: "g", removed: true},
		"member": &memberChange{group: "g", id: "m", sub: subscription{
			instanceID: "i", rackID: "r", clientID: "c", clientHost: "/127.0.0.1", topics: []string{"a", "b"},
			regex: "x.*", assignor: "uniform", rebalanceMs: 30000}},
		"member-bare": &memberChange{group: "g", id: "m", sub: subscription{clientID: "c", clientHost: "/h", rebalanceMs: -1}},
		"member-classic": &memberChange{group: "g", id: "m", sub: subscription{clientID: "c", clientHost: "/h", topics: []string{"a"}, rebalanceMs: 5,
			classic: &classicMetadata{sessionMs: 10000, protocols: []protocol{{"range", []byte{1, 2, 3}}, {"sticky", []byte{4}}}}}},
		"member-gone":  &memberChange{group: "g", id: "m", removed: true},
		"target-epoch": &targetEpochChange{group: "g", epoch: 9},
		"target":       &targetChange{group: "g", id: "m", target: assignment{t1: {0, 1, 5}, t2: {3}}},
		"target-none":  &targetChange{group: "g", id: "m", target: assignment{}},
		"regex":        &regexChange{group: "g", regex: "x.*", resolved: resolvedRegex{topics: []string{"x1", "x2"}, version: 12, atMs: 1700000000000}},
	}
}

func TestRecordsAgainstKafka(t *testing.T) {
	b, err := os.ReadFile("testdata/records.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		f := strings.Fields(line)
		want[f[0]] = [2]string{f[1], f[2]}
	}
	for name, c := range goldenChanges() {
		w, ok := want[name]
		if !ok {
			t.Errorf("%s: no golden record", name)
			continue
		}
		if got := hex.EncodeToString(c.key(nil)); got != w[0] {
			t.Errorf("%s: key\n %s, Kafka writes\n %s", name, got, w[0])
		}
		got := "null"
		if v := c.value(); v != nil {
			got = hex.EncodeToString(v)
		}
		if got != w[1] {
			t.Errorf("%s: value\n %s, Kafka writes\n %s", name, got, w[1])
		}
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	all := goldenChanges()
	all["current"] = &currentChange{group: "g", id: "m", cur: current{epoch: 5, previous: 4, state: memberUnrevoked,
		assigned: owned{topicID{1}: {0: 3, 2: 5}}, revoking: owned{topicID{2}: {7: 1}}}}
	all["target-at"] = &targetEpochChange{group: "g", epoch: 9, atMs: 1700000000000}
	for name, c := range all {
		key := c.key(nil)
		got, err := readChange(int16(key[1]), &wire{b: key[2:]}, c.value())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%s: read %+v, wrote %+v", name, got, c)
		}
		// A record that is cut short is refused, wherever it is cut.
		for n := 2; n < len(c.value()); n++ {
			if _, err := readChange(int16(key[1]), &wire{b: key[2:]}, c.value()[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes were read without an error", name, n, len(c.value()))
			}
		}
	}
}

func FuzzReplay(f *testing.F) {
	for _, c := range goldenChanges() {
		f.Add(c.key(nil), c.value())
	}
	f.Add(offsetKey(nil, "g", "t", 1), appendOffset(nil, &committed{offset: 5, expireMs: noTimestamp}))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s := newState(&Outbox{}, &Deadlines{}, &counters{})
		s.cfg = defaultSettings
		s.img = func() (catalog, int64) { return &topicSet{}, 0 }
		s.replay(&Record{Key: key, Value: value, ProducerID: -1}) //nolint:errcheck // an error is as good as none: it must return
		s.replay(&Record{Key: key, ProducerID: -1})               //nolint:errcheck // likewise
	})
}

// TestWriteSegment writes a segment with every kind of record, for a look at
// it with kafka-dump-log --offsets-decoder; it does so only when told where.
func TestWriteSegment(t *testing.T) {
	dir := os.Getenv("CHRONIK_SEGMENT_DIR")
	if dir == "" {
		t.Skip("CHRONIK_SEGMENT_DIR is not set")
	}
	r := newRig(t)
	r.stable("classic", 2)
	r.commit("classic", "", -1, 7, "a", 0, 5)
	r.commit("simple", "", -1, 7, "a", 0, 5)
	a, b := r.member("new", "m1", "a", "b"), r.member("new", "m2", "a")
	p := "b.*"
	b.regex = &p
	a.mustBeat()
	r.advance(2e9)
	b.mustBeat()
	r.runResolves()
	r.converge(a, b)
	r.commit("new", "m1", a.epoch, 9, "a", 1, 8)
	b.leave(epochLeave)
	classicGroupOfTwo(r)
	r.member("g", "n", "a").mustBeat()
	r.settle()
	bld := record.NewBuilder(nil, record.DefaultBuilderOptions())
	for i := range r.log {
		bld.Append(r.now.UnixMilli(), r.log[i].rec.Key, r.log[i].rec.Value)
	}
	batch, err := bld.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000000000000000000.log"), batch, 0o644); err != nil {
		t.Fatal(err)
	}
}

package group

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// drawGroup is a random group with a past.
func drawGroup(t *rapid.T, alike bool) *assignInput {
	in := &assignInput{partitions: map[topicID]int32{}}
	var all []topicID
	for i := range rapid.IntRange(0, 5).Draw(t, "topics") {
		id := topicID{byte(i + 1)}
		in.partitions[id] = int32(rapid.IntRange(1, 12).Draw(t, "partitions"))
		all = append(all, id)
	}
	taken := map[string]bool{}
	for i := range rapid.IntRange(1, 8).Draw(t, "members") {
		m := assignMember{id: fmt.Sprintf("m%d", i), topics: all, had: assignment{}}
		if !alike && len(all) > 0 {
			m.topics = rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID).Draw(t, "subscription")
			sortIDs(m.topics)
		}
		if rapid.Bool().Draw(t, "old") {
			for _, id := range all {
				// What it had may be gone by now: partitions beyond the topic's.
				for p := range int32(14) {
					k := fmt.Sprint(id, p)
					if !taken[k] && rapid.IntRange(0, 3).Draw(t, "had") == 0 {
						taken[k] = true
						m.had[id] = append(m.had[id], p)
					}
				}
			}
		}
		in.members = append(in.members, m)
	}
	return in
}

// checkComplete: every partition of a subscribed topic has one owner, and that
// subscribes to it.
func checkComplete(t *rapid.T, in *assignInput, out []assignment) {
	owner := map[string]int{}
	for i, a := range out {
		for id, parts := range a {
			ok := false
			for _, s := range in.members[i].topics {
				ok = ok || s == id
			}
			if !ok {
				t.Fatalf("member %d got a topic it does not subscribe to", i)
			}
			for k, p := range parts {
				if k > 0 && parts[k-1] >= p {
					t.Fatalf("partitions out of order: %v", parts)
				}
				key := fmt.Sprint(id, p)
				if o, dup := owner[key]; dup {
					t.Fatalf("%s went to %d and %d", key, o, i)
				}
				if p < 0 || p >= in.partitions[id] {
					t.Fatalf("partition %d of %d", p, in.partitions[id])
				}
				owner[key] = i
			}
		}
	}
	want := 0
	for id, n := range in.partitions {
		for _, m := range in.members {
			found := false
			for _, s := range m.topics {
				found = found || s == id
			}
			if found {
				want += int(n)
				break
			}
		}
	}
	if len(owner) != want {
		t.Fatalf("%d of %d partitions were assigned", len(owner), want)
	}
}

func TestAssignors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alike := rapid.Bool().Draw(t, "alike")
		in := drawGroup(t, alike)
		checkComplete(t, in, assign(assignorRange, in))
		out := assign(assignorUniform, in)
		checkComplete(t, in, out)
		least, most := 1<<30, 0
		for _, a := range out {
			least, most = min(least, a.size()), max(most, a.size())
		}
		if in.alike() && most-least > 1 {
			t.Fatalf("members have between %d and %d partitions", least, most)
		}
		// The same again moves nothing.
		for i := range in.members {
			in.members[i].had = out[i]
		}
		for i, a := range assign(assignorUniform, in) {
			if !a.equal(out[i]) {
				t.Fatalf("a second assignment moved %v to %v", out[i], a)
			}
		}
	})
}

// TestUniformMovesFew: one member more takes only its share.
func TestUniformMovesFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := topicID{1}
		n := rapid.IntRange(1, 6).Draw(t, "members")
		in := &assignInput{partitions: map[topicID]int32{id: int32(rapid.IntRange(1, 40).Draw(t, "partitions"))}}
		for i := range n {
			in.members = append(in.members, assignMember{id: fmt.Sprintf("m%d", i), topics: []topicID{id}})
		}
		before := assign(assignorUniform, in)
		for i := range in.members {
			in.members[i].had = before[i]
		}
		in.members = append(in.members, assignMember{id: "new", topics: []topicID{id}})
		after := assign(assignorUniform, in)
		moved := 0
		for i := range before {
			for _, p := range before[i][id] {
				if !after[i].has(id, p) {
					moved++
				}
			}
		}
		if moved != after[n].size() {
			t.Fatalf("%d partitions moved for a newcomer that got %d", moved, after[n].size())
		}
	})
}

func TestRangeCoPartitions(t *testing.T) {
	a, b := topicID{1}, topicID{2}
	in := &assignInput{partitions: map[topicID]int32{a: 7, b: 7}}
	for _, m := range []assignMember{{id: "x", instanceID: "2"}, {id: "y", instanceID: "1"}, {id: "a"}} {
		m.topics = []topicID{a, b}
		in.members = append(in.members, m)
	}
	out := assign(assignorRange, in)
	// Static members come first, by instance id: y, x, then a.
	for i, want := range [][]int32{{3, 4}, {0, 1, 2}, {5, 6}} {
		for _, id := range []topicID{a, b} {
			if got := out[i][id]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("member %d: %v, want %v", i, got, want)
			}
		}
	}
}

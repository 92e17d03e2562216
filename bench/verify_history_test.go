package bench

import (
	"strings"
	"testing"
	"time"
)

// TestGroupHistory breaks each promise of a consumer group once and sees it found.
func TestGroupHistory(t *testing.T) {
	// Ten values lie at offsets 0 to 9 of partition 0. A first member reads and
	// commits the first four; good is how a second one goes on.
	begin := func() *groupHistory {
		h := newGroupHistory("g", "classic")
		for n := range int64(10) {
			h.produced(0, n, n)
		}
		h.assigned("a", 0)
		for n := range int64(4) {
			h.polled("a", 0, n, n, 10)
		}
		h.committing(0, 4)
		h.committed(0, 4)
		h.fetched(0, 4, h.floors()[0])
		h.revoked("a", 0)
		return h
	}
	poll := func(h *groupHistory, member string, offsets ...int64) {
		for _, n := range offsets {
			h.polled(member, 0, n, n, 10)
		}
	}
	for _, c := range []struct {
		name  string
		do    func(*groupHistory)
		want  GroupVerdict // the broken promises
		words string
	}{
		{"good", func(h *groupHistory) { h.assigned("b", 0); poll(h, "b", 4, 5, 6, 7, 8, 9) }, GroupVerdict{}, ""},
		{"what was not committed comes again", func(h *groupHistory) {
			h.assigned("b", 0)
			poll(h, "b", 4, 5, 6)
			h.revoked("b", 0)
			h.assigned("c", 0)
			poll(h, "c", 4, 5, 6, 7, 8, 9)
		}, GroupVerdict{}, ""},
		{"a commit whose answer was lost counts", func(h *groupHistory) {
			h.assigned("b", 0)
			poll(h, "b", 4, 5)
			h.committing(0, 6)
			h.assigned("c", 0)
			poll(h, "c", 6, 7, 8, 9)
			h.fetched(0, 6, 4)
		}, GroupVerdict{}, ""},
		{"lost at the end", func(h *groupHistory) { h.assigned("b", 0); poll(h, "b", 4, 5, 6, 7, 8) }, GroupVerdict{Lost: 1}, "value 9 was"},
		{"skipped within an assignment", func(h *groupHistory) { h.assigned("b", 0); poll(h, "b", 4, 5, 8, 9) }, GroupVerdict{Skipped: 2, Lost: 2}, "where 6 was next"},
		{"skipped at its start", func(h *groupHistory) { h.assigned("b", 0); poll(h, "b", 6, 7, 8, 9) }, GroupVerdict{Skipped: 2, Lost: 2}, "committed more than 4"},
		{"backwards within an assignment", func(h *groupHistory) { h.assigned("b", 0); poll(h, "b", 4, 5, 6, 5, 6, 7, 8, 9) }, GroupVerdict{Backwards: 1}, "offset 5 of partition 0 after 6"},
		{"twice within an assignment", func(h *groupHistory) { h.assigned("b", 0); poll(h, "b", 4, 4, 5, 6, 7, 8, 9) }, GroupVerdict{Backwards: 1}, "offset 4"},
		{"started below a commit", func(h *groupHistory) { h.assigned("b", 0); poll(h, "b", 2, 3, 4, 5, 6, 7, 8, 9) }, GroupVerdict{CommitsLost: 1}, "4 had been committed"},
		{"a commit went back", func(h *groupHistory) {
			h.fetched(0, 3, h.floors()[0])
			h.assigned("b", 0)
			poll(h, "b", 4, 5, 6, 7, 8, 9)
		}, GroupVerdict{CommitsLost: 1}, "names 3"},
		{"a commit is gone", func(h *groupHistory) {
			h.fetched(0, -1, h.floors()[0])
			h.assigned("b", 0)
			poll(h, "b", 4, 5, 6, 7, 8, 9)
		}, GroupVerdict{CommitsLost: 1}, "names -1"},
		{"a commit of nobody's", func(h *groupHistory) {
			h.fetched(0, 7, h.floors()[0])
			h.assigned("b", 0)
			poll(h, "b", 4, 5, 6, 7, 8, 9)
		}, GroupVerdict{CommitsLost: 1}, "nobody has committed"},
		{"an offset was given again", func(h *groupHistory) {
			h.assigned("b", 0)
			poll(h, "b", 4, 5, 6, 7, 8, 9)
			h.produced(0, 5, 3)
		}, GroupVerdict{Changed: 1}, "had value 5 and then 3"},
		{"a value of nobody's", func(h *groupHistory) {
			h.assigned("b", 0)
			poll(h, "b", 4, 5, 6, 7, 8, 9)
			h.polled("b", 0, 10, 99, 10)
		}, GroupVerdict{Unknown: 1}, "value 99"},
	} {
		h := begin()
		c.do(h)
		v := h.verdict(10)
		got := GroupVerdict{Lost: v.Lost, Skipped: v.Skipped, Backwards: v.Backwards, CommitsLost: v.CommitsLost, Changed: v.Changed, Unknown: v.Unknown}
		if got != c.want || v.Bad() != (c.want != GroupVerdict{}) || !strings.Contains(v.First, c.words) || (c.words == "") != (v.First == "") {
			t.Errorf("%s: got %s", c.name, v)
		}
	}
}

// TestTxnHistory breaks each promise of exactly-once once and sees it found.
func TestTxnHistory(t *testing.T) {
	type rec struct {
		offset, value, attempt, from int64
	}
	// Six values; attempt 1 carries 0 to 2, attempt 2 is aborted, 3 carries 3 to 5.
	good := []rec{{0, 0, 1, 0}, {1, 1, 1, 1}, {2, 2, 1, 2}, {8, 3, 3, 3}, {9, 4, 3, 4}, {10, 5, 3, 5}}
	for _, c := range []struct {
		name  string
		read  []rec
		want  TxnVerdict
		words string
	}{
		{"good", good, TxnVerdict{}, ""},
		{"lost with its transaction", good[:3], TxnVerdict{Lost: 3}, "value 3 is not"},
		{"torn", good[:5], TxnVerdict{Lost: 1, Torn: 1}, "value 5 is not"},
		{"duplicated", append(good[:6:6], rec{11, 2, 4, 2}), TxnVerdict{Duplicated: 1}, "value 2 came again"},
		{"aborted but read", []rec{{0, 0, 1, 0}, {1, 1, 1, 1}, {2, 2, 1, 2}, {4, 3, 2, 3}, {5, 4, 2, 4}, {6, 5, 2, 5}}, TxnVerdict{AbortedRead: 3}, "transaction 2 was aborted"},
		{"reordered", []rec{{0, 0, 1, 0}, {1, 1, 1, 1}, {2, 2, 1, 2}, {8, 4, 3, 4}, {9, 3, 3, 3}, {10, 5, 3, 5}}, TxnVerdict{Reordered: 1}, "value 3, of offset 3"},
		{"backwards", []rec{{0, 0, 1, 0}, {1, 1, 1, 1}, {2, 2, 1, 2}, {8, 3, 3, 3}, {8, 4, 3, 4}, {10, 5, 3, 5}}, TxnVerdict{Backwards: 1}, "offset 8 of partition 0 after 8"},
		{"of nobody's", append(good[:6:6], rec{11, 77, 1, 6}), TxnVerdict{Unknown: 1}, "value 77"},
	} {
		h := newTxnHistory("g")
		h.carried(1, 3)
		h.carried(2, 3)
		h.drop(2)
		h.carried(3, 3)
		h.carried(4, 1)
		for _, r := range c.read {
			h.see(0, r.offset, outcome{r.value, r.attempt, r.from}, 6)
		}
		v := h.verdict(6)
		got := TxnVerdict{Lost: v.Lost, Duplicated: v.Duplicated, AbortedRead: v.AbortedRead, Torn: v.Torn, Reordered: v.Reordered, Backwards: v.Backwards, Skipped: v.Skipped, Unknown: v.Unknown}
		if got != c.want || v.Bad() != (c.want != TxnVerdict{}) || !strings.Contains(v.First, c.words) || (c.words == "") != (v.First == "") {
			t.Errorf("%s: got %s", c.name, v)
		}
	}
}

// TestPolls: a worker's offsets go on after a commit and begin again after an
// abort; anything else is found.
func TestPolls(t *testing.T) {
	for _, c := range []struct {
		name               string
		after              func(*polls)
		next               int64
		backwards, skipped int64
	}{
		{"goes on after a commit", (*polls).committed, 7, 0, 0},
		{"given again after a commit", (*polls).committed, 5, 1, 0},
		{"jumps after a commit", (*polls).committed, 9, 0, 2},
		{"begins again after an abort", (*polls).aborted, 5, 0, 0},
		{"goes on after an abort", (*polls).aborted, 7, 0, 2},
		{"anywhere after a rebalance", func(p *polls) { p.forget(0) }, 3, 0, 0},
		{"anywhere after a failure", func(p *polls) { p.forget() }, 30, 0, 0},
		{"others know nothing of it", func(p *polls) { p.forget(1) }, 6, 1, 0},
	} {
		h, p := newTxnHistory("g"), newPolls()
		p.polled(h, 0, 5)
		p.polled(h, 0, 6)
		c.after(p)
		p.polled(h, 0, c.next)
		if v := h.verdict(0); v.Backwards != c.backwards || v.Skipped != c.skipped {
			t.Errorf("%s: got %s", c.name, v)
		}
	}
}

// TestVerify runs both checks against a fake that keeps its promises, with
// members and workers that die.
func TestVerify(t *testing.T) {
	target := fake(t)
	groups, err := VerifyGroup(t.Context(), target, GroupCheck{Groups: 2, Members: 2, Partitions: 3, Rate: 700, Duration: 3 * time.Second, Life: time.Second, KillRate: 0.1, Drain: 2 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range groups {
		if v.Bad() || v.Values < 100 || v.Commits == 0 || v.Joined < 3 || v.Looks == 0 {
			t.Error(v)
		}
	}
	txns, err := VerifyTxn(t.Context(), target, TxnCheck{Groups: 2, Workers: 2, Partitions: 2, Rate: 700, Duration: 2 * time.Second, AbortRate: 0.5, KillRate: 0.01, Drain: 60 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	aborted := int64(0)
	for _, v := range txns {
		if aborted += v.Aborted; v.Bad() || v.Values < 100 || v.Committed == 0 {
			t.Error(v)
		}
	}
	if aborted == 0 {
		t.Errorf("nothing was aborted: %v", txns)
	}
}

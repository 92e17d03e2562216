package group

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTwoHundredMembers: a rebalance of 200 members, from the last join to
// every assignment, is a matter of milliseconds: 0.7 to 5 ms for a classic
// group, 13 to 60 ms for one of KIP-848 with 1,000 partitions (a busy 2-core
// machine). The members of the latter hear of it at their next heartbeats, whose
// interval is not counted.
func TestTwoHundredMembers(t *testing.T) {
	for range 5 { // a machine that does something else meanwhile is no fault
		classic, consumer := twoHundredMembers(t)
		if t.Logf("classic %v, consumer %v", classic, consumer); max(classic, consumer) < time.Second {
			return
		}
	}
	t.Error("a rebalance takes a second or more")
}

// twoHundredMembers gives how long the rebalances took.
func twoHundredMembers(t *testing.T) (classic, consumer time.Duration) {
	r := newRig(t)
	ids, gen := r.stable("g", 200)
	began := time.Now()
	var joins []*answer[*kmsg.JoinGroupResponse]
	for _, id := range ids {
		joins = append(joins, r.join("g", id, topics("a", "b")))
	}
	var syncs []*answer[*kmsg.SyncGroupResponse]
	assign := map[string]string{}
	for i, id := range ids {
		assign[id] = fmt.Sprint(i)
	}
	for i, id := range ids {
		j := joins[i].get()
		if j.Generation != gen+1 {
			t.Fatalf("%+v", j)
		}
		if j.LeaderID == id {
			syncs = append(syncs, r.sync("g", id, j.Generation, assign))
		} else {
			syncs = append(syncs, r.sync("g", id, j.Generation, nil))
		}
	}
	for i, s := range syncs {
		if got := s.get(); string(got.MemberAssignment) != fmt.Sprint(i) {
			t.Fatalf("member %d: %+v", i, got)
		}
	}
	classic = time.Since(began)
	r.topic("big", 1000)
	ms := make([]*member, 200)
	for i := range ms {
		ms[i] = r.member("new", fmt.Sprintf("m%03d", i), "big")
	}
	for _, m := range ms[:199] {
		m.mustBeat()
	}
	r.advance(2 * time.Second)
	r.converge(ms[:199]...)
	began = time.Now()
	ms[199].mustBeat()
	r.advance(2 * time.Second)
	r.converge(ms...)
	if n := r.oneOwner(ms...); n != 1000 {
		t.Fatalf("%d partitions are owned", n)
	}
	for _, m := range ms {
		if m.has.size() != 5 {
			t.Fatalf("%s has %d partitions, want 5", m.id, m.has.size())
		}
	}
	return classic, time.Since(began)
}

// TestMemoryOfIdleGroups: 10,000 groups of one idle member with an offset.
func TestMemoryOfIdleGroups(t *testing.T) {
	r := newRig(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	const groups = 2000
	for i := range groups {
		g := fmt.Sprintf("group-%d", i)
		id, j := r.enter(g)
		gen := j.get().Generation
		r.sync(g, id, gen, map[string]string{id: assigned(0, 1, 2, 3)}).get()
		if code := r.commit(g, id, gen, 7, "a", 0, 1); code != 0 {
			t.Fatal(code)
		}
		r.log = nil
	}
	per := int64(heap()-before) / groups
	t.Logf("%d bytes a group", per)
	if per > 8<<10 {
		t.Errorf("%d bytes a group: 10,000 of them take %d MB", per, per*10000>>20)
	}
	runtime.KeepAlive(r)
}

// TestHeartbeatAllocations: the most frequent request allocates nothing in the
// state machine.
func TestHeartbeatAllocations(t *testing.T) {
	r := newRig(t)
	ids, gen := r.stable("g", 2)
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.MemberID, q.Generation = "g", ids[0], gen
	if n := testing.AllocsPerRun(100, func() {
		if r.s.heartbeat(r.now, q) != 0 {
			t.Fatal("refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDeadlinesKeepOrder(t *testing.T) {
	var ds Deadlines
	base := time.UnixMilli(0)
	var fired []int
	d := make([]Deadline, 100)
	for i := range d {
		d[i].Fire = func(time.Time) { fired = append(fired, i) }
		ds.Set(&d[i], base.Add(time.Duration((i*37)%100)*time.Second))
	}
	ds.Set(&d[3], base.Add(500*time.Second)) // later: lazily
	ds.Set(&d[4], base)                      // sooner: at once
	ds.Stop(&d[5])
	for ds.RunOne(base.Add(99 * time.Second)) {
	}
	if len(fired) != 98 || ds.Len() != 1 || d[5].Armed() || !d[3].Armed() {
		t.Fatalf("%d fired, %d left", len(fired), ds.Len())
	}
	if at, ok := ds.Next(); !ok || at.After(base.Add(500*time.Second)) {
		t.Fatalf("next %v", at)
	}
	if ds.RunOne(base.Add(499 * time.Second)) {
		t.Fatal("fired early")
	}
	if !ds.RunOne(base.Add(500*time.Second)) || fired[len(fired)-1] != 3 {
		t.Fatal("not fired")
	}
}

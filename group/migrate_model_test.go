package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// oldMember is a consumer of the classic protocol with an eager assignor: it
// gives everything up before it joins again.
type oldMember struct {
	r      *rig
	id     string
	gen    int32
	has    []int32
	synced bool
	join   *answer[*kmsg.JoinGroupResponse]
	wait   *answer[*kmsg.SyncGroupResponse]
	// others are the members it must assign to, as the leader.
	others []string
}

func (m *oldMember) reset() { *m = oldMember{r: m.r} }

// act takes the next step of the protocol.
func (m *oldMember) act() {
	m.r.settle()
	switch {
	case m.join != nil:
		if m.join.n == 0 {
			return
		}
		j := m.join.get()
		m.join = nil
		switch j.ErrorCode {
		case codeNone:
			m.id, m.gen, m.synced, m.others = j.MemberID, j.Generation, false, nil
			for _, o := range j.Members {
				m.others = append(m.others, o.MemberID)
			}
		case codeMemberIDRequired:
			m.id = j.MemberID
		case codeRebalanceInProgress:
			m.gen = 0
		default:
			m.reset()
		}
	case m.wait != nil:
		if m.wait.n == 0 {
			return
		}
		s := m.wait.get()
		m.wait = nil
		switch s.ErrorCode {
		case codeNone:
			m.synced, m.has = true, nil
			if len(s.MemberAssignment) > 0 {
				a, err := readAssignment(s.MemberAssignment)
				if err != nil {
					m.r.t.Fatal(err)
				}
				for _, topic := range a.Topics {
					m.has = append(m.has, topic.Partitions...)
				}
			}
		case codeRebalanceInProgress:
			m.gen = 0
		default:
			m.reset()
		}
	case m.id == "" || m.gen == 0:
		m.has, m.synced = nil, false
		meta := kmsg.NewConsumerMemberMetadata()
		meta.Version, meta.Topics = 1, []string{"a"}
		m.join = m.r.join("g", m.id, func(q *kmsg.JoinGroupRequest) { q.Protocols[0].Metadata = meta.AppendTo(nil) })
	case !m.synced:
		as := map[string]string{}
		for i, o := range m.others {
			var parts []int32
			for p := int32(i); p < 4; p += int32(len(m.others)) {
				parts = append(parts, p)
			}
			as[o] = assigned(parts...)
		}
		m.wait = m.r.sync("g", m.id, m.gen, as)
	default:
		switch m.r.beat("g", m.id, m.gen) {
		case codeNone:
		case codeRebalanceInProgress:
			m.gen = 0
		default:
			m.reset()
		}
	}
}

// valid: the coordinator would take its commits.
func (m *oldMember) valid() bool {
	e := m.r.s.groups["g"]
	switch {
	case !e.exists() || !m.synced || m.gen == 0:
		return false
	case e.consumer != nil:
		c := e.consumer.members[m.id]
		return c != nil && c.classic() && c.cur.epoch == m.gen
	}
	return e.classic.members[m.id] != nil && e.classic.generation == m.gen && e.classic.state == classicStable
}

// TestMigrationModel mixes classic and new members in one group: it becomes a
// consumer group with the first new one and a classic one again without. Every
// partition has one owner at most throughout, the log holds the state, the
// offset stays, and in peace everything is owned.
func TestMigrationModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.topic("a", 4)
		r.commit("g", "", -1, 7, "a", 0, 7)
		var olds []*oldMember
		var news []*member
		next := 0
		check := func(reload bool) {
			r.settle()
			owner := map[int32]string{}
			own := func(who string, parts []int32) {
				for _, p := range parts {
					if o, ok := owner[p]; ok {
						rt.Fatalf("partition %d is owned by %s and %s\n%s", p, o, who, r.s.dump())
					}
					owner[p] = who
				}
			}
			r.oneOwner(news...)
			for _, m := range news {
				if e := r.s.groups["g"]; e.exists() && e.consumer != nil && e.consumer.members[m.id] != nil && e.consumer.members[m.id].cur.epoch == m.epoch {
					own(m.id, m.has[idOf("a")])
				}
			}
			for _, m := range olds {
				if m.valid() {
					own(m.id, m.has)
				}
			}
			if got, _ := r.offset("g", "a", 0, true); got != 7 {
				rt.Fatalf("the offset is %d", got)
			}
			if g := r.s.groups["g"]; reload && (g.consumer != nil || g.classic.state == classicStable) {
				r.sameAfterReload()
			}
		}
		for range rapid.IntRange(10, 80).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"old", "new", "act", "act", "act", "act", "beat", "beat", "beat", "time", "leave", "quit", "crash", "restart"}).Draw(rt, "step") {
			case "old":
				if len(olds) < 3 {
					m := &oldMember{r: r}
					olds = append(olds, m)
					m.act()
				}
			case "new":
				if len(news) < 3 {
					next++
					m := r.member("g", fmt.Sprintf("n%d", next), "a")
					news = append(news, m)
					m.tryBeat(rt)
				}
			case "act":
				if len(olds) > 0 {
					olds[rapid.IntRange(0, len(olds)-1).Draw(rt, "old")].act()
				}
			case "beat":
				if len(news) > 0 {
					news[rapid.IntRange(0, len(news)-1).Draw(rt, "new")].tryBeat(rt)
				}
			case "time":
				r.advance(time.Duration(rapid.IntRange(100, 4000).Draw(rt, "ms")) * time.Millisecond)
			case "leave":
				if len(news) > 0 {
					m := news[rapid.IntRange(0, len(news)-1).Draw(rt, "new")]
					if m.epoch > 0 {
						m.leave(epochLeave)
					}
					news = slices.DeleteFunc(news, func(o *member) bool { return o == m })
				}
			case "quit":
				if len(olds) > 0 {
					m := olds[rapid.IntRange(0, len(olds)-1).Draw(rt, "old")]
					if m.id != "" && m.join == nil && m.wait == nil {
						r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: m.id})
					}
					olds = slices.DeleteFunc(olds, func(o *oldMember) bool { return o == m })
				}
			case "crash":
				if len(olds) > 0 {
					olds = olds[1:]
				} else if len(news) > 0 {
					news = news[1:]
				}
			case "restart":
				r.s.lost(ErrUnavailable)
				r.boot()
			}
			check(true)
		}
		if len(olds)+len(news) == 0 {
			return
		}
		for range 100 {
			for _, m := range olds {
				m.act()
			}
			for _, m := range news {
				m.tryBeat(rt)
			}
			check(false)
			r.advance(2 * time.Second)
		}
		owned := 0
		for _, m := range olds {
			if m.valid() {
				owned += len(m.has)
			}
		}
		for _, m := range news {
			owned += m.has.size()
		}
		if owned != 4 {
			rt.Fatalf("%d of 4 partitions are owned in the end\n%s", owned, r.s.dump())
		}
		if g := r.s.groups["g"]; (g.consumer != nil) != (len(news) > 0) {
			rt.Fatalf("%d new members, and the group is\n%s", len(news), r.s.dump())
		}
	})
}

// tryBeat heartbeats as a client does that may meet a group which cannot be
// converted at the moment.
func (m *member) tryBeat(rt *rapid.T) {
	switch code := m.beat(); code {
	case codeNone:
	case codeFencedMemberEpoch, codeUnknownMemberID, codeGroupIDNotFound:
		m.epoch, m.first, m.has = 0, true, nil
	default:
		rt.Fatalf("heartbeat of %s: %d", m.id, code)
	}
}

package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// TestConsumerModel lets random members of a KIP-848 group join, heartbeat,
// lose answers, change their minds, leave, crash and time out, while topics
// grow and the coordinator restarts. After each step every partition has one
// owner at most, epochs never go back, and the log holds the state. In the end
// the group settles with every partition owned.
func TestConsumerModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		if rapid.Bool().Draw(rt, "range") {
			r.cfg.assignors = []string{assignorRange, assignorUniform}
		}
		alike := rapid.Bool().Draw(rt, "alike")
		names := []string{"a", "b", "c"}
		var ms []*member
		next := 0
		lastEpoch := int32(0)
		for range rapid.IntRange(5, 60).Draw(rt, "steps") {
			pick := func() *member {
				if len(ms) == 0 {
					return nil
				}
				return ms[rapid.IntRange(0, len(ms)-1).Draw(rt, "who")]
			}
			step := rapid.SampledFrom([]string{"join", "beat", "beat", "beat", "lost", "time", "leave", "crash", "topics", "grow", "restart", "static"}).Draw(rt, "step")
			switch m := pick(); step {
			case "join", "static":
				if len(ms) >= 6 {
					continue
				}
				next++
				m := r.member("g", fmt.Sprintf("m%d", next), "a", "b")
				if !alike {
					m.topics = rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(rt, "topics")
				}
				if step == "static" {
					id := fmt.Sprintf("i%d", next)
					m.instance = &id
				}
				ms = append(ms, m)
				m.act()
			case "beat":
				if m != nil {
					m.act()
				}
			case "lost": // the answer to a heartbeat is lost
				if m != nil && m.epoch > 0 {
					before := *m
					m.act()
					if m.epoch != 0 {
						m.epoch, m.has = before.epoch, before.has
						m.first = true
					}
				}
			case "time":
				r.advance(time.Duration(rapid.IntRange(1, 20).Draw(rt, "seconds")) * time.Second)
			case "leave":
				if m != nil && m.epoch > 0 {
					m.leave(epochLeave)
					ms = slices.DeleteFunc(ms, func(o *member) bool { return o == m })
				}
			case "crash": // it is gone and says nothing; its session will end
				if m != nil {
					ms = slices.DeleteFunc(ms, func(o *member) bool { return o == m })
				}
			case "topics":
				if m != nil && m.epoch > 0 && !alike {
					m.topics = rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(rt, "topics")
					m.first = true
					m.act()
				}
			case "grow":
				name := rapid.SampledFrom(names).Draw(rt, "topic")
				n := int32(1)
				if old := r.img.topics[name]; old != nil {
					n = min(old.Partitions+1, 8)
				}
				r.topic(name, n)
				r.s.topicsChanged(&topicChange{touched: map[string]bool{name: true}, created: r.img.version})
			case "restart":
				r.boot()
			}
			r.settle()
			r.oneOwner(ms...)
			if e := r.s.groups["g"]; e.exists() && e.consumer != nil {
				if e.consumer.epoch < lastEpoch {
					rt.Fatalf("the epoch went from %d to %d", lastEpoch, e.consumer.epoch)
				}
				lastEpoch = e.consumer.epoch
			}
			r.sameAfterReload()
		}
		if len(ms) == 0 {
			return
		}
		// Peace: everybody heartbeats, the dead time out.
		for range 120 {
			for _, m := range ms {
				m.act()
				r.oneOwner(ms...)
			}
			r.advance(time.Second)
		}
		want := map[topicID]int32{}
		for _, m := range ms {
			for _, name := range m.topics {
				if tp := r.img.topics[name]; tp != nil {
					want[tp.ID] = tp.Partitions
				}
			}
		}
		total := 0
		for _, n := range want {
			total += int(n)
		}
		if got := r.oneOwner(ms...); got != total {
			rt.Fatalf("%d of %d partitions are owned in the end\n%s", got, total, r.s.dump())
		}
	})
}

// act heartbeats as a client does: fenced or unknown, it begins anew.
func (m *member) act() {
	switch code := m.beat(); code {
	case codeNone:
	case codeFencedMemberEpoch, codeUnknownMemberID, codeGroupIDNotFound, codeFencedInstanceID, codeUnreleasedInstanceID:
		m.epoch, m.first, m.has = 0, true, nil
	default:
		m.r.t.Fatalf("heartbeat of %s: %d", m.id, code)
	}
}

// TestClassicModel lets random classic members join, sync, heartbeat, leave,
// vanish and commit, with restarts in between. Generations only grow, at most
// one leader assigns in each, members of a generation agree on it, and no
// answered commit is lost.
func TestClassicModel(t *testing.T) {
	type client struct {
		id      string
		gen     int32
		leads   bool
		join    *answer[*kmsg.JoinGroupResponse]
		sync    *answer[*kmsg.SyncGroupResponse]
		synced  bool
		members []string
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.cfg.initialDelay = time.Duration(rapid.IntRange(0, 2).Draw(rt, "delay")) * time.Second
		version := rapid.SampledFrom([]int16{1, 3, 4, 9}).Draw(rt, "version")
		var cs []*client
		leaders := map[int32]string{}
		lastGen := int32(0)
		committed := int64(-1)
		ver := func(q *kmsg.JoinGroupRequest) { q.Version = version }
		forget := func(c *client) { *c = client{} }
		poll := func(c *client) {
			if c.join != nil && c.join.n > 0 {
				j := c.join.get()
				c.join = nil
				switch j.ErrorCode {
				case codeNone:
					c.id, c.gen, c.synced = j.MemberID, j.Generation, false
					if c.gen < lastGen-1 && c.gen > 0 {
						rt.Fatalf("generation %d after %d", c.gen, lastGen)
					}
					lastGen = max(lastGen, c.gen)
					if c.leads = len(j.Members) > 0; c.leads {
						if o, ok := leaders[c.gen]; ok && o != c.id {
							rt.Fatalf("generation %d has leaders %s and %s", c.gen, o, c.id)
						}
						leaders[c.gen] = c.id
						c.members = nil
						for _, m := range j.Members {
							c.members = append(c.members, m.MemberID)
						}
					}
				case codeMemberIDRequired:
					c.id = j.MemberID
				default:
					forget(c)
				}
			}
			if c.sync != nil && c.sync.n > 0 {
				s := c.sync.get()
				c.sync = nil
				switch s.ErrorCode {
				case codeNone:
					c.synced = true
					if want := fmt.Sprintf("%d", c.gen); len(s.MemberAssignment) > 0 && string(s.MemberAssignment) != want {
						rt.Fatalf("a member of generation %s got the assignment of %s", want, s.MemberAssignment)
					}
				case codeRebalanceInProgress:
					c.gen = 0
				default:
					forget(c)
				}
			}
		}
		for range rapid.IntRange(10, 80).Draw(rt, "steps") {
			if len(cs) == 0 || rapid.IntRange(0, 9).Draw(rt, "new") == 0 && len(cs) < 5 {
				cs = append(cs, &client{})
			}
			c := cs[rapid.IntRange(0, len(cs)-1).Draw(rt, "who")]
			switch rapid.SampledFrom([]string{"act", "act", "act", "beat", "commit", "time", "leave", "vanish", "restart", "txn"}).Draw(rt, "step") {
			case "act":
				switch {
				case c.join != nil || c.sync != nil:
				case c.id == "" || c.gen == 0:
					c.join = r.join("g", c.id, ver)
				case !c.synced:
					as := map[string]string{}
					if c.leads {
						for _, m := range c.members {
							as[m] = fmt.Sprintf("%d", c.gen)
						}
					}
					c.sync = r.sync("g", c.id, c.gen, as)
				}
			case "beat":
				if c.gen > 0 && c.join == nil {
					switch r.beat("g", c.id, c.gen) {
					case codeRebalanceInProgress:
						if c.sync == nil {
							c.gen = 0
						}
					case codeNone:
					default:
						if c.sync == nil {
							forget(c)
						}
					}
				}
			case "commit":
				if c.synced && c.join == nil && r.commit("g", c.id, c.gen, 7, "a", 0, committed+1) == codeNone {
					committed++
				}
			case "txn":
				if c.synced && r.txnCommit("g", 9, "a", 0, committed+1) == codeNone {
					commit := rapid.Bool().Draw(rt, "outcome")
					r.endTxn(9, commit)
					if commit {
						committed++
					}
				}
			case "time":
				r.advance(time.Duration(rapid.IntRange(100, 9000).Draw(rt, "ms")) * time.Millisecond)
			case "leave":
				if c.id != "" && c.join == nil && c.sync == nil {
					r.leave("g", kmsg.LeaveGroupRequestMember{MemberID: c.id})
					forget(c)
				}
			case "vanish":
				cs = slices.DeleteFunc(cs, func(o *client) bool { return o == c })
			case "restart":
				// A rebalance under way is not in the log, so its number may come again.
				r.s.lost(ErrUnavailable)
				r.boot()
				clear(leaders)
				lastGen = 0
			}
			r.settle()
			for _, c := range cs {
				poll(c)
			}
			if got, code := r.offset("g", "a", 0, true); got != committed || code != 0 {
				rt.Fatalf("the offset is %d (code %d), %d was committed", got, code, committed)
			}
			if g := r.s.groups["g"]; g.exists() {
				if c := g.classic; c.awaiting < 0 || c.awaiting > len(c.members) || c.state == classicStable && c.awaiting > 0 {
					rt.Fatalf("%d of %d members wait in state %v", c.awaiting, len(c.members), c.state)
				}
			}
		}
		r.s.lost(ErrUnavailable)
		for _, c := range cs {
			for _, n := range []bool{c.join != nil && c.join.n != 1, c.sync != nil && c.sync.n != 1} {
				if n {
					rt.Fatal("a request was never answered")
				}
			}
		}
	})
}

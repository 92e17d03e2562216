package group

import (
	"bytes"
	"slices"
)

// assignUniformly spreads the partitions evenly over the members and moves as
// few as it can from where they were.
//
// When all subscribe to the same topics the result is exact: no member has
// more than one partition more than another, and a partition moves only from
// a member above its quota. Otherwise partitions go to the least loaded
// subscriber, hardest topics first, and then topics are balanced one after the
// other until a whole round changes nothing (or a bound on the rounds is
// reached, since topics may disagree for ever).
func assignUniformly(in *assignInput) []assignment {
	u := newUniform(in)
	if in.alike() {
		u.keepQuota()
	} else {
		u.keepSubscribed()
		u.assignLeft()
		u.balance()
	}
	return u.result()
}

// maxRounds bounds the balancing of unlike subscriptions.
const maxRounds = 16

type uniform struct {
	in          *assignInput
	topics      []topicID // subscribed, sorted
	subscribers map[topicID][]int
	owner       map[topicID][]int // member by partition, -1 for none
	load        []int             // partitions by member
}

func newUniform(in *assignInput) *uniform {
	u := &uniform{in: in, subscribers: map[topicID][]int{}, owner: map[topicID][]int{}, load: make([]int, len(in.members))}
	for i := range in.members {
		for _, id := range in.members[i].topics {
			u.subscribers[id] = append(u.subscribers[id], i)
		}
	}
	u.topics = sortedIDs(u.subscribers)
	for _, id := range u.topics {
		owners := make([]int, in.partitions[id])
		for p := range owners {
			owners[p] = -1
		}
		u.owner[id] = owners
	}
	return u
}

// claim gives member i a partition that is there and free.
func (u *uniform) claim(i int, id topicID, p int32) bool {
	owners := u.owner[id]
	if p < 0 || int(p) >= len(owners) || owners[p] != -1 {
		return false
	}
	owners[p] = i
	u.load[i]++
	return true
}

func (u *uniform) move(id topicID, p, to int) {
	u.load[u.owner[id][p]]--
	u.owner[id][p] = to
	u.load[to]++
}

// keepQuota lets every member keep what it had up to its quota; the larger
// quotas go to those that can use them.
func (u *uniform) keepQuota() {
	total := 0
	for _, id := range u.topics {
		total += len(u.owner[id])
	}
	n := len(u.in.members)
	if n == 0 || total == 0 {
		return
	}
	quota, extra := total/n, total%n
	held := make([]int, n)
	for i := range u.in.members {
		for id, parts := range u.in.members[i].had {
			for _, p := range parts {
				if int(p) < len(u.owner[id]) && p >= 0 {
					held[i]++
				}
			}
		}
	}
	limit := make([]int, n)
	for i := range limit {
		if limit[i] = quota; held[i] > quota && extra > 0 {
			limit[i]++
			extra--
		}
	}
	for i := range limit {
		if limit[i] == quota && extra > 0 {
			limit[i]++
			extra--
		}
	}
	for i := range u.in.members {
		had := u.in.members[i].had
		for _, id := range had.topics() {
			for _, p := range had[id] {
				if u.load[i] < limit[i] {
					u.claim(i, id, p)
				}
			}
		}
	}
	next := 0
	for _, id := range u.topics {
		for p, i := range u.owner[id] {
			if i != -1 {
				continue
			}
			for u.load[next] >= limit[next] {
				next++
			}
			u.claim(next, id, int32(p))
		}
	}
}

// keepSubscribed lets every member keep what it had and may still have.
func (u *uniform) keepSubscribed() {
	for i := range u.in.members {
		m := &u.in.members[i]
		for _, id := range m.topics {
			for _, p := range m.had[id] {
				u.claim(i, id, p)
			}
		}
	}
}

// hardest orders topics by partitions per subscriber, most first.
func (u *uniform) hardest() []topicID {
	ids := slices.Clone(u.topics)
	slices.SortFunc(ids, func(a, b topicID) int {
		pa, pb, sa, sb := len(u.owner[a]), len(u.owner[b]), len(u.subscribers[a]), len(u.subscribers[b])
		if d := pb*sa - pa*sb; d != 0 {
			return d
		}
		if d := sa - sb; d != 0 {
			return d
		}
		return bytes.Compare(a[:], b[:])
	})
	return ids
}

// least is a topic's subscriber with the fewest partitions.
func (u *uniform) least(id topicID) int {
	subs := u.subscribers[id]
	best := subs[0]
	for _, i := range subs[1:] {
		if u.load[i] < u.load[best] {
			best = i
		}
	}
	return best
}

func (u *uniform) assignLeft() {
	for _, id := range u.hardest() {
		for p, i := range u.owner[id] {
			if i == -1 {
				u.claim(u.least(id), id, int32(p))
			}
		}
	}
}

func (u *uniform) balance() {
	ids := u.hardest()
	for range maxRounds {
		moved := false
		for _, id := range ids {
			if len(u.subscribers[id]) > 1 && u.balanceTopic(id) {
				moved = true
			}
		}
		if !moved {
			return
		}
	}
}

// balanceTopic moves the topic's partitions from the most to the least loaded
// subscribers until they differ by one at most.
func (u *uniform) balanceTopic(id topicID) (moved bool) {
	parts := make(map[int][]int, len(u.subscribers[id]))
	for p, i := range u.owner[id] {
		parts[i] = append(parts[i], p)
	}
	givers := slices.Clone(u.subscribers[id])
	for len(givers) > 0 {
		most := slices.MaxFunc(givers, func(a, b int) int { return u.load[a] - u.load[b] })
		least := u.least(id)
		if u.load[most]-u.load[least] <= 1 {
			return moved
		}
		have := parts[most]
		if len(have) == 0 {
			givers = slices.DeleteFunc(givers, func(i int) bool { return i == most })
			continue
		}
		u.move(id, have[len(have)-1], least)
		parts[most] = have[:len(have)-1]
		parts[least] = append(parts[least], have[len(have)-1])
		moved = true
	}
	return moved
}

func (u *uniform) result() []assignment {
	out := make([]assignment, len(u.in.members))
	for i := range out {
		out[i] = assignment{}
	}
	for _, id := range u.topics {
		for p, i := range u.owner[id] {
			out[i][id] = append(out[i][id], int32(p))
		}
	}
	return out
}

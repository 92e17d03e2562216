package group

import "slices"

// assignInRanges gives the subscribers of each topic consecutive ranges of its
// partitions, the first ones one more where it does not divide evenly. Topics
// with equally many partitions and the same subscribers are thereby
// co-partitioned. Members keep their order, so their ranges move little.
func assignInRanges(in *assignInput) []assignment {
	order := make([]int, len(in.members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return byInstance(in.members[a], in.members[b]) })
	type topic struct{ quota, extra, next int32 }
	subscribers := map[topicID]int32{}
	for i := range in.members {
		for _, id := range in.members[i].topics {
			subscribers[id]++
		}
	}
	topics := make(map[topicID]*topic, len(subscribers))
	for id, n := range subscribers {
		topics[id] = &topic{quota: in.partitions[id] / n, extra: in.partitions[id] % n}
	}
	out := make([]assignment, len(in.members))
	for _, i := range order {
		out[i] = assignment{}
		for _, id := range in.members[i].topics {
			t := topics[id]
			n := t.quota
			if t.extra > 0 {
				n++
				t.extra--
			}
			if n == 0 {
				continue
			}
			parts := make([]int32, n)
			for k := range parts {
				parts[k] = t.next + int32(k)
			}
			t.next += n
			out[i][id] = parts
		}
	}
	return out
}

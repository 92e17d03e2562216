package group

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetFetchGroup answers one group of an OffsetFetch, v1 to v10; nil Topics
// means all (v2+). The answer shows only what is durable.
//
//   - v7 may ask for stable offsets only: UNSTABLE_OFFSET_COMMIT while a
//     transaction's commit is open (KIP-447).
//   - v9 carries the member's id and epoch, which are checked for consumer groups.
//   - v10 names topics by id; an offset that was committed for an earlier topic
//     of the same name is not shown.
//
// An unknown group or partition has offset -1 and no error. version decides
// about ids; the caller moves the group's error to where older versions have it.
func (c *Coordinator) OffsetFetchGroup(cl Client, version int16, g *kmsg.OffsetFetchRequestGroup, requireStable bool, done func(*kmsg.OffsetFetchResponseGroup)) {
	if !recordable(g.Group) {
		done(fetchError(g.Group, codeInvalidGroupID))
		return
	}
	c.run(g.Group, func(s *state, now time.Time) error {
		resp := s.fetchOffsets(version, g, requireStable)
		s.out.Answer(func(err error) {
			if err != nil {
				resp = fetchError(g.Group, codeOf(err))
			}
			done(resp)
		})
		return nil
	}, func(code int16) { done(fetchError(g.Group, code)) })
}

func fetchError(group string, code int16) *kmsg.OffsetFetchResponseGroup {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group, resp.ErrorCode = group, code
	return &resp
}

func (s *state) fetchOffsets(version int16, r *kmsg.OffsetFetchRequestGroup, stable bool) *kmsg.OffsetFetchResponseGroup {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group = r.Group
	resp.Topics = []kmsg.OffsetFetchResponseGroupTopic{}
	e := s.find(r.Group)
	if e != nil && e.consumer != nil {
		if code := e.consumer.mayFetch(r); code != codeNone {
			resp.ErrorCode = code
			return &resp
		}
	}
	img, _ := s.img()
	if r.Topics == nil {
		s.fetchAll(version, e, stable, img, &resp)
		return &resp
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		out := kmsg.NewOffsetFetchResponseGroupTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		name, id, known := t.Topic, topicID{}, true
		if version >= 10 {
			name, id, known = resolveTopic(img, true, "", t.TopicID)
		}
		for _, p := range t.Partitions {
			part := noOffset(p)
			if !known {
				part.ErrorCode = codeUnknownTopicID
			} else if e != nil {
				e.showOffset(&part, topicPartition{name, p}, id, stable)
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return &resp
}

// fetchAll lists every offset of the group, topics in order of name.
func (s *state) fetchAll(version int16, e *group, stable bool, img catalog, resp *kmsg.OffsetFetchResponseGroup) {
	if e == nil {
		return
	}
	keys := slices.Collect(maps.Keys(e.offsets))
	slices.SortFunc(keys, func(a, b topicPartition) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.partition) - int(b.partition)
	})
	for i := 0; i < len(keys); {
		out := kmsg.NewOffsetFetchResponseGroupTopic()
		out.Topic = keys[i].topic
		known := true
		if version >= 10 {
			t := img.Topic(out.Topic)
			if known = t != nil; known {
				out.TopicID = t.ID
			}
		}
		for ; i < len(keys) && keys[i].topic == out.Topic; i++ {
			part := noOffset(keys[i].partition)
			e.showOffset(&part, keys[i], out.TopicID, stable)
			out.Partitions = append(out.Partitions, part)
		}
		if known {
			resp.Topics = append(resp.Topics, out)
		}
	}
}

func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	empty := ""
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, -1, -1, &empty
	return p
}

// showOffset fills in the committed offset; id, when not zero, is the topic
// that it must be of.
func (g *group) showOffset(p *kmsg.OffsetFetchResponseGroupTopicPartition, at topicPartition, id topicID, stable bool) {
	if stable && g.open[at] > 0 {
		p.ErrorCode = codeUnstableOffsetCommit
		return
	}
	c := g.offsets[at]
	if c == nil || id != (topicID{}) && c.topicID != (topicID{}) && c.topicID != id {
		return
	}
	metadata := c.metadata
	p.Offset, p.LeaderEpoch, p.Metadata = c.offset, c.leaderEpoch, &metadata
}

// mayFetch checks the member id and epoch of OffsetFetch v9.
func (g *consumerGroup) mayFetch(r *kmsg.OffsetFetchRequestGroup) int16 {
	if r.MemberID == nil && r.MemberEpoch < 0 {
		return codeNone
	}
	m := g.members[text(r.MemberID)]
	switch {
	case m == nil:
		return codeUnknownMemberID
	case r.MemberEpoch == m.cur.epoch:
		return codeNone
	case m.classic():
		return codeIllegalGeneration
	}
	return codeStaleMemberEpoch
}

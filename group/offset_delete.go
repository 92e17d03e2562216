package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetDelete v0: offsets of topics that nobody in the group subscribes to.
func (c *Coordinator) OffsetDelete(cl Client, r *kmsg.OffsetDeleteRequest, done func(*kmsg.OffsetDeleteResponse)) {
	fail := func(code int16) {
		resp := kmsg.NewPtrOffsetDeleteResponse()
		resp.Version, resp.ErrorCode = r.Version, code
		done(resp)
	}
	if !validGroup(r.Group) {
		fail(codeInvalidGroupID)
		return
	}
	c.run(r.Group, func(s *state, now time.Time) error {
		resp := s.deleteOffsets(r)
		resp.Version = r.Version
		s.out.Answer(func(err error) {
			if err != nil {
				fail(codeOf(err))
				return
			}
			done(resp)
		})
		return nil
	}, fail)
}

func (s *state) deleteOffsets(r *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	e := s.find(r.Group)
	switch {
	case e == nil:
		resp.ErrorCode = codeGroupIDNotFound
		return resp
	case e.classic != nil && e.classic.state != classicEmpty && !e.classic.isConsumer():
		// Members of other protocols may use any topic.
		resp.ErrorCode = codeNonEmptyGroup
		return resp
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = t.Topic
		busy := e.subscribes(t.Topic)
		for j := range t.Partitions {
			p := kmsg.NewOffsetDeleteResponseTopicPartition()
			p.Partition = t.Partitions[j].Partition
			at := topicPartition{t.Topic, p.Partition}
			if busy {
				p.ErrorCode = codeGroupSubscribedToTopic
			} else if e.offsets[at] != nil || e.open[at] > 0 {
				s.tombstone(e, at)
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

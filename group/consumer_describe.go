package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConsumerGroupDescribe answers one group of ConsumerGroupDescribe v0 and v1.
// AuthorizedOperations are the caller's.
func (c *Coordinator) ConsumerGroupDescribe(cl Client, groupID string, done func(*kmsg.ConsumerGroupDescribeResponseGroup)) {
	fail := func(code int16, text string) {
		resp := kmsg.NewConsumerGroupDescribeResponseGroup()
		resp.Group, resp.ErrorCode, resp.ErrorMessage = groupID, code, nullable(text)
		done(&resp)
	}
	if !validGroup(groupID) {
		fail(codeInvalidGroupID, "")
		return
	}
	c.run(groupID, func(s *state, now time.Time) error {
		e := s.find(groupID)
		if e == nil || e.consumer == nil {
			why := "Group " + groupID + " is not a consumer group."
			if e == nil {
				why = "There is no group " + groupID + "."
			}
			s.out.Answer(func(err error) {
				if err != nil {
					fail(codeOf(err), "")
					return
				}
				fail(codeGroupIDNotFound, why)
			})
			return nil
		}
		resp := s.describeConsumer(e.consumer)
		s.out.Answer(func(err error) {
			if err != nil {
				fail(codeOf(err), "")
				return
			}
			done(resp)
		})
		return nil
	}, func(code int16) { fail(code, "") })
}

func (s *state) describeConsumer(g *consumerGroup) *kmsg.ConsumerGroupDescribeResponseGroup {
	img, _ := s.img()
	resp := kmsg.NewConsumerGroupDescribeResponseGroup()
	resp.Group, resp.State, resp.Epoch, resp.AssignmentEpoch = g.id, g.state(), g.epoch, g.targetEpoch
	resp.AssignorName = g.preferred(nil, nil, s.cfg().assignors[0])
	resp.Members = []kmsg.ConsumerGroupDescribeResponseGroupMember{}
	for _, m := range g.sorted() {
		d := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		d.MemberID, d.MemberEpoch = m.id, m.cur.epoch
		d.InstanceID, d.RackID = nullable(m.sub.instanceID), nullable(m.sub.rackID)
		d.ClientID, d.ClientHost = m.sub.clientID, m.sub.clientHost
		d.SubscribedTopics = append([]string{}, m.sub.topics...)
		d.SubscribedTopicRegex = &m.sub.regex // "" when there is none, as in Kafka
		d.Assignment = describeAssignment(m.cur.held(), img)
		d.TargetAssignment = describeAssignment(g.targets[m.id], img)
		if d.MemberType = 1; m.classic() {
			d.MemberType = 0
		}
		resp.Members = append(resp.Members, d)
	}
	return &resp
}

// held is what a member has, what it is giving up included.
func (c *current) held() assignment {
	a := c.assigned.plain()
	for id := range c.revoking {
		parts := append(slices.Clone(a[id]), c.revoking.partitions(id)...)
		slices.Sort(parts)
		a[id] = slices.Compact(parts)
	}
	return a
}

func describeAssignment(a assignment, img catalog) kmsg.Assignment {
	out := kmsg.NewAssignment()
	out.TopicPartitions = []kmsg.AssignmentTopicPartition{}
	for _, id := range a.topics() {
		t := img.TopicByID(id)
		if t == nil {
			continue
		}
		tp := kmsg.NewAssignmentTopicPartition()
		tp.TopicID, tp.Topic, tp.Partitions = id, t.Name, a[id]
		out.TopicPartitions = append(out.TopicPartitions, tp)
	}
	return out
}

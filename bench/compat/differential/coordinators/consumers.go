package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumerHeartbeat is a heartbeat of KIP-848: a join, an ordinary one, a
// departure, or one with something wrong in it.
func (m *memberScript) consumerHeartbeat(r *run) *op {
	version, who := r.between(0, 1), m.identity(r)
	group := some(r, m.group.id, m.group.id, m.group.id, m.group.id, m.group.id, "")
	kind := r.rand.IntN(10)
	assignor := some(r, nil, kmsg.StringPtr("range"), kmsg.StringPtr("uniform"), kmsg.StringPtr("nonsense"))
	rebalance := some(r, int32(300000), 300000, 300000, -1, 0)
	names := some(r, []string{r.topic(0)}, []string{r.topic(0), r.topic(1)}, []string{r.label + "-nowhere"}, []string{}, nil)
	pattern := some(r, nil, kmsg.StringPtr(r.label+"-topic1"), kmsg.StringPtr("["), kmsg.StringPtr(""))
	full := kind < 4 || r.rand.IntN(4) == 0
	return &op{what: fmt.Sprintf("consumer heartbeat %q as %s, kind %d, full %v, topics %q, pattern %s, assignor %s", group, who.what, kind, full, names, shown(pattern), shown(assignor)), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.InstanceID = version, group, who.instance
		req.MemberID = who.member(b)
		req.MemberEpoch, req.RebalanceTimeoutMillis = who.generation(b), -1
		switch {
		case kind < 4: // joins
			req.MemberEpoch = 0
			if version >= 1 && req.MemberID == "" {
				req.MemberID = m.name + "-id"
			}
			req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		case kind == 4:
			req.MemberEpoch = -1
		case kind == 5:
			req.MemberEpoch = -2
		}
		if full {
			req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.ServerAssignor = rebalance, names, assignor
			if version >= 1 {
				req.SubscribedTopicRegex = pattern
			}
		}
		return req
	}, keep: func(b int, resp kmsg.Response) {
		got := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
		m.group.consumer = m.group.consumer || got.ErrorCode == 0 // as "nobody" too
		if got.ErrorCode == 0 && got.MemberID != nil && *got.MemberID != "" && *got.MemberID != "nobody" {
			r.text(b, m.name, *got.MemberID)
			r.nums[b][m.name] = got.MemberEpoch
		}
	}, again: func(resp kmsg.Response) bool { return busy(resp.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode) }}
}

func shown(s *string) string {
	if s == nil {
		return "null"
	}
	return fmt.Sprintf("%q", *s)
}

func (g *groupScript) describeConsumer(r *run) *op {
	version, ids := r.between(0, 1), []string{g.id, some(r, pick(r, r.groups).id, r.label+"-unknown", "")}
	return &op{reads: true, what: fmt.Sprintf("describe consumer groups %q", ids), build: func(int) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Version, req.Groups = version, ids
		return req
	}}
}

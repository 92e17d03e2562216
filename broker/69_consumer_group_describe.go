package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// ConsumerGroupDescribe: v0–1. A group with a topic that the client may not
// describe is answered with TOPIC_AUTHORIZATION_FAILED and without members.
var consumerGroupDescribeAPI = api{
	key: keyConsumerGroupDescribe, name: "ConsumerGroupDescribe", min: 0, max: 1, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleConsumerGroupDescribe),
}

func handleConsumerGroupDescribe(rq *request, r *kmsg.ConsumerGroupDescribeRequest) kmsg.Response {
	gather(len(r.Groups), func(i int, done func(*kmsg.ConsumerGroupDescribeResponseGroup)) {
		id := r.Groups[i]
		if !rq.mayGroup(auth.OpDescribe, id) {
			done(refuseDescribe(id, errGroupAuthorization, "Group authorization failed."))
			return
		}
		could := rq.s.asNow()
		var allowed int32
		if r.IncludeAuthorizedOperations {
			allowed = rq.operations(auth.ResGroup, id, groupOperations)
		}
		rq.coordinator().ConsumerGroupDescribe(rq.client(), id, func(g *kmsg.ConsumerGroupDescribeResponseGroup) {
			if g.ErrorCode == errNone && !mayMembers(could, g) {
				g = refuseDescribe(id, errTopicAuthorization, "The described group uses topics that the client is not authorized to describe.")
			}
			if r.IncludeAuthorizedOperations && g.ErrorCode == errNone {
				g.AuthorizedOperations = allowed
			}
			done(g)
		})
	}, func(list []*kmsg.ConsumerGroupDescribeResponseGroup) {
		resp := kmsg.NewPtrConsumerGroupDescribeResponse()
		for _, g := range list {
			resp.Groups = append(resp.Groups, *g)
		}
		rq.reply(resp)
	})
	return nil
}

func refuseDescribe(id string, code errCode, why string) *kmsg.ConsumerGroupDescribeResponseGroup {
	g := kmsg.NewConsumerGroupDescribeResponseGroup()
	g.Group, g.ErrorCode, g.ErrorMessage = id, code, &why
	return &g
}

// mayMembers reports whether the client may describe every topic of a group.
func mayMembers(could func(auth.Operation, auth.ResourceType, string) bool, g *kmsg.ConsumerGroupDescribeResponseGroup) bool {
	for i := range g.Members {
		m := &g.Members[i]
		for _, list := range [][]kmsg.AssignmentTopicPartition{m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions} {
			for _, tp := range list {
				if !could(auth.OpDescribe, auth.ResTopic, tp.Topic) {
					return false
				}
			}
		}
	}
	return true
}

package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// OffsetDelete: v0.
var offsetDeleteAPI = api{
	key: keyOffsetDelete, name: "OffsetDelete", min: 0, max: 0, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpDelete, place: onLoop, decode: true, handle: decoded(handleOffsetDelete),
}

func handleOffsetDelete(rq *request, r *kmsg.OffsetDeleteRequest) kmsg.Response {
	if !rq.mayGroup(auth.OpDelete, r.Group) {
		resp := kmsg.NewPtrOffsetDeleteResponse()
		resp.ErrorCode = errGroupAuthorization
		return refused(rq, resp)
	}
	var denied []kmsg.OffsetDeleteResponseTopic
	kept := r.Topics[:0]
	image := rq.s.b.cluster.Image()
	for _, t := range r.Topics {
		switch {
		case !rq.mayTopic(auth.OpRead, t.Topic):
			denied = append(denied, refuseDelete(&t, errTopicAuthorization))
		case image.Topic(t.Topic) == nil:
			denied = append(denied, refuseDelete(&t, errUnknownTopicOrPartition))
		default:
			kept = append(kept, t)
		}
	}
	r.Topics = kept
	rq.coordinator().OffsetDelete(rq.client(), r, func(resp *kmsg.OffsetDeleteResponse) {
		if resp.ErrorCode == errNone {
			resp.Topics = append(resp.Topics, denied...)
		}
		rq.reply(resp)
	})
	return nil
}

func refuseDelete(t *kmsg.OffsetDeleteRequestTopic, code errCode) kmsg.OffsetDeleteResponseTopic {
	out := kmsg.NewOffsetDeleteResponseTopic()
	out.Topic = t.Topic
	for _, p := range t.Partitions {
		one := kmsg.NewOffsetDeleteResponseTopicPartition()
		one.Partition, one.ErrorCode = p.Partition, code
		out.Partitions = append(out.Partitions, one)
	}
	return out
}

package broker

import (
	"slices"

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
	for _, t := range r.Topics {
		if !rq.mayTopic(auth.OpRead, t.Topic) {
			denied = append(denied, refuseDelete(&t, errTopicAuthorization))
			continue
		}
		missing, there := t, rq.s.b.topics.get(t.Topic)
		missing.Partitions = nil
		all := t.Partitions
		t.Partitions = nil
		for _, p := range all {
			if there == nil || there.partition(p.Partition) == nil {
				missing.Partitions = append(missing.Partitions, p)
			} else {
				t.Partitions = append(t.Partitions, p)
			}
		}
		if len(missing.Partitions) > 0 {
			denied = append(denied, refuseDelete(&missing, errUnknownTopicOrPartition))
		}
		if len(t.Partitions) > 0 {
			kept = append(kept, t)
		}
	}
	r.Topics = kept
	rq.coordinator().OffsetDelete(rq.client(), r, func(resp *kmsg.OffsetDeleteResponse) {
		if resp.ErrorCode == errNone {
			resp.Topics = mergeDeletes(resp.Topics, denied)
		}
		rq.reply(resp)
	})
	return nil
}

// mergeDeletes puts the refusals beside the coordinator's answers.
func mergeDeletes(topics, denied []kmsg.OffsetDeleteResponseTopic) []kmsg.OffsetDeleteResponseTopic {
	for _, d := range denied {
		i := slices.IndexFunc(topics, func(t kmsg.OffsetDeleteResponseTopic) bool { return t.Topic == d.Topic })
		if i < 0 {
			topics = append(topics, d)
			continue
		}
		topics[i].Partitions = append(topics[i].Partitions, d.Partitions...)
	}
	return topics
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

package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// OffsetCommit: v0–10. v0 meant offsets in ZooKeeper and is refused by the
// coordinator; v10 names topics by id.
var offsetCommitAPI = api{
	key: keyOffsetCommit, name: "OffsetCommit", min: 0, max: 10, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpRead, place: onLoop, decode: true, handle: decoded(handleOffsetCommit),
}

func handleOffsetCommit(rq *request, r *kmsg.OffsetCommitRequest) kmsg.Response {
	if !rq.mayGroup(auth.OpRead, r.Group) {
		resp := kmsg.NewPtrOffsetCommitResponse()
		for i := range r.Topics {
			resp.Topics = append(resp.Topics, refuseCommit(&r.Topics[i], errGroupAuthorization))
		}
		return refused(rq, resp)
	}
	var denied []kmsg.OffsetCommitResponseTopic
	if rq.s.b.auth.Enabled() {
		kept := r.Topics[:0]
		for i := range r.Topics {
			t := r.Topics[i]
			if name := rq.topicName(t.Topic, t.TopicID); name != "" && !rq.mayTopic(auth.OpRead, name) {
				denied = append(denied, refuseCommit(&t, errTopicAuthorization))
				continue
			}
			kept = append(kept, t)
		}
		r.Topics = kept
	}
	if len(r.Topics) == 0 {
		resp := kmsg.NewPtrOffsetCommitResponse()
		resp.Topics = denied
		return resp
	}
	rq.coordinator().OffsetCommit(rq.client(), r, func(resp *kmsg.OffsetCommitResponse) {
		resp.Topics = append(resp.Topics, denied...)
		rq.reply(resp)
	})
	return nil
}

func refuseCommit(t *kmsg.OffsetCommitRequestTopic, code errCode) kmsg.OffsetCommitResponseTopic {
	out := kmsg.NewOffsetCommitResponseTopic()
	out.Topic, out.TopicID = t.Topic, t.TopicID
	for i := range t.Partitions {
		p := kmsg.NewOffsetCommitResponseTopicPartition()
		p.Partition, p.ErrorCode = t.Partitions[i].Partition, code
		out.Partitions = append(out.Partitions, p)
	}
	return out
}

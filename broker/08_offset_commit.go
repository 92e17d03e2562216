package broker

import (
	"slices"

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
	kept := r.Topics[:0]
	for i := range r.Topics {
		t, bad := rq.commitTopic(&r.Topics[i])
		if len(bad.Partitions) > 0 {
			denied = append(denied, bad)
		}
		if len(t.Partitions) > 0 {
			kept = append(kept, t)
		}
	}
	r.Topics = kept
	if len(r.Topics) == 0 {
		resp := kmsg.NewPtrOffsetCommitResponse()
		resp.Topics = denied
		return resp
	}
	rq.coordinator().OffsetCommit(r, rq.loop.lend, func(resp *kmsg.OffsetCommitResponse) {
		resp.Topics = mergeCommits(resp.Topics, denied)
		rq.reply(resp)
	})
	return nil
}

// commitTopic parts the partitions of a topic that the coordinator is to see
// from those that are refused before it: whatever the group says, a topic that
// is not there or may not be read is told as that.
func (rq *request) commitTopic(t *kmsg.OffsetCommitRequestTopic) (kept kmsg.OffsetCommitRequestTopic, bad kmsg.OffsetCommitResponseTopic) {
	name := rq.topicName(t.Topic, t.TopicID)
	switch {
	case name == "":
		return kept, refuseCommit(t, errUnknownTopicID)
	case !rq.mayTopic(auth.OpRead, name):
		return kept, refuseCommit(t, errTopicAuthorization)
	}
	missing := *t
	missing.Partitions = nil
	kept, there := *t, rq.s.b.topics.get(name)
	kept.Partitions = nil
	for _, p := range t.Partitions {
		if there == nil || there.partition(p.Partition) == nil {
			missing.Partitions = append(missing.Partitions, p)
		} else {
			kept.Partitions = append(kept.Partitions, p)
		}
	}
	return kept, refuseCommit(&missing, errUnknownTopicOrPartition)
}

// mergeCommits puts the refusals beside the coordinator's answers.
func mergeCommits(topics, denied []kmsg.OffsetCommitResponseTopic) []kmsg.OffsetCommitResponseTopic {
	for _, d := range denied {
		i := slices.IndexFunc(topics, func(t kmsg.OffsetCommitResponseTopic) bool { return t.Topic == d.Topic && t.TopicID == d.TopicID })
		if i < 0 {
			topics = append(topics, d)
			continue
		}
		topics[i].Partitions = append(topics[i].Partitions, d.Partitions...)
	}
	return topics
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

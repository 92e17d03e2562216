package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// DeleteRecords: v0–2. -1 means up to the high watermark. Of a partition that is
// named twice the last offset counts, and it is answered once, as in Kafka.
var deleteRecordsAPI = api{
	key: keyDeleteRecords, name: "DeleteRecords", min: 0, max: 2, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpDelete, place: onWorker, decode: true, handle: decoded(handleDeleteRecords),
}

func handleDeleteRecords(rq *request, r *kmsg.DeleteRecordsRequest) kmsg.Response {
	b := rq.s.b
	resp := kmsg.NewPtrDeleteRecordsResponse()
	for _, in := range lastOffsets(r.Topics) {
		out := kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = in.Topic
		may := rq.mayTopic(auth.OpDelete, in.Topic)
		t := b.topics.get(in.Topic)
		config := b.cluster.LogConfig(in.Topic)
		for _, q := range in.Partitions {
			p := kmsg.NewDeleteRecordsResponseTopicPartition()
			p.Partition, p.LowWatermark = q.Partition, -1
			switch {
			case !may:
				p.ErrorCode = errTopicAuthorization
			case t == nil || t.partition(q.Partition) == nil:
				p.ErrorCode = errUnknownTopicOrPartition
			case isInternal(t.name):
				p.ErrorCode = errInvalidTopic
			case config.Compact && !config.Delete:
				p.ErrorCode = errPolicyViolation
			default:
				low, err := t.partition(q.Partition).log.DeleteRecords(q.Offset)
				if p.ErrorCode = codeOf(err); err == nil {
					p.LowWatermark = low
				}
			}
			rq.failed = rq.failed || p.ErrorCode != errNone
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// lastOffsets gives each topic and each of its partitions once.
func lastOffsets(topics []kmsg.DeleteRecordsRequestTopic) []kmsg.DeleteRecordsRequestTopic {
	type partition struct {
		topic string
		index int32
	}
	topicAt, partAt := map[string]int{}, map[partition]int{}
	out := make([]kmsg.DeleteRecordsRequestTopic, 0, len(topics))
	for i := range topics {
		name := topics[i].Topic
		if _, seen := topicAt[name]; !seen {
			topicAt[name] = len(out)
			out = append(out, kmsg.DeleteRecordsRequestTopic{Topic: name})
		}
		t := &out[topicAt[name]]
		for _, p := range topics[i].Partitions {
			key := partition{name, p.Partition}
			if at, seen := partAt[key]; seen {
				t.Partitions[at].Offset = p.Offset
				continue
			}
			partAt[key], t.Partitions = len(t.Partitions), append(t.Partitions, p)
		}
	}
	return out
}

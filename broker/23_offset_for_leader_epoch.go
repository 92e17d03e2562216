package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// OffsetForLeaderEpoch: v0–4 (KIP-320). It was for brokers first: CLUSTER_ACTION
// does for all topics, DESCRIBE for one.
var offsetForLeaderEpochAPI = api{
	key: keyOffsetForLeaderEpoch, name: "OffsetForLeaderEpoch", min: 0, max: 4, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleOffsetForLeaderEpoch),
}

func handleOffsetForLeaderEpoch(rq *request, r *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	asBroker := rq.could(auth.OpClusterAction, auth.ResCluster, auth.ClusterName)
	for i := range r.Topics {
		in := &r.Topics[i]
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = in.Topic
		may := asBroker || rq.mayTopic(auth.OpDescribe, in.Topic)
		t := rq.s.b.topics.get(in.Topic)
		for _, q := range in.Partitions {
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.Partition, p.LeaderEpoch, p.EndOffset = q.Partition, -1, -1
			switch {
			case !may:
				p.ErrorCode = errTopicAuthorization
			case t == nil || t.partition(q.Partition) == nil:
				p.ErrorCode = errUnknownTopicOrPartition
			default:
				log := t.partition(q.Partition).log
				p.ErrorCode = checkEpoch(q.CurrentLeaderEpoch, log.Epoch())
				switch {
				case p.ErrorCode != errNone:
				case q.LeaderEpoch < noEpoch: // older than the first epoch of any log
					p.LeaderEpoch, p.EndOffset = q.LeaderEpoch, log.Offsets().LogStart
				default:
					p.LeaderEpoch, p.EndOffset = log.EndForEpoch(q.LeaderEpoch)
				}
			}
			rq.failed = rq.failed || p.ErrorCode != errNone
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

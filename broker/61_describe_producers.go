package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// DescribeProducers: v0 (KIP-664).
var describeProducersAPI = api{
	key: keyDescribeProducers, name: "DescribeProducers", min: 0, max: 0, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpRead, place: onWorker, decode: true, handle: decoded(handleDescribeProducers),
}

func handleDescribeProducers(rq *request, r *kmsg.DescribeProducersRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeProducersResponse()
	for i := range r.Topics {
		in := &r.Topics[i]
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = in.Topic
		may := rq.mayTopic(auth.OpRead, in.Topic)
		t := rq.s.b.topics.get(in.Topic)
		for _, index := range in.Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition = index
			switch {
			case !may:
				p.ErrorCode = errTopicAuthorization
			case cluster.CheckTopicName(in.Topic) != nil:
				p.ErrorCode, p.ErrorMessage = errInvalidTopic, message(cluster.CheckTopicName(in.Topic))
			case t == nil:
				err := refuse(errUnknownTopicOrPartition, "This server does not host this topic-partition.")
				p.ErrorCode, p.ErrorMessage = err.code, &err.message
			case t.partition(index) == nil:
				p.ErrorCode = errUnknownTopicOrPartition
			default:
				for _, from := range t.partition(index).log.Producers() {
					a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					a.ProducerID, a.ProducerEpoch, a.LastSequence = from.ID, int32(from.Epoch), from.LastSequence
					a.LastTimestamp, a.CoordinatorEpoch, a.CurrentTxnStartOffset = from.LastTimestamp, from.CoordinatorEpoch, from.TxnStart
					p.ActiveProducers = append(p.ActiveProducers, a)
				}
			}
			rq.failed = rq.failed || p.ErrorCode != errNone
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

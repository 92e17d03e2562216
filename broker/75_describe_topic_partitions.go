package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// DescribeTopicPartitions: v0 (KIP-966). Topics come sorted; the cursor names
// the first partition of the next answer.
var describeTopicPartitionsAPI = api{
	key: keyDescribeTopicParts, name: "DescribeTopicPartitions", min: 0, max: 0, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpDescribe, place: onWorker, decode: true, handle: decoded(handleDescribeTopicPartitions),
}

func handleDescribeTopicPartitions(rq *request, r *kmsg.DescribeTopicPartitionsRequest) kmsg.Response {
	image := rq.s.b.cluster.Image()
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	var names []string
	all := len(r.Topics) == 0
	if all {
		for _, t := range image.Topics() {
			names = append(names, t.Name)
		}
	} else {
		for i := range r.Topics {
			names = append(names, r.Topics[i].Topic)
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	first := int32(0)
	if c := r.Cursor; c != nil {
		at, asked := slices.BinarySearch(names, c.Topic)
		if c.Partition < 0 || !all && !asked {
			// The schema has no place for an error of the whole request.
			rq.failed = true
			for _, name := range names {
				resp.Topics = append(resp.Topics, describeError(name, errInvalidRequest))
			}
			return resp
		}
		names = names[at:]
		if len(names) > 0 && names[0] == c.Topic {
			first = c.Partition
		}
	}
	left := max(min(r.ResponsePartitionLimit, rq.s.b.settings.Load().maxDescribed), 1)
	for i, name := range names {
		if !rq.mayTopic(auth.OpDescribe, name) {
			if !all {
				resp.Topics = append(resp.Topics, describeError(name, errTopicAuthorization))
			}
			continue
		}
		t := image.Topic(name)
		if t == nil {
			code := errUnknownTopicOrPartition
			if cluster.CheckTopicName(name) != nil {
				code = errInvalidTopic
			}
			resp.Topics = append(resp.Topics, describeError(name, code))
			continue
		}
		if left == 0 {
			resp.NextCursor = cursorAt(name, 0)
			break
		}
		if i > 0 {
			first = 0
		}
		out, next := rq.describePartitions(t, image, first, left)
		left -= int32(len(out.Partitions))
		resp.Topics = append(resp.Topics, out)
		if next >= 0 {
			resp.NextCursor = cursorAt(name, next)
			break
		}
	}
	return resp
}

func cursorAt(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, partition
	return &c
}

func describeError(name string, code errCode) kmsg.DescribeTopicPartitionsResponseTopic {
	t := kmsg.NewDescribeTopicPartitionsResponseTopic()
	t.Topic, t.ErrorCode, t.IsInternal = &name, code, isInternal(name)
	return t
}

// describePartitions gives up to limit partitions from first on, and the one
// that comes next, or -1.
func (rq *request) describePartitions(t *cluster.Topic, image *cluster.Image, first, limit int32) (kmsg.DescribeTopicPartitionsResponseTopic, int32) {
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, t.Internal
	out.AuthorizedOperations = rq.operations(auth.ResTopic, t.Name, topicOperations)
	open := rq.s.b.topics.get(t.Name)
	self := []int32{image.NodeID}
	for i := first; i < t.Partitions; i++ {
		if i-first == limit {
			return out, i
		}
		p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		p.Partition, p.LeaderID, p.LeaderEpoch, p.Replicas, p.ISR = i, image.NodeID, image.Epoch(t, i), self, self
		p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{}
		if open == nil || open.partition(i) == nil {
			p.ErrorCode, p.LeaderID, p.ISR = errLeaderNotAvailable, -1, nil
		}
		out.Partitions = append(out.Partitions, p)
	}
	return out, -1
}

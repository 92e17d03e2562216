package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// DescribeQuorum: v0–2. The quorum of the metadata log is this node; any other
// topic or partition is UNKNOWN_TOPIC_OR_PARTITION (KafkaRaftClient).
var describeQuorumAPI = api{
	key: keyDescribeQuorum, name: "DescribeQuorum", min: 0, max: 2, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleDescribeQuorum),
}

func handleDescribeQuorum(rq *request, r *kmsg.DescribeQuorumRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeQuorumResponse()
	if !rq.mayCluster(auth.OpDescribe) {
		err := refuse(errClusterAuthorization, "Cluster authorization failed.")
		resp.ErrorCode, resp.ErrorMessage = err.code, message(err)
		return refused(rq, resp)
	}
	b := rq.s.b
	// One partition can be asked for, and no other beside it
	// (KafkaRaftClient.handleDescribeQuorumRequest).
	served := len(r.Topics) == 1 && len(r.Topics[0].Partitions) == 1 && r.Topics[0].Topic == cluster.MetadataTopic && r.Topics[0].Partitions[0].Partition == 0
	resp.ErrorMessage = new(string)
	for i := range r.Topics {
		in := &r.Topics[i]
		out := kmsg.NewDescribeQuorumResponseTopic()
		out.Topic = in.Topic
		for j := range in.Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition = in.Partitions[j].Partition
			p.ErrorMessage = new(string)
			if !served {
				err := refuse(errUnknownTopicOrPartition, "Only the quorum of partition 0 of the metadata log can be described.")
				p.ErrorCode, p.ErrorMessage = err.code, message(err)
				rq.failed = true
			} else {
				epoch, o := b.cluster.LogState()
				now := rq.received.UnixMilli()
				self := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
				self.ReplicaID, self.LogEndOffset = b.opt.NodeID, o.LogEnd
				self.LastFetchTimestamp, self.LastCaughtUpTimestamp = now, now
				p.LeaderID, p.LeaderEpoch, p.HighWatermark = b.opt.NodeID, epoch, o.HighWatermark
				p.CurrentVoters = append(p.CurrentVoters, self)
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if rq.version >= 2 && served {
		host, port := rq.s.endpoint()
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID = b.opt.NodeID
		l := kmsg.NewDescribeQuorumResponseNodeListener()
		l.Name, l.Host, l.Port = rq.s.listener.name, host, uint16(port)
		node.Listeners = append(node.Listeners, l)
		resp.Nodes = append(resp.Nodes, node)
	}
	return resp
}

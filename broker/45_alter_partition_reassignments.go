package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// AlterPartitionReassignments: v0–1. The one assignment that a single node can
// have is the one that every partition has, so that asking for it changes
// nothing; any other is INVALID_REPLICA_ASSIGNMENT, and there is never a
// reassignment to cancel (null replicas).
var alterReassignmentsAPI = api{
	key: keyAlterReassignments, name: "AlterPartitionReassignments", min: 0, max: 1, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onLoop, decode: true, handle: decoded(handleAlterReassignments),
}

func handleAlterReassignments(rq *request, r *kmsg.AlterPartitionAssignmentsRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	if !rq.mayCluster(auth.OpAlter) {
		err := refuse(errClusterAuthorization, "Cluster authorization failed.")
		resp.ErrorCode, resp.ErrorMessage = err.code, message(err)
		return refused(rq, resp)
	}
	for i := range r.Topics {
		in := &r.Topics[i]
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = in.Topic
		for j := range in.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			err := rq.s.b.checkReassignment(in.Topic, in.Partitions[j].Partition, in.Partitions[j].Replicas)
			p.Partition, p.ErrorCode, p.ErrorMessage = in.Partitions[j].Partition, codeOf(err), message(err)
			rq.failed = rq.failed || err != nil
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (b *Broker) checkReassignment(name string, index int32, replicas []int32) error {
	t := b.topics.get(name)
	switch {
	case t == nil:
		return refuse(errUnknownTopicOrPartition, fmt.Sprintf("Unable to find a topic named %s.", name))
	case t.partition(index) == nil:
		return refuse(errUnknownTopicOrPartition, fmt.Sprintf("Unable to find partition %s:%d.", name, index))
	case replicas == nil:
		return refuse(errNoReassignment, "No partition reassignment is in progress.")
	case len(replicas) == 0:
		return refuse(errInvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	seen := map[int32]bool{}
	for _, id := range replicas {
		switch {
		case seen[id]:
			return refuse(errInvalidReplicaAssignment, fmt.Sprintf("The manual partition assignment includes the broker %d more than once.", id))
		case id != b.opt.NodeID:
			return refuse(errInvalidReplicaAssignment, fmt.Sprintf("The manual partition assignment includes broker %d, but no such broker is registered.", id))
		}
		seen[id] = true
	}
	return nil
}

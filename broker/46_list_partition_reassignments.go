package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// ListPartitionReassignments: v0. A single node has none under way; Kafka
// leaves partitions without one, and topics that do not exist, out.
var listReassignmentsAPI = api{
	key: keyListReassignments, name: "ListPartitionReassignments", min: 0, max: 0, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleListReassignments),
}

func handleListReassignments(rq *request, _ *kmsg.ListPartitionReassignmentsRequest) kmsg.Response {
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	if !rq.mayCluster(auth.OpDescribe) {
		err := refuse(errClusterAuthorization, "Cluster authorization failed.")
		resp.ErrorCode, resp.ErrorMessage = err.code, message(err)
		return refused(rq, resp)
	}
	return resp
}

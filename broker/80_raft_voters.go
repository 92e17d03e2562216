package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// AddRaftVoter: v0–1, RemoveRaftVoter: v0. The quorum of a single node is
// static (kraft.version 0), to which Kafka answers UNSUPPORTED_VERSION
// (AddVoterHandler, RemoveVoterHandler).
var addRaftVoterAPI = api{
	key: keyAddRaftVoter, name: "AddRaftVoter", min: 0, max: 1, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onLoop, decode: true, handle: decoded(handleAddRaftVoter),
}

var removeRaftVoterAPI = api{
	key: keyRemoveRaftVoter, name: "RemoveRaftVoter", min: 0, max: 0, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onLoop, decode: true, handle: decoded(handleRemoveRaftVoter),
}

func handleAddRaftVoter(rq *request, r *kmsg.AddRaftVoterRequest) kmsg.Response {
	resp := kmsg.NewPtrAddRaftVoterResponse()
	err := rq.refuseVoter(r.ClusterID, "adding")
	resp.ErrorCode, resp.ErrorMessage = err.code, message(err)
	return refused(rq, resp)
}

func handleRemoveRaftVoter(rq *request, r *kmsg.RemoveRaftVoterRequest) kmsg.Response {
	resp := kmsg.NewPtrRemoveRaftVoterResponse()
	err := rq.refuseVoter(r.ClusterID, "removing")
	resp.ErrorCode, resp.ErrorMessage = err.code, message(err)
	return refused(rq, resp)
}

func (rq *request) refuseVoter(clusterID *string, what string) *apiError {
	image := rq.s.b.cluster.Image()
	switch {
	case !rq.mayCluster(auth.OpAlter):
		return refuse(errClusterAuthorization, "Cluster authorization failed.")
	case clusterID != nil && *clusterID != image.ClusterID:
		return refuse(errInconsistentClusterID, fmt.Sprintf("The request is for cluster %s; this is %s.", *clusterID, image.ClusterID))
	}
	return refuse(errUnsupportedVersion, fmt.Sprintf("The voters of this cluster are fixed (kraft.version %d): %s one is not possible.", image.Features["kraft.version"], what))
}

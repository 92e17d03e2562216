package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// DescribeCluster: v0–2. Endpoint type 1 (brokers) only; this listener has no
// controllers to tell of.
var describeClusterAPI = api{
	key: keyDescribeCluster, name: "DescribeCluster", min: 0, max: 2, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleDescribeCluster),
}

func handleDescribeCluster(rq *request, r *kmsg.DescribeClusterRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeClusterResponse()
	if rq.version >= 1 && r.EndpointType != 1 {
		rq.failed = true
		resp.ErrorCode = errUnsupportedEndpoint
		if r.EndpointType == 2 {
			resp.ErrorCode = errMismatchedEndpoint
		}
		resp.ErrorMessage = message(refuse(resp.ErrorCode, "The request was sent to an endpoint of type broker (1)."))
		return resp
	}
	image := rq.s.b.cluster.Image()
	resp.EndpointType = 1
	resp.ClusterID, resp.ControllerID = image.ClusterID, image.NodeID
	if r.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = rq.clusterOperations()
	}
	self := rq.brokerEntry()
	one := kmsg.NewDescribeClusterResponseBroker()
	one.NodeID, one.Host, one.Port, one.Rack = self.NodeID, self.Host, self.Port, self.Rack
	resp.Brokers = append(resp.Brokers, one)
	return resp
}

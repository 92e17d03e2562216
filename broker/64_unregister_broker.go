package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// UnregisterBroker: v0. There is one broker, which serves the request and
// cannot be unregistered; no other is registered.
var unregisterBrokerAPI = api{
	key: keyUnregisterBroker, name: "UnregisterBroker", min: 0, max: 0, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onLoop, decode: true, handle: decoded(handleUnregisterBroker),
}

func handleUnregisterBroker(rq *request, r *kmsg.UnregisterBrokerRequest) kmsg.Response {
	resp := kmsg.NewPtrUnregisterBrokerResponse()
	err := refuse(errBrokerIDNotRegistered, fmt.Sprintf("This cluster has no broker %d.", r.BrokerID))
	switch {
	case !rq.mayCluster(auth.OpAlter):
		err = refuse(errClusterAuthorization, "Cluster authorization failed.")
	case r.BrokerID == rq.s.b.opt.NodeID:
		err = refuse(errInvalidRequest, fmt.Sprintf("Broker %d is the cluster's only one and cannot be unregistered.", r.BrokerID))
	}
	resp.ErrorCode, resp.ErrorMessage = err.code, message(err)
	return refused(rq, resp)
}

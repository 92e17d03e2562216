package broker

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// ListConfigResources: v0–1. v0 lists client metrics only; empty types of v1
// mean all.
var listConfigResourcesAPI = api{
	key: keyListConfigResources, name: "ListConfigResources", min: 0, max: 1, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribeConfigs, place: onWorker, decode: true, handle: decoded(handleListConfigResources),
}

// listableResources are the types that can be listed, in the order of their numbers.
var listableResources = []int8{
	int8(cluster.ResourceTopic), int8(cluster.ResourceBroker), int8(cluster.ResourceBrokerLogger),
	int8(cluster.ResourceClientMetrics), int8(cluster.ResourceGroup),
}

func handleListConfigResources(rq *request, r *kmsg.ListConfigResourcesRequest) kmsg.Response {
	resp := kmsg.NewPtrListConfigResourcesResponse()
	if !rq.mayCluster(auth.OpDescribeConfigs) {
		resp.ErrorCode = errClusterAuthorization
		return refused(rq, resp)
	}
	types := r.ResourceTypes
	switch {
	case rq.version == 0:
		types = []int8{int8(cluster.ResourceClientMetrics)}
	case len(types) == 0:
		types = listableResources
	}
	for _, t := range types {
		if !slices.Contains(listableResources, t) {
			resp.ErrorCode = errUnsupportedVersion
			return refused(rq, resp)
		}
	}
	image := rq.s.b.cluster.Image()
	node := strconv.Itoa(int(image.NodeID))
	for _, t := range listableResources {
		if !slices.Contains(types, t) {
			continue
		}
		var names []string
		switch cluster.ResourceType(t) {
		case cluster.ResourceTopic:
			for _, topic := range image.Topics() {
				names = append(names, topic.Name)
			}
		case cluster.ResourceBroker, cluster.ResourceBrokerLogger:
			names = []string{node}
		default:
			names = image.Resources(cluster.ResourceType(t))
		}
		for _, name := range names {
			one := kmsg.NewListConfigResourcesResponseConfigResource()
			one.Name, one.Type = name, t
			resp.ConfigResources = append(resp.ConfigResources, one)
		}
	}
	return resp
}

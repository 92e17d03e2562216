package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// IncrementalAlterConfigs: v0–1 (KIP-339).
var incrementalAlterConfigsAPI = api{
	key: keyIncrementalAlterConfig, name: "IncrementalAlterConfigs", min: 0, max: 1, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpAlterConfigs, place: onWorker, decode: true, handle: decoded(handleIncrementalAlterConfigs),
}

func handleIncrementalAlterConfigs(rq *request, r *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	seen := map[cluster.Resource]int{}
	for i := range r.Resources {
		seen[resourceOf(int8(r.Resources[i].ResourceType), r.Resources[i].ResourceName)]++
	}
	for i := range r.Resources {
		in := &r.Resources[i]
		res := resourceOf(int8(in.ResourceType), in.ResourceName)
		edits := make([]configEdit, len(in.Configs))
		for j, c := range in.Configs {
			edits[j] = configEdit{key: c.Name, op: int8(c.Op), value: c.Value}
		}
		err := rq.alter(res, edits, false, r.ValidateOnly, seen[res] > 1)
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		out.ErrorCode, out.ErrorMessage = codeOf(err), message(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// AlterConfigs: v0–2. What is set on a resource is replaced as a whole.
var alterConfigsAPI = api{
	key: keyAlterConfigs, name: "AlterConfigs", min: 0, max: 2, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpAlterConfigs, place: onWorker, decode: true, handle: decoded(handleAlterConfigs),
}

func handleAlterConfigs(rq *request, r *kmsg.AlterConfigsRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterConfigsResponse()
	seen := map[cluster.Resource]int{}
	for i := range r.Resources {
		seen[resourceOf(int8(r.Resources[i].ResourceType), r.Resources[i].ResourceName)]++
	}
	for i := range r.Resources {
		in := &r.Resources[i]
		res := resourceOf(int8(in.ResourceType), in.ResourceName)
		edits := make([]configEdit, len(in.Configs))
		for j, c := range in.Configs {
			edits[j] = configEdit{key: c.Name, op: opSet, value: c.Value}
		}
		err := rq.alter(res, edits, true, r.ValidateOnly, seen[res] > 1)
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		out.ErrorCode, out.ErrorMessage = codeOf(err), message(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

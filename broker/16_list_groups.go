package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// ListGroups: v0–5. Who may describe the cluster sees every group, others the
// groups that they may describe.
var listGroupsAPI = api{
	key: keyListGroups, name: "ListGroups", min: 0, max: 5, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleListGroups),
}

func handleListGroups(rq *request, r *kmsg.ListGroupsRequest) kmsg.Response {
	all := rq.could(auth.OpDescribe, auth.ResCluster, auth.ClusterName)
	could := rq.s.asNow()
	rq.coordinator().ListGroups(rq.client(), r, func(resp *kmsg.ListGroupsResponse) {
		if !all {
			kept := resp.Groups[:0]
			for _, g := range resp.Groups {
				if could(auth.OpDescribe, auth.ResGroup, g.Group) {
					kept = append(kept, g)
				}
			}
			resp.Groups = kept
		}
		rq.reply(resp)
	})
	return nil
}

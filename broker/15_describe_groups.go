package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// DescribeGroups: v0–6.
var describeGroupsAPI = api{
	key: keyDescribeGroups, name: "DescribeGroups", min: 0, max: 6, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleDescribeGroups),
}

func handleDescribeGroups(rq *request, r *kmsg.DescribeGroupsRequest) kmsg.Response {
	gather(len(r.Groups), func(i int, done func(*kmsg.DescribeGroupsResponseGroup)) {
		id := r.Groups[i]
		if !rq.mayGroup(auth.OpDescribe, id) {
			g := kmsg.NewDescribeGroupsResponseGroup()
			g.Group, g.ErrorCode = id, errGroupAuthorization
			done(&g)
			return
		}
		var allowed int32
		if r.IncludeAuthorizedOperations {
			allowed = rq.operations(auth.ResGroup, id, groupOperations)
		}
		rq.coordinator().DescribeGroup(rq.client(), rq.version, id, func(g *kmsg.DescribeGroupsResponseGroup) {
			if r.IncludeAuthorizedOperations && g.ErrorCode == errNone {
				g.AuthorizedOperations = allowed
			}
			done(g)
		})
	}, func(list []*kmsg.DescribeGroupsResponseGroup) {
		resp := kmsg.NewPtrDescribeGroupsResponse()
		for _, g := range list {
			resp.Groups = append(resp.Groups, *g)
		}
		rq.reply(resp)
	})
	return nil
}

package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// DeleteGroups: v0–2. A group that is named twice is answered once.
var deleteGroupsAPI = api{
	key: keyDeleteGroups, name: "DeleteGroups", min: 0, max: 2, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpDelete, place: onLoop, decode: true, handle: decoded(handleDeleteGroups),
}

func handleDeleteGroups(rq *request, r *kmsg.DeleteGroupsRequest) kmsg.Response {
	groups := make([]string, 0, len(r.Groups))
	seen := make(map[string]bool, len(r.Groups))
	for _, g := range r.Groups {
		if !seen[g] {
			seen[g], groups = true, append(groups, g)
		}
	}
	gather(len(groups), func(i int, done func(errCode)) {
		if !rq.mayGroup(auth.OpDelete, groups[i]) {
			done(errGroupAuthorization)
			return
		}
		rq.coordinator().DeleteGroup(rq.client(), groups[i], done)
	}, func(codes []errCode) {
		resp := kmsg.NewPtrDeleteGroupsResponse()
		for i, code := range codes {
			g := kmsg.NewDeleteGroupsResponseGroup()
			g.Group, g.ErrorCode = groups[i], code
			resp.Groups = append(resp.Groups, g)
		}
		rq.reply(resp)
	})
	return nil
}

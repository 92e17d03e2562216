package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// DeleteGroups: v0–2.
var deleteGroupsAPI = api{
	key: keyDeleteGroups, name: "DeleteGroups", min: 0, max: 2, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpDelete, place: onLoop, decode: true, handle: decoded(handleDeleteGroups),
}

func handleDeleteGroups(rq *request, r *kmsg.DeleteGroupsRequest) kmsg.Response {
	gather(len(r.Groups), func(i int, done func(errCode)) {
		if !rq.mayGroup(auth.OpDelete, r.Groups[i]) {
			done(errGroupAuthorization)
			return
		}
		rq.coordinator().DeleteGroup(rq.client(), r.Groups[i], done)
	}, func(codes []errCode) {
		resp := kmsg.NewPtrDeleteGroupsResponse()
		for i, code := range codes {
			g := kmsg.NewDeleteGroupsResponseGroup()
			g.Group, g.ErrorCode = r.Groups[i], code
			resp.Groups = append(resp.Groups, g)
		}
		rq.reply(resp)
	})
	return nil
}

package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// JoinGroup: v0–9.
var joinGroupAPI = api{
	key: keyJoinGroup, name: "JoinGroup", min: 0, max: 9, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpRead, place: onLoop, decode: true, handle: decoded(handleJoinGroup),
}

func handleJoinGroup(rq *request, r *kmsg.JoinGroupRequest) kmsg.Response {
	if !rq.mayGroup(auth.OpRead, r.Group) {
		resp := kmsg.NewPtrJoinGroupResponse()
		resp.ErrorCode = errGroupAuthorization
		return refused(rq, resp)
	}
	rq.coordinator().JoinGroup(rq.client(), r, func(resp *kmsg.JoinGroupResponse) { rq.reply(resp) })
	return nil
}

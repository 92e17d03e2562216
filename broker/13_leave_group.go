package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// LeaveGroup: v0–5.
var leaveGroupAPI = api{
	key: keyLeaveGroup, name: "LeaveGroup", min: 0, max: 5, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpRead, place: onLoop, decode: true, handle: decoded(handleLeaveGroup),
}

func handleLeaveGroup(rq *request, r *kmsg.LeaveGroupRequest) kmsg.Response {
	if !rq.mayGroup(auth.OpRead, r.Group) {
		resp := kmsg.NewPtrLeaveGroupResponse()
		resp.ErrorCode = errGroupAuthorization
		return refused(rq, resp)
	}
	rq.coordinator().LeaveGroup(rq.client(), r, func(resp *kmsg.LeaveGroupResponse) { rq.reply(resp) })
	return nil
}

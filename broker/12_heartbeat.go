package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// Heartbeat: v0–4.
var heartbeatAPI = api{
	key: keyHeartbeat, name: "Heartbeat", min: 0, max: 4, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpRead, place: onLoop, decode: true, handle: decoded(handleHeartbeat),
}

func handleHeartbeat(rq *request, r *kmsg.HeartbeatRequest) kmsg.Response {
	if !rq.mayGroup(auth.OpRead, r.Group) {
		resp := kmsg.NewPtrHeartbeatResponse()
		resp.ErrorCode = errGroupAuthorization
		return refused(rq, resp)
	}
	rq.coordinator().Heartbeat(rq.client(), r, func(resp *kmsg.HeartbeatResponse) { rq.reply(resp) })
	return nil
}

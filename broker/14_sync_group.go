package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// SyncGroup: v0–5.
var syncGroupAPI = api{
	key: keySyncGroup, name: "SyncGroup", min: 0, max: 5, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpRead, place: onLoop, decode: true, handle: decoded(handleSyncGroup),
}

func handleSyncGroup(rq *request, r *kmsg.SyncGroupRequest) kmsg.Response {
	if !rq.mayGroup(auth.OpRead, r.Group) {
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.ErrorCode = errGroupAuthorization
		return refused(rq, resp)
	}
	if r.Version >= 5 && (r.ProtocolType == nil || r.Protocol == nil) {
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.ErrorCode = errInconsistentGroupProtocol // version 5 must say both (KIP-559)
		return resp
	}
	rq.coordinator().SyncGroup(rq.client(), r, func(resp *kmsg.SyncGroupResponse) { rq.reply(resp) })
	return nil
}

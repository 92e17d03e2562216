package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// ConsumerGroupHeartbeat: v0–1 (KIP-848).
var consumerGroupHeartbeatAPI = api{
	key: keyConsumerGroupHeartbeat, name: "ConsumerGroupHeartbeat", min: 0, max: 1, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpRead, place: onLoop, decode: true, handle: decoded(handleConsumerGroupHeartbeat),
}

func handleConsumerGroupHeartbeat(rq *request, r *kmsg.ConsumerGroupHeartbeatRequest) kmsg.Response {
	code := errNone
	if !rq.mayGroup(auth.OpRead, r.Group) {
		code = errGroupAuthorization
	}
	for _, topic := range r.SubscribedTopicNames {
		if code == errNone && !rq.mayTopic(auth.OpDescribe, topic) {
			code = errTopicAuthorization
		}
	}
	if code != errNone {
		resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
		resp.ErrorCode = code
		return refused(rq, resp)
	}
	rq.coordinator().ConsumerGroupHeartbeat(rq.client(), r, func(resp *kmsg.ConsumerGroupHeartbeatResponse) { rq.reply(resp) })
	return nil
}

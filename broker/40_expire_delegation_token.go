package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// ExpireDelegationToken: v0–2. A negative period removes the token at once.
var expireDelegationTokenAPI = api{
	key: keyExpireDelegationToken, name: "ExpireDelegationToken", min: 0, max: 2, advertised: 0,
	resource: auth.ResToken, operation: auth.OpAlter, place: onWorker, decode: true, handle: decoded(handleExpireDelegationToken),
}

func handleExpireDelegationToken(rq *request, r *kmsg.ExpireDelegationTokenRequest) kmsg.Response {
	resp := kmsg.NewPtrExpireDelegationTokenResponse()
	resp.ExpiryTimestamp = -1
	token, err := rq.changeToken(func(image *cluster.Image) (cluster.Token, bool, error) {
		return rq.s.b.security.tokens.Expire(image, rq.s.principal, r.HMAC, r.ExpiryPeriodMillis, time.Now())
	})
	if err != nil {
		resp.ErrorCode = codeOf(err)
		return refused(rq, resp)
	}
	resp.ExpiryTimestamp = token.ExpiryMs
	return resp
}

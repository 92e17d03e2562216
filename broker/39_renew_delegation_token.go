package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// RenewDelegationToken: v0–2. For the owner and the renewers of a token.
var renewDelegationTokenAPI = api{
	key: keyRenewDelegationToken, name: "RenewDelegationToken", min: 0, max: 2, advertised: 0,
	resource: auth.ResToken, operation: auth.OpAlter, place: onWorker, decode: true, handle: decoded(handleRenewDelegationToken),
}

func handleRenewDelegationToken(rq *request, r *kmsg.RenewDelegationTokenRequest) kmsg.Response {
	resp := kmsg.NewPtrRenewDelegationTokenResponse()
	resp.ExpiryTimestamp = -1
	token, err := rq.changeToken(func(image *cluster.Image) (cluster.Token, bool, error) {
		t, err := rq.s.b.security.tokens.Renew(image, rq.s.principal, r.HMAC, r.RenewTimeMillis, time.Now())
		return t, false, err
	})
	if err != nil {
		resp.ErrorCode = codeOf(err)
		return refused(rq, resp)
	}
	resp.ExpiryTimestamp = token.ExpiryMs
	return resp
}

package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// SaslAuthenticate: v0–2.
//
// Carries one token of the mechanism that SaslHandshake named. v1+ tells how
// long the session lasts before it has to authenticate again (KIP-368). PLAIN's
// key derivation and OAUTHBEARER's keys are for a goroutine; SCRAM's steps are
// microseconds and stay on the loop.
var saslAuthenticateAPI = api{
	key: keySaslAuthenticate, name: "SaslAuthenticate", min: 0, max: 2, advertised: 0,
	open: true, beforeLogin: true, place: onLoop, decode: true, handle: decoded(handleSaslAuthenticate),
}

func handleSaslAuthenticate(rq *request, r *kmsg.SASLAuthenticateRequest) kmsg.Response {
	s, now := rq.s, time.Now()
	if s.login.exchange == nil {
		resp := kmsg.NewPtrSASLAuthenticateResponse()
		resp.ErrorCode = errIllegalSaslState
		why := "SaslAuthenticate request received after successful authentication"
		if s.principal == nil {
			why = "SaslAuthenticate request received before SaslHandshake"
		}
		resp.ErrorMessage = &why
		rq.failed = true
		if s.principal == nil {
			s.refuseLogin(func() { rq.refuseWith(resp) })
			return nil
		}
		return resp
	}
	if s.tooMany(now) {
		rq.answerStep(&auth.Step{Outcome: auth.Refused, Message: "Authentication failed: too many failed authentications from this address; try again later"})
		return nil
	}
	s.step(now, r.SASLAuthBytes, rq.answerStep)
	return nil
}

// answerStep answers with what a step came to; a refusal after its delay.
func (rq *request) answerStep(step *auth.Step) {
	s := rq.s
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	resp.SASLAuthBytes = step.Reply
	if step.Outcome == auth.Refused {
		rq.failed = true
		resp.ErrorCode, resp.ErrorMessage = errSaslAuthenticationFailed, &step.Message
		resp.SASLAuthBytes = []byte{}
		s.refuseLogin(func() { rq.refuseWith(resp) })
		return
	}
	if step.Outcome == auth.Success {
		resp.SessionLifetimeMillis = step.Session.Lifetime.Milliseconds()
	}
	rq.answer(rq.encode(resp))
}

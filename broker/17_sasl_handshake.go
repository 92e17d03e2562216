package broker

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// SaslHandshake: v0–1.
//
// Names the mechanism. After v0 the tokens that follow have no Kafka header,
// after v1 they come in SaslAuthenticate. A mechanism that is not enabled gets
// UNSUPPORTED_SASL_MECHANISM with those that are, and the connection closes. On
// a connection that is logged in it begins to authenticate again (KIP-368) when
// the session has a lifetime and a second has passed since the last time;
// otherwise, and on listeners without SASL, it is answered with
// ILLEGAL_SASL_STATE.
var saslHandshakeAPI = api{
	key: keySaslHandshake, name: "SaslHandshake", min: 0, max: 1, advertised: 0,
	open: true, beforeLogin: true, place: onLoop, decode: true, handle: decoded(handleSaslHandshake),
}

func handleSaslHandshake(rq *request, r *kmsg.SASLHandshakeRequest) kmsg.Response {
	resp := kmsg.NewPtrSASLHandshakeResponse()
	s, now := rq.s, time.Now()
	again := s.login.session
	switch {
	case !s.listener.protocol.SASL(),
		s.principal == nil && s.login.exchange != nil,
		s.principal != nil && (rq.version == 0 || s.login.expires.IsZero() || now.Sub(s.login.began) < reauthPause):
		rq.failed = true
		resp.ErrorCode = errIllegalSaslState
		return resp
	}
	sasl := s.listener.sasl.Load()
	resp.SupportedMechanisms = sasl.Mechanisms()
	x, err := sasl.Start(r.Mechanism, again)
	if err != nil {
		rq.failed = true
		resp.ErrorCode = errUnsupportedSaslMechanism
		var refused *auth.Error
		if errors.As(err, &refused) {
			s.b.security.audit.Refused(now, s.where(), r.Mechanism, &auth.Failure{Kind: auth.KindMechanism, Detail: refused.Message})
		}
		s.refuseLogin(func() { rq.refuseWith(resp) })
		return nil
	}
	s.login.exchange = x
	if s.principal != nil {
		s.login.began = now
	}
	if rq.version == 0 {
		s.conn.SetRaw(true)
	}
	return resp
}

// refusalLinger is how long a connection stays after its refusal. Some clients
// (kafka-python) see only the end when it comes with the answer, and then cannot
// say why they were refused.
const refusalLinger = 100 * time.Millisecond

// refuseWith answers and closes the connection then; what comes meanwhile is
// dropped. Loop only.
func (rq *request) refuseWith(resp kmsg.Response) {
	s := rq.s
	rq.answer(rq.encode(resp))
	if !s.closed {
		s.conn.CloseAfter(refusalLinger, errRefused)
	}
}

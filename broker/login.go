package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/netloop"
)

// login is who a connection is and how it came to be that. Loop only.
//
// Until a client on a SASL listener has logged in, its session has no principal
// and the connection is held short: one request at a time, frames of 64 KiB,
// the time of Options.AuthTimeout, and only ApiVersions, SaslHandshake and
// SaslAuthenticate are served; anything else closes it (Kafka answers
// ILLEGAL_SASL_STATE to other requests between handshake and authentication,
// and closes then). Refusals are answered after
// connection.failed.authentication.delay.ms, then the connection is closed.
//
// After a handshake of version 0 tokens come as bare frames without a Kafka
// header, after one of version 1 in SaslAuthenticate.
//
// A session with a lifetime (KIP-368) may authenticate again by a new
// handshake, with the same mechanism as the same principal; when its time is
// over the next other request closes the connection.
type login struct {
	// exchange is not nil between a handshake and the end of its authentication.
	exchange *auth.Exchange
	// session is nil before the first success, and without SASL.
	session *auth.Session
	// expires is when session ends; zero for never.
	expires time.Time
	// began is when the connection last began to authenticate again.
	began time.Time

	// task is the step that a goroutine does, or nil.
	task *loginTask
	// refusal answers a failure when its delay is over.
	refusal func()
	timer   netloop.Timer

	// counted is the user that the connection counts as one of, or "".
	counted string

	// Place in the loop's list of those who have not logged in.
	stranger   bool
	next, prev *session
}

const (
	// strangerFrame is the largest frame before login; no mechanism needs more.
	strangerFrame = 64 << 10
	// reauthPause is how often a connection may authenticate again
	// (KafkaChannel.MIN_REAUTH_INTERVAL_ONE_SECOND_NANOS).
	reauthPause = time.Second
)

var (
	errRefused         = errors.New("broker: the client failed to authenticate")
	errExpired         = errors.New("broker: the session's time is over and the client has not authenticated again")
	errSASLOrder       = errors.New("broker: a request came in the middle of an authentication")
	errUserConnections = errors.New("broker: the user has as many connections as it may")
	errStrangerGone    = errors.New("broker: too many connections wait to log in, and this one waited longest")
)

// strangers is the connections of a loop that have not logged in, the oldest
// first. When there are more than may be, the oldest gives way: who means to log
// in needs milliseconds, who holds connections open needs them long.
type strangers struct {
	head, tail *session
	n          int
}

func (l *strangers) add(s *session) {
	s.login.stranger = true
	s.login.prev, s.login.next = l.tail, nil
	if l.tail != nil {
		l.tail.login.next = s
	} else {
		l.head = s
	}
	l.tail = s
	l.n++
}

func (l *strangers) remove(s *session) {
	if !s.login.stranger {
		return
	}
	if s.login.prev != nil {
		s.login.prev.login.next = s.login.next
	} else {
		l.head = s.login.next
	}
	if s.login.next != nil {
		s.login.next.login.prev = s.login.prev
	} else {
		l.tail = s.login.prev
	}
	s.login.stranger, s.login.prev, s.login.next = false, nil, nil
	l.n--
}

// arrived finds out who a new connection is, or holds it short until it says.
func (s *session) arrived() error {
	sec := s.b.security
	switch {
	case s.listener.protocol.SASL():
		s.conn.SetMaxInFlight(1)
		s.conn.SetFrameLimit(strangerFrame)
		s.conn.SetDeadline(time.Now().Add(sec.authTimeout))
		if list := &s.loop.strangers; list.n >= sec.strangers {
			oldest := list.head
			list.remove(oldest)
			oldest.conn.Close(errStrangerGone)
		}
		s.loop.strangers.add(s)
		return nil
	case s.listener.protocol == SSL:
		p, failure := s.listener.tls.Load().Principal(s.conn.TLS())
		if failure != nil {
			sec.audit.Refused(time.Now(), s.where(), "", failure)
			return fmt.Errorf("broker: the client's certificate: %w", failure)
		}
		if p != auth.Anonymous && !s.count(p) {
			return errUserConnections
		}
		s.principal = p
		if p != auth.Anonymous {
			sec.audit.Authenticated(time.Now(), s.where(), &auth.Session{Principal: p, Mechanism: "TLS"})
		}
		return nil
	}
	s.principal = auth.Anonymous
	return nil
}

// count takes a connection of the user's, or refuses when it has too many.
func (s *session) count(p *auth.Principal) bool {
	sec := s.b.security
	name := p.String()
	sec.usersMu.Lock()
	room := int64(sec.users[name]) < sec.b.limit(limitConnectionsUser)
	if room {
		sec.users[name]++
		s.login.counted = name
	}
	sec.usersMu.Unlock()
	if !room {
		sec.audit.Refused(time.Now(), s.where(), s.mechanism(), &auth.Failure{Kind: auth.KindRate, User: p.Name,
			Detail: "the user has as many connections as it may (limit " + limitConnectionsUser + ")"})
	}
	return room
}

// uncount gives the connection back.
func (s *session) uncount() {
	name := s.login.counted
	if name == "" {
		return
	}
	s.login.counted = ""
	sec := s.b.security
	sec.usersMu.Lock()
	if sec.users[name]--; sec.users[name] == 0 {
		delete(sec.users, name)
	}
	sec.usersMu.Unlock()
}

// left undoes what of a login is under way.
func (s *session) left(why error) {
	s.loop.strangers.remove(s)
	s.uncount()
	if t := s.login.task; t != nil {
		t.gone.Store(true)
	}
	if f := s.login.refusal; f != nil {
		s.loop.nl.Cancel(&s.login.timer)
		s.login.refusal = nil
		f()
	}
	if s.principal == nil && errors.Is(why, netloop.ErrDeadline) {
		s.b.security.audit.Refused(time.Now(), s.where(), s.mechanism(),
			&auth.Failure{Kind: auth.KindTimeout, Detail: "the client did not log in within " + s.b.security.authTimeout.String()})
	}
}

func (s *session) mechanism() string {
	if x := s.login.exchange; x != nil {
		return x.Mechanism()
	}
	return ""
}

// where says where the session's events come from.
func (s *session) where() auth.Where {
	return auth.Where{Host: s.host, Listener: s.listener.name, ClientID: s.clientID}
}

// mayAsk refuses a request that the state of the login does not allow.
func (s *session) mayAsk(a *api) error {
	switch {
	case s.principal == nil:
		if !a.beforeLogin {
			return fmt.Errorf("%w: %s", errNotLoggedIn, a.name)
		}
	case s.login.exchange != nil:
		if a.key != keySaslAuthenticate {
			return fmt.Errorf("%w: %s", errSASLOrder, a.name)
		}
	case !s.login.expires.IsZero() && a.key != keySaslHandshake && time.Now().After(s.login.expires):
		return errExpired
	}
	return nil
}

// tooMany refuses an address that fails too often, before anything is hashed.
func (s *session) tooMany(now time.Time) bool {
	sec := s.b.security
	if sec.attempts.Wait(s.host, now) == 0 {
		return false
	}
	sec.audit.Refused(now, s.where(), s.mechanism(), &auth.Failure{Kind: auth.KindRate, Detail: "too many failures from this address"})
	s.login.exchange = nil
	return true
}

// stepped takes over what a step came to; its answer is the caller's.
func (s *session) stepped(step *auth.Step) {
	sec, now := s.b.security, time.Now()
	if step.Failure != nil {
		sec.attempts.Failed(s.host, now)
		sec.audit.Refused(now, s.where(), s.mechanism(), step.Failure)
	}
	switch step.Outcome {
	case auth.Continue:
		return
	case auth.Refused:
		s.login.exchange = nil
		return
	}
	if s.principal == nil && !s.closed && !s.count(step.Session.Principal) {
		s.login.exchange = nil
		*step = auth.Step{Outcome: auth.Refused, Message: "Authentication failed: the user has too many connections"}
		return
	}
	s.login.exchange, s.login.session = nil, step.Session
	s.login.expires = time.Time{}
	if step.Session.Lifetime > 0 || step.Session.Expired {
		s.login.expires = now.Add(step.Session.Lifetime)
	}
	if !s.closed {
		sec.audit.Authenticated(now, s.where(), step.Session)
	}
	if s.principal != nil {
		return // the same one again; workers may be reading it
	}
	s.principal = step.Session.Principal
	s.loop.strangers.remove(s)
	if !s.closed {
		s.conn.SetDeadline(time.Time{})
		s.conn.SetMaxInFlight(int(s.b.limit(limitInFlight)))
		s.conn.SetFrameLimit(int(s.b.limit(limitFrame)))
	}
}

// refuseLogin has answer called after the delay of failed authentications, or
// at once when the connection is closed; the connection's other requests wait.
// answer must end the connection.
func (s *session) refuseLogin(answer func()) {
	delay := s.b.security.failureDelay
	if s.closed || delay <= 0 || s.b.draining.Load() {
		answer()
		return
	}
	s.busy = true
	s.login.refusal = answer
	s.login.timer.Fire = func(time.Time) {
		s.login.refusal = nil
		answer()
	}
	s.loop.nl.Schedule(&s.login.timer, s.loop.nl.Now().Add(delay))
}

// rawToken is a token without a header (after SaslHandshake v0).
func (s *session) rawToken(f netloop.Frame) {
	now := time.Now()
	if s.login.exchange == nil || s.tooMany(now) {
		f.Buf.Release()
		s.refuseLogin(func() { s.conn.Fail(f.Slot, errRefused) })
		return
	}
	token := append([]byte(nil), f.Buf.B...)
	f.Buf.Release()
	s.step(now, token, func(step *auth.Step) { s.rawAnswer(f.Slot, step) })
}

// step gives a token to the exchange and its outcome to then, on the loop:
// at once when that is cheap, otherwise when a goroutine has come to it. The
// connection's later requests wait. token must not alias a frame. Loop only.
func (s *session) step(now time.Time, token []byte, then func(*auth.Step)) {
	x := s.login.exchange
	if !x.Slow() || x.Recalls(token) {
		step := x.Step(now, token)
		s.stepped(&step)
		then(&step)
		return
	}
	t := &loginTask{s: s, then: then, step: auth.Step{Outcome: auth.Refused}} // what a panic comes to
	s.login.task = t
	s.busy = true
	s.b.goroutines.Go("login", func() {
		defer s.loop.nl.Post(t)
		work := func() auth.Step {
			if t.gone.Load() {
				return t.step
			}
			return x.Step(now, token)
		}
		if x.Hashes() {
			t.step = s.b.security.hashed(work)
		} else {
			t.step = work()
		}
	})
}

// loginTask brings a step back to the loop. There are as many as connections
// that have not logged in, at most.
type loginTask struct {
	s    *session
	then func(*auth.Step)
	gone atomic.Bool // the connection is closed: nothing is hashed for it
	step auth.Step
}

// RunOnLoop answers, and lets the connection go on unless it is refused.
func (t *loginTask) RunOnLoop(*netloop.Loop) {
	s := t.s
	s.login.task, s.busy = nil, false
	s.stepped(&t.step)
	t.then(&t.step)
	if s.login.refusal == nil {
		s.unblock()
	}
}

func (s *session) rawAnswer(slot netloop.Slot, step *auth.Step) {
	if step.Outcome == auth.Refused {
		s.refuseLogin(func() { s.conn.Fail(slot, errRefused) })
		return
	}
	if step.Outcome == auth.Success && !s.closed {
		s.conn.SetRaw(false)
	}
	out := netloop.NewResponse(4 + len(step.Reply))
	out.Buf.B = binary.BigEndian.AppendUint32(out.Buf.B[:0], uint32(len(step.Reply)))
	out.Buf.B = append(out.Buf.B, step.Reply...)
	s.conn.Respond(slot, out)
}

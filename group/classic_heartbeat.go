package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Heartbeat v0 to v4. The answer depends on nothing that a crash could take
// back, so it does not wait for the disk.
func (c *Coordinator) Heartbeat(cl Client, r *kmsg.HeartbeatRequest, done func(*kmsg.HeartbeatResponse)) {
	answer := func(code int16) {
		resp := kmsg.NewPtrHeartbeatResponse()
		resp.Version, resp.ErrorCode = r.Version, code
		done(resp)
	}
	if !validGroup(r.Group) {
		answer(codeInvalidGroupID)
		return
	}
	c.run(r.Group, func(s *state, now time.Time) error {
		answer(s.heartbeat(now, r))
		return nil
	}, func(code int16) {
		if code == codeCoordinatorLoading {
			// Old clients take this for a fatal error; the group is not
			// known yet, and the session starts anew once it is.
			code = codeNone
		}
		answer(code)
	})
}

func (s *state) heartbeat(now time.Time, r *kmsg.HeartbeatRequest) int16 {
	e := s.find(r.Group)
	switch {
	case e == nil:
		return codeUnknownMemberID
	case e.consumer != nil:
		return s.heartbeatConsumer(now, e.consumer, r)
	}
	g := e.classic
	if code := g.validate(r.MemberID, r.InstanceID); code != codeNone {
		return code
	}
	if r.Generation != g.generation {
		return codeIllegalGeneration
	}
	m := g.members[r.MemberID]
	s.deadlines.Set(&m.heartbeat, now.Add(m.session))
	if g.state == classicPreparing {
		return codeRebalanceInProgress
	}
	return codeNone
}

package group

import "time"

// DeleteGroup deletes one group of DeleteGroups v0 to v2 with its offsets; it
// must be empty.
func (c *Coordinator) DeleteGroup(cl Client, groupID string, done func(errorCode int16)) {
	if !recordable(groupID) {
		done(codeInvalidGroupID)
		return
	}
	c.run(groupID, func(s *state, now time.Time) error {
		code := s.deleteGroup(groupID)
		s.out.Answer(func(err error) {
			if err != nil {
				code = codeOf(err)
			}
			done(code)
		})
		return nil
	}, done)
}

func (s *state) deleteGroup(id string) int16 {
	e := s.find(id)
	switch {
	case e == nil:
		return codeGroupIDNotFound
	case !e.isEmpty():
		return codeNonEmptyGroup
	}
	for at := range e.offsets {
		s.tombstone(e, at)
	}
	for at := range e.open {
		s.tombstone(e, at)
	}
	s.removeGroup(e)
	return codeNone
}

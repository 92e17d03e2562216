package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeGroup answers one group of DescribeGroups v0 to v6. An unknown
// group, or one that is not classic, is Dead: without an error up to v5, with
// GROUP_ID_NOT_FOUND from v6. AuthorizedOperations are the caller's.
func (c *Coordinator) DescribeGroup(cl Client, version int16, groupID string, done func(*kmsg.DescribeGroupsResponseGroup)) {
	fail := func(code int16) {
		resp := kmsg.NewDescribeGroupsResponseGroup()
		resp.Group, resp.ErrorCode = groupID, code
		resp.Members = []kmsg.DescribeGroupsResponseGroupMember{}
		done(&resp)
	}
	if !recordable(groupID) {
		fail(codeInvalidGroupID)
		return
	}
	c.run(groupID, func(s *state, now time.Time) error {
		resp := s.describe(version, groupID)
		s.out.Answer(func(err error) {
			if err != nil {
				fail(codeOf(err))
				return
			}
			done(resp)
		})
		return nil
	}, fail)
}

func (s *state) describe(version int16, id string) *kmsg.DescribeGroupsResponseGroup {
	resp := kmsg.NewDescribeGroupsResponseGroup()
	resp.Group = id
	resp.Members = []kmsg.DescribeGroupsResponseGroupMember{}
	e := s.find(id)
	if e == nil || e.classic == nil {
		resp.State = "Dead"
		if version >= 6 {
			why := "Group " + id + " not found."
			if e != nil {
				why = "Group " + id + " is not a classic group."
			}
			resp.ErrorCode, resp.ErrorMessage = codeGroupIDNotFound, &why
		}
		return &resp
	}
	g := e.classic
	resp.State, resp.ProtocolType = g.state.String(), g.protocolType
	stable := g.state == classicStable
	if stable {
		resp.Protocol = g.protocolName()
	}
	for _, m := range g.sorted() {
		d := kmsg.NewDescribeGroupsResponseGroupMember()
		d.MemberID, d.InstanceID = m.id, nullable(m.instanceID)
		d.ClientID, d.ClientHost = m.clientID, m.clientHost
		// The last assignment is told also while the group rebalances.
		d.ProtocolMetadata, d.MemberAssignment = []byte{}, append([]byte{}, m.assignment...)
		if stable {
			d.ProtocolMetadata = append(d.ProtocolMetadata, m.metadata(g.protocolName())...)
		}
		resp.Members = append(resp.Members, d)
	}
	return &resp
}

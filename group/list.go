package group

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListGroups v0 to v5 lists what the shards hold; the caller filters by ACL.
// v4 filters by state, v5 by type. While a shard loads the answer carries
// COORDINATOR_LOAD_IN_PROGRESS and no groups.
func (c *Coordinator) ListGroups(cl Client, r *kmsg.ListGroupsRequest, done func(*kmsg.ListGroupsResponse)) {
	resp := kmsg.NewPtrListGroupsResponse()
	resp.Version = r.Version
	resp.Groups = []kmsg.ListGroupsResponseGroup{}
	c.gather(func(s *state, now time.Time) []kmsg.ListGroupsResponseGroup {
		return s.list(r)
	}, func(parts [][]kmsg.ListGroupsResponseGroup, code int16) {
		if resp.ErrorCode = code; code == codeNone {
			for _, p := range parts {
				resp.Groups = append(resp.Groups, p...)
			}
			slices.SortFunc(resp.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
		}
		done(resp)
	})
}

func (s *state) list(r *kmsg.ListGroupsRequest) []kmsg.ListGroupsResponseGroup {
	var out []kmsg.ListGroupsResponseGroup
	for id, g := range s.groups {
		if !g.exists() {
			continue
		}
		typ, st, protocolType := g.describe()
		if !selected(r.StatesFilter, st) || !selected(r.TypesFilter, typ) {
			continue
		}
		e := kmsg.NewListGroupsResponseGroup()
		e.Group, e.ProtocolType, e.GroupState, e.GroupType = id, protocolType, st, typ
		out = append(out, e)
	}
	return out
}

// selected: no filter, or one of its names, in any case.
func selected(filter []string, name string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool {
		return strings.EqualFold(strings.TrimSpace(f), name)
	})
}

// gather asks every shard and hands over the answers once the last has come;
// of several errors the first counts.
func (c *Coordinator) gather(ask func(s *state, now time.Time) []kmsg.ListGroupsResponseGroup, done func([][]kmsg.ListGroupsResponseGroup, int16)) {
	shards := c.all()
	if len(shards) == 0 {
		done(nil, codeNone)
		return
	}
	var mu sync.Mutex
	left := len(shards)
	var parts [][]kmsg.ListGroupsResponseGroup
	var failed int16
	one := func(part []kmsg.ListGroupsResponseGroup, code int16) {
		mu.Lock()
		parts = append(parts, part)
		if failed == codeNone {
			failed = code
		}
		left--
		last := left == 0
		mu.Unlock()
		if last {
			done(parts, failed)
		}
	}
	for _, sh := range shards {
		sh.do(nil, func(s *state, now time.Time) error {
			part := ask(s, now)
			s.out.Answer(func(err error) { one(part, codeOf(err)) })
			return nil
		}, func(code int16) { one(nil, code) })
	}
}

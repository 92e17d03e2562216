package group

import (
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// topicChange is what a change of the metadata means for groups.
type topicChange struct {
	// touched are the names of topics that were created, grew or were deleted.
	touched map[string]bool
	// deleted are topics that are gone, by name; one that was made anew under
	// its name is gone with its old id.
	deleted map[string]topicID
	// created is the version of the metadata if topics were created, else 0.
	created int64
}

func (c *topicChange) empty() bool { return len(c.touched) == 0 }

// compareTopics walks both lists, which are sorted by name.
func compareTopics(old, new *cluster.Image) *topicChange {
	c := &topicChange{touched: map[string]bool{}, deleted: map[string]topicID{}}
	a, b := old.Topics(), new.Topics()
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			c.touched[a[0].Name] = true
			c.deleted[a[0].Name] = a[0].ID
			a = a[1:]
		case len(a) == 0 || b[0].Name < a[0].Name:
			c.touched[b[0].Name] = true
			c.created = new.Version
			b = b[1:]
		default:
			if a[0] != b[0] && (a[0].ID != b[0].ID || a[0].Partitions != b[0].Partitions) {
				c.touched[a[0].Name] = true
				if a[0].ID != b[0].ID {
					c.deleted[a[0].Name] = a[0].ID
					c.created = new.Version
				}
			}
			a, b = a[1:], b[1:]
		}
	}
	return c
}

// topicsChanged deletes the offsets of deleted topics and has consumer groups
// look at their topics with the next heartbeat.
func (s *state) topicsChanged(c *topicChange) {
	if c.created > 0 {
		s.newTopics = c.created
	}
	for _, g := range s.groups {
		if g.consumer == nil {
			continue
		}
		for name := range c.touched {
			if g.consumer.subscribes(name) {
				g.consumer.refreshAt = time.Time{}
				break
			}
		}
	}
	if len(c.deleted) > 0 {
		s.dropTopics(c.deleted)
	}
}

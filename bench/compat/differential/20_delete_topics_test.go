package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestDeleteTopics(t *testing.T) {
	compare(t, 20, func(v int16) (out []Case) {
		made := fmt.Sprintf("delete-%d-0", v)
		next := func() string { made = fmt.Sprintf("delete-%d-%d", v, len(out)+1); return made }
		ask := func(name string, topics ...kmsg.DeleteTopicsRequestTopic) {
			r := kmsg.NewPtrDeleteTopicsRequest()
			r.Version, r.TimeoutMillis, r.Topics = v, 5000, topics
			for _, t := range topics {
				if t.Topic != nil {
					r.TopicNames = append(r.TopicNames, *t.Topic)
				}
			}
			var steps []Step
			for _, t := range topics {
				if t.Topic != nil && *t.Topic == made || t.TopicID == ID(made) {
					steps = makeTopic(made, 1)
				}
			}
			out = append(out, Case{name, append(steps, Step{Req: r})})
		}
		type topic = kmsg.DeleteTopicsRequestTopic
		named := func(name string) topic { return topic{Topic: &name} }
		ask("one", named(next()))
		ask("gone", named("gone"))
		ask("bad name", named("a b"))
		ask("no name", named(""))
		ask("unknown and one", named("unknown"), named(next()))
		ask("twice", named(next()), named(made))
		ask("three times", named("unknown"), named("unknown"), named("unknown"))
		ask("internal", named("__cluster_metadata"))
		ask("nothing")
		if v >= 6 {
			ask("by id", topic{TopicID: ID(next())})
			ask("by unknown id", topic{TopicID: [16]byte{1, 2, 3}})
			ask("by unknown id twice", topic{TopicID: [16]byte{1, 2, 3}}, topic{TopicID: [16]byte{1, 2, 3}})
			ask("by zero id", topic{})
			both := next()
			ask("both", topic{Topic: &both, TopicID: ID(both)})
			ask("by id and by name", topic{TopicID: ID(next())}, named(made))
			ask("by id twice", topic{TopicID: ID(next())}, topic{TopicID: ID(made)})
			ask("by id and both", topic{TopicID: ID(next())}, topic{Topic: &both, TopicID: ID(both)})
		}
		return out
	})
}

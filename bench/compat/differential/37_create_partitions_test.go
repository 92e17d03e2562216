package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestCreatePartitions(t *testing.T) {
	compare(t, 37, func(v int16) (out []Case) {
		n := 0
		ask := func(name string, count int32, assignment [][]int32, change func(r *kmsg.CreatePartitionsRequest)) {
			for _, validate := range []bool{true, false} {
				n++
				topic := fmt.Sprintf("partitions-%d-%d", v, n)
				r := kmsg.NewPtrCreatePartitionsRequest()
				r.Version, r.TimeoutMillis, r.ValidateOnly = v, 5000, validate
				t := kmsg.NewCreatePartitionsRequestTopic()
				t.Topic, t.Count = topic, count
				for _, a := range assignment {
					t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: a})
				}
				r.Topics = append(r.Topics, t)
				if change != nil {
					change(r)
				}
				title := name
				if validate {
					title += ", only validated"
				}
				out = append(out, Case{title, append(makeTopic(topic, 2), Step{Req: r})})
			}
		}
		for _, c := range []int32{-1, 0, 1, 2, 3, 5} {
			ask(fmt.Sprintf("count %d", c), c, nil, nil)
		}
		ask("assignment", 3, [][]int32{{1}}, nil)
		ask("assignment of two", 4, [][]int32{{1}, {1}}, nil)
		ask("assignment too short", 4, [][]int32{{1}}, nil)
		ask("assignment too long", 3, [][]int32{{1}, {1}}, nil)
		ask("assignment unknown", 3, [][]int32{{9}}, nil)
		ask("assignment of none", 3, [][]int32{{}}, nil)
		ask("assignment other factor", 3, [][]int32{{1, 2}}, nil)
		ask("assignment duplicate", 3, [][]int32{{1, 1}}, nil)
		ask("assignment empty", 3, [][]int32{}, func(r *kmsg.CreatePartitionsRequest) {
			r.Topics[0].Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
		})
		ask("unknown", 3, nil, func(r *kmsg.CreatePartitionsRequest) { r.Topics[0].Topic = "unknown" })
		ask("bad name", 3, nil, func(r *kmsg.CreatePartitionsRequest) { r.Topics[0].Topic = "a b" })
		ask("no name", 3, nil, func(r *kmsg.CreatePartitionsRequest) { r.Topics[0].Topic = "" })
		ask("nothing", 3, nil, func(r *kmsg.CreatePartitionsRequest) { r.Topics = nil })
		ask("twice", 3, nil, func(r *kmsg.CreatePartitionsRequest) { r.Topics = append(r.Topics, r.Topics[0]) })
		ask("internal", 60, nil, func(r *kmsg.CreatePartitionsRequest) { r.Topics[0].Topic = "__transaction_state" })
		return out
	})
}

package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestDeleteRecords(t *testing.T) {
	compare(t, 21, func(v int16) (out []Case) {
		topic := fmt.Sprintf("delete-records-%d", v)
		for _, p := range []*Peer{kafka, chronik} {
			if err := p.Prepare(Case{topic, append(makeTopic(topic, 2), Step{Req: produce(9, topic, 0, NewBatch("a", "b", "c", "d", "e").Encode()), Until: produced})}); err != nil {
				t.Fatal(err)
			}
		}
		ask := func(name, topic string, partition int32, offsets ...int64) {
			one(&out, name, v, kmsg.NewPtrDeleteRecordsRequest(), func(r *kmsg.DeleteRecordsRequest) {
				r.TimeoutMillis = 5000
				for _, o := range offsets {
					r.Topics = append(r.Topics, kmsg.DeleteRecordsRequestTopic{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: o}}})
				}
			})
		}
		ask("offset 2", topic, 0, 2)
		ask("back to 1", topic, 0, 1)
		ask("offset -2", topic, 0, -2)
		ask("too far", topic, 0, 6)
		ask("offset 3", topic, 0, 3)
		ask("all", topic, 0, -1)
		ask("all again", topic, 0, -1)
		ask("empty partition", topic, 1, -1)
		ask("empty partition 0", topic, 1, 0)
		ask("empty partition 1", topic, 1, 1)
		ask("unknown partition", topic, 2, 0)
		ask("negative partition", topic, -1, 0)
		ask("unknown", "unknown", 0, 0)
		ask("bad name", "a b", 0, 0)
		ask("no name", "", 0, 0)
		ask("compact", "compact", 0, 0)
		ask("compact and delete", "both", 0, 0)
		ask("internal", "__transaction_state", 0, 0)
		ask("metadata", "__cluster_metadata", 0, 0)
		ask("nothing", topic, 0)
		ask("twice", topic, 0, 5, 5)
		one(&out, "timeout 0", v, kmsg.NewPtrDeleteRecordsRequest(), func(r *kmsg.DeleteRecordsRequest) {
			r.TimeoutMillis = 0
			r.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: -1}}}}
		})
		return out
	})
}

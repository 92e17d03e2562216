package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetsOf asks for the offset of one timestamp.
func offsetsOf(topic string, partition int32, timestamp int64) kmsg.ListOffsetsRequestTopic {
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch, p.MaxNumOffsets = partition, timestamp, -1, 1
	return kmsg.ListOffsetsRequestTopic{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}
}

func TestListOffsets(t *testing.T) {
	now := start + 60000
	compare(t, 2, func(v int16) (out []Case) {
		ask := func(name string, change func(r *kmsg.ListOffsetsRequest)) {
			one(&out, name, v, kmsg.NewPtrListOffsetsRequest(), func(r *kmsg.ListOffsetsRequest) {
				r.ReplicaID, r.TimeoutMillis = -1, 1000
				change(r)
			})
		}
		for _, isolation := range []int8{0, 1, 2} {
			for _, stamp := range []int64{-1, -2, -3, -4, -5, -6, -7, -8, -9223372036854775808, 0, 1, now - 60000, now - 59000, now - 50000, now + 3600000, 9223372036854775807} {
				name := fmt.Sprint(stamp)
				if stamp > 1<<40 && stamp < 1<<50 {
					name = fmt.Sprintf("now%+d", stamp-now)
				}
				if isolation == 2 && stamp != -1 {
					continue // no such level
				}
				ask(fmt.Sprintf("isolation %d timestamp %s", isolation, name), func(r *kmsg.ListOffsetsRequest) {
					r.IsolationLevel = isolation
					for _, topic := range []string{"t", "cut", "compact", "append"} {
						r.Topics = append(r.Topics, offsetsOf(topic, 0, stamp))
					}
					for _, p := range []int32{1, 2} {
						r.Topics[0].Partitions = append(r.Topics[0].Partitions, offsetsOf("t", p, stamp).Partitions...)
					}
				})
			}
		}
		for _, epoch := range []int32{-2, -1, 0, 1, 100, 2147483647} {
			ask(fmt.Sprintf("leader epoch %d", epoch), func(r *kmsg.ListOffsetsRequest) {
				r.Topics = append(r.Topics, offsetsOf("t", 0, -1), offsetsOf("cut", 0, -2))
				r.Topics[0].Partitions[0].CurrentLeaderEpoch, r.Topics[1].Partitions[0].CurrentLeaderEpoch = epoch, epoch
			})
		}
		for _, replica := range []int32{-3, -2, 0, 1, 2} {
			ask(fmt.Sprintf("replica %d", replica), func(r *kmsg.ListOffsetsRequest) {
				r.ReplicaID = replica
				r.Topics = append(r.Topics, offsetsOf("t", 0, -1), offsetsOf("t", 2, -1), offsetsOf("cut", 0, -2))
			})
		}
		ask("no topics", func(r *kmsg.ListOffsetsRequest) {})
		ask("no partitions", func(r *kmsg.ListOffsetsRequest) { r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t"}} })
		ask("unknown", func(r *kmsg.ListOffsetsRequest) {
			r.Topics = append(r.Topics, offsetsOf("unknown", 0, -1), offsetsOf("t", 3, -1), offsetsOf("cut", -1, -1), offsetsOf("a b", 0, -1), offsetsOf("", 0, -1))
		})
		ask("twice", func(r *kmsg.ListOffsetsRequest) {
			r.Topics = append(r.Topics, offsetsOf("t", 0, -1))
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		})
		ask("topic twice", func(r *kmsg.ListOffsetsRequest) {
			r.Topics = append(r.Topics, offsetsOf("t", 0, -1), offsetsOf("t", 1, -2), offsetsOf("t", 0, -2))
		})
		return out
	})
}

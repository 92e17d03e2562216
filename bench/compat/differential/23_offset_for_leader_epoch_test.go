package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestOffsetForLeaderEpoch(t *testing.T) {
	compare(t, 23, func(v int16) (out []Case) {
		ask := func(name string, replica int32, parts ...any) {
			one(&out, name, v, kmsg.NewPtrOffsetForLeaderEpochRequest(), func(r *kmsg.OffsetForLeaderEpochRequest) {
				r.ReplicaID = replica
				for i := 0; i < len(parts); i += 4 {
					p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
					p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = int32(parts[i+1].(int)), int32(parts[i+2].(int)), int32(parts[i+3].(int))
					r.Topics = append(r.Topics, kmsg.OffsetForLeaderEpochRequestTopic{Topic: parts[i].(string), Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}})
				}
			})
		}
		for _, replica := range []int32{-2, -1, 1, 7} {
			for _, epoch := range []int{-2, -1, 0, 1, 5, 2147483647} {
				ask(fmt.Sprintf("replica %d epoch %d", replica, epoch), replica, "t", 0, -1, epoch, "t", 1, -1, epoch, "cut", 0, -1, epoch, "t", 2, -1, epoch)
				ask(fmt.Sprintf("replica %d current %d", replica, epoch), replica, "t", 0, epoch, 0)
			}
		}
		ask("nothing", -1)
		ask("unknown", -1, "unknown", 0, -1, 0, "t", 9, -1, 0, "cut", -1, -1, 0, "", 0, -1, 0)
		ask("twice", -1, "t", 0, -1, 0, "t", 0, -1, 0)
		return out
	})
}

package group

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestLoading: while a partition is being read every request says so in the way
// that clients take well. A heartbeat is answered as if all were well, since old
// clients take anything else for fatal, and a SyncGroup sends the member to join
// again, since its rebalance is lost (Kafka's GroupCoordinatorService).
func TestLoading(t *testing.T) {
	w := openWorld(t, vfs.NewMem(), "/data", nil)
	defer w.close()
	w.topic(OffsetsTopic, worldPartitions)
	c := New(Options{Cluster: w.cluster, Log: func(int32) *logstore.Log { return nil }, Go: func(_ string, f func()) { w.running.Go(f) }})
	defer c.Close()
	offsets := []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{}}}}
	for _, k := range []struct {
		name string
		want int16
		ask  func(done func(int16))
	}{
		{"JoinGroup", codeCoordinatorLoading, func(done func(int16)) {
			c.JoinGroup(testClient, &kmsg.JoinGroupRequest{Version: 7, Group: "g", SessionTimeoutMillis: 10_000}, func(r *kmsg.JoinGroupResponse) { done(r.ErrorCode) })
		}},
		{"SyncGroup", codeRebalanceInProgress, func(done func(int16)) {
			c.SyncGroup(testClient, &kmsg.SyncGroupRequest{Version: 5, Group: "g"}, func(r *kmsg.SyncGroupResponse) { done(r.ErrorCode) })
		}},
		{"Heartbeat", codeNone, func(done func(int16)) {
			c.Heartbeat(testClient, &kmsg.HeartbeatRequest{Version: 4, Group: "g"}, func(r *kmsg.HeartbeatResponse) { done(r.ErrorCode) })
		}},
		{"LeaveGroup", codeCoordinatorLoading, func(done func(int16)) {
			c.LeaveGroup(testClient, &kmsg.LeaveGroupRequest{Version: 1, Group: "g", MemberID: "m"}, func(r *kmsg.LeaveGroupResponse) { done(r.ErrorCode) })
		}},
		{"DescribeGroups", codeCoordinatorLoading, func(done func(int16)) {
			c.DescribeGroup(testClient, 5, "g", func(r *kmsg.DescribeGroupsResponseGroup) { done(r.ErrorCode) })
		}},
		{"ListGroups", codeCoordinatorLoading, func(done func(int16)) {
			c.ListGroups(testClient, &kmsg.ListGroupsRequest{Version: 5}, func(r *kmsg.ListGroupsResponse) { done(r.ErrorCode) })
		}},
		{"DeleteGroups", codeCoordinatorLoading, func(done func(int16)) { c.DeleteGroup(testClient, "g", done) }},
		{"OffsetCommit", codeCoordinatorLoading, func(done func(int16)) {
			c.OffsetCommit(&kmsg.OffsetCommitRequest{Version: 8, Group: "g", Generation: -1, Topics: offsets}, nil,
				func(r *kmsg.OffsetCommitResponse) { done(r.Topics[0].Partitions[0].ErrorCode) })
		}},
		{"OffsetFetch", codeCoordinatorLoading, func(done func(int16)) {
			c.OffsetFetchGroup(testClient, 8, &kmsg.OffsetFetchRequestGroup{Group: "g", MemberEpoch: -1}, false,
				func(r *kmsg.OffsetFetchResponseGroup) { done(r.ErrorCode) })
		}},
		{"OffsetDelete", codeCoordinatorLoading, func(done func(int16)) {
			c.OffsetDelete(testClient, &kmsg.OffsetDeleteRequest{Group: "g"}, func(r *kmsg.OffsetDeleteResponse) { done(r.ErrorCode) })
		}},
		{"ConsumerGroupHeartbeat", codeCoordinatorLoading, func(done func(int16)) {
			c.ConsumerGroupHeartbeat(testClient, &kmsg.ConsumerGroupHeartbeatRequest{Version: 1, Group: "g", MemberID: "m", MemberEpoch: 3, RebalanceTimeoutMillis: -1},
				func(r *kmsg.ConsumerGroupHeartbeatResponse) { done(r.ErrorCode) })
		}},
		{"ConsumerGroupDescribe", codeCoordinatorLoading, func(done func(int16)) {
			c.ConsumerGroupDescribe(testClient, "g", func(r *kmsg.ConsumerGroupDescribeResponseGroup) { done(r.ErrorCode) })
		}},
		{"TxnOffsetCommit", codeCoordinatorLoading, func(done func(int16)) {
			c.TxnOffsetCommit(&kmsg.TxnOffsetCommitRequest{Version: 3, Group: "g", Generation: -1,
				Topics: []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{}}}}}, 0,
				func(r *kmsg.TxnOffsetCommitResponse) { done(r.Topics[0].Partitions[0].ErrorCode) })
		}},
	} {
		if got := await(k.ask); got != k.want {
			t.Errorf("%s: code %d, want %d", k.name, got, k.want)
		}
	}
}

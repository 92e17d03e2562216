package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
)

// TestOneNodeAdmin: APIs about several nodes answer what Kafka answers where
// there is one.
func TestOneNodeAdmin(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 2, nil)
	w := dial(t, b)

	for version := int16(0); version <= 2; version++ {
		req := kmsg.NewPtrElectLeadersRequest()
		req.Version = version
		req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0, 7}}, {Topic: "none", Partitions: []int32{0}}}
		resp := ask[*kmsg.ElectLeadersResponse](w, req)
		got := fmt.Sprint(resp.ErrorCode, resp.Topics[0].Partitions[0].ErrorCode, resp.Topics[0].Partitions[1].ErrorCode, resp.Topics[1].Partitions[0].ErrorCode)
		if got != "0 84 3 3" {
			t.Errorf("ElectLeaders v%d: %s", version, got)
		}
		req.Topics = nil
		if resp = ask[*kmsg.ElectLeadersResponse](w, req); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
			t.Errorf("ElectLeaders v%d of all: %+v", version, resp)
		}
	}

	for version := int16(0); version <= 1; version++ {
		for _, c := range []struct {
			topic    string
			replicas []int32
			code     errCode
		}{
			{"t", []int32{b.opt.NodeID}, errNone},
			{"t", nil, errNoReassignment},
			{"t", []int32{}, errInvalidReplicaAssignment},
			{"t", []int32{b.opt.NodeID, b.opt.NodeID}, errInvalidReplicaAssignment},
			{"t", []int32{b.opt.NodeID + 1}, errInvalidReplicaAssignment},
			{"none", []int32{b.opt.NodeID}, errUnknownTopicOrPartition},
		} {
			req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			req.Version = version
			req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: c.topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 1, Replicas: c.replicas}}}}
			resp := ask[*kmsg.AlterPartitionAssignmentsResponse](w, req)
			if got := resp.Topics[0].Partitions[0].ErrorCode; got != c.code {
				t.Errorf("reassignment v%d of %s to %v: %d, want %d", version, c.topic, c.replicas, got, c.code)
			}
		}
	}
	if resp := ask[*kmsg.ListPartitionReassignmentsResponse](w, kmsg.NewPtrListPartitionReassignmentsRequest()); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
		t.Errorf("reassignments: %+v", resp)
	}

	dir := b.store.Dirs()[0].Path
	for version := int16(0); version <= 2; version++ {
		for _, c := range []struct {
			dir, topic string
			code       errCode
		}{{dir, "t", errNone}, {"/nowhere", "t", errLogDirNotFound}, {dir, "none", errUnknownTopicOrPartition}} {
			req := kmsg.NewPtrAlterReplicaLogDirsRequest()
			req.Version = version
			req.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: c.dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: c.topic, Partitions: []int32{1}}}}}
			if got := ask[*kmsg.AlterReplicaLogDirsResponse](w, req).Topics[0].Partitions[0].ErrorCode; got != c.code {
				t.Errorf("AlterReplicaLogDirs v%d %s to %s: %d, want %d", version, c.topic, c.dir, got, c.code)
			}
		}
	}

	for version := int16(0); version <= 2; version++ {
		req := kmsg.NewPtrDescribeQuorumRequest()
		req.Version = version
		req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: cluster.MetadataTopic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}}}}
		resp := ask[*kmsg.DescribeQuorumResponse](w, req)
		p := resp.Topics[0].Partitions[0]
		if resp.ErrorCode != 0 || p.ErrorCode != 0 || p.LeaderID != b.opt.NodeID || p.HighWatermark <= 0 || len(p.CurrentVoters) != 1 || p.CurrentVoters[0].LogEndOffset < p.HighWatermark {
			t.Errorf("DescribeQuorum v%d: %+v", version, resp)
		}
		if version == 2 && (len(resp.Nodes) != 1 || resp.Nodes[0].Listeners[0].Name != "PLAINTEXT") {
			t.Errorf("DescribeQuorum v2: nodes %+v", resp.Nodes)
		}
		req.Topics[0].Topic = "t"
		if got := ask[*kmsg.DescribeQuorumResponse](w, req).Topics[0].Partitions[0].ErrorCode; got != errUnknownTopicOrPartition {
			t.Errorf("DescribeQuorum v%d of t: %d", version, got)
		}
	}

	un := kmsg.NewPtrUnregisterBrokerRequest()
	for id, code := range map[int32]errCode{b.opt.NodeID: errInvalidRequest, 77: errBrokerIDNotRegistered} {
		un.BrokerID = id
		if got := ask[*kmsg.UnregisterBrokerResponse](w, un).ErrorCode; got != code {
			t.Errorf("UnregisterBroker %d: %d, want %d", id, got, code)
		}
	}
	wrong := "another"
	for version := int16(0); version <= 1; version++ {
		add := kmsg.NewPtrAddRaftVoterRequest()
		add.Version = version
		if got := ask[*kmsg.AddRaftVoterResponse](w, add).ErrorCode; got != errUnsupportedVersion {
			t.Errorf("AddRaftVoter v%d: %d", version, got)
		}
	}
	remove := kmsg.NewPtrRemoveRaftVoterRequest()
	if got := ask[*kmsg.RemoveRaftVoterResponse](w, remove).ErrorCode; got != errUnsupportedVersion {
		t.Errorf("RemoveRaftVoter: %d", got)
	}
	remove.ClusterID = &wrong
	if got := ask[*kmsg.RemoveRaftVoterResponse](w, remove).ErrorCode; got != errInconsistentClusterID {
		t.Errorf("RemoveRaftVoter of another cluster: %d", got)
	}
}

// TestUpdateFeatures: levels go up and down within what is supported, all or
// none, and ApiVersions tells them.
func TestUpdateFeatures(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	epoch := b.cluster.Image().Version
	for _, c := range []struct {
		feature string
		level   int16
		how     int8
		code    errCode
	}{
		{"group.version", 1, featureUpgrade, errNone}, // as it is
		{"group.version", 0, featureUpgrade, errInvalidUpdateVersion},
		{"group.version", 2, featureUpgrade, errInvalidUpdateVersion},
		{"group.version", -1, featureSafeDowngrade, errInvalidUpdateVersion},
		{"group.version", 0, 9, errInvalidUpdateVersion},
		{"transaction.version", 1, featureSafeDowngrade, errNone},
		{"transaction.version", 2, featureSafeDowngrade, errInvalidUpdateVersion},
		{"transaction.version", 2, featureUpgrade, errNone},
		{"metadata.version", 20, featureUnsafeDowngrade, errInvalidUpdateVersion},
		{"kraft.version", 1, featureUpgrade, errInvalidUpdateVersion},
		{"no.such.version", 1, featureUpgrade, errInvalidUpdateVersion},
	} {
		before := b.cluster.Image().Features[c.feature]
		for _, dry := range []bool{true, false} {
			req := kmsg.NewPtrUpdateFeaturesRequest()
			req.Version, req.ValidateOnly = 2, dry
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel, u.UpgradeType = c.feature, c.level, c.how
			req.FeatureUpdates = append(req.FeatureUpdates, u)
			resp := ask[*kmsg.UpdateFeaturesResponse](w, req)
			if resp.ErrorCode != c.code || (resp.ErrorMessage == nil) != (c.code == errNone) {
				t.Errorf("%s to %d by %d: %d", c.feature, c.level, c.how, resp.ErrorCode)
			}
			want := before
			if !dry && c.code == errNone {
				want = c.level
			}
			if got := b.cluster.Image().Features[c.feature]; got != want {
				t.Errorf("%s to %d by %d (dry %v): the level is %d, want %d", c.feature, c.level, c.how, dry, got, want)
			}
		}
	}
	if now := b.cluster.Image().Version; now <= epoch {
		t.Errorf("the features' epoch went from %d to %d", epoch, now)
	}
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version = 0
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel = "group.version", b.cluster.Image().Features["group.version"]
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	if resp := ask[*kmsg.UpdateFeaturesResponse](w, req); resp.ErrorCode != 0 || len(resp.Results) != 1 {
		t.Errorf("v0: %+v", resp)
	}
}

// TestElectionTypes: v1 and later have two types of election.
func TestElectionTypes(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	for kind, want := range map[int8]errCode{0: errNone, 1: errNone, 2: errInvalidRequest, -1: errInvalidRequest} {
		req := kmsg.NewPtrElectLeadersRequest()
		req.Version, req.ElectionType = 2, kind
		req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		resp := ask[*kmsg.ElectLeadersResponse](w, req)
		part := resp.Topics[0].Partitions[0].ErrorCode
		if resp.ErrorCode != want || want != errNone && part != want || want == errNone && part != errElectionNotNeeded {
			t.Errorf("type %d: %d, its partition %d; want %d", kind, resp.ErrorCode, part, want)
		}
	}
}

// TestLogDirsOfSome: DescribeLogDirs tells of the topics and partitions that it
// is asked for, and of all when it is asked for none in particular.
func TestLogDirsOfSome(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 3, nil)
	makeTopic(t, b, "u", 2, nil)
	w := dial(t, b)
	for _, c := range []struct {
		ask  []kmsg.DescribeLogDirsRequestTopic
		want string
	}{
		{nil, "t [0 1 2] u [0 1] "},
		{[]kmsg.DescribeLogDirsRequestTopic{}, ""},
		{[]kmsg.DescribeLogDirsRequestTopic{{Topic: "t", Partitions: []int32{1}}}, "t [1] "},
		{[]kmsg.DescribeLogDirsRequestTopic{{Topic: "u", Partitions: []int32{1, 0}}, {Topic: "t", Partitions: []int32{2, 9}}, {Topic: "none", Partitions: []int32{0}}}, "t [2] u [0 1] "},
		{[]kmsg.DescribeLogDirsRequestTopic{{Topic: "t", Partitions: []int32{0}}, {Topic: "t", Partitions: []int32{2}}}, "t [0 2] "},
	} {
		got := ""
		for _, d := range ask[*kmsg.DescribeLogDirsResponse](w, &kmsg.DescribeLogDirsRequest{Version: 4, Topics: c.ask}).Dirs {
			for _, topic := range d.Topics {
				var parts []int32
				for _, p := range topic.Partitions {
					parts = append(parts, p.Partition)
				}
				got += fmt.Sprint(topic.Topic, " ", parts, " ")
			}
		}
		if got != c.want {
			t.Errorf("asked for %+v: %q, want %q", c.ask, got, c.want)
		}
	}
}

// TestMoreThanAskedFor: assignments that do not match the partitions, a topic
// named in two ways and a quorum asked for beside another are refused.
func TestMoreThanAskedFor(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	for n, want := range map[int]errCode{1: errInvalidReplicaAssignment, 3: errInvalidReplicaAssignment, 2: errNone} {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.Version, req.TimeoutMillis, req.ValidateOnly = 3, 5000, true
		one := kmsg.CreatePartitionsRequestTopic{Topic: "t", Count: 3}
		for range n {
			one.Assignment = append(one.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: []int32{b.opt.NodeID}})
		}
		req.Topics = append(req.Topics, one)
		if got := ask[*kmsg.CreatePartitionsResponse](w, req).Topics[0].ErrorCode; got != want {
			t.Errorf("2 more partitions with %d assignments: %d, want %d", n, got, want)
		}
	}
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	quorum.Version = 2
	asked := kmsg.DescribeQuorumRequestTopic{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}}}
	quorum.Topics = []kmsg.DescribeQuorumRequestTopic{asked, {Topic: "t", Partitions: asked.Partitions}}
	for _, top := range ask[*kmsg.DescribeQuorumResponse](w, quorum).Topics {
		if got := top.Partitions[0].ErrorCode; got != errUnknownTopicOrPartition {
			t.Errorf("the quorum of %s, asked for beside another: %d", top.Topic, got)
		}
	}
	name := "t"
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TimeoutMillis = 6, 5000
	del.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}, {TopicID: id}}
	resp := ask[*kmsg.DeleteTopicsResponse](w, del)
	if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != errInvalidRequest || resp.Topics[0].Topic == nil || *resp.Topics[0].Topic != "t" {
		t.Errorf("a topic by name and by id: %+v", resp.Topics)
	}
	if b.cluster.Image().Topic("t") == nil {
		t.Error("a topic that was named twice is deleted")
	}
}

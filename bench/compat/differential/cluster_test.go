package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestDescribeCluster(t *testing.T) {
	compare(t, 60, func(v int16) (out []Case) {
		for _, endpoint := range []int8{0, 1, 2, 3, -1} {
			for _, yes := range []bool{false, true} {
				one(&out, fmt.Sprintf("endpoint %d, operations and fenced %v", endpoint, yes), v, kmsg.NewPtrDescribeClusterRequest(), func(r *kmsg.DescribeClusterRequest) {
					r.EndpointType, r.IncludeClusterAuthorizedOperations, r.IncludeFencedBrokers = endpoint, yes, yes
				})
			}
		}
		return out
	})
}

func TestDescribeTopicPartitions(t *testing.T) {
	compare(t, 75, func(v int16) (out []Case) {
		ask := func(name string, limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, topics ...string) {
			r := kmsg.NewPtrDescribeTopicPartitionsRequest()
			r.Version, r.ResponsePartitionLimit, r.Cursor = v, limit, cursor
			for _, t := range topics {
				r.Topics = append(r.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: t})
			}
			out = append(out, Case{name, []Step{{Req: r, Ordered: true}}})
		}
		at := func(topic string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
			return &kmsg.DescribeTopicPartitionsRequestCursor{Topic: topic, Partition: partition}
		}
		for _, limit := range []int32{-1, 0, 1, 2, 3, 4, 5, 2000, 5000} {
			ask(fmt.Sprintf("limit %d", limit), limit, nil, "t", "small", "a.b")
			ask(fmt.Sprintf("limit %d from t-1", limit), limit, at("t", 1), "t", "small", "a.b", "zstd")
		}
		ask("unknown", 100, nil, "unknown", "t")
		ask("bad name", 100, nil, "a b", "t", "")
		ask("twice", 100, nil, "t", "t", "small")
		ask("internal", 100, nil, "__transaction_state")
		ask("from an unknown topic", 100, at("sometopic", 0), "small", "t")
		ask("from another topic", 100, at("small", 0), "small", "t", "cut")
		ask("from partition 3", 100, at("t", 3), "t")
		ask("from partition 100", 100, at("t", 100), "t", "zstd")
		ask("from partition -1", 100, at("t", -1), "t")
		ask("from no topic", 100, at("", 0), "t")
		return out
	})
}

func TestDescribeQuorum(t *testing.T) {
	compare(t, 55, func(v int16) (out []Case) {
		ask := func(name, topic string, partitions ...int32) {
			one(&out, name, v, kmsg.NewPtrDescribeQuorumRequest(), func(r *kmsg.DescribeQuorumRequest) {
				in := kmsg.NewDescribeQuorumRequestTopic()
				in.Topic = topic
				for _, p := range partitions {
					in.Partitions = append(in.Partitions, kmsg.DescribeQuorumRequestTopicPartition{Partition: p})
				}
				r.Topics = append(r.Topics, in)
			})
		}
		ask("metadata", "__cluster_metadata", 0)
		ask("metadata 1", "__cluster_metadata", 1)
		ask("two", "__cluster_metadata", 0, 1)
		ask("no partition", "__cluster_metadata")
		ask("topic", "t", 0)
		ask("unknown", "unknown", 0)
		one(&out, "nothing", v, kmsg.NewPtrDescribeQuorumRequest(), nil)
		return out
	})
}

func TestUpdateFeatures(t *testing.T) {
	compare(t, 57, func(v int16) (out []Case) {
		ask := func(name, feature string, level int16, kind int8, validate bool) {
			one(&out, name, v, kmsg.NewPtrUpdateFeaturesRequest(), func(r *kmsg.UpdateFeaturesRequest) {
				f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
				f.Feature, f.MaxVersionLevel, f.UpgradeType, f.AllowDowngrade = feature, level, kind, kind != 1
				r.FeatureUpdates, r.ValidateOnly, r.TimeoutMillis = append(r.FeatureUpdates, f), validate, 5000
			})
		}
		for _, kind := range []int8{0, 1, 2, 3, 4, -1} {
			for _, level := range []int16{-1, 0, 1, 2, 3, 100} {
				for _, feature := range []string{"group.version", "transaction.version", "no.such.feature", ""} {
					ask(fmt.Sprintf("%s to %d, type %d", feature, level, kind), feature, level, kind, true)
				}
			}
		}
		ask("metadata.version to 100", "metadata.version", 100, 1, true)
		ask("metadata.version to 0", "metadata.version", 0, 3, true)
		ask("metadata.version to 1", "metadata.version", 1, 2, true)
		ask("kraft.version to 1", "kraft.version", 1, 1, true)
		one(&out, "nothing", v, kmsg.NewPtrUpdateFeaturesRequest(), nil)
		return out
	})
}

func TestElectLeaders(t *testing.T) {
	compare(t, 43, func(v int16) (out []Case) {
		ask := func(name string, kind int8, topics ...kmsg.ElectLeadersRequestTopic) {
			one(&out, fmt.Sprintf("%s, type %d", name, kind), v, kmsg.NewPtrElectLeadersRequest(), func(r *kmsg.ElectLeadersRequest) {
				r.ElectionType, r.Topics, r.TimeoutMillis = kind, topics, 5000
			})
		}
		for _, kind := range []int8{0, 1, 2, -1} {
			ask("some", kind, kmsg.ElectLeadersRequestTopic{Topic: "t", Partitions: []int32{0, 1}}, kmsg.ElectLeadersRequestTopic{Topic: "cut", Partitions: []int32{0}})
			ask("unknown partition", kind, kmsg.ElectLeadersRequestTopic{Topic: "t", Partitions: []int32{0, 7, -1}})
			ask("unknown topic", kind, kmsg.ElectLeadersRequestTopic{Topic: "unknown", Partitions: []int32{0}})
			ask("twice", kind, kmsg.ElectLeadersRequestTopic{Topic: "t", Partitions: []int32{0, 0}})
			ask("no partitions", kind, kmsg.ElectLeadersRequestTopic{Topic: "t"})
			ask("all", kind)
			one(&out, fmt.Sprintf("none, type %d", kind), v, kmsg.NewPtrElectLeadersRequest(), func(r *kmsg.ElectLeadersRequest) {
				r.ElectionType, r.Topics = kind, []kmsg.ElectLeadersRequestTopic{}
			})
		}
		return out
	})
}

func TestAlterPartitionReassignments(t *testing.T) {
	compare(t, 45, func(v int16) (out []Case) {
		ask := func(name, topic string, partition int32, replicas []int32) {
			one(&out, name, v, kmsg.NewPtrAlterPartitionAssignmentsRequest(), func(r *kmsg.AlterPartitionAssignmentsRequest) {
				r.TimeoutMillis = 5000
				r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: partition, Replicas: replicas}}}}
			})
		}
		ask("cancel", "t", 0, nil)
		ask("the same", "t", 0, []int32{1})
		ask("none", "t", 0, []int32{})
		ask("unknown broker", "t", 0, []int32{7})
		ask("two", "t", 0, []int32{1, 7})
		ask("twice", "t", 0, []int32{1, 1})
		ask("negative", "t", 0, []int32{-1})
		ask("unknown partition", "t", 9, []int32{1})
		ask("unknown partition, cancel", "t", 9, nil)
		ask("unknown topic", "unknown", 0, []int32{1})
		ask("unknown topic, cancel", "unknown", 0, nil)
		one(&out, "nothing", v, kmsg.NewPtrAlterPartitionAssignmentsRequest(), nil)
		one(&out, "partition twice", v, kmsg.NewPtrAlterPartitionAssignmentsRequest(), func(r *kmsg.AlterPartitionAssignmentsRequest) {
			p := kmsg.AlterPartitionAssignmentsRequestTopicPartition{Partition: 0, Replicas: []int32{1}}
			r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{p, p}}}
		})
		return out
	})
}

func TestListPartitionReassignments(t *testing.T) {
	compare(t, 46, func(v int16) (out []Case) {
		ask := func(name string, topics ...kmsg.ListPartitionReassignmentsRequestTopic) {
			one(&out, name, v, kmsg.NewPtrListPartitionReassignmentsRequest(), func(r *kmsg.ListPartitionReassignmentsRequest) {
				r.Topics, r.TimeoutMillis = topics, 5000
			})
		}
		ask("all")
		ask("some", kmsg.ListPartitionReassignmentsRequestTopic{Topic: "t", Partitions: []int32{0, 1}})
		ask("unknown", kmsg.ListPartitionReassignmentsRequestTopic{Topic: "unknown", Partitions: []int32{0}}, kmsg.ListPartitionReassignmentsRequestTopic{Topic: "t", Partitions: []int32{9}})
		return out
	})
}

func TestDescribeLogDirs(t *testing.T) {
	compare(t, 35, func(v int16) (out []Case) {
		ask := func(name string, topics ...kmsg.DescribeLogDirsRequestTopic) {
			one(&out, name, v, kmsg.NewPtrDescribeLogDirsRequest(), func(r *kmsg.DescribeLogDirsRequest) { r.Topics = topics })
		}
		ask("some", kmsg.DescribeLogDirsRequestTopic{Topic: "compact", Partitions: []int32{0}}, kmsg.DescribeLogDirsRequestTopic{Topic: "a.b", Partitions: []int32{0, 1, 2}})
		ask("unknown", kmsg.DescribeLogDirsRequestTopic{Topic: "unknown", Partitions: []int32{0}})
		ask("no partitions", kmsg.DescribeLogDirsRequestTopic{Topic: "t"})
		one(&out, "none", v, kmsg.NewPtrDescribeLogDirsRequest(), func(r *kmsg.DescribeLogDirsRequest) { r.Topics = []kmsg.DescribeLogDirsRequestTopic{} })
		return out
	})
}

func TestAlterReplicaLogDirs(t *testing.T) {
	compare(t, 34, func(v int16) (out []Case) {
		ask := func(name, dir, topic string, partitions ...int32) {
			one(&out, name, v, kmsg.NewPtrAlterReplicaLogDirsRequest(), func(r *kmsg.AlterReplicaLogDirsRequest) {
				r.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: topic, Partitions: partitions}}}}
			})
		}
		ask("unknown dir", "/no/such/dir", "t", 0)
		ask("relative dir", "x", "t", 0)
		ask("no dir", "", "t", 0)
		ask("unknown topic", "/no/such/dir", "unknown", 0)
		ask("unknown partition", "/no/such/dir", "t", 9)
		ask("no partitions", "/no/such/dir", "t")
		one(&out, "nothing", v, kmsg.NewPtrAlterReplicaLogDirsRequest(), nil)
		return out
	})
}

func TestDescribeProducers(t *testing.T) {
	compare(t, 61, func(v int16) (out []Case) {
		ask := func(name, topic string, partitions ...int32) {
			one(&out, name, v, kmsg.NewPtrDescribeProducersRequest(), func(r *kmsg.DescribeProducersRequest) {
				r.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: partitions}}
			})
		}
		ask("transactions", "t", 2)
		ask("none", "t", 0, 1)
		ask("unknown partition", "t", 9, -1)
		ask("unknown topic", "unknown", 0)
		ask("bad name", "a b", 0)
		ask("twice", "t", 2, 2)
		ask("no partitions", "t")
		one(&out, "nothing", v, kmsg.NewPtrDescribeProducersRequest(), nil)
		return out
	})
}

func TestUnregisterBroker(t *testing.T) {
	compare(t, 64, func(v int16) (out []Case) {
		for _, id := range []int32{-1, 0, 7, 2147483647} {
			one(&out, fmt.Sprintf("broker %d", id), v, kmsg.NewPtrUnregisterBrokerRequest(), func(r *kmsg.UnregisterBrokerRequest) { r.BrokerID = id })
		}
		return out
	})
}

func TestRaftVoters(t *testing.T) {
	compare(t, 80, func(v int16) (out []Case) {
		ask := func(name string, cluster *string, id int32, listeners int) {
			one(&out, name, v, kmsg.NewPtrAddRaftVoterRequest(), func(r *kmsg.AddRaftVoterRequest) {
				r.ClusterID, r.TimeoutMillis, r.VoterID, r.VoterDirectoryID = cluster, 1000, id, [16]byte{1}
				for range listeners {
					r.Listeners = append(r.Listeners, kmsg.AddRaftVoterRequestListener{Name: "CONTROLLER", Host: "127.0.0.1", Port: 1})
				}
			})
		}
		ask("other cluster", value("other"), 7, 1)
		ask("no cluster", nil, 7, 1)
		ask("no listener", nil, 7, 0)
		ask("itself", nil, 1, 1)
		return out
	})
	compare(t, 81, func(v int16) (out []Case) {
		ask := func(name string, cluster *string, id int32) {
			one(&out, name, v, kmsg.NewPtrRemoveRaftVoterRequest(), func(r *kmsg.RemoveRaftVoterRequest) {
				r.ClusterID, r.VoterID, r.VoterDirectoryID = cluster, id, [16]byte{1}
			})
		}
		ask("other cluster", value("other"), 7)
		ask("unknown", nil, 7)
		ask("itself", nil, 1)
		return out
	})
}

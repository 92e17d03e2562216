package broker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
)

// TestAnswersOfKafka are answers that Apache Kafka 4.2 gave to the same
// requests (bench/compat/differential), and Chronik once did not.
func TestAnswersOfKafka(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	policy, zstd := "compact", "zstd"
	makeTopic(t, b, "keyed", 1, map[string]*string{"cleanup.policy": &policy})
	makeTopic(t, b, "zstd", 1, map[string]*string{"compression.type": &zstd})
	w := dial(t, b)
	ask[*kmsg.ProduceResponse](w, produceOf(9, "t", [16]byte{}, 1, batchOf(t, compress.None, 3)))
	for _, c := range []struct {
		name string
		req  kmsg.Request
		want string
	}{
		{"Metadata v10 refuses an id, and tells nothing else", metadataOf(10, "", id), "[42]  0 brokers, controller -1"},
		{"Metadata v11 refuses an id beside a name", metadataOf(11, "t", id), "[42]t 0 brokers, controller -1"},
		{"Metadata v12 takes an id", metadataOf(12, "", id), "[0]t 1 brokers, controller 1"},
		{"ListOffsets: an epoch of -2 is old", listOf(9, 0, -2, 0), "[0: 74 offset -1]"},
		{"ListOffsets: an epoch of -1 is none", listOf(9, 0, -1, 0), "[0: 0 offset 3]"},
		{"ListOffsets: the same partition twice", listOf(9, 0, -1, 0, 0), "[0: 42 offset -1]"},
		{"ListOffsets: a topic without partitions", listOf(9, 0, -1), ""},
		{"ListOffsets: no such isolation level", listOf(9, 2, -1, 0), "[0: -1 offset -1]"},
		{"OffsetForLeaderEpoch: an epoch older than any", epochOf(-1, -2), "0 epoch -2 end 0"},
		{"OffsetForLeaderEpoch: no epoch", epochOf(-1, -1), "0 epoch -1 end -1"},
		{"OffsetForLeaderEpoch: a leader of old", epochOf(-2, 0), "74 epoch -1 end -1"},
		{"DescribeProducers: a name that no topic can have", producersOf("a b"), "17 told true"},
		{"DescribeProducers: no such topic", producersOf("other"), "3 told true"},
		{"Produce: the log's start beside a refusal", produceOf(9, "t", [16]byte{}, 1, damagedBatch(t, compress.None, func(b record.Batch) { b.SetBaseOffset(5) })), "87 start 0"},
		{"Produce: no log's start beside a damaged batch", produceOf(9, "t", [16]byte{}, 1, append(batchOf(t, compress.None, 1)[:70], 1, 2)), "87 start -1"},
		{"Produce: zeros behind the batch", produceOf(9, "t", [16]byte{}, 1, append(batchOf(t, compress.None, 1), make([]byte, 61)...)), "2 start -1"},
		{"Produce: compressed records without keys", produceOf(9, "keyed", [16]byte{}, 1, keylessBatch(t, compress.Gzip)), "87 start 0 record 0"},
		{"Produce: compressed records with keys", produceOf(9, "keyed", [16]byte{}, 1, batchOf(t, compress.Gzip, 2)), "0 start 0"},
		{"Produce: compressed rubbish to a compacted topic", produceOf(9, "keyed", [16]byte{}, 1, damagedBatch(t, compress.Gzip, func(b record.Batch) { b[len(b)-9] ^= 0x55 })), "2 start -1"},
		{"Produce: a transactional batch, no producer, no id", produceOf(9, "t", [16]byte{}, 1, damagedBatch(t, compress.None, func(b record.Batch) { b[22] |= 0x10 })), "53 start -1"},
		{"Produce: a codec that is none, to be recompressed", produceOf(9, "zstd", [16]byte{}, 1, damagedBatch(t, compress.None, func(b record.Batch) { b[22] |= 5 })), "76 start 0"},
	} {
		if got := toldBy(ask[kmsg.Response](w, c.req)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func metadataOf(version int16, name string, id [16]byte) *kmsg.MetadataRequest {
	r := kmsg.NewPtrMetadataRequest()
	r.Version, r.Topics = version, []kmsg.MetadataRequestTopic{{TopicID: id}}
	if name != "" {
		r.Topics[0].Topic = &name
	}
	return r
}

func listOf(version int16, isolation int8, epoch int32, partitions ...int32) *kmsg.ListOffsetsRequest {
	r := kmsg.NewPtrListOffsetsRequest()
	r.Version, r.ReplicaID, r.IsolationLevel = version, -1, isolation
	r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t"}}
	for _, p := range partitions {
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, kmsg.ListOffsetsRequestTopicPartition{Partition: p, CurrentLeaderEpoch: epoch, Timestamp: timeLatest})
	}
	return r
}

func epochOf(current, epoch int32) *kmsg.OffsetForLeaderEpochRequest {
	r := kmsg.NewPtrOffsetForLeaderEpochRequest()
	r.Version, r.ReplicaID = 4, -1
	r.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: current, LeaderEpoch: epoch}}}}
	return r
}

func producersOf(topic string) *kmsg.DescribeProducersRequest {
	r := kmsg.NewPtrDescribeProducersRequest()
	r.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	return r
}

// damagedBatch is a batch of three with a sound CRC over what change did.
func damagedBatch(t *testing.T, codec compress.Codec, change func(record.Batch)) []byte {
	b := record.Batch(batchOf(t, codec, 3))
	change(b)
	b.SetCRC()
	return b
}

func keylessBatch(t *testing.T, codec compress.Codec) []byte {
	o := record.DefaultBuilderOptions()
	o.Codec = codec
	bld := record.NewBuilder(nil, o)
	bld.Append(1_700_000_000_000, nil, []byte("value"))
	b, err := bld.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// toldBy is what an answer says, in a line.
func toldBy(resp kmsg.Response) (s string) {
	switch r := resp.(type) {
	case *kmsg.MetadataResponse:
		name := " "
		if n := r.Topics[0].Topic; n != nil && *n != "" {
			name = *n
		}
		return fmt.Sprintf("[%d]%s %d brokers, controller %d", r.Topics[0].ErrorCode, name, len(r.Brokers), r.ControllerID)
	case *kmsg.ListOffsetsResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				s += fmt.Sprintf("[%d: %d offset %d]", p.Partition, p.ErrorCode, p.Offset)
			}
		}
		return s
	case *kmsg.OffsetForLeaderEpochResponse:
		p := r.Topics[0].Partitions[0]
		return fmt.Sprintf("%d epoch %d end %d", p.ErrorCode, p.LeaderEpoch, p.EndOffset)
	case *kmsg.DescribeProducersResponse:
		p := r.Topics[0].Partitions[0]
		return fmt.Sprintf("%d told %v", p.ErrorCode, p.ErrorMessage != nil)
	case *kmsg.ProduceResponse:
		p := r.Topics[0].Partitions[0]
		s = fmt.Sprintf("%d start %d", p.ErrorCode, p.LogStartOffset)
		for _, e := range p.ErrorRecords {
			s += fmt.Sprintf(" record %d", e.RelativeOffset)
		}
		return s
	}
	return fmt.Sprintf("%T", resp)
}

// TestApiVersionsBelow: a version below 0 is answered like one that is too new.
func TestApiVersionsBelow(t *testing.T) {
	w := dial(t, run(t, nil))
	w.write([]byte{0, 0, 0, 10, 0, keyApiVersions, 0xff, 0xfe, 0, 0, 0, 7, 0xff, 0xff})
	body, err := w.read()
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(body[4:]); err != nil || resp.ErrorCode != errUnsupportedVersion {
		t.Fatalf("error %d, %v", resp.ErrorCode, err)
	}
}

// TestAdminAnswersOfKafka are those of the APIs that change topics and features.
func TestAdminAnswersOfKafka(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "twice", 1, nil)
	w := dial(t, b)
	create := func(partitions int32, configs ...kmsg.CreateTopicsRequestTopicConfig) *kmsg.CreateTopicsRequest {
		r := kmsg.NewPtrCreateTopicsRequest()
		r.Version, r.ValidateOnly = 5, true
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor, topic.Configs = "new", partitions, 1, configs
		r.Topics = append(r.Topics, topic)
		return r
	}
	one, two := "1", "2"
	set := func(key string, v *string) kmsg.CreateTopicsRequestTopicConfig {
		return kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: v}
	}
	for _, c := range []struct {
		name string
		req  *kmsg.CreateTopicsRequest
		want int16
	}{
		{"lags that contradict", create(1, set("min.compaction.lag.ms", &two), set("max.compaction.lag.ms", &one)), errInvalidConfig},
		{"a null value", create(1, set("retention.ms", nil)), errInvalidConfig},
		{"a key twice", create(1, set("retention.ms", &one), set("retention.ms", &two)), errNone},
		{"too many partitions", create(1 << 30), errPolicyViolation},
		{"the metadata log", func() *kmsg.CreateTopicsRequest {
			r := create(1)
			r.Topics[0].Topic = "__cluster_metadata"
			return r
		}(), errInvalidRequest},
	} {
		topic := ask[*kmsg.CreateTopicsResponse](w, c.req).Topics[0]
		if topic.ErrorCode != c.want || topic.Configs == nil {
			t.Errorf("CreateTopics, %s: %d, want %d; null configs: %v", c.name, topic.ErrorCode, c.want, topic.Configs == nil)
		}
	}

	alter := func(kind int8, resource, key string, value *string) *kmsg.AlterConfigsRequest {
		r := kmsg.NewPtrAlterConfigsRequest()
		r.ValidateOnly = true
		r.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceType(kind), ResourceName: resource,
			Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: key, Value: value}}}}
		return r
	}
	word := "x"
	for _, c := range []struct {
		name string
		req  *kmsg.AlterConfigsRequest
		want int16
	}{
		{"a null value", alter(2, "twice", "retention.ms", nil), errInvalidRequest},
		{"a topic without a name", alter(2, "", "retention.ms", &one), errInvalidRequest},
		{"a key without a name", alter(2, "twice", "", &one), errInvalidConfig},
		{"a topic's bad value", alter(2, "twice", "retention.ms", &word), errInvalidConfig},
		{"a broker's bad value", alter(4, "1", "message.max.bytes", &word), errInvalidRequest},
		{"all brokers' bad value", alter(4, "", "message.max.bytes", &word), errInvalidRequest},
	} {
		if got := ask[*kmsg.AlterConfigsResponse](w, c.req).Resources[0].ErrorCode; got != c.want {
			t.Errorf("AlterConfigs, %s: %d, want %d", c.name, got, c.want)
		}
	}

	name := "twice"
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.Topics = 6, []kmsg.DeleteTopicsRequestTopic{{Topic: &name}, {Topic: &name}}
	if resp := ask[*kmsg.DeleteTopicsResponse](w, del); len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != errInvalidRequest || b.topics.get(name) == nil {
		t.Errorf("DeleteTopics, a name twice: %+v, and the topic must stay", resp.Topics)
	}

	update := kmsg.NewPtrUpdateFeaturesRequest()
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	f.Feature, f.MaxVersionLevel, f.AllowDowngrade = "group.version", 0, true
	update.FeatureUpdates = append(update.FeatureUpdates, f)
	if resp := ask[*kmsg.UpdateFeaturesResponse](w, update); resp.ErrorCode != errInvalidUpdateVersion {
		t.Errorf("UpdateFeatures v0, a downgrade: %d", resp.ErrorCode)
	}

	quorum := kmsg.NewPtrDescribeQuorumRequest()
	quorum.Version = 2
	quorum.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}, {Partition: 1}}}}
	resp := ask[*kmsg.DescribeQuorumResponse](w, quorum)
	for _, p := range resp.Topics[0].Partitions {
		if p.ErrorCode != errUnknownTopicOrPartition || len(resp.Nodes) != 0 {
			t.Errorf("DescribeQuorum, two partitions: %d for %d, %d nodes", p.ErrorCode, p.Partition, len(resp.Nodes))
		}
	}
}

// TestDeleteGroupsOnce: a group that is named twice is answered once, in its first
// place (KafkaApis.handleDeleteGroupsRequest).
func TestDeleteGroupsOnce(t *testing.T) {
	w := dial(t, run(t, nil))
	ask[*kmsg.FindCoordinatorResponse](w, &kmsg.FindCoordinatorRequest{Version: 3, CoordinatorKey: "g"}) // makes the topic
	for v := range deleteGroupsAPI.max + 1 {
		resp := ask[*kmsg.DeleteGroupsResponse](w, &kmsg.DeleteGroupsRequest{Version: v, Groups: []string{"b", "a", "b", "", "a", ""}})
		var got []string
		for _, g := range resp.Groups {
			got = append(got, g.Group)
			if g.ErrorCode != errGroupIDNotFound {
				t.Errorf("v%d: group %q: %d, want %d", v, g.Group, g.ErrorCode, errGroupIDNotFound)
			}
		}
		if want := []string{"b", "a", ""}; !slices.Equal(got, want) {
			t.Errorf("v%d: %q, want %q", v, got, want)
		}
	}
}

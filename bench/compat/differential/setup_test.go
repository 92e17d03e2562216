package differential

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What both brokers start from. Cases that change something make topics of
// their own.
//
//	t         3 partitions; 0 has plain, compressed and headered batches, 1 is
//	          empty, 2 has a committed, an aborted and an open transaction
//	cut       its records before 3 are deleted
//	compact   cleanup.policy=compact
//	both      cleanup.policy=compact,delete
//	append    message.timestamp.type=LogAppendTime
//	small     max.message.bytes=1000, retention.ms set, too
//	zstd      compression.type=zstd
var topics = []struct {
	name       string
	partitions int32
	configs    []string
}{
	{"t", 3, nil},
	{"cut", 1, nil},
	{"compact", 1, []string{"cleanup.policy=compact"}},
	{"both", 1, []string{"cleanup.policy=compact,delete"}},
	{"append", 1, []string{"message.timestamp.type=LogAppendTime"}},
	{"small", 1, []string{"max.message.bytes=1000", "retention.ms=3600000"}},
	{"zstd", 1, []string{"compression.type=zstd"}},
	{"a.b", 2, nil},
}

// start is the time of the first record, the same for both brokers.
var start = clock() - 60000

func setup() error {
	for _, p := range []*Peer{kafka, chronik} {
		if err := setupTopics(p); err != nil {
			return err
		}
		if err := setupRecords(p); err != nil {
			return err
		}
		if err := setupTransactions(p); err != nil {
			return err
		}
	}
	return nil
}

func setupTopics(p *Peer) error {
	var steps []Step
	for _, t := range topics {
		steps = append(steps, makeTopic(t.name, t.partitions, t.configs...)...)
	}
	return p.Prepare(Case{"topics", steps})
}

// makeTopic makes a topic and waits until it is led. Its id is kept under its
// name.
func makeTopic(name string, partitions int32, configs ...string) []Step {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 5000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		entry := kmsg.NewCreateTopicsRequestTopicConfig()
		entry.Name, entry.Value = key, &value
		topic.Configs = append(topic.Configs, entry)
	}
	req.Topics = append(req.Topics, topic)
	return []Step{{Req: req, Uncompared: true, Keep: func(r kmsg.Response, v *Vars) {
		v.Topic(name, r.(*kmsg.CreateTopicsResponse).Topics[0].TopicID)
	}}, awaitTopic(name, partitions)}
}

// awaitTopic waits until a topic has that many led partitions.
func awaitTopic(name string, partitions int32) Step {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 12, false
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	return Step{Req: req, Uncompared: true, Until: func(r kmsg.Response) bool {
		t := r.(*kmsg.MetadataResponse).Topics[0]
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
		return t.ErrorCode == 0 && int32(len(t.Partitions)) == partitions
	}}
}

// produce is a Produce request of one partition, by name.
func produce(version int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, -1, 5000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, records
	top := kmsg.NewProduceRequestTopic()
	top.Topic, top.TopicID, top.Partitions = topic, ID(topic), []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = []kmsg.ProduceRequestTopic{top}
	return req
}

// produced says that a Produce request was taken.
func produced(r kmsg.Response) bool {
	return r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode == 0
}

func setupRecords(p *Peer) error {
	var steps []Step
	add := func(topic string, partition int32, b Batch) {
		steps = append(steps, Step{Req: produce(9, topic, partition, b.Encode()), Until: produced})
	}
	for codec := range int16(5) {
		b := NewBatch("one", "two", "three")
		b.Codec, b.Time = codec, start+int64(codec)*1000
		add("t", 0, b)
	}
	b := NewBatch("with", "headers")
	b.Header, b.Keys, b.Time = "name", []string{"k1", "k2"}, start+10000
	add("t", 0, b)
	for i := range int64(2) {
		b := NewBatch("a", "b", "c")
		b.Time = start + i*1000
		add("cut", 0, b)
	}
	add("append", 0, NewBatch("x"))
	del := kmsg.NewPtrDeleteRecordsRequest()
	del.Version, del.TimeoutMillis = 2, 5000
	del.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "cut", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 3}}}}
	steps = append(steps, Step{Req: del, Until: func(r kmsg.Response) bool {
		return r.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].ErrorCode == 0
	}})
	return p.Prepare(Case{"records", steps})
}

// setupTransactions writes three transactions to partition 2 of t.
func setupTransactions(p *Peer) error {
	for _, name := range []string{"committed", "aborted", "open"} {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorKey, find.CoordinatorType = 2, name, 1
		id := kmsg.NewPtrInitProducerIDRequest()
		id.Version, id.TransactionalID, id.TransactionTimeoutMillis = 4, &name, 600000
		steps := []Step{
			{Req: find, Until: func(r kmsg.Response) bool { return r.(*kmsg.FindCoordinatorResponse).ErrorCode == 0 }},
			{Req: id, Until: func(r kmsg.Response) bool { return r.(*kmsg.InitProducerIDResponse).ErrorCode == 0 },
				Keep: func(r kmsg.Response, v *Vars) { v.Long(name, r.(*kmsg.InitProducerIDResponse).ProducerID) }},
		}
		if err := p.Prepare(Case{name, steps}); err != nil {
			return err
		}
		producer := p.Vars.longs[Int64(name)].value
		add := kmsg.NewPtrAddPartitionsToTxnRequest()
		add.Version, add.TransactionalID, add.ProducerID = 3, name, producer
		add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{2}}}
		b := NewBatch(name, "record")
		b.Time, b.Attributes, b.Producer, b.Epoch, b.Sequence = start, 0x10, producer, 0, 0
		req := produce(9, "t", 2, b.Encode())
		req.TransactionID = &name
		steps = []Step{
			{Req: add, Until: func(r kmsg.Response) bool {
				return r.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode == 0
			}},
			{Req: req, Until: produced},
		}
		if name != "open" {
			end := kmsg.NewPtrEndTxnRequest()
			end.Version, end.TransactionalID, end.ProducerID, end.Commit = 3, name, producer, name == "committed"
			steps = append(steps, Step{Req: end, Until: func(r kmsg.Response) bool { return r.(*kmsg.EndTxnResponse).ErrorCode == 0 }},
				awaitStable("t", 2, map[string]int64{"committed": 3, "aborted": 6}[name]))
		}
		if err := p.Prepare(Case{name, steps}); err != nil {
			return fmt.Errorf("transaction %s: %w", name, err)
		}
	}
	return nil
}

// awaitStable waits until a partition's last stable offset is there.
func awaitStable(topic string, partition int32, offset int64) Step {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID, req.IsolationLevel = 5, -1, 1
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: partition, CurrentLeaderEpoch: -1, Timestamp: -1}}}}
	return Step{Req: req, Uncompared: true, Until: func(r kmsg.Response) bool {
		return r.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset == offset
	}}
}

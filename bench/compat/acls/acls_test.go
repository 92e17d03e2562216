package acls

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// peer is a broker with a connection of each user.
type peer struct {
	name  string
	users map[string]*kgo.Broker
}

func connect(t *testing.T, name, addr string) *peer {
	t.Helper()
	p := &peer{name, map[string]*kgo.Broker{}}
	for _, user := range []string{"admin", "alice", "bob"} {
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.MaxVersions(kversion.V2_8_0()),
			kgo.SASL(plain.Auth{User: user, Pass: "pw-of-" + user}.AsMechanism()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		p.users[user] = cl.SeedBrokers()[0]
	}
	return p
}

func (p *peer) ask(t *testing.T, user string, req kmsg.Request) kmsg.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	resp, err := p.users[user].Request(ctx, req)
	if err != nil {
		t.Fatalf("%s: %s as %s: %v", p.name, kmsg.NameForKey(req.Key()), user, err)
	}
	return resp
}

var names = []string{"a", "ab", "abc", "b"}

// question is a request about a name; every API that asks for something of its own.
type question struct {
	what string
	make func(name string) kmsg.Request
}

var questions = []question{
	{"DESCRIBE topic (ListOffsets)", func(name string) kmsg.Request {
		r := kmsg.NewPtrListOffsetsRequest()
		r.ReplicaID = -1
		r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1, CurrentLeaderEpoch: -1}}}}
		return r
	}},
	{"DESCRIBE topic (Metadata)", func(name string) kmsg.Request {
		r := kmsg.NewPtrMetadataRequest()
		r.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		return r
	}},
	{"READ topic (Fetch)", func(name string) kmsg.Request {
		r := kmsg.NewPtrFetchRequest()
		r.ReplicaID, r.MaxBytes, r.SessionEpoch = -1, 1000, -1
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1000
		r.Topics = []kmsg.FetchRequestTopic{{Topic: name, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
		return r
	}},
	{"WRITE topic (Produce)", func(name string) kmsg.Request {
		r := kmsg.NewPtrProduceRequest()
		r.Acks, r.TimeoutMillis = 1, 1000
		r.Topics = []kmsg.ProduceRequestTopic{{Topic: name, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: []byte{}}}}}
		return r
	}},
	{"DELETE topic (DeleteRecords)", func(name string) kmsg.Request {
		r := kmsg.NewPtrDeleteRecordsRequest()
		r.TimeoutMillis = 1000
		r.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{}}}}
		return r
	}},
	{"CREATE cluster or topic (CreateTopics)", func(name string) kmsg.Request {
		r := kmsg.NewPtrCreateTopicsRequest()
		r.ValidateOnly, r.TimeoutMillis = true, 1000
		one := kmsg.NewCreateTopicsRequestTopic()
		one.Topic, one.NumPartitions, one.ReplicationFactor = name, 1, 1
		r.Topics = append(r.Topics, one)
		return r
	}},
	{"ALTER topic (CreatePartitions)", func(name string) kmsg.Request {
		r := kmsg.NewPtrCreatePartitionsRequest()
		r.ValidateOnly, r.TimeoutMillis = true, 1000
		r.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: name, Count: 2}}
		return r
	}},
	{"DESCRIBE_CONFIGS topic", func(name string) kmsg.Request {
		r := kmsg.NewPtrDescribeConfigsRequest()
		r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name, ConfigNames: []string{"retention.ms"}}}
		return r
	}},
	{"ALTER_CONFIGS topic", func(name string) kmsg.Request {
		r := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r.ValidateOnly = true
		value := "1000"
		r.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}}}
		return r
	}},
	{"CLUSTER_ACTION, or DESCRIBE topic (OffsetForLeaderEpoch)", func(name string) kmsg.Request {
		r := kmsg.NewPtrOffsetForLeaderEpochRequest()
		r.ReplicaID = -1
		r.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: -1}}}}
		return r
	}},
	{"DESCRIBE group and topic (OffsetFetch)", func(name string) kmsg.Request {
		r := kmsg.NewPtrOffsetFetchRequest()
		r.Group = name
		r.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: name, Partitions: []int32{0}}}
		return r
	}},
	{"READ group and topic (OffsetCommit)", func(name string) kmsg.Request {
		r := kmsg.NewPtrOffsetCommitRequest()
		r.Group, r.Generation = name, 9
		r.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: name, Partitions: []kmsg.OffsetCommitRequestTopicPartition{kmsg.NewOffsetCommitRequestTopicPartition()}}}
		return r
	}},
	{"READ group (Heartbeat)", func(name string) kmsg.Request {
		r := kmsg.NewPtrHeartbeatRequest()
		r.Group, r.MemberID = name, "nobody"
		return r
	}},
	{"DESCRIBE group", func(name string) kmsg.Request {
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = []string{name}
		return r
	}},
	{"DELETE group", func(name string) kmsg.Request {
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Groups = []string{name}
		return r
	}},
	{"DESCRIBE group (FindCoordinator)", func(name string) kmsg.Request {
		r := kmsg.NewPtrFindCoordinatorRequest()
		r.CoordinatorKey = name
		return r
	}},
	{"DESCRIBE transactional id (FindCoordinator)", func(name string) kmsg.Request {
		r := kmsg.NewPtrFindCoordinatorRequest()
		r.CoordinatorKey, r.CoordinatorType = name, 1
		return r
	}},
	{"WRITE transactional id (AddPartitionsToTxn)", func(name string) kmsg.Request {
		r := kmsg.NewPtrAddPartitionsToTxnRequest()
		r.TransactionalID, r.ProducerID = name, 1
		r.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: name, Partitions: []int32{0}}}
		return r
	}},
	{"WRITE transactional id (EndTxn)", func(name string) kmsg.Request {
		r := kmsg.NewPtrEndTxnRequest()
		r.TransactionalID, r.ProducerID = name, 1
		return r
	}},
	{"IDEMPOTENT_WRITE, or WRITE on any topic (InitProducerId)", func(string) kmsg.Request {
		r := kmsg.NewPtrInitProducerIDRequest()
		r.TransactionTimeoutMillis = 60000
		return r
	}},
	{"DESCRIBE cluster (DescribeAcls)", func(string) kmsg.Request { return everything() }},
	{"ALTER cluster (AlterPartitionAssignments)", func(name string) kmsg.Request {
		r := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		r.TimeoutMillis = 1000
		r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: name, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{}}}}
		return r
	}},
	{"DESCRIBE_CONFIGS cluster", func(string) kmsg.Request {
		r := kmsg.NewPtrDescribeConfigsRequest()
		r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1", ConfigNames: []string{"log.retention.ms"}}}
		return r
	}},
	{"DESCRIBE_CONFIGS cluster (quotas)", func(string) kmsg.Request { return kmsg.NewPtrDescribeClientQuotasRequest() }},
}

func everything() *kmsg.DescribeACLsRequest {
	r := kmsg.NewPtrDescribeACLsRequest()
	r.ResourceType, r.ResourcePatternType, r.Operation, r.PermissionType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	return r
}

func randomACL(r *rand.Rand) kmsg.CreateACLsRequestCreation {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	a := kmsg.NewCreateACLsRequestCreation()
	a.ResourcePatternType = []kmsg.ACLResourcePatternType{kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLResourcePatternTypePrefixed}[r.IntN(2)]
	a.ResourceType = []kmsg.ACLResourceType{kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup, kmsg.ACLResourceTypeTransactionalId, kmsg.ACLResourceTypeCluster}[r.IntN(5)]
	a.ResourceName = pick("*", "*", "a", "ab", "abc", "b")
	ops := []kmsg.ACLOperation{kmsg.ACLOperationAll, kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe}
	switch a.ResourceType {
	case kmsg.ACLResourceTypeTopic:
		ops = append(ops, kmsg.ACLOperationCreate, kmsg.ACLOperationDelete, kmsg.ACLOperationAlter, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs)
	case kmsg.ACLResourceTypeGroup:
		ops = []kmsg.ACLOperation{kmsg.ACLOperationAll, kmsg.ACLOperationRead, kmsg.ACLOperationDescribe, kmsg.ACLOperationDelete}
	case kmsg.ACLResourceTypeTransactionalId:
		ops = []kmsg.ACLOperation{kmsg.ACLOperationAll, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe}
	case kmsg.ACLResourceTypeCluster:
		a.ResourceName, a.ResourcePatternType = "kafka-cluster", kmsg.ACLResourcePatternTypeLiteral
		ops = []kmsg.ACLOperation{kmsg.ACLOperationAll, kmsg.ACLOperationCreate, kmsg.ACLOperationAlter, kmsg.ACLOperationDescribe,
			kmsg.ACLOperationIdempotentWrite, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs}
	}
	a.Operation = ops[r.IntN(len(ops))]
	if r.IntN(4) == 0 {
		a.Operation = kmsg.ACLOperationAll
	}
	a.Principal, a.Host = pick("User:alice", "User:alice", "User:bob", "User:*"), pick("*", "*", "127.0.0.1", "127.0.0.1", "192.0.2.1")
	a.PermissionType = kmsg.ACLPermissionTypeAllow
	if r.IntN(6) == 0 {
		a.PermissionType = kmsg.ACLPermissionTypeDeny
	}
	return a
}

// denials are the authorization errors of an answer, each once.
func denials(v reflect.Value) (found []int16) {
	const topic, group, cluster, transactional, token = 29, 30, 31, 53, 65
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			found = denials(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !strings.HasSuffix(v.Type().Field(i).Name, "ErrorCode") {
				found = append(found, denials(v.Field(i))...)
			} else if c := int16(v.Field(i).Int()); slices.Contains([]int16{topic, group, cluster, transactional, token}, c) {
				found = append(found, c)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = append(found, denials(v.Index(i))...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestACLs compares what the two refuse.
func TestACLs(t *testing.T) {
	if os.Getenv("ACL_KAFKA") == "" {
		t.Skip("ACL_KAFKA names no broker; bench/compat/acls/run starts both")
	}
	peers := []*peer{connect(t, "Kafka", os.Getenv("ACL_KAFKA")), connect(t, "Chronik", os.Getenv("ACL_CHRONIK"))}
	for _, p := range peers {
		r := kmsg.NewPtrCreateTopicsRequest()
		r.TimeoutMillis = 10000
		for _, name := range names {
			one := kmsg.NewCreateTopicsRequestTopic()
			one.Topic, one.NumPartitions, one.ReplicationFactor = name, 1, 1
			r.Topics = append(r.Topics, one)
		}
		for _, made := range p.ask(t, "admin", r).(*kmsg.CreateTopicsResponse).Topics {
			if made.ErrorCode != 0 {
				t.Fatalf("%s: the topic %s: code %d", p.name, made.Topic, made.ErrorCode)
			}
		}
	}
	for _, p := range peers {
		for _, name := range append(names, "none") {
			coordinated(t, p, name)
		}
	}
	rounds := 60
	if n, err := strconv.Atoi(os.Getenv("ACL_ROUNDS")); err == nil {
		rounds = n
	}
	asked, denied := 0, 0
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 48))
		set := kmsg.NewPtrCreateACLsRequest()
		for range 4 + r.IntN(16) {
			set.Creations = append(set.Creations, randomACL(r))
		}
		for _, p := range peers {
			replace(t, p, set)
		}
		for range 40 {
			q, user, name := questions[r.IntN(len(questions))], []string{"alice", "bob"}[r.IntN(2)], append(names, "none")[r.IntN(len(names)+1)]
			var got [2][]int16
			for i, p := range peers {
				got[i] = denials(reflect.ValueOf(p.ask(t, user, q.make(name))))
			}
			asked++
			if len(got[0]) > 0 {
				denied++
			}
			if !slices.Equal(got[0], got[1]) {
				t.Errorf("round %d: %s as %s on %q: Kafka refuses by %v, Chronik by %v, under%s", round, q.what, user, name, got[0], got[1], text(set))
			}
		}
	}
	t.Logf("%d questions under %d sets of ACLs, %d refused", asked, rounds, denied)
	if denied < asked/10 || denied > asked*9/10 {
		t.Errorf("%d of %d questions were refused; the rules try too little", denied, asked)
	}
}

// coordinated waits until the broker coordinates a group and a transactional id of
// the name: Kafka makes the topics behind them at the first question.
func coordinated(t *testing.T, p *peer, name string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		ready := true
		for kind := range int8(2) {
			find := kmsg.NewPtrFindCoordinatorRequest()
			find.CoordinatorKey, find.CoordinatorType = name, kind
			ready = ready && p.ask(t, "admin", find).(*kmsg.FindCoordinatorResponse).ErrorCode == 0
		}
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Group, fetch.Topics = name, []kmsg.OffsetFetchRequestTopic{{Topic: "a", Partitions: []int32{0}}}
		if ready && p.ask(t, "admin", fetch).(*kmsg.OffsetFetchResponse).ErrorCode == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not coordinate %q", p.name, name)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// replace removes every ACL, makes those of set, and waits until the broker has them.
func replace(t *testing.T, p *peer, set *kmsg.CreateACLsRequest) {
	t.Helper()
	gone := kmsg.NewPtrDeleteACLsRequest()
	all := kmsg.NewDeleteACLsRequestFilter()
	all.ResourceType, all.ResourcePatternType, all.Operation, all.PermissionType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	gone.Filters = append(gone.Filters, all)
	p.ask(t, "admin", gone)
	await(t, p, map[string]bool{})
	want := map[string]bool{}
	for _, c := range set.Creations {
		want[fmt.Sprint(c.ResourceType, c.ResourcePatternType, c.ResourceName, c.Principal, c.Host, c.Operation, c.PermissionType)] = true
	}
	for i, made := range p.ask(t, "admin", set).(*kmsg.CreateACLsResponse).Results {
		if made.ErrorCode != 0 {
			t.Fatalf("%s: ACL %d: code %d", p.name, i, made.ErrorCode)
		}
	}
	await(t, p, want)
}

// await waits until the broker describes as many ACLs as it should have.
func await(t *testing.T, p *peer, want map[string]bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		n := 0
		for _, r := range p.ask(t, "admin", everything()).(*kmsg.DescribeACLsResponse).Resources {
			n += len(r.ACLs)
		}
		if n == len(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has %d ACLs, not %d", p.name, n, len(want))
		}
		<-time.After(5 * time.Millisecond)
	}
}

func text(set *kmsg.CreateACLsRequest) string {
	var b strings.Builder
	for _, c := range set.Creations {
		fmt.Fprintf(&b, "\n\t%v %v on %v %v %q to %s from %s", c.PermissionType, c.Operation, c.ResourcePatternType, c.ResourceType, c.ResourceName, c.Principal, c.Host)
	}
	return b.String()
}

package broker

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What the coordinators refuse, over the wire, in every version that is served,
// with the code that Kafka gives that version.

// Codes that only the coordinators answer with.
const (
	errOffsetMetadataTooLarge    errCode = 12
	errIllegalGeneration         errCode = 22
	errUnknownMemberID           errCode = 25
	errInvalidSessionTimeout     errCode = 26
	errInvalidTransactionTimeout errCode = 50
	errNonEmptyGroup             errCode = 68
	errGroupIDNotFound           errCode = 69
	errMemberIDRequired          errCode = 79
	errFencedInstanceID          errCode = 82
	errGroupSubscribedToTopic    errCode = 86
	errTransactionalIDNotFound   errCode = 105
	errFencedMemberEpoch         errCode = 110
	errUnsupportedAssignor       errCode = 112
	errStaleMemberEpoch          errCode = 113
)

// refusalCase is one request that is wrong in one way.
type refusalCase struct {
	name string
	api  api
	from int16 // the first version that can say it
	make func(v int16) kmsg.Request
	// want is the code of every element that has one, by version.
	want func(v int16) errCode
}

func always(code errCode) func(int16) errCode { return func(int16) errCode { return code } }

// since is old below version v, new from it on.
func since(v int16, old, new errCode) func(int16) errCode {
	return func(have int16) errCode {
		if have < v {
			return old
		}
		return new
	}
}

// deepestCodes gives the error codes of an answer's innermost elements: where
// there is a list of members, partitions, groups or markers the answer's own
// code stays 0.
func deepestCodes(v reflect.Value) (codes []errCode) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return deepestCodes(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			codes = append(codes, deepestCodes(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if k := v.Field(i).Kind(); k == reflect.Slice || k == reflect.Pointer {
				codes = append(codes, deepestCodes(v.Field(i))...)
			}
		}
		if f := v.FieldByName("ErrorCode"); f.IsValid() && (len(codes) == 0 || f.Int() != 0) {
			codes = []errCode{errCode(f.Int())}
		}
	}
	return codes
}

// refusalWorld is what the requests meet: groups of each kind and a producer
// whose transaction is open.
type refusalWorld struct {
	b        *Broker
	topic    [16]byte
	classic  *kmsg.JoinGroupResponse // the member of "classic"
	static   *kmsg.JoinGroupResponse // of "static", instance "i"
	modern   string                  // of "modern", KIP-848
	zombie   *txnClient              // of "tx", an epoch too old
	producer *txnClient              // of "tx"
	idle     *txnClient              // of "idle", an epoch too old; nothing is open
}

func newRefusalWorld(t *testing.T) *refusalWorld {
	b := run(t, func(o *Options) {
		o.Static = map[string]string{"group.initial.rebalance.delay.ms": "0", "offset.metadata.max.bytes": "100"}
	})
	r := &refusalWorld{b: b, topic: makeTopic(t, b, "t", 1, nil)}
	r.classic, r.static = r.member(t, "classic", nil), r.member(t, "static", kmsg.StringPtr("i"))
	w := dial(t, b)
	r.modern = "4f0c3cc2-3f0e-4b6f-9d1d-0d1f3c1f9a01"
	eventually(t, "a member of KIP-848", func() bool {
		return ask[*kmsg.ConsumerGroupHeartbeatResponse](w, r.beat(1, "modern", r.modern, 0)).ErrorCode == errNone
	})
	r.idle = beginTxn(t, b, "idle")
	beginTxn(t, b, "idle")
	r.zombie = beginTxn(t, b, "tx")
	r.producer = beginTxn(t, b, "tx")
	if r.producer.epoch <= r.zombie.epoch {
		t.Fatalf("epochs %d and %d", r.zombie.epoch, r.producer.epoch)
	}
	if code := r.producer.add("t", 0); code != errNone {
		t.Fatalf("AddPartitionsToTxn: %d", code)
	}
	offsets := kmsg.NewPtrAddOffsetsToTxnRequest()
	offsets.Version, offsets.TransactionalID, offsets.Group = 3, "tx", "classic"
	offsets.ProducerID, offsets.ProducerEpoch = r.producer.pid, r.producer.epoch
	if code := ask[*kmsg.AddOffsetsToTxnResponse](w, offsets).ErrorCode; code != errNone {
		t.Fatalf("AddOffsetsToTxn: %d", code)
	}
	return r
}

// member joins a classic group of its own and gets its assignment.
func (r *refusalWorld) member(t *testing.T, group string, instance *string) *kmsg.JoinGroupResponse {
	w := dial(t, r.b)
	join := r.join(7, group, "")
	join.InstanceID = instance
	var resp *kmsg.JoinGroupResponse
	eventually(t, "a member of "+group, func() bool {
		resp = ask[*kmsg.JoinGroupResponse](w, join)
		join.MemberID = resp.MemberID
		return resp.ErrorCode == errNone
	})
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.MemberID, sync.Generation, sync.InstanceID = 3, group, resp.MemberID, resp.Generation, instance
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: resp.MemberID, MemberAssignment: []byte("a")}}
	if code := ask[*kmsg.SyncGroupResponse](w, sync).ErrorCode; code != errNone {
		t.Fatalf("SyncGroup: %d", code)
	}
	return resp
}

func (r *refusalWorld) join(v int16, group, member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = v, group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 60_000, 60_000
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{"t"}
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: meta.AppendTo(nil)}}
	return req
}

func (r *refusalWorld) sync(v int16, group, member string, generation int32) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = v, group, member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	return req
}

func (r *refusalWorld) heartbeat(v int16, group, member string, generation int32) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.Generation = v, group, member, generation
	return req
}

func (r *refusalWorld) leave(v int16, group, member string, instance *string) kmsg.Request {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID = v, group, member
	req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: member, InstanceID: instance}}
	return req
}

func (r *refusalWorld) commit(v int16, group, member string, generation int32) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.MemberID, req.Generation = v, group, member, generation
	top := kmsg.NewOffsetCommitRequestTopic()
	top.Topic, top.TopicID = "t", r.topic
	top.Partitions = []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: 1, LeaderEpoch: -1}}
	req.Topics = []kmsg.OffsetCommitRequestTopic{top}
	return req
}

func (r *refusalWorld) fetchOffsets(v int16, group string, member *string, epoch int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = v, group
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberID, g.MemberEpoch = group, member, epoch
	g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", TopicID: r.topic, Partitions: []int32{0}}}
	req.Groups = []kmsg.OffsetFetchRequestGroup{g}
	return req
}

func (r *refusalWorld) beat(v int16, group, member string, epoch int32) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = v, group, member, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.Topics = 60_000, []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return req
}

func (r *refusalWorld) init(v int16, id string, timeout int32) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = v, &id, timeout
	return req
}

func (r *refusalWorld) addPartitions(v int16, id string, pid int64, epoch int16, topic string) kmsg.Request {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = v, id, pid, epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	one := kmsg.NewAddPartitionsToTxnRequestTransaction()
	one.TransactionalID, one.ProducerID, one.ProducerEpoch = id, pid, epoch
	one.Topics = []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: topic, Partitions: []int32{0}}}
	req.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{one}
	return req
}

func (r *refusalWorld) addOffsets(v int16, id, group string, pid int64, epoch int16) kmsg.Request {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.Version, req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = v, id, group, pid, epoch
	return req
}

func (r *refusalWorld) txnCommit(v int16, group, member string, generation int32) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.TransactionalID, req.Group, req.MemberID, req.Generation = v, "tx", group, member, generation
	req.ProducerID, req.ProducerEpoch = r.producer.pid, r.producer.epoch
	top := kmsg.NewTxnOffsetCommitRequestTopic()
	top.Topic = "t"
	top.Partitions = []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 0, Offset: 1, LeaderEpoch: -1}}
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{top}
	return req
}

func (r *refusalWorld) end(v int16, id string, pid int64, epoch int16) kmsg.Request {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = v, id, pid, epoch
	return req
}

func (r *refusalWorld) marker(v int16, topic string, pid int64, epoch int16) kmsg.Request {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Version = v
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch = pid, epoch
	m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: topic, Partitions: []int32{0}}}
	req.Markers = []kmsg.WriteTxnMarkersRequestMarker{m}
	return req
}

// cases are every way that is tried.
func (r *refusalWorld) cases() []refusalCase {
	long, other := kmsg.StringPtr(string(make([]byte, 101))), kmsg.StringPtr("other")
	i := kmsg.StringPtr("i")
	classic, gen := r.classic.MemberID, r.classic.Generation
	return append(r.classicCases(long, other, i, classic, gen), append(r.modernCases(), r.txnCases(long)...)...)
}

// findShare asks for the coordinator of a share group's partition.
func findShare(key string) func(int16) kmsg.Request {
	return func(v int16) kmsg.Request {
		return &kmsg.FindCoordinatorRequest{Version: v, CoordinatorType: coordinatorShare, CoordinatorKey: key, CoordinatorKeys: []string{key}}
	}
}

func (r *refusalWorld) classicCases(long, other, i *string, classic string, gen int32) []refusalCase {
	sgen := r.static.Generation
	join := func(change func(*kmsg.JoinGroupRequest)) func(int16) kmsg.Request {
		return func(v int16) kmsg.Request {
			req := r.join(v, "classic", "")
			change(req)
			return req
		}
	}
	commit := func(change func(*kmsg.OffsetCommitRequest)) func(int16) kmsg.Request {
		return func(v int16) kmsg.Request {
			req := r.commit(v, "classic", classic, gen)
			change(req)
			return req
		}
	}
	return []refusalCase{
		{"no group", joinGroupAPI, 0, join(func(q *kmsg.JoinGroupRequest) { q.Group = "" }), always(errInvalidGroupID)},
		{"a session too short", joinGroupAPI, 0, join(func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 1 }), always(errInvalidSessionTimeout)},
		{"a session too long", joinGroupAPI, 0, join(func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 1<<31 - 1 }), always(errInvalidSessionTimeout)},
		{"an unknown member", joinGroupAPI, 0, join(func(q *kmsg.JoinGroupRequest) { q.MemberID = "nobody" }), always(errUnknownMemberID)},
		{"an unknown member of an unknown group", joinGroupAPI, 0, join(func(q *kmsg.JoinGroupRequest) { q.Group, q.MemberID = "none", "nobody" }), always(errUnknownMemberID)},
		{"another protocol type", joinGroupAPI, 0, join(func(q *kmsg.JoinGroupRequest) { q.ProtocolType = "connect" }), always(errInconsistentGroupProtocol)},
		{"another protocol", joinGroupAPI, 0, join(func(q *kmsg.JoinGroupRequest) { q.Protocols[0].Name = "alien" }), always(errInconsistentGroupProtocol)},
		{"no protocol", joinGroupAPI, 0, join(func(q *kmsg.JoinGroupRequest) { q.Protocols = nil }), always(errInconsistentGroupProtocol)},
		{"no id yet", joinGroupAPI, 4, join(func(*kmsg.JoinGroupRequest) {}), always(errMemberIDRequired)},
		{"an instance that another has", joinGroupAPI, 5, join(func(q *kmsg.JoinGroupRequest) { q.Group, q.MemberID, q.InstanceID = "static", "nobody", i }), always(errFencedInstanceID)},
		{"an unknown instance", joinGroupAPI, 5, join(func(q *kmsg.JoinGroupRequest) { q.Group, q.MemberID, q.InstanceID = "static", r.static.MemberID, other }), always(errUnknownMemberID)},

		{"no group", syncGroupAPI, 0, func(v int16) kmsg.Request { return r.sync(v, "", classic, gen) }, always(errInvalidGroupID)},
		{"an unknown group", syncGroupAPI, 0, func(v int16) kmsg.Request { return r.sync(v, "none", classic, gen) }, always(errUnknownMemberID)},
		{"an unknown member", syncGroupAPI, 0, func(v int16) kmsg.Request { return r.sync(v, "classic", "nobody", gen) }, always(errUnknownMemberID)},
		{"another generation", syncGroupAPI, 0, func(v int16) kmsg.Request { return r.sync(v, "classic", classic, gen+1) }, always(errIllegalGeneration)},
		{"another protocol", syncGroupAPI, 5, func(v int16) kmsg.Request {
			req := r.sync(v, "classic", classic, gen)
			req.Protocol = other
			return req
		}, always(errInconsistentGroupProtocol)},
		{"an instance that another has", syncGroupAPI, 3, func(v int16) kmsg.Request {
			req := r.sync(v, "static", "nobody", sgen)
			req.InstanceID = i
			return req
		}, always(errFencedInstanceID)},

		{"no group", heartbeatAPI, 0, func(v int16) kmsg.Request { return r.heartbeat(v, "", classic, gen) }, always(errInvalidGroupID)},
		{"an unknown group", heartbeatAPI, 0, func(v int16) kmsg.Request { return r.heartbeat(v, "none", classic, gen) }, always(errUnknownMemberID)},
		{"an unknown member", heartbeatAPI, 0, func(v int16) kmsg.Request { return r.heartbeat(v, "classic", "nobody", gen) }, always(errUnknownMemberID)},
		{"another generation", heartbeatAPI, 0, func(v int16) kmsg.Request { return r.heartbeat(v, "classic", classic, gen-1) }, always(errIllegalGeneration)},
		{"an instance that another has", heartbeatAPI, 3, func(v int16) kmsg.Request {
			req := r.heartbeat(v, "static", "nobody", sgen)
			req.InstanceID = i
			return req
		}, always(errFencedInstanceID)},

		{"no group", leaveGroupAPI, 0, func(v int16) kmsg.Request { return r.leave(v, "", "nobody", nil) }, always(errInvalidGroupID)},
		{"an unknown group", leaveGroupAPI, 0, func(v int16) kmsg.Request { return r.leave(v, "none", "nobody", nil) }, always(errUnknownMemberID)},
		{"an unknown member", leaveGroupAPI, 0, func(v int16) kmsg.Request { return r.leave(v, "classic", "nobody", nil) }, always(errUnknownMemberID)},
		{"an unknown instance", leaveGroupAPI, 3, func(v int16) kmsg.Request { return r.leave(v, "static", "", other) }, always(errUnknownMemberID)},
		{"an instance that another has", leaveGroupAPI, 3, func(v int16) kmsg.Request { return r.leave(v, "static", "nobody", i) }, always(errFencedInstanceID)},

		{"an unknown group", offsetCommitAPI, 1, commit(func(q *kmsg.OffsetCommitRequest) { q.Group = "none" }), since(9, errIllegalGeneration, errGroupIDNotFound)},
		{"an unknown member", offsetCommitAPI, 1, commit(func(q *kmsg.OffsetCommitRequest) { q.MemberID = "nobody" }), always(errUnknownMemberID)},
		{"nobody's, while there are members", offsetCommitAPI, 1, commit(func(q *kmsg.OffsetCommitRequest) { q.MemberID, q.Generation = "", -1 }), always(errUnknownMemberID)},
		{"another generation", offsetCommitAPI, 1, commit(func(q *kmsg.OffsetCommitRequest) { q.Generation = gen + 1 }), always(errIllegalGeneration)},
		{"an instance that another has", offsetCommitAPI, 7, commit(func(q *kmsg.OffsetCommitRequest) {
			q.Group, q.MemberID, q.InstanceID, q.Generation = "static", "nobody", i, sgen
		}), always(errFencedInstanceID)},
		{"metadata too long", offsetCommitAPI, 1, commit(func(q *kmsg.OffsetCommitRequest) { q.Topics[0].Partitions[0].Metadata = long }), always(errOffsetMetadataTooLarge)},
		{"an unknown partition", offsetCommitAPI, 1, commit(func(q *kmsg.OffsetCommitRequest) { q.Topics[0].Partitions[0].Partition = 7 }), always(errUnknownTopicOrPartition)},
		{"an unknown topic", offsetCommitAPI, 1, commit(func(q *kmsg.OffsetCommitRequest) { q.Topics[0].Topic, q.Topics[0].TopicID = "none", [16]byte{1} }), since(10, errUnknownTopicOrPartition, errUnknownTopicID)},

		{"an unknown group", offsetDeleteAPI, 0, func(v int16) kmsg.Request { return deleteOffsets(v, "none", "t") }, always(errGroupIDNotFound)},
		{"no group", offsetDeleteAPI, 0, func(v int16) kmsg.Request { return deleteOffsets(v, "", "t") }, always(errInvalidGroupID)},
		{"a subscribed topic", offsetDeleteAPI, 0, func(v int16) kmsg.Request { return deleteOffsets(v, "classic", "t") }, always(errGroupSubscribedToTopic)},
		{"an unknown topic", offsetDeleteAPI, 0, func(v int16) kmsg.Request { return deleteOffsets(v, "classic", "none") }, always(errUnknownTopicOrPartition)},

		{"an unknown group", deleteGroupsAPI, 0, func(v int16) kmsg.Request { return &kmsg.DeleteGroupsRequest{Version: v, Groups: []string{"none"}} }, always(errGroupIDNotFound)},
		{"no group", deleteGroupsAPI, 0, func(v int16) kmsg.Request { return &kmsg.DeleteGroupsRequest{Version: v, Groups: []string{""}} }, always(errGroupIDNotFound)},
		{"groups with members", deleteGroupsAPI, 0, func(v int16) kmsg.Request {
			return &kmsg.DeleteGroupsRequest{Version: v, Groups: []string{"classic", "static", "modern"}}
		}, always(errNonEmptyGroup)},
		{"a share group's coordinator", findCoordinatorAPI, 1, findShare("g:AAAAAAAAAAAAAAAAAAAAAQ:0"), since(6, errInvalidRequest, errCoordinatorNotAvailable)},
		{"a share group's, with colons", findCoordinatorAPI, 6, findShare("a:b:AAAAAAAAAAAAAAAAAAAAAQ:0"), always(errCoordinatorNotAvailable)},
		{"a share group's by name", findCoordinatorAPI, 1, findShare("g"), always(errInvalidRequest)},
		{"a share group's without a group", findCoordinatorAPI, 1, findShare(" :AAAAAAAAAAAAAAAAAAAAAQ:0"), always(errInvalidRequest)},
		{"a share group's without a topic's id", findCoordinatorAPI, 1, findShare("g:t:0"), always(errInvalidRequest)},
		{"a share group's without a partition", findCoordinatorAPI, 1, findShare("g:AAAAAAAAAAAAAAAAAAAAAQ:x"), always(errInvalidRequest)},
		{"an unknown group", describeGroupsAPI, 0, func(v int16) kmsg.Request { return &kmsg.DescribeGroupsRequest{Version: v, Groups: []string{"none"}} }, since(6, errNone, errGroupIDNotFound)},
	}
}

func deleteOffsets(v int16, group, topic string) kmsg.Request {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Version, req.Group = v, group
	req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
	return req
}

func (r *refusalWorld) modernCases() []refusalCase {
	beat := func(epoch int32, change func(*kmsg.ConsumerGroupHeartbeatRequest)) func(int16) kmsg.Request {
		return func(v int16) kmsg.Request {
			req := r.beat(v, "modern", r.modern, epoch)
			change(req)
			return req
		}
	}
	commit := func(change func(*kmsg.OffsetCommitRequest)) func(int16) kmsg.Request {
		return func(v int16) kmsg.Request {
			req := r.commit(v, "modern", r.modern, 1)
			change(req)
			return req
		}
	}
	describe := func(group string) func(int16) kmsg.Request {
		return func(v int16) kmsg.Request {
			return &kmsg.ConsumerGroupDescribeRequest{Version: v, Groups: []string{group}}
		}
	}
	return []refusalCase{
		{"no group", consumerGroupHeartbeatAPI, 0, beat(1, func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.Group = "" }), always(errInvalidRequest)},
		{"no member", consumerGroupHeartbeatAPI, 0, beat(1, func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberID = "" }), always(errInvalidRequest)},
		{"an unknown group", consumerGroupHeartbeatAPI, 0, beat(1, func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.Group = "none" }), always(errGroupIDNotFound)},
		{"an unknown member", consumerGroupHeartbeatAPI, 0, beat(1, func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberID = "nobody" }), always(errUnknownMemberID)},
		{"an epoch to come", consumerGroupHeartbeatAPI, 0, beat(99, func(*kmsg.ConsumerGroupHeartbeatRequest) {}), always(errFencedMemberEpoch)},
		{"an epoch that is none", consumerGroupHeartbeatAPI, 0, beat(-3, func(*kmsg.ConsumerGroupHeartbeatRequest) {}), always(errInvalidRequest)},
		{"an unknown assignor", consumerGroupHeartbeatAPI, 0, beat(0, func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.ServerAssignor = kmsg.StringPtr("alien") }), always(errUnsupportedAssignor)},
		{"a join without a rebalance timeout", consumerGroupHeartbeatAPI, 0, beat(0, func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.RebalanceTimeoutMillis = -1 }), always(errInvalidRequest)},
		{"a join that owns something", consumerGroupHeartbeatAPI, 0, beat(0, func(q *kmsg.ConsumerGroupHeartbeatRequest) {
			q.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: r.topic, Partitions: []int32{0}}}
		}), always(errInvalidRequest)},
		{"a join without a subscription", consumerGroupHeartbeatAPI, 0, beat(0, func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.SubscribedTopicNames = nil }), always(errInvalidRequest)},
		{"a pattern that is none", consumerGroupHeartbeatAPI, 1, beat(0, func(q *kmsg.ConsumerGroupHeartbeatRequest) {
			q.SubscribedTopicRegex = kmsg.StringPtr("(")
		}), always(errInvalidRegularExpression)},
		{"a static leave without an instance", consumerGroupHeartbeatAPI, 0, beat(-2, func(*kmsg.ConsumerGroupHeartbeatRequest) {}), always(errInvalidRequest)},

		{"an unknown group", consumerGroupDescribeAPI, 0, describe("none"), always(errGroupIDNotFound)},
		{"a classic group", consumerGroupDescribeAPI, 0, describe("classic"), always(errGroupIDNotFound)},
		{"no group", consumerGroupDescribeAPI, 0, describe(""), always(errInvalidGroupID)},

		{"a member of KIP-848, told in an old version", offsetCommitAPI, 1, commit(func(*kmsg.OffsetCommitRequest) {}), since(9, errUnsupportedVersion, errNone)},
		{"an unknown member of KIP-848", offsetCommitAPI, 1, commit(func(q *kmsg.OffsetCommitRequest) { q.MemberID = "nobody" }), always(errUnknownMemberID)},
		{"an epoch to come", offsetCommitAPI, 9, commit(func(q *kmsg.OffsetCommitRequest) { q.Generation = 99 }), always(errStaleMemberEpoch)},
		{"an unknown member of KIP-848", offsetFetchAPI, 9, func(v int16) kmsg.Request { return r.fetchOffsets(v, "modern", kmsg.StringPtr("nobody"), 1) }, always(errUnknownMemberID)},
		{"an epoch to come", offsetFetchAPI, 9, func(v int16) kmsg.Request { return r.fetchOffsets(v, "modern", &r.modern, 99) }, always(errStaleMemberEpoch)},
		{"an unknown group", offsetFetchAPI, 1, func(v int16) kmsg.Request { return r.fetchOffsets(v, "none", nil, -1) }, always(errNone)},
		{"an unknown topic", offsetFetchAPI, 10, func(v int16) kmsg.Request {
			req := r.fetchOffsets(v, "modern", nil, -1)
			req.Groups[0].Topics[0].TopicID = [16]byte{1}
			return req
		}, always(errUnknownTopicID)},
	}
}

func (r *refusalWorld) txnCases(long *string) []refusalCase {
	pid, epoch, old := r.producer.pid, r.producer.epoch, r.zombie.epoch
	fenced := func(first int16) func(int16) errCode { return since(first, errInvalidProducerEpoch, errProducerFenced) }
	commit := func(change func(*kmsg.TxnOffsetCommitRequest)) func(int16) kmsg.Request {
		return func(v int16) kmsg.Request {
			req := r.txnCommit(v, "classic", r.classic.MemberID, r.classic.Generation)
			change(req)
			return req
		}
	}
	return []refusalCase{
		{"an empty id", initProducerIDAPI, 0, func(v int16) kmsg.Request { return r.init(v, "", 60000) }, always(errInvalidRequest)},
		{"no timeout", initProducerIDAPI, 0, func(v int16) kmsg.Request { return r.init(v, "tx", 0) }, always(errInvalidTransactionTimeout)},
		{"a timeout too long", initProducerIDAPI, 0, func(v int16) kmsg.Request { return r.init(v, "tx", 1<<31-1) }, always(errInvalidTransactionTimeout)},
		{"a producer without an epoch", initProducerIDAPI, 3, func(v int16) kmsg.Request {
			req := r.init(v, "tx", 60000)
			req.ProducerID = pid
			return req
		}, always(errInvalidRequest)},
		{"another producer", initProducerIDAPI, 3, func(v int16) kmsg.Request {
			req := r.init(v, "tx", 60000)
			req.ProducerID, req.ProducerEpoch = pid+1, epoch
			return req
		}, fenced(4)},
		// While a transaction is open it would be aborted first, as in Kafka.
		{"a zombie", initProducerIDAPI, 3, func(v int16) kmsg.Request {
			req := r.init(v, "idle", 60000)
			req.ProducerID, req.ProducerEpoch = r.idle.pid, r.idle.epoch
			return req
		}, fenced(4)},

		{"an empty id", addPartitionsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addPartitions(v, "", pid, epoch, "t") }, always(errInvalidRequest)},
		{"an unknown id", addPartitionsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addPartitions(v, "none", pid, epoch, "t") }, always(errInvalidProducerIDMapping)},
		{"another producer", addPartitionsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addPartitions(v, "tx", pid+1, epoch, "t") }, always(errInvalidProducerIDMapping)},
		{"a zombie", addPartitionsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addPartitions(v, "tx", pid, old, "t") }, fenced(2)},
		{"an unknown topic", addPartitionsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addPartitions(v, "tx", pid, epoch, "none") }, always(errUnknownTopicOrPartition)},
		{"an internal topic", addPartitionsToTxnAPI, 0, func(v int16) kmsg.Request {
			return r.addPartitions(v, "tx", pid, epoch, "__consumer_offsets")
		}, since(4, errTopicAuthorization, errNone)},

		{"an empty id", addOffsetsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addOffsets(v, "", "classic", pid, epoch) }, always(errInvalidRequest)},
		{"an unknown id", addOffsetsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addOffsets(v, "none", "classic", pid, epoch) }, always(errInvalidProducerIDMapping)},
		{"another producer", addOffsetsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addOffsets(v, "tx", "classic", pid+1, epoch) }, always(errInvalidProducerIDMapping)},
		{"a zombie", addOffsetsToTxnAPI, 0, func(v int16) kmsg.Request { return r.addOffsets(v, "tx", "classic", pid, old) }, fenced(2)},

		{"an unknown member", txnOffsetCommitAPI, 3, commit(func(q *kmsg.TxnOffsetCommitRequest) { q.MemberID = "nobody" }), always(errUnknownMemberID)},
		{"another generation", txnOffsetCommitAPI, 3, commit(func(q *kmsg.TxnOffsetCommitRequest) { q.Generation++ }), always(errIllegalGeneration)},
		{"an unknown group", txnOffsetCommitAPI, 3, commit(func(q *kmsg.TxnOffsetCommitRequest) { q.Group = "none" }),
			func(v int16) errCode { // before version 5 a client must have added it (KIP-890)
				return map[int16]errCode{3: errInvalidTxnState, 4: errTransactionAbortable, 5: errIllegalGeneration}[v]
			}},
		{"metadata too long", txnOffsetCommitAPI, 0, commit(func(q *kmsg.TxnOffsetCommitRequest) { q.Topics[0].Partitions[0].Metadata = long }), always(errOffsetMetadataTooLarge)},
		{"an unknown topic", txnOffsetCommitAPI, 0, commit(func(q *kmsg.TxnOffsetCommitRequest) { q.Topics[0].Topic = "none" }), always(errUnknownTopicOrPartition)},

		{"an empty id", endTxnAPI, 0, func(v int16) kmsg.Request { return r.end(v, "", pid, epoch) }, always(errInvalidRequest)},
		{"an unknown id", endTxnAPI, 0, func(v int16) kmsg.Request { return r.end(v, "none", pid, epoch) }, always(errInvalidProducerIDMapping)},
		{"another producer", endTxnAPI, 0, func(v int16) kmsg.Request { return r.end(v, "tx", pid+1, epoch) }, always(errInvalidProducerIDMapping)},
		{"a zombie", endTxnAPI, 0, func(v int16) kmsg.Request { return r.end(v, "tx", pid, old) }, fenced(2)},

		{"an unknown topic", writeTxnMarkersAPI, 1, func(v int16) kmsg.Request { return r.marker(v, "none", pid, epoch) }, always(errUnknownTopicOrPartition)},
		{"no producer", writeTxnMarkersAPI, 1, func(v int16) kmsg.Request { return r.marker(v, "t", -1, epoch) }, always(errUnknownServer)},

		{"an empty id", describeTransactionsAPI, 0, func(int16) kmsg.Request { return &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{""}} }, always(errInvalidRequest)},
		{"an unknown id", describeTransactionsAPI, 0, func(int16) kmsg.Request { return &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{"none"}} }, always(errTransactionalIDNotFound)},
		{"a pattern that is none", listTransactionsAPI, 2, func(v int16) kmsg.Request {
			req := kmsg.NewPtrListTransactionsRequest()
			req.Version, req.TransactionalIDPattern = v, kmsg.StringPtr("(")
			return req
		}, always(errInvalidRegularExpression)},
		{"an unknown topic", describeProducersAPI, 0, func(int16) kmsg.Request { return describeProducers("none", 0) }, always(errUnknownTopicOrPartition)},
		{"an unknown partition", describeProducersAPI, 0, func(int16) kmsg.Request { return describeProducers("t", 7) }, always(errUnknownTopicOrPartition)},
		{"a name that is none", describeProducersAPI, 0, func(int16) kmsg.Request { return describeProducers("a b", 0) }, always(errInvalidTopic)},
	}
}

func describeProducers(topic string, partition int32) kmsg.Request {
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{partition}}}
	return req
}

// TestCoordinatorsRefuse asks every case in every version, and then sees that
// nothing has come of it: the members are still in their groups, and the
// transaction is still open.
func TestCoordinatorsRefuse(t *testing.T) {
	r := newRefusalWorld(t)
	tried := map[int16]bool{}
	for _, c := range r.cases() {
		t.Run(c.api.name+"/"+c.name, func(t *testing.T) {
			w := dial(t, r.b)
			for v := max(c.from, c.api.min); v <= c.api.max; v++ {
				req := c.make(v)
				req.SetVersion(v)
				resp := w.answer(req, w.send(req))
				codes := deepestCodes(reflect.ValueOf(resp))
				if len(codes) == 0 {
					t.Errorf("v%d: no code is told: %+v", v, resp)
				}
				for _, code := range codes {
					if want := c.want(v); code != want {
						t.Errorf("v%d: code %d, want %d: %s", v, code, want, fmt.Sprintf("%+v", resp))
					}
				}
			}
		})
		tried[c.api.key] = true
		if code := r.producer.add("t", 0); code != errNone {
			t.Fatalf("after %s/%s the open transaction is not the producer's any more: %d", c.api.name, c.name, code)
		}
	}
	for _, a := range []api{joinGroupAPI, syncGroupAPI, heartbeatAPI, leaveGroupAPI, offsetCommitAPI, offsetFetchAPI, offsetDeleteAPI, deleteGroupsAPI,
		describeGroupsAPI, consumerGroupHeartbeatAPI, consumerGroupDescribeAPI, initProducerIDAPI, addPartitionsToTxnAPI, addOffsetsToTxnAPI,
		txnOffsetCommitAPI, endTxnAPI, writeTxnMarkersAPI, describeTransactionsAPI, listTransactionsAPI, describeProducersAPI} {
		if !tried[a.key] {
			t.Errorf("%s: nothing wrong was asked of it", a.name)
		}
	}
	w := dial(t, r.b)
	for group, m := range map[string]*kmsg.JoinGroupResponse{"classic": r.classic, "static": r.static} {
		if code := ask[*kmsg.HeartbeatResponse](w, r.heartbeat(2, group, m.MemberID, m.Generation)).ErrorCode; code != errNone {
			t.Errorf("the member of %s: %d", group, code)
		}
	}
	if resp := r.producer.end(4, true); resp.ErrorCode != errNone {
		t.Errorf("the open transaction does not commit: %d", resp.ErrorCode)
	}
}

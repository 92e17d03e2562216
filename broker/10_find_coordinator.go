package broker

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// FindCoordinator: v0–6; one key up to v3, several from v4 on.
//
// This broker is the coordinator of every group and transaction. Their topics
// are made on first use; the answer waits for it, where Kafka tells
// COORDINATOR_NOT_AVAILABLE and lets the client come again. For share groups it
// is COORDINATOR_NOT_AVAILABLE, or INVALID_REQUEST before v6 and for a key that is
// not group:topic id:partition.
var findCoordinatorAPI = api{
	key: keyFindCoordinator, name: "FindCoordinator", min: 0, max: 6, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleFindCoordinator),
}

// Coordinator types.
const (
	coordinatorGroup = 0
	coordinatorTxn   = 1
	coordinatorShare = 2
)

// firstShareFind is the first version that knows share groups.
const firstShareFind = 6

func handleFindCoordinator(rq *request, r *kmsg.FindCoordinatorRequest) kmsg.Response {
	topic := cluster.OffsetsTopic
	if r.CoordinatorType == coordinatorTxn {
		topic = cluster.TransactionsTopic
	}
	if rq.s.b.topics.get(topic) == nil {
		return rq.offload(func() kmsg.Response { return rq.findCoordinators(r) })
	}
	return rq.findCoordinators(r)
}

func (rq *request) findCoordinators(r *kmsg.FindCoordinatorRequest) kmsg.Response {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if rq.version < 4 {
		one := rq.findOne(r.CoordinatorKey, r.CoordinatorType)
		resp.ErrorCode, resp.ErrorMessage = one.ErrorCode, one.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = one.NodeID, one.Host, one.Port
		return resp
	}
	for _, key := range r.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, rq.findOne(key, r.CoordinatorType))
	}
	return resp
}

func (rq *request) findOne(key string, kind int8) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	var err error
	switch kind {
	case coordinatorGroup:
		if !rq.mayGroup(auth.OpDescribe, key) {
			err = refuse(errGroupAuthorization, "Group authorization failed.")
			break
		}
		if e := rq.s.b.ensureOffsetsTopic(); e != nil {
			rq.s.b.logger.Warn("the offsets topic could not be created", "error", e)
			err = refuse(errCoordinatorNotAvailable, "The coordinator is not available.")
		}
	case coordinatorTxn:
		if !rq.authorize(auth.OpDescribe, auth.ResTxnID, []byte(key)) {
			err = refuse(errTransactionalAuthorization, "Transactional ID authorization failed.")
			break
		}
		if _, e := rq.s.b.ensureInternal(cluster.TransactionsTopic); e != nil {
			rq.s.b.logger.Warn("the transactions topic could not be created", "error", e)
			err = refuse(errCoordinatorNotAvailable, "The coordinator is not available.")
		}
	case coordinatorShare:
		switch {
		case rq.version < firstShareFind:
			err = refuse(errInvalidRequest, "Share groups have coordinators from version 6 on.")
		case !rq.mayCluster(auth.OpClusterAction):
			err = refuse(errClusterAuthorization, "Cluster authorization failed.")
		case !shareKey(key):
			err = refuse(errInvalidRequest, "The key is not the group, the topic's id and the partition, with colons between.")
		default:
			err = refuse(errCoordinatorNotAvailable, "The coordinator is not available.")
		}
	default:
		err = refuse(errInvalidRequest, "The coordinator key type is not known.")
	}
	if err != nil {
		out.ErrorCode, out.ErrorMessage = codeOf(err), message(err)
		rq.failed = true
		return out
	}
	out.NodeID = rq.s.b.opt.NodeID
	out.Host, out.Port = rq.s.endpoint()
	return out
}

// shareKey is Kafka's SharePartitionKey.validate: a group's name may have colons.
func shareKey(key string) bool {
	rest, partition, ok := cutLast(key)
	if !ok {
		return false
	}
	group, id, ok := cutLast(rest)
	if !ok || strings.TrimSpace(group) == "" {
		return false
	}
	_, err := strconv.ParseInt(partition, 10, 32)
	raw, bad := base64.RawURLEncoding.DecodeString(strings.TrimRight(id, "="))
	return err == nil && bad == nil && len(raw) == 16
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

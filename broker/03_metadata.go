package broker

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
)

// Metadata: v0–13.
//
// v0: no topics means all; v1+: null means all, none means none. A topic that
// does not exist is created when the broker and the request (v4+) allow it; the
// answer waits for it, where Kafka tells UNKNOWN_TOPIC_OR_PARTITION and lets the
// client come again. Authorised operations: of topics v8+, of the
// cluster v8–10.
var metadataAPI = api{
	key: keyMetadata, name: "Metadata", min: 0, max: 13, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleMetadata),
}

// metadataOnLoop is how many partitions are described on a loop; more come from
// the cache or go to a worker.
const metadataOnLoop = 200

func handleMetadata(rq *request, r *kmsg.MetadataRequest) kmsg.Response {
	if resp := rq.metadataByID(r); resp != nil {
		return resp
	}
	image := rq.s.b.cluster.Image()
	all := r.Topics == nil || rq.version == 0 && len(r.Topics) == 0
	if all {
		if image.Partitions() > metadataOnLoop {
			return rq.metadataAway(r, image, true)
		}
		return rq.metadata(r, image, true)
	}
	cost := 0
	for i := range r.Topics {
		cost++
		t := image.TopicByID(r.Topics[i].TopicID)
		if name := r.Topics[i].Topic; name != nil {
			if t = image.Topic(*name); t == nil {
				cost += metadataOnLoop // it may have to be created
			}
		}
		if t != nil {
			cost += int(t.Partitions)
		}
	}
	if cost > metadataOnLoop {
		return rq.metadataAway(r, image, false)
	}
	return rq.metadata(r, image, false)
}

// metadataByID refuses v10 and v11 whole when any topic has an id or no name:
// they have the fields, and lookup by id came with v12 (KafkaApis,
// handleTopicMetadataRequest). The answer then is nothing but the refusal.
func (rq *request) metadataByID(r *kmsg.MetadataRequest) kmsg.Response {
	if rq.version != 10 && rq.version != 11 || !slices.ContainsFunc(r.Topics, func(t kmsg.MetadataRequestTopic) bool {
		return t.Topic == nil || t.TopicID != [16]byte{}
	}) {
		return nil
	}
	resp := kmsg.NewPtrMetadataResponse()
	for i := range r.Topics {
		e := kmsg.NewMetadataResponseTopic()
		e.Topic, e.TopicID, e.ErrorCode = new(string), r.Topics[i].TopicID, errInvalidRequest
		if name := r.Topics[i].Topic; name != nil {
			e.Topic = name
		}
		resp.Topics = append(resp.Topics, e)
	}
	rq.failed = true
	return resp
}

func (rq *request) metadata(r *kmsg.MetadataRequest, image *cluster.Image, all bool) kmsg.Response {
	b := rq.s.b
	resp := kmsg.NewPtrMetadataResponse()
	resp.Brokers = []kmsg.MetadataResponseBroker{rq.brokerEntry()}
	resp.ClusterID, resp.ControllerID = &image.ClusterID, image.NodeID
	if r.IncludeClusterAuthorizedOperations && rq.version >= 8 && rq.version <= 10 {
		resp.AuthorizedOperations = rq.clusterOperations()
	}
	if all {
		for _, t := range image.Topics() {
			if rq.could(auth.OpDescribe, auth.ResTopic, t.Name) {
				resp.Topics = append(resp.Topics, rq.topicEntry(r, t, image))
			}
		}
		return resp
	}
	create := b.settings.Load().autoCreate && (rq.version < 4 || r.AllowAutoTopicCreation)
	var missing []string
	seen := make(map[string]bool, len(r.Topics))
	// Where one topic is asked for by id, all are (handleTopicMetadataRequest).
	byID := slices.ContainsFunc(r.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	for i := range r.Topics {
		in := &r.Topics[i]
		if byID && in.TopicID == [16]byte{} {
			continue
		}
		if byID || in.Topic == nil {
			resp.Topics = append(resp.Topics, rq.topicByID(r, in.TopicID, image))
			continue
		}
		name := *in.Topic
		if seen[name] {
			continue
		}
		seen[name] = true
		t := image.Topic(name)
		switch {
		case !rq.mayTopic(auth.OpDescribe, name):
			resp.Topics = append(resp.Topics, topicError(name, errTopicAuthorization))
		case t != nil:
			resp.Topics = append(resp.Topics, rq.topicEntry(r, t, image))
		case !create:
			code := errUnknownTopicOrPartition
			if cluster.CheckTopicName(name) != nil {
				code = errInvalidTopic
			}
			resp.Topics = append(resp.Topics, topicError(name, code))
		case !rq.could(auth.OpCreate, auth.ResCluster, auth.ClusterName) && !rq.mayTopic(auth.OpCreate, name):
			resp.Topics = append(resp.Topics, topicError(name, errTopicAuthorization))
		default:
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		resp.Topics = append(resp.Topics, rq.autoCreate(r, missing)...)
	}
	return resp
}

// autoCreate makes topics that a client asked for and describes them. Kafka
// tells UNKNOWN_TOPIC_OR_PARTITION while it makes them (AutoTopicCreationManager)
// and has the client come again; here they are there before the answer goes, and
// to hide that would cost every client a back-off and a group its first
// assignment.
func (rq *request) autoCreate(r *kmsg.MetadataRequest, names []string) []kmsg.MetadataResponseTopic {
	b := rq.s.b
	set := b.settings.Load()
	specs := make([]topicSpec, len(names))
	for i, name := range names {
		specs[i] = b.autoSpec(name, set)
	}
	errs := b.createTopics(context.Background(), specs)
	image := b.cluster.Image()
	out := make([]kmsg.MetadataResponseTopic, len(names))
	for i, name := range names {
		switch t := image.Topic(name); {
		case t != nil:
			out[i] = rq.topicEntry(r, t, image)
		case errors.Is(errs[i], cluster.ErrTopicName):
			out[i] = topicError(name, errInvalidTopic)
		case codeOf(errs[i]) == errInvalidReplicationFactor || codeOf(errs[i]) == errInvalidTopic:
			out[i] = topicError(name, codeOf(errs[i]))
		default:
			b.logger.Warn("a topic could not be created on demand", "topic", name, "error", errs[i])
			out[i] = topicError(name, errUnknownTopicOrPartition)
		}
	}
	return out
}

func (rq *request) topicByID(r *kmsg.MetadataRequest, id logstore.TopicID, image *cluster.Image) kmsg.MetadataResponseTopic {
	t := image.TopicByID(id)
	if t == nil || !rq.mayTopic(auth.OpDescribe, t.Name) {
		code := errUnknownTopicID
		if t != nil {
			code = errTopicAuthorization
		}
		e := topicError("", code)
		e.Topic, e.TopicID = nil, id
		return e
	}
	return rq.topicEntry(r, t, image)
}

func topicError(name string, code errCode) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.ErrorCode, t.IsInternal = &name, code, isInternal(name)
	return t
}

// topicEntry describes a topic.
func (rq *request) topicEntry(r *kmsg.MetadataRequest, t *cluster.Topic, image *cluster.Image) kmsg.MetadataResponseTopic {
	b := rq.s.b
	open := b.topics.get(t.Name)
	e := kmsg.NewMetadataResponseTopic()
	e.Topic, e.TopicID, e.IsInternal = &t.Name, t.ID, t.Internal
	self := []int32{image.NodeID}
	e.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.Partitions)
	for i := range e.Partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR = int32(i), image.NodeID, image.Epoch(t, int32(i)), self, self
		if open == nil || open.partition(int32(i)) == nil {
			// Its logs are being opened.
			p.ErrorCode, p.Leader, p.ISR = errLeaderNotAvailable, -1, nil
		}
		e.Partitions[i] = p
	}
	if r.IncludeTopicAuthorizedOperations && rq.version >= 8 {
		e.AuthorizedOperations = rq.operations(auth.ResTopic, t.Name, topicOperations)
	}
	return e
}

// brokerEntry is this broker as the client's listener advertises it.
func (rq *request) brokerEntry() kmsg.MetadataResponseBroker {
	e := kmsg.NewMetadataResponseBroker()
	e.NodeID = rq.s.b.opt.NodeID
	e.Host, e.Port = rq.s.endpoint()
	if rack := rq.s.b.cluster.Rack(); rack != "" {
		e.Rack = &rack
	}
	return e
}

// The operations that a resource type knows (AclEntry.supportedOperations),
// in the order of their bits.
var (
	topicOperations   = []auth.Operation{auth.OpRead, auth.OpWrite, auth.OpCreate, auth.OpDelete, auth.OpAlter, auth.OpDescribe, auth.OpDescribeConfigs, auth.OpAlterConfigs}
	groupOperations   = []auth.Operation{auth.OpRead, auth.OpDelete, auth.OpDescribe, auth.OpDescribeConfigs, auth.OpAlterConfigs}
	clusterOperations = []auth.Operation{auth.OpCreate, auth.OpAlter, auth.OpDescribe, auth.OpClusterAction, auth.OpDescribeConfigs, auth.OpAlterConfigs, auth.OpIdempotentWrite}
)

// operations is the bit field of what the client may do (KIP-430).
func (rq *request) operations(rt auth.ResourceType, name string, ops []auth.Operation) int32 {
	var bits int32
	for _, op := range ops {
		if rq.s.authorize(op, rt, []byte(name)) {
			bits |= 1 << op
		}
	}
	return bits
}

func (rq *request) clusterOperations() int32 {
	if !rq.could(auth.OpDescribe, auth.ResCluster, auth.ClusterName) {
		return 0
	}
	return rq.operations(auth.ResCluster, auth.ClusterName, clusterOperations)
}

// autoSpec is a topic that nobody described.
func (b *Broker) autoSpec(name string, set *settings) topicSpec {
	if name == cluster.OffsetsTopic || name == cluster.TransactionsTopic {
		return b.internalSpec(name)
	}
	return topicSpec{name: name, partitions: set.numPartitions, replication: set.replication}
}

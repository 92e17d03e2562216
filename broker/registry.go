package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// The API keys by name.
const (
	keyProduce                 = 0
	keyFetch                   = 1
	keyListOffsets             = 2
	keyMetadata                = 3
	keyOffsetCommit            = 8
	keyOffsetFetch             = 9
	keyFindCoordinator         = 10
	keyJoinGroup               = 11
	keyHeartbeat               = 12
	keyLeaveGroup              = 13
	keySyncGroup               = 14
	keyDescribeGroups          = 15
	keyListGroups              = 16
	keySaslHandshake           = 17
	keyApiVersions             = 18
	keyCreateTopics            = 19
	keyDeleteTopics            = 20
	keyDeleteRecords           = 21
	keyInitProducerID          = 22
	keyOffsetForLeaderEpoch    = 23
	keyAddPartitionsToTxn      = 24
	keyAddOffsetsToTxn         = 25
	keyEndTxn                  = 26
	keyWriteTxnMarkers         = 27
	keyTxnOffsetCommit         = 28
	keyDescribeACLs            = 29
	keyCreateACLs              = 30
	keyDeleteACLs              = 31
	keyDescribeConfigs         = 32
	keyAlterConfigs            = 33
	keyAlterReplicaLogDirs     = 34
	keyDescribeLogDirs         = 35
	keySaslAuthenticate        = 36
	keyCreatePartitions        = 37
	keyCreateDelegationToken   = 38
	keyRenewDelegationToken    = 39
	keyExpireDelegationToken   = 40
	keyDescribeDelegationToken = 41
	keyDeleteGroups            = 42
	keyElectLeaders            = 43
	keyIncrementalAlterConfig  = 44
	keyAlterReassignments      = 45
	keyListReassignments       = 46
	keyOffsetDelete            = 47
	keyDescribeClientQuotas    = 48
	keyAlterClientQuotas       = 49
	keyDescribeUserSCRAM       = 50
	keyAlterUserSCRAM          = 51
	keyDescribeQuorum          = 55
	keyUpdateFeatures          = 57
	keyDescribeCluster         = 60
	keyDescribeProducers       = 61
	keyUnregisterBroker        = 64
	keyDescribeTransactions    = 65
	keyListTransactions        = 66
	keyConsumerGroupHeartbeat  = 68
	keyConsumerGroupDescribe   = 69
	keyGetTelemetry            = 71
	keyPushTelemetry           = 72
	keyListConfigResources     = 74
	keyDescribeTopicParts      = 75
	keyAddRaftVoter            = 80
	keyRemoveRaftVoter         = 81

	maxKey = 94
)

// place is where a handler runs.
type place uint8

const (
	// onLoop: on the connection's loop. The handler must not wait and may
	// answer later (a coordinator, the disk) or offload the rest to a worker.
	onLoop place = iota
	// onWorker: the handler may wait; the connection's later requests wait too.
	onWorker
)

// api is one row of the registry, and the only place where an API is made
// known: ApiVersions is answered from it, so that what is advertised is what
// is served.
type api struct {
	key  int16
	name string
	// min and max are the versions served. advertised is the least version
	// that ApiVersions tells when it is not min: Kafka tells 0 for Produce,
	// since librdkafka looks for an overlap there before it compresses
	// (KAFKA-18659).
	min, max   int16
	advertised int16
	// resource and operation are what the handler asks the authorizer first.
	// An API that is for anybody has neither and says so in open.
	resource  auth.ResourceType
	operation auth.Operation
	open      bool
	// beforeLogin: served on SASL listeners to clients that have not logged in.
	beforeLogin bool
	place       place
	// decode: the request comes decoded in request.req.
	decode bool
	handle func(rq *request) kmsg.Response
}

func (a *api) serves(version int16) bool { return version >= a.min && version <= a.max }

// decoded makes a handler of a function that takes its API's request type.
func decoded[R kmsg.Request](f func(rq *request, r R) kmsg.Response) func(*request) kmsg.Response {
	return func(rq *request) kmsg.Response {
		r, ok := rq.req.(R)
		if !ok {
			rq.err = errUnknownAPI
			return nil
		}
		return f(rq, r)
	}
}

// table is every API that is served, by key.
var table = []*api{
	&produceAPI, &fetchAPI, &listOffsetsAPI, &metadataAPI,
	&offsetCommitAPI, &offsetFetchAPI, &findCoordinatorAPI,
	&joinGroupAPI, &heartbeatAPI, &leaveGroupAPI, &syncGroupAPI, &describeGroupsAPI, &listGroupsAPI,
	&apiVersionsAPI, &saslHandshakeAPI, &saslAuthenticateAPI,
	&describeACLsAPI, &createACLsAPI, &deleteACLsAPI,
	&createDelegationTokenAPI, &renewDelegationTokenAPI, &expireDelegationTokenAPI, &describeDelegationTokenAPI,
	&describeClientQuotasAPI, &alterClientQuotasAPI, &describeUserSCRAMAPI, &alterUserSCRAMAPI,
	&createTopicsAPI, &deleteTopicsAPI, &deleteRecordsAPI, &initProducerIDAPI, &offsetForLeaderEpochAPI,
	&addPartitionsToTxnAPI, &addOffsetsToTxnAPI, &endTxnAPI, &writeTxnMarkersAPI, &txnOffsetCommitAPI,
	&describeTransactionsAPI, &listTransactionsAPI,
	&describeConfigsAPI, &alterConfigsAPI, &describeLogDirsAPI, &createPartitionsAPI,
	&deleteGroupsAPI, &incrementalAlterConfigsAPI, &offsetDeleteAPI,
	&describeClusterAPI, &describeProducersAPI,
	&consumerGroupHeartbeatAPI, &consumerGroupDescribeAPI,
	&listConfigResourcesAPI, &describeTopicPartitionsAPI,
	&alterReplicaLogDirsAPI, &electLeadersAPI, &alterReassignmentsAPI, &listReassignmentsAPI,
	&describeQuorumAPI, &updateFeaturesAPI, &unregisterBrokerAPI, &addRaftVoterAPI, &removeRaftVoterAPI,
	&getTelemetrySubscriptionsAPI, &pushTelemetryAPI,
}

// registry finds an API by its key.
type registry struct {
	list  []*api
	byKey [maxKey + 1]*api
}

func newRegistry(list []*api) *registry {
	r := &registry{list: list}
	for _, a := range list {
		r.byKey[a.key] = a
	}
	return r
}

func (r *registry) find(key int16) *api {
	if key < 0 || key > maxKey {
		return nil
	}
	return r.byKey[key]
}

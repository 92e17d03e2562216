package cluster

import "github.com/chronik-stream/chronik/logstore"

// Image is the metadata at one offset of the metadata log. It is immutable;
// its maps must not be written to.
type Image struct {
	// Version grows with every change.
	Version   int64
	ClusterID string
	NodeID    int32
	// EpochBase is the number of unclean starts; every partition's leader epoch
	// includes it.
	EpochBase int32

	Features map[string]int16

	topics  map[string]*Topic
	byID    map[logstore.TopicID]*Topic
	ordered []*Topic // by name

	// Configs of resources by type and name, only what was set dynamically.
	configs map[Resource]map[string]string

	Scram  map[ScramKey]ScramCredential
	ACLs   []ACL
	Quotas map[QuotaEntity]map[string]float64
	Tokens map[string]Token // by token id
}

// Topic is one topic. Immutable.
type Topic struct {
	Name       string
	ID         logstore.TopicID
	Partitions int32
	Internal   bool
	// Epochs, when not nil, is the leader epoch per partition beyond EpochBase.
	Epochs []int32
}

// Topic finds a topic by name.
func (i *Image) Topic(name string) *Topic { return i.topics[name] }

// TopicBytes is Topic without an allocation.
func (i *Image) TopicBytes(name []byte) *Topic { return i.topics[string(name)] }

// TopicByID finds a topic by id.
func (i *Image) TopicByID(id logstore.TopicID) *Topic { return i.byID[id] }

// Topics is every topic by name. Not to be written to.
func (i *Image) Topics() []*Topic { return i.ordered }

// ResourceType is Kafka's config resource type.
type ResourceType int8

const (
	ResourceTopic         ResourceType = 2
	ResourceBroker        ResourceType = 4
	ResourceBrokerLogger  ResourceType = 8
	ResourceClientMetrics ResourceType = 16
	ResourceGroup         ResourceType = 32
)

// Resource names what a config belongs to; broker "" is the cluster default.
type Resource struct {
	Type ResourceType
	Name string
}

// ScramKey is a user and mechanism (1 SCRAM-SHA-256, 2 SCRAM-SHA-512).
type ScramKey struct {
	User      string
	Mechanism int8
}

// ScramCredential is what the server keeps of a password (RFC 5802).
type ScramCredential struct {
	Salt, StoredKey, ServerKey []byte
	Iterations                 int32
}

// ACL is one binding, with Kafka's numbers for the enums.
type ACL struct {
	ResourceType int8   // 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user
	ResourceName string // "*" with literal is the wildcard
	PatternType  int8   // 3 literal, 4 prefixed
	Principal    string // "User:name"
	Host         string // "*" or an IP
	Operation    int8   // 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, 10 describe configs, 11 alter configs, 12 idempotent write, 13 create tokens, 14 describe tokens
	Permission   int8   // 2 deny, 3 allow
}

// QuotaEntity is what a client quota belongs to. A part that is not there is
// absent; Default is Kafka's <default>.
type QuotaEntity struct {
	User, ClientID, IP QuotaPart
}

// QuotaPart is one part of a QuotaEntity.
type QuotaPart struct {
	Set     bool
	Default bool
	Name    string
}

// Token is a delegation token (KIP-48).
type Token struct {
	ID          string
	HMAC        []byte
	Owner       string // "User:name"
	Requester   string
	Renewers    []string
	IssuedMs    int64
	ExpiryMs    int64
	MaxMs       int64
	ScramSHA256 ScramCredential
	ScramSHA512 ScramCredential
}

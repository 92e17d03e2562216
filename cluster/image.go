package cluster

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/chronik-stream/chronik/logstore"
)

// Image is the metadata at one offset of the metadata log. It is immutable;
// its maps and slices must not be written to.
type Image struct {
	// Version is the number of changes since the cluster was made.
	Version   int64
	ClusterID string
	NodeID    int32
	// EpochBase is the number of unclean starts; every partition's leader epoch
	// includes it.
	EpochBase int32

	// Features is the finalized feature levels; a feature at level 0 is not in it.
	Features map[string]int16

	// Scram, ACLs, Quotas and Tokens are copied whole by a change to them. ACLs
	// is sorted.
	Scram  map[ScramKey]ScramCredential
	ACLs   []ACL
	Quotas map[QuotaEntity]map[string]float64
	Tokens map[string]Token // by token id

	// The Version at which each part changed last (or was read from disk), for
	// caches built from a part.
	TopicsVersion, ConfigsVersion, FeaturesVersion          int64
	ScramVersion, ACLsVersion, QuotasVersion, TokensVersion int64

	topics     sharded[string, *Topic]
	byID       sharded[logstore.TopicID, *Topic]
	folded     sharded[string, string] // collision form to name, see foldName
	ordered    []*Topic                // by name
	partitions int

	// configs of resources, only what was set dynamically.
	configs sharded[Resource, map[string]string]

	nextProducerID int64
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

// Topic finds a topic by name, or gives nil.
func (i *Image) Topic(name string) *Topic {
	t, _ := i.topics.get(shardOf(name), name)
	return t
}

// TopicBytes is Topic without an allocation; name is not kept.
func (i *Image) TopicBytes(name []byte) *Topic {
	return i.Topic(unsafe.String(unsafe.SliceData(name), len(name)))
}

// TopicByID finds a topic by id, or gives nil.
func (i *Image) TopicByID(id logstore.TopicID) *Topic {
	t, _ := i.byID.get(id[0]^id[15], id)
	return t
}

// Topics is every topic by name. Not to be written to.
func (i *Image) Topics() []*Topic { return i.ordered }

// Partitions is the number of partitions of all topics.
func (i *Image) Partitions() int { return i.partitions }

// Epoch is the leader epoch of a topic's partition.
func (i *Image) Epoch(t *Topic, partition int32) int32 {
	if int(partition) < len(t.Epochs) {
		return i.EpochBase + t.Epochs[partition]
	}
	return i.EpochBase
}

// DynamicConfigs is what was set on a resource at run time; nil for nothing.
// Not to be written to.
func (i *Image) DynamicConfigs(res Resource) map[string]string {
	m, _ := i.configs.get(shardOf(res.Name), res)
	return m
}

// Resources is the names of the resources of a type with a dynamic config, in
// order.
func (i *Image) Resources(t ResourceType) []string {
	var names []string
	i.configs.each(func(r Resource, _ map[string]string) {
		if r.Type == t {
			names = append(names, r.Name)
		}
	})
	slices.Sort(names)
	return names
}

// Collision is the name of a topic that differs from name only in '.' for '_':
// Kafka refuses the second one, because metric names fold the two. It is ""
// when there is none.
func (i *Image) Collision(name string) string {
	fold, foldable := foldName(name)
	if !foldable {
		return ""
	}
	other, _ := i.folded.get(shardOf(fold), fold)
	if other == name {
		return ""
	}
	return other
}

// foldName is a topic name with its dots as underscores; foldable is false for
// a name that has neither and so collides with nothing.
func foldName(name string) (fold string, foldable bool) {
	if strings.IndexByte(name, '.') >= 0 {
		return strings.ReplaceAll(name, ".", "_"), true
	}
	return name, strings.IndexByte(name, '_') >= 0
}

// findTopic is the place of a name in the ordered list.
func findTopic(ordered []*Topic, name string) (int, bool) {
	return slices.BinarySearchFunc(ordered, name, func(t *Topic, name string) int {
		return strings.Compare(t.Name, name)
	})
}

// NextProducerID is the first producer id that was never reserved.
func (i *Image) NextProducerID() int64 { return i.nextProducerID }

// ResourceType is Kafka's config resource type.
type ResourceType int8

const (
	ResourceTopic         ResourceType = 2
	ResourceBroker        ResourceType = 4
	ResourceBrokerLogger  ResourceType = 8
	ResourceClientMetrics ResourceType = 16
	ResourceGroup         ResourceType = 32
	// ResourceAdministrators is not Kafka's and no client can name it: its keys
	// are the users that were made super users at a broker's first start.
	ResourceAdministrators ResourceType = 100
)

// Resource names what a config belongs to; broker "" is the cluster default.
type Resource struct {
	Type ResourceType
	Name string
}

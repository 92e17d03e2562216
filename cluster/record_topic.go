package cluster

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/chronik-stream/chronik/logstore"
)

// TopicRecord makes a topic. Its dynamic configs come as ConfigRecords in the
// same change.
type TopicRecord struct {
	Name       string
	ID         logstore.TopicID
	Partitions int32
	Internal   bool
	// Epochs is nil for a new topic; a snapshot carries them.
	Epochs []int32
}

func (TopicRecord) recordType() int16 { return typeTopic }

func (t TopicRecord) encode(w *writer) {
	w.string(t.Name)
	w.id(t.ID)
	w.int(int64(t.Partitions))
	w.bool(t.Internal)
	w.uint(uint64(len(t.Epochs)))
	for _, e := range t.Epochs {
		w.int(int64(e))
	}
}

func decodeTopic(r *reader, _ uint64) Record {
	t := TopicRecord{Name: r.string(), ID: r.id(), Partitions: int32(r.small(math.MaxInt32)), Internal: r.bool()}
	if n := r.length(); n > 0 {
		t.Epochs = make([]int32, n)
		for i := range t.Epochs {
			t.Epochs[i] = int32(r.small(math.MaxInt32))
		}
	}
	return t
}

func (t TopicRecord) apply(d *draft) error {
	if err := CheckTopicName(t.Name); err != nil {
		return err
	}
	if t.ID == (logstore.TopicID{}) {
		return fmt.Errorf("topic %s has no id", t.Name)
	}
	if t.Partitions < 1 {
		return fmt.Errorf("topic %s has %d partitions; it needs at least 1", t.Name, t.Partitions)
	}
	if len(t.Epochs) > int(t.Partitions) {
		return fmt.Errorf("topic %s has %d partitions and epochs for %d", t.Name, t.Partitions, len(t.Epochs))
	}
	if d.topic(t.Name) != nil {
		return fmt.Errorf("topic %s exists already", t.Name)
	}
	if other := d.topicByID(t.ID); other != nil {
		return fmt.Errorf("topic %s has the id of topic %s", t.Name, other.Name)
	}
	d.putTopic(&Topic{Name: t.Name, ID: t.ID, Partitions: t.Partitions, Internal: t.Internal, Epochs: slices.Clone(t.Epochs)})
	return nil
}

// TopicRemovedRecord removes a topic and its configs.
type TopicRemovedRecord struct{ ID logstore.TopicID }

func (TopicRemovedRecord) recordType() int16  { return typeTopicRemoved }
func (t TopicRemovedRecord) encode(w *writer) { w.id(t.ID) }
func decodeTopicRemoved(r *reader, _ uint64) Record {
	return TopicRemovedRecord{ID: r.id()}
}

func (t TopicRemovedRecord) apply(d *draft) error {
	topic := d.topicByID(t.ID)
	if topic == nil {
		return fmt.Errorf("no topic has the id %x", t.ID)
	}
	d.removeTopic(topic)
	return nil
}

// PartitionsRecord grows a topic to Count partitions.
type PartitionsRecord struct {
	ID    logstore.TopicID
	Count int32
}

func (PartitionsRecord) recordType() int16 { return typePartitions }

func (p PartitionsRecord) encode(w *writer) {
	w.id(p.ID)
	w.int(int64(p.Count))
}

func decodePartitions(r *reader, _ uint64) Record {
	return PartitionsRecord{ID: r.id(), Count: int32(r.small(math.MaxInt32))}
}

func (p PartitionsRecord) apply(d *draft) error {
	old := d.topicByID(p.ID)
	if old == nil {
		return fmt.Errorf("no topic has the id %x", p.ID)
	}
	if p.Count <= old.Partitions {
		return fmt.Errorf("topic %s has %d partitions and can only grow, not change to %d", old.Name, old.Partitions, p.Count)
	}
	t := *old
	t.Partitions = p.Count
	d.putTopic(&t)
	return nil
}

// PartitionEpochRecord raises one partition's leader epoch, which is Epoch
// beyond the epoch base.
type PartitionEpochRecord struct {
	ID        logstore.TopicID
	Partition int32
	Epoch     int32
}

func (PartitionEpochRecord) recordType() int16 { return typePartitionEpoch }

func (p PartitionEpochRecord) encode(w *writer) {
	w.id(p.ID)
	w.int(int64(p.Partition))
	w.int(int64(p.Epoch))
}

func decodePartitionEpoch(r *reader, _ uint64) Record {
	return PartitionEpochRecord{ID: r.id(), Partition: int32(r.small(math.MaxInt32)), Epoch: int32(r.small(math.MaxInt32))}
}

func (p PartitionEpochRecord) apply(d *draft) error {
	old := d.topicByID(p.ID)
	if old == nil {
		return fmt.Errorf("no topic has the id %x", p.ID)
	}
	if p.Partition < 0 || p.Partition >= old.Partitions {
		return fmt.Errorf("topic %s has no partition %d", old.Name, p.Partition)
	}
	t := *old
	t.Epochs = make([]int32, max(len(old.Epochs), int(p.Partition)+1))
	copy(t.Epochs, old.Epochs)
	if p.Epoch < t.Epochs[p.Partition] {
		return fmt.Errorf("the leader epoch of %s-%d is %d and cannot fall to %d", old.Name, p.Partition, t.Epochs[p.Partition], p.Epoch)
	}
	t.Epochs[p.Partition] = p.Epoch
	d.putTopic(&t)
	return nil
}

// ConfigRecord sets a key of a resource at run time, or with Delete takes the
// setting away. The value was checked before; see CheckDynamic.
type ConfigRecord struct {
	Resource Resource
	Key      string
	Value    string
	Delete   bool
}

func (ConfigRecord) recordType() int16 { return typeConfig }

func (c ConfigRecord) encode(w *writer) {
	w.byte(byte(c.Resource.Type))
	w.string(c.Resource.Name)
	w.string(c.Key)
	w.bool(c.Delete)
	w.string(c.Value)
}

func decodeConfig(r *reader, _ uint64) Record {
	return ConfigRecord{Resource: Resource{ResourceType(r.byte()), r.string()}, Key: r.string(), Delete: r.bool(), Value: r.string()}
}

func (c ConfigRecord) apply(d *draft) error {
	if c.Key == "" {
		return fmt.Errorf("a config of %q has no key", c.Resource.Name)
	}
	if c.Resource.Type == ResourceTopic && d.topic(c.Resource.Name) == nil {
		return fmt.Errorf("config %s is for topic %s, which does not exist", c.Key, c.Resource.Name)
	}
	old, _ := d.configs.now.get(shardOf(c.Resource.Name), c.Resource)
	if _, ok := old[c.Key]; !ok && c.Delete {
		return nil
	}
	m := make(map[string]string, len(old)+1)
	maps.Copy(m, old)
	if c.Delete {
		delete(m, c.Key)
	} else {
		m[c.Key] = c.Value
	}
	d.setConfigs(c.Resource, m)
	return nil
}

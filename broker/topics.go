package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
)

// How topics are made, grown and deleted. The metadata changes first and is
// durable; then the logs follow. What a crash leaves between the two is put
// right by the next start: a topic without logs gets them, logs without a
// topic are moved away.
//
// Such a change is seen to its end: once the metadata may have it, the wait for
// the disk is not cut short by the client's time, or nobody would know whether
// logs are to follow. A request whose time is over before changes nothing.

// topicSpec is a topic to be made.
type topicSpec struct {
	name        string
	partitions  int32
	replication int16
	configs     map[string]string
	internal    bool
}

// checkSpec refuses what Kafka's ReplicationControlManager refuses, but for
// what depends on the topics that exist.
func (b *Broker) checkSpec(s *topicSpec) error {
	if err := cluster.CheckTopicName(s.name); err != nil {
		return &apiError{errInvalidTopic, err.Error()}
	}
	switch {
	case s.partitions < 1:
		return refuse(errInvalidPartitions, fmt.Sprintf("The number of partitions is %d; it must be larger than 0.", s.partitions))
	case int64(s.partitions) > b.limit(limitCreate):
		return refuse(errPolicyViolation, fmt.Sprintf("The number of partitions is %d; one request may make %d.", s.partitions, b.limit(limitCreate)))
	case s.replication < 1:
		return refuse(errInvalidReplicationFactor, fmt.Sprintf("The replication factor is %d; it must be larger than 0.", s.replication))
	case s.replication > 1:
		return refuse(errInvalidReplicationFactor, fmt.Sprintf("Unable to replicate the partition %d time(s): the cluster has 1 broker.", s.replication))
	}
	if err := b.cluster.CheckSet(b.cluster.Image(), cluster.Resource{Type: cluster.ResourceTopic, Name: s.name}, s.configs); err != nil {
		return &apiError{errInvalidConfig, err.Error()}
	}
	return nil
}

// checkNew refuses names that are taken in the image.
func checkNew(image *cluster.Image, name string) error {
	if image.Topic(name) != nil {
		return refuse(errTopicExists, fmt.Sprintf("Topic '%s' already exists.", name))
	}
	if other := image.Collision(name); other != "" {
		return refuse(errInvalidTopic, fmt.Sprintf("Topic '%s' collides with existing topic: %s", name, other))
	}
	return nil
}

// createTopics makes topics in one change and opens their logs; it gives an
// error for each. Waits: not on a loop.
func (b *Broker) createTopics(ctx context.Context, specs []topicSpec) []error {
	b.topicMu.Lock()
	defer b.topicMu.Unlock()
	old := b.cluster.Image()
	errs := make([]error, len(specs))
	var made []int
	err := b.commitTopics(ctx, func(image *cluster.Image) ([]cluster.Record, error) {
		var records []cluster.Record
		for i := range specs {
			s := &specs[i]
			if errs[i] = b.checkSpec(s); errs[i] == nil {
				errs[i] = checkNew(image, s.name)
			}
			if errs[i] != nil || slices.ContainsFunc(made, func(j int) bool { return specs[j].name == s.name }) {
				continue
			}
			records = append(records, cluster.TopicRecord{Name: s.name, ID: cluster.NewTopicID(), Partitions: s.partitions, Internal: s.internal})
			for key, value := range s.configs {
				records = append(records, cluster.ConfigRecord{Resource: cluster.Resource{Type: cluster.ResourceTopic, Name: s.name}, Key: key, Value: value})
			}
			made = append(made, i)
		}
		return records, nil
	})
	if err != nil {
		for i := range errs {
			errs[i] = cmp.Or(errs[i], err)
		}
		made = nil
	}
	image := b.cluster.Image()
	for _, i := range made {
		if ct := image.Topic(specs[i].name); ct != nil {
			errs[i] = b.openNew(ct)
		}
	}
	b.topicsChanged(old)
	return errs
}

// commitTopics makes a change of topics durable. Under topicMu; waits.
func (b *Broker) commitTopics(ctx context.Context, change func(*cluster.Image) ([]cluster.Record, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.cluster.Commit(context.WithoutCancel(ctx), change)
}

// openNew creates the logs of a topic that was just made; a topic whose logs
// cannot be created is taken back.
func (b *Broker) openNew(ct *cluster.Topic) error {
	t, configs := newTopic(ct), b.cluster.Image().ConfigsVersion
	parts, err := b.openLogs(t, ct, 0, b.store.CreateLog)
	if err == nil {
		b.publish(t, parts, configs)
		b.logger.Info("topic created", "topic", ct.Name, "partitions", ct.Partitions, "id", cluster.TopicIDString(ct.ID))
		return nil
	}
	undo := b.cluster.Commit(context.Background(), func(*cluster.Image) ([]cluster.Record, error) {
		return []cluster.Record{cluster.TopicRemovedRecord{ID: ct.ID}}, nil
	})
	return errors.Join(fmt.Errorf("broker: create the logs of topic %s: %w", ct.Name, err), undo, b.deleteLogs(parts))
}

// deleteLogs takes logs out of service; nil ones were never made.
func (b *Broker) deleteLogs(parts []*partition) error {
	var errs []error
	var mu sync.Mutex
	err := b.atOnce("delete log", len(parts), func(i int) error {
		p := parts[i]
		if p == nil {
			return nil
		}
		p.deleted.Store(true)
		if err := b.store.Delete(p.log); err != nil {
			mu.Lock()
			errs = append(errs, err) // the others are deleted all the same
			mu.Unlock()
		}
		p.waiters.wake()
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// deleteTopic takes a topic out of the metadata, then out of service. Waits.
func (b *Broker) deleteTopic(ctx context.Context, id logstore.TopicID) error {
	b.topicMu.Lock()
	defer b.topicMu.Unlock()
	defer b.topicsChanged(b.cluster.Image())
	err := b.commitTopics(ctx, func(image *cluster.Image) ([]cluster.Record, error) {
		if image.TopicByID(id) == nil {
			return nil, refuse(errUnknownTopicID, "The topic does not exist any more.")
		}
		return []cluster.Record{cluster.TopicRemovedRecord{ID: id}}, nil
	})
	if err != nil {
		return err
	}
	t := b.topics.withID(id)
	if t == nil {
		return nil
	}
	b.topics.remove(t)
	if err := b.deleteLogs(*t.parts.Load()); err != nil {
		return fmt.Errorf("broker: delete the logs of topic %s: %w", t.name, err)
	}
	b.logger.Info("topic deleted", "topic", t.name, "id", cluster.TopicIDString(id))
	return nil
}

// growTopic gives a topic count partitions in all. Waits.
func (b *Broker) growTopic(ctx context.Context, name string, count int32, validateOnly bool) error {
	b.topicMu.Lock()
	defer b.topicMu.Unlock()
	defer b.topicsChanged(b.cluster.Image())
	err := b.commitTopics(ctx, func(image *cluster.Image) ([]cluster.Record, error) {
		ct := image.Topic(name)
		switch {
		case ct == nil:
			return nil, refuse(errUnknownTopicOrPartition, "This server does not host this topic-partition.")
		case count == ct.Partitions:
			return nil, refuse(errInvalidPartitions, fmt.Sprintf("Topic already has %d partition(s).", count))
		case count < ct.Partitions:
			return nil, refuse(errInvalidPartitions, fmt.Sprintf("The topic %s currently has %d partition(s); %d would not be an increase.", name, ct.Partitions, count))
		case int64(count-ct.Partitions) > b.limit(limitCreate):
			return nil, refuse(errInvalidPartitions, fmt.Sprintf("One request may make %d partitions.", b.limit(limitCreate)))
		case validateOnly:
			return nil, nil
		}
		return []cluster.Record{cluster.PartitionsRecord{ID: ct.ID, Count: count}}, nil
	})
	if err != nil || validateOnly {
		return err
	}
	ct := b.cluster.Image().Topic(name)
	if ct == nil {
		return refuse(errUnknownTopicOrPartition, "The topic was deleted meanwhile.")
	}
	t := b.topics.withID(ct.ID)
	if t == nil {
		return refuse(errUnknownTopicOrPartition, "The topic was deleted meanwhile.")
	}
	old, configs := *t.parts.Load(), b.cluster.Image().ConfigsVersion
	more, err := b.openLogs(t, ct, int32(len(old)), b.store.CreateLog)
	// What could be opened serves, as far as there is no gap; the next start opens
	// the rest.
	var behind []*partition
	if n := slices.Index(more, nil); n >= 0 {
		more, behind = more[:n], more[n:]
	}
	b.publish(t, append(slices.Clone(old), more...), configs)
	if err != nil {
		return errors.Join(fmt.Errorf("broker: create the logs of topic %s: %w", name, err), b.deleteLogs(behind))
	}
	return nil
}

// internalSpec is a coordinator's topic as the broker keys describe it. The
// replication factor is what this cluster can have.
func (b *Broker) internalSpec(name string) topicSpec {
	prefix := "offsets.topic."
	configs := map[string]string{"cleanup.policy": "compact", "compression.type": "producer"}
	if name == cluster.TransactionsTopic {
		prefix = "transaction.state.log."
		configs["compression.type"] = "uncompressed"
	}
	configs["segment.bytes"] = strconv.FormatInt(b.cluster.BrokerInt(prefix+"segment.bytes"), 10)
	return topicSpec{
		name: name, partitions: int32(b.cluster.BrokerInt(prefix + "num.partitions")), replication: 1,
		configs: configs, internal: true,
	}
}

// ensureInternal gives a coordinator's topic, which it makes when it does not
// exist. Waits: not on a loop.
func (b *Broker) ensureInternal(name string) (*topic, error) {
	if t := b.topics.get(name); t != nil {
		return t, nil
	}
	err := b.createTopics(context.Background(), []topicSpec{b.internalSpec(name)})[0]
	if t := b.topics.get(name); t != nil {
		return t, nil
	}
	if err == nil {
		err = errors.New("broker: the topic was deleted while it was made")
	}
	return nil, err
}

// ensureOffsetsTopic is ensureInternal for who needs no topic.
func (b *Broker) ensureOffsetsTopic() error {
	_, err := b.ensureInternal(cluster.OffsetsTopic)
	return err
}

// isInternal reports whether Kafka treats a name as internal (Topic.java).
func isInternal(name string) bool {
	switch name {
	case cluster.OffsetsTopic, cluster.TransactionsTopic, "__share_group_state":
		return true
	}
	return false
}

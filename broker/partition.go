package broker

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/logstore"
)

// topic is a topic whose logs are open.
type topic struct {
	name     string
	id       logstore.TopicID
	internal bool
	// codec is the topic's compression.type as Kafka's codec id, -1 for producer.
	codec atomic.Int32
	// level is the level that the topic has for that codec.
	level atomic.Int32
	// keyed: the topic is compacted, and records without a key are refused.
	keyed atomic.Bool
	// starved: min.insync.replicas asks for more replicas than there are.
	starved atomic.Bool
	// parts is replaced when the topic grows.
	parts atomic.Pointer[[]*partition]
}

// partition is the broker's side of one log.
type partition struct {
	topic *topic
	index int32
	log   *logstore.Log
	// deleted: fetches that waited here find it out when they look again.
	deleted atomic.Bool

	waiters waiters
}

// partition gives one of the topic's partitions, or nil.
func (t *topic) partition(i int32) *partition {
	parts := *t.parts.Load()
	if i < 0 || int(i) >= len(parts) {
		return nil
	}
	return parts[i]
}

// topics is every topic with open logs. A lookup takes a read lock for two map
// accesses and allocates nothing.
type topics struct {
	mu     sync.RWMutex
	byName map[string]*topic
	byID   map[logstore.TopicID]*topic
	count  int64 // partitions
}

func (ts *topics) init() {
	ts.byName = map[string]*topic{}
	ts.byID = map[logstore.TopicID]*topic{}
}

// named finds a topic; name may alias a request.
func (ts *topics) named(name []byte) *topic {
	ts.mu.RLock()
	t := ts.byName[string(name)]
	ts.mu.RUnlock()
	return t
}

func (ts *topics) get(name string) *topic {
	ts.mu.RLock()
	t := ts.byName[name]
	ts.mu.RUnlock()
	return t
}

func (ts *topics) withID(id logstore.TopicID) *topic {
	ts.mu.RLock()
	t := ts.byID[id]
	ts.mu.RUnlock()
	return t
}

func (ts *topics) size() (topics, partitions int64) {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return int64(len(ts.byName)), ts.count
}

// all lists the topics in no order.
func (ts *topics) all() []*topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	list := make([]*topic, 0, len(ts.byName))
	for _, t := range ts.byName {
		list = append(list, t)
	}
	return list
}

// put publishes a topic, or its grown list of partitions.
func (ts *topics) put(t *topic, parts []*partition) {
	ts.mu.Lock()
	if old := t.parts.Load(); old != nil {
		ts.count -= int64(len(*old))
	}
	ts.count += int64(len(parts))
	t.parts.Store(&parts)
	ts.byName[t.name] = t
	ts.byID[t.id] = t
	ts.mu.Unlock()
}

func (ts *topics) remove(t *topic) {
	ts.mu.Lock()
	if ts.byName[t.name] == t {
		delete(ts.byName, t.name)
	}
	delete(ts.byID, t.id)
	ts.count -= int64(len(*t.parts.Load()))
	ts.mu.Unlock()
}

// openLogs opens the logs [from, ct.Partitions) of a topic with open (which
// is Store.OpenLog or Store.CreateLog), many at a time, and gives them. With an
// error some are nil.
func (b *Broker) openLogs(t *topic, ct *cluster.Topic, from int32, open func(logstore.LogSpec) (*logstore.Log, error)) ([]*partition, error) {
	config := b.cluster.LogConfig(ct.Name)
	b.readTopic(t, config)
	image := b.cluster.Image()
	parts := make([]*partition, ct.Partitions-from)
	err := b.atOnce("open log", len(parts), func(k int) error {
		i := from + int32(k)
		log, err := open(logstore.LogSpec{
			Topic: ct.Name, ID: ct.ID, Partition: i, Config: config, Epoch: image.Epoch(ct, i), Internal: ct.Internal,
		})
		if err != nil {
			return err
		}
		p := &partition{topic: t, index: i, log: log}
		log.Attachment = p
		parts[k] = p
		return nil
	})
	return parts, err
}

// publish lets clients find a topic's partitions, whose logs were opened with the
// configuration as it was at version since: a change that came meanwhile did not
// find them.
func (b *Broker) publish(t *topic, parts []*partition, since int64) {
	b.topics.put(t, parts)
	if b.cluster.Image().ConfigsVersion != since {
		b.reconfigure(t)
	}
}

// newTopic is a topic without partitions, not published.
func newTopic(ct *cluster.Topic) *topic {
	return &topic{name: ct.Name, id: ct.ID, internal: ct.Internal}
}

// reconfigure reads a topic's configuration again, after it changed.
func (b *Broker) reconfigure(t *topic) {
	b.configMu.Lock()
	defer b.configMu.Unlock()
	config := b.cluster.LogConfig(t.name)
	b.readTopic(t, config)
	for _, p := range *t.parts.Load() {
		p.log.SetConfig(config)
	}
}

// readTopic reads what the broker itself goes by: the codec, its level, whether
// records need keys, and min.insync.replicas.
func (b *Broker) readTopic(t *topic, config logstore.LogConfig) {
	codec := config.Codec
	level := compress.DefaultLevel
	if c := compress.Codec(codec); c == compress.Gzip || c == compress.LZ4 || c == compress.Zstd {
		// Values were checked when they were set.
		if n, err := strconv.Atoi(b.cluster.Topic(t.name, "compression."+c.String()+".level")); err == nil {
			level = n
		}
	}
	t.level.Store(int32(level))
	least, err := strconv.Atoi(b.cluster.Topic(t.name, "min.insync.replicas"))
	t.starved.Store(err == nil && least > 1)
	t.codec.Store(int32(codec))
	t.keyed.Store(config.Compact)
}

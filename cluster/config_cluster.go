package cluster

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/chronik-stream/chronik/logstore"
)

// Static is the broker's own configuration. Not to be written to.
func (c *Cluster) Static() map[string]string { return c.static }

// Broker is the value in force of a broker key on this broker: set at run time,
// over static, over the default; "" for null and for a key that there is not. A
// few map accesses: hot paths keep the value and renew it by Subscribe.
func (c *Cluster) Broker(key string) string {
	def := FindConfig(ResourceBroker, key)
	if def == nil {
		return ""
	}
	v, _ := c.Image().value(Resource{ResourceBroker, c.nodeKey}, def, key, c.static)
	return strings.TrimSpace(v)
}

// BrokerInt is Broker for whole numbers of every width; 0 for null.
func (c *Cluster) BrokerInt(key string) int64 { return number(c.Broker(key)) }

// BrokerFloat is Broker for decimals; 0 for null.
func (c *Cluster) BrokerFloat(key string) float64 {
	// Values were checked when they were set.
	f, _ := strconv.ParseFloat(c.Broker(key), 64)
	return f
}

// BrokerBool is Broker for booleans; false for null.
func (c *Cluster) BrokerBool(key string) bool { return strings.EqualFold(c.Broker(key), "true") }

// BrokerList is Broker for lists; nil for null and empty.
func (c *Cluster) BrokerList(key string) []string { return SplitList(c.Broker(key)) }

// BrokerMillis is Broker for durations in milliseconds. Durations too long for
// Go are the longest that is not.
func (c *Cluster) BrokerMillis(key string) time.Duration {
	ms := c.BrokerInt(key)
	if ms > int64(1<<63-1)/int64(time.Millisecond) {
		return 1<<63 - 1
	}
	return time.Duration(ms) * time.Millisecond
}

// TopicConfig is every key of a topic with its value in force; a topic that
// does not exist gets what a new one would.
func (c *Cluster) TopicConfig(name string) map[string]string {
	img, m := c.Image(), make(map[string]string, len(TopicConfigs))
	for i := range TopicConfigs {
		m[TopicConfigs[i].Name], _ = img.value(Resource{ResourceTopic, name}, &TopicConfigs[i], TopicConfigs[i].Name, c.static)
	}
	return m
}

// Topic is the value in force of one topic key.
func (c *Cluster) Topic(topic, key string) string {
	return c.Image().valueOf(Resource{ResourceTopic, topic}, key, c.static)
}

// Group is the value in force of one group key.
func (c *Cluster) Group(group, key string) string {
	return c.Image().valueOf(Resource{ResourceGroup, group}, key, c.static)
}

func (i *Image) valueOf(res Resource, key string, static map[string]string) string {
	def := findDef(ConfigDefs(res.Type), key)
	if def == nil {
		return ""
	}
	v, _ := i.value(res, def, key, static)
	return strings.TrimSpace(v)
}

// LogConfig is a topic's configuration for its logs, from the current image.
func (c *Cluster) LogConfig(topic string) logstore.LogConfig {
	return c.Image().LogConfig(topic, c.static)
}

// LogConfig is a topic's configuration for its logs; a topic that does not
// exist gets what a new one would.
func (i *Image) LogConfig(topic string, static map[string]string) logstore.LogConfig {
	get := func(key string) string { return i.valueOf(Resource{ResourceTopic, topic}, key, static) }
	n := func(key string) int64 { return number(get(key)) }
	truth := func(key string) bool { return strings.EqualFold(get(key), "true") }
	l := logstore.DefaultLogConfig()
	l.SegmentBytes, l.SegmentMs, l.SegmentJitterMs = int32(n("segment.bytes")), n("segment.ms"), n("segment.jitter.ms")
	l.SegmentIndexBytes, l.IndexIntervalBytes = int32(n("segment.index.bytes")), int32(n("index.interval.bytes"))
	l.RetentionMs, l.RetentionBytes = n("retention.ms"), n("retention.bytes")
	l.Compact, l.Delete = false, false
	for _, policy := range SplitList(get("cleanup.policy")) {
		l.Compact = l.Compact || policy == "compact"
		l.Delete = l.Delete || policy == "delete"
	}
	l.DeleteRetentionMs = n("delete.retention.ms")
	l.MinCompactionLagMs, l.MaxCompactionLagMs = n("min.compaction.lag.ms"), n("max.compaction.lag.ms")
	// Values were checked when they were set.
	l.MinDirtyRatio, _ = strconv.ParseFloat(get("min.cleanable.dirty.ratio"), 64)
	l.FileDeleteDelayMs = n("file.delete.delay.ms")
	l.FlushMessages, l.FlushMs = n("flush.messages"), n("flush.ms")
	l.MaxMessageBytes = int32(n("max.message.bytes"))
	l.LogAppendTime = get("message.timestamp.type") == "LogAppendTime"
	l.BeforeMaxMs, l.AfterMaxMs = n("message.timestamp.before.max.ms"), n("message.timestamp.after.max.ms")
	l.Codec = CodecID(get("compression.type"))
	l.Preallocate = truth("preallocate")
	return l
}

// CodecID is a compression.type as the number in a batch's attributes, or -1
// for "producer".
func CodecID(compressionType string) int8 {
	switch compressionType {
	case "uncompressed":
		return 0
	case "gzip":
		return 1
	case "snappy":
		return 2
	case "lz4":
		return 3
	case "zstd":
		return 4
	}
	return -1
}

// CheckSet checks the whole of what would be set on a resource: each key and
// value, and what they say together with what is set elsewhere. img is the
// image that the change is made to.
func (c *Cluster) CheckSet(img *Image, res Resource, set map[string]string) error {
	for key, value := range set {
		if err := CheckDynamic(res, key, value); err != nil {
			return err
		}
	}
	// What the image would give with the set in place.
	d := newDraft(img)
	d.setConfigs(res, maps.Clone(set))
	next := d.finish()
	get := func(key string) string { return next.valueOf(res, key, c.static) }
	switch res.Type {
	case ResourceTopic:
		return checkTopicConfigs(get)
	case ResourceGroup:
		return checkGroupConfigs(func(key string) bool { _, ok := set[key]; return ok }, get, func(key string) string {
			return next.valueOf(Resource{ResourceBroker, c.nodeKey}, key, c.static)
		})
	case ResourceClientMetrics:
		if res.Name == "" {
			return fmt.Errorf("%w: a client metrics subscription needs a name", ErrConfigValue)
		}
	}
	return nil
}

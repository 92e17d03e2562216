package group

import (
	"math"
	"strconv"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

// settings is what the coordinator reads of the broker's configuration. One
// value is made per change of the metadata and then never written to.
type settings struct {
	minSession, maxSession time.Duration // group.min.session.timeout.ms, group.max…
	initialDelay           time.Duration // group.initial.rebalance.delay.ms
	maxSize                int           // group.max.size
	offsetMetadataMax      int           // offset.metadata.max.bytes
	offsetsRetention       time.Duration // offsets.retention.minutes
	retentionCheck         time.Duration // offsets.retention.check.interval.ms
	consumerMaxSize        int           // group.consumer.max.size
	consumerSession        time.Duration // group.consumer.session.timeout.ms
	consumerHeartbeat      time.Duration // group.consumer.heartbeat.interval.ms
	assignmentInterval     time.Duration // group.consumer.assignment.interval.ms
	regexRefresh           time.Duration // group.consumer.regex.refresh.interval.ms
	assignors              []string      // group.consumer.assignors, the first is the default
	upgrade, downgrade     bool          // group.consumer.migration.policy
	// maxRecord is the largest record that fits the topic's max.message.bytes.
	maxRecord int
	// group is a group's own configuration (resource type 32); nil for none.
	group func(id string) groupSettings
}

// groupSettings is one group's own configuration; zero means the broker's.
type groupSettings struct {
	session, heartbeat time.Duration
	// assignmentInterval is -1 when not set, since 0 is a value.
	assignmentInterval time.Duration
}

func (c *settings) of(group string) groupSettings {
	if c.group == nil {
		return groupSettings{assignmentInterval: -1}
	}
	return c.group(group)
}

// sessionOf is a consumer group's session timeout.
func (c *settings) sessionOf(group string) time.Duration {
	if d := c.of(group).session; d > 0 {
		return d
	}
	return c.consumerSession
}

// heartbeatOf is the interval its members are told to heartbeat at.
func (c *settings) heartbeatOf(group string) time.Duration {
	if d := c.of(group).heartbeat; d > 0 {
		return d
	}
	return c.consumerHeartbeat
}

// assignmentIntervalOf is the least time between two of its assignments (KIP-1263).
func (c *settings) assignmentIntervalOf(group string) time.Duration {
	if d := c.of(group).assignmentInterval; d >= 0 {
		return d
	}
	return c.assignmentInterval
}

// versionedSettings is the settings read from one version of the metadata.
type versionedSettings struct {
	settings
	version int64
}

// settings are read anew when the metadata has changed, else one atomic load.
func (c *Coordinator) settings() *settings {
	version := c.o.Cluster.Image().Version
	if have := c.cfg.Load(); have != nil && have.version == version {
		return &have.settings
	}
	next := &versionedSettings{*readSettings(c.o.Cluster), version}
	c.cfg.Store(next)
	return &next.settings
}

func readSettings(c *cluster.Cluster) *settings {
	size := func(key string) int { return int(min(max(c.BrokerInt(key), 1), 1<<31-1)) }
	s := &settings{
		minSession:   c.BrokerMillis("group.min.session.timeout.ms"),
		maxSession:   c.BrokerMillis("group.max.session.timeout.ms"),
		initialDelay: c.BrokerMillis("group.initial.rebalance.delay.ms"),
		maxSize:      size("group.max.size"),
		// Older versions of the record have a 16-bit length.
		offsetMetadataMax: int(min(c.BrokerInt("offset.metadata.max.bytes"), math.MaxInt16)),
		offsetsRetention:  time.Duration(c.BrokerInt("offsets.retention.minutes")) * time.Minute,
		retentionCheck:    max(c.BrokerMillis("offsets.retention.check.interval.ms"), time.Second),
		consumerMaxSize:   size("group.consumer.max.size"),
		consumerSession:   c.BrokerMillis("group.consumer.session.timeout.ms"),
		consumerHeartbeat: c.BrokerMillis("group.consumer.heartbeat.interval.ms"),
		regexRefresh:      c.BrokerMillis("group.consumer.regex.refresh.interval.ms"),
		maxRecord:         maxBatch,
	}
	s.assignmentInterval = c.BrokerMillis("group.consumer.assignment.interval.ms")
	for _, name := range c.BrokerList("group.consumer.assignors") {
		if name == assignorUniform || name == assignorRange {
			s.assignors = append(s.assignors, name)
		}
	}
	if len(s.assignors) == 0 {
		s.assignors = []string{assignorUniform, assignorRange}
	}
	switch c.Broker("group.consumer.migration.policy") {
	case "bidirectional":
		s.upgrade, s.downgrade = true, true
	case "upgrade":
		s.upgrade = true
	case "downgrade":
		s.downgrade = true
	}
	s.group = func(id string) groupSettings { return readGroup(c, id) }
	return s
}

func readGroup(c *cluster.Cluster, id string) groupSettings {
	g := groupSettings{assignmentInterval: -1}
	set := c.Image().DynamicConfigs(cluster.Resource{Type: cluster.ResourceGroup, Name: id})
	if len(set) == 0 {
		return g
	}
	millis := func(key string) (time.Duration, bool) {
		if _, ok := set[key]; !ok {
			return 0, false
		}
		n, err := strconv.ParseInt(c.Group(id, key), 10, 64)
		return ms(n), err == nil
	}
	g.session, _ = millis("consumer.session.timeout.ms")
	g.heartbeat, _ = millis("consumer.heartbeat.interval.ms")
	if d, ok := millis("consumer.assignment.interval.ms"); ok {
		g.assignmentInterval = d
	}
	return g
}

package cluster

import "fmt"

// GroupConfigs is every group key, by name (Kafka's GroupConfig). The broker's
// group.*.min and max keys bound them; see CheckSet.
var GroupConfigs = []ConfigDef{
	{Name: "consumer.assignment.interval.ms", Type: TypeInt, Default: "0", Synonyms: []string{"group.consumer.assignment.interval.ms"}, Check: atLeast(0),
		Doc: "The shortest time between two assignments of a consumer group, in milliseconds."},
	{Name: "consumer.heartbeat.interval.ms", Type: TypeInt, Default: "5000", Synonyms: []string{"group.consumer.heartbeat.interval.ms"}, Check: atLeast(1),
		Doc: "How often members of a consumer group send heartbeats, in milliseconds."},
	{Name: "consumer.session.timeout.ms", Type: TypeInt, Default: "45000", Synonyms: []string{"group.consumer.session.timeout.ms"}, Check: atLeast(1),
		Doc: "How long a member of a consumer group may be silent before it is taken out, in milliseconds."},
	{Name: "share.assignment.interval.ms", Type: TypeInt, Default: "1000", Synonyms: []string{"group.share.assignment.interval.ms"}, Check: atLeast(0),
		Doc: "The shortest time between two assignments of a share group, in milliseconds. Stored only: share groups are not served."},
	{Name: "share.auto.offset.reset", Type: TypeString, Default: "latest", Check: shareReset,
		Doc: "Where a share group begins a partition: latest, earliest, or by_duration:<ISO 8601 duration> for that long ago. Stored only: share groups are not served."},
	{Name: "share.delivery.count.limit", Type: TypeInt, Default: "5", Synonyms: []string{"group.share.delivery.count.limit"}, Check: atLeast(2),
		Doc: "How often a record is delivered to a share group before it is given up. Stored only: share groups are not served."},
	{Name: "share.heartbeat.interval.ms", Type: TypeInt, Default: "5000", Synonyms: []string{"group.share.heartbeat.interval.ms"}, Check: atLeast(1),
		Doc: "How often members of a share group send heartbeats, in milliseconds. Stored only: share groups are not served."},
	{Name: "share.isolation.level", Type: TypeString, Default: "read_uncommitted", Check: oneOf("read_committed", "read_uncommitted"),
		Doc: "Whether a share group reads records of open and aborted transactions too (read_uncommitted) or only committed ones. Stored only: share groups are not served."},
	{Name: "share.partition.max.record.locks", Type: TypeInt, Default: "2000", Synonyms: []string{"group.share.partition.max.record.locks"}, Check: atLeast(100),
		Doc: "Records of one partition that a share group may hold at once. Stored only: share groups are not served."},
	{Name: "share.record.lock.duration.ms", Type: TypeInt, Default: "30000", Synonyms: []string{"group.share.record.lock.duration.ms"}, Check: atLeast(1000),
		Doc: "How long a member of a share group holds a record, in milliseconds. Stored only: share groups are not served."},
	{Name: "share.renew.acknowledge.enable", Type: TypeBool, Default: "true",
		Doc: "Whether members of a share group may hold a record longer by renewing it. Stored only: share groups are not served."},
	{Name: "share.session.timeout.ms", Type: TypeInt, Default: "45000", Synonyms: []string{"group.share.session.timeout.ms"}, Check: atLeast(1),
		Doc: "How long a member of a share group may be silent before it is taken out, in milliseconds. Stored only: share groups are not served."},
	{Name: "streams.assignment.interval.ms", Type: TypeInt, Default: "1000", Synonyms: []string{"group.streams.assignment.interval.ms"}, Check: atLeast(0),
		Doc: "The shortest time between two assignments of a streams group, in milliseconds. Stored only: streams groups are not served."},
	{Name: "streams.heartbeat.interval.ms", Type: TypeInt, Default: "5000", Synonyms: []string{"group.streams.heartbeat.interval.ms"}, Check: atLeast(1),
		Doc: "How often members of a streams group send heartbeats, in milliseconds. Stored only: streams groups are not served."},
	{Name: "streams.initial.rebalance.delay.ms", Type: TypeInt, Default: "3000", Synonyms: []string{"group.streams.initial.rebalance.delay.ms"}, Check: atLeast(0),
		Doc: "How long a new streams group waits for members before its first assignment, in milliseconds. Stored only: streams groups are not served."},
	{Name: "streams.num.standby.replicas", Type: TypeInt, Default: "0", Synonyms: []string{"group.streams.num.standby.replicas"}, Check: atLeast(0),
		Doc: "Standby copies of each task of a streams group. Stored only: streams groups are not served."},
	{Name: "streams.session.timeout.ms", Type: TypeInt, Default: "45000", Synonyms: []string{"group.streams.session.timeout.ms"}, Check: atLeast(1),
		Doc: "How long a member of a streams group may be silent before it is taken out, in milliseconds. Stored only: streams groups are not served."},
}

// groupBounds are the broker keys that bound a group key; "" bounds nothing.
var groupBounds = []struct{ key, min, max string }{
	{"consumer.assignment.interval.ms", "group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"},
	{"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
	{"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
	{"share.assignment.interval.ms", "group.share.min.assignment.interval.ms", "group.share.max.assignment.interval.ms"},
	{"share.delivery.count.limit", "group.share.min.delivery.count.limit", "group.share.max.delivery.count.limit"},
	{"share.heartbeat.interval.ms", "group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"},
	{"share.partition.max.record.locks", "group.share.min.partition.max.record.locks", "group.share.max.partition.max.record.locks"},
	{"share.record.lock.duration.ms", "group.share.min.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"},
	{"share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"},
	{"streams.assignment.interval.ms", "group.streams.min.assignment.interval.ms", "group.streams.max.assignment.interval.ms"},
	{"streams.heartbeat.interval.ms", "group.streams.min.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms"},
	{"streams.num.standby.replicas", "", "group.streams.max.standby.replicas"},
	{"streams.session.timeout.ms", "group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms"},
}

// checkGroupConfigs checks what was set on a group against the broker's bounds
// and each other. set tells what is set on the group itself, get the value in
// force, broker a broker key's.
func checkGroupConfigs(set func(key string) bool, get, broker func(key string) string) error {
	for _, b := range groupBounds {
		if !set(b.key) {
			continue
		}
		n := number(get(b.key))
		if b.min != "" && n < number(broker(b.min)) {
			return fmt.Errorf("%w %d for configuration %s: it must not be less than the broker's %s, which is %s", ErrConfigValue, n, b.key, b.min, broker(b.min))
		}
		if n > number(broker(b.max)) {
			return fmt.Errorf("%w %d for configuration %s: it must not be more than the broker's %s, which is %s", ErrConfigValue, n, b.key, b.max, broker(b.max))
		}
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		beat, session := kind+".heartbeat.interval.ms", kind+".session.timeout.ms"
		if b, s := number(get(beat)), number(get(session)); b >= s {
			return fmt.Errorf("%w %d for configuration %s: it must be less than %s, which is %d", ErrConfigValue, b, beat, session, s)
		}
	}
	return nil
}

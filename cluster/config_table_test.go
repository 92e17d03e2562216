package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

var allTables = []struct {
	name string
	t    ResourceType
	size int
}{
	{"topic", ResourceTopic, 33},
	{"group", ResourceGroup, 17},
	{"client metrics", ResourceClientMetrics, 3},
	{"broker", ResourceBroker, 320},
}

// TestConfigTables holds every key against the rules of a table: in order, once,
// documented, its default good by its own check, its synonyms broker keys of
// the same kind whose defaults agree.
func TestConfigTables(t *testing.T) {
	for _, table := range allTables {
		defs := ConfigDefs(table.t)
		if len(defs) < table.size {
			t.Errorf("%s: %d keys, Kafka lists %d", table.name, len(defs), table.size)
		}
		if !slices.IsSortedFunc(defs, func(a, b ConfigDef) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s: the table is not in order", table.name)
		}
		for i := range defs {
			d := &defs[i]
			if i > 0 && defs[i-1].Name == d.Name {
				t.Errorf("%s: %s stands there twice", table.name, d.Name)
			}
			if FindConfig(table.t, d.Name) != d {
				t.Errorf("%s: %s is not found", table.name, d.Name)
			}
			if len(d.Doc) < 15 || !strings.HasSuffix(d.Doc, ".") {
				t.Errorf("%s: %s has no documentation of whole sentences: %q", table.name, d.Name, d.Doc)
			}
			if d.Type < TypeBool || d.Type > TypePassword {
				t.Errorf("%s: %s has type %d", table.name, d.Name, d.Type)
			}
			if d.NullDefault && d.Default != "" {
				t.Errorf("%s: the default of %s is null and %q", table.name, d.Name, d.Default)
			}
			if d.Type == TypePassword && !d.NullDefault {
				t.Errorf("%s: the password %s has a default", table.name, d.Name)
			}
			if !d.NullDefault {
				if err := CheckConfig(table.t, d.Name, d.Default); err != nil {
					t.Errorf("%s: the default of %s fails its check: %v", table.name, d.Name, err)
				}
			}
			switch d.Type {
			case TypeBool, TypeInt, TypeShort, TypeLong, TypeDouble:
				if err := CheckConfig(table.t, d.Name, "no number"); !errors.Is(err, ErrConfigValue) {
					t.Errorf("%s: %s takes any text: %v", table.name, d.Name, err)
				}
			}
			checkSynonyms(t, table.t, d)
		}
	}
}

func checkSynonyms(t *testing.T, kind ResourceType, d *ConfigDef) {
	for _, s := range d.Synonyms {
		b := findDef(BrokerConfigs, s)
		if b == nil {
			t.Errorf("%s: its synonym %s is no broker key", d.Name, s)
			continue
		}
		if kind == ResourceBroker {
			continue
		}
		if !b.NullDefault && inMillis(s, b.Default) != d.Default {
			t.Errorf("%s: default %s, its synonym %s has %s", d.Name, d.Default, s, b.Default)
		}
	}
	if kind == ResourceTopic && len(d.Synonyms) > 0 && findDef(BrokerConfigs, d.Synonyms[0]).Dynamic != ClusterWide {
		t.Errorf("%s: its broker synonym cannot be changed at run time, in Kafka it can", d.Name)
	}
}

func TestGroupBoundsAreBrokerKeys(t *testing.T) {
	for _, b := range groupBounds {
		if findDef(GroupConfigs, b.key) == nil {
			t.Errorf("%s is no group key", b.key)
		}
		for _, key := range []string{b.min, b.max} {
			if key != "" && findDef(BrokerConfigs, key) == nil {
				t.Errorf("%s is no broker key", key)
			}
		}
	}
}

func TestCheckConfig(t *testing.T) {
	for _, c := range []struct {
		t          ResourceType
		key, value string
		want       error
		says       string
	}{
		{ResourceTopic, "retention.ms", "-1", nil, ""},
		{ResourceTopic, "retention.ms", " 5 ", nil, ""},
		{ResourceTopic, "retention.ms", "-2", ErrConfigValue, "at least -1"},
		{ResourceTopic, "retention.ms", "soon", ErrConfigValue, "not a number of type LONG"},
		{ResourceTopic, "retention.ms", "9223372036854775808", ErrConfigValue, "does not fit"},
		{ResourceTopic, "retention.msec", "1", ErrConfigUnknown, "Unknown topic config name: retention.msec; did you mean retention.ms?"},
		{ResourceTopic, "zzz", "1", ErrConfigUnknown, "Unknown topic config name: zzz"},
		{ResourceTopic, "cleanup.policy", "compact, delete", nil, ""},
		{ResourceTopic, "cleanup.policy", "", nil, ""},
		{ResourceTopic, "cleanup.policy", "shred", ErrConfigValue, `"shred" is not one of compact, delete`},
		{ResourceTopic, "compression.type", "uncompressed", nil, ""},
		{ResourceTopic, "compression.type", "none", ErrConfigValue, "one of"},
		{ResourceTopic, "compression.gzip.level", "0", ErrConfigValue, "between 1 and 9"},
		{ResourceTopic, "compression.zstd.level", "22", nil, ""},
		{ResourceTopic, "compression.zstd.level", "23", ErrConfigValue, "22"},
		{ResourceTopic, "segment.bytes", "1048575", ErrConfigValue, "1048576"},
		{ResourceTopic, "segment.bytes", "2147483648", ErrConfigValue, "does not fit a number of type INT"},
		{ResourceTopic, "min.cleanable.dirty.ratio", "1.1", ErrConfigValue, "between 0 and 1"},
		{ResourceTopic, "min.cleanable.dirty.ratio", "NaN", ErrConfigValue, "not a number"},
		{ResourceTopic, "preallocate", "TRUE", nil, ""},
		{ResourceTopic, "preallocate", "yes", ErrConfigValue, "true or false"},
		{ResourceTopic, "remote.storage.enable", "true", ErrConfigValue, "tiered storage"},
		{ResourceTopic, "leader.replication.throttled.replicas", "*", nil, ""},
		{ResourceTopic, "leader.replication.throttled.replicas", "0:1,1:2", nil, ""},
		{ResourceTopic, "leader.replication.throttled.replicas", "0:x", ErrConfigValue, "partition:broker"},
		{ResourceTopic, "message.timestamp.type", "LogAppendTime", nil, ""},
		{ResourceTopic, "message.timestamp.type", "logappendtime", ErrConfigValue, "CreateTime, LogAppendTime"},
		{ResourceGroup, "share.auto.offset.reset", "by_duration:PT1H30M", nil, ""},
		{ResourceGroup, "share.auto.offset.reset", "by_duration:P2DT0.5S", nil, ""},
		{ResourceGroup, "share.auto.offset.reset", "by_duration:1h", ErrConfigValue, "ISO 8601"},
		{ResourceGroup, "share.auto.offset.reset", "by_duration:P", ErrConfigValue, "ISO 8601"},
		{ResourceGroup, "share.auto.offset.reset", "by_duration:PT", ErrConfigValue, "ISO 8601"},
		{ResourceGroup, "share.auto.offset.reset", "by_duration:P1DT", ErrConfigValue, "ISO 8601"},
		{ResourceGroup, "share.auto.offset.reset", "by_duration:-PT1H", ErrConfigValue, "ISO 8601"},
		{ResourceGroup, "share.auto.offset.reset", "none", ErrConfigValue, "by_duration"},
		{ResourceClientMetrics, "interval.ms", "99", ErrConfigSubscription, "between 100"},
		{ResourceClientMetrics, "intervals.ms", "100", ErrConfigSubscription, "did you mean interval.ms"},
		{ResourceClientMetrics, "match", "client_id=a=b", ErrConfigValue, "a pair"},
		{ResourceClientMetrics, "match", "client_id=", ErrConfigValue, "a pair"},
		{ResourceClientMetrics, "match", "client_id=a.*, client_source_port=9[0-9]+", nil, ""},
		{ResourceClientMetrics, "match", "client=a", ErrConfigValue, "client_instance_id"},
		{ResourceClientMetrics, "match", "client_id=(", ErrConfigValue, "regular expression"},
		{ResourceBroker, "log.retention.hours", "-1", nil, ""},
		{ResourceBroker, "log.retention.hours", "0", ErrConfigValue, "-1 (no limit) or at least 1"},
		{ResourceBroker, "listeners", "PLAINTEXT://:9092,SASL_SSL://0.0.0.0:9093,X://[::1]:0", nil, ""},
		{ResourceBroker, "listeners", "PLAINTEXT://:9092,plaintext://:9093", ErrConfigValue, "twice"},
		{ResourceBroker, "listeners", "127.0.0.1:9092", ErrConfigValue, "NAME://host:port"},
		{ResourceBroker, "listeners", "PLAINTEXT://:99999", ErrConfigValue, "65535"},
		{ResourceBroker, "listeners", "", ErrConfigValue, "at least one"},
		{ResourceBroker, "advertised.listeners", "PLAINTEXT://0.0.0.0:9092", ErrConfigValue, "cannot be reached"},
		{ResourceBroker, "listener.security.protocol.map", "A:SSL,B:sasl_ssl", nil, ""},
		{ResourceBroker, "listener.security.protocol.map", "A:TLS", ErrConfigValue, "A:TLS"},
		{ResourceBroker, "super.users", "User:a;User:CN=b,O=c", nil, ""},
		{ResourceBroker, "super.users", "a", ErrConfigValue, "User:name"},
		{ResourceBroker, "max.connections.per.ip.overrides", "127.0.0.1:5,::1:6", nil, ""},
		{ResourceBroker, "max.connections.per.ip.overrides", "localhost", ErrConfigValue, "host:number"},
		{ResourceBroker, "authorizer.class.name", StandardAuthorizer, nil, ""},
		{ResourceBroker, "authorizer.class.name", "com.example.A", ErrConfigValue, "JVM"},
		{ResourceBroker, "create.topic.policy.class.name", "com.example.A", ErrConfigValue, "JVM"},
		{ResourceBroker, "listener.name.sasl_ssl.ssl.client.auth", "required", nil, ""},
		{ResourceBroker, "listener.name.sasl_ssl.ssl.client.auth", "maybe", ErrConfigValue, "listener.name.sasl_ssl.ssl.client.auth"},
		{ResourceBroker, "listener.name.x.plain.sasl.jaas.config", "anything", nil, ""},
		{ResourceBroker, "listener.name.x.scram-sha-256.sasl.jaas.config", "anything", nil, ""},
		{ResourceBroker, "listener.name.x.num.partitions", "1", ErrConfigUnknown, "num.partitions"},
		{ResourceBroker, "listener.name.ssl.client.auth", "required", ErrConfigUnknown, ""},
		{ResourceBrokerLogger, "root", "INFO", ErrConfigUnknown, ""},
	} {
		err := CheckConfig(c.t, c.key, c.value)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s=%s: %v, want %v", c.key, c.value, err, c.want)
		} else if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s=%s: %q does not say %q", c.key, c.value, err, c.says)
		}
	}
}

func TestPasswordsAreNotInErrors(t *testing.T) {
	d := ConfigDef{Name: "secret", Type: TypePassword, Check: func(string) error { return errors.New("it is too short") }}
	if err := d.check("secret", "hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestCheckScope(t *testing.T) {
	for _, c := range []struct {
		res  Resource
		key  string
		want error
	}{
		{Resource{ResourceBroker, "1"}, "log.retention.ms", nil},
		{Resource{ResourceBroker, ""}, "log.retention.ms", nil},
		{Resource{ResourceBroker, "1"}, "log.retention.hours", ErrConfigReadOnly},
		{Resource{ResourceBroker, "1"}, "num.partitions", ErrConfigReadOnly},
		{Resource{ResourceBroker, "1"}, "listeners", ErrConfigReadOnly},
		{Resource{ResourceBroker, "1"}, "background.threads", ErrConfigReadOnly},
		{Resource{ResourceBroker, "1"}, "listener.name.ssl.max.connections", nil},
		{Resource{ResourceBroker, ""}, "listeners", ErrConfigReadOnly},
		{Resource{ResourceBroker, "1"}, "listener.name.ssl.ssl.keystore.location", nil},
		{Resource{ResourceBroker, ""}, "listener.name.ssl.ssl.keystore.location", ErrConfigReadOnly},
		{Resource{ResourceBroker, ""}, "listener.name.ssl.max.connections", ErrConfigReadOnly},
		{Resource{ResourceBroker, "1"}, "no.such.key", ErrConfigUnknown},
		{Resource{ResourceTopic, "t"}, "retention.ms", nil},
		{Resource{ResourceGroup, "g"}, "retention.ms", ErrConfigUnknown},
	} {
		if err := CheckScope(c.res, c.key); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%v %s: %v, want %v", c.res, c.key, err, c.want)
		}
	}
	if err := CheckScope(Resource{ResourceBroker, "1"}, "broker.id"); !strings.HasPrefix(err.Error(), "Cannot update these configs dynamically: broker.id") {
		t.Errorf("%q is not what Kafka's clients look for", err)
	}
}

func TestCheckStatic(t *testing.T) {
	if err := CheckStatic(map[string]string{"num.partitions": "3", "node.id": "1", "broker.id": "1", "replica.fetch.max.bytes": "1"}); err != nil {
		t.Error(err)
	}
	err := CheckStatic(map[string]string{"num.partition": "3", "log.segment.bytes": "x", "node.id": "1", "broker.id": "2"})
	if err == nil {
		t.Fatal("bad keys were taken")
	}
	for _, want := range []string{"num.partition; did you mean num.partitions?", "x for configuration log.segment.bytes", "broker.id"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestTopicNames(t *testing.T) {
	for _, good := range []string{"a", "a.b_c-D9", "...", "__consumer_offsets", strings.Repeat("x", 249)} {
		if err := CheckTopicName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "../x", "a/b", "a b", "é", "a\x00", "a:b", strings.Repeat("x", 250)} {
		if err := CheckTopicName(bad); !errors.Is(err, ErrTopicName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

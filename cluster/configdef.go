package cluster

// ConfigType is Kafka's config type number.
type ConfigType int8

const (
	TypeBool     ConfigType = 1
	TypeString   ConfigType = 2
	TypeInt      ConfigType = 3
	TypeShort    ConfigType = 4
	TypeLong     ConfigType = 5
	TypeDouble   ConfigType = 6
	TypeList     ConfigType = 7
	TypeClass    ConfigType = 8
	TypePassword ConfigType = 9
)

// ConfigDef describes one key.
type ConfigDef struct {
	Name    string
	Type    ConfigType
	Default string
	// NullDefault: the default is null rather than "".
	NullDefault bool
	Doc         string
	// Check refuses a bad value with a sentence that says why.
	Check func(value string) error
	// Dynamic says where a broker key may be changed at run time.
	Dynamic ConfigScope
	// Synonyms are the broker keys that a topic or group key falls back to, the
	// nearest first.
	Synonyms []string
}

// ConfigScope is where a broker key may be set dynamically.
type ConfigScope int8

const (
	ReadOnly ConfigScope = iota
	PerBroker
	ClusterWide
)

// ConfigSource is Kafka's config source number.
type ConfigSource int8

const (
	SourceTopic          ConfigSource = 1
	SourceDynamicBroker  ConfigSource = 2
	SourceDynamicDefault ConfigSource = 3
	SourceStatic         ConfigSource = 4
	SourceDefault        ConfigSource = 5
	SourceClientMetrics  ConfigSource = 7
	SourceGroup          ConfigSource = 8
)

// ConfigValue is a resolved key.
type ConfigValue struct {
	Def      *ConfigDef
	Value    string
	Null     bool
	Source   ConfigSource
	Synonyms []ConfigSynonym // the whole chain, the winner first
}

// ConfigSynonym is one place where a value is set.
type ConfigSynonym struct {
	Name, Value string
	Null        bool
	Source      ConfigSource
}

// The rest of the surface, in config_*.go: TopicConfigs, BrokerConfigs,
// GroupConfigs, ClientMetricsConfigs []ConfigDef (sorted by name);
// (*Image).Config(res Resource, key string, static map[string]string) (ConfigValue, bool);
// (*Image).DynamicConfigs(res Resource) map[string]string;
// (*Cluster).Broker(key string) string and BrokerInt, BrokerBool, … (dynamic over static over default);
// (*Cluster).TopicConfig(name string) map[string]string; (*Cluster).LogConfig(topic string) logstore.LogConfig;
// CheckConfig(t ResourceType, key, value string) error; CheckStatic(map[string]string) error.

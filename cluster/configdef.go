package cluster

import (
	"slices"
	"strings"
)

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
	// Check refuses a bad value with a sentence that says why. It gets values
	// that are of the type.
	Check func(value string) error
	// Dynamic says where a broker key may be changed at run time.
	Dynamic ConfigScope
	// Synonyms are the broker keys that a topic or group key falls back to, the
	// nearest first. For a broker key they are the keys of the same meaning in
	// other units, itself included, the strongest first.
	Synonyms []string
	// Unused marks a key of Kafka's that means nothing here: it is accepted in a
	// file, so that a Kafka broker's starts Chronik unchanged, and has no effect.
	// At run time it is refused.
	Unused bool
	// AtStart marks a key that Kafka changes at run time and Chronik reads at
	// its start only.
	AtStart bool
}

// Changes reports whether a broker key can be changed at run time.
func (d *ConfigDef) Changes() bool { return d.Dynamic != ReadOnly && !d.Unused && !d.AtStart }

// Parsed is a value as Kafka's ConfigDef reads it: without the blanks around it,
// and a list without what it names twice.
func (d *ConfigDef) Parsed(value string) string {
	if d.Type != TypeList {
		return strings.TrimSpace(value)
	}
	var list []string
	for _, item := range SplitList(value) {
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return strings.Join(list, ",")
}

// Sensitive reports whether the value must never be shown.
func (d *ConfigDef) Sensitive() bool { return d.Type == TypePassword }

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

// BrokerConfigs is every broker key, by name.
var BrokerConfigs = sortedDefs(brokerBasics, brokerLog, brokerNetwork, brokerSecurity, brokerGroups, brokerTransactions, brokerReplication, brokerUnused)

func sortedDefs(parts ...[]ConfigDef) []ConfigDef {
	all := slices.Concat(parts...)
	slices.SortFunc(all, func(a, b ConfigDef) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// ConfigDefs is the keys of a type of resource, by name; nil for a type that
// has none.
func ConfigDefs(t ResourceType) []ConfigDef {
	switch t {
	case ResourceTopic:
		return TopicConfigs
	case ResourceBroker:
		return BrokerConfigs
	case ResourceGroup:
		return GroupConfigs
	case ResourceClientMetrics:
		return ClientMetricsConfigs
	}
	return nil
}

// FindConfig is the definition of a key, or nil. A broker key may carry a
// listener prefix (listener.name.<name>.<key>, and a SASL mechanism before
// sasl.* keys): its definition is that of the key behind it.
func FindConfig(t ResourceType, key string) *ConfigDef {
	if t == ResourceBroker {
		if base, prefixed := listenerKey(key); prefixed {
			return findDef(BrokerConfigs, base)
		}
	}
	return findDef(ConfigDefs(t), key)
}

func findDef(defs []ConfigDef, key string) *ConfigDef {
	at, found := slices.BinarySearchFunc(defs, key, func(d ConfigDef, key string) int {
		return strings.Compare(d.Name, key)
	})
	if !found {
		return nil
	}
	return &defs[at]
}

// listenerPrefix opens the form of a key that holds for one listener.
const listenerPrefix = "listener.name."

// listenerKeys are the keys outside ssl.* and sasl.* that may differ by listener.
var listenerKeys = []string{
	"connections.max.idle.ms", "connections.max.reauth.ms", "max.connection.creation.rate", "max.connections",
	"num.network.threads", "principal.builder.class",
}

// listenerKey splits the listener's name and mechanism off a key. ok is false
// for a key without the prefix and for one that cannot differ by listener.
func listenerKey(key string) (base string, ok bool) {
	rest, found := strings.CutPrefix(key, listenerPrefix)
	if !found {
		return "", false
	}
	name, base, found := strings.Cut(rest, ".")
	if !found || name == "" {
		return "", false
	}
	if strings.HasPrefix(base, "ssl.") || strings.HasPrefix(base, "sasl.") || slices.Contains(listenerKeys, base) {
		return base, true
	}
	// A mechanism stands between: plain.sasl.jaas.config.
	if mechanism, tail, found := strings.Cut(base, "."); found && mechanism != "" && (strings.HasPrefix(tail, "sasl.") || tail == "connections.max.reauth.ms") {
		return tail, true
	}
	return "", false
}

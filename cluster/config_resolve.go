package cluster

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Where a value comes from, the strongest first: what was set on the topic (or
// group, or client metrics subscription); what was set on this broker at run
// time; what was set as default of all brokers; the broker's own configuration
// at start; the built-in default. A topic key looks for its broker synonyms in
// the lower four, and where a synonym has forms in several units (log.retention
// .ms, .minutes, .hours) the first form that is set anywhere wins.

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

// nodeName is a node id as the name of a broker resource.
func nodeName(id int32) string { return strconv.Itoa(int(id)) }

// brokerSource looks a broker key up in the three places where it can be set.
func (i *Image) brokerSource(node, key string, static map[string]string) (v string, from ConfigSource, ok bool) {
	if v, ok = i.DynamicConfigs(Resource{ResourceBroker, node})[key]; ok {
		return v, SourceDynamicBroker, true
	}
	if v, ok = i.DynamicConfigs(Resource{ResourceBroker, ""})[key]; ok {
		return v, SourceDynamicDefault, true
	}
	if v, ok = static[key]; ok {
		return v, SourceStatic, true
	}
	return "", 0, false
}

// value is the value in force of a key of a resource, without its chain.
func (i *Image) value(res Resource, def *ConfigDef, key string, static map[string]string) (v string, null bool) {
	if res.Type == ResourceBroker {
		if v, _, ok := i.brokerSource(res.Name, key, static); ok {
			return v, false
		}
		if key != def.Name { // a listener's key falls back to the broker's
			return i.value(res, def, def.Name, static)
		}
		return def.Default, def.NullDefault
	}
	if v, ok := i.DynamicConfigs(res)[key]; ok {
		return v, false
	}
	node := nodeName(i.NodeID)
	for _, s := range def.Synonyms {
		if v, _, ok := i.brokerSource(node, s, static); ok {
			return inMillis(s, v), false
		}
	}
	return def.Default, def.NullDefault
}

// inMillis turns the value of a key in hours or minutes into milliseconds, the
// unit of the topic keys. A negative number means no limit in every unit.
func inMillis(key, v string) string {
	unit := time.Millisecond
	switch {
	case strings.HasSuffix(key, ".hours"):
		unit = time.Hour
	case strings.HasSuffix(key, ".minutes"):
		unit = time.Minute
	default:
		return v
	}
	n := number(v)
	if n < 0 {
		return "-1"
	}
	return strconv.FormatInt(n*unit.Milliseconds(), 10)
}

// Config resolves a key of a resource with the whole chain of where it is set,
// as DescribeConfigs shows it. For a broker the resource's name is its node id;
// for "" (the cluster-wide default) only keys that are set exist. static is the
// broker's own configuration. ok is false for a key that there is not.
//
// Kafka's rule for keys in several units is kept: what was set in another unit
// decides the value and is not in the chain (DynamicBrokerConfig).
func (i *Image) Config(res Resource, key string, static map[string]string) (ConfigValue, bool) {
	def := FindConfig(res.Type, key)
	if def == nil {
		return ConfigValue{}, false
	}
	v := ConfigValue{Def: def}
	if res.Type == ResourceBroker && res.Name == "" {
		set, ok := i.DynamicConfigs(res)[key]
		if !ok {
			return ConfigValue{}, false
		}
		v.Value, v.Source = set, SourceDynamicDefault
		v.Synonyms = []ConfigSynonym{{Name: key, Value: set, Source: SourceDynamicDefault}}
		return v, true
	}
	v.Value, v.Null = i.value(res, def, key, static)
	switch res.Type {
	case ResourceBroker:
		v.Synonyms = i.brokerChain(res.Name, key, def, static)
	default:
		if set, ok := i.DynamicConfigs(res)[key]; ok {
			v.Synonyms = append(v.Synonyms, ConfigSynonym{Name: key, Value: set, Source: ownSource(res.Type)})
		}
		if len(def.Synonyms) > 0 {
			first := def.Synonyms[0]
			if b := findDef(BrokerConfigs, first); b != nil {
				v.Synonyms = append(v.Synonyms, i.brokerChain(nodeName(i.NodeID), first, b, static)...)
			}
		} else if res.Type == ResourceGroup {
			v.Synonyms = append(v.Synonyms, ConfigSynonym{Name: key, Value: def.Default, Source: SourceDefault})
		}
	}
	v.Source = SourceDefault
	if len(v.Synonyms) > 0 {
		v.Source = v.Synonyms[0].Source
	}
	return v, true
}

func ownSource(t ResourceType) ConfigSource {
	switch t {
	case ResourceGroup:
		return SourceGroup
	case ResourceClientMetrics:
		return SourceClientMetrics
	}
	return SourceTopic
}

// brokerChain is where a broker key and those it falls back to are set,
// strongest first, from the first that bears the key's own name on.
func (i *Image) brokerChain(node, key string, def *ConfigDef, static map[string]string) []ConfigSynonym {
	names := []string{key}
	if key != def.Name {
		names = append(names, def.Name)
	} else if len(def.Synonyms) > 0 {
		names = def.Synonyms
	}
	var chain []ConfigSynonym
	add := func(set map[string]string, from ConfigSource) {
		for _, name := range names {
			if v, ok := set[name]; ok {
				chain = append(chain, ConfigSynonym{Name: name, Value: v, Source: from})
			}
		}
	}
	add(i.DynamicConfigs(Resource{ResourceBroker, node}), SourceDynamicBroker)
	add(i.DynamicConfigs(Resource{ResourceBroker, ""}), SourceDynamicDefault)
	add(static, SourceStatic)
	for _, name := range names {
		if d := findDef(BrokerConfigs, name); d != nil && !d.NullDefault {
			chain = append(chain, ConfigSynonym{Name: name, Value: d.Default, Source: SourceDefault})
		}
	}
	at := slices.IndexFunc(chain, func(s ConfigSynonym) bool { return s.Name == key })
	if at < 0 {
		return nil
	}
	return chain[at:]
}

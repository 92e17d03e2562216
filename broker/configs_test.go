package broker

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/record"
)

// alterOne sets (or with nil deletes) one key and gives the answer.
func alterOne(w *wire, res cluster.Resource, key string, value *string) kmsg.IncrementalAlterConfigsResponseResource {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName = kmsg.ConfigResourceType(res.Type), res.Name
	c := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Value: value}
	if value == nil {
		c.Op = kmsg.IncrementalAlterConfigOpDelete
	}
	one.Configs = append(one.Configs, c)
	req.Resources = append(req.Resources, one)
	return ask[*kmsg.IncrementalAlterConfigsResponse](w, req).Resources[0]
}

// describeOne asks for one key with synonyms and documentation. Of the brokers'
// default ("") only what is set is listed, as in Kafka.
func describeOne(t *testing.T, w *wire, res cluster.Resource, key string) kmsg.DescribeConfigsResponseResourceConfig {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeSynonyms, req.IncludeDocumentation = 4, true, true
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName, one.ConfigNames = kmsg.ConfigResourceType(res.Type), res.Name, []string{key}
	req.Resources = append(req.Resources, one)
	got := ask[*kmsg.DescribeConfigsResponse](w, req).Resources[0]
	if got.ErrorCode == 0 && len(got.Configs) == 0 && res == (cluster.Resource{Type: cluster.ResourceBroker}) {
		return kmsg.DescribeConfigsResponseResourceConfig{Source: -1}
	}
	if got.ErrorCode != 0 || len(got.Configs) != 1 {
		t.Fatalf("describe %v %s: code %d, %d keys", res, key, got.ErrorCode, len(got.Configs))
	}
	return got.Configs[0]
}

// another is a valid value other than the one in force, or false when none is
// known for the key.
func another(res cluster.Resource, d *cluster.ConfigDef, now string) (string, bool) {
	for _, v := range []string{
		"true", "false", "2", "50000", "3", "9", "0.25", "8", "1000", "120000", "2097152", "4", "1", "0", "200", "5000",
		"compact", "gzip", "LogAppendTime", "earliest", "read_committed", "0:1", "client_id=a.*", "range", "org.apache.kafka.x",
		"45001", "55000", "6000", "20000", "16000", "2500", "300", "7",
	} {
		if v != now && cluster.CheckDynamic(res, d.Name, v) == nil {
			return v, true
		}
	}
	return "", false
}

// sourceOf is the number of the source that a value set on a resource has.
func sourceOf(res cluster.Resource) kmsg.ConfigSource {
	switch res.Type {
	case cluster.ResourceTopic:
		return 1
	case cluster.ResourceGroup:
		return 8
	case cluster.ResourceClientMetrics:
		return 7
	}
	if res.Name == "" {
		return 3
	}
	return 2
}

// TestParsedValues: what is told is what was read of a value, not its blanks or
// the second of two names.
func TestParsedValues(t *testing.T) {
	b := run(t, nil)
	padded, twice := " 5000 ", "compact, compact"
	makeTopic(t, b, "t", 1, map[string]*string{"retention.ms": &padded, "cleanup.policy": &twice})
	w := dial(t, b)
	res := cluster.Resource{Type: cluster.ResourceTopic, Name: "t"}
	check := func(key, want string) {
		t.Helper()
		if got := describeOne(t, w, res, key); got.Value == nil || *got.Value != want {
			t.Errorf("%s is %v, want %q", key, got.Value, want)
		}
	}
	check("retention.ms", "5000")
	check("cleanup.policy", "compact")
	padded, twice = "\t6000 ", "delete,compact,delete"
	for key, value := range map[string]*string{"retention.ms": &padded, "cleanup.policy": &twice} {
		if got := alterOne(w, res, key, value); got.ErrorCode != 0 {
			t.Errorf("%s: code %d", key, got.ErrorCode)
		}
	}
	check("retention.ms", "6000")
	check("cleanup.policy", "delete,compact")
}

// TestEveryKey walks every key of every resource: it is listed with its type
// and documentation; set, it is in force with the right source and as the first
// synonym; deleted, it is as before; a bad value is INVALID_CONFIG (a
// broker's: INVALID_REQUEST) with a sentence. Keys that cannot be set say so.
func TestEveryKey(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	node := strconv.Itoa(int(b.opt.NodeID))
	set := 0
	for _, res := range []cluster.Resource{
		{Type: cluster.ResourceTopic, Name: "t"}, {Type: cluster.ResourceGroup, Name: "g"}, {Type: cluster.ResourceClientMetrics, Name: "m"},
		{Type: cluster.ResourceBroker, Name: ""}, {Type: cluster.ResourceBroker, Name: node},
	} {
		badValue := errInvalidConfig
		if res.Type == cluster.ResourceBroker {
			badValue = errInvalidRequest // as Kafka's ConfigAdminManager has it
		}
		for i := range cluster.ConfigDefs(res.Type) {
			d := &cluster.ConfigDefs(res.Type)[i]
			before := describeOne(t, w, res, d.Name)
			if before.Source == -1 {
				// Listed once it is set.
			} else if before.Documentation == nil || *before.Documentation == "" || int8(before.ConfigType) != int8(d.Type) {
				t.Errorf("%v %s: type %d, documentation %v", res, d.Name, before.ConfigType, before.Documentation)
			}
			value := "x"
			if scope := cluster.CheckScope(res, d.Name); scope != nil {
				if got := alterOne(w, res, d.Name, &value); got.ErrorCode != errInvalidRequest || got.ErrorMessage == nil {
					t.Errorf("%v %s cannot be set, and setting it gives %d", res, d.Name, got.ErrorCode)
				}
				continue
			}
			now := ""
			if before.Value != nil {
				now = *before.Value
			}
			if bad := "\x00 no value"; cluster.CheckDynamic(res, d.Name, bad) != nil {
				got := alterOne(w, res, d.Name, &bad)
				if got.ErrorCode != badValue || got.ErrorMessage == nil || len(*got.ErrorMessage) < 20 {
					t.Errorf("%v %s with a bad value: %d", res, d.Name, got.ErrorCode)
				}
			}
			value, ok := another(res, d, now)
			if !ok {
				continue
			}
			got := alterOne(w, res, d.Name, &value)
			if got.ErrorCode == badValue && got.ErrorMessage != nil {
				continue // it does not go with another key
			}
			if got.ErrorCode != 0 {
				t.Errorf("%v %s=%s: %d", res, d.Name, value, got.ErrorCode)
				continue
			}
			set++
			after := describeOne(t, w, res, d.Name)
			if d.Sensitive() {
				if after.Value != nil || !after.IsSensitive {
					t.Errorf("%v %s is a secret and is shown", res, d.Name)
				}
			} else if after.Value == nil || *after.Value != value {
				t.Errorf("%v %s was set to %s and is %v", res, d.Name, value, after.Value)
			}
			if after.Source != sourceOf(res) || after.IsDefault || len(after.ConfigSynonyms) == 0 || after.ConfigSynonyms[0].Source != sourceOf(res) {
				t.Errorf("%v %s: source %d, synonyms %+v", res, d.Name, after.Source, after.ConfigSynonyms)
			}
			if got := alterOne(w, res, d.Name, nil); got.ErrorCode != 0 {
				t.Errorf("%v %s: delete: %d", res, d.Name, got.ErrorCode)
			}
			if last := describeOne(t, w, res, d.Name); last.Source != before.Source || (last.Value == nil) != (before.Value == nil) || last.Value != nil && *last.Value != *before.Value {
				t.Errorf("%v %s: after the delete %v of source %d, before %v of %d", res, d.Name, last.Value, last.Source, before.Value, before.Source)
			}
		}
	}
	if set < 90 {
		t.Errorf("%d keys were set", set)
	}
	t.Logf("%d keys were set", set)
}

// TestConfigEffects sets keys on a running broker and sees that it goes by them.
func TestConfigEffects(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	topic := func(name string) cluster.Resource { return cluster.Resource{Type: cluster.ResourceTopic, Name: name} }
	everywhere := cluster.Resource{Type: cluster.ResourceBroker}
	produce := func(name string, acks int16, records []byte) errCode {
		return ask[*kmsg.ProduceResponse](w, produceOf(9, name, [16]byte{}, acks, records)).Topics[0].Partitions[0].ErrorCode
	}
	keyless := func(at int64) []byte {
		bld := record.NewBuilder(nil, record.DefaultBuilderOptions())
		bld.Append(at, nil, []byte("v"))
		batch, err := bld.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return batch
	}
	now := time.Now().UnixMilli()
	for _, c := range []struct {
		key, value    string
		broker        bool // set for all topics by the broker key
		acks          int16
		records       []byte
		before, after errCode
	}{
		{key: "message.timestamp.before.max.ms", value: "60000", acks: -1, records: keyless(now - 120_000), after: errInvalidTimestamp},
		{key: "log.message.timestamp.before.max.ms", value: "60000", broker: true, acks: -1, records: keyless(now - 120_000), after: errInvalidTimestamp},
		{key: "message.timestamp.after.max.ms", value: "9000000", acks: -1, records: keyless(now + 7_200_000), before: errInvalidTimestamp},
		{key: "message.timestamp.type", value: "LogAppendTime", acks: -1, records: keyless(now + 7_200_000), before: errInvalidTimestamp},
		{key: "max.message.bytes", value: "60", acks: 1, records: keyless(now), after: errMessageTooLarge},
		{key: "message.max.bytes", value: "60", broker: true, acks: 1, records: keyless(now), after: errMessageTooLarge},
		{key: "cleanup.policy", value: "compact", acks: 1, records: keyless(now), after: errInvalidRecord},
		{key: "log.cleanup.policy", value: "compact", broker: true, acks: 1, records: keyless(now), after: errInvalidRecord},
		{key: "min.insync.replicas", value: "2", acks: -1, records: keyless(now), after: errNotEnoughReplicas},
		{key: "min.insync.replicas", value: "2", acks: 1, records: keyless(now)},
		{key: "compression.type", value: "zstd", acks: 1, records: keyless(now)},
	} {
		name := fmt.Sprintf("effect-%s-%d", c.key, c.acks)
		makeTopic(t, b, name, 1, nil)
		res := topic(name)
		if c.broker {
			res = everywhere
		}
		if got := produce(name, c.acks, c.records); got != c.before {
			t.Errorf("%s: before it was set: %d, want %d", c.key, got, c.before)
		}
		if got := alterOne(w, res, c.key, &c.value); got.ErrorCode != 0 {
			t.Errorf("%s=%s: %d", c.key, c.value, got.ErrorCode)
		}
		if got := produce(name, c.acks, c.records); got != c.after {
			t.Errorf("%s=%s: %d, want %d", c.key, c.value, got, c.after)
		}
		if got := alterOne(w, res, c.key, nil); got.ErrorCode != 0 {
			t.Errorf("%s: delete: %d", c.key, got.ErrorCode)
		}
		if got := produce(name, c.acks, c.records); got != c.before {
			t.Errorf("%s: after it was taken back: %d, want %d", c.key, got, c.before)
		}
	}

	// One connection is here: another may come, until it may not.
	one := "1"
	if got := alterOne(w, everywhere, "max.connections.per.ip", &one); got.ErrorCode != 0 {
		t.Fatalf("max.connections.per.ip: %d", got.ErrorCode)
	}
	dial(t, b).closed()
	if got := alterOne(w, everywhere, "max.connections.per.ip", nil); got.ErrorCode != 0 {
		t.Fatalf("max.connections.per.ip: delete: %d", got.ErrorCode)
	}
	alive(t, b)
}

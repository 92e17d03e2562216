package differential

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The kinds of resources: topic, broker, broker logger, client metrics, group,
// and some that are none.
var resourceKinds = []int8{0, 1, 2, 3, 4, 8, 16, 32, 64, -1, 127}

func TestDescribeConfigs(t *testing.T) {
	compare(t, 32, func(v int16) (out []Case) {
		ask := func(name string, kind int8, resource string, names []string, more ...kmsg.DescribeConfigsRequestResource) {
			one(&out, name, v, kmsg.NewPtrDescribeConfigsRequest(), func(r *kmsg.DescribeConfigsRequest) {
				r.IncludeSynonyms, r.IncludeDocumentation = true, true
				r.Resources = append([]kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceType(kind), ResourceName: resource, ConfigNames: names}}, more...)
			})
		}
		ask("topic", 2, "t", nil)
		ask("topic with configs", 2, "small", nil)
		ask("broker", 4, "1", nil)
		ask("cluster default", 4, "", nil)
		ask("group", 32, "some-group", nil)
		ask("client metrics", 16, "some-metrics", nil)
		ask("some keys", 2, "small", []string{"max.message.bytes", "retention.ms", "no.such.key"})
		ask("no keys", 2, "small", []string{})
		ask("same key twice", 2, "small", []string{"retention.ms", "retention.ms"})
		ask("unknown topic", 2, "unknown", nil)
		ask("bad topic name", 2, "a b", nil)
		ask("no topic name", 2, "", nil)
		ask("other broker", 4, "2", nil)
		ask("broker that is no number", 4, "x", nil)
		ask("logger of another", 8, "2", nil)
		ask("logger of no number", 8, "", nil)
		ask("no group", 32, "", nil)
		ask("no client metrics", 16, "", nil)
		for _, kind := range resourceKinds {
			ask(fmt.Sprintf("kind %d", kind), kind, "x", []string{"y"})
		}
		ask("twice", 2, "t", []string{"retention.ms"}, kmsg.DescribeConfigsRequestResource{ResourceType: 2, ResourceName: "t", ConfigNames: []string{"retention.ms"}})
		one(&out, "nothing", v, kmsg.NewPtrDescribeConfigsRequest(), nil)
		one(&out, "without synonyms", v, kmsg.NewPtrDescribeConfigsRequest(), func(r *kmsg.DescribeConfigsRequest) {
			r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: "small"}}
		})
		return out
	})
}

// after describes what is set on the topics now. Kafka's brokers learn of
// changes in their order: once a new topic is there, they are.
func after(name string, topics []string) Case {
	r := kmsg.NewPtrDescribeConfigsRequest()
	r.Version = 1
	for _, t := range topics {
		r.Resources = append(r.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: 2, ResourceName: t, ConfigNames: []string{
			"cleanup.policy", "retention.ms", "max.message.bytes", "compression.type"}})
	}
	return Case{name, append(makeTopic(name, 1), Step{Req: r})}
}

// edits of keys: what IncrementalAlterConfigs and AlterConfigs are asked for.
type edit struct {
	op    int8
	key   string
	value *string
}

func value(s string) *string { return &s }

var topicEdits = map[string][]edit{
	"set":                {{0, "retention.ms", value("1000000")}},
	"set two":            {{0, "retention.ms", value("1000000")}, {0, "max.message.bytes", value("2000")}},
	"set the same twice": {{0, "retention.ms", value("1")}, {0, "retention.ms", value("2")}},
	"set bad":            {{0, "retention.ms", value("x")}},
	"set below":          {{0, "retention.ms", value("-2")}},
	"set empty":          {{0, "retention.ms", value("")}},
	"set blank around":   {{0, "retention.ms", value(" 5000 ")}},
	"set null":           {{0, "retention.ms", nil}},
	"set unknown":        {{0, "no.such.key", value("1")}},
	"set no name":        {{0, "", value("1")}},
	"set broker's key":   {{0, "log.retention.ms", value("1")}},
	"set list":           {{0, "cleanup.policy", value("compact,delete")}},
	"set list twice":     {{0, "cleanup.policy", value("compact,compact")}},
	"set list bad":       {{0, "cleanup.policy", value("compact,what")}},
	"set list empty":     {{0, "cleanup.policy", value("")}},
	"set boolean":        {{0, "preallocate", value("TRUE")}},
	"set bad boolean":    {{0, "preallocate", value("yes")}},
	"set bad double":     {{0, "min.cleanable.dirty.ratio", value("1.5")}},
	"set codec":          {{0, "compression.type", value("brotli")}},
	"set level":          {{0, "compression.gzip.level", value("10")}},
	"set level 0":        {{0, "compression.gzip.level", value("0")}},
	"set small segment":  {{0, "segment.bytes", value("100")}},
	"set time type":      {{0, "message.timestamp.type", value("what")}},
	"set throttled":      {{0, "leader.replication.throttled.replicas", value("0:1,1:1")}},
	"set throttled all":  {{0, "leader.replication.throttled.replicas", value("*")}},
	"set throttled bad":  {{0, "leader.replication.throttled.replicas", value("0-1")}},
	"set too long":       {{0, "retention.ms", value("99999999999999999999")}},
	"set isr 0":          {{0, "min.insync.replicas", value("0")}},
	"set isr 2":          {{0, "min.insync.replicas", value("2")}},
	"set remote":         {{0, "remote.storage.enable", value("true")}},
	"set local":          {{0, "local.retention.ms", value("5")}},
	"set local too long": {{0, "retention.ms", value("5")}, {0, "local.retention.ms", value("50")}},
	"set lags":           {{0, "min.compaction.lag.ms", value("5")}, {0, "max.compaction.lag.ms", value("2")}},
	"delete":             {{1, "retention.ms", nil}},
	"delete with value":  {{1, "retention.ms", value("x")}},
	"delete not set":     {{1, "compression.type", nil}},
	"delete unknown":     {{1, "no.such.key", nil}},
	"append":             {{2, "cleanup.policy", value("compact")}},
	"append what is":     {{2, "cleanup.policy", value("delete")}},
	"append bad":         {{2, "cleanup.policy", value("what")}},
	"append empty":       {{2, "cleanup.policy", value("")}},
	"append null":        {{2, "cleanup.policy", nil}},
	"append no list":     {{2, "retention.ms", value("1")}},
	"append unknown":     {{2, "no.such.key", value("1")}},
	"subtract":           {{3, "cleanup.policy", value("delete")}},
	"subtract other":     {{3, "cleanup.policy", value("compact")}},
	"subtract no list":   {{3, "retention.ms", value("1")}},
	"operation 4":        {{4, "retention.ms", value("1")}},
	"operation -1":       {{-1, "retention.ms", value("1")}},
	"good and bad":       {{0, "retention.ms", value("1000000")}, {0, "max.message.bytes", value("x")}},
	"nothing":            {},
}

var brokerEdits = map[string][]edit{
	"set":             {{0, "log.retention.ms", value("999999")}},
	"delete":          {{1, "log.retention.ms", nil}},
	"read only":       {{0, "num.partitions", value("5")}},
	"read only, bad":  {{0, "num.partitions", value("x")}},
	"per broker only": {{0, "listeners", value("PLAINTEXT://:1")}},
	"unknown":         {{0, "no.such.key", value("1")}},
	"bad":             {{0, "message.max.bytes", value("x")}},
	"below":           {{0, "message.max.bytes", value("-1")}},
	// The last by their names: Kafka holds the number of threads against each later
	// change of a broker's keys, and learns of a change of it when that is published.
	"workers":        {{0, "num.io.threads", value("9")}},
	"workers 0":      {{0, "num.io.threads", value("0")}},
	"workers 100":    {{0, "num.io.threads", value("100")}},
	"workers back":   {{1, "num.io.threads", nil}},
	"list":           {{2, "log.cleanup.policy", value("compact")}},
	"list back":      {{1, "log.cleanup.policy", nil}},
	"append no list": {{2, "message.max.bytes", value("1")}},
}

var groupEdits = map[string][]edit{
	"set":           {{0, "consumer.session.timeout.ms", value("50000")}},
	"set too small": {{0, "consumer.session.timeout.ms", value("100")}},
	"set too large": {{0, "consumer.session.timeout.ms", value("1000000")}},
	"heartbeat":     {{0, "consumer.heartbeat.interval.ms", value("6000")}},
	"heartbeat bad": {{0, "consumer.heartbeat.interval.ms", value("60000")}},
	"unknown":       {{0, "no.such.key", value("1")}},
	"not a number":  {{0, "consumer.session.timeout.ms", value("x")}},
	"delete":        {{1, "consumer.session.timeout.ms", nil}},
	"append":        {{2, "consumer.session.timeout.ms", value("1")}},
}

var metricsEdits = map[string][]edit{
	"set":          {{0, "interval.ms", value("60000")}, {0, "metrics", value("org.apache.kafka.")}},
	"too short":    {{0, "interval.ms", value("50")}},
	"too long":     {{0, "interval.ms", value("9999999")}},
	"match":        {{0, "match", value("client_id=a.*")}},
	"match bad":    {{0, "match", value("client_id=(")}},
	"match what":   {{0, "match", value("what=a")}},
	"match no =":   {{0, "match", value("client_id")}},
	"unknown":      {{0, "no.such.key", value("1")}},
	"append":       {{2, "metrics", value("org.x.")}},
	"not a number": {{0, "interval.ms", value("x")}},
	"delete":       {{1, "interval.ms", nil}},
}

func TestIncrementalAlterConfigs(t *testing.T) {
	compare(t, 44, func(v int16) (out []Case) {
		n := 0
		var all []string
		ask := func(name string, kind int8, resource string, edits []edit, validate bool, change func(r *kmsg.IncrementalAlterConfigsRequest)) Case {
			r := kmsg.NewPtrIncrementalAlterConfigsRequest()
			r.Version, r.ValidateOnly = v, validate
			res := kmsg.NewIncrementalAlterConfigsRequestResource()
			res.ResourceType, res.ResourceName = kmsg.ConfigResourceType(kind), resource
			for _, e := range edits {
				res.Configs = append(res.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: e.key, Op: kmsg.IncrementalAlterConfigOp(e.op), Value: e.value})
			}
			r.Resources = append(r.Resources, res)
			if change != nil {
				change(r)
			}
			if validate {
				name += ", only validated"
			}
			return Case{name, []Step{{Req: r}}}
		}
		for _, validate := range []bool{true, false} {
			for _, name := range ordered(topicEdits) {
				n++
				topic := fmt.Sprintf("alter-%d-%d", v, n)
				c := ask("topic, "+name, 2, topic, topicEdits[name], validate, nil)
				c.Steps = append(makeTopic(topic, 1, "retention.ms=77777"), c.Steps...)
				out, all = append(out, c), append(all, topic)
			}
			for _, name := range ordered(brokerEdits) {
				out = append(out, ask("broker, "+name, 4, "1", brokerEdits[name], validate, nil), ask("cluster, "+name, 4, "", brokerEdits[name], validate, nil))
			}
			for _, name := range ordered(groupEdits) {
				out = append(out, ask("group, "+name, 32, "g", groupEdits[name], validate, nil))
			}
			for _, name := range ordered(metricsEdits) {
				out = append(out, ask("metrics, "+name, 16, "m", metricsEdits[name], validate, nil))
			}
			set := []edit{{0, "retention.ms", value("88888")}}
			for _, kind := range resourceKinds {
				out = append(out, ask(fmt.Sprintf("kind %d", kind), kind, "x", set, validate, nil), ask(fmt.Sprintf("kind %d without name", kind), kind, "", set, validate, nil))
			}
			out = append(out,
				ask("unknown topic", 2, "unknown", set, validate, nil), ask("bad name", 2, "a b", set, validate, nil),
				ask("other broker", 4, "2", []edit{{0, "log.retention.ms", value("1")}}, validate, nil),
				ask("twice", 2, "small", set, validate, func(r *kmsg.IncrementalAlterConfigsRequest) {
					r.Resources = append(r.Resources, r.Resources[0])
				}),
				ask("nothing", 2, "small", set, validate, func(r *kmsg.IncrementalAlterConfigsRequest) { r.Resources = nil }),
				ask("good and unknown", 2, "small", set, validate, func(r *kmsg.IncrementalAlterConfigsRequest) {
					other := r.Resources[0]
					other.ResourceName = "unknown"
					r.Resources = append(r.Resources, other)
				}))
		}
		// Back to what the setup made.
		out = append(out, ask("back", 2, "small", []edit{{0, "retention.ms", value("3600000")}}, false, nil),
			ask("group back", 32, "g", []edit{{1, "consumer.session.timeout.ms", nil}, {1, "consumer.heartbeat.interval.ms", nil}}, false, nil),
			ask("metrics back", 16, "m", []edit{{1, "interval.ms", nil}, {1, "metrics", nil}, {1, "match", nil}}, false, nil),
			after(fmt.Sprintf("altered-%d", v), all))
		return out
	})
}

func TestAlterConfigs(t *testing.T) {
	compare(t, 33, func(v int16) (out []Case) {
		n := 0
		var all []string
		ask := func(name string, kind int8, resource string, edits []edit, validate bool, change func(r *kmsg.AlterConfigsRequest)) Case {
			r := kmsg.NewPtrAlterConfigsRequest()
			r.Version, r.ValidateOnly = v, validate
			res := kmsg.NewAlterConfigsRequestResource()
			res.ResourceType, res.ResourceName = kmsg.ConfigResourceType(kind), resource
			for _, e := range edits {
				res.Configs = append(res.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: e.key, Value: e.value})
			}
			r.Resources = append(r.Resources, res)
			if change != nil {
				change(r)
			}
			if validate {
				name += ", only validated"
			}
			return Case{name, []Step{{Req: r}}}
		}
		for _, validate := range []bool{true, false} {
			for _, name := range ordered(topicEdits) {
				if !strings.HasPrefix(name, "set") && name != "nothing" && name != "good and bad" {
					continue
				}
				n++
				topic := fmt.Sprintf("replace-%d-%d", v, n)
				c := ask("topic, "+name, 2, topic, topicEdits[name], validate, nil)
				c.Steps = append(makeTopic(topic, 1, "retention.ms=77777"), c.Steps...)
				out, all = append(out, c), append(all, topic)
			}
			for _, name := range []string{"read only", "per broker only", "unknown", "bad", "below"} {
				out = append(out, ask("broker, "+name, 4, "1", brokerEdits[name], validate, nil), ask("cluster, "+name, 4, "", brokerEdits[name], validate, nil))
			}
			set := []edit{{0, "retention.ms", value("88888")}}
			for _, kind := range resourceKinds {
				out = append(out, ask(fmt.Sprintf("kind %d", kind), kind, "x", set, validate, nil), ask(fmt.Sprintf("kind %d without name", kind), kind, "", set, validate, nil))
			}
			out = append(out,
				ask("unknown topic", 2, "unknown", set, validate, nil), ask("bad name", 2, "a b", set, validate, nil),
				ask("other broker", 4, "2", []edit{{0, "log.retention.ms", value("1")}}, validate, nil),
				ask("twice", 2, "both", set, validate, func(r *kmsg.AlterConfigsRequest) { r.Resources = append(r.Resources, r.Resources[0]) }),
				ask("nothing", 2, "both", set, validate, func(r *kmsg.AlterConfigsRequest) { r.Resources = nil }))
		}
		return append(out, after(fmt.Sprintf("replaced-%d", v), all))
	})
}

func TestListConfigResources(t *testing.T) {
	compare(t, 74, func(v int16) (out []Case) {
		ask := func(name string, kinds ...int8) {
			one(&out, name, v, kmsg.NewPtrListConfigResourcesRequest(), func(r *kmsg.ListConfigResourcesRequest) {
				r.ResourceTypes = kinds
			})
		}
		for _, kind := range resourceKinds {
			if kind != 2 { // the topics that cases of single brokers made
				ask(fmt.Sprintf("kind %d", kind), kind)
			}
		}
		ask("several", 4, 8, 16, 32)
		ask("twice", 4, 4)
		ask("one unknown", 4, 77)
		return out
	})
}

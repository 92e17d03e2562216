package differential

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestCreateTopics(t *testing.T) {
	compare(t, 19, func(v int16) (out []Case) {
		n := 0
		ask := func(name string, change func(r *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic)) {
			n++
			for _, validate := range []bool{true, false} {
				r := kmsg.NewPtrCreateTopicsRequest()
				r.Version, r.TimeoutMillis, r.ValidateOnly = v, 5000, validate
				topic := kmsg.NewCreateTopicsRequestTopic()
				topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprintf("create-%d-%d", v, n), 1, 1
				r.Topics = append(r.Topics, topic)
				change(r, &r.Topics[0])
				title := name
				if validate {
					title += ", only validated"
				}
				out = append(out, One(title, r))
			}
		}
		type request = kmsg.CreateTopicsRequest
		type topic = kmsg.CreateTopicsRequestTopic
		config := func(t *topic, key string, value *string) {
			t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: value})
		}
		assign := func(t *topic, partition int32, replicas ...int32) {
			t.NumPartitions, t.ReplicationFactor = -1, -1
			t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: partition, Replicas: replicas})
		}
		ask("plain", func(r *request, t *topic) {})
		ask("exists", func(r *request, t *topic) { t.Topic = "t" })
		ask("collides", func(r *request, t *topic) { t.Topic = "a_b" })
		ask("internal", func(r *request, t *topic) { t.Topic = "__cluster_metadata" })
		for _, name := range []string{"", ".", "..", "a b", "ä", "a/b", strings.Repeat("x", 250), "a\x00b", "a\nb"} {
			ask(fmt.Sprintf("name %.9q", name), func(r *request, t *topic) { t.Topic = name })
		}
		ask("249 letters", func(r *request, t *topic) { t.Topic += strings.Repeat("y", 249-len(t.Topic)) })
		for _, p := range []int32{-2, -1, 0, 3, 10001, 2147483647} {
			ask(fmt.Sprintf("partitions %d", p), func(r *request, t *topic) { t.NumPartitions = p })
		}
		for _, f := range []int16{-2, -1, 0, 2, 32767} {
			ask(fmt.Sprintf("replication factor %d", f), func(r *request, t *topic) { t.ReplicationFactor = f })
		}
		ask("defaults", func(r *request, t *topic) { t.NumPartitions, t.ReplicationFactor = -1, -1 })
		ask("assignment", func(r *request, t *topic) { assign(t, 0, 1); assign(t, 1, 1) })
		ask("assignment and partitions", func(r *request, t *topic) { assign(t, 0, 1); t.NumPartitions = 1 })
		ask("assignment and factor", func(r *request, t *topic) { assign(t, 0, 1); t.ReplicationFactor = 1 })
		ask("assignment to an unknown broker", func(r *request, t *topic) { assign(t, 0, 7) })
		ask("assignment to two", func(r *request, t *topic) { assign(t, 0, 1, 2) })
		ask("assignment twice to one", func(r *request, t *topic) { assign(t, 0, 1, 1) })
		ask("assignment to none", func(r *request, t *topic) { assign(t, 0) })
		ask("assignment with a gap", func(r *request, t *topic) { assign(t, 0, 1); assign(t, 2, 1) })
		ask("assignment from 1", func(r *request, t *topic) { assign(t, 1, 1) })
		ask("assignment twice", func(r *request, t *topic) { assign(t, 0, 1); assign(t, 0, 1) })
		ask("assignment negative", func(r *request, t *topic) { assign(t, -1, 1) })
		good, bad, negative, empty, mixed, blank := "compact", "what", "-5", "", "compact,delete", " delete "
		ask("config", func(r *request, t *topic) { config(t, "cleanup.policy", &good) })
		ask("config list", func(r *request, t *topic) { config(t, "cleanup.policy", &mixed) })
		ask("config empty", func(r *request, t *topic) { config(t, "cleanup.policy", &empty) })
		ask("config blank", func(r *request, t *topic) { config(t, "cleanup.policy", &blank) })
		ask("config bad", func(r *request, t *topic) { config(t, "cleanup.policy", &bad) })
		ask("config negative", func(r *request, t *topic) { config(t, "max.message.bytes", &negative) })
		ask("config not a number", func(r *request, t *topic) { config(t, "max.message.bytes", &bad) })
		ask("config null", func(r *request, t *topic) { config(t, "cleanup.policy", nil) })
		ask("config unknown", func(r *request, t *topic) { config(t, "no.such.config", &good) })
		ask("config without name", func(r *request, t *topic) { config(t, "", &good) })
		ask("config twice", func(r *request, t *topic) { config(t, "cleanup.policy", &good); config(t, "cleanup.policy", &mixed) })
		one, two, small := "1", "2", "1000"
		ask("config min isr", func(r *request, t *topic) { config(t, "min.insync.replicas", &two) })
		ask("config small segment", func(r *request, t *topic) { config(t, "segment.bytes", &small) })
		ask("config lag", func(r *request, t *topic) {
			config(t, "min.compaction.lag.ms", &two)
			config(t, "max.compaction.lag.ms", &one)
		})
		ask("config of a broker", func(r *request, t *topic) { config(t, "log.retention.ms", &one) })
		ask("config remote", func(r *request, t *topic) { yes := "true"; config(t, "remote.storage.enable", &yes) })
		ask("config removed", func(r *request, t *topic) { yes := "true"; config(t, "message.downconversion.enable", &yes) })
		ask("config format", func(r *request, t *topic) { f := "3.0"; config(t, "message.format.version", &f) })
		ask("twice", func(r *request, t *topic) { r.Topics = append(r.Topics, *t) })
		ask("three times and another", func(r *request, t *topic) {
			other := *t
			other.Topic += "-other"
			r.Topics = append(r.Topics, *t, other, *t)
		})
		ask("collide in one request", func(r *request, t *topic) {
			other := *t
			t.Topic, other.Topic = fmt.Sprintf("col.%d", v), fmt.Sprintf("col_%d", v)
			r.Topics = append(r.Topics, other)
		})
		ask("good and bad", func(r *request, t *topic) {
			other := *t
			other.Topic = "a b"
			r.Topics = append(r.Topics, other)
		})
		ask("nothing", func(r *request, t *topic) { r.Topics = nil })
		ask("timeout 0", func(r *request, t *topic) { r.TimeoutMillis = 0 })
		ask("timeout -1", func(r *request, t *topic) { r.TimeoutMillis = -1 })
		return out
	})
}

package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
)

// withoutEffect is every key that can be set and changes nothing, with the
// reason; its documentation says the same.
var withoutEffect = map[string]string{
	"follower.replication.throttled.replicas":        "there are no followers",
	"leader.replication.throttled.replicas":          "there are no followers",
	"follower.replication.throttled.rate":            "there are no followers; reassignment tools set it",
	"leader.replication.throttled.rate":              "there are no followers; reassignment tools set it",
	"replica.alter.log.dirs.io.max.bytes.per.second": "replicas do not move between directories; reassignment tools set it",
	"num.replica.fetchers":                           "there are no followers",
	"remote.fetch.max.wait.ms":                       "there is no tier",
	"remote.list.offsets.request.timeout.ms":         "there is no tier",
	"remote.log.index.file.cache.total.size.bytes":   "there is no tier",
	"remote.log.manager.copier.thread.pool.size":     "there is no tier",
	"remote.log.manager.copy.max.bytes.per.second":   "there is no tier",
	"remote.log.manager.expiration.thread.pool.size": "there is no tier",
	"remote.log.manager.fetch.max.bytes.per.second":  "there is no tier",
	"remote.log.manager.follower.thread.pool.size":   "there is no tier",
	"remote.log.reader.threads":                      "there is no tier",
	"unclean.leader.election.enable":                 "there is one replica to elect",
	"local.retention.bytes":                          "there is no tier",
	"local.retention.ms":                             "there is no tier",
	"remote.storage.enable":                          "only false can be set",
	"remote.log.copy.disable":                        "only false can be set",
	"remote.log.delete.on.disable":                   "only false can be set",
}

// seenElsewhere is every key whose effect another test sees.
var seenElsewhere = map[string]string{
	"min.insync.replicas":                       "TestConfigEffects",
	"max.connections":                           "TestConnectionLimitsChange",
	"max.connections.per.ip":                    "TestConfigEffects",
	"max.connections.per.ip.overrides":          "TestConnectionLimitsChange",
	"transaction.partition.verification.enable": "broker/txn_test.go",
	"group.consumer.assignment.interval.ms":     "group/consumer_test.go",
	"consumer.session.timeout.ms":               "group/consumer_test.go",
	"consumer.heartbeat.interval.ms":            "group/consumer_test.go",
	"consumer.assignment.interval.ms":           "group/consumer_test.go",
	"interval.ms":                               "TestTelemetry",
	"match":                                     "TestTelemetry",
	"metrics":                                   "TestTelemetry",
	"log.flush.interval.ms":                     "logstore: flush.ms",
}

// wentBy is all that the broker goes by and that a configuration may change.
func wentBy(b *Broker, topic string) string {
	t := b.topics.get(topic)
	b.workers.mu.Lock()
	workers := b.workers.want
	b.workers.mu.Unlock()
	b.accepts.mu.Lock()
	rate := b.accepts.rate
	b.accepts.mu.Unlock()
	settings := *b.settings.Load()
	return fmt.Sprintf("%+v level %d codec %d workers %d rate %d %+v %+v", t.partition(0).log.Config(), t.level.Load(), t.codec.Load(),
		workers, rate, b.store.Tuning(), settings)
}

// TestEverySettableKeyHasAnEffect sets each key that can be set, and sees that
// the broker goes by another value until it is deleted. Security keys have tests
// of their own.
func TestEverySettableKeyHasAnEffect(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	node := cluster.Resource{Type: cluster.ResourceBroker, Name: strconv.Itoa(int(b.opt.NodeID))}
	everywhere := cluster.Resource{Type: cluster.ResourceBroker}
	topic := cluster.Resource{Type: cluster.ResourceTopic, Name: "t"}
	// A level is of one codec: the topic must use it for the level to count.
	codecOf := map[string]string{"compression.gzip.level": "gzip", "compression.lz4.level": "lz4", "compression.zstd.level": "zstd"}
	values := map[string]string{"cordoned.log.dirs": "*", "compression.type": "lz4", "num.io.threads": "3"}
	seen, gzip := 0, "gzip"
	alterOne(w, topic, "compression.type", &gzip)
	for _, res := range []cluster.Resource{topic, everywhere, node} {
		for _, d := range cluster.ConfigDefs(res.Type) {
			if cluster.CheckScope(res, d.Name) != nil || isSecurityKey(d.Name) || withoutEffect[d.Name] != "" || seenElsewhere[d.Name] != "" {
				continue
			}
			codec := codecOf[d.Name]
			if codec != "" {
				alterOne(w, topic, "compression.type", &codec)
			}
			if d.Name == "compression.type" {
				alterOne(w, topic, d.Name, nil)
			}
			before := wentBy(b, "t")
			now := ""
			if c := describeOne(t, w, res, d.Name); c.Value != nil {
				now = *c.Value
			}
			value, ok := values[d.Name]
			if !ok {
				value, ok = another(res, &d, now)
			}
			if !ok {
				t.Errorf("%v %s: no value is known to set", res, d.Name)
				continue
			}
			if got := alterOne(w, res, d.Name, &value); got.ErrorCode != 0 {
				t.Errorf("%v %s=%s: %d %v", res, d.Name, value, got.ErrorCode, errText(got.ErrorMessage))
				continue
			}
			if wentBy(b, "t") == before {
				t.Errorf("%v %s=%s has no effect", res, d.Name, value)
			}
			seen++
			if got := alterOne(w, res, d.Name, nil); got.ErrorCode != 0 {
				t.Errorf("%v %s: delete: %d", res, d.Name, got.ErrorCode)
			}
			if after := wentBy(b, "t"); after != before {
				t.Errorf("%v %s: after the delete\n%s, before\n%s", res, d.Name, after, before)
			}
			alterOne(w, topic, "compression.type", &gzip)
		}
	}
	if seen < 60 {
		t.Errorf("%d keys were seen to have an effect", seen)
	}
}

func errText(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func isSecurityKey(name string) bool {
	return len(name) > 4 && (name[:4] == "ssl." || name[:5] == "sasl.")
}

// TestConnectionLimitsChange: the limits of connections follow their keys at run
// time, exceptions by address included, and new connections are held to a rate.
func TestConnectionLimitsChange(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	everywhere := cluster.Resource{Type: cluster.ResourceBroker}
	set := func(key, value string) {
		t.Helper()
		v := &value
		if value == "" {
			v = nil
		}
		if got := alterOne(w, everywhere, key, v); got.ErrorCode != 0 {
			t.Fatalf("%s=%s: %d %s", key, value, got.ErrorCode, errText(got.ErrorMessage))
		}
	}
	set("max.connections", "1")
	dial(t, b).closed()
	set("max.connections", "")
	alive(t, b)

	set("max.connections.per.ip.overrides", "127.0.0.1:1,10.1.2.3:9")
	dial(t, b).closed()
	set("max.connections.per.ip.overrides", "")
	set("max.connections.per.ip", "1")
	set("max.connections.per.ip.overrides", "localhost:5")
	alive(t, b)
	set("max.connections.per.ip", "")
	set("max.connections.per.ip.overrides", "")

	// Of a burst of six, five wait for their turn: at 20/s the last for more than
	// four fiftieths of a second once the burst of one second is used up.
	set("max.connection.creation.rate", "20")
	began := time.Now()
	for range 26 {
		alive(t, b)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("26 connections at 20 a second came within %v", took)
	}
}

// TestConnectionLimitsOfAListener: the limits with a listener's prefix, from the
// configuration file and at run time, hold for that listener alone.
func TestConnectionLimitsOfAListener(t *testing.T) {
	b := run(t, func(o *Options) {
		o.Listeners = "PLAINTEXT://127.0.0.1:0,SMALL://127.0.0.1:0"
		o.SecurityProtocols = "SMALL:PLAINTEXT"
		o.Static = map[string]string{"listener.name.small.max.connections": "1"}
	})
	small := b.server.Addr("SMALL").String()
	enter := func() *wire {
		c, err := net.Dial("tcp", small)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return &wire{t: t, conn: c}
	}
	asks := func(w *wire) { ask[*kmsg.ApiVersionsResponse](w, kmsg.NewPtrApiVersionsRequest()) }
	first := enter()
	asks(first)
	enter().closed()
	alive(t, b)
	admin := dial(t, b)
	node := cluster.Resource{Type: cluster.ResourceBroker, Name: strconv.Itoa(int(b.opt.NodeID))}
	set := func(key, value string) {
		t.Helper()
		if got := alterOne(admin, node, "listener.name.small."+key, &value); got.ErrorCode != 0 {
			t.Fatalf("%s=%s: %d %s", key, value, got.ErrorCode, errText(got.ErrorMessage))
		}
	}
	set("max.connections", "2")
	second := enter()
	asks(second)
	enter().closed()
	// Who leaves makes room.
	before := b.server.Stats().Open
	if err := second.conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room for one", func() bool { return b.server.Stats().Open < before })
	asks(enter())
	set("max.connections", "1000")

	// At one a second, 60 connections of the other listener would take most of a
	// minute if they were under the limit.
	set("max.connection.creation.rate", "1")
	began := time.Now()
	for range 60 {
		alive(t, b)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("60 connections of the other listener took %v", took)
	}
	began = time.Now()
	for range 3 {
		asks(enter())
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("three connections at one a second came within %v", took)
	}
}

// TestWorkersFollowTheirKey: there are as many workers as the key says, and what
// waits is done when they become fewer.
func TestWorkersFollowTheirKey(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	everywhere := cluster.Resource{Type: cluster.ResourceBroker}
	have := func() int {
		b.workers.mu.Lock()
		defer b.workers.mu.Unlock()
		return b.workers.have
	}
	for _, n := range []int{20, 1, 2} {
		value := strconv.Itoa(n)
		if got := alterOne(w, everywhere, "num.io.threads", &value); got.ErrorCode != 0 {
			t.Fatalf("num.io.threads=%d: %d", n, got.ErrorCode)
		}
		eventually(t, "the number of workers follows", func() bool { return have() == n })
	}
}

// TestCordonedDirectories: no new partition is made in a cordoned directory, and
// with all of them cordoned none at all.
func TestCordonedDirectories(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	b := run(t, func(o *Options) { o.DataDirs = dirs })
	w := dial(t, b)
	node := cluster.Resource{Type: cluster.ResourceBroker, Name: strconv.Itoa(int(b.opt.NodeID))}
	if got := alterOne(w, node, "cordoned.log.dirs", &dirs[0]); got.ErrorCode != 0 {
		t.Fatalf("cordoned.log.dirs: %d", got.ErrorCode)
	}
	makeTopic(t, b, "elsewhere", 4, nil)
	for p := range 4 {
		name := fmt.Sprintf("elsewhere-%d", p)
		if _, err := os.Stat(dirs[0] + "/" + name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is in the cordoned directory: %v", name, err)
		}
	}
	all := "*"
	if got := alterOne(w, node, "cordoned.log.dirs", &all); got.ErrorCode != 0 {
		t.Fatalf("cordoned.log.dirs=*: %d", got.ErrorCode)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 60_000
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = "nowhere", 1, 1
	req.Topics = append(req.Topics, one)
	if got := ask[*kmsg.CreateTopicsResponse](w, req).Topics[0].ErrorCode; got != errInvalidReplicationFactor {
		t.Errorf("a topic with every directory cordoned: %d, want %d", got, errInvalidReplicationFactor)
	}
}

// TestKeysWithoutMeaningAreRefused: what Kafka can change at run time and what
// means nothing here is refused with the reason, described as read-only, and can
// be deleted.
func TestKeysWithoutMeaningAreRefused(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	node := cluster.Resource{Type: cluster.ResourceBroker, Name: strconv.Itoa(int(b.opt.NodeID))}
	for key, value := range map[string]string{"background.threads": "4", "num.network.threads": "4", "listeners": "PLAINTEXT://:1",
		"log.local.retention.ms": "5", "num.recovery.threads.per.data.dir": "3"} {
		got := alterOne(w, node, key, &value)
		if got.ErrorCode != errInvalidRequest || len(errText(got.ErrorMessage)) < 40 {
			t.Errorf("%s=%s: %d %s", key, value, got.ErrorCode, errText(got.ErrorMessage))
		}
		if !describeOne(t, w, node, key).ReadOnly {
			t.Errorf("%s is not described as read-only", key)
		}
		if got := alterOne(w, node, key, nil); got.ErrorCode != 0 {
			t.Errorf("%s cannot be deleted: %d", key, got.ErrorCode)
		}
	}
}

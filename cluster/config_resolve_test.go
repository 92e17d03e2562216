package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/logstore"
)

// image builds an image from records.
func image(t testing.TB, records ...Record) *Image {
	t.Helper()
	d := newDraft(&Image{NodeID: 1})
	if err := d.apply(records); err != nil {
		t.Fatal(err)
	}
	return d.finish()
}

func topicRecord(name string, partitions int32) TopicRecord {
	id := logstore.TopicID{}
	copy(id[:], fmt.Sprintf("%016s", name)[max(0, len(name)-16):])
	return TopicRecord{Name: name, ID: id, Partitions: partitions}
}

func set(res Resource, key, value string) Record {
	return ConfigRecord{Resource: res, Key: key, Value: value}
}

// chain prints a resolved key: value, source, then name:source=value of each place.
func chain(v ConfigValue) string {
	var b strings.Builder
	if v.Null {
		b.WriteString("null")
	} else {
		b.WriteString(v.Value)
	}
	fmt.Fprintf(&b, " %d", v.Source)
	for _, s := range v.Synonyms {
		fmt.Fprintf(&b, " %s:%d=%s", s.Name, s.Source, s.Value)
	}
	return b.String()
}

func TestConfigResolution(t *testing.T) {
	topic, own, all, group := Resource{ResourceTopic, "t"}, Resource{ResourceBroker, "1"}, Resource{ResourceBroker, ""}, Resource{ResourceGroup, "g"}
	other := Resource{ResourceBroker, "2"}
	metrics := Resource{ResourceClientMetrics, "m"}
	base := topicRecord("t", 1)
	for _, c := range []struct {
		name    string
		records []Record
		static  map[string]string
		res     Resource
		key     string
		want    string
	}{
		{"default", nil, nil, topic, "segment.bytes", "1073741824 5 log.segment.bytes:5=1073741824"},
		{"no synonym", nil, nil, topic, "remote.storage.enable", "false 5"},
		{"static", nil, map[string]string{"log.segment.bytes": "2000000"}, topic, "segment.bytes",
			"2000000 4 log.segment.bytes:4=2000000 log.segment.bytes:5=1073741824"},
		{"every level", []Record{set(topic, "segment.bytes", "5000000"), set(own, "log.segment.bytes", "4000000"), set(all, "log.segment.bytes", "3000000")},
			map[string]string{"log.segment.bytes": "2000000"}, topic, "segment.bytes",
			"5000000 1 segment.bytes:1=5000000 log.segment.bytes:2=4000000 log.segment.bytes:3=3000000 log.segment.bytes:4=2000000 log.segment.bytes:5=1073741824"},
		{"broker over cluster", []Record{set(own, "log.segment.bytes", "4000000"), set(all, "log.segment.bytes", "3000000")}, nil, topic, "segment.bytes",
			"4000000 2 log.segment.bytes:2=4000000 log.segment.bytes:3=3000000 log.segment.bytes:5=1073741824"},
		{"another broker's is not ours", []Record{set(other, "log.segment.bytes", "4000000")}, nil, topic, "segment.bytes", "1073741824 5 log.segment.bytes:5=1073741824"},

		{"retention in hours", nil, map[string]string{"log.retention.hours": "2"}, topic, "retention.ms", "7200000 5"},
		{"minutes over hours", nil, map[string]string{"log.retention.hours": "2", "log.retention.minutes": "3"}, topic, "retention.ms", "180000 5"},
		{"ms over minutes", nil, map[string]string{"log.retention.minutes": "3", "log.retention.ms": "7"}, topic, "retention.ms",
			"7 4 log.retention.ms:4=7 log.retention.minutes:4=3 log.retention.hours:5=168"},
		{"dynamic ms over static hours", []Record{set(all, "log.retention.ms", "9")}, map[string]string{"log.retention.hours": "2"}, topic, "retention.ms",
			"9 3 log.retention.ms:3=9 log.retention.hours:4=2 log.retention.hours:5=168"},
		{"retention without limit", nil, map[string]string{"log.retention.hours": "-1"}, topic, "retention.ms", "-1 5"},
		{"retention default", nil, nil, topic, "retention.ms", "604800000 5"},
		{"roll hours", nil, map[string]string{"log.roll.hours": "1"}, topic, "segment.ms", "3600000 5"},
		{"flush from the scheduler", nil, map[string]string{"log.flush.scheduler.interval.ms": "77"}, topic, "flush.ms", "77 5"},

		{"broker default", nil, nil, own, "num.partitions", "1 5 num.partitions:5=1"},
		{"broker null", nil, nil, own, "log.retention.ms", "null 5"},
		{"broker hours", nil, nil, own, "log.retention.hours", "168 5 log.retention.hours:5=168"},
		{"broker hours behind minutes", nil, map[string]string{"log.retention.minutes": "3"}, own, "log.retention.hours", "168 5 log.retention.hours:5=168"},
		{"broker dynamic", []Record{set(all, "num.io.threads", "4")}, map[string]string{"num.io.threads": "6"}, own, "num.io.threads",
			"4 3 num.io.threads:3=4 num.io.threads:4=6 num.io.threads:5=8"},
		{"cluster default shows what is set", []Record{set(all, "num.io.threads", "4")}, nil, all, "num.io.threads", "4 3 num.io.threads:3=4"},
		{"listener prefix falls back", nil, map[string]string{"ssl.client.auth": "required"}, own, "listener.name.x.ssl.client.auth", "required 5"},
		{"listener prefix set", nil, map[string]string{"ssl.client.auth": "required", "listener.name.x.ssl.client.auth": "none"}, own, "listener.name.x.ssl.client.auth",
			"none 4 listener.name.x.ssl.client.auth:4=none ssl.client.auth:4=required ssl.client.auth:5=none"},

		{"group default", nil, nil, group, "consumer.session.timeout.ms", "45000 5 group.consumer.session.timeout.ms:5=45000"},
		{"group key of its own", nil, nil, group, "share.isolation.level", "read_uncommitted 5 share.isolation.level:5=read_uncommitted"},
		{"group set", []Record{set(group, "consumer.session.timeout.ms", "50000")}, map[string]string{"group.consumer.session.timeout.ms": "46000"}, group, "consumer.session.timeout.ms",
			"50000 8 consumer.session.timeout.ms:8=50000 group.consumer.session.timeout.ms:4=46000 group.consumer.session.timeout.ms:5=45000"},
		{"metrics set", []Record{set(metrics, "interval.ms", "100")}, nil, metrics, "interval.ms", "100 7 interval.ms:7=100"},
		{"metrics default", nil, nil, metrics, "interval.ms", "300000 5"},
	} {
		img := image(t, append([]Record{base}, c.records...)...)
		v, ok := img.Config(c.res, c.key, c.static)
		if got := chain(v); !ok || got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		// The short way to the value agrees with the long one.
		if c.res != all {
			if got := img.valueOf(c.res, c.key, c.static); findDef(ConfigDefs(c.res.Type), c.key) != nil && got != v.Value {
				t.Errorf("%s: the value is %q, and %q with its chain", c.name, got, v.Value)
			}
		}
	}
	img := image(t, base)
	for _, c := range []struct {
		res Resource
		key string
	}{{topic, "no.such"}, {all, "num.io.threads"}, {Resource{ResourceBrokerLogger, "1"}, "x"}} {
		if v, ok := img.Config(c.res, c.key, nil); ok {
			t.Errorf("%v %s: %s", c.res, c.key, chain(v))
		}
	}
}

func TestLogConfigDefaultIsTheLogs(t *testing.T) {
	if got, want := image(t).LogConfig("any", nil), logstore.DefaultLogConfig(); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// TestLogConfigEveryKey sets each key that the log goes by and looks at its field.
func TestLogConfigEveryKey(t *testing.T) {
	res := Resource{ResourceTopic, "t"}
	for _, c := range []struct {
		key, value string
		field      func(l logstore.LogConfig) any
		want       any
	}{
		{"cleanup.policy", "compact", func(l logstore.LogConfig) any { return []bool{l.Compact, l.Delete} }, []bool{true, false}},
		{"cleanup.policy", "compact,delete", func(l logstore.LogConfig) any { return []bool{l.Compact, l.Delete} }, []bool{true, true}},
		{"cleanup.policy", "", func(l logstore.LogConfig) any { return []bool{l.Compact, l.Delete} }, []bool{false, false}},
		{"compression.type", "producer", func(l logstore.LogConfig) any { return l.Codec }, int8(-1)},
		{"compression.type", "uncompressed", func(l logstore.LogConfig) any { return l.Codec }, int8(0)},
		{"compression.type", "gzip", func(l logstore.LogConfig) any { return l.Codec }, int8(1)},
		{"compression.type", "snappy", func(l logstore.LogConfig) any { return l.Codec }, int8(2)},
		{"compression.type", "lz4", func(l logstore.LogConfig) any { return l.Codec }, int8(3)},
		{"compression.type", "zstd", func(l logstore.LogConfig) any { return l.Codec }, int8(4)},
		{"delete.retention.ms", "7", func(l logstore.LogConfig) any { return l.DeleteRetentionMs }, int64(7)},
		{"file.delete.delay.ms", "8", func(l logstore.LogConfig) any { return l.FileDeleteDelayMs }, int64(8)},
		{"flush.messages", "9", func(l logstore.LogConfig) any { return l.FlushMessages }, int64(9)},
		{"flush.ms", "10", func(l logstore.LogConfig) any { return l.FlushMs }, int64(10)},
		{"index.interval.bytes", "11", func(l logstore.LogConfig) any { return l.IndexIntervalBytes }, int32(11)},
		{"max.compaction.lag.ms", "12", func(l logstore.LogConfig) any { return l.MaxCompactionLagMs }, int64(12)},
		{"min.compaction.lag.ms", "13", func(l logstore.LogConfig) any { return l.MinCompactionLagMs }, int64(13)},
		{"max.message.bytes", "14", func(l logstore.LogConfig) any { return l.MaxMessageBytes }, int32(14)},
		{"message.timestamp.after.max.ms", "15", func(l logstore.LogConfig) any { return l.AfterMaxMs }, int64(15)},
		{"message.timestamp.before.max.ms", "16", func(l logstore.LogConfig) any { return l.BeforeMaxMs }, int64(16)},
		{"message.timestamp.type", "LogAppendTime", func(l logstore.LogConfig) any { return l.LogAppendTime }, true},
		{"min.cleanable.dirty.ratio", "0.25", func(l logstore.LogConfig) any { return l.MinDirtyRatio }, 0.25},
		{"preallocate", "true", func(l logstore.LogConfig) any { return l.Preallocate }, true},
		{"retention.bytes", "17", func(l logstore.LogConfig) any { return l.RetentionBytes }, int64(17)},
		{"retention.ms", "18", func(l logstore.LogConfig) any { return l.RetentionMs }, int64(18)},
		{"segment.bytes", "1048576", func(l logstore.LogConfig) any { return l.SegmentBytes }, int32(1048576)},
		{"segment.index.bytes", "19", func(l logstore.LogConfig) any { return l.SegmentIndexBytes }, int32(19)},
		{"segment.jitter.ms", "20", func(l logstore.LogConfig) any { return l.SegmentJitterMs }, int64(20)},
		{"segment.ms", "21", func(l logstore.LogConfig) any { return l.SegmentMs }, int64(21)},
	} {
		if err := CheckDynamic(res, c.key, c.value); err != nil {
			t.Error(err)
		}
		l := image(t, topicRecord("t", 1), set(res, c.key, c.value)).LogConfig("t", nil)
		if got := c.field(l); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s=%s gives %v, want %v", c.key, c.value, got, c.want)
		}
	}
}

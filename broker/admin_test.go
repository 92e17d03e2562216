package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// TestCreateTopics is what CreateTopics makes and refuses.
func TestCreateTopics(t *testing.T) {
	b := run(t, func(o *Options) { o.Static = map[string]string{"num.partitions": "4"} })
	makeTopic(t, b, "there", 1, nil)
	makeTopic(t, b, "dot.ted", 1, nil)
	value := func(s string) *string { return &s }
	w := dial(t, b)
	for _, c := range []struct {
		name  string
		topic kmsg.CreateTopicsRequestTopic
		want  int16
		parts int32
	}{
		{"plain", kmsg.CreateTopicsRequestTopic{Topic: "a", NumPartitions: 3, ReplicationFactor: 1}, 0, 3},
		{"defaults", kmsg.CreateTopicsRequestTopic{Topic: "b", NumPartitions: -1, ReplicationFactor: -1}, 0, 4},
		{"exists", kmsg.CreateTopicsRequestTopic{Topic: "there", NumPartitions: 1, ReplicationFactor: 1}, errTopicExists, -1},
		{"collides", kmsg.CreateTopicsRequestTopic{Topic: "dot_ted", NumPartitions: 1, ReplicationFactor: 1}, errInvalidTopic, -1},
		{"path", kmsg.CreateTopicsRequestTopic{Topic: "../x", NumPartitions: 1, ReplicationFactor: 1}, errInvalidTopic, -1},
		{"empty", kmsg.CreateTopicsRequestTopic{Topic: "", NumPartitions: 1, ReplicationFactor: 1}, errInvalidTopic, -1},
		{"long", kmsg.CreateTopicsRequestTopic{Topic: strings.Repeat("x", 250), NumPartitions: 1, ReplicationFactor: 1}, errInvalidTopic, -1},
		{"no partitions", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 0, ReplicationFactor: 1}, errInvalidPartitions, -1},
		{"far too many partitions", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1 << 30, ReplicationFactor: 1}, errPolicyViolation, -1},
		{"no replicas", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 0}, errInvalidReplicationFactor, -1},
		{"three replicas", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 3}, errInvalidReplicationFactor, -1},
		{"unknown key", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 1,
			Configs: []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention", Value: value("1")}}}, errInvalidConfig, -1},
		{"bad value", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 1,
			Configs: []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: value("soon")}}}, errInvalidConfig, -1},
		{"assigned", kmsg.CreateTopicsRequestTopic{Topic: "d", NumPartitions: -1, ReplicationFactor: -1,
			ReplicaAssignment: []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{1}}, {Partition: 0, Replicas: []int32{1}}}}, 0, 2},
		{"assigned elsewhere", kmsg.CreateTopicsRequestTopic{Topic: "e", NumPartitions: -1, ReplicationFactor: -1,
			ReplicaAssignment: []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{9}}}}, errInvalidReplicaAssignment, -1},
		{"assigned with a hole", kmsg.CreateTopicsRequestTopic{Topic: "e", NumPartitions: -1, ReplicationFactor: -1,
			ReplicaAssignment: []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{1}}}}, errInvalidReplicaAssignment, -1},
		{"assigned and counted", kmsg.CreateTopicsRequestTopic{Topic: "e", NumPartitions: 1, ReplicationFactor: -1,
			ReplicaAssignment: []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{1}}}}, errInvalidRequest, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.Version, req.TimeoutMillis, req.Topics = 7, 60_000, []kmsg.CreateTopicsRequestTopic{c.topic}
			// What is only validated gets the same answer and leaves no topic.
			req.ValidateOnly = true
			if got := ask[*kmsg.CreateTopicsResponse](w, req).Topics[0]; got.ErrorCode != c.want {
				t.Errorf("validated: code %d, want %d", got.ErrorCode, c.want)
			}
			req.ValidateOnly = false
			got := ask[*kmsg.CreateTopicsResponse](w, req).Topics[0]
			if got.ErrorCode != c.want || got.NumPartitions != c.parts {
				t.Errorf("code %d with %d partitions, want %d with %d (%v)", got.ErrorCode, got.NumPartitions, c.want, c.parts, got.ErrorMessage)
			}
			if (got.ErrorCode == 0) == (got.TopicID == [16]byte{}) {
				t.Errorf("id %x with code %d", got.TopicID, got.ErrorCode)
			}
			if got.ErrorCode != 0 && got.ErrorMessage == nil {
				t.Error("an error without a sentence")
			}
		})
	}
	twice := kmsg.NewPtrCreateTopicsRequest()
	twice.Version = 7
	one := kmsg.CreateTopicsRequestTopic{Topic: "f", NumPartitions: 1, ReplicationFactor: 1}
	twice.Topics = []kmsg.CreateTopicsRequestTopic{one, one}
	if got := ask[*kmsg.CreateTopicsResponse](w, twice); len(got.Topics) != 1 || got.Topics[0].ErrorCode != errInvalidRequest {
		t.Errorf("a topic named twice: %+v", got.Topics)
	}
}

// TestDeleteAndRecreate: a deleted topic is gone with its records, and one of
// the same name has another id and begins at 0.
func TestDeleteAndRecreate(t *testing.T) {
	b := run(t, nil)
	ctx := within(t)
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	first := makeTopic(t, b, "t", 2, nil)
	w := dial(t, b)
	produceTo(t, w, "t", batchOf(t, 0, 5))
	if _, err := adm.DeleteTopic(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	if p := ask[*kmsg.ProduceResponse](w, produceOf(9, "t", first, -1, batchOf(t, 0, 1))).Topics[0].Partitions[0]; p.ErrorCode != errUnknownTopicOrPartition {
		t.Errorf("produce to the deleted topic: %d", p.ErrorCode)
	}
	if _, err := adm.DeleteTopic(ctx, "t"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("the second delete: %v", err)
	}
	second := makeTopic(t, b, "t", 2, nil)
	if first == second {
		t.Error("the new topic has the old one's id")
	}
	if at := produceTo(t, w, "t", batchOf(t, 0, 1)); at != 0 {
		t.Errorf("the first record of the new topic is at %d", at)
	}
	if p := ask[*kmsg.ProduceResponse](w, produceOf(13, "", first, -1, batchOf(t, 0, 1))).Topics[0].Partitions[0]; p.ErrorCode != errUnknownTopicID {
		t.Errorf("produce to the old id: %d", p.ErrorCode)
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.Topics = 6, []kmsg.DeleteTopicsRequestTopic{{TopicID: second}, {TopicID: first}, {}}
	got := ask[*kmsg.DeleteTopicsResponse](w, del)
	for i, want := range []int16{0, errUnknownTopicID, errInvalidRequest} {
		if got.Topics[i].ErrorCode != want {
			t.Errorf("delete %d by id: code %d, want %d", i, got.Topics[i].ErrorCode, want)
		}
	}
}

// TestCreatePartitions: a topic grows, is never made smaller, and its new
// partitions take records.
func TestCreatePartitions(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 2, nil)
	adm := kadm.NewClient(client(t, b))
	for _, c := range []struct {
		to   int
		want error
	}{{5, nil}, {5, kerr.InvalidPartitions}, {3, kerr.InvalidPartitions}, {6, nil}} {
		got, err := adm.UpdatePartitions(within(t), c.to, "t")
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(got["t"].Err, c.want) {
			t.Errorf("to %d: %v, want %v", c.to, got["t"].Err, c.want)
		}
	}
	w := dial(t, b)
	req := produceOf(9, "t", [16]byte{}, -1, batchOf(t, 0, 1))
	req.Topics[0].Partitions[0].Partition = 5
	if p := ask[*kmsg.ProduceResponse](w, req).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Errorf("produce to the new partition: %d", p.ErrorCode)
	}
}

// TestGrowWithAGap: when the disk refuses one of many new logs, what lies before
// it serves, nothing behind it does, and the next start has them all.
func TestGrowWithAGap(t *testing.T) {
	disk := vfs.NewMem()
	o := Options{FS: disk, DataDirs: []string{"/data"}, Listeners: "PLAINTEXT://127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	makeTopic(t, b, "t", 2, nil)
	disk.Inject(vfs.Fault{Op: vfs.OpCreate, Path: "/data/logs/t-70/*", Times: -1, Err: syscall.ENOSPC})
	adm := kadm.NewClient(client(t, b))
	got, err := adm.UpdatePartitions(within(t), 100, "t")
	if err != nil || got["t"].Err == nil {
		t.Errorf("growing on a full disk: %v, %v", got["t"].Err, err)
	}
	serves := func(b *Broker) (n int32) {
		t.Helper()
		w := dial(t, b)
		for p := range int32(100) {
			req := produceOf(9, "t", [16]byte{}, -1, batchOf(t, 0, 1))
			req.Topics[0].Partitions[0].Partition = p
			code := ask[*kmsg.ProduceResponse](w, req).Topics[0].Partitions[0].ErrorCode
			switch serves := code == errNone || code == errNotEnoughReplicas; { // the latter: the disk is full
			case serves && n == p:
				n++
			case serves:
				t.Errorf("partition %d serves, and %d does not", p, n)
			case code != errUnknownTopicOrPartition:
				t.Errorf("partition %d: code %d", p, code)
			}
		}
		return n
	}
	if n := serves(b); n < 2 || n > 70 {
		t.Errorf("%d partitions serve; the log of 70 could not be made", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	o.FS = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll}) // without the fault
	if b, err = Start(o); err != nil {
		t.Fatal(err)
	}
	if n := serves(b); n != 100 {
		t.Errorf("%d of 100 partitions serve after a start on a good disk", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAlterConfigs sets, appends, subtracts and takes back, and what is set
// counts for the next batch.
func TestAlterConfigs(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	adm := kadm.NewClient(client(t, b))
	ctx := within(t)
	value := func(s string) *string { return &s }
	get := func(key string) string {
		t.Helper()
		got, err := adm.DescribeTopicConfigs(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range got[0].Configs {
			if c.Key == key {
				return c.MaybeValue() + " " + c.Source.String()
			}
		}
		return "absent"
	}
	for _, c := range []struct {
		op        kadm.IncrementalOp
		key, val  string
		want      error
		wantValue string
	}{
		{kadm.SetConfig, "max.message.bytes", "100", nil, "100 DYNAMIC_TOPIC_CONFIG"},
		{kadm.SetConfig, "max.message.bytes", "-100", kerr.InvalidConfig, "100 DYNAMIC_TOPIC_CONFIG"},
		{kadm.SetConfig, "no.such.key", "1", kerr.InvalidConfig, "absent"},
		{kadm.AppendConfig, "cleanup.policy", "compact", nil, "delete,compact DYNAMIC_TOPIC_CONFIG"},
		{kadm.SubtractConfig, "cleanup.policy", "delete", nil, "compact DYNAMIC_TOPIC_CONFIG"},
		{kadm.AppendConfig, "retention.ms", "1", kerr.InvalidConfig, "604800000 DEFAULT_CONFIG"},
		{kadm.DeleteConfig, "cleanup.policy", "", nil, "delete DEFAULT_CONFIG"},
	} {
		edit := kadm.AlterConfig{Op: c.op, Name: c.key, Value: value(c.val)}
		if c.op == kadm.DeleteConfig {
			edit.Value = nil
		}
		got, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{edit}, "t")
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(got[0].Err, c.want) {
			t.Errorf("%v %s=%s: %v, want %v", c.op, c.key, c.val, got[0].Err, c.want)
		}
		if v := get(c.key); v != c.wantValue {
			t.Errorf("after %v %s=%s it is %q, want %q", c.op, c.key, c.val, v, c.wantValue)
		}
	}
	w := dial(t, b)
	if p := ask[*kmsg.ProduceResponse](w, produceOf(9, "t", [16]byte{}, -1, batchOf(t, 0, 9))).Topics[0].Partitions[0]; p.ErrorCode != errMessageTooLarge {
		t.Errorf("a batch above the new max.message.bytes: %d", p.ErrorCode)
	}
	if _, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "max.message.bytes"}}, "t"); err != nil {
		t.Fatal(err)
	}
	produceTo(t, w, "t", batchOf(t, 0, 9))
	// A broker key that topics fall back to.
	got, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.max.bytes", Value: value("100")}})
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	if v := get("max.message.bytes"); v != "100 DYNAMIC_DEFAULT_BROKER_CONFIG" {
		t.Errorf("max.message.bytes is %q", v)
	}
	if p := ask[*kmsg.ProduceResponse](w, produceOf(9, "t", [16]byte{}, -1, batchOf(t, 0, 9))).Topics[0].Partitions[0]; p.ErrorCode != errMessageTooLarge {
		t.Errorf("a batch above the broker's message.max.bytes: %d", p.ErrorCode)
	}
}

// TestListOffsets is the special values in the versions that know them.
func TestListOffsets(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	produceTo(t, w, "t", batchOf(t, 0, 3)) // 1_700_000_000_000 … 002
	produceTo(t, w, "t", batchOf(t, 0, 3))
	const base = 1_700_000_000_000
	for _, c := range []struct {
		version    int16
		ts         int64
		code       int16
		offset, at int64
	}{
		{11, timeLatest, 0, 6, -1}, {11, timeEarliest, 0, 0, -1}, {11, timeMax, 0, 2, base + 2},
		{11, timeEarliestLocal, 0, 0, -1}, {11, timeLatestTiered, 0, -1, -1}, {11, timeEarliestPending, 0, -1, -1},
		{11, -7, errUnsupportedVersion, -1, -1}, {6, timeMax, errUnsupportedVersion, -1, -1},
		{7, timeEarliestLocal, errUnsupportedVersion, -1, -1}, {8, timeLatestTiered, errUnsupportedVersion, -1, -1},
		{11, 0, 0, 0, base}, {11, base + 1, 0, 1, base + 1}, {11, base + 3, 0, -1, -1}, {1, base + 2, 0, 2, base + 2},
	} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = c.version, -1
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: c.ts, CurrentLeaderEpoch: -1}}}}
		p := ask[*kmsg.ListOffsetsResponse](w, req).Topics[0].Partitions[0]
		if p.ErrorCode != c.code || p.Offset != c.offset || p.Timestamp != c.at {
			t.Errorf("v%d %d: code %d offset %d time %d, want %d %d %d", c.version, c.ts, p.ErrorCode, p.Offset, p.Timestamp, c.code, c.offset, c.at)
		}
	}
	for _, c := range []struct {
		ts   int64
		most int32
		want []int64
	}{
		{timeLatest, 5, []int64{6, 0}}, {timeLatest, 1, []int64{6}}, {timeLatest, 0, nil}, {timeLatest, -1, nil},
		{timeEarliest, 5, []int64{0}}, {base + 1, 5, []int64{1}},
		{base + 3, 1, []int64{6}}, {math.MaxInt64, 5, []int64{6}}, // no record is so late: the end
	} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: c.ts, MaxNumOffsets: c.most}}}}
		if p := ask[*kmsg.ListOffsetsResponse](w, req).Topics[0].Partitions[0]; !slices.Equal(p.OldStyleOffsets, c.want) || p.ErrorCode != 0 {
			t.Errorf("v0 %d, at most %d: %v code %d, want %v", c.ts, c.most, p.OldStyleOffsets, p.ErrorCode, c.want)
		}
	}
}

// TestMetadata asks in every version: all topics, none, a missing one, by id.
func TestMetadata(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 3, nil)
	w := dial(t, b)
	host, port := w.conn.RemoteAddr().String(), 0
	if _, err := fmt.Sscanf(host[strings.LastIndex(host, ":")+1:], "%d", &port); err != nil {
		t.Fatal(err)
	}
	for v := range metadataAPI.max + 1 {
		req := kmsg.NewPtrMetadataRequest()
		req.Version = v
		resp := ask[*kmsg.MetadataResponse](w, req)
		if len(resp.Topics) != 1 || *resp.Topics[0].Topic != "t" || len(resp.Topics[0].Partitions) != 3 {
			t.Fatalf("v%d: all topics: %+v", v, resp.Topics)
		}
		if br := resp.Brokers; len(br) != 1 || br[0].Host != "127.0.0.1" || int(br[0].Port) != port {
			t.Fatalf("v%d: brokers %+v; a client is told the address it connected to", v, br)
		}
		if v >= 10 && resp.Topics[0].TopicID != id {
			t.Errorf("v%d: id %x", v, resp.Topics[0].TopicID)
		}
		if v >= 1 {
			req.Topics = []kmsg.MetadataRequestTopic{}
			if resp := ask[*kmsg.MetadataResponse](w, req); len(resp.Topics) != 0 {
				t.Errorf("v%d: no topics: %d", v, len(resp.Topics))
			}
		}
		name := "absent"
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		if v >= 4 {
			if resp := ask[*kmsg.MetadataResponse](w, req); resp.Topics[0].ErrorCode != errUnknownTopicOrPartition {
				t.Errorf("v%d: a missing topic: %d", v, resp.Topics[0].ErrorCode)
			}
		}
		if v >= 12 {
			req.Topics = []kmsg.MetadataRequestTopic{{TopicID: id}, {TopicID: [16]byte{1}}}
			resp := ask[*kmsg.MetadataResponse](w, req)
			if resp.Topics[0].ErrorCode != 0 || *resp.Topics[0].Topic != "t" || resp.Topics[1].ErrorCode != errUnknownTopicID {
				t.Errorf("v%d: by id: %+v", v, resp.Topics)
			}
		}
	}
	bad, auto := "../x", "made"
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 12, true
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &bad}, {Topic: &auto}}
	for i, want := range []int16{errNone, errNone} { // made, then there
		got := map[string]int16{}
		for _, top := range ask[*kmsg.MetadataResponse](w, req).Topics {
			got[*top.Topic] = top.ErrorCode
		}
		if got[bad] != errInvalidTopic || got[auto] != want {
			t.Errorf("created on demand, request %d: %v", i, got)
		}
	}
}

// TestDeleteRecords moves the log start, which readers see at once.
func TestDeleteRecords(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	for range 5 {
		produceTo(t, w, "t", batchOf(t, 0, 2))
	}
	for _, c := range []struct {
		before, low int64
		code        int16
	}{{4, 4, 0}, {2, 4, 0}, {99, -1, errOffsetOutOfRange}, {-1, 10, 0}} {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Version, req.TimeoutMillis = 2, 60_000
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: c.before}}}}
		if p := ask[*kmsg.DeleteRecordsResponse](w, req).Topics[0].Partitions[0]; p.ErrorCode != c.code || p.LowWatermark != c.low {
			t.Errorf("before %d: code %d, low %d; want %d, %d", c.before, p.ErrorCode, p.LowWatermark, c.code, c.low)
		}
	}
	if p := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(12, "t", [16]byte{}, 3))); p.ErrorCode != errOffsetOutOfRange {
		t.Errorf("a fetch below the log start: %d", p.ErrorCode)
	}
}

// TestDeleteRecordsByPolicy: only a topic that nothing but compaction cleans keeps
// its records.
func TestDeleteRecordsByPolicy(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	for policy, want := range map[string]errCode{"delete": errNone, "compact": errPolicyViolation, "compact,delete": errNone, "": errNone} {
		topic := "p" + strings.ReplaceAll(policy, ",", "-")
		makeTopic(t, b, topic, 1, map[string]*string{"cleanup.policy": &policy})
		produceTo(t, w, topic, batchOf(t, 0, 4))
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Version, req.TimeoutMillis = 2, 5000
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 3}}}}
		if got := ask[*kmsg.DeleteRecordsResponse](w, req).Topics[0].Partitions[0].ErrorCode; got != want {
			t.Errorf("cleanup.policy %q: %d, want %d", policy, got, want)
		}
	}
}

// TestDeleteRecordsTwice: of a partition that is named twice the last offset
// counts, be it lower, and one answer comes for each.
func TestDeleteRecordsTwice(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 2, nil)
	w := dial(t, b)
	for range 5 {
		produceTo(t, w, "t", batchOf(t, 0, 2))
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, 5000
	part := func(index int32, offset int64) kmsg.DeleteRecordsRequestTopicPartition {
		return kmsg.DeleteRecordsRequestTopicPartition{Partition: index, Offset: offset}
	}
	req.Topics = []kmsg.DeleteRecordsRequestTopic{
		{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{part(0, 8), part(1, 0), part(0, 6)}},
		{Topic: "none", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{part(0, 1)}},
		{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{part(0, 4)}},
	}
	resp := ask[*kmsg.DeleteRecordsResponse](w, req)
	if len(resp.Topics) != 2 || len(resp.Topics[0].Partitions) != 2 || len(resp.Topics[1].Partitions) != 1 {
		t.Fatalf("answered: %+v", resp.Topics)
	}
	if p := resp.Topics[0].Partitions[0]; p.Partition != 0 || p.ErrorCode != 0 || p.LowWatermark != 4 {
		t.Errorf("partition 0: code %d, low %d, want 4", p.ErrorCode, p.LowWatermark)
	}
	if p := resp.Topics[0].Partitions[1]; p.Partition != 1 || p.ErrorCode != 0 || p.LowWatermark != 0 {
		t.Errorf("partition 1: code %d, low %d, want 0", p.ErrorCode, p.LowWatermark)
	}
	if got := resp.Topics[1].Partitions[0].ErrorCode; got != errUnknownTopicOrPartition {
		t.Errorf("the topic that is not there: %d", got)
	}
}

// TestGroup: two members share a topic, commit, and a later one goes on there.
func TestGroup(t *testing.T) {
	b := run(t, func(o *Options) { o.Static = map[string]string{"group.initial.rebalance.delay.ms": "0"} })
	makeTopic(t, b, "t", 4, nil)
	ctx := within(t)
	p := client(t, b)
	for i := range 40 {
		if err := p.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	member := func() *kgo.Client {
		return client(t, b, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.DisableAutoCommit(), kgo.FetchMaxWait(200*time.Millisecond))
	}
	a := member()
	seen := map[string]bool{}
	for len(seen) < 40 {
		fetches := a.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			seen[string(r.Value)] = true
		}
	}
	if err := a.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(p)
	described, err := adm.DescribeGroups(ctx, "g")
	if err != nil || described["g"].State != "Stable" || len(described["g"].Members) != 1 {
		t.Fatalf("%+v, %v", described["g"], err)
	}
	a.Close()
	if err := p.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("new")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c := member()
	fetches := c.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	if got := fetches.Records(); len(got) != 1 || string(got[0].Value) != "new" {
		t.Errorf("after the commit: %v", got)
	}
	listed, err := adm.ListGroups(ctx)
	if err != nil || len(listed) != 1 {
		t.Errorf("groups %v, %v", listed, err)
	}
	if _, err := adm.DeleteGroup(ctx, "g"); !errors.Is(err, kerr.NonEmptyGroup) {
		t.Errorf("delete of a group with a member: %v", err)
	}
	c.Close()
	if _, err := adm.DeleteGroup(ctx, "g"); err != nil {
		t.Errorf("delete: %v", err)
	}
}

// TestDescribe asks the small views: the cluster, log directories, producers,
// partitions page by page, resources.
func TestDescribe(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 5, nil)
	makeTopic(t, b, "u", 5, nil)
	w := dial(t, b)
	produceTo(t, w, "t", batchOf(t, 0, 5))

	cluster := ask[*kmsg.DescribeClusterResponse](w, &kmsg.DescribeClusterRequest{Version: 2, EndpointType: 1})
	if cluster.ErrorCode != 0 || cluster.ClusterID == "" || len(cluster.Brokers) != 1 {
		t.Errorf("cluster %+v", cluster)
	}
	if got := ask[*kmsg.DescribeClusterResponse](w, &kmsg.DescribeClusterRequest{Version: 1, EndpointType: 2}); got.ErrorCode != errMismatchedEndpoint {
		t.Errorf("controllers: %d", got.ErrorCode)
	}
	dirs := ask[*kmsg.DescribeLogDirsResponse](w, &kmsg.DescribeLogDirsRequest{Version: 4})
	var size int64
	for _, top := range dirs.Dirs[0].Topics {
		for _, p := range top.Partitions {
			size += p.Size
		}
	}
	if len(dirs.Dirs[0].Topics) != 2 || size == 0 || dirs.Dirs[0].TotalBytes <= 0 {
		t.Errorf("log directories: %d topics, %d bytes", len(dirs.Dirs[0].Topics), size)
	}
	var pages []string
	req := &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 3}
	for {
		resp := ask[*kmsg.DescribeTopicPartitionsResponse](w, req)
		page := ""
		for _, top := range resp.Topics {
			for _, p := range top.Partitions {
				page += fmt.Sprint(*top.Topic, p.Partition)
			}
		}
		pages = append(pages, page)
		if resp.NextCursor == nil {
			break
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	if got := strings.Join(pages, "|"); got != "t0t1t2|t3t4u0|u1u2u3|u4" {
		t.Errorf("pages %s", got)
	}
	// A cursor at a topic that was not asked for, or before the first partition.
	for _, c := range []struct {
		topics []string
		at     string
		part   int32
		want   string // each topic's code and its first partition
	}{
		{[]string{"t"}, "u", 0, "t 42"},
		{[]string{"t", "u"}, "u", -1, "t 42 u 42"},
		{[]string{"t", "u"}, "u", 3, "u 0 from 3"},
		{nil, "tt", 2, "u 0 from 0"},
	} {
		req := &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 100, Cursor: &kmsg.DescribeTopicPartitionsRequestCursor{Topic: c.at, Partition: c.part}}
		for _, name := range c.topics {
			req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
		}
		var got []string
		for _, top := range ask[*kmsg.DescribeTopicPartitionsResponse](w, req).Topics {
			one := fmt.Sprint(*top.Topic, " ", top.ErrorCode)
			if len(top.Partitions) > 0 {
				one += fmt.Sprint(" from ", top.Partitions[0].Partition)
			}
			got = append(got, one)
		}
		if list := strings.Join(got, " "); list != c.want {
			t.Errorf("of %v from %s-%d on: %q, want %q", c.topics, c.at, c.part, list, c.want)
		}
	}
	resources := ask[*kmsg.ListConfigResourcesResponse](w, &kmsg.ListConfigResourcesRequest{Version: 1})
	if len(resources.ConfigResources) != 4 { // two topics, the broker, its logger
		t.Errorf("resources %+v", resources.ConfigResources)
	}
}

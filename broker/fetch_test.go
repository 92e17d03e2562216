package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
)

// fetchOf is a Fetch request of one partition that does not wait.
func fetchOf(version int16, topic string, id [16]byte, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = version, 0, 1, 1<<20
	req.SessionEpoch = -1
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes = offset, 1<<20
	top := kmsg.NewFetchRequestTopic()
	top.Topic, top.TopicID, top.Partitions = topic, id, []kmsg.FetchRequestTopicPartition{part}
	req.Topics = []kmsg.FetchRequestTopic{top}
	return req
}

func produceTo(t testing.TB, w *wire, topic string, records []byte) int64 {
	t.Helper()
	p := ask[*kmsg.ProduceResponse](w, produceOf(9, topic, [16]byte{}, -1, records)).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		t.Fatalf("produce to %s: %d", topic, p.ErrorCode)
	}
	return p.BaseOffset
}

// onlyPart is the one partition of an answer.
func onlyPart(t testing.TB, resp *kmsg.FetchResponse) *kmsg.FetchResponseTopicPartition {
	t.Helper()
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("code %d, %d topics", resp.ErrorCode, len(resp.Topics))
	}
	return &resp.Topics[0].Partitions[0]
}

// TestFetchPartitionTwice: of a partition that is named twice the last counts, in
// the place of the first, and is answered once; a session has it once.
func TestFetchPartitionTwice(t *testing.T) {
	b := run(t, nil)
	ids := map[string][16]byte{"t": makeTopic(t, b, "t", 2, nil), "u": makeTopic(t, b, "u", 1, nil)}
	w := dial(t, b)
	for range 4 {
		produceTo(t, w, "t", batchOf(t, compress.None, 1))
	}
	for v := int16(4); v <= fetchAPI.max; v++ {
		for _, epoch := range []int32{-1, 0} {
			if epoch == 0 && v < 7 {
				continue
			}
			req := fetchOf(v, "t", ids["t"], 0)
			req.SessionEpoch = epoch
			top, part := req.Topics[0], req.Topics[0].Partitions[0]
			other, again, behind := part, part, part
			other.Partition, again.FetchOffset, behind.FetchOffset = 1, 2, 3
			top.Partitions = []kmsg.FetchRequestTopicPartition{part, other, again}
			u := kmsg.NewFetchRequestTopic()
			u.Topic, u.TopicID, u.Partitions = "u", ids["u"], []kmsg.FetchRequestTopicPartition{part}
			last := top
			last.Partitions = []kmsg.FetchRequestTopicPartition{behind}
			req.Topics = []kmsg.FetchRequestTopic{top, u, last}
			resp := ask[*kmsg.FetchResponse](w, req)
			if len(resp.Topics) != 2 || len(resp.Topics[0].Partitions) != 2 || len(resp.Topics[1].Partitions) != 1 {
				t.Fatalf("v%d: %+v, want t of two partitions, then u of one", v, resp.Topics)
			}
			if p := resp.Topics[0].Partitions[0]; p.Partition != 0 || len(p.RecordBatches) < 8 || p.RecordBatches[7] != 3 {
				t.Errorf("v%d: partition %d: % x, want the batch at offset 3", v, p.Partition, p.RecordBatches[:min(8, len(p.RecordBatches))])
			}
			if epoch < 0 {
				continue
			}
			next := fetchOf(v, "t", ids["t"], 0)
			next.Topics, next.SessionID, next.SessionEpoch = nil, resp.SessionID, 1
			if p := onlyPart(t, ask[*kmsg.FetchResponse](w, next)); len(p.RecordBatches) < 8 || p.RecordBatches[7] != 3 {
				t.Errorf("v%d: the session reads elsewhere: %+v", v, p)
			}
		}
	}
}

// TestLongPoll: a fetch at the end waits, and is answered by a record, by the
// topic's deletion or by its time.
func TestLongPoll(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w, p := dial(t, b), dial(t, b)

	req := fetchOf(12, "t", [16]byte{}, 0)
	req.MaxWaitMillis = 20000
	id := w.send(req)
	parked(t, b, 1)
	produceTo(t, p, "t", batchOf(t, compress.None, 2))
	part := onlyPart(t, w.answer(req, id).(*kmsg.FetchResponse))
	if part.ErrorCode != 0 || part.HighWatermark != 2 || len(part.RecordBatches) == 0 {
		t.Errorf("woken: code %d, high watermark %d, %d bytes", part.ErrorCode, part.HighWatermark, len(part.RecordBatches))
	}

	req.Topics[0].Partitions[0].FetchOffset = 2
	req.MaxWaitMillis = 50
	before := time.Now()
	part = onlyPart(t, ask[*kmsg.FetchResponse](w, req))
	if took := time.Since(before); took < 45*time.Millisecond || len(part.RecordBatches) != 0 || part.HighWatermark != 2 {
		t.Errorf("expired after %v with %d bytes, high watermark %d", took, len(part.RecordBatches), part.HighWatermark)
	}

	// Two bytes are not enough for min_bytes; a third batch is.
	batch := batchOf(t, compress.None, 2)
	req.MaxWaitMillis, req.MinBytes = 20000, int32(2*len(batch))
	id = w.send(req)
	parked(t, b, 1)
	produceTo(t, p, "t", batchOf(t, compress.None, 2))
	produceTo(t, p, "t", batchOf(t, compress.None, 2))
	if part = onlyPart(t, w.answer(req, id).(*kmsg.FetchResponse)); len(part.RecordBatches) != 2*len(batch) {
		t.Errorf("min_bytes %d: %d bytes", req.MinBytes, len(part.RecordBatches))
	}

	req.Topics[0].Partitions[0].FetchOffset = 6
	id = w.send(req)
	parked(t, b, 1)
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames, del.TimeoutMillis = 3, []string{"t"}, 60_000
	if resp := ask[*kmsg.DeleteTopicsResponse](p, del); resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("delete: %d", resp.Topics[0].ErrorCode)
	}
	if part = onlyPart(t, w.answer(req, id).(*kmsg.FetchResponse)); part.ErrorCode != errUnknownTopicOrPartition {
		t.Errorf("after the delete: %d", part.ErrorCode)
	}
}

// TestFetchWaitsBesideMissing: a partition that is not there, or may not be read, is
// told with the answer and does not bring it, as in Kafka; what became unreadable
// while the fetch waited does, and so does one that has nothing to wait for.
func TestFetchWaitsBesideMissing(t *testing.T) {
	b := run(t, func(o *Options) {
		o.Static = map[string]string{"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "allow.everyone.if.no.acl.found": "true"}
	})
	for _, name := range []string{"t", "other", "secret"} {
		makeTopic(t, b, name, 1, nil)
	}
	w, p := dial(t, b), dial(t, b)
	denied := kmsg.NewCreateACLsRequestCreation()
	denied.ResourceType, denied.ResourceName, denied.ResourcePatternType = kmsg.ACLResourceTypeTopic, "secret", kmsg.ACLResourcePatternTypeLiteral
	denied.Principal, denied.Host, denied.Operation, denied.PermissionType = "User:*", "*", kmsg.ACLOperationRead, kmsg.ACLPermissionTypeDeny
	if resp := ask[*kmsg.CreateACLsResponse](p, &kmsg.CreateACLsRequest{Version: 3, Creations: []kmsg.CreateACLsRequestCreation{denied}}); resp.Results[0].ErrorCode != 0 {
		t.Fatalf("the ACL: %d", resp.Results[0].ErrorCode)
	}
	names := []string{"t", "nowhere", "secret"}
	codes := func(resp *kmsg.FetchResponse) (list []errCode) {
		for _, topic := range resp.Topics {
			list = append(list, topic.Partitions[0].ErrorCode)
		}
		return list
	}
	of := func(names ...string) *kmsg.FetchRequest {
		req := fetchOf(12, names[0], [16]byte{}, 0)
		req.MaxWaitMillis = 20000
		for _, name := range names[1:] {
			req.Topics = append(req.Topics, fetchOf(12, name, [16]byte{}, 0).Topics...)
		}
		return req
	}
	req := of(names...)
	id := w.send(req)
	parked(t, b, 1)
	produceTo(t, p, "t", batchOf(t, compress.None, 1))
	if got := codes(w.answer(req, id).(*kmsg.FetchResponse)); !slices.Equal(got, []errCode{0, errUnknownTopicOrPartition, errTopicAuthorization}) {
		t.Errorf("with records: %v", got)
	}
	// Nothing to wait for.
	before := time.Now()
	if got := codes(ask[*kmsg.FetchResponse](w, of("nowhere", "secret"))); !slices.Equal(got, []errCode{errUnknownTopicOrPartition, errTopicAuthorization}) {
		t.Errorf("without one that can be read: %v", got)
	}
	if took := time.Since(before); took > 10*time.Second {
		t.Errorf("it waited %v for nothing", took)
	}
	// An error of the log is told at once.
	req = of("other", "t", "nowhere")
	req.Topics[1].Partitions[0].FetchOffset = 99
	if got := codes(ask[*kmsg.FetchResponse](w, req)); !slices.Equal(got, []errCode{0, errOffsetOutOfRange, errUnknownTopicOrPartition}) {
		t.Errorf("with an offset out of range: %v", got)
	}
	// A topic that goes meanwhile ends the wait for the others.
	req = of("other", "t", "nowhere")
	req.Topics[1].Partitions[0].FetchOffset = 1
	id = w.send(req)
	parked(t, b, 2)
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames, del.TimeoutMillis = 3, []string{"t"}, 60_000
	if resp := ask[*kmsg.DeleteTopicsResponse](p, del); resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("delete: %d", resp.Topics[0].ErrorCode)
	}
	if got := codes(w.answer(req, id).(*kmsg.FetchResponse)); !slices.Equal(got, []errCode{0, errUnknownTopicOrPartition, errUnknownTopicOrPartition}) {
		t.Errorf("after the delete: %v", got)
	}
}

// parked waits until so many fetches are parked.
func parked(t testing.TB, b *Broker, n int32) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d fetches wait", n), func() bool {
		var got int32
		for _, top := range b.topics.all() {
			for _, p := range *top.parts.Load() {
				got += p.waiters.n.Load()
			}
		}
		return got == n
	})
}

// TestParkedFetchOfClosedConnection: nothing waits for a connection that is gone.
func TestParkedFetchOfClosedConnection(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	for range 50 {
		w := dial(t, b)
		req := fetchOf(12, "t", [16]byte{}, 0)
		req.MaxWaitMillis = 60000
		w.send(req)
		parked(t, b, 1)
		if err := w.conn.Close(); err != nil {
			t.Fatal(err)
		}
		parked(t, b, 0)
	}
}

// TestFetchErrors is what each wrong partition is answered with.
func TestFetchErrors(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	produceTo(t, w, "t", batchOf(t, compress.None, 3))
	for _, c := range []struct {
		name    string
		version int16
		change  func(*kmsg.FetchRequestTopic)
		want    int16
	}{
		{"good", 12, func(*kmsg.FetchRequestTopic) {}, 0},
		{"at the end", 12, func(r *kmsg.FetchRequestTopic) { r.Partitions[0].FetchOffset = 3 }, 0},
		{"beyond the end", 12, func(r *kmsg.FetchRequestTopic) { r.Partitions[0].FetchOffset = 4 }, errOffsetOutOfRange},
		{"negative", 12, func(r *kmsg.FetchRequestTopic) { r.Partitions[0].FetchOffset = -1 }, errOffsetOutOfRange},
		{"no topic", 12, func(r *kmsg.FetchRequestTopic) { r.Topic = "absent" }, errUnknownTopicOrPartition},
		{"no partition", 12, func(r *kmsg.FetchRequestTopic) { r.Partitions[0].Partition = 1 }, errUnknownTopicOrPartition},
		{"by id", 13, func(*kmsg.FetchRequestTopic) {}, 0},
		{"no id", 13, func(r *kmsg.FetchRequestTopic) { r.TopicID = [16]byte{9} }, errUnknownTopicID},
		{"newer epoch", 12, func(r *kmsg.FetchRequestTopic) { r.Partitions[0].CurrentLeaderEpoch = 99 }, errUnknownLeaderEpoch},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := fetchOf(c.version, "t", id, 0)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = -1
			c.change(&req.Topics[0])
			if part := onlyPart(t, ask[*kmsg.FetchResponse](dial(t, b), req)); part.ErrorCode != c.want {
				t.Errorf("code %d, want %d", part.ErrorCode, c.want)
			}
		})
	}
}

// TestFetchLimits: at least one batch, and no more than was asked for after it.
func TestFetchLimits(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "a", 2, nil)
	w := dial(t, b)
	batch := batchOf(t, compress.None, 10)
	for range 5 {
		for p := range int32(2) {
			req := produceOf(9, "a", [16]byte{}, -1, append([]byte(nil), batch...))
			req.Topics[0].Partitions[0].Partition = p
			if resp := ask[*kmsg.ProduceResponse](w, req); resp.Topics[0].Partitions[0].ErrorCode != 0 {
				t.Fatal(resp.Topics[0].Partitions[0].ErrorCode)
			}
		}
	}
	for _, c := range []struct {
		name          string
		max, perPart  int32
		first, second int
	}{
		{"everything", 1 << 20, 1 << 20, 5, 5},
		{"one byte in all", 1, 1 << 20, 1, 0},
		{"one byte each", 1 << 20, 1, 1, 0},
		{"two and a half each", 1 << 20, int32(len(batch) * 5 / 2), 2, 2},
		{"seven in all", int32(len(batch) * 7), 1 << 20, 5, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := fetchOf(12, "a", [16]byte{}, 0)
			req.MaxBytes = c.max
			req.Topics[0].Partitions[0].PartitionMaxBytes = c.perPart
			second := req.Topics[0].Partitions[0]
			second.Partition = 1
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, second)
			resp := ask[*kmsg.FetchResponse](dial(t, b), req)
			for i, want := range []int{c.first, c.second} {
				got := resp.Topics[0].Partitions[i].RecordBatches
				if len(got) != want*len(batch) {
					t.Errorf("partition %d: %d bytes, want %d batches of %d", i, len(got), want, len(batch))
				}
			}
		})
	}
}

// TestSessionsOverWire walks through a session's life (KIP-227).
func TestSessionsOverWire(t *testing.T) {
	b := run(t, nil)
	for _, topic := range []string{"a", "b", "c"} {
		makeTopic(t, b, topic, 1, nil)
	}
	w := dial(t, b)
	full := fetchOf(12, "a", [16]byte{}, 0)
	full.SessionEpoch = 0
	for _, topic := range []string{"b", "c"} {
		full.Topics = append(full.Topics, fetchOf(12, topic, [16]byte{}, 0).Topics[0])
	}
	resp := ask[*kmsg.FetchResponse](w, full)
	if resp.SessionID == 0 || len(resp.Topics) != 3 {
		t.Fatalf("session %d, %d topics", resp.SessionID, len(resp.Topics))
	}
	next := func(epoch int32, topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
		req := fetchOf(12, "", [16]byte{}, 0)
		req.SessionID, req.SessionEpoch, req.Topics = resp.SessionID, epoch, topics
		return req
	}
	names := func(r *kmsg.FetchResponse) (s string) {
		for _, t := range r.Topics {
			s += t.Topic
		}
		return s
	}
	// Nothing is new: an empty answer.
	if got := ask[*kmsg.FetchResponse](w, next(1)); got.ErrorCode != 0 || len(got.Topics) != 0 || got.SessionID != resp.SessionID {
		t.Fatalf("epoch 1: code %d, topics %q", got.ErrorCode, names(got))
	}
	produceTo(t, w, "b", batchOf(t, compress.None, 2))
	if got := ask[*kmsg.FetchResponse](w, next(2)); names(got) != "b" {
		t.Fatalf("epoch 2: topics %q", names(got))
	}
	// b returned data, so a and c come first now.
	for _, topic := range []string{"a", "c"} {
		produceTo(t, w, topic, batchOf(t, compress.None, 2))
	}
	if got := ask[*kmsg.FetchResponse](w, next(3)); names(got) != "acb" {
		t.Fatalf("epoch 3: topics %q, want acb", names(got))
	}
	// Forget a, move c on.
	req := next(4, fetchOf(12, "c", [16]byte{}, 2).Topics...)
	forgotten := kmsg.NewFetchRequestForgottenTopic()
	forgotten.Topic, forgotten.Partitions = "a", []int32{0}
	req.ForgottenTopics = append(req.ForgottenTopics, forgotten)
	if got := ask[*kmsg.FetchResponse](w, req); names(got) != "b" {
		t.Fatalf("epoch 4: topics %q, want b", names(got))
	}
	// Errors: a wrong epoch, an unknown session, ids in a session of names.
	if got := ask[*kmsg.FetchResponse](w, next(4)); got.ErrorCode != errFetchSessionEpoch {
		t.Errorf("an old epoch: %d", got.ErrorCode)
	}
	bad := next(5)
	bad.SessionID++
	if got := ask[*kmsg.FetchResponse](w, bad); got.ErrorCode != errFetchSessionNotFound {
		t.Errorf("an unknown session: %d", got.ErrorCode)
	}
	bad = next(5)
	bad.Version = 13
	if got := ask[*kmsg.FetchResponse](w, bad); got.ErrorCode != errFetchSessionTopicID {
		t.Errorf("ids in a session of names: %d", got.ErrorCode)
	}
	// The epoch did not move by errors; -1 closes the session.
	if got := ask[*kmsg.FetchResponse](w, next(5)); got.ErrorCode != 0 {
		t.Errorf("epoch 5: %d", got.ErrorCode)
	}
	if got := ask[*kmsg.FetchResponse](w, next(-1)); got.ErrorCode != 0 || got.SessionID != 0 {
		t.Errorf("close: %d, session %d", got.ErrorCode, got.SessionID)
	}
	if got := ask[*kmsg.FetchResponse](w, next(6)); got.ErrorCode != errFetchSessionNotFound {
		t.Errorf("after the close: %d", got.ErrorCode)
	}
	if n, parts, _ := b.sessions.size(); n != 0 || parts != 0 {
		t.Errorf("%d sessions with %d partitions are left", n, parts)
	}
}

// TestSessionLimit: with the cache full a fetch has no session and works.
func TestSessionLimit(t *testing.T) {
	b := run(t, func(o *Options) { o.Limits = map[string]int64{limitFetchSessions: 2} })
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	produceTo(t, w, "t", batchOf(t, compress.None, 2))
	for i := range 4 {
		req := fetchOf(12, "t", [16]byte{}, 0)
		req.SessionEpoch = 0
		resp := ask[*kmsg.FetchResponse](w, req)
		if (resp.SessionID != 0) != (i < 2) || len(onlyPart(t, resp).RecordBatches) == 0 {
			t.Errorf("fetch %d: session %d", i, resp.SessionID)
		}
	}
}

// TestBatchInTheMiddle: a fetch within a batch gets the whole batch.
func TestBatchInTheMiddle(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	produceTo(t, w, "t", batchOf(t, compress.Zstd, 10))
	part := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(12, "t", [16]byte{}, 5)))
	if got := record.Batch(part.RecordBatches); len(got) == 0 || got.BaseOffset() != 0 || got.LastOffset() != 9 {
		t.Fatalf("%d bytes", len(got))
	}
}

package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func fake(t *testing.T) Target {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Target{Bootstrap: c.ListenAddrs()[0], AckRule: "in memory"}
}

// TestProduceVerified runs the load tools against a fake that loses nothing.
func TestProduceVerified(t *testing.T) {
	target := fake(t)
	r, err := Produce(t.Context(), target, Load{Topic: "t", Records: 5000, Producers: 3, RecordSize: 100, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Records != 5000 || r.Verified == nil || r.Verified.Bad() || r.Verified.Acked != 5000 || r.Verified.Read != 5000 {
		t.Fatalf("got %+v, %+v", r, r.Verified)
	}
	raw, err := Produce(t.Context(), target, Load{Topic: "raw", Records: 1000, Producers: 2, InFlight: 4, RecordSize: 100, Raw: true, RawBatch: 10})
	if err != nil {
		t.Fatal(err)
	}
	if raw.Records != 1000 || raw.Errors != 0 || raw.Latency.Count != 100 {
		t.Fatalf("got %+v", raw)
	}
	consumed, err := Consume(t.Context(), target, Read{Topic: "raw", Consumers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if consumed.Records != 1000 || consumed.Bytes != 100_000 {
		t.Fatalf("consumed %+v", consumed)
	}
	heads, err := Consume(t.Context(), target, Read{Topic: "raw", Consumers: 2, Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	if heads.Records != 1000 || heads.Bytes <= 100_000 {
		t.Fatalf("consumed by heads %+v", heads)
	}
	for _, raw := range []bool{false, true} {
		again, err := Consume(t.Context(), target, Read{Topic: "raw", Raw: raw, Duration: 200 * time.Millisecond})
		if err != nil || again.Records < 2000 || again.Records%1000 != 0 || again.Seconds < 0.2 {
			t.Fatalf("consumed again and again, raw %v: %+v, %v", raw, again, err)
		}
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "acknowledges: in memory") {
		t.Fatalf("the ack rule is not beside the figures (%v):\n%s", err, text.String())
	}
}

// TestRawVerified has the kmsg client write and follow records that say who they
// are, more than one to a batch, on fewer and on more partitions than clients.
func TestRawVerified(t *testing.T) {
	target := fake(t)
	for _, l := range []Load{
		{Topic: "few", Partitions: 2, Producers: 3, RawBatch: 1},
		{Topic: "many", Partitions: 5, Producers: 2, RawBatch: 4, InFlight: 3},
	} {
		l.Raw, l.Verify, l.Records, l.RecordSize = true, true, 1200, 100
		r, err := Produce(t.Context(), target, l)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Verification{Read: 1200, Acked: 1200}); r.Verified == nil || *r.Verified != want {
			t.Errorf("%s: produced: %+v", l.Topic, r.Verified)
		}
		r, err = EndToEnd(t.Context(), target, l)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Verification{Read: 1200, Acked: 1200}); r.Verified == nil || *r.Verified != want || r.EndToEnd.Count != 1200 {
			t.Errorf("%s: end to end: %+v, %+v", l.Topic, r.Verified, r.EndToEnd)
		}
	}
}

// TestCutBatch cuts batches at every length, and refuses what the raw client
// cannot read.
func TestCutBatch(t *testing.T) {
	raw, at := encodeBatch(rand.New(rand.NewPCG(1, 2)), 3, 40, 1000)
	binary.BigEndian.PutUint64(raw, 17)
	for n := range raw {
		if b, cut, err := cutBatch(raw[:n]); b != nil || cut != 0 || err != nil {
			t.Fatalf("%d of %d bytes: %d, %v", n, len(raw), cut, err)
		}
	}
	b, n, err := cutBatch(append(slices.Clone(raw), raw...))
	if err != nil || n != len(raw) || b.first() != 17 || b.next() != 20 || b.records() != 3 {
		t.Fatalf("%d bytes, offsets %d to %d, %d records, %v", n, b.first(), b.next(), b.records(), err)
	}
	var values [][]byte
	if err := b.values(func(v []byte) { values = append(values, slices.Clone(v)) }); err != nil || len(values) != 3 ||
		!bytes.Equal(values[2], raw[at[2]:at[2]+40]) {
		t.Fatalf("%d values, %v", len(values), err)
	}
	change := func(at int, to byte) []byte {
		c := slices.Clone(raw)
		c[at] = to
		return c
	}
	if _, _, err := cutBatch(change(16, 1)); err == nil {
		t.Error("format 1 was read")
	}
	if _, _, err := cutBatch(change(8, 0xff)); err == nil {
		t.Error("a batch of less than nothing was read")
	}
	if b, _, err := cutBatch(change(22, 1<<5)); err != nil || b.records() != 0 {
		t.Errorf("a marker counts as %d records, %v", b.records(), err)
	}
	if b, _, _ := cutBatch(change(22, 4)); b.values(func([]byte) {}) == nil {
		t.Error("a compressed batch was read")
	}
	if b, _, _ := cutBatch(change(61, 0xfe)); b.values(func([]byte) {}) == nil {
		t.Error("a record beyond its batch was read")
	}
}

// TestConnections opens connections to the fake.
func TestConnections(t *testing.T) {
	target := fake(t)
	r, err := Connections(t.Context(), target, 50, 8, 0)
	if err != nil || r.Records != 50 {
		t.Fatalf("got %+v, %v", r, err)
	}
	first, steady, err := Partitions(t.Context(), target, "parts", 20, 3, 2, 10)
	if err != nil || first.Records != 20 || steady.Records != 40 {
		t.Fatalf("got %+v, %+v, %v", first, steady, err)
	}
}

// TestIdleGroupsForgotten has the broker forget a member between its two joins,
// as Kafka's expiry does.
func TestIdleGroupsForgotten(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{
		"group.initial.rebalance.delay.ms": "0", "group.max.session.timeout.ms": "1800000"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var mu sync.Mutex
	forgotten := map[string]bool{} // mu; ids that the broker will never know
	c.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		req := r.(*kmsg.JoinGroupRequest)
		if req.MemberID == "" || len(forgotten) == 3 && !forgotten[req.MemberID] {
			return nil, nil, false
		}
		forgotten[req.MemberID] = true
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.MemberID, resp.ErrorCode = req.MemberID, int16(unknownMemberID)
		return resp, nil, true
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := IdleGroups(ctx, Target{Bootstrap: c.ListenAddrs()[0]}, "idle", 10, 2)
	if err != nil || r.Records != 10 || len(forgotten) != 3 {
		t.Fatalf("got %+v, %v; %d members were forgotten", r, err, len(forgotten))
	}
}

// TestCommits has each group commit one offset after another, and every answer counted.
func TestCommits(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var mu sync.Mutex
	committed := map[string]int64{} // mu
	c.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		req := r.(*kmsg.OffsetCommitRequest)
		if got := req.Topics[0].Partitions[0]; req.Topics[0].Topic != "t" || req.Generation != -1 || got.Metadata != nil ||
			got.LeaderEpoch != -1 || got.Offset != committed[req.Group]+1 {
			t.Errorf("after offset %d: %+v", committed[req.Group], req)
		}
		committed[req.Group]++
		return nil, nil, false
	})
	r, err := Commits(t.Context(), Target{Bootstrap: c.ListenAddrs()[0]}, "t", 3, 0, 100*time.Millisecond)
	if err != nil || r.Errors != 0 || r.Records == 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if total := committed["bench-commits-0"] + committed["bench-commits-1"] + committed["bench-commits-2"]; len(committed) != 3 || total < r.Records {
		t.Fatalf("%d answers were counted; the broker saw %v", r.Records, committed)
	}
}

// TestLedger breaks each promise once and sees it found.
func TestLedger(t *testing.T) {
	value := func(producer uint32, sequence uint64) []byte {
		v := make([]byte, 40)
		stamp(v, producer, sequence, 1)
		return v
	}
	for _, c := range []struct {
		name string
		read [][2]uint64 // partition, sequence
		want Verification
	}{
		{"all there", [][2]uint64{{0, 0}, {0, 1}, {0, 2}}, Verification{Read: 3, Acked: 3}},
		{"lost", [][2]uint64{{0, 0}, {0, 2}}, Verification{Read: 2, Acked: 3, Lost: 1}},
		{"twice", [][2]uint64{{0, 0}, {0, 1}, {0, 1}, {0, 2}}, Verification{Read: 4, Acked: 3, Duplicated: 1}},
		{"out of order", [][2]uint64{{0, 1}, {0, 0}, {0, 2}}, Verification{Read: 3, Acked: 3, Reordered: 1}},
		{"other partitions have no order", [][2]uint64{{0, 1}, {1, 0}, {0, 2}}, Verification{Read: 3, Acked: 3}},
		{"never acknowledged", [][2]uint64{{0, 0}, {0, 1}, {0, 2}, {0, 3}}, Verification{Read: 4, Acked: 3, Unacked: 1}},
	} {
		l := newLedger(1)
		for s := range uint64(3) {
			l.ack(0, s)
		}
		for _, r := range c.read {
			l.see(int32(r[0]), value(0, r[1]))
		}
		if got := *l.verdict(); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	l := newLedger(1)
	damaged := value(0, 0)
	damaged[30] ^= 1
	l.see(0, damaged)
	if l.verdict().Damaged != 1 {
		t.Error("a flipped bit was not found")
	}
}

// TestPace holds that an open loop counts from when a record was due, however
// late it is sent.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := newPace(10, start)
		for i := range 3 {
			due, ok := p.next(context.Background())
			if want := start.Add(time.Duration(i) * 100 * time.Millisecond); !ok || !due.Equal(want) || time.Now().Before(want) {
				t.Fatalf("record %d was due at %s, want %s", i, due, want)
			}
		}
		<-time.After(time.Second) // the client stalls for ten records
		for i := 3; i < 12; i++ {
			due, _ := p.next(context.Background())
			if want := start.Add(time.Duration(i) * 100 * time.Millisecond); !due.Equal(want) || !time.Now().After(due) {
				t.Fatalf("after the stall record %d was due at %s, want %s", i, due, want)
			}
		}
	})
}

// TestBatch decodes what encodeBatch makes with kmsg.
func TestBatch(t *testing.T) {
	raw, _ := encodeBatch(rand.New(rand.NewPCG(1, 2)), 7, 300, 1000)
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		t.Fatal(err)
	}
	if int(b.Length)+12 != len(raw) || b.NumRecords != 7 || b.LastOffsetDelta != 6 {
		t.Fatalf("got %+v", b)
	}
	if got := crc32.Checksum(raw[21:], castagnoli); got != binary.BigEndian.Uint32(raw[17:]) {
		t.Fatal("the checksum does not fit")
	}
	rest := b.Records
	for i := range 7 {
		length, n := binary.Varint(rest)
		var r kmsg.Record
		if err := r.ReadFrom(rest[:n+int(length)]); err != nil {
			t.Fatal(err)
		}
		if r.OffsetDelta != int32(i) || len(r.Value) != 300 {
			t.Fatalf("record %d: %+v", i, r)
		}
		rest = rest[n+int(length):]
	}
	if len(rest) != 0 {
		t.Fatalf("%d bytes are left over", len(rest))
	}
}

// TestRefusals holds that a load that cannot be meant is refused by name.
func TestRefusals(t *testing.T) {
	for want, l := range map[string]Load{
		"no topic":             {},
		"acks is 5":            {Topic: "t", Acks: 5},
		"codecs are none":      {Topic: "t", Codec: "lzma"},
		"keys are none":        {Topic: "t", Keys: "prime"},
		"the raw client sends": {Topic: "t", Raw: true, Idempotent: true},
		"at least 24 bytes":    {Topic: "t", Verify: true, RecordSize: 10},
	} {
		if err := l.withDefaults().check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", l, err, want)
		}
	}
}

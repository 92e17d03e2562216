package broker

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
)

// goal is what a broker for clients old and new serves: the union of Kafka 3.9
// and 4.3, by key, but for share and streams groups and what only brokers and
// controllers say to each other.
var goal = map[int16][2]int16{
	0: {0, 13}, 1: {0, 18}, 2: {0, 11}, 3: {0, 13}, 8: {0, 10}, 9: {0, 10}, 10: {0, 6}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5},
	14: {0, 5}, 15: {0, 6}, 16: {0, 5}, 17: {0, 1}, 18: {0, 4}, 19: {0, 7}, 20: {0, 6}, 21: {0, 2}, 22: {0, 5}, 23: {0, 4},
	24: {0, 5}, 25: {0, 4}, 26: {0, 5}, 27: {0, 2}, 28: {0, 5}, 29: {0, 3}, 30: {0, 3}, 31: {0, 3}, 32: {0, 4}, 33: {0, 2},
	34: {0, 2}, 35: {0, 5}, 36: {0, 2}, 37: {0, 3}, 38: {0, 3}, 39: {0, 2}, 40: {0, 2}, 41: {0, 3}, 42: {0, 2}, 43: {0, 2},
	44: {0, 1}, 45: {0, 1}, 46: {0, 0}, 47: {0, 0}, 48: {0, 1}, 49: {0, 1}, 50: {0, 0}, 51: {0, 0}, 55: {0, 2}, 57: {0, 2},
	60: {0, 2}, 61: {0, 0}, 64: {0, 0}, 65: {0, 0}, 66: {0, 2}, 68: {0, 1}, 69: {0, 1}, 71: {0, 0}, 72: {0, 0}, 74: {0, 1},
	75: {0, 0}, 80: {0, 1}, 81: {0, 0},
}

// TestGoal holds the registry against the goal.
func TestGoal(t *testing.T) {
	for key, want := range goal {
		a := newRegistry(table).find(key)
		if a == nil {
			t.Errorf("key %d (%s) is not served", key, kmsg.NameForKey(key))
			continue
		}
		if a.min != want[0] || a.max != want[1] {
			t.Errorf("%s is served from %d to %d, want %d to %d", a.name, a.min, a.max, want[0], want[1])
		}
	}
	for _, a := range table {
		if _, ok := goal[a.key]; !ok {
			t.Errorf("%s (key %d) is served and is not in the goal", a.name, a.key)
		}
	}
}

// minimal is a small valid request of a key and version: each list has one
// element and names are names.
func minimal(t testing.TB, key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	if d, ok := req.(interface{ Default() }); ok {
		d.Default()
	}
	unique := fmt.Sprintf("%s-%d", strings.ToLower(kmsg.NameForKey(key)), version)
	fillOne(reflect.ValueOf(req).Elem(), unique)
	req.SetVersion(version)
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		r.Acks, r.TransactionID = 1, nil
		r.Topics[0].Partitions[0].Records = batchOf(t, compress.None, 1)
		if version < firstBatchVersion {
			r.Topics[0].Partitions[0].Records = setOf(t, int8(version/2), compress.None, 1)
		}
	case *kmsg.FetchRequest:
		r.MaxWaitMillis, r.MaxBytes, r.SessionEpoch = 0, 1<<20, -1
		r.Topics[0].Partitions[0].PartitionMaxBytes = 1 << 20
	case *kmsg.JoinGroupRequest:
		r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.MemberID, r.InstanceID = 6000, 6000, "", nil
	case *kmsg.CreateTopicsRequest:
		r.Topics[0].Topic, r.Topics[0].ReplicaAssignment, r.Topics[0].Configs = unique, nil, nil
		r.Topics[0].NumPartitions, r.Topics[0].ReplicationFactor = 1, 1
	case *kmsg.DeleteTopicsRequest:
		r.TopicNames = []string{"createtopics-" + strconv.Itoa(int(version))}
		for i := range r.Topics {
			r.Topics[i].Topic = &r.TopicNames[0]
		}
	}
	return req
}

// fillOne puts one element into every list and a name into every string.
func fillOne(v reflect.Value, unique string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			switch {
			case name == "UnknownTags" || name == "Version":
			case name == "Topic" && v.Field(i).Kind() == reflect.String:
				v.Field(i).SetString("t")
			default:
				fillOne(v.Field(i), unique)
			}
		}
	case reflect.Slice:
		switch v.Type().Elem().Kind() {
		case reflect.Uint8:
			v.SetBytes([]byte{})
		default:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			e := v.Index(0)
			if e.CanAddr() {
				if d, ok := e.Addr().Interface().(interface{ Default() }); ok {
					d.Default()
				}
			}
			fillOne(e, unique)
		}
	case reflect.String:
		if v.String() == "" {
			v.SetString(unique)
		}
	}
}

// conforming is a broker for the requests of this file.
func conforming(t testing.TB) *Broker {
	b := run(t, func(o *Options) {
		o.Static = map[string]string{"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "2", "transaction.state.log.num.partitions": "2"}
		o.Limits = map[string]int64{limitCreate: 8, limitPartitions: 400}
	})
	makeTopic(t, b, "t", 1, nil)
	return b
}

// TestConformance asks every advertised version of every API and prints the
// table of what was asked: the answer has the request's correlation id, decodes
// in that version, and encodes again to the same bytes.
func TestConformance(t *testing.T) {
	b := conforming(t)
	var rows []string
	tried := map[[2]int16]bool{}
	for _, a := range table {
		for version := a.advertised; version <= a.max; version++ {
			req := minimal(t, a.key, version)
			w := dial(t, b)
			if err := w.conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
				t.Fatal(err)
			}
			const correlation = 0x01020304
			w.write(frame(req, correlation))
			verdict := "decodes, same bytes"
			body, err := w.read()
			if err == nil {
				err = sameBytes(req, body, correlation)
			}
			if err != nil {
				t.Errorf("%s v%d: %v", a.name, version, err)
				verdict = "FAILED"
			}
			tried[[2]int16{a.key, version}] = true
			rows = append(rows, fmt.Sprintf("%3d %-28s v%-2d %s", a.key, a.name, version, verdict))
			_ = w.conn.Close() // nothing is to be read any more
		}
	}
	untried(t, b, tried)
	t.Logf("%d versions of %d APIs\n%s", len(rows), len(table), strings.Join(rows, "\n"))
	if n := b.goroutines.panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// untried holds what was tried against what the broker tells its clients.
func untried(t *testing.T, b *Broker, tried map[[2]int16]bool) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = apiVersionsAPI.max, "conformance", "1"
	for _, k := range ask[*kmsg.ApiVersionsResponse](dial(t, b), req).ApiKeys {
		for version := k.MinVersion; version <= k.MaxVersion; version++ {
			if !tried[[2]int16{k.ApiKey, version}] {
				t.Errorf("%s v%d is advertised and was not tried", kmsg.NameForKey(k.ApiKey), version)
			}
		}
	}
}

// sameBytes decodes an answer and encodes it again.
func sameBytes(req kmsg.Request, body []byte, correlation int32) error {
	r := kbin.Reader{Src: body}
	if got := r.Int32(); got != correlation {
		return fmt.Errorf("the correlation id is %#x, want %#x", got, correlation)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		kmsg.SkipTags(&r)
	}
	if err := resp.ReadFrom(r.Src); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, r.Src) {
		return fmt.Errorf("the answer's %d bytes come out as %d:\n%x\n%x", len(r.Src), len(again), r.Src, again)
	}
	return nil
}

// mutations is how many damaged requests are sent of each version.
func mutations() int {
	if n, err := strconv.Atoi(os.Getenv("CHRONIK_MUTATIONS")); err == nil {
		return n
	}
	return 2
}

// mutationHeap is the most that the heap of the test, which is the broker's, may
// hold after any version's damage.
const mutationHeap = 64 << 20

// TestMutations sends seeded damage of every version of every API: the broker
// stays up, nothing panics, others are answered meanwhile, and memory is bounded.
func TestMutations(t *testing.T) {
	runtime.GC() // what the tests before this one left
	b := conforming(t)
	other := dial(t, b)
	n, most := mutations(), uint64(0)
	for _, a := range table {
		for version := a.advertised; version <= a.max; version++ {
			rng := rand.New(rand.NewPCG(uint64(a.key), uint64(version)))
			whole := frame(minimal(t, a.key, version), 1)
			for range n {
				send(t, b, mutate(rng, whole))
			}
			answered(t, other, a.name, version)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if most = max(most, m.HeapInuse); m.HeapInuse > mutationHeap {
				t.Errorf("after damaged %s v%d the heap has %d MiB", a.name, version, m.HeapInuse>>20)
			}
		}
	}
	t.Logf("%d damages of each version; the heap had %d MiB at most", n, most>>20)
	if n := b.goroutines.panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
	alive(t, b)
}

// answered asks for the versions on a connection of its own. Of three answers
// one must come within a second: more would test the machine.
func answered(t *testing.T, w *wire, name string, version int16) {
	t.Helper()
	if err := w.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for range 3 {
		began := time.Now()
		ask[*kmsg.ApiVersionsResponse](w, kmsg.NewPtrApiVersionsRequest())
		if took = append(took, time.Since(began)); took[len(took)-1] < time.Second {
			return
		}
	}
	t.Errorf("beside damaged %s v%d others waited %v", name, version, took)
}

// headerBytes are length, key, version and correlation id, which stay.
const headerBytes = 12

// mutate damages a frame behind its header; the length stays true, so that the
// damage reaches the decoder.
func mutate(rng *rand.Rand, whole []byte) []byte {
	b := slices.Clone(whole)
	for range 1 + rng.IntN(4) {
		if len(b) <= headerBytes {
			break
		}
		at := headerBytes + rng.IntN(len(b)-headerBytes)
		switch rng.IntN(6) {
		case 0:
			b[at] ^= 1 << rng.IntN(8)
		case 1:
			b[at] = byte(rng.Uint32())
		case 2:
			b[at] = []byte{0, 1, 0x7f, 0x80, 0xff}[rng.IntN(5)]
		case 3:
			b = b[:at]
		case 4:
			b = slices.Insert(b, at, byte(rng.Uint32()), byte(rng.Uint32()))
		case 5:
			for i := at; i < min(at+4, len(b)); i++ {
				b[i] = 0xff
			}
		}
	}
	b[0], b[1], b[2], b[3] = byte((len(b)-4)>>24), byte((len(b)-4)>>16), byte((len(b)-4)>>8), byte(len(b)-4)
	return b
}

// send sends a frame and reads until the broker closes, or is silent.
func send(t *testing.T, b *Broker, frame []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatalf("the broker does not accept any more: %v", err)
	}
	defer func() { _ = conn.Close() }() // it may be closed already
	if err := conn.SetDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	// What comes back, if anything, is whatever the damage deserves.
	if _, err := conn.Write(frame); err == nil {
		_, _ = io.CopyN(io.Discard, conn, 4)
	}
}

// TestLongBodies: a body is decoded up to its limit, beside the loop.
func TestLongBodies(t *testing.T) {
	b := run(t, func(o *Options) { o.Limits = map[string]int64{limitDecoded: 1 << 20} })
	w, other := dial(t, b), dial(t, b)
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 4, false
	for i := range 20000 {
		name := fmt.Sprintf("topic-%d", i)
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	}
	id := w.send(req)
	behind := kmsg.NewPtrApiVersionsRequest()
	next := w.send(behind)
	answered(t, other, "Metadata", 4)
	if resp := w.answer(req, id).(*kmsg.MetadataResponse); len(resp.Topics) != 20000 || resp.Topics[19999].ErrorCode != errUnknownTopicOrPartition {
		t.Errorf("%d topics", len(resp.Topics))
	}
	w.answer(behind, next)
	for i := range 80000 {
		name := fmt.Sprintf("more-%d", i)
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	}
	w.send(req)
	w.closed()
	alive(t, b)
}

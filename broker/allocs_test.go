package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/logstore"
)

// exchange sends a prepared frame and reads its answer into buf.
func exchange(tb testing.TB, c net.Conn, req, buf []byte) {
	if _, err := c.Write(req); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf[:4]); err != nil {
		tb.Fatal(err)
	}
	n := binary.BigEndian.Uint32(buf)
	if _, err := io.ReadFull(c, buf[:n]); err != nil {
		tb.Fatal(err)
	}
}

// mallocs is the allocations per exchange of the whole process, which does
// nothing else, in the steady state.
func mallocs(tb testing.TB, c net.Conn, req []byte) float64 {
	buf := make([]byte, 1<<20)
	for range 300 {
		exchange(tb, c, req, buf)
	}
	const n = 2000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range n {
		exchange(tb, c, req, buf)
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / n
}

// TestAllocations holds Produce and Fetch to two allocations a request through
// the whole broker: loop, codec, log, committer, answer.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	produce := frame(produceOf(9, "t", id, -1, batchOf(t, compress.None, 10)), 1)
	if n := mallocs(t, w.conn, produce); n > 2 {
		t.Errorf("a Produce request allocates %.2f times", n)
	} else {
		t.Logf("Produce: %.3f allocations", n)
	}
	for name, req := range map[string]kmsg.Request{"small": fetchOf(12, "t", id, 0), "ids": fetchOf(17, "t", id, 0)} {
		f := req.(*kmsg.FetchRequest)
		f.MaxBytes = 4096
		if n := mallocs(t, w.conn, frame(f, 1)); n > 2 {
			t.Errorf("a Fetch request (%s) allocates %.2f times", name, n)
		} else {
			t.Logf("Fetch (%s): %.3f allocations", name, n)
		}
	}
	session := fetchOf(12, "t", id, 0)
	session.SessionEpoch, session.MaxBytes = 0, 4096
	got := ask[*kmsg.FetchResponse](w, session)
	session.SessionID, session.Topics = got.SessionID, nil
	epoch := int32(0)
	buf := make([]byte, 1<<20)
	next := frame(session, 1)
	// The session's epoch stands 4 bytes behind its id.
	at := len(next)
	for i := range next[:len(next)-4] {
		if binary.BigEndian.Uint32(next[i:]) == uint32(got.SessionID) {
			at = i + 4
		}
	}
	step := func() {
		epoch++
		binary.BigEndian.PutUint32(next[at:], uint32(epoch))
		exchange(t, w.conn, next, buf)
	}
	for range 100 {
		step()
	}
	const n = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		step()
	}
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / n; per > 2 {
		t.Errorf("an incremental Fetch allocates %.2f times", per)
	} else {
		t.Logf("Fetch (session): %.3f allocations", per)
	}
}

// BenchmarkProduce is one record at a time on one connection, durable.
func BenchmarkProduce(b *testing.B) {
	br := run(b, nil)
	id := makeTopic(b, br, "t", 1, nil)
	w := dial(b, br)
	req := frame(produceOf(9, "t", id, -1, batchOf(b, compress.None, 1)), 1)
	buf := make([]byte, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		exchange(b, w.conn, req, buf)
	}
}

// BenchmarkProduceACL is what an authorizer with a thousand rules costs a
// Produce: the same exchange, page cache only, without one and with one. The
// rules are of other topics, prefixes and principals; two decide.
func BenchmarkProduceACL(b *testing.B) {
	for name, class := range map[string]string{"open": "", "acls": cluster.StandardAuthorizer} {
		b.Run(name, func(b *testing.B) {
			br := run(b, func(o *Options) {
				o.Durability = logstore.OS
				o.Static = map[string]string{"authorizer.class.name": class, "allow.everyone.if.no.acl.found": "true"} // the topic is made before the rules
			})
			id := makeTopic(b, br, "t", 1, nil)
			if class != "" {
				var rules []cluster.Record
				add := func(principal, topic string, pattern int8, op auth.Operation) {
					rules = append(rules, cluster.ACLRecord{ACL: cluster.ACL{ResourceType: int8(auth.ResTopic), ResourceName: topic,
						PatternType: pattern, Principal: principal, Host: "*", Operation: int8(op), Permission: auth.PermissionAllow}})
				}
				for i := range 499 {
					add(fmt.Sprint("User:u", i), fmt.Sprint("topic-", i), auth.PatternLiteral, auth.OpWrite)
					add(fmt.Sprint("User:u", i), fmt.Sprint("prefix-", i), auth.PatternPrefixed, auth.OpRead)
				}
				add("User:ANONYMOUS", "t", auth.PatternLiteral, auth.OpWrite)
				add("User:*", "*", auth.PatternLiteral, auth.OpDescribe)
				if err := br.cluster.Commit(b.Context(), func(*cluster.Image) ([]cluster.Record, error) { return rules, nil }); err != nil {
					b.Fatal(err)
				}
			}
			w := dial(b, br)
			req := frame(produceOf(9, "t", id, -1, batchOf(b, compress.None, 1)), 1)
			buf := make([]byte, 1<<20)
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, w.conn, req, buf)
			}
		})
	}
}

// BenchmarkFetch reads 64 KiB at a time.
func BenchmarkFetch(b *testing.B) {
	br := run(b, nil)
	id := makeTopic(b, br, "t", 1, nil)
	w := dial(b, br)
	for range 200 {
		produceTo(b, w, "t", batchOf(b, compress.None, 20))
	}
	f := fetchOf(12, "t", id, 0)
	f.MaxBytes = 64 << 10
	req := frame(f, 1)
	buf := make([]byte, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		exchange(b, w.conn, req, buf)
	}
}

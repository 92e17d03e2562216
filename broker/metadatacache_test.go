package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// partitionsOf asks for all topics or one, and gives the partitions of each.
func partitionsOf(w *wire, version int16, name string) map[string]int {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = version, false
	if name != "" {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	got := map[string]int{}
	for _, t := range ask[*kmsg.MetadataResponse](w, req).Topics {
		if t.ErrorCode == errNone {
			got[*t.Topic] = len(t.Partitions)
		}
	}
	return got
}

// TestMetadataCache: a large answer is told again, byte by byte but for the
// correlation id, and never when it is no longer true.
func TestMetadataCache(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "wide", 300, nil)
	w := dial(t, b)
	expect := func(what string, version int16, name string, want map[string]int, keeps int) {
		t.Helper()
		for range 2 { // made, then told again; read checks the correlation id
			got := partitionsOf(w, version, name)
			if len(got) != len(want) {
				t.Errorf("%s, v%d: %v, want %v", what, version, got, want)
			}
			for topic, n := range want {
				if got[topic] != n {
					t.Errorf("%s, v%d: %v, want %v", what, version, got, want)
				}
			}
		}
		b.metadata.mu.Lock()
		defer b.metadata.mu.Unlock()
		if len(b.metadata.answers) != keeps {
			t.Errorf("%s, v%d: %d answers are kept, want %d", what, version, len(b.metadata.answers), keeps)
		}
	}
	expect("all", 12, "", map[string]int{"wide": 300}, 1)
	expect("another version", 1, "", map[string]int{"wide": 300}, 2)
	expect("by name", 12, "wide", map[string]int{"wide": 300}, 3)
	expect("what is not there", 12, "absent", nil, 3)
	makeTopic(t, b, "second", 1, nil)
	expect("after a creation", 12, "", map[string]int{"wide": 300, "second": 1}, 1)
	expect("by name after a creation", 12, "wide", map[string]int{"wide": 300}, 2)
	adm := kadm.NewClient(client(t, b))
	if _, err := adm.UpdatePartitions(within(t), 400, "wide"); err != nil {
		t.Fatal(err)
	}
	expect("grown", 12, "wide", map[string]int{"wide": 400}, 1)
	if _, err := adm.DeleteTopic(within(t), "second"); err != nil {
		t.Fatal(err)
	}
	expect("after a deletion", 12, "", map[string]int{"wide": 400}, 1)
}

// TestMetadataCacheBound: the cache keeps no more than its limit; the answers
// stay right.
func TestMetadataCacheBound(t *testing.T) {
	const most = 24 << 10
	b := run(t, func(o *Options) { o.Limits = map[string]int64{limitMetadata: most} })
	makeTopic(t, b, "wide", 300, nil)
	makeTopic(t, b, "wider", 2000, nil)
	w := dial(t, b)
	kept := false
	for version := int16(1); version <= 12; version++ {
		for name, n := range map[string]int{"wide": 300, "wider": 2000} {
			if got := partitionsOf(w, version, name)[name]; got != n {
				t.Errorf("v%d tells of %d partitions of %s, not %d", version, got, name, n)
			}
			answers, bytes := b.metadata.size()
			kept = kept || answers > 0
			if bytes > most {
				t.Fatalf("v%d: %d answers of %d bytes are kept; the limit is %d", version, answers, bytes, most)
			}
		}
	}
	if !kept {
		t.Error("no answer was kept")
	}
}

// TestMetadataCacheACL: nobody is told what another may see, nor what he may see
// no longer.
func TestMetadataCacheACL(t *testing.T) {
	b := secured(t, func(o *Options) {
		o.Static["listener.name.sasl_plaintext.plain.sasl.jaas.config"] = auth.PlainLoginModule + ` required user_mallory="pw" user_alice="pw";`
	})
	adm := kadm.NewClient(client(t, b, asAdmin()))
	if _, err := adm.CreateTopics(within(t), 300, 1, nil, "wide"); err != nil {
		t.Fatal(err)
	}
	rule := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Topics("wide").ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:alice").AllowHosts("*").Operations(kadm.OpDescribe)
	}
	if made, err := adm.CreateACLs(within(t), rule()); err != nil || made[0].Err != nil {
		t.Fatal(err, made)
	}
	conns := map[string]*wire{}
	for _, user := range []string{"alice", "mallory"} {
		conns[user] = dial(t, b)
		if resp := conns[user].login(user, "pw"); resp.ErrorCode != errNone {
			t.Fatalf("login: %+v", resp)
		}
	}
	expect := func(what, user string, want int) {
		t.Helper()
		for range 2 {
			if got := partitionsOf(conns[user], 12, "")["wide"]; got != want {
				t.Errorf("%s: %s sees %d partitions, not %d", what, user, got, want)
			}
			if got := partitionsOf(conns[user], 12, "wide")["wide"]; got != want {
				t.Errorf("%s: %s is told of %d partitions, not %d", what, user, got, want)
			}
		}
	}
	expect("allowed", "alice", 300)
	expect("not allowed", "mallory", 0)
	if _, err := adm.DeleteACLs(within(t), rule()); err != nil {
		t.Fatal(err)
	}
	expect("no longer allowed", "alice", 0)
}

// BenchmarkMetadata asks for 10,000 partitions on one connection; "changed" has
// the image change before each question, so that a worker makes each answer.
func BenchmarkMetadata(b *testing.B) {
	for name, changed := range map[string]bool{"kept": false, "changed": true} {
		b.Run(name, func(b *testing.B) {
			br := run(b, func(o *Options) { o.Limits = map[string]int64{limitCreate: 10_000} })
			cl := client(b, br)
			if _, err := kadm.NewClient(cl).CreateTopics(within(b), 1000, 1, nil, "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"); err != nil {
				b.Fatal(err)
			}
			w := dial(b, br)
			req := kmsg.NewPtrMetadataRequest()
			req.Version = 12
			f, buf := frame(req, 1), make([]byte, 4<<20)
			b.ReportAllocs()
			for b.Loop() {
				if changed {
					br.metadata.mu.Lock()
					br.metadata.image = nil
					br.metadata.mu.Unlock()
				}
				exchange(b, w.conn, f, buf)
			}
		})
	}
}

package broker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/chronik-stream/chronik/auth"
)

const adminPassword = "correct-horse-battery"

// secured starts a broker with one SASL_PLAINTEXT listener and the admin user.
func secured(t testing.TB, change func(*Options)) *Broker {
	t.Helper()
	return run(t, func(o *Options) {
		o.Listeners = "SASL_PLAINTEXT://127.0.0.1:0"
		o.AdminUser, o.AdminPassword = "admin", adminPassword
		o.Static = map[string]string{
			"sasl.enabled.mechanisms":                   "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
			"connection.failed.authentication.delay.ms": "10",
		}
		if change != nil {
			change(o)
		}
	})
}

func asAdmin() kgo.Opt {
	return kgo.SASL(scram.Auth{User: "admin", Pass: adminPassword}.AsSha512Mechanism())
}

// audit gives the audit log as it is on disk.
func auditLog(t testing.TB, b *Broker) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.opt.DataDirs[0], "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventually waits for a condition by asking again.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !f() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within a minute", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestMechanisms: every mechanism lets the right password in and tells the
// client of a wrong one.
func TestMechanisms(t *testing.T) {
	b := secured(t, nil)
	mechanisms := map[string]func(user, pass string) sasl.Mechanism{
		"PLAIN":         func(u, p string) sasl.Mechanism { return plain.Auth{User: u, Pass: p}.AsMechanism() },
		"SCRAM-SHA-256": func(u, p string) sasl.Mechanism { return scram.Auth{User: u, Pass: p}.AsSha256Mechanism() },
		"SCRAM-SHA-512": func(u, p string) sasl.Mechanism { return scram.Auth{User: u, Pass: p}.AsSha512Mechanism() },
	}
	for name, m := range mechanisms {
		t.Run(name, func(t *testing.T) {
			adm := kadm.NewClient(client(t, b, kgo.SASL(m("admin", adminPassword))))
			if _, err := adm.BrokerMetadata(within(t)); err != nil {
				t.Fatalf("the right password: %v", err)
			}
			for _, who := range []string{"admin", "nobody"} {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				err := client(t, b, kgo.SASL(m(who, "guess-me-not")), kgo.RequestRetries(0)).Ping(ctx)
				cancel()
				if !errors.Is(err, kerr.SaslAuthenticationFailed) {
					t.Errorf("%s with a wrong password: %v, want SASL_AUTHENTICATION_FAILED", who, err)
				}
			}
		})
	}
	eventually(t, "audit lines of refusals", func() bool {
		log := auditLog(t, b)
		return strings.Count(log, `"kind":"bad_password"`) >= 3 && strings.Count(log, `"kind":"unknown_user"`) >= 3
	})
	if log := auditLog(t, b); strings.Contains(log, adminPassword) || strings.Contains(log, "guess-me-not") {
		t.Error("the audit log holds a password")
	}
}

// TestACLs: a user may do what ACLs allow, from creation to deletion.
func TestACLs(t *testing.T) {
	b := secured(t, nil)
	ctx := within(t)
	adm := kadm.NewClient(client(t, b, asAdmin()))
	if _, err := adm.CreateTopics(ctx, 1, 1, nil, "orders", "other"); err != nil {
		t.Fatal(err)
	}
	pass := kadm.UpsertSCRAM{User: "alice", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "alice-pass"}
	if _, err := adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{pass}); err != nil {
		t.Fatal(err)
	}
	alice := client(t, b, kgo.SASL(plain.Auth{User: "alice", Pass: "alice-pass"}.AsMechanism()), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	produce := func(topic string) error {
		return alice.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr()
	}
	if err := produce("orders"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("before the ACL: %v", err)
	}
	allow := kadm.NewACLs().Topics("orders").ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(kadm.OpWrite).Allow("User:alice").AllowHosts("*")
	if made, err := adm.CreateACLs(ctx, allow); err != nil || made[0].Err != nil {
		t.Fatal(err, made)
	}
	eventually(t, "the ACL", func() bool { return produce("orders") == nil })
	if err := produce("other"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("another topic: %v", err)
	}
	got, err := adm.DescribeACLs(ctx, kadm.NewACLs().AnyResource().ResourcePatternType(kadm.ACLPatternAny).Operations().Allow().Deny().AllowHosts().DenyHosts())
	if err != nil || len(got) != 1 || len(got[0].Described) != 1 || got[0].Described[0].Principal != "User:alice" {
		t.Errorf("described %+v, %v", got, err)
	}
	if gone, err := adm.DeleteACLs(ctx, allow); err != nil || len(gone) != 1 || len(gone[0].Deleted) != 1 {
		t.Errorf("deleted %+v, %v", gone, err)
	}
	if err := produce("orders"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("after the ACL: %v", err)
	}
}

// TestEpochsForBrokers: CLUSTER_ACTION lets OffsetForLeaderEpoch see every topic,
// as Kafka's does.
func TestEpochsForBrokers(t *testing.T) {
	b := secured(t, func(o *Options) {
		o.Static["listener.name.sasl_plaintext.plain.sasl.jaas.config"] = auth.PlainLoginModule + ` required user_peer="pw";`
	})
	adm := kadm.NewClient(client(t, b, asAdmin()))
	if _, err := adm.CreateTopics(within(t), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	w := dial(t, b)
	if resp := w.login("peer", "pw"); resp.ErrorCode != errNone {
		t.Fatalf("%+v", resp)
	}
	code := func() errCode {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Version, req.ReplicaID = 4, -1
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "orders", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
		return ask[*kmsg.OffsetForLeaderEpochResponse](w, req).Topics[0].Partitions[0].ErrorCode
	}
	if got := code(); got != errTopicAuthorization {
		t.Errorf("without an ACL: code %d", got)
	}
	allow := kadm.NewACLs().Clusters().ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpClusterAction).Allow("User:peer").AllowHosts("*")
	if made, err := adm.CreateACLs(within(t), allow); err != nil || made[0].Err != nil {
		t.Fatal(err, made)
	}
	eventually(t, "CLUSTER_ACTION is enough", func() bool { return code() == errNone })
}

package broker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestAuditTopic: lines are records of the topic that the options name, also
// after somebody has deleted it; nobody reads it without an ACL.
func TestAuditTopic(t *testing.T) {
	b := secured(t, func(o *Options) { o.AuditTopic = "audits" })
	adm := kadm.NewClient(client(t, b, asAdmin()))
	if _, err := adm.CreateTopics(within(t), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	reads := func(want ...string) {
		t.Helper()
		cl := client(t, b, asAdmin(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"audits": {0: kgo.NewOffset().AtStart()}}))
		for len(want) > 0 {
			fetches := cl.PollFetches(within(t))
			if err := fetches.Err(); err != nil {
				t.Fatalf("%v; still to come: %q", err, want)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if len(want) > 0 && strings.Contains(string(r.Value), want[0]) {
					want = want[1:]
				}
			})
		}
	}
	reads(`"event":"authentication","result":"ok","principal":"User:admin"`, `"api":"CreateTopics","resource":"Topic:orders"`)
	if log := auditLog(t, b); !strings.Contains(log, `"resource":"Topic:orders"`) {
		t.Error("the file is not written beside the topic")
	}
	if _, err := adm.DeleteTopics(within(t), "audits"); err != nil {
		t.Fatal(err)
	}
	reads(`"api":"DeleteTopics","resource":"Topic:audits"`)
	if b.opt.fillAudit("__consumer_offsets") == nil || b.opt.fillAudit("no/topic") == nil {
		t.Error("a name that cannot be was taken")
	}
}

func (o Options) fillAudit(name string) error {
	o.AuditTopic = name
	_, _, err := o.fill()
	return err
}

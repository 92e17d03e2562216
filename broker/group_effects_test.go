package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
)

// groupKeys has, for each key of a group, the test that sees its effect.
var groupKeys = map[string]func(*testing.T, *groupPair){
	"consumer.heartbeat.interval.ms":  heartbeatFollows,
	"consumer.session.timeout.ms":     sessionFollows,
	"consumer.assignment.interval.ms": assignmentFollows,
}

// groupPair is two consumer groups, of which the key under test is set on one.
type groupPair struct {
	w   *wire
	set func(key, value string)
}

const keyedGroup, plainGroup = "keyedGroup", "plainGroup"

// beat is a heartbeat of KIP-848; epoch 0 joins.
func (g *groupPair) beat(group, member string, epoch int32) *kmsg.ConsumerGroupHeartbeatResponse {
	g.w.t.Helper()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, group, member, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.Topics = 60000, []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](g.w, req)
	for began := time.Now(); resp.ErrorCode == errCoordinatorNotAvailable || resp.ErrorCode == errCoordinatorLoadInProgress; {
		if time.Since(began) > 30*time.Second {
			break // the coordinator's topic is still not there
		}
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorKeys = 4, []string{group}
		ask[*kmsg.FindCoordinatorResponse](g.w, find)
		resp = ask[*kmsg.ConsumerGroupHeartbeatResponse](g.w, req)
	}
	if resp.ErrorCode != 0 {
		g.w.t.Fatalf("group %s, member %s, epoch %d: %d %s", group, member, epoch, resp.ErrorCode, errText(resp.ErrorMessage))
	}
	return resp
}

func (g *groupPair) describe(group string) kmsg.ConsumerGroupDescribeResponseGroup {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version, req.Groups = 1, []string{group}
	return ask[*kmsg.ConsumerGroupDescribeResponse](g.w, req).Groups[0]
}

// TestGroupKeysHaveAnEffect sets each key of a group that can be set and sees
// that the group goes by it and that another does not; the others say that
// nothing reads them.
func TestGroupKeysHaveAnEffect(t *testing.T) {
	for _, d := range cluster.ConfigDefs(cluster.ResourceGroup) {
		t.Run(d.Name, func(t *testing.T) {
			see := groupKeys[d.Name]
			if see == nil {
				if !strings.Contains(d.Doc, "Stored only:") {
					t.Errorf("no test sees what it does, and its documentation does not say that it does nothing: %s", d.Doc)
				}
				return
			}
			b := run(t, func(o *Options) {
				o.Static = map[string]string{"group.consumer.min.session.timeout.ms": "100", "group.consumer.min.heartbeat.interval.ms": "50",
					"group.consumer.assignment.interval.ms": "0"}
			})
			makeTopic(t, b, "t", 2, nil)
			w := dial(t, b)
			see(t, &groupPair{w: w, set: func(key, value string) {
				t.Helper()
				if got := alterOne(w, cluster.Resource{Type: cluster.ResourceGroup, Name: keyedGroup}, key, &value); got.ErrorCode != 0 {
					t.Fatalf("%s=%s: %d %s", key, value, got.ErrorCode, errText(got.ErrorMessage))
				}
			}})
		})
	}
}

// heartbeatFollows: members are told the group's interval.
func heartbeatFollows(t *testing.T, g *groupPair) {
	g.set("consumer.heartbeat.interval.ms", "7000")
	for group, want := range map[string]int32{keyedGroup: 7000, plainGroup: 5000} {
		if got := g.beat(group, "m", 0).HeartbeatIntervalMillis; got != want {
			t.Errorf("%s: members are told %d ms, want %d", group, got, want)
		}
	}
}

// sessionFollows: a silent member is taken out after the group's time.
func sessionFollows(t *testing.T, g *groupPair) {
	g.set("consumer.heartbeat.interval.ms", "50")
	g.set("consumer.session.timeout.ms", "150")
	began := time.Now()
	g.beat(keyedGroup, "m", 0)
	g.beat(plainGroup, "m", 0)
	for len(g.describe(keyedGroup).Members) > 0 {
		if time.Since(began) > 30*time.Second {
			t.Fatal("a member that is silent for 30 s is still in a group with 150 ms")
		}
	}
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("the member was taken out after %v", took)
	}
	if len(g.describe(plainGroup).Members) != 1 {
		t.Error("the member of the other group, which has 45 s, is gone too")
	}
}

// assignmentFollows: the second member of a group with an interval waits for
// its partitions, that of another has them in the assignment at once.
func assignmentFollows(t *testing.T, g *groupPair) {
	g.set("consumer.assignment.interval.ms", "15000")
	for _, group := range []string{keyedGroup, plainGroup} {
		g.beat(group, "first", 0)
		g.beat(group, "second", 0)
	}
	if d := g.describe(keyedGroup); d.Epoch <= d.AssignmentEpoch {
		t.Errorf("assigned at once in spite of its interval: epoch %d, assignment %d", d.Epoch, d.AssignmentEpoch)
	}
	if d := g.describe(plainGroup); d.Epoch != d.AssignmentEpoch {
		t.Errorf("not assigned at once: epoch %d, assignment %d", d.Epoch, d.AssignmentEpoch)
	}
}

// TestGroupAndMetricsKeysRefuse: a bad value of each key is refused with a
// sentence that has the value and the key, and changes nothing.
func TestGroupAndMetricsKeysRefuse(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	group := cluster.Resource{Type: cluster.ResourceGroup, Name: "g"}
	metrics := cluster.Resource{Type: cluster.ResourceClientMetrics, Name: "m"}
	for _, bad := range []struct {
		res        cluster.Resource
		key, value string
		code       errCode
		says       string
	}{
		{group, "consumer.session.timeout.ms", "soon", errInvalidConfig, "not a number"},
		{group, "consumer.session.timeout.ms", "44999", errInvalidConfig, "group.consumer.min.session.timeout.ms, which is 45000"},
		{group, "consumer.session.timeout.ms", "60001", errInvalidConfig, "group.consumer.max.session.timeout.ms, which is 60000"},
		{group, "consumer.heartbeat.interval.ms", "4999", errInvalidConfig, "group.consumer.min.heartbeat.interval.ms, which is 5000"},
		{group, "consumer.heartbeat.interval.ms", "15001", errInvalidConfig, "group.consumer.max.heartbeat.interval.ms, which is 15000"},
		{group, "consumer.assignment.interval.ms", "15001", errInvalidConfig, "group.consumer.max.assignment.interval.ms, which is 15000"},
		{group, "consumer.assignment.interval.ms", "-1", errInvalidConfig, "-1"},
		{group, "share.session.timeout.ms", "60001", errInvalidConfig, "which is 60000"},
		{group, "share.heartbeat.interval.ms", "15001", errInvalidConfig, "which is 15000"},
		{group, "share.assignment.interval.ms", "15001", errInvalidConfig, "which is 15000"},
		{group, "share.record.lock.duration.ms", "14999", errInvalidConfig, "which is 15000"},
		{group, "share.record.lock.duration.ms", "60001", errInvalidConfig, "which is 60000"},
		{group, "share.delivery.count.limit", "11", errInvalidConfig, "which is 10"},
		{group, "share.partition.max.record.locks", "4001", errInvalidConfig, "which is 4000"},
		{group, "share.auto.offset.reset", "middle", errInvalidConfig, "middle"},
		{group, "share.auto.offset.reset", "by_duration:soon", errInvalidConfig, "by_duration:soon"},
		{group, "share.isolation.level", "strict", errInvalidConfig, "strict"},
		{group, "share.renew.acknowledge.enable", "perhaps", errInvalidConfig, "perhaps"},
		{group, "streams.session.timeout.ms", "44999", errInvalidConfig, "which is 45000"},
		{group, "streams.heartbeat.interval.ms", "15001", errInvalidConfig, "which is 15000"},
		{group, "streams.assignment.interval.ms", "15001", errInvalidConfig, "which is 15000"},
		{group, "streams.initial.rebalance.delay.ms", "-1", errInvalidConfig, "-1"},
		{group, "streams.num.standby.replicas", "3", errInvalidConfig, "which is 2"},
		{group, "no.such.key", "1", errInvalidConfig, "no.such.key"},
		{metrics, "interval.ms", "99", errInvalidRequest, "99"},
		{metrics, "interval.ms", "soon", errInvalidConfig, "not a number"},
		{metrics, "match", "client=a", errInvalidConfig, "client=a"},
		{metrics, "no.such.key", "1", errInvalidRequest, "no.such.key"},
		{cluster.Resource{Type: cluster.ResourceGroup}, "consumer.session.timeout.ms", "50000", errInvalidRequest, "Default group"},
		{cluster.Resource{Type: cluster.ResourceClientMetrics}, "interval.ms", "1000", errInvalidRequest, "name"},
	} {
		got := alterOne(w, bad.res, bad.key, &bad.value)
		if says := errText(got.ErrorMessage); got.ErrorCode != bad.code || !strings.Contains(says, bad.says) {
			t.Errorf("%s=%s: code %d, want %d: %q, want a sentence with %q", bad.key, bad.value, got.ErrorCode, bad.code, says, bad.says)
		}
	}
	for _, res := range []cluster.Resource{group, metrics} {
		if set := b.cluster.Image().DynamicConfigs(res); len(set) != 0 {
			t.Errorf("refused, and yet set on %v: %v", res, set)
		}
	}
	// Within the bounds they are taken.
	beat, session := "14000", "50000"
	for key, value := range map[string]*string{"consumer.heartbeat.interval.ms": &beat, "consumer.session.timeout.ms": &session} {
		if got := alterOne(w, group, key, value); got.ErrorCode != 0 {
			t.Errorf("%s=%s: %d %s", key, *value, got.ErrorCode, errText(got.ErrorMessage))
		}
	}
}

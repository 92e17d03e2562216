package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGroupsSeeTopicsGrow: a partition added to a topic that running members
// subscribe to, by name or by a pattern, reaches them, and so does a new topic
// that the pattern matches, with the classic protocol and with KIP-848.
//
// The topics change when both members have settled: a join looks at the topics
// anyway. A KIP-848 group is told of them by the metadata; of a topic that its
// pattern matches newly only 10 s after its patterns were last resolved, as in
// Kafka (group's regexBatch), for which the last subtest waits. A classic group
// is told by its leader's client, which joins again.
func TestGroupsSeeTopicsGrow(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		for _, by := range []string{"name", "pattern"} {
			t.Run(protocol+" by "+by, func(t *testing.T) {
				t.Parallel()
				b := run(t, func(o *Options) {
					o.Static = map[string]string{
						"group.initial.rebalance.delay.ms":         "0",
						"group.consumer.heartbeat.interval.ms":     "100",
						"group.consumer.min.heartbeat.interval.ms": "100",
					}
				})
				ctx := within(t)
				if protocol == "consumer" {
					//lint:ignore SA1029 the client asks for this very key
					ctx = context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true)
				}
				makeTopic(t, b, "grow-a", 1, nil)
				opts := []kgo.Opt{
					kgo.WithContext(ctx), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("grow-a"),
					kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(100 * time.Millisecond),
					kgo.MetadataMinAge(50 * time.Millisecond), kgo.MetadataMaxAge(200 * time.Millisecond),
					kgo.FetchMaxWait(100 * time.Millisecond), // a client adds no partition to a fetch that waits
				}
				if by == "pattern" {
					opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^grow-.*"))
				}
				members := []*kgo.Client{client(t, b, opts...), client(t, b, opts...)}
				got := make(chan string, 100)
				for _, m := range members {
					go func() {
						for {
							fs := m.PollFetches(ctx)
							if fs.IsClientClosed() || ctx.Err() != nil {
								return
							}
							fs.EachRecord(func(r *kgo.Record) { got <- fmt.Sprintf("%s-%d", r.Topic, r.Partition) })
						}
					}()
				}
				producer := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond))
				reach := func(topic string, partition int32) {
					t.Helper()
					if err := producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: []byte("v")}).FirstErr(); err != nil {
						t.Fatal(err)
					}
					for at := ""; at != fmt.Sprintf("%s-%d", topic, partition); {
						select {
						case at = <-got: // what was read before may come again
						case <-ctx.Done():
							t.Fatalf("no member has read partition %d of %s", partition, topic)
						}
					}
				}
				reach("grow-a", 0)
				adm := kadm.NewClient(client(t, b))
				eventually(t, "the group has two settled members", func() bool {
					if protocol == "classic" {
						gs, err := adm.DescribeGroups(ctx, "g")
						return err == nil && gs["g"].State == "Stable" && len(gs["g"].Members) == 2
					}
					gs, err := adm.DescribeConsumerGroups(ctx, "g")
					return err == nil && gs["g"].State == "Stable" && len(gs["g"].Members) == 2
				})
				if _, err := adm.UpdatePartitions(ctx, 3, "grow-a"); err != nil {
					t.Fatal(err)
				}
				producer.PurgeTopicsFromClient("grow-a") // it looks for the new ones at once
				reach("grow-a", 2)
				reach("grow-a", 1)
				if by == "pattern" {
					makeTopic(t, b, "other", 1, nil)
					makeTopic(t, b, "grow-b", 1, nil)
					reach("grow-b", 0)
				}
			})
		}
	}
}

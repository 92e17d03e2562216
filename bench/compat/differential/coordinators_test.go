package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The edges of the coordinators' requests, which the random scripts of the package
// coordinators seldom reach: what is nowhere, empty, out of range or named twice.

func TestListGroups(t *testing.T) {
	compare(t, 16, func(v int16) (out []Case) {
		for _, states := range [][]string{nil, {"Stable"}, {"stable"}, {"nonsense"}, {"nonsense", "Empty"}, {""}} {
			for _, types := range [][]string{nil, {"classic"}, {"Consumer"}, {"nonsense"}, {""}} {
				one(&out, fmt.Sprintf("states %q, types %q", states, types), v, kmsg.NewPtrListGroupsRequest(), func(r *kmsg.ListGroupsRequest) {
					r.StatesFilter, r.TypesFilter = states, types
				})
			}
		}
		return out
	})
}

func TestDescribeGroups(t *testing.T) {
	compare(t, 15, func(v int16) (out []Case) {
		for _, groups := range [][]string{nil, {""}, {"nowhere"}, {"nowhere", "nowhere"}} {
			for _, yes := range []bool{false, true} {
				one(&out, fmt.Sprintf("%q, operations %v", groups, yes), v, kmsg.NewPtrDescribeGroupsRequest(), func(r *kmsg.DescribeGroupsRequest) {
					r.Groups, r.IncludeAuthorizedOperations = groups, yes
				})
			}
		}
		return out
	})
}

func TestConsumerGroupDescribe(t *testing.T) {
	compare(t, 69, func(v int16) (out []Case) {
		for _, groups := range [][]string{nil, {""}, {"nowhere"}, {"nowhere", "nowhere", ""}} {
			for _, yes := range []bool{false, true} {
				one(&out, fmt.Sprintf("%q, operations %v", groups, yes), v, kmsg.NewPtrConsumerGroupDescribeRequest(), func(r *kmsg.ConsumerGroupDescribeRequest) {
					r.Groups, r.IncludeAuthorizedOperations = groups, yes
				})
			}
		}
		return out
	})
}

func TestDeleteGroups(t *testing.T) {
	compare(t, 42, func(v int16) (out []Case) {
		for _, groups := range [][]string{nil, {""}, {"nowhere"}, {"nowhere", "nowhere", ""}} {
			one(&out, fmt.Sprintf("%q", groups), v, kmsg.NewPtrDeleteGroupsRequest(), func(r *kmsg.DeleteGroupsRequest) { r.Groups = groups })
		}
		return out
	})
}

func TestOffsetFetch(t *testing.T) {
	compare(t, 9, func(v int16) (out []Case) {
		ask := func(name, group string, all bool, topics ...string) {
			for _, stable := range []bool{false, true} {
				one(&out, fmt.Sprintf("%s, stable %v", name, stable), v, kmsg.NewPtrOffsetFetchRequest(), func(r *kmsg.OffsetFetchRequest) {
					r.Group, r.RequireStable = group, stable
					g := kmsg.NewOffsetFetchRequestGroup()
					g.Group = group
					if !all {
						r.Topics, g.Topics = []kmsg.OffsetFetchRequestTopic{}, []kmsg.OffsetFetchRequestGroupTopic{}
					}
					for _, topic := range topics {
						r.Topics = append(r.Topics, kmsg.OffsetFetchRequestTopic{Topic: topic, Partitions: []int32{0, 9, -1}})
						g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic, TopicID: ID(topic), Partitions: []int32{0, 9, -1}})
					}
					r.Groups = append(r.Groups, g)
					if name == "group twice" {
						r.Groups = append(r.Groups, g)
					}
				})
			}
		}
		ask("unknown group", "nowhere", false, "t", "cut")
		ask("unknown group, all", "nowhere", true)
		ask("unknown group, none", "nowhere", false)
		ask("unknown topic", "nowhere", false, "unknown", "t")
		ask("topic twice", "nowhere", false, "t", "t")
		ask("no group", "", false, "t")
		ask("no group, all", "", true)
		ask("group twice", "nowhere", false, "t")
		one(&out, "nothing", v, kmsg.NewPtrOffsetFetchRequest(), nil)
		return out
	})
}

func TestOffsetDelete(t *testing.T) {
	compare(t, 47, func(v int16) (out []Case) {
		for _, group := range []string{"", "nowhere"} {
			for _, topic := range []string{"", "t", "unknown"} {
				one(&out, fmt.Sprintf("group %q, topic %q", group, topic), v, kmsg.NewPtrOffsetDeleteRequest(), func(r *kmsg.OffsetDeleteRequest) {
					r.Group = group
					if topic != "" {
						r.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}}}
					}
				})
			}
		}
		return out
	})
}

func TestListTransactions(t *testing.T) {
	compare(t, 66, func(v int16) (out []Case) {
		ask := func(name string, change func(*kmsg.ListTransactionsRequest)) {
			one(&out, name, v, kmsg.NewPtrListTransactionsRequest(), func(r *kmsg.ListTransactionsRequest) {
				r.DurationFilterMillis = -1
				change(r)
			})
		}
		for _, states := range [][]string{nil, {"Ongoing"}, {"ongoing"}, {"CompleteAbort", "nonsense"}, {"nonsense"}, {""}, {"Dead"}, {"PrepareEpochFence"}} {
			ask(fmt.Sprintf("states %q", states), func(r *kmsg.ListTransactionsRequest) { r.StateFilters = states })
		}
		for _, ids := range [][]int64{{-1}, {Int64("open")}, {Int64("open"), Int64("aborted"), 7}} {
			ask(fmt.Sprintf("producers %d", len(ids)), func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = ids })
		}
		for _, ms := range []int64{-2, -1, 0, 1, 1 << 60} {
			ask(fmt.Sprintf("longer than %d", ms), func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = ms })
		}
		for _, pattern := range []string{"", "op.*", "pen", ".*(en|ed)", "(", "OPEN"} {
			ask(fmt.Sprintf("pattern %q", pattern), func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = &pattern })
		}
		return out
	})
}

func TestDescribeTransactions(t *testing.T) {
	compare(t, 65, func(v int16) (out []Case) {
		for _, ids := range [][]string{nil, {""}, {"nowhere"}, {"aborted", "committed"}, {"nowhere", "nowhere", ""}} {
			one(&out, fmt.Sprintf("%q", ids), v, kmsg.NewPtrDescribeTransactionsRequest(), func(r *kmsg.DescribeTransactionsRequest) { r.TransactionalIDs = ids })
		}
		return out
	})
}

func TestInitProducerID(t *testing.T) {
	compare(t, 22, func(v int16) (out []Case) {
		empty, id := "", "edges"
		for name, txn := range map[string]*string{"no id": nil, "empty id": &empty, "id": &id} {
			for _, producer := range []int64{-1, 0, 1 << 40} {
				for _, epoch := range []int16{-1, 0, 32767} {
					for _, timeout := range []int32{60000, 0, -1, 900000, 900001} {
						if txn == &id && producer == -1 && epoch == -1 && timeout > 0 && timeout <= 900000 {
							continue // that makes it
						}
						one(&out, fmt.Sprintf("%s, producer %d epoch %d, timeout %d", name, producer, epoch, timeout), v, kmsg.NewPtrInitProducerIDRequest(), func(r *kmsg.InitProducerIDRequest) {
							r.TransactionalID, r.TransactionTimeoutMillis, r.ProducerID, r.ProducerEpoch = txn, timeout, producer, epoch
						})
					}
				}
			}
		}
		return out
	})
}

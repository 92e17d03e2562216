package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func fetchTopic(topic string, partition int32, offset int64) kmsg.FetchRequestTopic {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes = partition, offset, -1, -1, -1, 1<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = topic, ID(topic), []kmsg.FetchRequestTopicPartition{p}
	return t
}

func fetch(v int16, topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.ReplicaID, r.MaxBytes, r.SessionEpoch, r.Topics = v, -1, 1<<20, -1, topics
	return r
}

func TestFetch(t *testing.T) {
	compare(t, 1, func(v int16) (out []Case) {
		ask := func(name string, r *kmsg.FetchRequest, change func(r *kmsg.FetchRequest)) {
			if change != nil {
				change(r)
			}
			out = append(out, One(name, r))
		}
		ask("isolation 2", fetch(v, fetchTopic("t", 0, 0)), func(r *kmsg.FetchRequest) { r.IsolationLevel = 2 })
		for _, isolation := range []int8{0, 1} {
			for _, offset := range []int64{-2, -1, 0, 1, 3, 4, 5, 6, 8, 9, 14, 17, 18, 100, 9223372036854775807} {
				ask(fmt.Sprintf("isolation %d offset %d", isolation, offset), fetch(v, fetchTopic("t", 0, offset), fetchTopic("cut", 0, offset)), func(r *kmsg.FetchRequest) { r.IsolationLevel = isolation })
				ask(fmt.Sprintf("transactions, isolation %d offset %d", isolation, offset), fetch(v, fetchTopic("t", 2, offset)), func(r *kmsg.FetchRequest) { r.IsolationLevel = isolation })
			}
		}
		for _, bytes := range []int32{-1, 0, 1, 100, 200, 300, 2147483647} {
			ask(fmt.Sprintf("max bytes %d", bytes), fetch(v, fetchTopic("t", 0, 0), fetchTopic("append", 0, 0)), func(r *kmsg.FetchRequest) { r.MaxBytes = bytes })
			ask(fmt.Sprintf("partition max bytes %d", bytes), fetch(v, fetchTopic("t", 0, 0), fetchTopic("append", 0, 0)), func(r *kmsg.FetchRequest) {
				r.Topics[0].Partitions[0].PartitionMaxBytes, r.Topics[1].Partitions[0].PartitionMaxBytes = bytes, bytes
			})
			ask(fmt.Sprintf("min bytes %d", bytes), fetch(v, fetchTopic("append", 0, 0)), func(r *kmsg.FetchRequest) { r.MinBytes, r.MaxWaitMillis = bytes, 50 })
		}
		for _, epoch := range []int32{-2, 0, 1, 2147483647} {
			ask(fmt.Sprintf("leader epoch %d", epoch), fetch(v, fetchTopic("t", 0, 0)), func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch })
			ask(fmt.Sprintf("last fetched epoch %d", epoch), fetch(v, fetchTopic("t", 0, 3)), func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = epoch })
			ask(fmt.Sprintf("last fetched epoch %d behind the end", epoch), fetch(v, fetchTopic("t", 0, 50)), func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = epoch })
		}
		ask("wait -1", fetch(v, fetchTopic("t", 1, 0)), func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = -1, 1 })
		ask("empty partition", fetch(v, fetchTopic("t", 1, 0)), func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = 20, 1 })
		ask("empty partition, offset 1", fetch(v, fetchTopic("t", 1, 1)), nil)
		ask("rack", fetch(v, fetchTopic("t", 0, 0)), func(r *kmsg.FetchRequest) { r.Rack = "r1" })
		ask("no topics", fetch(v), nil)
		ask("no topics, session wanted", fetch(v), func(r *kmsg.FetchRequest) { r.SessionEpoch = 0 })
		ask("no partitions", fetch(v, kmsg.FetchRequestTopic{Topic: "t", TopicID: ID("t")}), nil)
		ask("unknown partition", fetch(v, fetchTopic("t", 3, 0)), nil)
		ask("negative partition", fetch(v, fetchTopic("t", -1, 0)), nil)
		ask("unknown topic", fetch(v, fetchTopic("unknown", 0, 0)), func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = [16]byte{1, 2} })
		ask("unknown and known", fetch(v, fetchTopic("unknown", 0, 0), fetchTopic("t", 0, 0)), func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = [16]byte{1, 2} })
		ask("empty name, zero id", fetch(v, fetchTopic("", 0, 0)), func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = [16]byte{} })
		ask("partition twice", fetch(v, fetchTopic("t", 0, 0)), func(r *kmsg.FetchRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		})
		ask("topic twice", fetch(v, fetchTopic("t", 0, 0), fetchTopic("t", 0, 3)), nil)
		ask("topics in turns", fetch(v, fetchTopic("t", 0, 0), fetchTopic("append", 0, 0), fetchTopic("t", 2, 0), fetchTopic("append", 0, 1), fetchTopic("t", 0, 4)), nil)
		ask("several", fetch(v, fetchTopic("t", 0, 3), fetchTopic("t", 2, 0), fetchTopic("cut", 0, 3), fetchTopic("append", 0, 0)), nil)
		if v < 15 { // later the replica is a tagged field
			for _, replica := range []int32{-3, -2, 0, 1, 5} {
				ask(fmt.Sprintf("replica %d", replica), fetch(v, fetchTopic("t", 0, 0)), func(r *kmsg.FetchRequest) { r.ReplicaID = replica })
			}
		} else {
			for _, replica := range []int32{0, 1, 5} {
				ask(fmt.Sprintf("replica %d", replica), fetch(v, fetchTopic("t", 0, 0)), func(r *kmsg.FetchRequest) { r.ReplicaState.ID = replica })
			}
		}
		for _, s := range []struct{ id, epoch int32 }{{0, 1}, {1, 0}, {1, 1}, {99, -1}, {99, 0}, {99, 5}, {0, -1}, {-1, 0}, {0, -2}, {0, 2147483647}, {1, -2}} {
			if v >= 7 {
				ask(fmt.Sprintf("session %d epoch %d", s.id, s.epoch), fetch(v, fetchTopic("t", 0, 3)), func(r *kmsg.FetchRequest) { r.SessionID, r.SessionEpoch = s.id, s.epoch })
			}
		}
		if v >= 7 {
			out = append(out, sessionCases(v)...)
		}
		return out
	})
}

// sessionCases are conversations of KIP-227.
func sessionCases(v int16) []Case {
	name := fmt.Sprintf("session%d", v)
	keep := func(r kmsg.Response, vars *Vars) {
		if id := r.(*kmsg.FetchResponse).SessionID; id != 0 {
			vars.Int(name, id)
		}
	}
	in := func(epoch int32, topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
		r := fetch(v, topics...)
		r.SessionID, r.SessionEpoch = Int32(name), epoch
		return r
	}
	first := fetch(v, fetchTopic("t", 0, 0), fetchTopic("t", 1, 0), fetchTopic("append", 0, 0))
	first.SessionEpoch = 0
	open := Step{Req: first, Keep: keep}
	again := fetch(v, fetchTopic("t", 0, 0), fetchTopic("t", 1, 0), fetchTopic("t", 0, 3))
	again.SessionEpoch = 0
	twice := Step{Req: again, Keep: keep}
	forget := in(2)
	forget.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", TopicID: ID("t"), Partitions: []int32{0}}}
	forgetUnknown := in(1)
	forgetUnknown.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "unknown", TopicID: [16]byte{4}, Partitions: []int32{0}}}
	cases := []Case{
		{"session, nothing new", []Step{open, {Req: in(1, fetchTopic("t", 0, 17), fetchTopic("append", 0, 1))}, {Req: in(2)}, {Req: in(3)}}},
		{"session, partition twice", []Step{twice, {Req: in(1, fetchTopic("t", 0, 4), fetchTopic("t", 0, 5))}, {Req: in(2)}}},
		{"session, again", []Step{open, {Req: in(1)}, {Req: in(2)}}},
		{"session, epoch twice", []Step{open, {Req: in(1)}, {Req: in(1)}, {Req: in(2)}}},
		{"session, epoch skipped", []Step{open, {Req: in(2)}, {Req: in(1)}}},
		{"session closed", []Step{open, {Req: in(-1)}, {Req: in(1)}}},
		{"session started anew", []Step{open, {Req: in(0, fetchTopic("t", 0, 3)), Keep: keep}, {Req: in(1)}}},
		{"session, forgotten", []Step{open, {Req: in(1)}, {Req: forget}, {Req: in(3, fetchTopic("t", 0, 0))}}},
		{"session, unknown forgotten", []Step{open, {Req: forgetUnknown}}},
		{"session, unknown partition", []Step{open, {Req: in(1, fetchTopic("t", 9, 0))}, {Req: in(2)}}},
		{"session, bad offset", []Step{open, {Req: in(1, fetchTopic("t", 0, 1000))}, {Req: in(2)}, {Req: in(3, fetchTopic("t", 0, 17))}, {Req: in(4)}}},
		{"session on another connection", []Step{open, {Req: in(1), On: 1}}},
	}
	if v == 13 {
		other := fetch(12, fetchTopic("t", 0, 0))
		other.SessionID, other.SessionEpoch = Int32(name), 1
		cases = append(cases, Case{"session, by name after by id", []Step{open, {Req: other}}})
	}
	return cases
}

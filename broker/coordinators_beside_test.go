package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
)

// TestHeartbeatsBesideFetches: a member's heartbeats do not wait for the
// fetches of others. Of a hundred consumers forty wait at the end of a topic,
// fifty have asked for a backlog of 4 MB and do not read it, ten read it again
// and again as fast as they get it.
func TestHeartbeatsBesideFetches(t *testing.T) {
	const consumers, beats = 100, 200
	b := run(t, func(o *Options) { o.Static = map[string]string{"group.initial.rebalance.delay.ms": "0"} })
	id := makeTopic(t, b, "t", 1, nil)
	cl := client(t, b, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := make([]byte, 64<<10)
	var records []*kgo.Record
	for range 64 {
		records = append(records, &kgo.Record{Value: value})
	}
	if err := cl.ProduceSync(within(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := &refusalWorld{b: b, topic: id}
	m := r.member(t, "g", nil)
	w := dial(t, b)
	measure := func() time.Duration {
		took := make([]time.Duration, beats)
		for i := range took {
			began := time.Now()
			if code := ask[*kmsg.HeartbeatResponse](w, r.heartbeat(2, "g", m.MemberID, m.Generation)).ErrorCode; code != errNone {
				t.Fatalf("heartbeat: %d", code)
			}
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		return took[beats*99/100]
	}
	quiet := measure()

	var wg sync.WaitGroup
	var stop atomic.Bool
	var read atomic.Int64
	started, done := make(chan struct{}, consumers), make(chan struct{})
	for i := range consumers {
		c := dial(t, b)
		wg.Go(func() {
			req := fetchOf(12, "t", id, 0)
			req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes = 8<<20, 8<<20
			kind := i % 10
			if kind > 5 {
				req.Topics[0].Partitions[0].FetchOffset, req.MaxWaitMillis = int64(len(records)), 60_000
			}
			for n := 0; ; n++ {
				if _, err := c.conn.Write(frame(req, int32(n))); err != nil {
					return
				}
				if n == 0 {
					started <- struct{}{}
				}
				if kind > 0 && kind <= 5 {
					<-done // its socket's buffers are full, the rest waits in the broker
				}
				var size [4]byte
				if _, err := io.ReadFull(c.conn, size[:]); err != nil {
					return
				}
				got, err := io.CopyN(io.Discard, c.conn, int64(binary.BigEndian.Uint32(size[:])))
				if read.Add(got); err != nil || stop.Load() {
					return
				}
			}
		})
	}
	for range consumers {
		<-started
	}
	eventually(t, "the readers are at it", func() bool { return read.Load() > 64<<20 })
	before := read.Load()
	loaded := measure()
	if read.Load() == before {
		t.Error("nothing was read meanwhile")
	}
	stop.Store(true)
	close(done)
	produceTo(t, dial(t, b), "t", batchOf(t, compress.None, 1)) // those that wait
	wg.Wait()
	t.Logf("heartbeats, p99: %v alone, %v beside %d consumers that read %d MB meanwhile", quiet, loaded, consumers, (read.Load()-before)>>20)
	// What is generous here is for a machine that does other things: a heartbeat
	// behind a fetch that nobody reads waits for ever.
	if limit := 20*quiet + 5*time.Second; loaded > limit {
		t.Errorf("p99 is %v beside fetches and %v alone, more than %v", loaded, quiet, limit)
	}
}

// TestOffsetsOf300Partitions commits, fetches, lists and deletes the offsets of
// 300 partitions in every version.
func TestOffsetsOf300Partitions(t *testing.T) {
	const partitions = 300
	b := run(t, nil)
	id := makeTopic(t, b, "wide", partitions, nil)
	w := dial(t, b)
	r := &refusalWorld{b: b, topic: id}
	for v := int16(1); v <= offsetCommitAPI.max; v++ {
		group := fmt.Sprintf("g%d", v)
		commit := r.commit(v, group, "", -1)
		commit.Topics[0].Topic, commit.Topics[0].Partitions = "wide", nil
		for p := range int32(partitions) {
			part := kmsg.NewOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset = p, int64(1000*int(v)+int(p))
			commit.Topics[0].Partitions = append(commit.Topics[0].Partitions, part)
		}
		eventually(t, "the coordinator of "+group, func() bool {
			parts := ask[*kmsg.OffsetCommitResponse](w, commit).Topics[0].Partitions
			for _, p := range parts {
				if p.ErrorCode == errCoordinatorLoadInProgress || p.ErrorCode == errCoordinatorNotAvailable {
					return false
				}
				if p.ErrorCode != errNone {
					t.Fatalf("v%d: partition %d: %d", v, p.Partition, p.ErrorCode)
				}
			}
			return len(parts) == partitions
		})
		for f := int16(1); f <= offsetFetchAPI.max; f++ {
			for _, all := range []bool{false, true} {
				if all && f < 2 {
					continue
				}
				req := r.fetchOffsets(f, group, nil, -1)
				want := make([]int32, partitions)
				for p := range want {
					want[p] = int32(p)
				}
				req.Topics[0].Topic, req.Topics[0].Partitions = "wide", want
				req.Groups[0].Topics[0].Topic, req.Groups[0].Topics[0].Partitions = "wide", want
				if all {
					req.Topics, req.Groups[0].Topics = nil, nil
				}
				got := map[int32]int64{}
				resp := ask[*kmsg.OffsetFetchResponse](w, req)
				for _, top := range resp.Topics {
					for _, p := range top.Partitions {
						got[p.Partition] = p.Offset
					}
				}
				for _, g := range resp.Groups {
					for _, top := range g.Topics {
						for _, p := range top.Partitions {
							got[p.Partition] = p.Offset
						}
					}
				}
				if len(got) != partitions {
					t.Fatalf("OffsetFetch v%d, all %v: %d partitions", f, all, len(got))
				}
				for p, offset := range got {
					if offset != int64(1000*int(v)+int(p)) {
						t.Fatalf("OffsetFetch v%d, all %v: partition %d is at %d", f, all, p, offset)
					}
				}
			}
		}
		del := kmsg.NewPtrOffsetDeleteRequest()
		del.Group = group
		top := kmsg.NewOffsetDeleteRequestTopic()
		top.Topic = "wide"
		for p := range int32(partitions) {
			top.Partitions = append(top.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: p})
		}
		del.Topics = append(del.Topics, top)
		deleted := ask[*kmsg.OffsetDeleteResponse](w, del)
		if deleted.ErrorCode != errNone || len(deleted.Topics[0].Partitions) != partitions {
			t.Fatalf("OffsetDelete: %d, %d partitions", deleted.ErrorCode, len(deleted.Topics[0].Partitions))
		}
		if left := ask[*kmsg.OffsetFetchResponse](w, &kmsg.OffsetFetchRequest{Version: 7, Group: group}).Topics; len(left) != 0 {
			t.Fatalf("%d topics have offsets after OffsetDelete", len(left))
		}
	}
	// The other walks over partitions.
	describe := describeProducers("wide", 0).(*kmsg.DescribeProducersRequest)
	list := kmsg.NewPtrListOffsetsRequest()
	list.Version, list.ReplicaID = 8, -1
	epochs := kmsg.NewPtrOffsetForLeaderEpochRequest()
	epochs.Version, epochs.ReplicaID = 4, -1
	fetch := fetchOf(12, "wide", id, 0)
	describe.Topics[0].Partitions, fetch.Topics[0].Partitions = nil, nil
	list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "wide"}}
	epochs.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "wide"}}
	for p := range int32(partitions) {
		describe.Topics[0].Partitions = append(describe.Topics[0].Partitions, p)
		lp := kmsg.NewListOffsetsRequestTopicPartition()
		lp.Partition, lp.Timestamp = p, -1
		list.Topics[0].Partitions = append(list.Topics[0].Partitions, lp)
		ep := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		ep.Partition = p
		epochs.Topics[0].Partitions = append(epochs.Topics[0].Partitions, ep)
		fp := kmsg.NewFetchRequestTopicPartition()
		fp.Partition, fp.PartitionMaxBytes = p, 1<<20
		fetch.Topics[0].Partitions = append(fetch.Topics[0].Partitions, fp)
	}
	for name, n := range map[string]int{
		"DescribeProducers":    len(ask[*kmsg.DescribeProducersResponse](w, describe).Topics[0].Partitions),
		"ListOffsets":          len(ask[*kmsg.ListOffsetsResponse](w, list).Topics[0].Partitions),
		"OffsetForLeaderEpoch": len(ask[*kmsg.OffsetForLeaderEpochResponse](w, epochs).Topics[0].Partitions),
		"Fetch":                len(ask[*kmsg.FetchResponse](w, fetch).Topics[0].Partitions),
	} {
		if n != partitions {
			t.Errorf("%s: %d partitions, want %d", name, n, partitions)
		}
	}
}

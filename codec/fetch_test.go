package codec

import (
	"bytes"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sameFetch walks a body and holds it against what kmsg read from it.
func sameFetch(t *testing.T, version int16, body []byte, want *kmsg.FetchRequest) {
	t.Helper()
	req, it, err := ParseFetch(version, body)
	if err != nil {
		t.Fatalf("version %d: %v", version, err)
	}
	expect := FetchRequest{
		ReplicaID: want.ReplicaID, ReplicaEpoch: -1, MaxWaitMillis: want.MaxWaitMillis, MinBytes: want.MinBytes,
		MaxBytes: math.MaxInt32, SessionEpoch: -1, Topics: len(want.Topics),
	}
	if version >= 3 {
		expect.MaxBytes = want.MaxBytes
	}
	if version >= 4 {
		expect.Isolation = want.IsolationLevel
	}
	if version >= 7 {
		expect.SessionID, expect.SessionEpoch = want.SessionID, want.SessionEpoch
	}
	if version >= 15 {
		expect.ReplicaID, expect.ReplicaEpoch = want.ReplicaState.ID, want.ReplicaState.Epoch
	}
	if string(req.Rack) != want.Rack {
		t.Fatalf("version %d: rack %q, want %q", version, req.Rack, want.Rack)
	}
	sameNullable(t, "cluster id", req.ClusterID, want.ClusterID)

	for i := range want.Topics {
		topic := &want.Topics[i]
		for j := range topic.Partitions {
			kp := &topic.Partitions[j]
			expect.Partitions++
			p, ok := it.Next()
			w := FetchPartition{
				Topic: p.Topic, FirstOfTopic: j == 0, Partition: kp.Partition, CurrentLeaderEpoch: kp.CurrentLeaderEpoch,
				Offset: kp.FetchOffset, LastFetchedEpoch: kp.LastFetchedEpoch, LogStartOffset: kp.LogStartOffset, MaxBytes: kp.PartitionMaxBytes,
			}
			same := p.FirstOfTopic == w.FirstOfTopic && p.Partition == w.Partition && p.CurrentLeaderEpoch == w.CurrentLeaderEpoch &&
				p.Offset == w.Offset && p.LastFetchedEpoch == w.LastFetchedEpoch && p.LogStartOffset == w.LogStartOffset && p.MaxBytes == w.MaxBytes
			if !ok || !same || string(p.Topic.Name) != topic.Topic || p.Topic.ID != topic.TopicID {
				t.Fatalf("version %d: partition %+v, want %+v of %q", version, p, w, topic.Topic)
			}
		}
	}
	for i := range want.ForgottenTopics {
		for _, partition := range want.ForgottenTopics[i].Partitions {
			expect.Forgotten++
			p, ok := it.NextForgotten()
			if !ok || p.Partition != partition || string(p.Topic.Name) != want.ForgottenTopics[i].Topic || p.Topic.ID != want.ForgottenTopics[i].TopicID {
				t.Fatalf("version %d: forgotten %+v, want %d", version, p, partition)
			}
		}
	}
	if _, ok := it.Next(); ok {
		t.Fatalf("version %d: the walk goes on behind the last partition", version)
	}
	if _, ok := it.NextForgotten(); ok {
		t.Fatalf("version %d: the walk goes on behind the last forgotten partition", version)
	}
	req.Rack, req.ClusterID = nil, nil
	if !equalFetch(req, expect) {
		t.Fatalf("version %d:\n got %+v\nwant %+v", version, req, expect)
	}
}

func equalFetch(a, b FetchRequest) bool {
	return a.ReplicaID == b.ReplicaID && a.ReplicaEpoch == b.ReplicaEpoch && a.MaxWaitMillis == b.MaxWaitMillis &&
		a.MinBytes == b.MinBytes && a.MaxBytes == b.MaxBytes && a.Isolation == b.Isolation && a.SessionID == b.SessionID &&
		a.SessionEpoch == b.SessionEpoch && a.Topics == b.Topics && a.Partitions == b.Partitions && a.Forgotten == b.Forgotten
}

func TestParseFetch(t *testing.T) {
	for version := int16(0); version <= MaxVersion(keyFetch); version++ {
		for seed := range seeds(200) {
			sent := newRandom(seed).request(keyFetch, version).(*kmsg.FetchRequest)
			sent.IsolationLevel = int8(seed % 2)
			body := sent.AppendTo(nil)
			want := kmsg.NewPtrFetchRequest()
			want.SetVersion(version)
			if err := want.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
			sameFetch(t, version, body, want)
			if seed < 20 {
				for n := range body {
					if _, _, err := ParseFetch(version, body[:n]); err == nil {
						t.Fatalf("version %d: the body cut at %d of %d parses", version, n, len(body))
					}
				}
			}
		}
	}
}

func FuzzParseFetch(f *testing.F) {
	for version := int16(0); version <= MaxVersion(keyFetch); version++ {
		f.Add(version, newRandom(uint64(version)).request(keyFetch, version).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		_, it, err := ParseFetch(version, body)
		if err != nil || Guard(keyFetch, version, body) != nil { // kmsg may take minutes for what the guard refuses
			return
		}
		want := kmsg.NewPtrFetchRequest()
		want.SetVersion(version)
		if err := want.ReadFrom(body); err != nil {
			// Tags of a follower are skipped by us and read by kmsg.
			if version < fetchFlexible {
				t.Fatalf("kmsg refuses what we accept: %v", err)
			}
			return
		}
		for i := range want.Topics {
			for j := range want.Topics[i].Partitions {
				p, ok := it.Next()
				if kp := &want.Topics[i].Partitions[j]; !ok || p.Partition != kp.Partition || p.Offset != kp.FetchOffset {
					t.Fatalf("partition %+v, kmsg reads %+v", p, kp)
				}
			}
		}
	})
}

// TestFetchResponse writes random answers with ours, fills the records into
// the holes, and holds the bytes against kmsg's.
func TestFetchResponse(t *testing.T) {
	for version := int16(0); version <= MaxVersion(keyFetch); version++ {
		for seed := range seeds(300) {
			r := newRandom(seed)
			want := kmsg.NewPtrFetchResponse()
			want.SetVersion(version)
			want.ThrottleMillis, want.ErrorCode, want.SessionID = int32(r.Uint32()), int16(r.Uint32()), int32(r.Uint32())
			topics := r.IntN(4)
			w := NewFetchResponse(AppendResponseHeader(nil, keyFetch, version, 9), version, want.ThrottleMillis, want.ErrorCode, want.SessionID, topics)
			var holes []int
			var records [][]byte
			extra := 0
			for range topics {
				topic := TopicRef{Name: r.bytes(r.IntN(200)), ID: [16]byte(r.bytes(16))}
				partitions := r.IntN(4)
				w.Topic(topic, partitions)
				kt := kmsg.NewFetchResponseTopic()
				kt.Topic, kt.TopicID = string(topic.Name), topic.ID
				for range partitions {
					p := r.fetchResult()
					w.Partition(&p)
					kp := kmsgFetchResult(version, &p)
					if p.RecordBytes >= 0 {
						kp.RecordBatches = r.bytes(int(p.RecordBytes))
					}
					holes, records = append(holes, len(w.Bytes())), append(records, kp.RecordBatches)
					extra += len(kp.RecordBatches)
					kt.Partitions = append(kt.Partitions, kp)
				}
				want.Topics = append(want.Topics, kt)
			}
			endpoints := r.endpoints()
			if version >= 16 {
				for _, e := range endpoints {
					want.Brokers = append(want.Brokers, kmsg.FetchResponseBroker{NodeID: e.NodeID, Host: e.Host, Port: e.Port, Rack: nullable(e.Rack)})
				}
			}
			literal := w.Finish(endpoints)
			FinishResponse(literal, int64(extra))
			var got []byte
			from := 0
			for i, to := range holes {
				got = append(append(got, literal[from:to]...), records[i]...)
				from = to
			}
			got = append(got, literal[from:]...)
			if whole := AppendResponse(nil, want, 9); !bytes.Equal(got, whole) {
				t.Fatalf("version %d seed %d:\n got %x\nwant %x", version, seed, got, whole)
			}
		}
	}
}

func (r *random) fetchResult() FetchResult {
	p := FetchResult{
		Partition: int32(r.Uint32()), ErrorCode: []int16{0, 6, 74, 1}[r.IntN(4)], HighWatermark: int64(r.Uint64()),
		LastStableOffset: int64(r.Uint64()), LogStartOffset: int64(r.Uint64()), PreferredReadReplica: int32(r.Uint32()),
		DivergingEpoch: int32(r.IntN(3) - 1), DivergingEndOffset: int64(r.Uint64()),
		CurrentLeaderID: int32(r.IntN(3) - 1), CurrentLeaderEpoch: int32(r.Uint32()),
		RecordBytes: int64(r.IntN(400)) - 1,
	}
	if r.IntN(2) == 0 {
		p.Aborted = make([]FetchAborted, r.IntN(3))
		for i := range p.Aborted {
			p.Aborted[i] = FetchAborted{int64(r.Uint64()), int64(r.Uint64())}
		}
	}
	return p
}

func kmsgFetchResult(version int16, p *FetchResult) kmsg.FetchResponseTopicPartition {
	kp := kmsg.NewFetchResponseTopicPartition()
	kp.Partition, kp.ErrorCode, kp.HighWatermark = p.Partition, p.ErrorCode, p.HighWatermark
	kp.LastStableOffset, kp.LogStartOffset, kp.PreferredReadReplica = p.LastStableOffset, p.LogStartOffset, p.PreferredReadReplica
	if p.Aborted != nil {
		kp.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	for _, a := range p.Aborted {
		kp.AbortedTransactions = append(kp.AbortedTransactions, kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	if version >= 12 && p.DivergingEpoch >= 0 {
		kp.DivergingEpoch.Epoch, kp.DivergingEpoch.EndOffset = p.DivergingEpoch, p.DivergingEndOffset
	}
	if version >= 12 && (p.ErrorCode == 6 || p.ErrorCode == 74) && p.CurrentLeaderID >= 0 {
		kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch = p.CurrentLeaderID, p.CurrentLeaderEpoch
	}
	return kp
}

package codec

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sameProduce walks a body and holds it against what kmsg read from it.
func sameProduce(t *testing.T, version int16, body []byte, want *kmsg.ProduceRequest) {
	t.Helper()
	req, it, err := ParseProduce(version, body)
	if err != nil {
		t.Fatalf("version %d: %v", version, err)
	}
	if req.Acks != want.Acks || req.TimeoutMillis != want.TimeoutMillis || req.Topics != len(want.Topics) {
		t.Fatalf("version %d: %+v", version, req)
	}
	sameNullable(t, "transactional id", req.TransactionalID, want.TransactionID)
	n := 0
	for i := range want.Topics {
		topic := &want.Topics[i]
		for j := range topic.Partitions {
			p, ok := it.Next()
			if !ok {
				t.Fatalf("version %d: the walk ends before topic %d partition %d", version, i, j)
			}
			n++
			if string(p.Topic.Name) != topic.Topic || p.Topic.ID != topic.TopicID || p.FirstOfTopic != (j == 0) {
				t.Fatalf("version %d: topic %q %x first %v, want %q %x", version, p.Topic.Name, p.Topic.ID, p.FirstOfTopic, topic.Topic, topic.TopicID)
			}
			if p.Partition != topic.Partitions[j].Partition || !bytes.Equal(p.Records, topic.Partitions[j].Records) ||
				(p.Records == nil) != (topic.Partitions[j].Records == nil) {
				t.Fatalf("version %d: partition %d with %d bytes", version, p.Partition, len(p.Records))
			}
		}
	}
	if _, ok := it.Next(); ok || req.Partitions != n {
		t.Fatalf("version %d: %d partitions announced, %d there", version, req.Partitions, n)
	}
}

func sameNullable(t *testing.T, what string, got []byte, want *string) {
	t.Helper()
	if (got == nil) != (want == nil) || want != nil && string(got) != *want {
		t.Fatalf("%s is %q, want %v", what, got, want)
	}
}

func TestParseProduce(t *testing.T) {
	for version := int16(0); version <= MaxVersion(keyProduce); version++ {
		for seed := range seeds(200) {
			body := newRandom(seed).request(keyProduce, version).AppendTo(nil)
			want := kmsg.NewPtrProduceRequest()
			want.SetVersion(version)
			if err := want.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
			sameProduce(t, version, body, want)
			if seed < 20 {
				for n := range body {
					if _, _, err := ParseProduce(version, body[:n]); err == nil {
						t.Fatalf("version %d: the body cut at %d of %d parses", version, n, len(body))
					}
				}
			}
		}
	}
}

func FuzzParseProduce(f *testing.F) {
	for version := int16(0); version <= MaxVersion(keyProduce); version++ {
		f.Add(version, newRandom(uint64(version)).request(keyProduce, version).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if _, _, err := ParseProduce(version, body); err != nil || Guard(keyProduce, version, body) != nil {
			return
		}
		want := kmsg.NewPtrProduceRequest()
		want.SetVersion(version)
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("kmsg refuses what we accept: %v", err)
		}
		sameProduce(t, version, body, want)
	})
}

func (r *random) endpoints() []Endpoint {
	var e []Endpoint
	for range r.IntN(4) * r.IntN(2) {
		e = append(e, Endpoint{NodeID: int32(r.Uint32()), Host: string(r.bytes(r.IntN(300))), Port: int32(r.Uint32()), Rack: string(r.bytes(r.IntN(3)))})
	}
	return e
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// TestProduceResponse writes random answers with ours and with kmsg.
func TestProduceResponse(t *testing.T) {
	for version := int16(0); version <= MaxVersion(keyProduce); version++ {
		for seed := range seeds(300) {
			r := newRandom(seed)
			want := kmsg.NewPtrProduceResponse()
			want.SetVersion(version)
			want.ThrottleMillis = int32(r.Uint32())
			topics := r.IntN(4)
			got := AppendResponseHeader(nil, keyProduce, version, 9)
			w := NewProduceResponse(got, version, topics)
			for range topics {
				topic := TopicRef{Name: r.bytes(r.IntN(200)), ID: [16]byte(r.bytes(16))}
				partitions := r.IntN(4)
				w.Topic(topic, partitions)
				kt := kmsg.NewProduceResponseTopic()
				kt.Topic, kt.TopicID = string(topic.Name), topic.ID
				for range partitions {
					p := ProduceResult{
						Partition: int32(r.Uint32()), ErrorCode: []int16{0, 6, 3, -1}[r.IntN(4)], BaseOffset: int64(r.Uint64()),
						LogAppendTime: int64(r.Uint64()), LogStartOffset: int64(r.Uint64()),
						ErrorMessage:    string(r.bytes(r.IntN(200) * r.IntN(2))),
						CurrentLeaderID: int32(r.IntN(3) - 1), CurrentEpoch: int32(r.Uint32()),
					}
					kp := kmsg.NewProduceResponseTopicPartition()
					kp.Partition, kp.ErrorCode, kp.BaseOffset = p.Partition, p.ErrorCode, p.BaseOffset
					kp.LogAppendTime, kp.LogStartOffset, kp.ErrorMessage = p.LogAppendTime, p.LogStartOffset, nullable(p.ErrorMessage)
					for range r.IntN(3) {
						e := ProduceRecordError{Index: int32(r.Uint32()), Message: string(r.bytes(r.IntN(2) * 5))}
						p.RecordErrors = append(p.RecordErrors, e)
						kp.ErrorRecords = append(kp.ErrorRecords, kmsg.ProduceResponseTopicPartitionErrorRecord{RelativeOffset: e.Index, ErrorMessage: nullable(e.Message)})
					}
					if version >= 10 && p.ErrorCode == 6 && p.CurrentLeaderID >= 0 {
						kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch = p.CurrentLeaderID, p.CurrentEpoch
					}
					w.Partition(&p)
					kt.Partitions = append(kt.Partitions, kp)
				}
				want.Topics = append(want.Topics, kt)
			}
			endpoints := r.endpoints()
			if version >= 10 {
				for _, e := range endpoints {
					want.Brokers = append(want.Brokers, kmsg.ProduceResponseBroker{NodeID: e.NodeID, Host: e.Host, Port: e.Port, Rack: nullable(e.Rack)})
				}
			}
			got = w.Finish(want.ThrottleMillis, endpoints)
			FinishResponse(got, 0)
			if whole := AppendResponse(nil, want, 9); !bytes.Equal(got, whole) {
				t.Fatalf("version %d seed %d:\n got %x\nwant %x", version, seed, got, whole)
			}
			if n := binary.BigEndian.Uint32(got); int(n) != len(got)-4 {
				t.Fatalf("version %d: the length prefix is %d of %d", version, n, len(got)-4)
			}
		}
	}
}

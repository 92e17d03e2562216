package codec

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestHotPathAllocatesNothing is the promise of the package: a Produce or
// Fetch request costs the codec no allocation in steady state.
func TestHotPathAllocatesNothing(t *testing.T) {
	produce := kmsg.NewPtrProduceRequest()
	fetch := kmsg.NewPtrFetchRequest()
	for _, name := range []string{"orders", "payments"} {
		pt := kmsg.NewProduceRequestTopic()
		pt.Topic = name
		ft := kmsg.NewFetchRequestTopic()
		ft.Topic = name
		for i := range int32(8) {
			pp := kmsg.NewProduceRequestTopicPartition()
			pp.Partition, pp.Records = i, make([]byte, 300)
			pt.Partitions = append(pt.Partitions, pp)
			fp := kmsg.NewFetchRequestTopicPartition()
			fp.Partition = i
			ft.Partitions = append(ft.Partitions, fp)
		}
		produce.Topics = append(produce.Topics, pt)
		fetch.Topics = append(fetch.Topics, ft)
	}
	buf := make([]byte, 0, 16<<10)
	name := []byte("orders")
	aborted := []FetchAborted{{1, 2}}
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))

	for version := int16(0); version <= MaxVersion(keyProduce); version++ {
		produce.SetVersion(version)
		frame := formatter.AppendRequest(nil, produce, 1)[4:]
		allocs(t, "Produce", version, func() {
			h, body, err := ParseHeader(frame)
			if err != nil {
				t.Fatal(err)
			}
			req, it, err := ParseProduce(h.Version, body)
			if err != nil || req.Partitions != 16 {
				t.Fatal(req, err)
			}
			dst := AppendResponseHeader(buf[:0], h.Key, h.Version, h.CorrelationID)
			w := NewProduceResponse(dst, h.Version, 1)
			w.Topic(TopicRef{Name: name}, req.Partitions)
			for p, ok := it.Next(); ok; p, ok = it.Next() {
				r := ProduceResult{Partition: p.Partition, LogAppendTime: -1}
				w.Partition(&r)
			}
			FinishResponse(w.Finish(0, nil), 0)
		})
	}
	for version := int16(0); version <= MaxVersion(keyFetch); version++ {
		fetch.SetVersion(version)
		frame := formatter.AppendRequest(nil, fetch, 1)[4:]
		allocs(t, "Fetch", version, func() {
			h, body, err := ParseHeader(frame)
			if err != nil {
				t.Fatal(err)
			}
			req, it, err := ParseFetch(h.Version, body)
			if err != nil || req.Partitions != 16 {
				t.Fatal(req, err)
			}
			dst := AppendResponseHeader(buf[:0], h.Key, h.Version, h.CorrelationID)
			w := NewFetchResponse(dst, h.Version, 0, 0, 0, 1)
			w.Topic(TopicRef{Name: name}, req.Partitions)
			for p, ok := it.Next(); ok; p, ok = it.Next() {
				r := FetchResult{Partition: p.Partition, RecordBytes: 100, Aborted: aborted, DivergingEpoch: 1}
				w.Partition(&r)
			}
			FinishResponse(w.Finish(nil), 1600)
		})
	}
}

func allocs(t *testing.T, what string, version int16, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s version %d allocates %v times", what, version, n)
	}
}

func BenchmarkParseProduce(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(9)
	pt := kmsg.NewProduceRequestTopic()
	pt.Topic = "orders"
	pp := kmsg.NewProduceRequestTopicPartition()
	pp.Records = make([]byte, 300)
	pt.Partitions = append(pt.Partitions, pp)
	req.Topics = append(req.Topics, pt)
	body := req.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		_, it, err := ParseProduce(9, body)
		if err != nil {
			b.Fatal(err)
		}
		for _, ok := it.Next(); ok; _, ok = it.Next() {
		}
	}
}
